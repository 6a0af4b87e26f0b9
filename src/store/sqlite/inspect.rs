//! The promises about the database, asked of the database: its own integrity, and what jobs, events, models and counts owe
//! each other. Each statement gives the subject and the detail of what breaks one.

use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::super::{Owner, Schema, StoreError};
use crate::records::{Check, Finding, Timestamp};

/// Findings of one check: what is wrong a hundred times is wrong in one way.
const MOST: i64 = 100;

/// A running job that was not heard of for so long, while its process lives, hangs: heartbeats come every second.
const SILENT_MS: i64 = 60_000;

/// Jobs whose events have a gap, or are missing. The first ones may be purged once the job has ended, which its tenant's feed
/// knows.
const EVENTS_GAP: &str = "SELECT j.id AS subject,
    'events ' || coalesce(min(e.seq), 0) || ' to ' || coalesce(max(e.seq), 0) || ', of which ' || count(e.seq) || ' are there'
      AS detail
  FROM jobs j LEFT JOIN job_events e ON e.job_id = j.id LEFT JOIN event_feeds f ON f.tenant_id = j.tenant_id
  GROUP BY j.id HAVING count(e.seq) = 0 OR count(e.seq) <> max(e.seq) - min(e.seq) + 1
    OR (min(e.seq) <> 1 AND (j.finished_at IS NULL OR coalesce(f.purged, 0) = 0)) LIMIT ?1";

/// Tenants in whose feed of events a number is missing above those that were purged.
const FEEDS: &str = "SELECT f.tenant_id AS subject,
    'numbers ' || (f.purged + 1) || ' to ' || f.last || ', of which ' || count(e.feed_seq) || ' are there' AS detail
  FROM event_feeds f LEFT JOIN job_events e ON e.tenant_id = f.tenant_id AND e.feed_seq > f.purged
  GROUP BY f.tenant_id HAVING count(e.feed_seq) <> f.last - f.purged OR max(e.feed_seq) <> f.last LIMIT ?1";

/// Ended jobs without exactly one event that says so, as their last, and others with one.
const TERMINAL_EVENT: &str = "SELECT j.id AS subject,
    j.state || ', with ' || count(e.seq) || ' terminal events' AS detail
  FROM jobs j LEFT JOIN job_events e ON e.job_id = j.id AND e.type = 'state' AND e.data ->> '$.terminal'
  GROUP BY j.id HAVING count(e.seq) <> (j.state IN ('succeeded', 'failed', 'cancelled'))
    OR (count(e.seq) = 1 AND (max(e.seq) <> (SELECT max(l.seq) FROM job_events l WHERE l.job_id = j.id)
                              OR max(e.data ->> '$.state') <> j.state)) LIMIT ?1";

/// Versions of models whose job does not say that it made them.
const MODEL_WITHOUT_JOB: &str = "SELECT m.name || '@' || v.version AS subject,
    'its job ' || j.id || ' is ' || j.state || ' and names ' || coalesce(j.result ->> '$.model', 'no model') AS detail
  FROM model_versions v JOIN models m ON m.id = v.model_id JOIN jobs j ON j.id = v.job_id
  WHERE j.state <> 'succeeded' OR j.result ->> '$.model' IS NOT m.name || '@' || v.version LIMIT ?1";

/// Jobs that name a version of a model which is not there although the model is. One that was deleted, and made anew since,
/// is younger than the job's end.
const JOB_WITHOUT_MODEL: &str =
    "SELECT j.id AS subject, 'it made ' || (j.result ->> '$.model') || ', which is not there' AS detail
  FROM jobs j WHERE j.state = 'succeeded' AND j.result ->> '$.model' IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM model_versions v WHERE v.job_id = j.id)
    AND EXISTS (SELECT 1 FROM models m WHERE m.tenant_id = j.tenant_id AND m.created_at <= j.finished_at
                AND m.name = substr(j.result ->> '$.model', 1, instr(j.result ->> '$.model', '@') - 1)) LIMIT ?1";

/// Versions of models with what they were made of, where that is not there as it was. `forced` where the domain is gone or
/// is a younger one of its name, which only a deletion with force leaves.
const LINEAGE: &str = "SELECT model AS subject, domain AS detail, forced FROM (
    SELECT m.name || '@' || v.version AS model, made_of.value ->> 'domain' AS domain,
      d.id IS NULL OR d.created_at > v.created_at AS forced, made_of.value ->> 'identity' AS identity, dv.identity AS stands
    FROM model_versions v JOIN models m ON m.id = v.model_id
    JOIN json_each(json_insert(coalesce(v.lineage -> '$.sources', '[]'), '$[#]', json(v.lineage -> '$.target'))) AS made_of
    LEFT JOIN domains d ON d.tenant_id = v.tenant_id
      AND d.name = substr(made_of.value ->> 'domain', 1, instr(made_of.value ->> 'domain', '@') - 1)
    LEFT JOIN domain_versions dv ON dv.domain_id = d.id
      AND dv.version = CAST(substr(made_of.value ->> 'domain', instr(made_of.value ->> 'domain', '@') + 1) AS INTEGER)
    WHERE made_of.type = 'object')
  WHERE stands IS NOT identity LIMIT ?1";

/// Numbers of jobs that are not as many as the jobs.
const JOB_COUNTS: &str = "SELECT tenant_id || ' ' || state || ' ' || kind AS subject,
    'counted ' || sum(counted) || ', there are ' || sum(there) AS detail
  FROM (SELECT tenant_id, state, kind, n AS counted, 0 AS there FROM job_counts
        UNION ALL SELECT tenant_id, state, kind, 0, count(*) FROM jobs GROUP BY tenant_id, state, kind)
  GROUP BY tenant_id, state, kind HAVING sum(counted) <> sum(there) LIMIT ?1";

/// Parents that wait for more or fewer children than have not ended.
const FAMILIES: &str = "SELECT p.id AS subject,
    'it waits for ' || p.open_children || ' jobs, of which ' || count(c.id) || ' have not ended' AS detail
  FROM jobs p LEFT JOIN jobs c ON c.parent_id = p.id AND c.state IN ('queued', 'running', 'paused')
  WHERE p.n_children > 0 GROUP BY p.id HAVING count(c.id) <> p.open_children LIMIT ?1";

const IDEMPOTENCY_KEY: &str =
    "SELECT k.made AS subject, 'a key of a request names this job, which is not there' AS detail
  FROM idempotency_keys k WHERE k.kind = 'job' AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = k.made) LIMIT ?1";

pub(super) async fn all(
    connection: &mut SqliteConnection,
    schema: Schema,
    owner: Owner,
    now: Timestamp,
) -> Result<Vec<Finding>, StoreError> {
    let mut found = integrity(connection).await?;
    found.extend(foreign_keys(connection).await?);
    if let Some(check) = of_schema(schema) {
        let detail = format!("it is at {}, this program at {}", schema.version, schema.known);
        found.push(Finding { check, subject: "schema".into(), detail });
        // The statements below are about the newest form.
        return Ok(found);
    }
    let of_statements = [
        (Check::EventsGap, EVENTS_GAP),
        (Check::FeedGap, FEEDS),
        (Check::TerminalEvent, TERMINAL_EVENT),
        (Check::ModelOfJob, MODEL_WITHOUT_JOB),
        (Check::ModelOfJob, JOB_WITHOUT_MODEL),
        (Check::JobCounts, JOB_COUNTS),
        (Check::Families, FAMILIES),
        (Check::IdempotencyKey, IDEMPOTENCY_KEY),
    ];
    for (check, sql) in of_statements {
        for row in sqlx::query(sql).bind(MOST).fetch_all(&mut *connection).await? {
            found.push(Finding { check, subject: row.try_get("subject")?, detail: row.try_get("detail")? });
        }
    }
    found.extend(lineage(connection).await?);
    found.extend(running(connection, owner, now).await?);
    Ok(found)
}

fn of_schema(schema: Schema) -> Option<Check> {
    match schema.version.cmp(&schema.known) {
        _ if !schema.finished => Some(Check::SchemaUnfinished),
        std::cmp::Ordering::Less => Some(Check::SchemaOlder),
        std::cmp::Ordering::Greater => Some(Check::SchemaNewer),
        std::cmp::Ordering::Equal => None,
    }
}

async fn integrity(connection: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let lines: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(100)").fetch_all(connection).await?;
    let finding = |detail| Finding { check: Check::Integrity, subject: "database".into(), detail };
    Ok(lines.into_iter().filter(|line| line != "ok").map(finding).collect())
}

async fn foreign_keys(connection: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let sql = "SELECT \"table\", parent, count(*) AS n FROM pragma_foreign_key_check GROUP BY 1, 2";
    let finding = |row: &sqlx::sqlite::SqliteRow| {
        let detail = format!(
            "{} rows name a row of {} that is not there",
            row.try_get::<i64, _>("n")?,
            row.try_get::<&str, _>("parent")?
        );
        Ok(Finding { check: Check::ForeignKeys, subject: row.try_get("table")?, detail })
    };
    sqlx::query(sql).fetch_all(connection).await?.iter().map(finding).collect()
}

async fn lineage(connection: &mut SqliteConnection) -> Result<Vec<Finding>, StoreError> {
    let finding = |row: &sqlx::sqlite::SqliteRow| {
        let (check, how) = match row.try_get::<bool, _>("forced")? {
            true => (Check::LineageForced, "which was deleted"),
            false => (Check::LineageBroken, "which is not there as it was, although the domain is"),
        };
        let detail = format!("made of {}, {how}", row.try_get::<&str, _>("detail")?);
        Ok(Finding { check, subject: row.try_get("subject")?, detail })
    };
    sqlx::query(LINEAGE).bind(MOST).fetch_all(connection).await?.iter().map(finding).collect()
}

async fn running(connection: &mut SqliteConnection, owner: Owner, now: Timestamp) -> Result<Vec<Finding>, StoreError> {
    let sql = "SELECT id, heartbeat_at FROM jobs WHERE state = 'running' AND (?1 OR heartbeat_at < ?2) LIMIT ?3";
    let alone = owner == Owner::Gone;
    let query = sqlx::query(sql).bind(alone).bind(now.millis() - SILENT_MS).bind(MOST);
    let finding = |row: &sqlx::sqlite::SqliteRow| {
        let last = Timestamp::from_millis(row.try_get("heartbeat_at")?);
        let (check, detail) = if alone {
            (Check::RunningWithoutProcess, format!("running since a process that is gone; last heard of at {last}"))
        } else {
            (Check::RunningSilent, format!("running, and last heard of at {last}"))
        };
        Ok(Finding { check, subject: row.try_get("id")?, detail })
    };
    query.fetch_all(connection).await?.iter().map(finding).collect()
}
