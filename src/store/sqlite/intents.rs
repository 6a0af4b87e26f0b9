//! What clients ask of a job once it is there: cancel, pause, go on. What waits is changed at once; of what runs it is
//! noted, and its worker told. A job's children, which have none of their own, are asked the same.

use super::super::{Cancellation, Pausing, StoreError};
use super::events::{StateEvent, append_state};
use super::jobs::ONE;
use super::rows;
use super::writer::Tx;
use crate::records::{JobError, JobId, JobRecord, JobState, TenantId, Timestamp};

pub(super) async fn cancel(
    tx: &mut Tx,
    tenant: &TenantId,
    id: JobId,
    now: Timestamp,
) -> Result<Cancellation, StoreError> {
    let Some(before) = found(tx, tenant, id).await? else { return Ok(Cancellation::NotFound) };
    match before.state {
        JobState::Cancelled => Ok(Cancellation::AlreadyCancelled(before)),
        JobState::Succeeded | JobState::Failed => Ok(Cancellation::AlreadyTerminal(before)),
        JobState::Queued | JobState::Paused | JobState::Running => {
            for child in open_children(tx, &before).await? {
                cancel_open(tx, child, now).await?;
            }
            // Read again: its children were counted off.
            let before = if before.open_children > 0 { found(tx, tenant, id).await?.unwrap_or(before) } else { before };
            Ok(Cancellation::Accepted(cancel_open(tx, before, now).await?))
        }
    }
}

pub(super) async fn cancel_all(
    tx: &mut Tx,
    tenant: &TenantId,
    ids: &[JobId],
    now: Timestamp,
) -> Result<Vec<JobRecord>, StoreError> {
    let mut accepted = Vec::with_capacity(ids.len());
    for id in ids {
        if let Cancellation::Accepted(job) = cancel(tx, tenant, *id, now).await? {
            accepted.push(job);
        }
    }
    Ok(accepted)
}

/// Cancels a job that has not ended.
async fn cancel_open(tx: &mut Tx, before: JobRecord, now: Timestamp) -> Result<JobRecord, StoreError> {
    if before.cancel_requested_at.is_some() {
        // Asked before: nothing changes, not even the version.
        return Ok(before);
    }
    let error = cancelled(before.attempt);
    let sql = "UPDATE jobs SET cancel_requested_at = ?1,
        state = CASE WHEN state IN ('queued', 'paused') THEN 'cancelled' ELSE state END,
        finished_at = CASE WHEN state IN ('queued', 'paused') THEN ?1 ELSE finished_at END,
        error = CASE WHEN state IN ('queued', 'paused') THEN ?2 ELSE error END, version = version + 1
      WHERE id = ?3 AND state IN ('queued', 'paused', 'running') RETURNING *";
    let query = sqlx::query(sql).bind(now.millis()).bind(rows::to_json(&error)?).bind(before.id.to_string());
    let job = rows::job(&query.fetch_one(&mut tx.connection).await?)?;
    if job.state == JobState::Cancelled {
        append_state(tx, job.id, StateEvent { error: Some(&error), ..StateEvent::of(job.state) }, now).await?;
    }
    // The worker that runs it must hear of it, too.
    tx.touch(job.id);
    Ok(job)
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

pub(super) async fn pause(tx: &mut Tx, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Pausing, StoreError> {
    let Some(before) = found(tx, tenant, id).await? else { return Ok(Pausing::NotFound) };
    if let Some(refusal) = refused(&before) {
        return Ok(refusal);
    }
    for child in open_children(tx, &before).await? {
        if child.cancel_requested_at.is_none() {
            pause_open(tx, child, now).await?;
        }
    }
    match before.pause_requested_at {
        Some(_) => Ok(Pausing::Already(before)),
        None => Ok(Pausing::Accepted(pause_open(tx, before, now).await?)),
    }
}

async fn pause_open(tx: &mut Tx, before: JobRecord, now: Timestamp) -> Result<JobRecord, StoreError> {
    let sql = "UPDATE jobs SET pause_requested_at = coalesce(pause_requested_at, ?1),
        state = CASE WHEN state = 'queued' THEN 'paused' ELSE state END, version = version + 1
      WHERE id = ?2 AND state IN ('queued', 'running') RETURNING *";
    let query = sqlx::query(sql).bind(now.millis()).bind(before.id.to_string());
    let Some(row) = query.fetch_optional(&mut tx.connection).await? else { return Ok(before) };
    let job = rows::job(&row)?;
    if job.state == JobState::Paused {
        append_state(tx, job.id, StateEvent::of(job.state), now).await?;
    }
    tx.touch(job.id);
    Ok(job)
}

pub(super) async fn resume(tx: &mut Tx, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Pausing, StoreError> {
    let Some(before) = found(tx, tenant, id).await? else { return Ok(Pausing::NotFound) };
    if let Some(refusal) = refused(&before) {
        return Ok(refusal);
    }
    for child in open_children(tx, &before).await? {
        resume_open(tx, child, now).await?;
    }
    match before.pause_requested_at {
        None => Ok(Pausing::Already(before)),
        Some(_) => Ok(Pausing::Accepted(resume_open(tx, before, now).await?)),
    }
}

/// Puts a paused job back into the queue; of a running one, what was asked is taken back.
async fn resume_open(tx: &mut Tx, before: JobRecord, now: Timestamp) -> Result<JobRecord, StoreError> {
    let sql = "UPDATE jobs SET pause_requested_at = NULL, run_at = CASE WHEN state = 'paused' THEN ?1 ELSE run_at END,
        state = CASE WHEN state = 'paused' THEN 'queued' ELSE state END, version = version + 1
      WHERE id = ?2 AND pause_requested_at IS NOT NULL AND state IN ('paused', 'running') RETURNING *";
    let query = sqlx::query(sql).bind(now.millis()).bind(before.id.to_string());
    let Some(row) = query.fetch_optional(&mut tx.connection).await? else { return Ok(before) };
    let job = rows::job(&row)?;
    if job.state == JobState::Queued {
        append_state(tx, job.id, StateEvent::of(job.state), now).await?;
    }
    tx.touch(job.id);
    Ok(job)
}

/// Why a job can neither be paused nor go on.
fn refused(job: &JobRecord) -> Option<Pausing> {
    if job.state.is_terminal() {
        return Some(Pausing::AlreadyTerminal(job.clone()));
    }
    job.cancel_requested_at.map(|_| Pausing::BeingCancelled(job.clone()))
}

async fn found(tx: &mut Tx, tenant: &TenantId, id: JobId) -> Result<Option<JobRecord>, StoreError> {
    let query = sqlx::query(ONE).bind(id.to_string()).bind(&tenant.0);
    query.fetch_optional(&mut tx.connection).await?.map(|row| rows::job(&row)).transpose()
}

async fn open_children(tx: &mut Tx, parent: &JobRecord) -> Result<Vec<JobRecord>, StoreError> {
    if parent.open_children == 0 {
        return Ok(Vec::new());
    }
    let sql = "SELECT * FROM jobs WHERE parent_id = ?1 AND state IN ('queued', 'running', 'paused') ORDER BY id";
    let rows = sqlx::query(sql).bind(parent.id.to_string()).fetch_all(&mut tx.connection).await?;
    rows.iter().map(rows::job).collect()
}
