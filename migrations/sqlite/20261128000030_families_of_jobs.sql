-- Jobs that belong together: a parent gathers what its children did, and is not claimed before all of them have ended.
-- A retry names the job that it repeats, which may be purged before it.
ALTER TABLE jobs ADD COLUMN parent_id TEXT REFERENCES jobs(id);
ALTER TABLE jobs ADD COLUMN retry_of TEXT;
ALTER TABLE jobs ADD COLUMN n_children INTEGER NOT NULL DEFAULT 0 CHECK (n_children >= 0);
ALTER TABLE jobs ADD COLUMN open_children INTEGER NOT NULL DEFAULT 0 CHECK (open_children BETWEEN 0 AND n_children);

CREATE INDEX jobs_children ON jobs(parent_id, id) WHERE parent_id IS NOT NULL;

-- What may be claimed.
DROP INDEX jobs_head;
CREATE INDEX jobs_head ON jobs(tenant_id, priority DESC, run_at, id) WHERE state = 'queued' AND open_children = 0;

CREATE TRIGGER jobs_child_ended AFTER UPDATE OF state ON jobs
WHEN NEW.parent_id IS NOT NULL AND OLD.state NOT IN ('succeeded', 'failed', 'cancelled')
  AND NEW.state IN ('succeeded', 'failed', 'cancelled')
BEGIN
  UPDATE jobs SET open_children = open_children - 1, version = version + 1 WHERE id = NEW.parent_id;
END;

-- The state from which a job goes on is of no use after its end. Asked for each blob when those that nobody names are
-- removed.
CREATE INDEX jobs_checkpoint ON jobs(checkpoint_ref) WHERE checkpoint_ref IS NOT NULL;

CREATE TRIGGER jobs_checkpoint_ends AFTER UPDATE OF state ON jobs
WHEN NEW.state IN ('succeeded', 'failed', 'cancelled') AND NEW.checkpoint_ref IS NOT NULL
BEGIN
  UPDATE jobs SET checkpoint_ref = NULL WHERE id = NEW.id;
END;

-- How many jobs of a tenant may wait; NULL is as many as the queue holds.
ALTER TABLE tenants ADD COLUMN max_queued INTEGER CHECK (max_queued >= 0);
