-- How many jobs there are in each state, kept by triggers: the bound of the queue is checked at every
-- creation, and counting a long queue each time would make creation slower the longer it is.
CREATE TABLE job_counts (
  tenant_id TEXT NOT NULL REFERENCES tenants(id),
  state     TEXT NOT NULL,
  n         INTEGER NOT NULL CHECK (n >= 0),
  PRIMARY KEY (tenant_id, state)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER jobs_counted_at_insert AFTER INSERT ON jobs
BEGIN
  INSERT INTO job_counts (tenant_id, state, n) VALUES (NEW.tenant_id, NEW.state, 1)
    ON CONFLICT (tenant_id, state) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER jobs_counted_at_change AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state
BEGIN
  UPDATE job_counts SET n = n - 1 WHERE tenant_id = OLD.tenant_id AND state = OLD.state;
  INSERT INTO job_counts (tenant_id, state, n) VALUES (NEW.tenant_id, NEW.state, 1)
    ON CONFLICT (tenant_id, state) DO UPDATE SET n = n + 1;
END;

CREATE TRIGGER jobs_counted_at_delete AFTER DELETE ON jobs
BEGIN
  UPDATE job_counts SET n = n - 1 WHERE tenant_id = OLD.tenant_id AND state = OLD.state;
END;
