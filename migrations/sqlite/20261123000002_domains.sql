-- Domains by name, and their immutable versions. The rows of a domain are in a blob.
CREATE TABLE domains (
  id             TEXT PRIMARY KEY,
  tenant_id      TEXT NOT NULL REFERENCES tenants(id),
  name           TEXT NOT NULL,
  latest_version INTEGER NOT NULL CHECK (latest_version >= 1),
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  UNIQUE (tenant_id, name),
  UNIQUE (id, tenant_id)  -- so that versions can be held to the tenant of their domain
) STRICT;

CREATE TABLE domain_versions (
  domain_id  TEXT NOT NULL,
  tenant_id  TEXT NOT NULL,
  version    INTEGER NOT NULL CHECK (version >= 1),
  identity   TEXT NOT NULL,  -- hash of bytes, roles and parse options
  format     TEXT NOT NULL,
  n_bytes    INTEGER NOT NULL CHECK (n_bytes >= 0),
  n_rows     INTEGER NOT NULL CHECK (n_rows >= 0),
  task       TEXT CHECK (task IN ('classification', 'regression')),
  columns    TEXT NOT NULL CHECK (json_valid(columns)),
  notes      TEXT NOT NULL CHECK (json_valid(notes)),
  blob       TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (domain_id, version),
  FOREIGN KEY (domain_id, tenant_id) REFERENCES domains(id, tenant_id)
) STRICT, WITHOUT ROWID;
