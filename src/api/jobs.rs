//! `/v1/jobs`: accept, read, list, cancel, and the metrics of those that succeeded.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::App;
use super::conditional::{by_content, not_modified, tagged};
use super::dry_run::{CreateQuery, DryRunView, JobOrDryRun};
use super::extract::{JsonBody, Path, Query};
use super::headers::{self, MAX_WAIT_S, etag, value};
use super::idempotency::{replayed, request_key};
use super::pages::{Listing, PageQuery, listing};
use super::problem::Problem;
use super::security::{Known, Tenant};
use crate::records::{JobError, JobFilter, JobId, JobKind, JobRecord, JobState, Progress, Scope, Timestamp};
use crate::service::{Caller, CancelledJob, Code, JobRequest, NewJobContext, Once, ServiceError, Wait};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// When to look again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

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
    pub links: JobLinks,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct QueueView {
    /// Place among the jobs that may start now; 1 is next. Null in lists, while a job waits to be tried
    /// again, and behind the first 1000.
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
    pub metrics: String,
    /// The file that the job left.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The model that the job made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// Which jobs, and how many.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(value_type = Option<String>, pattern = "^(queued|running|paused|succeeded|failed|cancelled)$")]
    pub state: Option<JobState>,
    #[param(value_type = Option<String>, pattern = "^(adapt|fine_tune|predict|evaluate)$")]
    pub kind: Option<JobKind>,
    /// Items in the answer, 1 to 200; 50 by default.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WaitQuery {
    /// Seconds to wait until the job has ended or, with If-None-Match, has changed.
    #[param(minimum = 0, maximum = 60)]
    pub wait: Option<u64>,
}

/// Start a job.
///
/// Durable when it answers. With `Prefer: wait=N` the answer is the ended job, if it ends in time.
#[utoipa::path(post, path = "/v1/jobs", tag = "jobs", request_body = Object,
    params(CreateQuery, ("Prefer" = Option<String>, Header, description = "wait=N, at most 60"),
           ("Idempotency-Key" = Option<String>, Header, description = "The same key starts one job; kept for a day")),
    responses((status = 202, body = JobView),
              (status = 200, description = "It ended while you waited, or it was a dry run", body = JobOrDryRun)))]
pub async fn create(
    State(app): State<App>,
    Known(caller): Known,
    Query(query): Query<CreateQuery>,
    headers: HeaderMap,
    body: JsonBody<JobRequest>,
) -> Result<Response, Problem> {
    may_start(&caller, &body.value)?;
    let tenant = caller.tenant;
    if query.dry_run == Some(true) {
        return Ok(Json(DryRunView::from(app.service.dry_run(&tenant, body.value).await?)).into_response());
    }
    let key = request_key(&headers, "POST /v1/jobs", &body.bytes)?;
    let context = NewJobContext { key, traceparent: headers::traceparent(&headers) };
    let submitted = app.service.create_job(&tenant, body.value, context).await?;
    let again = matches!(submitted, Once::Replayed(_));
    let (Once::New(mut job) | Once::Replayed(mut job)) = submitted;
    log_job(job.id);
    let wait = headers::prefer_wait(&headers);
    if let Some(at_most) = wait {
        job = app.service.wait_for_job(&tenant, job.id, Wait::Terminal, at_most).await?;
    }
    let response = accepted(&app, job, wait).await?;
    Ok(if again { replayed(response) } else { response })
}

/// List jobs, newest first.
#[utoipa::path(get, path = "/v1/jobs", tag = "jobs", params(ListQuery),
    responses((status = 200, body = Listing<JobView>)))]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query<ListQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = PageQuery { limit: query.limit, cursor: query.cursor }.request("jobs")?;
    let filter = JobFilter { state: query.state, kind: query.kind };
    let found = app.service.jobs(&tenant, &filter, &page).await?;
    let now = app.service.clock().now();
    Ok(listing(&uri, "jobs", found, |job| JobView::of(job, now)))
}

/// Read a job, at once or when it has ended.
#[utoipa::path(get, path = "/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"), WaitQuery),
    responses((status = 200, body = JobView), (status = 304, description = "Not changed")))]
pub async fn read(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Query(query): Query<WaitQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (id, at_most) = (job_id(&id)?, query.duration()?);
    let wait = headers::known_version(&headers).map_or(Wait::Terminal, Wait::Change);
    let job = match at_most {
        Some(at_most) => app.service.wait_for_job(&tenant, id, wait, at_most).await?,
        None => app.service.job(&tenant, id).await?,
    };
    let etag = etag(job.version);
    if let Some(known) = not_modified(&headers, &etag) {
        return Ok(known);
    }
    Ok(tagged(&headers, &etag, view(&app, job).await?))
}

/// Cancel a job.
///
/// Once this has answered 202 the job never ends `succeeded`.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 202, body = JobView), (status = 200, description = "It was cancelled before", body = JobView)))]
pub async fn cancel(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (status, job) = match app.service.cancel_job(&tenant, job_id(&id)?).await? {
        CancelledJob::Now(job) => (StatusCode::ACCEPTED, job),
        CancelledJob::Before(job) => (StatusCode::OK, job),
    };
    let etag = etag(job.version);
    Ok((status, [(header::ETAG, value(&etag))], Json(JobView::of(job, app.service.clock().now()))).into_response())
}

/// The metrics of a job that has succeeded.
///
/// `job_state_conflict` until then, and where it never will.
#[utoipa::path(get, path = "/v1/jobs/{id}/metrics", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 200, body = Object, description = "Numbers with intervals, source-only beside adapted"),
              (status = 304, description = "Not changed")))]
pub async fn metrics(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(by_content(&headers, &app.service.job_metrics(&tenant, job_id(&id)?).await?)?)
}

/// The file that a job of kind `predict` left.
///
/// A row for each of the domain, in its order; the column that has the role `id` in the domain comes first, under its name.
/// Needs `data:read` beside `jobs:read`, as rows do. `job_state_conflict` until the job has succeeded, and where it never
/// will.
#[utoipa::path(get, path = "/v1/jobs/{id}/result", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job", example = "job_0197f1c2-7a30-7cc0-8000-0123456789ab")),
    responses((status = 200, description = "The file, in the format that the job was asked for",
        content((String = "text/csv", example = "label,probability_female,probability_male\nmale,0.03,0.97\n"),
                (Vec<u8> = "application/vnd.apache.parquet"), (String = "application/x-ndjson"))),
        (status = 304, description = "Not changed")))]
pub async fn result(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = job_id(&id)?;
    let (file, bytes) = app.service.job_file(&tenant, id).await?;
    let etag = format!("\"{}\"", file.blob);
    if let Some(known) = not_modified(&headers, &etag) {
        return Ok(known);
    }
    let name = format!("attachment; filename=\"{id}.{}\"", file.format.as_str());
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.format.media_type())),
        (header::CONTENT_DISPOSITION, value(&name)),
        (header::ETAG, value(&etag)),
    ];
    Ok((head, bytes).into_response())
}

/// The id in a path. What cannot be an id is the id of nothing.
pub fn job_id(text: &str) -> Result<JobId, ServiceError> {
    let id = text.parse().map_err(|()| ServiceError::new(Code::JobNotFound, "there is no such job"))?;
    log_job(id);
    Ok(id)
}

/// A job must not give what a request would refuse.
fn may_start(caller: &Caller, request: &JobRequest) -> Result<(), ServiceError> {
    if request.kind == JobKind::Predict.as_str() { caller.require(Scope::ModelsPredict) } else { Ok(()) }
}

/// Writes the job into the request's log line, which so joins the lines of its attempts.
fn log_job(id: JobId) {
    tracing::Span::current().record("job", tracing::field::display(id));
}

/// The answer to an accepted job: 200 if it was waited for and has ended, else 202.
async fn accepted(app: &App, job: JobRecord, wait: Option<Duration>) -> Result<Response, Problem> {
    let waited = wait.is_some() && job.state.is_terminal();
    let status = if waited { StatusCode::OK } else { StatusCode::ACCEPTED };
    let location = format!("/v1/jobs/{}", job.id);
    let etag = etag(job.version);
    let mut response = (status, Json(view(app, job).await?)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, value(&location));
    headers.insert(header::ETAG, value(&etag));
    if !waited {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if let Some(wait) = wait {
        headers.insert(PREFERENCE_APPLIED, value(&format!("wait={}", wait.as_secs())));
    }
    Ok(response)
}

/// A job with its place in the queue.
async fn view(app: &App, job: JobRecord) -> Result<JobView, Problem> {
    let position = app.service.queue_position(&job).await?;
    let mut view = JobView::of(job, app.service.clock().now());
    if let Some(queue) = &mut view.queue {
        queue.position = position;
    }
    Ok(view)
}

impl WaitQuery {
    fn duration(&self) -> Result<Option<Duration>, ServiceError> {
        match self.wait {
            Some(s) if s > MAX_WAIT_S => {
                let detail = format!("{s} is not between 0 and {MAX_WAIT_S}");
                Err(ServiceError::parameter(Code::InvalidParameter, "wait", detail))
            }
            wait => Ok(wait.map(Duration::from_secs)),
        }
    }
}

impl JobView {
    fn of(job: JobRecord, now: Timestamp) -> Self {
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
                metrics: format!("{own}/metrics"),
                result: job.result.as_ref().and_then(|r| r.get("file")).map(|_| format!("{own}/result")),
                model: model.map(|m| format!("/v1/models/{m}")),
                own,
            },
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
