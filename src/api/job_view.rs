//! A job as clients see it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::records::{JobError, JobKind, JobRecord, JobState, Progress, Timestamp};

/// A job.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobView {
    pub id: String,
    /// Always `job`.
    pub object: &'static str,
    pub kind: &'static str,
    /// `queued`, `running`, `paused`, `succeeded`, `failed` or `cancelled`. A state that is not known
    /// is not terminal unless `terminal` says so.
    pub state: &'static str,
    pub terminal: bool,
    pub attempt: i64,
    pub max_attempts: i64,
    pub cancel_requested: bool,
    /// It is paused, or will be at its next checkpoint.
    pub pause_requested: bool,
    /// Whether its next attempt goes on from where an earlier one stood.
    pub checkpointed: bool,
    pub priority: i64,
    /// Null once the job has left the queue.
    pub queue: Option<QueueView>,
    pub progress: ProgressView,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub started_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub finished_at: Option<Timestamp>,
    pub resolved: ResolvedView,
    /// What the job runs, with every default that does not depend on the data.
    #[schema(value_type = Object)]
    pub spec: Value,
    /// Once it has succeeded: `{"model": "name@version"}` where it made a model, `{"file": …}` where it left a file.
    #[schema(value_type = Option<Object>)]
    pub result: Option<Value>,
    pub error: Option<JobErrorView>,
    pub labels: BTreeMap<String, String>,
    /// The batch that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The job that it repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// Of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<ChildrenView>,
    pub links: JobLinks,
}

/// The jobs of a batch; it gathers what they did when none is open any more.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChildrenView {
    pub total: i64,
    pub open: i64,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct QueueView {
    /// Place among the jobs that may start now; 1 is next. Null in lists, while a job waits to be tried
    /// again, and behind the first 100.
    pub position: Option<i64>,
    /// Always null in this version: how long the jobs before will run is not known.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub estimated_start: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProgressView {
    /// 0 to 1.
    pub fraction: f64,
    pub phase: String,
    pub step: u64,
    pub total_steps: Option<u64>,
    /// When the attempt will end if it goes on like this.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub eta: Option<Timestamp>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedView {
    pub sources: Vec<String>,
    pub target: Option<String>,
    /// The model that `predict` and `evaluate` run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Why a job failed.
#[derive(Debug, Serialize, ToSchema)]
pub struct JobErrorView {
    pub code: String,
    pub message: String,
    pub retryable: bool,
    /// The place in the spec that has to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    pub attempt: i64,
    /// A page about the code.
    pub docs: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct JobLinks {
    #[serde(rename = "self")]
    pub own: String,
    pub events: String,
    pub cancel: String,
    pub pause: String,
    pub resume: String,
    pub retry: String,
    pub metrics: String,
    /// The jobs of a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub children: Option<String>,
    /// The file that the job left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The model that the job made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

impl JobView {
    pub fn of(job: JobRecord, now: Timestamp) -> Self {
        let own = format!("/v1/jobs/{}", job.id);
        let text = |v: &Value| v.as_str().map(str::to_owned);
        let model = job.result.as_ref().and_then(|r| text(&r["model"]));
        let queued = job.state == JobState::Queued;
        Self {
            object: "job",
            kind: job.kind.as_str(),
            state: job.state.as_str(),
            terminal: job.state.is_terminal(),
            attempt: job.attempt,
            max_attempts: job.max_attempts,
            cancel_requested: job.cancel_requested_at.is_some(),
            pause_requested: job.pause_requested_at.is_some(),
            checkpointed: job.checkpoint.is_some(),
            priority: job.priority,
            queue: queued.then_some(QueueView { position: None, estimated_start: None }),
            progress: ProgressView::of(&job, now),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
            resolved: ResolvedView {
                sources: job.spec["sources"].as_array().into_iter().flatten().filter_map(text).collect(),
                target: text(&job.spec["target"]),
                // The spec of a fit has the name of the model that it makes instead.
                model: matches!(job.kind, JobKind::Predict | JobKind::Evaluate)
                    .then(|| text(&job.spec["model"]))
                    .flatten(),
            },
            labels: serde_json::from_value(job.spec["labels"].clone()).unwrap_or_default(),
            links: JobLinks {
                events: format!("{own}/events"),
                cancel: format!("{own}/cancel"),
                pause: format!("{own}/pause"),
                resume: format!("{own}/resume"),
                retry: format!("{own}/retry"),
                children: (job.n_children > 0).then(|| format!("/v1/jobs?parent={}", job.id)),
                metrics: format!("{own}/metrics"),
                result: job.result.as_ref().and_then(|r| r.get("file")).map(|_| format!("{own}/result")),
                model: model.map(|m| format!("/v1/models/{m}")),
                own,
            },
            parent: job.parent.map(|id| id.to_string()),
            retry_of: job.retry_of.map(|id| id.to_string()),
            children: (job.n_children > 0).then_some(ChildrenView { total: job.n_children, open: job.open_children }),
            spec: job.spec,
            result: job.result,
            // A job that waits for its next attempt still shows why the last one ended.
            error: job.error.map(JobErrorView::from),
            id: job.id.to_string(),
        }
    }
}

impl ProgressView {
    fn of(job: &JobRecord, now: Timestamp) -> Self {
        let progress = match (&job.progress, job.state) {
            (_, JobState::Queued | JobState::Paused) if job.open_children > 0 => {
                let ended = job.n_children - job.open_children;
                let fraction = ended as f64 / job.n_children as f64;
                // What is left is to gather what they did.
                let total_steps = u64::try_from(job.n_children).ok();
                let step = u64::try_from(ended).unwrap_or(0);
                Progress { fraction: fraction * 0.99, phase: "children".into(), step, total_steps }
            }
            (_, JobState::Succeeded) => Progress { fraction: 1.0, phase: "succeeded".into(), ..Progress::default() },
            (Some(progress), JobState::Running | JobState::Failed | JobState::Cancelled) => progress.clone(),
            (_, state) => {
                let phase = if state == JobState::Running { "starting" } else { state.as_str() };
                Progress { phase: phase.into(), ..Progress::default() }
            }
        };
        let running = job.started_at.filter(|_| job.state == JobState::Running && progress.fraction > 0.05);
        let eta = running.map(|started| {
            let left = (1.0 - progress.fraction).max(0.0) / progress.fraction;
            now.plus(now.since(started).mul_f64(left))
        });
        let Progress { fraction, phase, step, total_steps } = progress;
        Self { fraction, phase, step, total_steps, eta }
    }
}

impl From<JobError> for JobErrorView {
    fn from(error: JobError) -> Self {
        let docs = format!("/docs/errors#{}", error.code);
        let JobError { code, message, retryable, pointer, attempt } = error;
        Self { code, message, retryable, pointer, attempt, docs }
    }
}
