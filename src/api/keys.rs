//! `/v1/keys`: who may ask for what. A secret is in the answer that makes it and nowhere else.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use super::conditional::by_content;
use super::extract::{JsonBody, Path, Query};
use super::headers::value;
use super::idempotency::{replayed, request_key};
use super::pages::{Listing, PageQuery, listing};
use super::problem::Problem;
use super::security::{Known, Tenant};
use crate::records::{KeyId, KeyRecord, Timestamp};
use crate::service::{Code, FreshKey, NewKey, Once, RotateKey, ServiceError};

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"id": "key_019ab3f2-5c1e-7d3a-9b1f-2f4c6d8e0a12", "object": "key", "name": "ci",
    "scopes": ["domains:write", "jobs:write"], "created_at": "2026-11-23T18:03:55.120Z", "expires_at": null,
    "revoked_at": null, "rate_limit": {"requests": 600, "window": "PT60S"}}))]
pub struct KeyView {
    pub id: String,
    /// Always `key`.
    pub object: &'static str,
    pub name: String,
    pub scopes: Vec<&'static str>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Timestamp>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub revoked_at: Option<Timestamp>,
    /// How often the key may ask; null: as often as it likes.
    pub rate_limit: Option<RateLimitView>,
}

/// So many requests in so long.
#[derive(Debug, Serialize, ToSchema)]
pub struct RateLimitView {
    pub requests: u32,
    /// ISO 8601 duration.
    pub window: String,
}

/// A key with its secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct FreshKeyView {
    /// The secret: to be sent as `Authorization: Bearer ak_…`. It is not shown again: null in the answer to a request that
    /// made the key before (`Idempotency-Replayed: true`).
    pub token: Option<String>,
    pub key: KeyView,
}

/// Make a key.
///
/// It belongs to the tenant of the caller and cannot allow what the caller may not. From the first key on, every
/// request needs one. The secret is stored nowhere: who sends the request again, because the answer was lost, gets the key
/// with `token: null`, and a secret by `/v1/keys/{id}/rotate`.
#[utoipa::path(post, path = "/v1/keys", tag = "keys", request_body = inline(Object),
    params(("Idempotency-Key" = Option<String>, Header, description = "The same key makes one key; kept for a day")),
    responses((status = 201, body = FreshKeyView)))]
pub async fn create(
    State(app): State<App>,
    Known(caller): Known,
    headers: HeaderMap,
    body: JsonBody<NewKey>,
) -> Result<Response, Problem> {
    let request = request_key(&headers, "POST /v1/keys", &body.bytes)?;
    let answer = |view: FreshKeyView| {
        let location = value(&format!("/v1/keys/{}", view.key.id));
        (StatusCode::CREATED, [(header::LOCATION, location), NO_STORE], Json(view)).into_response()
    };
    Ok(match app.service.create_key(&caller, body.value, request).await? {
        Once::New(fresh) => answer(fresh.into()),
        Once::Replayed(key) => replayed(answer(FreshKeyView { token: None, key: key.into() })),
    })
}

/// List keys, newest first.
#[utoipa::path(get, path = "/v1/keys", tag = "keys", params(PageQuery),
    responses((status = 200, body = Listing<KeyView>)))]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query<PageQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = app.service.list_keys(&tenant, &query.request("keys")?).await?;
    Ok(listing(&uri, "keys", page, KeyView::from))
}

/// Read a key.
#[utoipa::path(get, path = "/v1/keys/{id}", tag = "keys", params(("id" = String, Path, description = "Id of the key")),
    responses((status = 200, body = KeyView), (status = 304, description = "Not changed")))]
pub async fn read(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(by_content(&headers, &KeyView::from(app.service.read_key(&tenant, key(&id)?).await?))?)
}

/// Revoke a key.
///
/// From the answer on it is refused. It stays in the list. A key that may what the caller may not is not revoked.
#[utoipa::path(delete, path = "/v1/keys/{id}", tag = "keys",
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "Revoked")))]
pub async fn revoke(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.service.revoke_key(&caller, key(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Give a key a new secret.
///
/// The old one is accepted for the time of `grace`, so that its users can change over.
#[utoipa::path(post, path = "/v1/keys/{id}/rotate", tag = "keys", request_body = inline(Object),
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 200, body = FreshKeyView)))]
pub async fn rotate(
    State(app): State<App>,
    Known(caller): Known,
    Path(id): Path<String>,
    body: JsonBody<RotateKey>,
) -> Result<Response, Problem> {
    let fresh = app.service.rotate_key(&caller, key(&id)?, body.value).await?;
    Ok(([NO_STORE], Json(FreshKeyView::from(fresh))).into_response())
}

/// A secret is for the client alone.
const NO_STORE: (header::HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

fn key(text: &str) -> Result<KeyId, ServiceError> {
    text.parse().map_err(|()| ServiceError::new(Code::KeyNotFound, "there is no such key"))
}

impl From<KeyRecord> for KeyView {
    fn from(key: KeyRecord) -> Self {
        Self {
            id: key.id.to_string(),
            object: "key",
            name: key.name,
            scopes: key.scopes.into_iter().map(|s| s.as_str()).collect(),
            created_at: key.created_at,
            expires_at: key.expires_at,
            revoked_at: key.revoked_at,
            rate_limit: key
                .rate_limit
                .map(|limit| RateLimitView { requests: limit.requests, window: format!("PT{}S", limit.window_s) }),
        }
    }
}

impl From<FreshKey> for FreshKeyView {
    fn from(fresh: FreshKey) -> Self {
        Self { token: Some(fresh.token), key: fresh.record.into() }
    }
}
