//! Jobs as workers see them. Every statement after the claim names the lease's token: a holder that was
//! overtaken changes no row, and learns it from that.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::super::{ClaimTerms, Completion, Lease, StoreError};
use super::events::{StateEvent, append_fenced, append_state};
use super::intents::cancelled;
use super::writer::Tx;
use super::{models, rows};
use crate::records::{Intent, JobError, JobRecord, JobState, Progress, Timestamp};

/// Takes the next job: by priority, then the tenant with the fewest running jobs, then first in, first
/// out. Looks at one job a tenant, however long the queue is.
pub(super) async fn claim(tx: &mut Tx, terms: &ClaimTerms, now: Timestamp) -> Result<Option<JobRecord>, StoreError> {
    let sql = "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_token = lease_token + 1,
        lease_owner = ?1, lease_expires_at = ?3, claimed_at = ?2, heartbeat_at = ?2,
        started_at = coalesce(started_at, ?2), progress = NULL, version = version + 1
      WHERE id = (SELECT h.id FROM (
          SELECT coalesce(t.max_running, ?4) AS cap,
            (SELECT j.id FROM jobs j
              WHERE j.state = 'queued' AND j.open_children = 0 AND j.tenant_id = t.id AND j.run_at <= ?2
              ORDER BY j.priority DESC, j.run_at, j.id LIMIT 1) AS id,
            (SELECT count(*) FROM jobs r WHERE r.state = 'running' AND r.tenant_id = t.id) AS running
          FROM tenants t) h JOIN jobs k ON k.id = h.id
        WHERE h.cap IS NULL OR h.running < h.cap ORDER BY k.priority DESC, h.running, k.run_at, k.id LIMIT 1)
      RETURNING *";
    let row = sqlx::query(sql)
        .bind(&terms.owner)
        .bind(now.millis())
        .bind(now.plus(terms.lease).millis())
        .bind(terms.max_running_of_tenant)
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(job) = row.map(|row| rows::job(&row)).transpose()? else { return Ok(None) };
    let event = StateEvent { attempt: Some(job.attempt), ..StateEvent::of(job.state) };
    append_state(tx, job.id, event, now).await?;
    Ok(Some(job))
}

pub(super) async fn heartbeat(
    tx: &mut Tx,
    lease: Lease,
    progress: Option<Progress>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Intent>, StoreError> {
    let sql = "UPDATE jobs SET lease_expires_at = ?1, heartbeat_at = ?2, progress = coalesce(?3, progress)
      WHERE id = ?4 AND lease_token = ?5 AND state = 'running' RETURNING cancel_requested_at, pause_requested_at";
    let row = sqlx::query(sql)
        .bind(until.millis())
        .bind(now.millis())
        .bind(progress.as_ref().map(rows::to_json).transpose()?)
        .bind(lease.job.to_string())
        .bind(lease.token)
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    if progress.is_some() {
        tx.touch(lease.job);
    }
    Ok(Some(Intent {
        cancel: row.try_get::<Option<i64>, _>("cancel_requested_at")?.is_some(),
        pause: row.try_get::<Option<i64>, _>("pause_requested_at")?.is_some(),
    }))
}

pub(super) async fn checkpoint(
    tx: &mut Tx,
    lease: Lease,
    (blob, data): (&str, Value),
    now: Timestamp,
) -> Result<bool, StoreError> {
    // What got so far is not to blame for the crashes before.
    let sql = "UPDATE jobs SET checkpoint_ref = ?1, crash_count = 0, lost_before = 0, version = version + 1
      WHERE id = ?2 AND lease_token = ?3 AND state = 'running'";
    let query = sqlx::query(sql).bind(blob).bind(lease.job.to_string()).bind(lease.token);
    if query.execute(&mut tx.connection).await?.rows_affected() != 1 {
        return Ok(false);
    }
    append_fenced(tx, lease, "checkpoint", data, now).await
}

pub(super) async fn complete(
    tx: &mut Tx,
    lease: Lease,
    completion: Completion,
    now: Timestamp,
) -> Result<Option<JobState>, StoreError> {
    let Some(job) = held(tx, lease).await? else { return Ok(None) };
    // The version is read before the state is written, because the result of the job names it; both are
    // in one transaction, and there is one writer.
    let model = match &completion.model {
        Some(new) => Some((new, models::next_version(tx, &job.tenant, &new.name).await?)),
        None => None,
    };
    let name = model.as_ref().map(|(new, next)| format!("{}@{}", new.name, next.version));
    let sql = "UPDATE jobs SET state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled' ELSE 'succeeded' END,
        result = CASE WHEN cancel_requested_at IS NULL THEN ?1 END,
        error = CASE WHEN cancel_requested_at IS NOT NULL THEN ?2 END,
        progress = CASE WHEN cancel_requested_at IS NULL THEN json_set(progress, '$.fraction', 1.0) ELSE progress END,
        finished_at = ?3, lease_owner = NULL, lease_expires_at = NULL, claimed_at = NULL, heartbeat_at = NULL,
        lost_before = 0, version = version + 1
      WHERE id = ?4 AND lease_token = ?5 AND state = 'running' RETURNING state";
    let error = cancelled(job.attempt);
    let row = sqlx::query(sql)
        .bind(rows::to_json(&with_model(completion.result, name.as_deref()))?)
        .bind(rows::to_json(&error)?)
        .bind(now.millis())
        .bind(lease.job.to_string())
        .bind(lease.token)
        .fetch_one(&mut tx.connection)
        .await?;
    let state = rows::state(&row)?;
    if state == JobState::Succeeded {
        if let Some((new, next)) = model {
            models::insert_version(tx, &job, new, next, now).await?;
        }
        if let Some(file) = &completion.file {
            models::insert_file(tx, &job, file).await?;
        }
        models::insert_metrics(tx, &job, &completion.metrics).await?;
        let event = StateEvent { model: name.as_deref(), attempt: Some(job.attempt), ..StateEvent::of(state) };
        append_state(tx, lease.job, event, now).await?;
    } else {
        append_state(tx, lease.job, StateEvent { error: Some(&error), ..StateEvent::of(state) }, now).await?;
    }
    Ok(Some(state))
}

/// The running job that the lease still holds.
async fn held(tx: &mut Tx, lease: Lease) -> Result<Option<JobRecord>, StoreError> {
    let sql = "SELECT * FROM jobs WHERE id = ?1 AND lease_token = ?2 AND state = 'running'";
    let query = sqlx::query(sql).bind(lease.job.to_string()).bind(lease.token);
    query.fetch_optional(&mut tx.connection).await?.map(|row| rows::job(&row)).transpose()
}

fn with_model(result: Value, name: Option<&str>) -> Value {
    match (result, name) {
        (Value::Object(mut fields), Some(name)) => {
            fields.insert("model".into(), name.into());
            Value::Object(fields)
        }
        (Value::Null, Some(name)) => json!({"model": name}),
        (result, _) => result,
    }
}

pub(super) async fn fail(
    tx: &mut Tx,
    lease: Lease,
    error: JobError,
    backoff: Duration,
    now: Timestamp,
) -> Result<Option<JobState>, StoreError> {
    let sql = "UPDATE jobs SET state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
          WHEN ?1 AND attempt < max_attempts AND pause_requested_at IS NOT NULL THEN 'paused'
          WHEN ?1 AND attempt < max_attempts THEN 'queued' ELSE 'failed' END,
        run_at = CASE WHEN ?1 AND attempt < max_attempts THEN ?2 ELSE run_at END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL OR NOT (?1 AND attempt < max_attempts) THEN ?3 END,
        error = CASE WHEN cancel_requested_at IS NOT NULL THEN ?4 ELSE ?5 END,
        lease_owner = NULL, lease_expires_at = NULL, claimed_at = NULL, heartbeat_at = NULL,
        lost_before = 0, version = version + 1
      WHERE id = ?6 AND lease_token = ?7 AND state = 'running' RETURNING state";
    let asked = cancelled(error.attempt);
    let row = sqlx::query(sql)
        .bind(error.retryable)
        .bind(now.plus(backoff).millis())
        .bind(now.millis())
        .bind(rows::to_json(&asked)?)
        .bind(rows::to_json(&error)?)
        .bind(lease.job.to_string())
        .bind(lease.token)
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(state) = state_of(row)? else { return Ok(None) };
    let error = if state == JobState::Cancelled { &asked } else { &error };
    append_state(tx, lease.job, StateEvent { error: Some(error), ..StateEvent::of(state) }, now).await?;
    Ok(Some(state))
}

pub(super) async fn release(tx: &mut Tx, lease: Lease, now: Timestamp) -> Result<Option<JobState>, StoreError> {
    let Some(job) = held(tx, lease).await? else { return Ok(None) };
    let sql = "UPDATE jobs SET attempt = attempt - 1, run_at = ?1, lease_owner = NULL, lease_expires_at = NULL,
        claimed_at = NULL, heartbeat_at = NULL, lost_before = 0,
        state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
          WHEN pause_requested_at IS NOT NULL THEN 'paused' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN ?1 END,
        error = CASE WHEN cancel_requested_at IS NOT NULL THEN ?2 ELSE error END, version = version + 1
      WHERE id = ?3 AND lease_token = ?4 AND state = 'running' RETURNING state";
    let error = cancelled(job.attempt);
    let row = sqlx::query(sql)
        .bind(now.millis())
        .bind(rows::to_json(&error)?)
        .bind(lease.job.to_string())
        .bind(lease.token)
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(state) = state_of(row)? else { return Ok(None) };
    let error = (state == JobState::Cancelled).then_some(&error);
    append_state(tx, lease.job, StateEvent { error, ..StateEvent::of(state) }, now).await?;
    Ok(Some(state))
}

fn state_of(row: Option<SqliteRow>) -> Result<Option<JobState>, StoreError> {
    row.map(|row| rows::state(&row)).transpose()
}
