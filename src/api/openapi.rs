//! The OpenAPI document: what the handlers say, the schemas of methods and learners, and the problem
//! that every operation may answer.

use std::sync::LazyLock;

use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use utoipa::openapi::{InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Tag};
use utoipa::{PartialSchema, ToSchema};

use super::examples;
use super::problem::{FaultView, Problem};
use super::router;
use super::security::{Access, access};
use crate::records::{JobKind, Scope};
use crate::service::{self, FileFormat, Include};
use adaptation::engine::Evaluation;
use adaptation::features::FeatureParams;
use adaptation::params::schema_of;

/// The document is the same for all of a process's life.
static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

const DESCRIPTION: &str = "Upload domains, start jobs that adapt a model from sources to a target, read metrics, \
    predict. Errors are problem documents (RFC 9457); programs decide by their code. Unknown fields are refused.";

/// Media types of files of rows, beside JSON.
const FILES: [&str; 9] = [
    "text/csv",
    "text/tab-separated-values",
    "application/x-ndjson",
    "application/vnd.apache.parquet",
    "application/vnd.apache.arrow.stream",
    "application/vnd.apache.arrow.file",
    "application/x-npy",
    "application/x-npz",
    "application/octet-stream",
];

/// Headers of answers: method, path, statuses, names.
type Headers = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const HEADERS: &[Headers] = &[
    ("post", "/v1/domains", &["200", "201"], &["Location", "ETag"]),
    ("put", "/v1/domains/{name}", &["200", "201"], &["Location", "ETag"]),
    ("patch", "/v1/domains/{name}", &["200", "201"], &["Location", "ETag"]),
    ("post", "/v1/keys", &["201"], &["Location"]),
    ("post", "/v1/jobs", &["200"], &["Location", "ETag"]),
    ("post", "/v1/jobs", &["202"], &["Location", "ETag", "Retry-After"]),
    ("post", "/v1/jobs/{id}/cancel", &["200", "202"], &["ETag"]),
    ("patch", "/v1/models/{name}", &["200"], &["ETag"]),
    ("put", "/v1/models/{name}/aliases/{alias}", &["200", "201"], &["Location", "ETag"]),
    ("post", "/v1/models/{name}/predict", &["200"], &["Adaptd-Model", "Adaptd-Classes"]),
];

/// What stands above the paths.
pub(super) fn head() -> OpenApi {
    let license = LicenseBuilder::new().name("Apache-2.0 OR MIT").identifier(Some("Apache-2.0 OR MIT")).build();
    let info = InfoBuilder::new()
        .title("adaptd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(license))
        .build();
    let tags = ["domains", "jobs", "models", "catalog", "keys", "health"].map(Tag::new);
    OpenApiBuilder::new().info(info).tags(Some(tags)).build()
}

/// The document as YAML, as it is committed.
///
/// # Errors
/// If a schema of ours cannot be written, which is a defect.
pub fn document_yaml() -> Result<String, String> {
    yaml_serde::to_string(&*DOCUMENT).map_err(|e| e.to_string())
}

pub(super) async fn yaml() -> Response {
    match document_yaml() {
        Ok(text) => ([(header::CONTENT_TYPE, "application/yaml")], text).into_response(),
        Err(e) => super::problem::Problem::from(service::ServiceError::internal(e)).into_response(),
    }
}

pub(super) async fn json() -> axum::Json<&'static Value> {
    axum::Json(&DOCUMENT)
}

fn document() -> Value {
    let (_, api) = router::documented().split_for_parts();
    // What utoipa built always serialises; an empty document would fail the comparison in the tests.
    let mut document = serde_json::to_value(&api).unwrap_or_default();
    add_schemas(&mut document);
    add_problems(&mut document);
    add_tags(&mut document);
    add_headers(&mut document);
    add_bodies(&mut document);
    add_security(&mut document);
    examples::add(&mut document);
    document
}

/// Keys, and the scope that each operation needs. A service without keys asks for none.
fn add_security(document: &mut Value) {
    document["components"]["securitySchemes"]["key"] =
        json!({"type": "http", "scheme": "bearer", "description": "A key, ak_…; see /v1/keys"});
    let Some(paths) = document["paths"].as_object_mut() else { return };
    for (path, item) in paths {
        for (method, operation) in item.as_object_mut().into_iter().flatten().filter(|(_, o)| o.is_object()) {
            let Ok(method) = method.to_uppercase().parse::<Method>() else { continue };
            // Either without a key or with one, as the service is run.
            let with = |scopes: &[&str]| json!([{}, {"key": scopes}]);
            match access(&method, path) {
                Some(Access::Needs(scope)) => operation["security"] = with(&[scope.as_str()]),
                Some(Access::NeedsBoth(a, b)) => operation["security"] = with(&[a.as_str(), b.as_str()]),
                Some(Access::Known) | None => operation["security"] = with(&[]),
                Some(Access::Public) => operation["security"] = json!([]),
            }
        }
    }
}

fn add_schemas(document: &mut Value) {
    let schemas = &mut document["components"]["schemas"];
    schemas["Problem"] = serde_json::to_value(Problem::schema()).unwrap_or_default();
    schemas[FaultView::name().as_ref()] = serde_json::to_value(FaultView::schema()).unwrap_or_default();
    let choice = |id: &str, title: &str, params: &Value| {
        json!({"type": "object", "title": title, "required": ["id"], "additionalProperties": false,
               "properties": {"id": {"type": "string", "const": id}, "params": params}})
    };
    let methods = service::methods().into_iter().map(|m| choice(m.card.id, m.card.title, &m.schema));
    schemas["MethodChoice"] = one_of(methods.collect());
    let learners = service::learners().into_iter().map(|l| choice(l.card.id, l.card.title, &l.schema));
    schemas["LearnerChoice"] = one_of(learners.collect());
    schemas["FeatureParams"] = schema_of::<FeatureParams>();
    schemas["Evaluation"] = schema_of::<Evaluation>();
    schemas["JobRequest"] = job_request();
    schemas["PredictRequest"] = predict_request();
}

fn one_of(schemas: Vec<Value>) -> Value {
    // An empty list would allow nothing and is not valid.
    if schemas.is_empty() { json!({"type": "object"}) } else { json!({ "oneOf": schemas }) }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The schema of the document that starts a job; its fields are those of `service::JobRequest`.
fn job_request() -> Value {
    const REFERENCE: &str = "^[a-z0-9][a-z0-9._-]{0,99}(@[1-9][0-9]*)?$";
    const MODEL: &str = "^[a-z0-9][a-z0-9._-]{0,99}(@[a-z0-9][a-z0-9._-]{0,99})?$";
    json!({
        "type": "object",
        "required": ["kind"],
        "additionalProperties": false,
        "properties": {
            "kind": {"type": "string", "enum": JobKind::ALL.map(JobKind::as_str)},
            "sources": {"type": "array", "maxItems": 100, "items": {"type": "string", "pattern": REFERENCE},
                        "description": "Labelled domains, by name or name@version. Required for adapt."},
            "target": {"type": "string", "pattern": REFERENCE, "description": "The domain to adapt to, to predict or to score. Required for all kinds but batch."},
            "method": reference("MethodChoice"),
            "learner": reference("LearnerChoice"),
            "features": reference("FeatureParams"),
            "evaluation": reference("Evaluation"),
            "seed": {"type": "integer", "minimum": 0, "maximum": i64::MAX, "default": 0},
            "model": {"type": "string", "pattern": MODEL,
                      "description": "A name: the model that the job makes a version of, named after the job by default. \
                                      For predict and evaluate: the stored model to run, as name, name@version or name@alias."},
            "format": {"type": "string", "enum": FileFormat::ALL.map(FileFormat::as_str), "default": "csv",
                       "description": "Of the file that predict leaves."},
            "include": {"type": "array", "items": {"type": "string", "enum": Include::ALL.map(Include::as_str)},
                        "description": "What predict writes beside each prediction; features only into ndjson."},
            "base": {"type": "string", "pattern": MODEL,
                     "description": "The model that fine_tune continues, as name, name@version or name@alias."},
            "priority": {"type": "integer", "minimum": -10, "maximum": 10, "default": 0},
            "max_attempts": {"type": "integer", "minimum": 1, "maximum": 100, "default": 3},
            "deadline": {"type": "string", "description": "ISO 8601 duration from now, such as PT2H."},
            "labels": {"type": "object", "maxProperties": 64,
                       "additionalProperties": {"type": "string", "maxLength": 256}},
            "unique_key": {"type": "string", "minLength": 1, "maxLength": 256,
                           "description": "Of jobs of one kind and key, one at a time is accepted that has not ended."},
            "jobs": {"type": "array", "minItems": 1, "maxItems": 200, "items": {"type": "object"},
                     "description": "The jobs of a batch, each as it would be sent alone. What the batch says about priority, \
                                     max_attempts, deadline and labels holds for those that do not say it."},
            "time_budget": {"type": "string", "description": "ISO 8601 duration; read by select alone."},
            "risk": {"type": "string", "enum": ["conservative", "balanced", "aggressive"],
                     "description": "Read by select alone."}
        },
        "examples": [{
            "kind": "adapt", "sources": ["adelie"], "target": "gentoo",
            "method": {"id": "coral"}, "learner": {"id": "logistic", "params": {"l2": 0.001}},
            "model": "penguins"
        }, {
            "kind": "predict", "model": "penguins@1", "target": "gentoo@1", "format": "parquet", "include": ["source_only"]
        }, {
            "kind": "evaluate", "model": "penguins@1", "target": "gentoo@1"
        }, {
            "kind": "batch", "jobs": [
                {"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"}},
                {"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "moment_matching"}}
            ]
        }]
    })
}

fn predict_request() -> Value {
    let cell = json!({"type": ["number", "string", "boolean", "null"]});
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "rows": {"type": "array", "items": {"type": "object", "additionalProperties": cell}},
            "columns": {"type": "array", "items": {"type": "string"}},
            "data": {"type": "array", "items": {"type": "array", "items": cell}},
            "include": {"type": "array", "items": {"type": "string", "enum": ["source_only", "features"]},
                        "description": "As the parameter of that name."}
        },
        "examples": [{"rows": [{"bill_length_mm": 39.1, "bill_depth_mm": 18.7}]},
                     {"columns": ["bill_length_mm", "bill_depth_mm"], "data": [[39.1, 18.7]],
                      "include": ["source_only"]}]
    })
}

/// Every operation may answer with a problem.
fn add_problems(document: &mut Value) {
    document["components"]["responses"]["Problem"] = json!({
        "description": "What is wrong, with a stable code; /docs/errors lists them",
        "content": {"application/problem+json": {"schema": reference("Problem")}}
    });
    for operation in operations(document) {
        operation["responses"]["default"] = json!({"$ref": "#/components/responses/Problem"});
    }
}

/// What may not be sent again has a tag, which clients send back.
fn add_tags(document: &mut Value) {
    for operation in operations(document).filter(|o| o["responses"]["304"].is_object()) {
        let tag = json!({"ETag": {"schema": {"type": "string"}, "description": "Another one after every change"}});
        operation["responses"]["200"]["headers"] = tag;
        let parameter = json!({"name": "If-None-Match", "in": "header", "required": false, "schema": {"type": "string"},
                               "description": "ETag of what the client has: 304 where that is what there is"});
        match operation["parameters"].as_array_mut() {
            Some(parameters) => parameters.push(parameter),
            None => operation["parameters"] = json!([parameter]),
        }
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|p| p.values_mut());
    paths.filter_map(|item| item.as_object_mut()).flat_map(|item| item.values_mut()).filter(|o| o.is_object())
}

/// Bytes that are sent as they are: the derive takes them for lists of numbers.
fn bytes_as_they_are(value: &mut Value) {
    let numbers = json!({"type": "array", "items": {"type": "integer", "format": "int32", "minimum": 0}});
    match value {
        listed if *listed == numbers => *listed = json!({"type": "string", "format": "binary"}),
        Value::Object(fields) => fields.values_mut().for_each(bytes_as_they_are),
        Value::Array(items) => items.iter_mut().for_each(bytes_as_they_are),
        _ => {}
    }
}

/// What stands in the heads of answers: where the next page is, where a thing is and how it stands, when to ask again.
fn add_headers(document: &mut Value) {
    let word = |description: &str| json!({"schema": {"type": "string"}, "description": description});
    let retry = |description: &str| json!({"schema": {"type": "integer", "minimum": 0}, "description": description});
    document["components"]["responses"]["Problem"]["headers"] =
        json!({"Retry-After": retry("Seconds until it may be asked again; with 429 and 503")});
    for operation in operations(document) {
        let is_list = operation["parameters"].as_array().is_some_and(|all| all.iter().any(|p| p["name"] == "cursor"));
        if is_list {
            operation["responses"]["200"]["headers"]["Link"] =
                word("The next page, with rel=\"next\"; not on the last");
        }
    }
    for (method, path, statuses, names) in HEADERS {
        for status in *statuses {
            let headers = &mut document["paths"][*path][*method]["responses"][*status]["headers"];
            for name in *names {
                headers[*name] = match *name {
                    "Location" => word("Where it is"),
                    "ETag" => word("How it stands, for If-Match and If-None-Match"),
                    "Adaptd-Model" => word("name@version of the model that answered"),
                    "Adaptd-Classes" => word("The classes in the order of columns, a JSON array; not with JSON"),
                    _ => retry("Seconds after which to ask how the job stands"),
                };
            }
        }
    }
}

/// Bodies that no derive describes: files, and documents with schemas of the library inside.
fn add_bodies(document: &mut Value) {
    let binary = json!({"schema": {"type": "string", "format": "binary"}});
    let content: serde_json::Map<String, Value> = FILES.iter().map(|t| ((*t).to_owned(), binary.clone())).collect();
    let mut upload = content.clone();
    upload.insert("application/json".into(), json!({"schema": {}}));
    let mut rows = content;
    rows.insert("application/json".into(), json!({"schema": reference("PredictRequest")}));
    let paths = &mut document["paths"];
    let duration = json!({"type": "string", "description": "ISO 8601 duration, such as P90D"});
    paths["/v1/keys"]["post"]["requestBody"] = json!({"required": true, "content": {"application/json": {
        "schema": {"type": "object", "required": ["name", "scopes"], "additionalProperties": false, "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 100},
            "scopes": {"type": "array", "minItems": 1,
                       "items": {"type": "string", "enum": Scope::ALL.map(Scope::as_str)}},
            "expires_in": duration,
            "rate_limit": {"type": ["object", "null"], "required": ["requests", "window"], "additionalProperties": false,
                "description": "How often the key may ask; without it as often as it likes", "properties": {
                    "requests": {"type": "integer", "minimum": 1, "maximum": 1_000_000},
                    "window": {"type": "string", "description": "ISO 8601 duration of whole seconds, at most a day"}}}}}}}});
    paths["/v1/keys/{id}/rotate"]["post"]["requestBody"] = json!({"required": true, "content": {"application/json": {
        "schema": {"type": "object", "additionalProperties": false, "properties": {"grace": duration}}}}});
    let column = json!({"type": ["string", "null"]});
    paths["/v1/domains/{name}"]["patch"]["requestBody"] = json!({"required": true, "content": {"application/json": {
        "schema": {"type": "object", "additionalProperties": false, "properties": {
            "label": column, "weight": column, "group": column, "id": column, "time": column,
            "ignore": {"type": "array", "items": {"type": "string"}},
            "task": {"type": "string", "enum": ["classification", "regression"]}}}}}});
    paths["/v1/models/{name}"]["patch"]["requestBody"] = json!({"required": true, "content": {"application/json": {
        "schema": {"type": "object", "additionalProperties": false, "properties": {
            "description": {"type": ["string", "null"], "maxLength": 4000},
            "labels": {"type": ["object", "null"],
                       "additionalProperties": {"type": ["string", "null"], "maxLength": 256}}}}}}});
    paths["/v1/domains/{name}"]["put"]["requestBody"] = json!({"required": true, "content": upload});
    paths["/v1/models/{name}/predict"]["post"]["requestBody"] = json!({"required": true, "content": rows});
    paths["/v1/jobs"]["post"]["requestBody"] =
        json!({"required": true, "content": {"application/json": {"schema": reference("JobRequest")}}});
    paths["/v1/schema-guess"]["post"]["requestBody"] = json!({"required": true, "content": upload});
    bytes_as_they_are(paths);
}
