-- Events of jobs that ended long ago are removed, then the jobs. A job says whether its events were, so that each is looked at
-- once; the index gives those that are due, the oldest first.
ALTER TABLE jobs ADD COLUMN events_purged INTEGER NOT NULL DEFAULT 0 CHECK (events_purged IN (0, 1));
CREATE INDEX jobs_ended ON jobs(events_purged DESC, finished_at) WHERE finished_at IS NOT NULL;

-- A model outlives the job that made it: its lineage names the job, and does not hold it. The aliases, which hold versions,
-- move with them.
CREATE TABLE model_versions_kept (
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
  FOREIGN KEY (model_id, tenant_id) REFERENCES models(id, tenant_id)
) STRICT, WITHOUT ROWID;
INSERT INTO model_versions_kept (model_id, tenant_id, version, job_id, blob, n_bytes, signature, lineage, created_at)
  SELECT model_id, tenant_id, version, job_id, blob, n_bytes, signature, lineage, created_at FROM model_versions;

CREATE TABLE model_aliases_kept (
  model_id   TEXT NOT NULL,
  tenant_id  TEXT NOT NULL,
  alias      TEXT NOT NULL,
  version    INTEGER NOT NULL,
  revision   INTEGER NOT NULL CHECK (revision >= 1),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (model_id, alias),
  FOREIGN KEY (model_id, tenant_id) REFERENCES models(id, tenant_id),
  FOREIGN KEY (model_id, version) REFERENCES model_versions_kept(model_id, version)
) STRICT, WITHOUT ROWID;
INSERT INTO model_aliases_kept (model_id, tenant_id, alias, version, revision, created_at, updated_at)
  SELECT model_id, tenant_id, alias, version, revision, created_at, updated_at FROM model_aliases;

DROP TABLE model_aliases;
DROP TABLE model_versions;
ALTER TABLE model_versions_kept RENAME TO model_versions;
ALTER TABLE model_aliases_kept RENAME TO model_aliases;
CREATE INDEX model_versions_blob ON model_versions(blob);
