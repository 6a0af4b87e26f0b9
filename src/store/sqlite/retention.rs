//! What is removed because it is old or too much: events, jobs, keys of requests. Each call is one small step of a
//! transaction, so that writes that clients wait for are never behind a long one.

use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::{Purge, Purged, StoreError};
use super::writer::Tx;

/// Jobs that one step looks at.
const STEP_JOBS: u32 = 100;
/// Events that one step removes; with what else falls with [`STEP_JOBS`] jobs, a step changes at most 500 rows.
const STEP_EVENTS: u32 = 200;
/// Keys of requests that one step removes.
const STEP_REQUESTS: u32 = 500;

/// Ended jobs whose events are not purged, the oldest first.
const WITH_EVENTS: &str =
    "SELECT id FROM jobs WHERE events_purged = 0 AND finished_at < ?1 ORDER BY finished_at LIMIT ?2";

/// Ended jobs, the oldest first: those whose events were purged ended before the others. Children go with their parent.
const ENDED: &str = "SELECT id FROM (SELECT id FROM jobs WHERE events_purged = 1 AND finished_at < ?1
      AND parent_id IS NULL AND open_children = 0 ORDER BY finished_at LIMIT ?2)
  UNION ALL SELECT id FROM (SELECT id FROM jobs WHERE events_purged = 0 AND finished_at < ?1
      AND parent_id IS NULL AND open_children = 0 ORDER BY finished_at LIMIT ?2) LIMIT ?2";

/// Children of jobs.
const CHILDREN: &str = "SELECT c.id FROM json_each(?1) AS due JOIN jobs c ON c.parent_id = due.value LIMIT ?2";

/// Whether there is something to remove.
pub(super) async fn is_due(readers: &SqlitePool, what: Purge) -> Result<bool, StoreError> {
    let (sql, before) = match what {
        Purge::Events { ended_before } => (WITH_EVENTS, ended_before),
        Purge::Jobs { ended_before, .. } => (ENDED, ended_before),
        Purge::Requests { made_before } => {
            ("SELECT 1 FROM idempotency_keys WHERE created_at <= ?1 LIMIT ?2", made_before)
        }
    };
    Ok(sqlx::query(sql).bind(before.millis()).bind(1).fetch_optional(readers).await?.is_some())
}

/// One step.
pub(super) async fn purge(tx: &mut Tx, what: Purge) -> Result<Purged, StoreError> {
    match what {
        Purge::Events { ended_before } => {
            let due = due(tx, WITH_EVENTS, ended_before.millis(), STEP_JOBS).await?;
            events(tx, &due).await
        }
        Purge::Jobs { ended_before, at_most } => {
            let parents = due(tx, ENDED, ended_before.millis(), STEP_JOBS.min(at_most)).await?;
            let children = due(tx, CHILDREN, parents.clone(), STEP_JOBS).await?;
            jobs(tx, if children == NOBODY { &parents } else { &children }).await
        }
        Purge::Requests { made_before } => {
            let sql = "DELETE FROM idempotency_keys WHERE (tenant_id, key) IN
              (SELECT tenant_id, key FROM idempotency_keys WHERE created_at <= ?1 LIMIT ?2)";
            let query = sqlx::query(sql).bind(made_before.millis()).bind(STEP_REQUESTS);
            Ok(Purged { rows: query.execute(&mut tx.connection).await?.rows_affected(), jobs: 0 })
        }
    }
}

/// An empty list of ids.
const NOBODY: &str = "[]";

/// Ids as a JSON list, as statements take it.
async fn due<'a, B>(tx: &mut Tx, sql: &'static str, of: B, limit: u32) -> Result<String, StoreError>
where
    B: sqlx::Encode<'a, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + 'a,
{
    let found = sqlx::query(sql).bind(of).bind(limit).fetch_all(&mut tx.connection).await?;
    let ids = found.iter().map(|row| row.try_get::<&str, _>("id")).collect::<Result<Vec<_>, _>>()?;
    super::rows::to_json(&ids)
}

/// All events but the last, which tells how the job ended.
async fn events(tx: &mut Tx, due: &str) -> Result<Purged, StoreError> {
    let sql = "DELETE FROM job_events WHERE (job_id, seq) IN (
        SELECT e.job_id, e.seq FROM json_each(?1) AS due JOIN job_events e ON e.job_id = due.value
        WHERE e.seq < (SELECT max(seq) FROM job_events WHERE job_id = due.value) LIMIT ?2)
      RETURNING tenant_id, feed_seq";
    let removed = sqlx::query(sql).bind(due).bind(STEP_EVENTS).fetch_all(&mut tx.connection).await?;
    note(tx, &removed).await?;
    let mut rows = removed.len() as u64;
    if removed.len() < STEP_EVENTS as usize {
        let sql = "UPDATE jobs SET events_purged = 1 WHERE id IN (SELECT value FROM json_each(?1))";
        rows += sqlx::query(sql).bind(due).execute(&mut tx.connection).await?.rows_affected();
    }
    Ok(Purged { rows, jobs: 0 })
}

/// Jobs with all that is theirs. Models that they made stay.
async fn jobs(tx: &mut Tx, due: &str) -> Result<Purged, StoreError> {
    let sql = "DELETE FROM job_events WHERE (job_id, seq) IN (
        SELECT e.job_id, e.seq FROM json_each(?1) AS due JOIN job_events e ON e.job_id = due.value LIMIT ?2)
      RETURNING tenant_id, feed_seq";
    let removed = sqlx::query(sql).bind(due).bind(STEP_EVENTS).fetch_all(&mut tx.connection).await?;
    note(tx, &removed).await?;
    let mut purged = Purged { rows: removed.len() as u64, jobs: 0 };
    if removed.len() == STEP_EVENTS as usize {
        return Ok(purged);
    }
    for sql in [
        "DELETE FROM job_metrics WHERE job_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM job_files WHERE job_id IN (SELECT value FROM json_each(?1))",
        "DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?1))",
    ] {
        purged.jobs = sqlx::query(sql).bind(due).execute(&mut tx.connection).await?.rows_affected();
        purged.rows += purged.jobs;
    }
    Ok(purged)
}

/// Notes up to which number of its feed each tenant lost something.
async fn note(tx: &mut Tx, removed: &[SqliteRow]) -> Result<(), StoreError> {
    let mut through = std::collections::BTreeMap::<&str, i64>::new();
    for row in removed {
        let last = through.entry(row.try_get("tenant_id")?).or_default();
        *last = (*last).max(row.try_get("feed_seq")?);
    }
    for (tenant, last) in through {
        let sql = "UPDATE event_feeds SET purged = max(purged, ?2) WHERE tenant_id = ?1";
        sqlx::query(sql).bind(tenant).bind(last).execute(&mut tx.connection).await?;
    }
    Ok(())
}
