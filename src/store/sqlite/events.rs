//! Events of jobs. They are inserted inside the transaction of the change that they report, so their
//! numbers, within the job and within the tenant, have no gap and follow the order of commits.

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::{SqlitePool, SqliteRow};

use super::super::{FeedBounds, Lease, StoreError};
use super::rows;
use super::writer::Tx;
use crate::records::{JobError, JobEvent, JobId, JobState, TenantId, Timestamp};

/// Writes an event with the next numbers of its job and of its tenant; whose it is, is said after it. One statement, since
/// most transactions append an event.
macro_rules! append {
    () => {
        "INSERT INTO job_events (job_id, tenant_id, seq, feed_seq, at, type, data)
         SELECT j.id, j.tenant_id, (SELECT coalesce(max(seq), 0) + 1 FROM job_events WHERE job_id = ?1),
           (SELECT coalesce(max(last), 0) + 1 FROM event_feeds WHERE tenant_id = j.tenant_id), ?2, ?3, ?4
         FROM jobs j"
    };
}

/// A change of state, as it is told to clients.
pub(super) struct StateEvent<'a> {
    pub(super) state: JobState,
    pub(super) attempt: Option<i64>,
    pub(super) model: Option<&'a str>,
    pub(super) error: Option<&'a JobError>,
}

impl StateEvent<'_> {
    pub(super) const fn of(state: JobState) -> Self {
        Self { state, attempt: None, model: None, error: None }
    }

    fn data(&self) -> Value {
        let mut data = json!({"state": self.state.as_str(), "terminal": self.state.is_terminal()});
        if let Some(attempt) = self.attempt {
            data["attempt"] = attempt.into();
        }
        if let Some(model) = self.model {
            data["model"] = model.into();
        }
        if let Some(error) = self.error {
            data["error"] = json!(error);
        }
        data
    }
}

/// Tells a change of state that this transaction makes.
pub(super) async fn append_state(
    tx: &mut Tx,
    job: JobId,
    event: StateEvent<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    append(tx, job, "state", event.data(), now).await?;
    if event.state.is_terminal() {
        tell_parent(tx, job, event.state, now).await?;
    }
    Ok(())
}

async fn append(tx: &mut Tx, job: JobId, event: &'static str, data: Value, now: Timestamp) -> Result<(), StoreError> {
    let sql = concat!(append!(), " WHERE j.id = ?1 RETURNING tenant_id, seq, feed_seq");
    let row = sqlx::query(sql)
        .bind(job.to_string())
        .bind(now.millis())
        .bind(event)
        .bind(rows::to_json(&data)?)
        .fetch_optional(&mut tx.connection)
        .await?;
    let row = row.ok_or_else(|| StoreError::Corrupt(format!("no row of {job} for its event")))?;
    tell(tx, &row, job, New { at: now, event, data })
}

/// Tells a job that waits for its children that one of them has ended.
async fn tell_parent(tx: &mut Tx, child: JobId, state: JobState, now: Timestamp) -> Result<(), StoreError> {
    let sql = "SELECT p.id, p.n_children, p.open_children FROM jobs c JOIN jobs p ON p.id = c.parent_id
      WHERE c.id = ?1 AND p.state IN ('queued', 'paused')";
    let row = sqlx::query(sql).bind(child.to_string()).fetch_optional(&mut tx.connection).await?;
    let Some(row) = row else { return Ok(()) };
    let parent: JobId = rows::parsed(&row, "id")?;
    let data = json!({"child": child, "state": state.as_str(), "open": row.try_get::<i64, _>("open_children")?,
                      "total": row.try_get::<i64, _>("n_children")?});
    append(tx, parent, "child", data, now).await
}

/// An event of a running attempt; false where the lease is lost.
pub(super) async fn append_fenced(
    tx: &mut Tx,
    lease: Lease,
    event: &str,
    data: Value,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = concat!(
        append!(),
        " WHERE j.id = ?1 AND j.lease_token = ?5 AND j.state = 'running' RETURNING tenant_id, seq, feed_seq"
    );
    let row = sqlx::query(sql)
        .bind(lease.job.to_string())
        .bind(now.millis())
        .bind(event)
        .bind(rows::to_json(&data)?)
        .bind(lease.token)
        .fetch_optional(&mut tx.connection)
        .await?;
    let Some(row) = row else { return Ok(false) };
    tell(tx, &row, lease.job, New { at: now, event, data })?;
    Ok(true)
}

/// What an event says, before it has its numbers.
struct New<'a> {
    at: Timestamp,
    event: &'a str,
    data: Value,
}

fn tell(tx: &mut Tx, row: &SqliteRow, job: JobId, new: New<'_>) -> Result<(), StoreError> {
    let New { at, event, data } = new;
    let (seq, feed_seq) = (row.try_get("seq")?, row.try_get("feed_seq")?);
    tx.tell(TenantId(row.try_get("tenant_id")?), JobEvent { job, seq, feed_seq, at, event: event.into(), data });
    Ok(())
}

pub(super) async fn after(
    readers: &SqlitePool,
    tenant: &TenantId,
    job: JobId,
    after: i64,
    limit: u32,
) -> Result<Vec<JobEvent>, StoreError> {
    let sql = "SELECT job_id, seq, feed_seq, at, type, data FROM job_events
      WHERE job_id = ?1 AND tenant_id = ?2 AND seq > ?3 ORDER BY seq LIMIT ?4";
    let query = sqlx::query(sql).bind(job.to_string()).bind(&tenant.0).bind(after).bind(limit);
    query.fetch_all(readers).await?.iter().map(rows::event).collect()
}

pub(super) async fn feed(
    readers: &SqlitePool,
    tenant: &TenantId,
    after: i64,
    limit: u32,
) -> Result<Vec<JobEvent>, StoreError> {
    let sql = "SELECT job_id, seq, feed_seq, at, type, data FROM job_events
      WHERE tenant_id = ?1 AND feed_seq > ?2 ORDER BY feed_seq LIMIT ?3";
    let query = sqlx::query(sql).bind(&tenant.0).bind(after).bind(limit);
    query.fetch_all(readers).await?.iter().map(rows::event).collect()
}

pub(super) async fn feed_bounds(readers: &SqlitePool, tenant: &TenantId) -> Result<FeedBounds, StoreError> {
    let sql = "SELECT last, purged FROM event_feeds WHERE tenant_id = ?1";
    let Some(row) = sqlx::query(sql).bind(&tenant.0).fetch_optional(readers).await? else {
        return Ok(FeedBounds::default());
    };
    Ok(FeedBounds { last: row.try_get("last")?, purged: row.try_get("purged")? })
}
