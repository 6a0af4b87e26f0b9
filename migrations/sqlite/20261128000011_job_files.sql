-- The file that a job of kind `predict` leaves. Its bytes are in a blob under their hash, which may be another job's too:
-- what collects blobs must keep those that this table names.
CREATE TABLE job_files (
  job_id    TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  format    TEXT NOT NULL CHECK (format IN ('csv', 'parquet', 'ndjson')),
  blob      TEXT NOT NULL,
  n_bytes   INTEGER NOT NULL CHECK (n_bytes >= 0),
  n_rows    INTEGER NOT NULL CHECK (n_rows >= 0),
  FOREIGN KEY (job_id, tenant_id) REFERENCES jobs(id, tenant_id)
) STRICT, WITHOUT ROWID;
