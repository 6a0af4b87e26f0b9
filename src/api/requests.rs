//! What happens around every request: an id, one log line, problems completed with what only the
//! outermost layer knows, panics turned into a problem without a word of their cause.

use std::any::Any;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tracing::Instrument;

use super::problem::Problem;
use super::{App, headers};
use crate::records::RequestId;
use crate::service::{Code, ServiceError};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Browsers are to take every answer for what it says it is, to show no page of ours inside another, to tell no other
/// site where they come from, and to run only what this server sends.
const SECURITY_HEADERS: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    ),
];

/// The layer around all routes.
pub async fn track(State(app): State<App>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id =
        headers::request_id(request.headers()).unwrap_or_else(|| RequestId::at(app.service.clock().now()).to_string());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned());
    let span = tracing::info_span!("request", request_id = %id, job = tracing::field::Empty);
    let response = if app.service.is_stopping() && path != "/livez" && path != "/readyz" {
        Problem::new(Code::ShuttingDown, "the service is stopping").into_response()
    } else if let Err(problem) = headers::content_coding(request.headers()) {
        ([(header::ACCEPT_ENCODING, HeaderValue::from_static(headers::CODINGS))], problem).into_response()
    } else {
        next.run(request).instrument(span.clone()).await
    };
    let mut response = complete(response, &path, &id);
    response.headers_mut().insert(X_REQUEST_ID, headers::value(&id));
    for (name, value) in SECURITY_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    span.in_scope(|| {
        // The route and not the path: names and ids of clients are not for the log's index.
        let route = route.as_deref().unwrap_or("none");
        let ms = started.elapsed().as_secs_f64() * 1e3;
        tracing::info!(%method, route, status = response.status().as_u16(), ms, "request");
    });
    response
}

/// Writes path and request id into a problem, and logs what must not be told.
fn complete(mut response: Response, path: &str, id: &str) -> Response {
    let Some(mut problem) = response.extensions_mut().remove::<Problem>() else { return response };
    if let Some(cause) = problem.cause.take() {
        tracing::error!(request_id = id, code = problem.code, cause, "request failed");
    }
    problem.instance = path.chars().take(300).collect();
    problem.request_id = id.to_owned();
    let (parts, _) = response.into_parts();
    let body = Json(&problem).into_response().into_body();
    let mut response = Response::from_parts(parts, body);
    response.headers_mut().remove(header::CONTENT_LENGTH);
    response
}

/// The answer where a handler panicked.
pub fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    Problem::from(ServiceError::internal(format!("panic: {}", text.unwrap_or("without words")))).into_response()
}

pub async fn no_route() -> Problem {
    Problem::new(Code::RouteNotFound, "there is nothing at this path; /docs shows what there is")
}

pub async fn no_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the path is there, for other methods; see Allow")
}
