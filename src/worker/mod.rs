//! Runs jobs: claims them, keeps their leases, gives them threads to compute on, and writes down how
//! they end. It does not know what a job computes: that is the [`Runner`]'s.
//!
//! An attempt has two sides. The runner's side loads and computes and may be slow to stop. The
//! supervisor's side ends the record at once when a cancel, a deadline, a lost lease or the shutdown
//! says so; from then on the fence keeps out whatever the runner still does, and the slot is free when
//! its computation returns.

mod admission;
mod apply;
mod attempt;
mod checkpoints;
pub mod errors;
mod execute;
mod gather;
mod memory;
mod supervise;
mod threads;
mod workers;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::records::{JobError, JobRecord};
use crate::store::Completion;

pub use attempt::AttemptHandle;
pub use execute::Executor;
pub use workers::Workers;

/// Executes one attempt.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// Loads what the job names, computes through [`AttemptHandle::compute`], stores blobs, and returns
    /// what is to be committed. It is dropped at an await where the attempt ends for another reason.
    ///
    /// # Errors
    /// Why the attempt failed; [`errors::job_error`] decides whether it is worth another.
    async fn run(&self, job: JobRecord, handle: AttemptHandle) -> Result<Completion, JobError>;

    /// Whether what a job makes could be stored: while it could not, jobs wait, and use up no attempt.
    fn has_room(&self) -> bool {
        true
    }

    /// Stores state that the attempt offered, and names the blob that holds it.
    ///
    /// # Errors
    /// Why it cannot be stored.
    async fn keep(&self, state: Bytes) -> Result<String, JobError>;
}

/// What may be chosen about the workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerOptions {
    /// Attempts that run at the same time, and threads that a lone one may compute on.
    pub job_threads: usize,
    /// A job whose attempts took the process down this often is failed.
    pub crash_limit: i64,
    /// How long a claim holds without a heartbeat. Kept for the day of several processes: a single one
    /// never rescues by time.
    pub lease: Duration,
    /// Between heartbeats, which also carry progress and events.
    pub heartbeat_every: Duration,
    /// Between looks for jobs that waited for their time, and for deadlines that passed.
    pub sweep_every: Duration,
    /// Between tries to commit the end of an attempt when the database does not answer; doubled at each.
    pub commit_retry: Duration,
    /// Between checkpoints of a job that offers them: as much work is lost in a crash.
    pub checkpoint_every: Duration,
    /// How long a job that offers checkpoints may take for the next before it is paused at the last.
    pub pause_grace: Duration,
    /// The same at shutdown, which has eight seconds in all.
    pub shutdown_grace: Duration,
    /// Bytes that all attempts may ask for together.
    pub memory_bytes: u64,
    /// Jobs of one tenant that may run at a time, where the tenant has no number of its own.
    pub max_running_of_tenant: Option<i64>,
    /// Who holds the lease, for operators.
    pub owner: String,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self {
            job_threads: std::thread::available_parallelism().map_or(1, usize::from),
            crash_limit: 3,
            lease: Duration::from_secs(15),
            heartbeat_every: Duration::from_secs(1),
            sweep_every: Duration::from_millis(500),
            commit_retry: Duration::from_millis(100),
            checkpoint_every: Duration::from_secs(30),
            pause_grace: Duration::from_secs(30),
            shutdown_grace: Duration::from_secs(2),
            memory_bytes: 8 << 30,
            max_running_of_tenant: None,
            owner: format!("adaptd-{}", std::process::id()),
        }
    }
}
