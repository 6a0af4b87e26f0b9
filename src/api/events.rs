//! `/v1/jobs/{id}/events`: a page as JSON, or a stream of server-sent events, by `Accept`.
//!
//! Only durable events carry an id. A stream begins after `Last-Event-ID`, ends with the terminal
//! event, and a reconnect with that id gets 204, on which browsers stop.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::IntoParams;

use super::App;
use super::extract::{Path, Query};
use super::headers::negotiate;
use super::jobs::job_id;
use super::pages::{self, Listing};
use super::problem::Problem;
use super::security::Tenant;
use crate::records::{JobEvent, JobId, TenantId};
use crate::service::{Code, EventStream, ServiceError};

const JSON: &str = "application/json";
const SSE: &str = "text/event-stream";
/// Proxies close what is silent for longer.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// When a client comes back after a broken stream.
const RETRY: Duration = Duration::from_secs(2);

/// Which events.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Only events with a larger sequence number.
    #[param(minimum = 0)]
    pub after_seq: Option<i64>,
    /// Events on a page, 1 to 200; 50 by default. A stream has no pages.
    #[param(minimum = 1, maximum = 200)]
    pub limit: Option<u32>,
}

/// Events of a job, as a page or as a stream.
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
    let id = job_id(&id)?;
    let after = query.after_seq.unwrap_or(0);
    if after < 0 {
        return Err(ServiceError::parameter(Code::InvalidParameter, "after_seq", "a number from 0 is expected").into());
    }
    if negotiate(&headers, &[JSON, SSE])? == SSE {
        let after = last_event_id(&headers)?.unwrap_or(after);
        return follow(app, tenant, id, after).await;
    }
    let page = app.service.events(&tenant, id, after, pages::limit(query.limit)?).await?;
    let next_cursor = page.next.map(|c| c.0);
    let link = next_cursor.as_deref().map(|next| pages::link(&uri, "after_seq", next));
    Ok(pages::respond(Listing { data: page.items.into_iter().map(item).collect(), next_cursor }, link))
}

async fn follow(app: App, tenant: TenantId, id: JobId, after: i64) -> Result<Response, Problem> {
    let EventStream::Events(events) = app.service.follow(tenant, id, after).await? else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let first = stream::once(async { Event::default().retry(RETRY) });
    let all = first.chain(events.map(sse)).map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE).text("keep-alive");
    let mut response = Sse::new(all).keep_alive(keep_alive).into_response();
    // Tells proxies not to collect the stream.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, ServiceError> {
    let Some(given) = headers.get("last-event-id") else { return Ok(None) };
    let seq = given.to_str().ok().and_then(|t| t.trim().parse::<i64>().ok()).filter(|seq| *seq >= 0);
    match seq {
        Some(seq) => Ok(Some(seq)),
        None => Err(ServiceError::parameter(Code::InvalidParameter, "Last-Event-ID", "a sequence number is expected")),
    }
}

fn sse(event: JobEvent) -> Event {
    let (seq, name) = (event.seq.to_string(), event.event.clone());
    Event::default().id(seq).event(name).data(data(event).to_string())
}

/// The event on a page: as in the stream, with its name.
fn item(event: JobEvent) -> Value {
    let name = event.event.clone();
    let mut item = data(event);
    item["event"] = json!(name);
    item
}

/// What an event says, with its number and time.
fn data(event: JobEvent) -> Value {
    let mut all = match event.data {
        Value::Object(fields) => fields,
        Value::Null => Map::new(),
        other => Map::from_iter([("data".to_owned(), other)]),
    };
    all.insert("seq".to_owned(), json!(event.seq));
    all.insert("at".to_owned(), json!(event.at));
    Value::Object(all)
}
