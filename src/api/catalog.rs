//! `/v1/methods` and `/v1/learners`: cards, and the JSON Schema that forms are built from.

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::conditional::by_content;
use super::extract::Path;
use super::pages::Listing;
use super::problem::Problem;
use crate::service::{self, LearnerEntry, MethodEntry};

/// A method: what it does, when to use it, and its parameters.
#[derive(Debug, Serialize, ToSchema)]
pub struct MethodView {
    pub id: &'static str,
    /// Always `method`.
    pub object: &'static str,
    pub title: &'static str,
    #[schema(value_type = String)]
    pub family: Value,
    pub summary: &'static str,
    pub when_to_use: &'static str,
    pub when_not: &'static str,
    #[schema(value_type = Vec<String>)]
    pub tasks: Value,
    /// `nothing` or `target_labels`.
    #[schema(value_type = String)]
    pub needs: Value,
    /// Whether it brings its own predictor; a learner is refused then.
    pub brings_predictor: bool,
    pub cost: &'static str,
    pub references: &'static [&'static str],
    pub defaults_from: &'static str,
    /// JSON Schema of `params`.
    #[schema(value_type = Object)]
    pub schema: Value,
    #[schema(value_type = Object)]
    pub defaults: Value,
}

/// A base learner: the predictor that follows an adapter.
#[derive(Debug, Serialize, ToSchema)]
pub struct LearnerView {
    pub id: &'static str,
    /// Always `learner`.
    pub object: &'static str,
    pub title: &'static str,
    pub summary: &'static str,
    #[schema(value_type = Vec<String>)]
    pub tasks: Value,
    pub cost: &'static str,
    pub references: &'static [&'static str],
    /// Whether it can continue from a fitted model.
    pub warm_start: bool,
    /// JSON Schema of `params`.
    #[schema(value_type = Object)]
    pub schema: Value,
    #[schema(value_type = Object)]
    pub defaults: Value,
}

/// List methods.
#[utoipa::path(get, path = "/v1/methods", tag = "catalog", 
    responses((status = 200, body = Listing<MethodView>), (status = 304, description = "Not changed")))]
pub async fn methods(headers: HeaderMap) -> Result<Response, Problem> {
    let data = service::methods().into_iter().map(MethodView::from).collect();
    Ok(by_content(&headers, &Listing { data, next_cursor: None })?)
}

/// Read a method.
#[utoipa::path(get, path = "/v1/methods/{id}", tag = "catalog",
    params(("id" = String, Path, description = "Id of the method")),
    responses((status = 200, body = MethodView), (status = 304, description = "Not changed")))]
pub async fn method(Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(by_content(&headers, &MethodView::from(service::method(&id)?))?)
}

/// List learners.
#[utoipa::path(get, path = "/v1/learners", tag = "catalog", 
    responses((status = 200, body = Listing<LearnerView>), (status = 304, description = "Not changed")))]
pub async fn learners(headers: HeaderMap) -> Result<Response, Problem> {
    let data = service::learners().into_iter().map(LearnerView::from).collect();
    Ok(by_content(&headers, &Listing { data, next_cursor: None })?)
}

/// Read a learner.
#[utoipa::path(get, path = "/v1/learners/{id}", tag = "catalog",
    params(("id" = String, Path, description = "Id of the learner")),
    responses((status = 200, body = LearnerView), (status = 304, description = "Not changed")))]
pub async fn learner(Path(id): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    Ok(by_content(&headers, &LearnerView::from(service::learner(&id)?))?)
}

/// Words of a card as they are serialised; plain enums always are.
fn words(of: impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or(Value::Null)
}

impl From<MethodEntry> for MethodView {
    fn from(MethodEntry { card, brings_predictor, schema, defaults }: MethodEntry) -> Self {
        Self {
            id: card.id,
            brings_predictor,
            object: "method",
            title: card.title,
            family: words(card.family),
            summary: card.summary,
            when_to_use: card.when_to_use,
            when_not: card.when_not,
            tasks: words(card.tasks),
            needs: words(card.needs),
            cost: card.cost,
            references: card.references,
            defaults_from: card.defaults_from,
            schema,
            defaults,
        }
    }
}

impl From<LearnerEntry> for LearnerView {
    fn from(LearnerEntry { card, schema, defaults }: LearnerEntry) -> Self {
        Self {
            id: card.id,
            object: "learner",
            title: card.title,
            summary: card.summary,
            tasks: words(card.tasks),
            cost: card.cost,
            references: card.references,
            warm_start: card.warm_start,
            schema,
            defaults,
        }
    }
}
