-- How many requests a key may send in how many seconds; NULL where it has no limit.
ALTER TABLE keys ADD COLUMN rate_requests INTEGER CHECK (rate_requests >= 1);
ALTER TABLE keys ADD COLUMN rate_window_s INTEGER
  CHECK (rate_window_s >= 1 AND (rate_window_s IS NULL) = (rate_requests IS NULL));
