//! `/v1/jobs/{id}/events` and `/v1/events`: a page as JSON, or a stream of server-sent events, by `Accept`.
//!
//! A stream begins after `Last-Event-ID`. That of a job ends with the terminal event, and a reconnect with that id gets
//! 204, on which browsers stop.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::extract::{Path, Query};
use super::headers::negotiate;
use super::jobs::job_id;
use super::pages::{self, Listing};
use super::problem::Problem;
use super::security::Tenant;
use super::stream::{SSE, answer, item, last_event_id};
use crate::service::{Code, EventPage, EventStream, Line, ServiceError};

const JSON: &str = "application/json";

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only events with a larger sequence number. Without it a page begins with the first event that is there.
    #[param(minimum = 0)]
    pub after_seq: Option<i64>,
    /// Events on a page, 1 to 200; 50 by default. A stream has no pages.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// Events of a job, as a page or as a stream.
///
/// Events of jobs that ended long ago are not kept, but for the last: 410 `events_expired` tells the first that is there.
#[utoipa::path(get, path = "/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "Id of the job"), EventQuery,
           ("Last-Event-ID" = Option<i64>, Header, description = "A stream begins after it")),
    responses((status = 200, content((Listing<Object> = "application/json"), (String = "text/event-stream"))),
              (status = 204, description = "The job has ended and you have seen its last event")))]
pub async fn events(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let (id, after) = (job_id(&id)?, query.after()?);
    if negotiate(&headers, &[JSON, SSE])? == SSE {
        let after = last_event_id(&headers)?.or(after);
        return Ok(match app.service.follow(tenant, id, after).await? {
            EventStream::Events(events) => answer(Line::Job, events),
            EventStream::Over => StatusCode::NO_CONTENT.into_response(),
        });
    }
    let page = app.service.events(&tenant, id, after, pages::limit(query.limit)?).await?;
    Ok(listed(&uri, Line::Job, page))
}

/// Events of all jobs, as a page or as a stream.
///
/// Each names its job and has a number without a gap over all jobs, in the order in which they became durable. A stream
/// begins after `Last-Event-ID`, without it now, and does not end by itself. Events that are not kept any more leave 410
/// `events_expired` with the first number from which nothing is missing.
#[utoipa::path(get, path = "/v1/events", tag = "jobs",
    params(EventQuery, ("Last-Event-ID" = Option<i64>, Header, description = "A stream begins after it")),
    responses((status = 200, content((Listing<Object> = "application/json"), (String = "text/event-stream")))))]
pub async fn feed(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query<EventQuery>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let after = query.after()?;
    if negotiate(&headers, &[JSON, SSE])? == SSE {
        let after = last_event_id(&headers)?.or(after);
        return Ok(answer(Line::Feed, app.service.follow_feed(tenant, after).await?));
    }
    let page = app.service.feed(&tenant, after, pages::limit(query.limit)?).await?;
    Ok(listed(&uri, Line::Feed, page))
}

impl EventQuery {
    fn after(&self) -> Result<Option<i64>, ServiceError> {
        match self.after_seq {
            Some(after) if after < 0 => {
                Err(ServiceError::parameter(Code::InvalidParameter, "after_seq", "a number from 0 is expected"))
            }
            after => Ok(after),
        }
    }
}

fn listed(uri: &Uri, line: Line, page: EventPage) -> Response {
    let next_cursor = page.next.map(|c| c.0);
    let link = next_cursor.as_deref().map(|next| pages::link(uri, "after_seq", next));
    pages::respond(Listing { data: page.items.iter().map(|event| item(line, event)).collect(), next_cursor }, link)
}
