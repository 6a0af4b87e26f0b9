//! Jobs that wait for a time that is too far off, because the clock was set back while no process ran.

use std::time::Duration;

use super::super::StoreError;
use super::writer::Tx;
use crate::records::Timestamp;

/// Lets no queued job wait longer than `longest`. One that never failed waits for nothing: it was stamped when it was made.
pub(super) async fn unpark(tx: &mut Tx, now: Timestamp, longest: Duration) -> Result<u64, StoreError> {
    let sql = "UPDATE jobs SET run_at = CASE WHEN error IS NULL THEN ?1 ELSE ?2 END, version = version + 1
      WHERE state = 'queued' AND run_at > CASE WHEN error IS NULL THEN ?1 ELSE ?2 END";
    let query = sqlx::query(sql).bind(now.millis()).bind(now.plus(longest).millis());
    Ok(query.execute(&mut tx.connection).await?.rows_affected())
}
