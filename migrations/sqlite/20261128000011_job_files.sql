-- The file that a job of kind `predict` leaves. Its bytes are in a blob under their hash, which may be another job's too; they are
-- kept as long as a row names them.
CREATE TABLE job_files (
  job_id    TEXT PRIMARY KEY,
  tenant_id TEXT NOT NULL,
  format    TEXT NOT NULL CHECK (format IN ('csv', 'parquet', 'ndjson')),
  blob      TEXT NOT NULL,
  n_bytes   INTEGER NOT NULL CHECK (n_bytes >= 0),
  n_rows    INTEGER NOT NULL CHECK (n_rows >= 0),
  FOREIGN KEY (job_id, tenant_id) REFERENCES jobs(id, tenant_id)
) STRICT, WITHOUT ROWID;

-- Asked for each blob when those that nobody names are removed.
CREATE INDEX job_files_blob ON job_files(blob);
