-- Keys, by the hash of their secrets. A key that is revoked stays, so that it can be told from one that never was.
CREATE TABLE keys (
  id             TEXT PRIMARY KEY,
  tenant_id      TEXT NOT NULL REFERENCES tenants(id),
  name           TEXT NOT NULL,
  scopes         TEXT NOT NULL CHECK (json_valid(scopes)),
  secret_hash    TEXT NOT NULL,
  previous_hash  TEXT,     -- the secret before the last rotation ...
  previous_until INTEGER,  -- ... and until when it is accepted
  created_at     INTEGER NOT NULL,
  expires_at     INTEGER,  -- NULL = never
  revoked_at     INTEGER,
  CHECK ((previous_hash IS NULL) = (previous_until IS NULL))
) STRICT;

-- Lists, newest first.
CREATE INDEX keys_list ON keys(tenant_id, id);
