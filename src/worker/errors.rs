//! The codes that a failed job carries, which of them are worth another attempt, and how long to wait
//! before it.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::records::{JobError, JobId, JobRecord};
use crate::store::StoreError;

pub const CANCELLED: &str = "job.cancelled";
pub const CHILDREN_FAILED: &str = "job.children_failed";
pub const DATA_DEGENERATE: &str = "job.data_degenerate";
pub const DEADLINE_EXCEEDED: &str = "job.deadline_exceeded";
pub const DISK_FULL: &str = "job.disk_full";
pub const IO_ERROR: &str = "job.io_error";
pub const LABEL_MISSING: &str = "job.label_missing";
pub const NO_SHARED_COLUMNS: &str = "job.no_shared_columns";
pub const NOT_CONVERGED: &str = "job.not_converged";
pub const NUMERICAL_ERROR: &str = "job.numerical_error";
pub const OUT_OF_MEMORY_BUDGET: &str = "job.out_of_memory_budget";
pub const PANIC: &str = "job.panic";
pub const STORAGE_UNAVAILABLE: &str = "job.storage_unavailable";
pub const WORKER_LOST: &str = "job.worker_lost";

/// Every code with whether another attempt may help. What the data or the spec cause does not go away.
pub const CODES: [(&str, bool); 14] = [
    (CANCELLED, false),
    (CHILDREN_FAILED, false),
    (DATA_DEGENERATE, false),
    (DEADLINE_EXCEEDED, false),
    (DISK_FULL, true),
    (IO_ERROR, true),
    (LABEL_MISSING, false),
    (NO_SHARED_COLUMNS, false),
    (NOT_CONVERGED, false),
    (NUMERICAL_ERROR, false),
    (OUT_OF_MEMORY_BUDGET, false),
    (PANIC, true),
    (STORAGE_UNAVAILABLE, true),
    (WORKER_LOST, true),
];

const BACKOFF_UNIT: Duration = Duration::from_secs(5);
/// No job waits longer for its next attempt.
pub const BACKOFF_LIMIT: Duration = Duration::from_secs(600);

/// Whether an error of that code is worth another attempt; one that is not in the table is not.
pub fn retryable(code: &str) -> bool {
    CODES.iter().any(|&(known, retryable)| known == code && retryable)
}

/// An error of a job. The attempt is filled in by the worker.
pub fn job_error(code: &str, message: impl Into<String>) -> JobError {
    JobError { code: code.into(), message: message.into(), retryable: retryable(code), pointer: None, attempt: 0 }
}

/// An error that a place in the spec causes, such as `/target`.
pub fn job_error_at(code: &str, pointer: impl Into<String>, message: impl Into<String>) -> JobError {
    JobError { pointer: Some(pointer.into()), ..job_error(code, message) }
}

impl From<StoreError> for JobError {
    /// For a runner that reads records.
    fn from(error: StoreError) -> Self {
        let code = if error == StoreError::Full { DISK_FULL } else { STORAGE_UNAVAILABLE };
        job_error(code, error.to_string())
    }
}

/// The error as it is stored: with its attempt, and a panic is worth one more attempt only once.
pub(super) fn of_attempt(error: JobError, job: &JobRecord) -> JobError {
    let panicked_before = job.error.as_ref().is_some_and(|e| e.code == PANIC);
    let retryable = error.retryable && !(error.code == PANIC && panicked_before);
    JobError { retryable, attempt: job.attempt, ..error }
}

/// How long a job waits for its next attempt: random(0, min(600 s, 5 s · 2^attempt)), so that jobs which
/// failed together do not come back together. The same attempt of the same job draws the same delay.
pub fn backoff(job: JobId, attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt.clamp(0, 20)).unwrap_or(0);
    let limit = BACKOFF_UNIT.saturating_mul(1 << doublings).min(BACKOFF_LIMIT);
    // FNV-1a, as in the library: stable across versions of the program.
    let seed = job
        .to_string()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(u64::from(doublings));
    limit.mul_f64(rng.random())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Timestamp;

    #[test]
    fn delays_are_within_their_bounds_and_differ() {
        let jobs: Vec<JobId> = (0..200).map(|ms| JobId::at(Timestamp::from_millis(ms))).collect();
        for (attempt, limit) in [(1, 10), (2, 20), (3, 40), (7, 600), (99, 600)] {
            let delays: Vec<Duration> = jobs.iter().map(|&j| backoff(j, attempt)).collect();
            let limit = Duration::from_secs(limit);
            assert!(delays.iter().all(|&d| d < limit), "attempt {attempt}");
            assert!(delays.iter().any(|&d| d < limit / 4) && delays.iter().any(|&d| d > limit / 4 * 3));
            assert_eq!(delays[0], backoff(jobs[0], attempt));
        }
    }

    #[test]
    fn only_what_may_go_away_is_tried_again() {
        assert!(retryable(IO_ERROR) && retryable(WORKER_LOST) && retryable(PANIC));
        assert!(!retryable(DATA_DEGENERATE) && !retryable("job.of_another_release"));
    }
}
