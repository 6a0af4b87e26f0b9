-- Events of a tenant have numbers over all its jobs too: 1, 2, … without a gap, in order of commit, so that one stream over
-- all jobs can be replayed from a number. The last number is kept apart from the events, because events are purged and
-- a number must never come again.
CREATE TABLE event_feeds (
  tenant_id TEXT PRIMARY KEY REFERENCES tenants(id),
  last      INTEGER NOT NULL CHECK (last >= 1),
  purged    INTEGER NOT NULL DEFAULT 0 CHECK (purged BETWEEN 0 AND last)  -- above it nothing was removed
) STRICT, WITHOUT ROWID;

CREATE TABLE job_events_in_feeds (
  job_id    TEXT NOT NULL,
  tenant_id TEXT NOT NULL,
  seq       INTEGER NOT NULL CHECK (seq >= 1),
  feed_seq  INTEGER NOT NULL CHECK (feed_seq >= 1),
  at        INTEGER NOT NULL,
  type      TEXT NOT NULL,
  data      TEXT NOT NULL CHECK (json_valid(data)),
  PRIMARY KEY (job_id, seq),
  FOREIGN KEY (job_id, tenant_id) REFERENCES jobs(id, tenant_id)
) STRICT, WITHOUT ROWID;

-- In the order of time; within a job in that of its numbers, also where the clock was set back meanwhile.
INSERT INTO job_events_in_feeds (job_id, tenant_id, seq, feed_seq, at, type, data)
  SELECT job_id, tenant_id, seq, row_number() OVER (PARTITION BY tenant_id ORDER BY reached, job_id, seq), at, type, data
  FROM (SELECT *, max(at) OVER (PARTITION BY job_id ORDER BY seq) AS reached FROM job_events);
INSERT INTO event_feeds (tenant_id, last) SELECT tenant_id, max(feed_seq) FROM job_events_in_feeds GROUP BY tenant_id;
DROP TABLE job_events;
ALTER TABLE job_events_in_feeds RENAME TO job_events;

CREATE UNIQUE INDEX job_events_feed ON job_events(tenant_id, feed_seq);

CREATE TRIGGER job_events_counted AFTER INSERT ON job_events
BEGIN
  INSERT INTO event_feeds (tenant_id, last) VALUES (NEW.tenant_id, NEW.feed_seq)
    ON CONFLICT (tenant_id) DO UPDATE SET last = NEW.feed_seq;
END;
