//! Jobs, their states, events and errors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{JobId, TenantId};
use super::spec::FileFormat;
use super::time::Timestamp;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobKind {
    Adapt,
    FineTune,
    /// Writes what a model says about a domain into a file.
    Predict,
    /// Scores a model on a labelled domain.
    Evaluate,
    /// Starts several jobs at once, and gathers what they did when all have ended.
    Batch,
}

/// Where a job stands. Intents (cancel, pause) are not states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    Queued,
    Running,
    Paused,
    Succeeded,
    Failed,
    Cancelled,
}

/// A job that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    pub id: JobId,
    pub tenant: TenantId,
    pub kind: JobKind,
    pub state: JobState,
    pub priority: i64,
    pub run_at: Timestamp,
    pub attempt: i64,
    pub max_attempts: i64,
    pub crash_count: i64,
    /// The fence: grows at each claim and rescue; a write with an older one has no effect.
    pub lease_token: i64,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    pub cancel_requested_at: Option<Timestamp>,
    pub pause_requested_at: Option<Timestamp>,
    pub deadline_at: Option<Timestamp>,
    pub traceparent: Option<String>,
    /// Grows with every change of the row; the ETag.
    pub version: i64,
    /// The resolved spec.
    pub spec: Value,
    pub progress: Option<Progress>,
    /// The blob with the state from which the next attempt goes on.
    pub checkpoint: Option<String>,
    pub result: Option<Value>,
    pub error: Option<JobError>,
    pub parent: Option<JobId>,
    /// The job that this one repeats.
    pub retry_of: Option<JobId>,
    pub n_children: i64,
    /// Children that have not ended; the job waits for them.
    pub open_children: i64,
}

/// A job to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub id: JobId,
    pub tenant: TenantId,
    pub kind: JobKind,
    pub priority: i64,
    pub max_attempts: i64,
    pub deadline_at: Option<Timestamp>,
    pub unique_key: Option<String>,
    pub traceparent: Option<String>,
    pub retry_of: Option<JobId>,
    pub spec: Value,
    pub created_at: Timestamp,
    /// Stored with it; they have none of their own.
    pub children: Vec<NewJob>,
}

/// The file that a job leaves, to be stored when it completes.
#[derive(Debug, Clone, PartialEq)]
pub struct JobFile {
    pub format: FileFormat,
    /// The blob with its bytes, which is also its SHA-256.
    pub blob: String,
    pub n_bytes: i64,
    pub n_rows: i64,
}

/// How far a running attempt is. Written at most once a second, lost at a crash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// 0..=1
    pub fraction: f64,
    pub phase: String,
    pub step: u64,
    pub total_steps: Option<u64>,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobError {
    /// Such as `job.data_degenerate`.
    pub code: String,
    pub message: String,
    pub retryable: bool,
    /// The place in the spec that has to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    pub attempt: i64,
}

/// A durable event of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEvent {
    pub job: JobId,
    /// 1, 2, … without a gap within the job, in order of commit.
    pub seq: i64,
    /// 1, 2, … without a gap within the tenant, in order of commit.
    pub feed_seq: i64,
    pub at: Timestamp,
    /// `state`, `phase`, `metrics`, …
    pub event: String,
    pub data: Value,
}

/// Which jobs a list shows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobFilter {
    pub state: Option<JobState>,
    pub kind: Option<JobKind>,
    pub parent: Option<JobId>,
    /// Words that the job's own labels have, too.
    pub labels: BTreeMap<String, String>,
    /// Created before this.
    pub created_before: Option<Timestamp>,
}

/// What was asked of a running job while it ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Intent {
    pub cancel: bool,
    pub pause: bool,
}

impl NewJob {
    /// A job that begins now, as jobs are unless something else is said.
    pub fn new(tenant: TenantId, kind: JobKind, spec: Value, now: Timestamp) -> Self {
        Self {
            id: JobId::at(now),
            tenant,
            kind,
            priority: 0,
            max_attempts: 3,
            deadline_at: None,
            unique_key: None,
            traceparent: None,
            retry_of: None,
            spec,
            created_at: now,
            children: Vec::new(),
        }
    }
}

impl JobKind {
    pub const ALL: [JobKind; 5] =
        [JobKind::Adapt, JobKind::FineTune, JobKind::Predict, JobKind::Evaluate, JobKind::Batch];

    pub const fn as_str(self) -> &'static str {
        match self {
            JobKind::Adapt => "adapt",
            JobKind::FineTune => "fine_tune",
            JobKind::Predict => "predict",
            JobKind::Evaluate => "evaluate",
            JobKind::Batch => "batch",
        }
    }
}

impl JobState {
    pub const ALL: [JobState; 6] = [
        JobState::Queued,
        JobState::Running,
        JobState::Paused,
        JobState::Succeeded,
        JobState::Failed,
        JobState::Cancelled,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Paused => "paused",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
        }
    }

    pub const fn is_terminal(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Cancelled)
    }
}
