-- What people say of a model, and names for its versions that can be moved. `revision` grows with every change of a model, and an
-- alias carries the one of its last move: a number that came before never comes again, so that it can be compared.
ALTER TABLE models ADD COLUMN description TEXT;
ALTER TABLE models ADD COLUMN labels TEXT NOT NULL DEFAULT '{}' CHECK (json_valid(labels));
ALTER TABLE models ADD COLUMN revision INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1);
UPDATE models SET revision = latest_version;

CREATE TABLE model_aliases (
  model_id   TEXT NOT NULL,
  tenant_id  TEXT NOT NULL,
  alias      TEXT NOT NULL,
  version    INTEGER NOT NULL,
  revision   INTEGER NOT NULL CHECK (revision >= 1),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (model_id, alias),
  FOREIGN KEY (model_id, tenant_id) REFERENCES models(id, tenant_id),
  FOREIGN KEY (model_id, version) REFERENCES model_versions(model_id, version)
) STRICT, WITHOUT ROWID;
