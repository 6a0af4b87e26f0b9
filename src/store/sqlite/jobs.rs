//! Jobs as clients see them: create, read, list.

use sqlx::Row as _;
use sqlx::sqlite::SqlitePool;

use super::super::{COUNTED_QUEUE, CreateLimits, Creation, QueueDepth, StoreError};
use super::events::{StateEvent, append_state};
use super::writer::Tx;
use super::{requests, rows};
use crate::records::{
    JobFilter, JobId, JobKind, JobRecord, JobState, KeyedRequest, Made, NewJob, PageRequest, TenantId, Timestamp,
};

/// Sorts after every id, which begins with a letter.
const AFTER_EVERY_ID: &str = "~";

pub(super) const ONE: &str = "SELECT * FROM jobs WHERE id = ?1 AND tenant_id = ?2";

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
    if let Some(refusal) = queue_is_full(tx, &new, limits).await? {
        return Ok(refusal);
    }
    let record = insert(tx, &new, None).await?;
    if let Some(request) = &request {
        requests::remember(tx, request, Made::Job(new.id)).await?;
    }
    append_state(tx, new.id, StateEvent::of(JobState::Queued), new.created_at).await?;
    for child in &new.children {
        insert(tx, child, Some(new.id)).await?;
        append_state(tx, child.id, StateEvent::of(JobState::Queued), child.created_at).await?;
    }
    Ok(Creation::Created(record))
}

/// Whether the job and its children are more than may wait.
async fn queue_is_full(tx: &mut Tx, new: &NewJob, limits: CreateLimits) -> Result<Option<Creation>, StoreError> {
    let sql = "SELECT coalesce(sum(c.n), 0) AS of_all, coalesce(sum(c.n) FILTER (WHERE c.tenant_id = ?1), 0) AS own,
        (SELECT max_queued FROM tenants WHERE id = ?1) AS bound
      FROM job_counts c WHERE c.state IN ('queued', 'paused')";
    let row = sqlx::query(sql).bind(&new.tenant.0).fetch_one(&mut tx.connection).await?;
    let more = i64::try_from(1 + new.children.len()).unwrap_or(i64::MAX);
    if row.try_get::<i64, _>("of_all")?.saturating_add(more) > limits.max_queued {
        return Ok(Some(Creation::QueueFull));
    }
    let bound = row.try_get::<Option<i64>, _>("bound")?.or(limits.max_queued_of_tenant);
    let own = row.try_get::<i64, _>("own")?.saturating_add(more);
    Ok(bound.is_some_and(|bound| own > bound).then_some(Creation::TenantQueueFull))
}

async fn unfinished_duplicate(tx: &mut Tx, new: &NewJob) -> Result<Option<JobId>, StoreError> {
    let Some(unique_key) = &new.unique_key else { return Ok(None) };
    let sql = "SELECT id FROM jobs WHERE tenant_id = ?1 AND kind = ?2 AND unique_key = ?3
      AND state IN ('queued', 'running', 'paused')";
    let query = sqlx::query(sql).bind(&new.tenant.0).bind(new.kind.as_str()).bind(unique_key);
    query.fetch_optional(&mut tx.connection).await?.map(|row| rows::parsed(&row, "id")).transpose()
}

async fn insert(tx: &mut Tx, new: &NewJob, parent: Option<JobId>) -> Result<JobRecord, StoreError> {
    let sql = "INSERT INTO jobs (id, tenant_id, kind, state, priority, run_at, max_attempts, created_at,
        deadline_at, unique_key, traceparent, spec, retry_of, parent_id, n_children, open_children)
      VALUES (?1, ?2, ?3, 'queued', ?4, ?5, ?6, ?5, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13) RETURNING *";
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
        .bind(new.retry_of.map(|id| id.to_string()))
        .bind(parent.map(|id| id.to_string()))
        .bind(i64::try_from(new.children.len()).unwrap_or(i64::MAX))
        .fetch_one(&mut tx.connection)
        .await?;
    rows::job(&row)
}

pub(super) async fn one(readers: &SqlitePool, tenant: &TenantId, id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let row = sqlx::query(ONE).bind(id.to_string()).bind(&tenant.0).fetch_optional(readers).await?;
    row.map(|row| rows::job(&row)).transpose()
}

/// A page of a list: what every filter has, and the condition that chooses the index.
macro_rules! listed {
    ($chosen:literal) => {
        concat!(
            "SELECT * FROM jobs WHERE ",
            $chosen,
            " AND tenant_id = ?1 AND id < ?2 AND (?3 IS NULL OR kind = ?3) AND (?5 IS NULL OR created_at < ?5)
              AND NOT EXISTS (SELECT 1 FROM json_each(?6) AS w WHERE
                (SELECT l.value FROM json_each(jobs.spec, '$.labels') AS l WHERE l.key = w.key) IS NOT w.value)
            ORDER BY id DESC LIMIT ?8"
        )
    };
}

pub(super) async fn list(
    readers: &SqlitePool,
    tenant: &TenantId,
    filter: &JobFilter,
    page: &PageRequest,
) -> Result<Vec<JobRecord>, StoreError> {
    // A statement for each index to walk from the cursor; what else is asked for is filtered on the way.
    let sql = match (filter.parent, filter.state) {
        (Some(_), _) => listed!("parent_id = ?7 AND (?4 IS NULL OR state = ?4)"),
        (None, Some(_)) => listed!("state = ?4 AND ?7 IS NULL"),
        (None, None) => listed!("?4 IS NULL AND ?7 IS NULL"),
    };
    let found = sqlx::query(sql)
        .bind(&tenant.0)
        .bind(page.after.as_ref().map_or(AFTER_EVERY_ID, |c| c.0.as_str()))
        .bind(filter.kind.map(|k| k.as_str()))
        .bind(filter.state.map(|s| s.as_str()))
        .bind(filter.created_before.map(Timestamp::millis))
        .bind(rows::to_json(&filter.labels)?)
        .bind(filter.parent.map(|id| id.to_string()))
        .bind(page.limit)
        .fetch_all(readers)
        .await?;
    found.iter().map(rows::job).collect()
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
    let sql = "SELECT min(run_at) AS oldest FROM jobs WHERE state = 'queued' AND open_children = 0";
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
    let sql = "WITH head AS (SELECT id, priority, run_at FROM jobs
          WHERE tenant_id = ?1 AND state = 'queued' AND open_children = 0
          ORDER BY priority DESC, run_at, id LIMIT ?4)
      SELECT position FROM (
        SELECT id, row_number() OVER (ORDER BY priority DESC, run_at, id) AS position FROM head WHERE run_at <= ?3)
      WHERE id = ?2";
    let query = sqlx::query(sql).bind(&tenant.0).bind(id.to_string()).bind(now.millis()).bind(COUNTED_QUEUE);
    Ok(query.fetch_optional(readers).await?.map(|row| row.try_get("position")).transpose()?)
}
