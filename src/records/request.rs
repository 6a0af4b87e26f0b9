//! Requests that clients may send again, and what the first of them made.

use super::ids::{DomainId, JobId, KeyId, TenantId};
use super::time::Timestamp;

/// A request with a key of the client's, under which it is done once.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyedRequest {
    pub tenant: TenantId,
    pub key: String,
    /// Hash of method, path and body.
    pub fingerprint: String,
    pub at: Timestamp,
    /// Requests of this time and before are forgotten.
    pub forgotten: Timestamp,
}

/// What a request made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    Job(JobId),
    Key(KeyId),
    DomainVersion {
        domain: DomainId,
        version: i64,
        /// False where it was there before.
        was_new: bool,
    },
}

/// What a key has been used for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// The same request, which made this.
    Same(Made),
    /// Another one.
    Other,
}
