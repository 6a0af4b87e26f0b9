//! `/v1/models/{name}/aliases/{alias}`: names for versions of a model that are moved from one to the next.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::App;
use super::conditional::tagged;
use super::extract::{JsonBody, Path};
use super::headers::{etag, expected, value};
use super::models::model;
use super::problem::Problem;
use super::security::Tenant;
use crate::records::{Alias, AliasRecord, BadName, Timestamp};
use crate::service::{Code, PutAlias, ServiceError};

/// An alias of a version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct AliasView {
    /// Always `alias`.
    pub object: &'static str,
    pub alias: String,
    /// `name@alias`, as predictions and jobs take it.
    #[serde(rename = "ref")]
    pub reference: String,
    pub version: i64,
    /// `name@version` that it stands for.
    pub model: String,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    pub links: AliasLinks,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct AliasLinks {
    #[serde(rename = "self")]
    pub own: String,
    pub model: String,
    pub predict: String,
}

/// Where an alias is to point.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct AliasTarget {
    #[schema(minimum = 1)]
    pub version: i64,
}

/// Read an alias.
#[utoipa::path(get, path = "/v1/models/{name}/aliases/{alias}", tag = "models",
    params(("name" = String, Path, description = "Name or id of the model"),
           ("alias" = String, Path, description = "The alias")),
    responses((status = 200, body = AliasView), (status = 304, description = "Not changed")))]
pub async fn read(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path((name, alias)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let found = app.service.alias(&tenant, &model(&name)?, &known(&alias)?).await?;
    Ok(tagged(&headers, &etag(found.revision), AliasView::from(found)))
}

/// Point an alias to a version.
///
/// Makes the alias where the model has none of that name. One that is there is moved only where it is as it was read:
/// `If-Match` is its ETag, or `*`. With `If-None-Match: *` it is only made. Requests that come after the answer meet the
/// new version.
#[utoipa::path(put, path = "/v1/models/{name}/aliases/{alias}", tag = "models", request_body = AliasTarget,
    params(("name" = String, Path, description = "Name or id of the model"),
           ("alias" = String, Path, description = "A name; not a number, v with a number, or latest"),
           ("If-Match" = Option<String>, Header, description = "ETag of the alias, as it was read"),
           ("If-None-Match" = Option<String>, Header, description = "*: the alias is made and not moved")),
    responses((status = 201, body = AliasView), (status = 200, description = "It was there", body = AliasView)))]
pub async fn put(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path((name, alias)): Path<(String, String)>,
    headers: HeaderMap,
    body: JsonBody<AliasTarget>,
) -> Result<Response, Problem> {
    let refused = |_: BadName| {
        let detail = "an alias is a name, and not a number, v with a number, or latest, which mean versions";
        ServiceError::parameter(Code::InvalidParameter, "alias", detail)
    };
    let which = model(&name)?;
    let alias = alias.parse::<Alias>().map_err(refused)?;
    let put = app.service.put_alias(&tenant, (&which, alias), body.value.version, expected(&headers)).await?;
    let (status, alias) = match put {
        PutAlias::Created(alias) => (StatusCode::CREATED, alias),
        PutAlias::Moved(alias) => (StatusCode::OK, alias),
    };
    let etag = value(&etag(alias.revision));
    let view = AliasView::from(alias);
    let head = [(header::LOCATION, value(&view.links.own)), (header::ETAG, etag)];
    Ok((status, head, Json(view)).into_response())
}

/// Remove an alias.
///
/// The version stays. `If-Match` is needed: the alias is removed only where it is as it was read.
#[utoipa::path(delete, path = "/v1/models/{name}/aliases/{alias}", tag = "models",
    params(("name" = String, Path, description = "Name or id of the model"),
           ("alias" = String, Path, description = "The alias"),
           ("If-Match" = Option<String>, Header, description = "ETag of the alias, as it was read, or *")),
    responses((status = 204, description = "Removed")))]
pub async fn delete(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path((name, alias)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    app.service.delete_alias(&tenant, (&model(&name)?, &known(&alias)?), expected(&headers)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What cannot be an alias is none.
fn known(text: &str) -> Result<Alias, ServiceError> {
    text.parse().map_err(|_| ServiceError::new(Code::AliasNotFound, "there is no such alias"))
}

impl From<AliasRecord> for AliasView {
    fn from(alias: AliasRecord) -> Self {
        let model = format!("/v1/models/{}", alias.model);
        let reference = format!("{}@{}", alias.model, alias.alias);
        Self {
            object: "alias",
            links: AliasLinks {
                own: format!("{model}/aliases/{}", alias.alias),
                predict: format!("/v1/models/{reference}/predict"),
                model,
            },
            reference,
            alias: alias.alias.to_string(),
            version: alias.version,
            model: format!("{}@{}", alias.model, alias.version),
            created_at: alias.created_at,
            updated_at: alias.updated_at,
        }
    }
}
