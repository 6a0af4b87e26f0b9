//! Extractors that refuse with a problem: path, query and JSON body. Bodies are counted while they
//! arrive and must not stand still.

use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody as _};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_TYPE, HeaderMap};
use axum::http::request::Parts;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde::de::DeserializeOwned;
use serde_path_to_error::{Path as ErrorPath, Segment};
use tokio::time::Instant;

use super::App;
use super::headers::content_coding;
use super::problem::Problem;
use crate::service::{Code, Coding, ServiceError, unpack_document};
use adaptation::params::escape_pointer;

/// Segments of the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match axum::extract::Path::<T>::from_request_parts(parts, app).await {
            Ok(axum::extract::Path(value)) => Ok(Path(value)),
            Err(e) => Err(ServiceError::parameter(Code::InvalidParameter, "path", e.body_text()).into()),
        }
    }
}

/// The query; unknown names are refused by `deny_unknown_fields` of `T`.
#[derive(Debug, Clone)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        match axum::extract::Query::<T>::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Query(value)),
            Err(e) => {
                let text = e.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let (name, detail) = text.split_once(": ").unwrap_or(("query", text));
                let code = if text.contains("unknown field") { Code::UnknownField } else { Code::InvalidParameter };
                Err(ServiceError::parameter(code, name, detail).into())
            }
        }
    }
}

/// A JSON body, with a hash-ready copy of its bytes.
#[derive(Debug, Clone)]
pub struct JsonBody<T> {
    pub value: T,
    pub bytes: Bytes,
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<App> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        require_json(request.headers())?;
        let bytes = collect(request, app).await?;
        let held = bytes.clone();
        let value = aside(bytes.len(), move || json(&held)).await?;
        Ok(JsonBody { value, bytes })
    }
}

/// No media type counts as JSON: many clients send none.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let given = media_type(headers);
    if given.is_none_or(|t| t == "application/json" || t.ends_with("+json") || is_curl_default(&t)) {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType, "this body is read as application/json"))
}

/// `curl -d` sends this unless it is told otherwise, and nobody means a form here.
fn is_curl_default(media_type: &str) -> bool {
    media_type == "application/x-www-form-urlencoded"
}

/// The media type of the body, without parameters, in lower case.
pub fn media_type(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

/// Reads a document in one pass: what is no JSON is told by line and column, what does not fit by
/// its pointer.
pub fn json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ServiceError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize::<_, T>(&mut reader);
    let value = match value {
        Ok(value) => value,
        Err(e) => return Err(json_error(bytes, &pointer(e.path()), e.inner())),
    };
    reader.end().map_err(|e| malformed(&e))?;
    Ok(value)
}

fn json_error(bytes: &[u8], pointer: &str, error: &serde_json::Error) -> ServiceError {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => {
            // A document that does not fit may also be broken further on; that is told first.
            if let Err(syntax) = serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
                return malformed(&syntax);
            }
            let text = error.to_string();
            let detail = text.rsplit_once(" at line ").map_or(text.as_str(), |(before, _)| before);
            let code = if detail.starts_with("unknown field") { Code::UnknownField } else { Code::InvalidParameter };
            ServiceError::at(code, pointer, detail)
        }
        Category::Io | Category::Syntax | Category::Eof => malformed(error),
    }
}

fn malformed(error: &serde_json::Error) -> ServiceError {
    let text = error.to_string();
    if text.starts_with("recursion limit") {
        return ServiceError::new(Code::JsonTooDeep, "the document is nested deeper than 127 levels");
    }
    let hint = if text.starts_with("expected value") || text.starts_with("expected ident") {
        "; JSON has no NaN and no Infinity, and null is a missing value"
    } else {
        ""
    };
    // The text ends with line and column.
    ServiceError::new(Code::MalformedJson, format!("{text}{hint}"))
}

fn pointer(path: &ErrorPath) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", escape_pointer(key))),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Documents up to this size are read and written within a fraction of a millisecond.
const SHORT_BYTES: usize = 64 << 10;

/// Reads or writes a document of about so many bytes: a short one here, a long one on a thread for such work, so that it
/// holds up no other request.
pub async fn aside<T: Send + 'static>(
    n_bytes: usize,
    work: impl FnOnce() -> Result<T, ServiceError> + Send + 'static,
) -> Result<T, ServiceError> {
    if n_bytes <= SHORT_BYTES {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(ServiceError::internal)?
}

/// Room that is made for a body before it comes.
const ROOM_BYTES: usize = 1 << 20;

/// A whole body, unpacked, at most as large as documents may be.
pub async fn collect(request: Request, app: &App) -> Result<Bytes, Problem> {
    let coding = content_coding(request.headers())?;
    let (body, limit) = (request.into_body(), app.limits.max_document_bytes);
    // What is announced is believed up to a bound: memory is for bytes that have come.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::with_capacity(announced.min(ROOM_BYTES));
    let mut chunks = Chunks::new(body, app.limits.body_idle);
    while let Some(chunk) = chunks.next().await? {
        if (whole.len() + chunk.len()) as u64 > limit {
            return Err(Problem::new(Code::BodyTooLarge, format!("a document has at most {limit} bytes")));
        }
        whole.extend_from_slice(&chunk);
    }
    let whole = whole.freeze();
    // However short it is, it may unpack to much.
    let Some(coding) = coding.or_else(|| Coding::from_magic(&whole)) else { return Ok(whole) };
    Ok(aside(usize::MAX, move || unpack_document(&whole, coding, limit)).await?)
}

/// What a body has to bring in the time in which it must not stand still: one that comes byte by byte would hold its
/// place for ever.
const PROGRESS_BYTES: usize = 1 << 10;

/// A body as it arrives; one that stands still, or hardly moves, is given up.
pub struct Chunks {
    stream: BodyDataStream,
    idle: Duration,
    /// When it has to have brought [`PROGRESS_BYTES`], or its end.
    deadline: Instant,
    brought: usize,
}

impl Chunks {
    pub fn new(body: Body, idle: Duration) -> Self {
        Self { stream: body.into_data_stream(), idle, deadline: Instant::now() + idle, brought: 0 }
    }

    pub async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        // What has come is taken whatever the time: it may have waited for us.
        match tokio::time::timeout_at(self.deadline, self.stream.next()).await {
            Ok(Some(Ok(chunk))) => {
                self.brought += chunk.len();
                if self.brought >= PROGRESS_BYTES {
                    self.deadline = Instant::now() + self.idle;
                    self.brought = 0;
                }
                Ok(Some(chunk))
            }
            Ok(Some(Err(_))) => {
                Err(Problem::new(Code::RequestTimeout, "the connection broke before the body was complete"))
            }
            Ok(None) => Ok(None),
            Err(_) => {
                let idle = self.idle.as_secs();
                let detail = format!("fewer than {PROGRESS_BYTES} bytes of the body arrived in {idle} s");
                Err(Problem::new(Code::RequestTimeout, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only the refusals are of interest")]
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only the refusals are of interest")]
        n: Option<u8>,
    }

    #[tokio::test]
    async fn a_body_that_hardly_moves_is_given_up() {
        let drip = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), ()))
        });
        let mut chunks = Chunks::new(Body::from_stream(drip), Duration::from_millis(50));
        let mut n = 0;
        let end = loop {
            match chunks.next().await {
                Ok(Some(_)) => n += 1,
                other => break other.map_err(|p| p.code),
            }
        };
        assert_eq!(end, Err("request_timeout"));
        assert!(n < PROGRESS_BYTES, "{n}");
    }

    #[track_caller]
    fn check(text: &str, code: Code, place: &str) {
        let error = json::<Outer>(text.as_bytes()).expect_err("refused");
        assert_eq!(error.code, code, "{error}");
        assert!(format!("{error:?}").contains(place), "{error:?}");
    }

    #[test]
    fn every_fault_has_its_place() {
        check(r#"{"inner":{"m":1}}"#, Code::UnknownField, "\"/inner/m\"");
        check(r#"{"iner":1}"#, Code::UnknownField, "\"/iner\"");
        check(r#"{"inner":{"n":"x"}}"#, Code::InvalidParameter, "\"/inner/n\"");
        check(r#"{"inner":{"n":300}}"#, Code::InvalidParameter, "\"/inner/n\"");
        check("{\"inner\":{\n\"n\":NaN}}", Code::MalformedJson, "line 2 column 5");
        check(r#"{"inner":{"n":"x"},}"#, Code::MalformedJson, "line 1 column 20");
        check(r#"{} {}"#, Code::MalformedJson, "line 1");
        check("", Code::MalformedJson, "EOF");
        let deep = json::<serde_json::Value>("[".repeat(200).as_bytes()).expect_err("refused");
        assert_eq!(deep.code, Code::JsonTooDeep);
    }
}
