//! Who sends a request, and whether it may: the key is read once, before any handler, and every documented route stands
//! in one table with the scope that it needs. A route that is not in the table is refused.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::App;
use super::headers::value;
use super::problem::{Problem, seconds};
use crate::records::{Scope, TenantId};
use crate::service::{Caller, Code, Quota, ServiceError};

/// What a route asks of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anybody, without a key: probes and documentation.
    Public,
    /// Any key that is good.
    Known,
    Needs(Scope),
    NeedsBoth(Scope, Scope),
}

const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// Routes and what they ask for.
pub const ACCESS: &[(&str, &str, Access)] = &[
    ("GET", "/v1/domains", Access::Needs(Scope::DomainsRead)),
    ("POST", "/v1/domains", Access::Needs(Scope::DomainsWrite)),
    ("GET", "/v1/domains/{name}", Access::Needs(Scope::DomainsRead)),
    ("PUT", "/v1/domains/{name}", Access::Needs(Scope::DomainsWrite)),
    ("PATCH", "/v1/domains/{name}", Access::Needs(Scope::DomainsWrite)),
    ("DELETE", "/v1/domains/{name}", Access::Needs(Scope::DomainsWrite)),
    ("GET", "/v1/domains/{name}/versions", Access::Needs(Scope::DomainsRead)),
    ("GET", "/v1/domains/{name}/versions/{n}", Access::Needs(Scope::DomainsRead)),
    ("GET", "/v1/domains/{name}/columns", Access::Needs(Scope::DomainsRead)),
    ("GET", "/v1/domains/{name}/columns/{column}", Access::Needs(Scope::DomainsRead)),
    ("GET", "/v1/domains/{name}/rows", Access::Needs(Scope::DataRead)),
    ("POST", "/v1/schema-guess", Access::Needs(Scope::DomainsWrite)),
    ("GET", "/v1/jobs", Access::Needs(Scope::JobsRead)),
    ("POST", "/v1/jobs", Access::Needs(Scope::JobsWrite)),
    ("GET", "/v1/jobs/{id}", Access::Needs(Scope::JobsRead)),
    ("POST", "/v1/jobs/cancel", Access::Needs(Scope::JobsWrite)),
    ("POST", "/v1/jobs/{id}/cancel", Access::Needs(Scope::JobsWrite)),
    ("POST", "/v1/jobs/{id}/pause", Access::Needs(Scope::JobsWrite)),
    ("POST", "/v1/jobs/{id}/resume", Access::Needs(Scope::JobsWrite)),
    ("POST", "/v1/jobs/{id}/retry", Access::Needs(Scope::JobsWrite)),
    ("GET", "/v1/jobs/{id}/events", Access::Needs(Scope::JobsRead)),
    ("GET", "/v1/events", Access::Needs(Scope::JobsRead)),
    ("GET", "/v1/jobs/{id}/metrics", Access::Needs(Scope::JobsRead)),
    ("GET", "/v1/jobs/{id}/result", Access::NeedsBoth(Scope::JobsRead, Scope::DataRead)),
    ("GET", "/v1/methods", Access::Known),
    ("GET", "/v1/methods/{id}", Access::Known),
    ("GET", "/v1/learners", Access::Known),
    ("GET", "/v1/learners/{id}", Access::Known),
    ("GET", "/v1/models", Access::Needs(Scope::ModelsRead)),
    ("GET", "/v1/models/{name}", Access::Needs(Scope::ModelsRead)),
    ("DELETE", "/v1/models/{name}", Access::Needs(Scope::ModelsWrite)),
    ("PATCH", "/v1/models/{name}", Access::Needs(Scope::ModelsWrite)),
    ("GET", "/v1/models/{name}/aliases/{alias}", Access::Needs(Scope::ModelsRead)),
    ("PUT", "/v1/models/{name}/aliases/{alias}", Access::Needs(Scope::ModelsWrite)),
    ("DELETE", "/v1/models/{name}/aliases/{alias}", Access::Needs(Scope::ModelsWrite)),
    ("POST", "/v1/models/{name}/predict", Access::Needs(Scope::ModelsPredict)),
    ("GET", "/v1/keys", Access::Needs(Scope::KeysRead)),
    ("POST", "/v1/keys", Access::Needs(Scope::KeysWrite)),
    ("GET", "/v1/keys/{id}", Access::Needs(Scope::KeysRead)),
    ("DELETE", "/v1/keys/{id}", Access::Needs(Scope::KeysWrite)),
    ("POST", "/v1/keys/{id}/rotate", Access::Needs(Scope::KeysWrite)),
    ("GET", "/livez", Access::Public),
    ("GET", "/readyz", Access::Public),
    ("GET", "/metrics", Access::Needs(Scope::MetricsRead)),
];

/// What the route of a method and path asks for; `None` where it is not in the table.
pub fn access(method: &Method, route: &str) -> Option<Access> {
    // What answers GET answers HEAD.
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    ACCESS.iter().find(|(m, r, _)| *m == method && *r == route).map(|(_, _, access)| *access)
}

/// Lets through what is allowed, with the caller in the request's extensions. A key with a limit pays for whatever it
/// asks.
pub async fn guard(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let caller = match identify(&app, &request) {
        Ok(Some(caller)) => caller,
        Ok(None) => return next.run(request).await,
        Err(error) => return refused(error),
    };
    let quota = caller.charge(app.service.clock().now());
    let within = quota.as_ref().map_or(Ok(()), Quota::check);
    let mut response = match within.and_then(|()| permit(&caller, &request)) {
        Ok(()) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refused(error),
    };
    if let Some(quota) = quota {
        tell(response.headers_mut(), &quota);
    }
    response
}

fn refused(error: ServiceError) -> Response {
    let unauthenticated = matches!(error.code, Code::MissingCredentials | Code::InvalidCredentials | Code::KeyExpired);
    let mut response = Problem::from(error).into_response();
    if unauthenticated {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// `None` where nobody has to be known: what is no route answers 404 to everybody; probes, pages and the document stand
/// outside /v1.
fn identify(app: &App, request: &Request) -> Result<Option<Caller>, ServiceError> {
    match route(request) {
        Some(route) if access(request.method(), route) != Some(Access::Public) => {
            app.service.caller(token(request.headers())?).map(Some)
        }
        _ => Ok(None),
    }
}

fn route(request: &Request) -> Option<&str> {
    let route = request.extensions().get::<MatchedPath>()?.as_str();
    (route.starts_with("/v1/") || route == "/metrics").then_some(route)
}

fn permit(caller: &Caller, request: &Request) -> Result<(), ServiceError> {
    match access(request.method(), route(request).unwrap_or_default()) {
        Some(Access::Public | Access::Known) => Ok(()),
        Some(Access::Needs(scope)) => caller.require(scope),
        Some(Access::NeedsBoth(first, second)) => caller.require(first).and_then(|()| caller.require(second)),
        // A method that the route does not have, which is told as such; a new route without its line is kept shut.
        None => caller.require(Scope::Admin),
    }
}

/// Where a key stands, as draft-ietf-httpapi-ratelimit-headers writes it.
fn tell(headers: &mut HeaderMap, quota: &Quota) {
    let Quota { limit, remaining, reset, .. } = quota;
    let policy = format!("\"default\";q={};w={}", limit.requests, limit.window_s);
    headers.insert(RATE_LIMIT_POLICY, value(&policy));
    headers.insert(RATE_LIMIT, value(&format!("\"default\";r={remaining};t={}", seconds(*reset))));
}

/// The token of `Authorization: Bearer …`.
fn token(headers: &HeaderMap) -> Result<Option<&str>, ServiceError> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(ServiceError::new(Code::InvalidCredentials, "keys are sent as Authorization: Bearer ak_…")),
    }
}

/// Who sends the request.
pub struct Known(pub Caller);

/// Whose things the request is about.
pub struct Tenant(pub TenantId);

impl FromRequestParts<App> for Known {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        // A handler outside the guard would otherwise act for a tenant that nobody has proved to be.
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.map(Known).ok_or_else(|| ServiceError::internal("a route without the guard asks for its caller").into())
    }
}

impl FromRequestParts<App> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let Known(caller) = Known::from_request_parts(parts, app).await?;
        Ok(Tenant(caller.tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::router;

    #[test]
    fn every_documented_route_stands_in_the_table_once_and_nothing_else_does() {
        let (_, api) = router::documented().split_for_parts();
        let document = serde_json::to_value(&api).expect("a document");
        let mut documented: Vec<(String, String)> = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            let methods = ["get", "put", "post", "delete", "patch"];
            let own = methods.iter().filter(|m| item.get(**m).is_some());
            documented.extend(own.map(|m| (m.to_uppercase(), path.clone())));
        }
        let mut table: Vec<(String, String)> =
            ACCESS.iter().map(|(m, p, _)| ((*m).to_owned(), (*p).to_owned())).collect();
        documented.sort();
        table.sort();
        assert_eq!(table, documented);
    }
}
