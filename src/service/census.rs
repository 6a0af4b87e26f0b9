//! What the metrics tell of the queue, read when they are asked for.

use std::time::Duration;

use super::Service;
use super::error::ServiceError;
use crate::records::{JobKind, JobState};

/// The jobs of all tenants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Census {
    /// How many there are of each kind in each state; nothing where there are none.
    pub jobs: Vec<(JobState, JobKind, i64)>,
    /// How long the job that has waited longest could have run.
    pub queue_age: Duration,
}

impl Service {
    /// # Errors
    /// If the store does not answer.
    pub async fn census(&self) -> Result<Census, ServiceError> {
        let now = self.clock.now();
        let oldest = self.store.oldest_queued().await?;
        Ok(Census {
            jobs: self.store.job_counts().await?,
            queue_age: oldest.map_or(Duration::ZERO, |since| now.since(since)),
        })
    }
}
