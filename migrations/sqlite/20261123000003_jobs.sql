-- The queue, and the record of every job that ever was. The checks hold the state machine, so that no
-- statement can leave a job in a state that the machine does not have.
CREATE TABLE jobs (
  id                  TEXT PRIMARY KEY,
  tenant_id           TEXT NOT NULL REFERENCES tenants(id),
  kind                TEXT NOT NULL,
  state               TEXT NOT NULL
    CHECK (state IN ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  priority            INTEGER NOT NULL DEFAULT 0 CHECK (priority BETWEEN -10 AND 10),
  run_at              INTEGER NOT NULL,  -- in the future = scheduled or backing off
  attempt             INTEGER NOT NULL DEFAULT 0,
  max_attempts        INTEGER NOT NULL DEFAULT 3 CHECK (max_attempts BETWEEN 1 AND 100),
  crash_count         INTEGER NOT NULL DEFAULT 0 CHECK (crash_count >= 0),
  -- 1 where the last attempt was lost with its process. A first loss of a short attempt is not counted
  -- as a crash of this job (it may have been a neighbour's); a second one in a row is.
  lost_before         INTEGER NOT NULL DEFAULT 0 CHECK (lost_before IN (0, 1)),
  lease_token         INTEGER NOT NULL DEFAULT 0 CHECK (lease_token >= 0),  -- the fence: only grows
  lease_owner         TEXT,
  lease_expires_at    INTEGER,
  -- When the running attempt began and when it was last heard of: how long it ran before a crash, which
  -- the time of the rescue cannot tell.
  claimed_at          INTEGER,
  heartbeat_at        INTEGER,
  created_at          INTEGER NOT NULL,
  started_at          INTEGER,  -- of the first attempt
  finished_at         INTEGER,
  cancel_requested_at INTEGER,
  pause_requested_at  INTEGER,
  deadline_at         INTEGER,
  unique_key          TEXT,
  traceparent         TEXT,
  version             INTEGER NOT NULL DEFAULT 1 CHECK (version >= 1),
  spec                TEXT NOT NULL CHECK (json_valid(spec)),
  progress            TEXT CHECK (json_valid(progress)),
  checkpoint_ref      TEXT,
  result              TEXT CHECK (json_valid(result)),
  error               TEXT CHECK (json_valid(error)),
  UNIQUE (id, tenant_id),
  CHECK (attempt BETWEEN 0 AND max_attempts),
  CHECK (state <> 'queued' OR attempt < max_attempts),
  CHECK (state <> 'running' OR (attempt >= 1 AND lease_token >= 1)),
  CHECK ((state = 'running') = (lease_expires_at IS NOT NULL)),
  CHECK ((state = 'running') = (lease_owner IS NOT NULL)),
  CHECK ((state = 'running') = (claimed_at IS NOT NULL)),
  CHECK ((state = 'running') = (heartbeat_at IS NOT NULL)),
  CHECK ((state IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)),
  CHECK ((state = 'succeeded') = (result IS NOT NULL)),
  CHECK (state <> 'succeeded' OR error IS NULL),
  CHECK (state NOT IN ('failed', 'cancelled') OR error IS NOT NULL),
  -- A cancel that was accepted is never followed by a success, and nothing is cancelled unasked.
  CHECK (state <> 'succeeded' OR cancel_requested_at IS NULL),
  CHECK (state <> 'cancelled' OR cancel_requested_at IS NOT NULL)
) STRICT;

CREATE INDEX jobs_head     ON jobs(tenant_id, priority DESC, run_at, id) WHERE state = 'queued';
CREATE INDEX jobs_lease    ON jobs(lease_expires_at) WHERE state = 'running';
CREATE INDEX jobs_running  ON jobs(tenant_id) WHERE state = 'running';
CREATE INDEX jobs_deadline ON jobs(deadline_at) WHERE state IN ('queued', 'paused') AND deadline_at IS NOT NULL;
CREATE UNIQUE INDEX jobs_unique ON jobs(tenant_id, kind, unique_key)
  WHERE unique_key IS NOT NULL AND state IN ('queued', 'running', 'paused');
-- Lists, newest first.
CREATE INDEX jobs_list       ON jobs(tenant_id, id);
CREATE INDEX jobs_list_state ON jobs(tenant_id, state, id);

-- What ended stays ended.
CREATE TRIGGER jobs_terminal BEFORE UPDATE OF state ON jobs
WHEN OLD.state IN ('succeeded', 'failed', 'cancelled') AND NEW.state <> OLD.state
BEGIN
  SELECT RAISE(ABORT, 'a job that has ended does not change its state');
END;
