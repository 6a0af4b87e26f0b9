-- What happened to a job, numbered 1, 2, … without a gap, each written in the transaction of the change
-- that it reports.
CREATE TABLE job_events (
  job_id    TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  seq       INTEGER NOT NULL CHECK (seq >= 1),
  at        INTEGER NOT NULL,
  type      TEXT NOT NULL,
  data      TEXT NOT NULL CHECK (json_valid(data)),
  PRIMARY KEY (job_id, seq),
  FOREIGN KEY (job_id, tenant_id) REFERENCES jobs(id, tenant_id)
) STRICT, WITHOUT ROWID;
