-- Keys of requests that made something: a job, a key, or a version of a domain, by its kind and its id. Written in the transaction
-- of what they made, forgotten after a day. What was made may be gone before.
CREATE TABLE idempotency_keys_of_all (
  tenant_id   TEXT NOT NULL REFERENCES tenants(id),
  key         TEXT NOT NULL,
  fingerprint TEXT NOT NULL,  -- hash of method, path and body
  kind        TEXT NOT NULL CHECK (kind IN ('job', 'key', 'domain_version')),
  made        TEXT NOT NULL,  -- an id, of a version with @ and its number
  was_new     INTEGER NOT NULL CHECK (was_new IN (0, 1)),  -- 0 where it was there before the request
  created_at  INTEGER NOT NULL,
  PRIMARY KEY (tenant_id, key)
) STRICT, WITHOUT ROWID;

INSERT INTO idempotency_keys_of_all (tenant_id, key, fingerprint, kind, made, was_new, created_at)
  SELECT tenant_id, key, fingerprint, 'job', job_id, 1, created_at FROM idempotency_keys;
DROP TABLE idempotency_keys;
ALTER TABLE idempotency_keys_of_all RENAME TO idempotency_keys;

CREATE INDEX idempotency_keys_age ON idempotency_keys(created_at);
