//! What is asked of jobs once they are there: cancel, pause, resume, retry.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::extract::{JsonBody, Path};
use super::headers::{self, etag, value};
use super::idempotency::{replayed, request_key};
use super::job_view::JobView;
use super::jobs::{accepted, job_id, log_job};
use super::problem::Problem;
use super::security::{Known, Tenant};
use crate::records::{JobFilter, JobKind, JobState, Scope, Timestamp};
use crate::service::{Accepted, Code, NewJobContext, Once, ServiceError};

/// Which jobs are cancelled: those for which all that is said holds. At least one thing is said.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct CancelRequest {
    #[schema(value_type = Option<String>, pattern = "^(queued|running|paused)$")]
    pub state: Option<OpenState>,
    #[schema(value_type = Option<String>, pattern = "^(adapt|fine_tune|predict|evaluate|batch)$")]
    pub kind: Option<JobKind>,
    /// The batch that started them.
    pub parent: Option<String>,
    /// Labels that they have.
    pub labels: BTreeMap<String, String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub created_before: Option<Timestamp>,
}

/// A state in which a job has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OpenState {
    Queued,
    Running,
    Paused,
}

/// What a cancel of many did.
#[derive(Debug, Serialize, ToSchema)]
pub struct CancelledView {
    /// Always `cancelled_jobs`.
    pub object: &'static str,
    /// Jobs that had not begun, and have ended now; those of a cancelled batch are not counted.
    pub cancelled: u64,
    /// Jobs that run: none of them will succeed, and each ends within moments.
    pub stopping: u64,
}

/// Cancel a job.
///
/// Once this has answered 202 the job never ends `succeeded`. Reaches the jobs of a batch.
#[utoipa::path(post, path = "/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 202, body = JobView), (status = 200, description = "It was cancelled before", body = JobView)))]
pub async fn cancel(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(answer(&app, app.service.cancel_job(&tenant, job_id(&id)?).await?))
}

/// Cancel many jobs.
///
/// Every job that fits what is said and was there before; `filter_required` where nothing is said. Answers when all are
/// cancelled or asked to stop.
#[utoipa::path(post, path = "/v1/jobs/cancel", tag = "jobs", request_body = CancelRequest,
    responses((status = 200, body = CancelledView)))]
pub async fn cancel_many(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    body: JsonBody<CancelRequest>,
) -> Result<Json<CancelledView>, Problem> {
    let CancelRequest { state, kind, parent, labels, created_before } = body.value;
    let no_job = || ServiceError::at(Code::InvalidParameter, "/parent", "the id of a job is expected");
    let parent = parent.map(|id| id.parse().map_err(|()| no_job())).transpose()?;
    let state = state.map(JobState::from);
    let done = app.service.cancel_jobs(&tenant, JobFilter { state, kind, parent, labels, created_before }).await?;
    Ok(Json(CancelledView { object: "cancelled_jobs", cancelled: done.cancelled, stopping: done.stopping }))
}

/// Pause a job.
///
/// A queued job at once; a running one at its next checkpoint, from which it goes on later, or without one within half a
/// minute. The attempt is not consumed. Reaches the jobs of a batch.
#[utoipa::path(post, path = "/v1/jobs/{id}/pause", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 202, body = JobView), (status = 200, description = "It was asked before", body = JobView)))]
pub async fn pause(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(answer(&app, app.service.pause_job(&tenant, job_id(&id)?).await?))
}

/// Let a paused job go on.
///
/// It is queued again. Of a running job, a pause that was asked for is taken back. Reaches the jobs of a batch.
#[utoipa::path(post, path = "/v1/jobs/{id}/resume", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job")),
    responses((status = 202, body = JobView), (status = 200, description = "It was not paused", body = JobView)))]
pub async fn resume(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    Ok(answer(&app, app.service.resume_job(&tenant, job_id(&id)?).await?))
}

/// Try a failed or cancelled job again.
///
/// A new job with the same spec, on the same versions; its `retry_of` names this one. `job_state_conflict` where the job
/// has not ended or has succeeded.
#[utoipa::path(post, path = "/v1/jobs/{id}/retry", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"),
           ("Idempotency-Key" = Option<String>, Header, description = "The same key starts one job; kept for a day")),
    responses((status = 202, body = JobView)))]
pub async fn retry(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = job_id(&id)?;
    // A job must not give what a request would refuse.
    if app.service.job(&caller.tenant, id).await?.kind == JobKind::Predict {
        caller.require(Scope::ModelsPredict)?;
    }
    let key = request_key(&headers, &format!("POST /v1/jobs/{id}/retry"), b"")?;
    let context = NewJobContext { key, traceparent: headers::traceparent(&headers) };
    let submitted = app.service.retry_job(&caller.tenant, id, context).await?;
    let again = matches!(submitted, Once::Replayed(_));
    let (Once::New(job) | Once::Replayed(job)) = submitted;
    log_job(job.id);
    let response = accepted(&app, job, None).await?;
    Ok(if again { replayed(response) } else { response })
}

fn answer(app: &App, outcome: Accepted) -> Response {
    let (status, job) = match outcome {
        Accepted::Now(job) => (StatusCode::ACCEPTED, job),
        Accepted::Before(job) => (StatusCode::OK, job),
    };
    let etag = etag(job.version);
    (status, [(header::ETAG, value(&etag))], Json(JobView::of(job, app.service.clock().now()))).into_response()
}

impl From<OpenState> for JobState {
    fn from(state: OpenState) -> Self {
        match state {
            OpenState::Queued => JobState::Queued,
            OpenState::Running => JobState::Running,
            OpenState::Paused => JobState::Paused,
        }
    }
}
