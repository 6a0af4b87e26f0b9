//! Why a use case was refused: a stable code, a sentence, and the places that are wrong. The codes
//! are one list; what they mean to a protocol is decided where that protocol is spoken.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::records::JobId;
use crate::store::StoreError;

macro_rules! codes {
    ($($variant:ident = $text:literal,)*) => {
        /// Every code that the service can answer. Published: a code is never renamed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $text] $variant,)*
        }

        impl Code {
            /// In the order in which they are documented.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Code::$variant => $text,)*
                }
            }
        }
    };
}

codes! {
    MissingCredentials = "missing_credentials",
    InvalidCredentials = "invalid_credentials",
    KeyExpired = "key_expired",
    InsufficientScope = "insufficient_scope",
    TenantSuspended = "tenant_suspended",
    ScopeEscalation = "scope_escalation",
    MalformedJson = "malformed_json",
    InvalidParameter = "invalid_parameter",
    UnknownField = "unknown_field",
    UnsupportedMediaType = "unsupported_media_type",
    NotAcceptable = "not_acceptable",
    BodyTooLarge = "body_too_large",
    DecompressionLimit = "decompression_limit",
    JsonTooDeep = "json_too_deep",
    RouteNotFound = "route_not_found",
    MethodNotAllowed = "method_not_allowed",
    PreconditionRequired = "precondition_required",
    PreconditionFailed = "precondition_failed",
    InvalidCursor = "invalid_cursor",
    FilterRequired = "filter_required",
    IdempotencyKeyInvalid = "idempotency_key_invalid",
    IdempotencyKeyReused = "idempotency_key_reused",
    IdempotencyInProgress = "idempotency_in_progress",
    DomainNotFound = "domain_not_found",
    DomainVersionNotFound = "domain_version_not_found",
    DomainNameTaken = "domain_name_taken",
    DomainInUse = "domain_in_use",
    ColumnNotFound = "column_not_found",
    SchemaIncompatible = "schema_incompatible",
    DataInvalid = "data_invalid",
    DataEmpty = "data_empty",
    TooManyColumns = "too_many_columns",
    EncodingError = "encoding_error",
    UploadNotFound = "upload_not_found",
    UploadOffsetMismatch = "upload_offset_mismatch",
    UploadExpired = "upload_expired",
    UploadLengthExceeded = "upload_length_exceeded",
    DigestMismatch = "digest_mismatch",
    JobNotFound = "job_not_found",
    JobAlreadyTerminal = "job_already_terminal",
    JobStateConflict = "job_state_conflict",
    JobDuplicate = "job_duplicate",
    QueueFull = "queue_full",
    EventsExpired = "events_expired",
    DryRunFailed = "dry_run_failed",
    MethodNotFound = "method_not_found",
    LearnerNotFound = "learner_not_found",
    ModelNotFound = "model_not_found",
    ModelVersionNotFound = "model_version_not_found",
    AliasNotFound = "alias_not_found",
    ModelInUse = "model_in_use",
    ModelCorrupt = "model_corrupt",
    ModelLoading = "model_loading",
    InputSchemaMismatch = "input_schema_mismatch",
    InputNotFinite = "input_not_finite",
    TooManyRows = "too_many_rows",
    KeyNotFound = "key_not_found",
    RateLimited = "rate_limited",
    QuotaExceeded = "quota_exceeded",
    Overloaded = "overloaded",
    ShuttingDown = "shutting_down",
    RequestTimeout = "request_timeout",
    ComputeTimeout = "compute_timeout",
    StorageFull = "storage_full",
    StorageUnavailable = "storage_unavailable",
    Internal = "internal",
    WebhookUrlForbidden = "webhook_url_forbidden",
    WebhookLimit = "webhook_limit",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One place that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub at: Place,
    /// What is wrong with it, in one word of lower snake case.
    pub code: String,
    pub detail: String,
}

/// Where a fault is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A JSON pointer into the document that was sent.
    Pointer(String),
    /// A named parameter next to the document.
    Parameter(String),
    /// A place in a table: row counted from 1 without the header, line of a text file counted from 1,
    /// column by name.
    Cell { row: Option<u64>, line: Option<u64>, column: Option<String> },
}

/// Why a use case was refused. `detail` is public text; what only operators may read is in `cause`.
#[derive(Debug, Error)]
#[error("{code}: {detail}")]
pub struct ServiceError {
    pub code: Code,
    pub detail: String,
    pub faults: Vec<Fault>,
    /// The job that stands in the way.
    pub job: Option<JobId>,
    /// The first event that is there, where earlier ones were asked for.
    pub first_available_seq: Option<i64>,
    /// When the same request may succeed, where that is known.
    pub retry_after: Option<Duration>,
    /// For the log alone.
    pub cause: Option<String>,
}

impl ServiceError {
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            faults: Vec::new(),
            job: None,
            first_available_seq: None,
            retry_after: None,
            cause: None,
        }
    }

    /// A fault at one place of the document that was sent.
    pub fn at(code: Code, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let (pointer, detail) = (pointer.into(), detail.into());
        let place = if pointer.is_empty() { "the document".to_owned() } else { pointer.clone() };
        Self::new(code, format!("{place}: {detail}")).with(Fault {
            at: Place::Pointer(pointer),
            code: code.as_str().to_owned(),
            detail,
        })
    }

    /// A fault of a parameter that stands beside the document.
    pub fn parameter(code: Code, name: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(code, format!("{name}: {detail}")).with(Fault {
            at: Place::Parameter(name.to_owned()),
            code: code.as_str().to_owned(),
            detail,
        })
    }

    /// Something of ours is broken; the cause is logged and not told.
    pub fn internal(cause: impl fmt::Display) -> Self {
        let mut error = Self::new(Code::Internal, "the service met a defect of its own; it has been logged");
        error.cause = Some(cause.to_string());
        error
    }

    /// Several faults in one answer. The code is `unknown_field` only where all are.
    pub fn of_faults(faults: Vec<Fault>) -> Self {
        let unknown = Code::UnknownField.as_str();
        let code = if faults.iter().all(|f| f.code == unknown) { Code::UnknownField } else { Code::InvalidParameter };
        let detail = match faults.as_slice() {
            [one] => match &one.at {
                Place::Pointer(p) => format!("{p}: {}", one.detail),
                _ => one.detail.clone(),
            },
            many => format!("{} problems", many.len()),
        };
        Self { faults, ..Self::new(code, detail) }
    }

    #[must_use]
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }
}

impl From<StoreError> for ServiceError {
    fn from(error: StoreError) -> Self {
        let cause = error.to_string();
        match error {
            StoreError::Full => Self::new(Code::StorageFull, "the disk of the service is full"),
            StoreError::Unavailable(_) => {
                let public = Self::new(Code::StorageUnavailable, "the database does not answer; try again");
                Self { cause: Some(cause), ..public }
            }
            StoreError::BadCursor => Self::parameter(Code::InvalidCursor, "cursor", "not a cursor of this list"),
            StoreError::Corrupt(_) | StoreError::Refused(_) => Self::internal(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_words() {
        let mut words: Vec<&str> = Code::ALL.iter().map(|c| c.as_str()).collect();
        words.sort_unstable();
        let n = words.len();
        words.dedup();
        assert_eq!(words.len(), n);
        assert!(words.iter().all(|w| w.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
    }
}
