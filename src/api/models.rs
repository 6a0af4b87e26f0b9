//! `/v1/models`: what jobs have made.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::App;
use super::conditional::tagged;
use super::extract::{JsonBody, Path, Query};
use super::headers::{etag, expected, value};
use super::pages::{Listing, PageQuery, listing};
use super::problem::Problem;
use super::security::Tenant;
use crate::records::{ModelId, ModelRecord, ModelReference, ModelVersionRecord, Reference, Timestamp};
use crate::service::{Code, ModelPatch, ModelWithVersion, ServiceError};

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelView {
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    pub name: String,
    pub latest_version: i64,
    pub description: Option<String>,
    #[schema(value_type = Object)]
    pub labels: BTreeMap<String, String>,
    /// Versions by the aliases that point to them.
    pub aliases: BTreeMap<String, i64>,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    pub updated_at: Timestamp,
    /// The version that was asked for, by default the newest; not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ModelVersionView>,
    pub links: ModelLinks,
}

/// One immutable version of a model.
#[derive(Debug, Serialize, ToSchema)]
pub struct ModelVersionView {
    pub version: i64,
    /// `name@version`, as predictions and jobs take it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The job that made it.
    pub job: String,
    /// Of the model file.
    pub sha256: String,
    pub n_bytes: i64,
    /// Columns in, classes out.
    #[schema(value_type = Object)]
    pub signature: Value,
    /// Domains with versions, base model, version of the program, spec.
    #[schema(value_type = Object)]
    pub lineage: Value,
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    pub links: ModelVersionLinks,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelLinks {
    #[serde(rename = "self")]
    pub own: String,
    pub predict: String,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ModelVersionLinks {
    pub job: String,
    pub metrics: String,
    pub predict: String,
}

/// List models by name.
#[utoipa::path(get, path = "/v1/models", tag = "models", params(PageQuery),
    responses((status = 200, body = Listing<ModelView>)))]
pub async fn list(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Query(query): Query<PageQuery>,
    uri: Uri,
) -> Result<Response, Problem> {
    let page = app.service.models(&tenant, &query.request("models")?).await?;
    Ok(listing(&uri, "models", page, |m| ModelView::of(m, None)))
}

/// Read a model and one of its versions.
///
/// The ETag changes with everything that is said of the model, its versions and its aliases.
#[utoipa::path(get, path = "/v1/models/{name}", tag = "models",
    params(("name" = String, Path, description = "Name or id, with or without @version or @alias")),
    responses((status = 200, body = ModelView), (status = 304, description = "Not changed")))]
pub async fn read(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ModelWithVersion { model, version } = app.service.model(&tenant, &reference(&name)?).await?;
    Ok(tagged(&headers, &etag(model.revision), ModelView::of(model, Some(version))))
}

/// Say what a model is.
///
/// What is left out stays as it is; null takes it away, also a single label (RFC 7396). `If-Match` is needed: the model is
/// changed only where it is as it was read.
#[utoipa::path(patch, path = "/v1/models/{name}", tag = "models", request_body = inline(Object),
    params(("name" = String, Path, description = "Name or id"),
           ("If-Match" = Option<String>, Header, description = "ETag of the model, as it was read, or *")),
    responses((status = 200, body = ModelView)))]
pub async fn patch(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: JsonBody<ModelPatch>,
) -> Result<Response, Problem> {
    let changed = app.service.patch_model(&tenant, &model(&name)?, body.value, &expected(&headers)).await?;
    Ok(([(header::ETAG, value(&etag(changed.revision)))], Json(ModelView::of(changed, None))).into_response())
}

/// What cannot be a reference refers to nothing.
pub(super) fn reference(text: &str) -> Result<ModelReference, ServiceError> {
    text.parse().map_err(|_| no_model())
}

/// A model itself, without a version.
pub(super) fn model(text: &str) -> Result<Reference<ModelId>, ServiceError> {
    text.parse().map_err(|_| no_model())
}

fn no_model() -> ServiceError {
    ServiceError::new(Code::ModelNotFound, "there is no such model")
}

impl ModelView {
    fn of(model: ModelRecord, version: Option<ModelVersionRecord>) -> Self {
        let own = format!("/v1/models/{}", model.name);
        Self {
            id: model.id.to_string(),
            object: "model",
            name: model.name.to_string(),
            latest_version: model.latest_version,
            description: model.description,
            labels: model.labels,
            aliases: model.aliases,
            created_at: model.created_at,
            updated_at: model.updated_at,
            version: version.map(ModelVersionView::from),
            links: ModelLinks { predict: format!("{own}/predict"), own },
        }
    }
}

impl From<ModelVersionRecord> for ModelVersionView {
    fn from(version: ModelVersionRecord) -> Self {
        let reference = format!("{}@{}", version.name, version.version);
        let job = format!("/v1/jobs/{}", version.job);
        Self {
            version: version.version,
            job: version.job.to_string(),
            sha256: version.blob,
            n_bytes: version.n_bytes,
            signature: version.signature,
            lineage: version.lineage,
            created_at: version.created_at,
            links: ModelVersionLinks {
                metrics: format!("{job}/metrics"),
                predict: format!("/v1/models/{reference}/predict"),
                job,
            },
            reference,
        }
    }
}
