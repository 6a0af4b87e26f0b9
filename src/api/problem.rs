//! Errors on the wire: RFC 9457 problem details. The only table from codes to statuses.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::health::ChecksView;
use crate::service::{Code, Fault, Place, ServiceError};

/// Where the codes are documented.
const DOCS: &str = "/docs/errors";

/// How often a client should ask again, in seconds, where a code says that it may.
const RETRY_AFTER: &str = "2";

/// What a code means on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    pub status: StatusCode,
    pub title: &'static str,
    pub retryable: bool,
}

/// An RFC 9457 problem.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// Names the kind of problem; a page about it.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    /// What is wrong with this request.
    pub detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instance: String,
    /// Stable: programs decide by it.
    pub code: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// Whether the same request may succeed later.
    pub retryable: bool,
    /// The job that stands in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// With `events_expired`: the first number from which events are there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_available_seq: Option<i64>,
    /// The places that are wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FaultView>,
    /// What was looked at, in answers of /readyz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<Box<ChecksView>>,
    /// When to ask again, where that is known.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// For the log alone.
    #[serde(skip)]
    pub cause: Option<String>,
}

/// One place that is wrong.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct FaultView {
    /// JSON pointer into the body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Name of a query parameter or header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
    /// Data row, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// Line of a text file, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Name of a column.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    pub code: String,
    pub detail: String,
}

/// The table of codes.
pub fn meaning(code: Code) -> Meaning {
    use Code::*;
    const RETRY: bool = true;
    let (status, title, retryable) = match code {
        MissingCredentials => (401, "Credentials are missing", false),
        InvalidCredentials => (401, "Credentials are not valid", false),
        KeyExpired => (401, "The key has expired", false),
        InsufficientScope => (403, "The key lacks a scope", false),
        TenantSuspended => (403, "The tenant is suspended", false),
        ScopeEscalation => (403, "A key cannot give more than it has", false),
        MalformedJson => (400, "The body is not JSON", false),
        InvalidParameter => (422, "A parameter is not valid", false),
        UnknownField => (422, "A field is not known", false),
        UnsupportedMediaType => (415, "The media type is not read here", false),
        NotAcceptable => (406, "No acceptable media type is written here", false),
        BodyTooLarge => (413, "The body is too large", false),
        DecompressionLimit => (413, "The body unpacks to too much", false),
        JsonTooDeep => (400, "The JSON is nested too deeply", false),
        RouteNotFound => (404, "There is nothing at this path", false),
        MethodNotAllowed => (405, "The method is not allowed here", false),
        PreconditionRequired => (428, "If-Match is required", false),
        PreconditionFailed => (412, "The resource has changed", false),
        InvalidCursor => (400, "The cursor is not valid", false),
        FilterRequired => (400, "A filter is required", false),
        IdempotencyKeyInvalid => (400, "The idempotency key is not valid", false),
        IdempotencyKeyReused => (422, "The idempotency key was used for another request", false),
        IdempotencyInProgress => (409, "The first request with this key is still running", RETRY),
        DomainNotFound => (404, "There is no such domain", false),
        DomainVersionNotFound => (404, "There is no such version of the domain", false),
        DomainNameTaken => (409, "The name is taken", false),
        DomainInUse => (409, "The domain is in use", false),
        ColumnNotFound => (404, "There is no such column", false),
        SchemaIncompatible => (422, "The domains do not fit together", false),
        DataInvalid => (422, "The data is not valid", false),
        DataEmpty => (422, "There are no rows", false),
        TooManyColumns => (422, "There are too many columns", false),
        EncodingError => (422, "The text is not in a known encoding", false),
        UploadNotFound => (404, "There is no such upload", false),
        UploadOffsetMismatch => (409, "The offset is not where the upload stands", false),
        UploadExpired => (410, "The upload has expired", false),
        UploadLengthExceeded => (413, "The upload is longer than announced", false),
        DigestMismatch => (422, "The digest is not the content's", false),
        JobNotFound => (404, "There is no such job", false),
        JobAlreadyTerminal => (409, "The job has ended", false),
        JobStateConflict => (409, "The job is not in a state for this", false),
        JobDuplicate => (409, "A job like this has not ended", false),
        QueueFull => (503, "The queue is full", RETRY),
        EventsExpired => (410, "The events are not kept any more", false),
        DryRunFailed => (422, "The dry run failed", false),
        MethodNotFound => (404, "There is no such method", false),
        LearnerNotFound => (404, "There is no such learner", false),
        ModelNotFound => (404, "There is no such model", false),
        ModelVersionNotFound => (404, "There is no such version of the model", false),
        AliasNotFound => (404, "There is no such alias", false),
        ModelInUse => (409, "The model is in use", false),
        ModelCorrupt => (500, "The model file is damaged", false),
        ModelLoading => (503, "The model is being loaded", RETRY),
        InputSchemaMismatch => (422, "Input does not match the model signature", false),
        InputNotFinite => (422, "Input holds a number that is not finite", false),
        TooManyRows => (413, "There are too many rows", false),
        KeyNotFound => (404, "There is no such key", false),
        RateLimited => (429, "Too many requests", RETRY),
        QuotaExceeded => (429, "The quota is used up", false),
        Overloaded => (503, "The service is overloaded", RETRY),
        ShuttingDown => (503, "The service is stopping", RETRY),
        RequestTimeout => (408, "The request took too long to arrive", RETRY),
        ComputeTimeout => (504, "The computation took too long", false),
        StorageFull => (507, "The storage is full", false),
        StorageUnavailable => (503, "The storage does not answer", RETRY),
        Internal => (500, "The service met a defect", RETRY),
        WebhookUrlForbidden => (422, "The URL is not allowed", false),
        WebhookLimit => (409, "There are too many webhooks", false),
    };
    // All numbers above are statuses; the test below would find one that is not.
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Meaning { status, title, retryable }
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        ServiceError::new(code, detail).into()
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<ServiceError> for Problem {
    fn from(error: ServiceError) -> Self {
        let Meaning { status, title, retryable } = meaning(error.code);
        Problem {
            kind: format!("{DOCS}#{}", error.code),
            title,
            status: status.as_u16(),
            detail: error.detail,
            instance: String::new(),
            code: error.code.as_str(),
            request_id: String::new(),
            retryable,
            job: error.job.map(|id| id.to_string()),
            checks: None,
            first_available_seq: error.first_available_seq,
            errors: error.faults.into_iter().map(FaultView::from).collect(),
            retry_after: error.retry_after,
            cause: error.cause,
        }
    }
}

impl From<Fault> for FaultView {
    fn from(fault: Fault) -> Self {
        let (mut pointer, mut parameter, mut row, mut line, mut column) = (None, None, None, None, None);
        match fault.at {
            Place::Pointer(p) => pointer = Some(p),
            Place::Parameter(p) => parameter = Some(p),
            Place::Cell { row: r, line: l, column: c } => (row, line, column) = (r, l, c),
        }
        Self { pointer, parameter, row, line, column, code: fault.code, detail: fault.detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status(), Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(time) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds(time)));
        } else if self.status == 503 {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        // The outermost layer adds path and request id, which are not known here.
        response.extensions_mut().insert(self);
        response
    }
}

/// Whole seconds that are not too few.
pub fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_of_an_error() {
        for &code in Code::ALL {
            let Meaning { status, title, retryable } = meaning(code);
            assert!(status.is_client_error() || status.is_server_error(), "{code}");
            assert!(!title.is_empty() && !title.ends_with('.'), "{code}");
            assert!(status != StatusCode::SERVICE_UNAVAILABLE || retryable, "{code}: overload is for a time");
        }
    }
}
