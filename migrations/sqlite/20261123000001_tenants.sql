-- Whose things are stored. Every other table carries a tenant, and every query names one.
CREATE TABLE tenants (
  id          TEXT PRIMARY KEY,
  max_running INTEGER CHECK (max_running >= 0)  -- NULL = no cap
) STRICT;

-- The tenant of a service without keys.
INSERT INTO tenants (id, max_running) VALUES ('default', NULL);
