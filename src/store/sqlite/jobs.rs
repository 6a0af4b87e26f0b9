//! Jobs as clients see them: create, read, list, cancel.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::super::{COUNTED_QUEUE, Cancellation, CreateLimits, Creation, QueueDepth, StoreError};
use super::events::{StateEvent, append_state};
use super::writer::Tx;
use super::{requests, rows};
use crate::records::{
    JobError, JobFilter, JobId, JobKind, JobRecord, JobState, KeyedRequest, Made, NewJob, PageRequest, TenantId,
    Timestamp,
};

/// Sorts after every id, which begins with a letter.
const AFTER_EVERY_ID: &str = "~";

const ONE: &str = "SELECT * FROM jobs WHERE id = ?1 AND tenant_id = ?2";

pub(super) async fn create(
    tx: &mut Tx,
    new: NewJob,
    request: Option<KeyedRequest>,
    limits: CreateLimits,
) -> Result<Creation, StoreError> {
    if let Some(request) = &request
        && let Some(earlier) = requests::begin(tx, request).await?
    {
        return Ok(Creation::Earlier(earlier));
    }
    if let Some(duplicate) = unfinished_duplicate(tx, &new).await? {
        return Ok(Creation::Duplicate(duplicate));
    }
    let sql = "SELECT coalesce(sum(n), 0) AS n FROM job_counts WHERE state = 'queued'";
    let queued: i64 = sqlx::query(sql).fetch_one(&mut tx.connection).await?.try_get("n")?;
    if queued >= limits.max_queued {
        return Ok(Creation::QueueFull);
    }
    let record = insert(tx, &new).await?;
    if let Some(request) = &request {
        requests::remember(tx, request, Made::Job(new.id)).await?;
    }
    append_state(tx, new.id, StateEvent::of(JobState::Queued), new.created_at).await?;
    Ok(Creation::Created(record))
}

async fn unfinished_duplicate(tx: &mut Tx, new: &NewJob) -> Result<Option<JobId>, StoreError> {
    let Some(unique_key) = &new.unique_key else { return Ok(None) };
    let sql = "SELECT id FROM jobs WHERE tenant_id = ?1 AND kind = ?2 AND unique_key = ?3
      AND state IN ('queued', 'running', 'paused')";
    let query = sqlx::query(sql).bind(&new.tenant.0).bind(new.kind.as_str()).bind(unique_key);
    query.fetch_optional(&mut tx.connection).await?.map(|row| rows::parsed(&row, "id")).transpose()
}

async fn insert(tx: &mut Tx, new: &NewJob) -> Result<JobRecord, StoreError> {
    let sql = "INSERT INTO jobs (id, tenant_id, kind, state, priority, run_at, max_attempts, created_at,
        deadline_at, unique_key, traceparent, spec)
      VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?5, ?7, ?8, ?9, ?10) RETURNING *";
    let row = sqlx::query(sql)
        .bind(new.id.to_string())
        .bind(&new.tenant.0)
        .bind(new.kind.as_str())
        .bind(new.priority)
        .bind(new.created_at.millis())
        .bind(new.max_attempts)
        .bind(new.deadline_at.map(Timestamp::millis))
        .bind(&new.unique_key)
        .bind(&new.traceparent)
        .bind(rows::to_json(&new.spec)?)
        .fetch_one(&mut tx.connection)
        .await?;
    rows::job(&row)
}

pub(super) async fn one(readers: &SqlitePool, tenant: &TenantId, id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let row = sqlx::query(ONE).bind(id.to_string()).bind(&tenant.0).fetch_optional(readers).await?;
    row.map(|row| rows::job(&row)).transpose()
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: &TenantId,
    filter: &JobFilter,
    page: &PageRequest,
) -> Result<Vec<JobRecord>, StoreError> {
    // Two statements, so that each walks its index from the cursor; kinds are few and are filtered on the way.
    let sql = match filter.state {
        Some(_) => {
            "SELECT * FROM jobs WHERE tenant_id = ?1 AND id < ?2 AND (?3 IS NULL OR kind = ?3)
               AND state = ?4 ORDER BY id DESC LIMIT ?5"
        }
        None => {
            "SELECT * FROM jobs WHERE tenant_id = ?1 AND id < ?2 AND (?3 IS NULL OR kind = ?3)
               AND ?4 IS NULL ORDER BY id DESC LIMIT ?5"
        }
    };
    let found = sqlx::query(sql)
        .bind(&tenant.0)
        .bind(page.after.as_ref().map_or(AFTER_EVERY_ID, |c| c.0.as_str()))
        .bind(filter.kind.map(|k| k.as_str()))
        .bind(filter.state.map(|s| s.as_str()))
        .bind(page.limit)
        .fetch_all(readers)
        .await?;
    found.iter().map(rows::job).collect()
}

pub(super) async fn cancel(
    tx: &mut Tx,
    tenant: &TenantId,
    id: JobId,
    now: Timestamp,
) -> Result<Cancellation, StoreError> {
    let row = sqlx::query(ONE).bind(id.to_string()).bind(&tenant.0).fetch_optional(&mut tx.connection).await?;
    let before = match row {
        None => return Ok(Cancellation::NotFound),
        Some(row) => rows::job(&row)?,
    };
    match before.state {
        JobState::Cancelled => return Ok(Cancellation::AlreadyCancelled(before)),
        JobState::Succeeded | JobState::Failed => return Ok(Cancellation::AlreadyTerminal(before)),
        // Asked before: nothing changes, not even the version.
        _ if before.cancel_requested_at.is_some() => return Ok(Cancellation::Accepted(before)),
        JobState::Queued | JobState::Paused | JobState::Running => {}
    }
    let error = cancelled(before.attempt);
    let sql = "UPDATE jobs SET cancel_requested_at = ?1,
        state = CASE WHEN state IN ('queued', 'paused') THEN 'cancelled' ELSE state END,
        finished_at = CASE WHEN state IN ('queued', 'paused') THEN ?1 ELSE finished_at END,
        error = CASE WHEN state IN ('queued', 'paused') THEN ?2 ELSE error END, version = version + 1
      WHERE id = ?3 AND tenant_id = ?4 AND state IN ('queued', 'paused', 'running') RETURNING *";
    let row = sqlx::query(sql)
        .bind(now.millis())
        .bind(rows::to_json(&error)?)
        .bind(id.to_string())
        .bind(&tenant.0)
        .fetch_one(&mut tx.connection)
        .await?;
    let job = rows::job(&row)?;
    if job.state == JobState::Cancelled {
        let event = StateEvent { error: Some(&error), ..StateEvent::of(job.state) };
        append_state(tx, id, event, now).await?;
    }
    // The worker that runs it must hear of it, too.
    tx.touch(id);
    Ok(Cancellation::Accepted(job))
}

/// What a cancelled job says in its error, whoever ended it.
pub(super) fn cancelled(attempt: i64) -> JobError {
    JobError {
        code: "job.cancelled".into(),
        message: "cancelled as asked".into(),
        retryable: false,
        pointer: None,
        attempt,
    }
}

pub(super) async fn past_run_ms(
    readers: &SqlitePool,
    tenant: &TenantId,
    (kind, method): (JobKind, &str),
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let sql = "SELECT finished_at - started_at AS ms FROM
      (SELECT * FROM jobs WHERE tenant_id = ?1 AND state = 'succeeded' ORDER BY id DESC LIMIT 1000)
      WHERE kind = ?2 AND (?3 = '' OR json_extract(spec, '$.method.id') = ?3) ORDER BY id DESC LIMIT ?4";
    let query = sqlx::query(sql).bind(&tenant.0).bind(kind.as_str()).bind(method).bind(limit);
    query.fetch_all(readers).await?.iter().map(|row| Ok(row.try_get("ms")?)).collect()
}

pub(super) async fn counts(readers: &SqlitePool) -> Result<Vec<(JobState, JobKind, i64)>, StoreError> {
    let sql = "SELECT state, kind, sum(n) AS n FROM job_counts GROUP BY state, kind HAVING sum(n) > 0";
    let found = sqlx::query(sql).fetch_all(readers).await?;
    found.iter().map(|row| Ok((rows::state(row)?, rows::kind(row)?, row.try_get("n")?))).collect()
}

pub(super) async fn oldest_queued(readers: &SqlitePool) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(run_at) AS oldest FROM jobs WHERE state = 'queued'";
    let oldest: Option<i64> = sqlx::query(sql).fetch_one(readers).await?.try_get("oldest")?;
    Ok(oldest.map(Timestamp::from_millis))
}

pub(super) async fn depth(readers: &SqlitePool) -> Result<QueueDepth, StoreError> {
    let sql = "SELECT coalesce(sum(n) FILTER (WHERE state = 'queued'), 0) AS queued,
        coalesce(sum(n) FILTER (WHERE state = 'running'), 0) AS running FROM job_counts";
    let row = sqlx::query(sql).fetch_one(readers).await?;
    Ok(QueueDepth { queued: row.try_get("queued")?, running: row.try_get("running")? })
}

pub(super) async fn position(
    readers: &SqlitePool,
    tenant: &TenantId,
    id: JobId,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    // The head of the queue as the claim walks it, by its index; jobs that wait for a later time are
    // passed over as the claim does.
    let sql = "WITH head AS (SELECT id, priority, run_at FROM jobs WHERE tenant_id = ?1 AND state = 'queued'
          ORDER BY priority DESC, run_at, id LIMIT ?4)
      SELECT position FROM (
        SELECT id, row_number() OVER (ORDER BY priority DESC, run_at, id) AS position FROM head WHERE run_at <= ?3)
      WHERE id = ?2";
    let query = sqlx::query(sql).bind(&tenant.0).bind(id.to_string()).bind(now.millis()).bind(COUNTED_QUEUE);
    Ok(query.fetch_optional(readers).await?.map(|row| row.try_get("position")).transpose()?)
}
