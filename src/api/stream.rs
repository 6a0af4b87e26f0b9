//! Server-sent events: how an event is written, and the body of a stream. Only durable events carry an id; what keeps a
//! silent connection open is a comment.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt as _, stream};
use serde_json::{Map, Value, json};

use crate::records::JobEvent;
use crate::service::{Code, Line, ServiceError, Told};

pub const SSE: &str = "text/event-stream";
/// Proxies close what is silent for longer.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(15);
const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
/// When a client comes back after a broken stream, in milliseconds.
const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");
/// Tells proxies not to collect the stream.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The answer that goes on as long as there are events.
pub fn answer(line: Line, events: impl Stream<Item = Arc<Told>> + Send + 'static) -> Response {
    let written = stream::unfold(Box::pin(events), move |mut events| async move {
        let chunk = match tokio::time::timeout(KEEP_ALIVE_EVERY, pin!(events.next())).await {
            Ok(told) => told?.text(line, |event| written(line, event)),
            Err(_) => KEEP_ALIVE,
        };
        Some((chunk, events))
    });
    let all = stream::once(async { RETRY }).chain(written).map(Ok::<_, Infallible>);
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(SSE)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (BUFFERING, HeaderValue::from_static("no")),
    ];
    (head, Body::from_stream(all)).into_response()
}

/// The number after which a stream begins, as browsers send it when they come back.
pub fn last_event_id(headers: &HeaderMap) -> Result<Option<i64>, ServiceError> {
    let Some(given) = headers.get("last-event-id") else { return Ok(None) };
    let seq = given.to_str().ok().and_then(|t| t.trim().parse::<i64>().ok()).filter(|seq| *seq >= 0);
    match seq {
        Some(seq) => Ok(Some(seq)),
        None => Err(ServiceError::parameter(Code::InvalidParameter, "Last-Event-ID", "a sequence number is expected")),
    }
}

fn written(line: Line, event: &JobEvent) -> Bytes {
    let id = match line {
        Line::Job => event.seq,
        Line::Feed => event.feed_seq,
    };
    // Names of events are ours, and JSON has no line ends.
    format!("id: {id}\nevent: {}\ndata: {}\n\n", event.event, data(line, event)).into()
}

/// The event on a page: as in the stream, with its name.
pub fn item(line: Line, event: &JobEvent) -> Value {
    let mut item = data(line, event);
    item["event"] = json!(event.event);
    item
}

/// What an event says, with its number and time; in the feed with its job and the number within that.
fn data(line: Line, event: &JobEvent) -> Value {
    let mut all = match &event.data {
        Value::Object(fields) => fields.clone(),
        Value::Null => Map::new(),
        other => Map::from_iter([("data".to_owned(), other.clone())]),
    };
    match line {
        Line::Job => drop(all.insert("seq".to_owned(), json!(event.seq))),
        Line::Feed => {
            all.insert("seq".to_owned(), json!(event.feed_seq));
            all.insert("job".to_owned(), json!(event.job));
            all.insert("job_seq".to_owned(), json!(event.seq));
        }
    }
    all.insert("at".to_owned(), json!(event.at));
    Value::Object(all)
}
