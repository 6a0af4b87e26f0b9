//! What is done to many jobs at once: rescue at start, expiry of deadlines.

use serde_json::json;

use super::super::{EXPIRED_AT_ONCE, StoreError};
use super::events::{StateEvent, append_state};
use super::intents::cancelled;
use super::rows;
use super::writer::Tx;
use crate::records::{JobError, JobId, JobRecord, JobState, Timestamp};

/// An attempt that lived this long is taken to have brought its process down. A shorter one may have
/// been running by chance when a neighbour did, and counts only if the same job is lost twice in a row.
const BLAMED_AFTER_MS: i64 = 5_000;

/// Takes every running row from the process that is gone. A crash is not an attempt.
pub(super) async fn rescue_all(
    tx: &mut Tx,
    now: Timestamp,
    crash_limit: i64,
) -> Result<Vec<(JobId, JobState)>, StoreError> {
    let orphans = sqlx::query("SELECT * FROM jobs WHERE state = 'running' ORDER BY id").fetch_all(&mut tx.connection);
    let orphans = orphans.await?.iter().map(rows::job).collect::<Result<Vec<_>, _>>()?;
    let mut rescued = Vec::with_capacity(orphans.len());
    for job in orphans {
        rescued.push((job.id, rescue(tx, &job, now, crash_limit).await?));
    }
    Ok(rescued)
}

async fn rescue(tx: &mut Tx, job: &JobRecord, now: Timestamp, crash_limit: i64) -> Result<JobState, StoreError> {
    // `counted` is 1 where the rule above blames this job. All that is read is the row as it was.
    let sql = "UPDATE jobs SET attempt = attempt - 1, lease_token = lease_token + 1, lost_before = 1,
        crash_count = crash_count + (lost_before = 1 OR heartbeat_at - claimed_at >= ?1),
        state = CASE WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
          WHEN crash_count + (lost_before = 1 OR heartbeat_at - claimed_at >= ?1) >= ?2 THEN 'failed'
          WHEN pause_requested_at IS NOT NULL THEN 'paused' ELSE 'queued' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL
          OR crash_count + (lost_before = 1 OR heartbeat_at - claimed_at >= ?1) >= ?2 THEN ?3 END,
        error = CASE WHEN cancel_requested_at IS NOT NULL THEN ?4 ELSE ?5 END,
        lease_owner = NULL, lease_expires_at = NULL, claimed_at = NULL, heartbeat_at = NULL,
        run_at = ?3, version = version + 1
      WHERE id = ?6 AND lease_token = ?7 AND state = 'running' RETURNING state";
    let lost = JobError {
        code: "job.worker_lost".into(),
        message: "the process ended while the job ran".into(),
        retryable: true,
        pointer: None,
        attempt: job.attempt,
    };
    let asked = cancelled(job.attempt);
    let row = sqlx::query(sql)
        .bind(BLAMED_AFTER_MS)
        .bind(crash_limit)
        .bind(now.millis())
        .bind(rows::to_json(&asked)?)
        .bind(rows::to_json(&lost)?)
        .bind(job.id.to_string())
        .bind(job.lease_token)
        .fetch_one(&mut tx.connection)
        .await?;
    let state = rows::state(&row)?;
    let error = if state == JobState::Cancelled { &asked } else { &lost };
    append_state(tx, job.id, StateEvent { error: Some(error), ..StateEvent::of(state) }, now).await?;
    Ok(state)
}

/// Fails what waited past its deadline, the longest late first; so many at a time that other writes do not wait long.
pub(super) async fn expire(tx: &mut Tx, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
    let error = |attempt: i64| JobError {
        code: "job.deadline_exceeded".into(),
        message: "the deadline passed before the job was run to its end".into(),
        retryable: false,
        pointer: None,
        attempt,
    };
    let sql = "UPDATE jobs SET state = 'failed', finished_at = ?1, error = json_set(?2, '$.attempt', attempt),
        version = version + 1
      WHERE id IN (SELECT id FROM jobs WHERE state IN ('queued', 'paused') AND deadline_at < ?1
        ORDER BY deadline_at LIMIT ?3) RETURNING *";
    let expired = sqlx::query(sql)
        .bind(now.millis())
        .bind(json!(error(0)).to_string())
        .bind(EXPIRED_AT_ONCE)
        .fetch_all(&mut tx.connection)
        .await?
        .iter()
        .map(rows::job)
        .collect::<Result<Vec<_>, _>>()?;
    for job in &expired {
        let event = StateEvent { error: job.error.as_ref(), ..StateEvent::of(JobState::Failed) };
        append_state(tx, job.id, event, now).await?;
    }
    Ok(expired.into_iter().map(|job| job.id).collect())
}
