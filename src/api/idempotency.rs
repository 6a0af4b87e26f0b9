//! `Idempotency-Key` on requests that make something: the same key makes it once.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use sha2::{Digest, Sha256};

use super::headers::idempotency_key;
use super::problem::Problem;
use crate::service::RequestKey;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request for `operation`, such as `POST /v1/jobs`. It may be used again for the same bytes only.
///
/// # Errors
/// If the key is none.
pub fn request_key(headers: &HeaderMap, operation: &str, body: &[u8]) -> Result<Option<RequestKey>, Problem> {
    let Some(key) = idempotency_key(headers)? else { return Ok(None) };
    let mut hash = Sha256::new_with_prefix(operation);
    hash.update(b"\n");
    hash.update(body);
    let fingerprint = hash.finalize().iter().map(|b| format!("{b:02x}")).collect();
    Ok(Some(RequestKey { key, fingerprint }))
}

/// Marks an answer as that to an earlier request.
pub fn replayed(mut response: Response) -> Response {
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
