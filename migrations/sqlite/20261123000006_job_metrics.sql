-- The numbers of a job that succeeded; apart from the job because they are large and seldom read.
CREATE TABLE job_metrics (
  job_id    TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  metrics   TEXT NOT NULL CHECK (json_valid(metrics)),
  FOREIGN KEY (job_id, tenant_id) REFERENCES jobs(id, tenant_id)
) STRICT, WITHOUT ROWID;
