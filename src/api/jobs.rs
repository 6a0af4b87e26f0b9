//! `/v1/jobs`: accept, read, list, and the metrics of those that succeeded.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::conditional::{by_content, not_modified, tagged};
use super::dry_run::{CreateQuery, DryRunView, JobOrDryRun};
use super::extract::{JsonBody, Path, Query};
use super::headers::{self, MAX_WAIT_S, etag, value};
use super::idempotency::{replayed, request_key};
use super::job_view::JobView;
use super::pages::{Listing, PageQuery, listing};
use super::problem::Problem;
use super::security::{Known, Tenant};
use crate::records::{JobFilter, JobId, JobKind, JobRecord, JobState, Scope, Timestamp};
use crate::service::{Caller, Code, JobRequest, NewJobContext, Once, ServiceError, Wait};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// When to look again, in seconds.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Which jobs, and how many.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    #[param(value_type = Option<String>, pattern = "^(queued|running|paused|succeeded|failed|cancelled)$")]
    pub state: Option<JobState>,
    #[param(value_type = Option<String>, pattern = "^(adapt|fine_tune|predict|evaluate|batch)$")]
    pub kind: Option<JobKind>,
    /// Jobs of this batch.
    pub parent: Option<String>,
    /// Labels that they all have, as `team:crm,env:production`.
    pub labels: Option<String>,
    /// Created before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    pub created_before: Option<Timestamp>,
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
    let page = PageQuery { limit: query.limit, cursor: query.cursor.clone() }.request("jobs")?;
    let filter = query.filter()?;
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
    let all = std::iter::once(request).chain(request.jobs.iter().flatten());
    if all.into_iter().any(|job| job.kind == JobKind::Predict.as_str()) {
        return caller.require(Scope::ModelsPredict);
    }
    Ok(())
}

/// Writes the job into the request's log line, which so joins the lines of its attempts.
pub fn log_job(id: JobId) {
    tracing::Span::current().record("job", tracing::field::display(id));
}

/// The answer to an accepted job: 200 if it was waited for and has ended, else 202.
pub async fn accepted(app: &App, job: JobRecord, wait: Option<Duration>) -> Result<Response, Problem> {
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

impl ListQuery {
    fn filter(self) -> Result<JobFilter, ServiceError> {
        let no_label = || {
            let detail = "names and values are expected, such as team:crm,env:production";
            ServiceError::parameter(Code::InvalidParameter, "labels", detail)
        };
        let labels = self.labels.as_deref().map_or(Ok(BTreeMap::new()), |text| {
            let pairs = text.split(',').map(|pair| pair.split_once(':').ok_or_else(no_label));
            pairs.map(|pair| pair.map(|(name, value)| (name.to_owned(), value.to_owned()))).collect()
        })?;
        let no_job = || ServiceError::parameter(Code::InvalidParameter, "parent", "the id of a job is expected");
        let parent = self.parent.map(|id| id.parse().map_err(|()| no_job())).transpose()?;
        Ok(JobFilter { state: self.state, kind: self.kind, parent, labels, created_before: self.created_before })
    }
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
