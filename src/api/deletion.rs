//! What is removed on request.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::domains::reference;
use super::extract::{Path, Query};
use super::headers::expected;
use super::models;
use super::problem::Problem;
use super::security::Tenant;
use crate::service::{Aliases, Lineage};

/// How much may be broken.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteQuery {
    /// Whether the domain is removed although models were made of it; false by default.
    pub force: Option<bool>,
}

/// Whether what points to a model goes with it.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct DeleteModelQuery {
    /// Whether the model is removed although aliases point to it, and they with it; false by default.
    pub force: Option<bool>,
}

/// Remove a domain with all its versions.
///
/// Refused while a job that has not ended reads it, and, unless forced, where models were made of it.
#[utoipa::path(delete, path = "/v1/domains/{name}", tag = "domains",
    params(("name" = String, Path, description = "Name or id"), DeleteQuery,
           ("If-Match" = Option<String>, Header, description = "ETag of the domain, as it was read; removed only where it is so")),
    responses((status = 204, description = "Removed")))]
pub async fn domain(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<DeleteQuery>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let lineage = if query.force == Some(true) { Lineage::Break } else { Lineage::Keep };
    app.service.delete_domain(&tenant, &reference(&name)?, lineage, expected(&headers)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove a model with all its versions.
///
/// Refused while a job that has not ended reads it, and, unless forced, where aliases point to it.
#[utoipa::path(delete, path = "/v1/models/{name}", tag = "models",
    params(("name" = String, Path, description = "Name or id"), DeleteModelQuery,
           ("If-Match" = Option<String>, Header, description = "ETag of the model, as it was read; removed only where it is so")),
    responses((status = 204, description = "Removed")))]
pub async fn model(
    State(app): State<App>,
    Tenant(tenant): Tenant,
    Path(name): Path<String>,
    Query(query): Query<DeleteModelQuery>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    let aliases = if query.force == Some(true) { Aliases::Remove } else { Aliases::Keep };
    app.service.delete_model(&tenant, &models::model(&name)?, aliases, expected(&headers)).await?;
    Ok(StatusCode::NO_CONTENT)
}
