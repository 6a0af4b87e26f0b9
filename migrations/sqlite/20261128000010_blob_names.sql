-- Which blobs are named by a record: asked for each blob when those that nobody names are removed.
CREATE INDEX domain_versions_blob ON domain_versions(blob);
CREATE INDEX model_versions_blob ON model_versions(blob);
