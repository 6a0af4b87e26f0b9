-- Models by name, and their immutable versions. The fitted parameters are in a blob.
CREATE TABLE models (
  id             TEXT PRIMARY KEY,
  tenant_id      TEXT NOT NULL REFERENCES tenants(id),
  name           TEXT NOT NULL,
  latest_version INTEGER NOT NULL CHECK (latest_version >= 1),
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  UNIQUE (tenant_id, name),
  UNIQUE (id, tenant_id)
) STRICT;

CREATE TABLE model_versions (
  model_id   TEXT NOT NULL,
  tenant_id  TEXT NOT NULL,
  version    INTEGER NOT NULL CHECK (version >= 1),
  job_id     TEXT NOT NULL UNIQUE,  -- one job leaves at most one model, however often it ran
  blob       TEXT NOT NULL,
  n_bytes    INTEGER NOT NULL CHECK (n_bytes >= 0),
  signature  TEXT NOT NULL CHECK (json_valid(signature)),
  lineage    TEXT NOT NULL CHECK (json_valid(lineage)),
  created_at INTEGER NOT NULL,
  PRIMARY KEY (model_id, version),
  FOREIGN KEY (model_id, tenant_id) REFERENCES models(id, tenant_id),
  FOREIGN KEY (job_id, tenant_id) REFERENCES jobs(id, tenant_id)
) STRICT, WITHOUT ROWID;
