//! Answers with a tag, which are not sent again to who has them already.

use axum::Json;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::headers::{none_match, value};
use crate::service::ServiceError;

/// Bytes of a hash that make a tag.
const TAG_BYTES: usize = 16;

/// The resource, or 304 where `If-None-Match` has its tag.
pub fn tagged<V: Serialize>(headers: &HeaderMap, etag: &str, view: V) -> Response {
    not_modified(headers, etag).unwrap_or_else(|| ([tag(etag)], Json(view)).into_response())
}

/// As [`tagged`], with a tag of what is answered, for resources that count no changes.
///
/// # Errors
/// If the view is no JSON, which is a defect.
pub fn by_content<V: Serialize>(headers: &HeaderMap, view: &V) -> Result<Response, ServiceError> {
    let bytes = serde_json::to_vec(view).map_err(ServiceError::internal)?;
    let hash: String = Sha256::digest(&bytes).iter().take(TAG_BYTES).map(|b| format!("{b:02x}")).collect();
    let etag = format!("\"{hash}\"");
    let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(not_modified(headers, &etag).unwrap_or_else(|| ([tag(&etag), json], bytes).into_response()))
}

/// 304 with the tag, where the client has it.
pub fn not_modified(headers: &HeaderMap, etag: &str) -> Option<Response> {
    none_match(headers, etag).then(|| (StatusCode::NOT_MODIFIED, [tag(etag)]).into_response())
}

fn tag(etag: &str) -> (HeaderName, HeaderValue) {
    (header::ETAG, value(etag))
}
