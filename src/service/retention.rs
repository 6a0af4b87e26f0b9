//! How long things are kept. What is too old, or too much, is removed in small steps with pauses between, so that nobody
//! who writes waits for it. The blobs of files that were removed are collected with all others that no record names.

use std::time::Duration;

use super::Service;
use super::error::ServiceError;
use crate::records::Timestamp;
use crate::store::{Purge, Purged};

/// Between two steps, each of which keeps the database for some milliseconds: writers get nine parts of ten.
const PAUSE: Duration = Duration::from_millis(50);

/// How long jobs and what they told are kept. Each is an option of the command line, where its reason stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// After the end of a job: all its events but the last.
    pub events: Duration,
    /// After the end of a job: all of it, but for the models that it made.
    pub jobs: Duration,
    /// Jobs that have ended, at most.
    pub max_jobs: i64,
    /// Keys of requests.
    pub requests: Duration,
}

/// Beyond the most, so many in a hundred are removed at once: not one at every creation.
const HEADROOM_PERCENT: i64 = 10;

impl Service {
    /// Removes what is kept no longer, and returns how many rows that were. Ends early where the service stops.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn retain(&self) -> Result<u64, ServiceError> {
        let (now, keep) = (self.clock.now(), self.limits.keep);
        let mut rows = 0;
        for what in [
            Purge::Requests { made_before: now.minus(keep.requests) },
            Purge::Events { ended_before: now.minus(keep.events) },
            Purge::Jobs { ended_before: now.minus(keep.jobs), at_most: u32::MAX },
        ] {
            while !self.is_stopping() && self.store.is_due(what).await? {
                rows += self.step(what).await?.rows;
            }
        }
        Ok(rows + self.shed().await?)
    }

    /// Removes the oldest jobs where there are too many.
    async fn shed(&self) -> Result<u64, ServiceError> {
        let max = self.limits.keep.max_jobs;
        let counts = self.store.job_counts().await?;
        let ended: i64 = counts.iter().filter(|(state, ..)| state.is_terminal()).map(|(.., n)| n).sum();
        if ended <= max {
            return Ok(0);
        }
        let mut surplus = ended - (max - max / 100 * HEADROOM_PERCENT);
        let mut rows = 0;
        while surplus > 0 && !self.is_stopping() {
            let at_most = u32::try_from(surplus).unwrap_or(u32::MAX);
            let purged = self.step(Purge::Jobs { ended_before: Timestamp::MAX, at_most }).await?;
            if purged.rows == 0 {
                break;
            }
            rows += purged.rows;
            surplus -= i64::try_from(purged.jobs).unwrap_or(surplus);
        }
        Ok(rows)
    }

    async fn step(&self, what: Purge) -> Result<Purged, ServiceError> {
        let purged = self.store.purge(what).await?;
        tokio::time::sleep(PAUSE).await;
        Ok(purged)
    }
}
