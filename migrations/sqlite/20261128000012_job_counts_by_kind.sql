-- Counts of jobs by kind too, so that metrics are read without a walk over all jobs.
DROP TRIGGER jobs_counted_at_insert;
DROP TRIGGER jobs_counted_at_change;
DROP TRIGGER jobs_counted_at_delete;
DROP TABLE job_counts;

CREATE TABLE job_counts (
  tenant_id TEXT NOT NULL REFERENCES tenants(id),
  state     TEXT NOT NULL,
  kind      TEXT NOT NULL,
  n         INTEGER NOT NULL CHECK (n >= 0),
  PRIMARY KEY (tenant_id, state, kind)
) STRICT, WITHOUT ROWID;

INSERT INTO job_counts (tenant_id, state, kind, n) SELECT tenant_id, state, kind, count(*) FROM jobs GROUP BY 1, 2, 3;

CREATE TRIGGER jobs_counted_at_insert AFTER INSERT ON jobs
BEGIN
  INSERT INTO job_counts (tenant_id, state, kind, n) VALUES (NEW.tenant_id, NEW.state, NEW.kind, 1)
    ON CONFLICT (tenant_id, state, kind) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER jobs_counted_at_change AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state
BEGIN
  UPDATE job_counts SET n = n - 1 WHERE tenant_id = OLD.tenant_id AND state = OLD.state AND kind = OLD.kind;
  INSERT INTO job_counts (tenant_id, state, kind, n) VALUES (NEW.tenant_id, NEW.state, NEW.kind, 1)
    ON CONFLICT (tenant_id, state, kind) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER jobs_counted_at_delete AFTER DELETE ON jobs
BEGIN
  UPDATE job_counts SET n = n - 1 WHERE tenant_id = OLD.tenant_id AND state = OLD.state AND kind = OLD.kind;
END;

-- Since when the oldest job waits.
CREATE INDEX jobs_waiting ON jobs(run_at) WHERE state = 'queued';
