//! The heads of answers, beside what the document says of them.

use serde_json::{Value, json};

use super::models::with_model;
use crate::support::{Answer, TestApp};

const HEADERS: [&str; 6] = ["link", "location", "etag", "retry-after", "adaptd-model", "adaptd-classes"];

/// Those of the headers above that this answer of an operation has, as it is told.
#[track_caller]
fn told(document: &Value, operation: &str, answer: &Answer) -> Vec<&'static str> {
    let (method, path) = operation.split_once(' ').expect("METHOD /path");
    let answers = &document["paths"][path][method.to_lowercase()]["responses"];
    let told = &answers[answer.status.to_string()];
    assert!(told.is_object(), "{operation}: {}: {}", answer.status, answer.text);
    let names = told["headers"].as_object().into_iter().flatten().map(|(name, _)| name.to_lowercase());
    let names: Vec<String> = names.collect();
    HEADERS.into_iter().filter(|header| names.iter().any(|name| name == header)).collect()
}

fn sent(answer: &Answer) -> Vec<&'static str> {
    HEADERS.into_iter().filter(|name| answer.headers.contains_key(*name)).collect()
}

#[test]
fn the_document_tells_the_headers_that_are_sent() {
    let app = with_model();
    let document = app.get("/openapi.json").json();
    let same =
        |operation: &str, answer: Answer| assert_eq!(sent(&answer), told(&document, operation, &answer), "{operation}");
    let send = |method: &str, path: &str, body: &Value| app.send(method, path, &[], body.to_string().as_bytes());
    for (list, path) in
        [("GET /v1/domains", "/v1/domains?limit=1"), ("GET /v1/domains/{name}/rows", "/v1/domains/adelie/rows?limit=1")]
    {
        same(list, app.get(path));
    }
    same("GET /v1/domains/{name}", app.get("/v1/domains/adelie"));
    same("PUT /v1/domains/{name}", app.put("/v1/domains/d", b"x,y\n1,2\n3,4\n"));
    same("PUT /v1/domains/{name}", app.put("/v1/domains/d", b"x,y\n1,2\n3,4\n"));
    same("GET /v1/domains/{name}/versions", {
        assert_eq!(app.put("/v1/domains/d", b"x,y\n5,6\n").status, 201);
        app.get("/v1/domains/d/versions?limit=1")
    });
    same("PATCH /v1/domains/{name}", send("PATCH", "/v1/domains/d", &json!({"ignore": ["y"]})));
    same("POST /v1/domains", send("POST", "/v1/domains", &json!({"name": "tiny", "rows": [{"x": 1}]})));
    same("PUT /v1/models/{name}/aliases/{alias}", send("PUT", "/v1/models/birds/aliases/live", &json!({"version": 1})));
    let row = "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g\n50.0,16.3,230,5700\n";
    let headers = [("content-type", "text/csv"), ("accept", "text/csv")];
    same("POST /v1/models/{name}/predict", app.send("POST", "/v1/models/birds/predict", &headers, row.as_bytes()));
    let patch = [("If-Match", "*")];
    same("PATCH /v1/models/{name}", app.send("PATCH", "/v1/models/birds", &patch, b"{\"description\":\"ours\"}"));
    let spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "source_only"}});
    let job = send("POST", "/v1/jobs", &spec);
    let id = job.json()["id"].as_str().expect("an id").to_owned();
    same("POST /v1/jobs", job);
    same("GET /v1/jobs", app.get("/v1/jobs?limit=1"));
    assert_eq!(app.get(&format!("/v1/jobs/{id}?wait=60")).json()["terminal"], true);
    same("POST /v1/jobs", app.send("POST", "/v1/jobs", &[("Prefer", "wait=60")], spec.to_string().as_bytes()));
    same("POST /v1/keys", send("POST", "/v1/keys", &json!({"name": "root", "scopes": ["admin"]})));
}

#[test]
fn the_document_tells_every_form_of_rows() {
    let app = TestApp::start();
    let document = app.get("/openapi.json").json();
    let forms = |content: &Value| content.as_object().expect("content").keys().cloned().collect::<Vec<_>>();
    let taken = [
        "text/csv",
        "text/tab-separated-values",
        "application/json",
        "application/x-ndjson",
        "application/vnd.apache.parquet",
        "application/vnd.apache.arrow.stream",
        "application/vnd.apache.arrow.file",
        "application/x-npy",
        "application/x-npz",
    ];
    for (method, path) in
        [("put", "/v1/domains/{name}"), ("post", "/v1/schema-guess"), ("post", "/v1/models/{name}/predict")]
    {
        let told = forms(&document["paths"][path][method]["requestBody"]["content"]);
        assert!(taken.iter().all(|form| told.iter().any(|t| t == form)), "{path}: {told:?}");
    }
    app.penguins();
    for form in forms(&document["paths"]["/v1/domains/{name}/rows"]["get"]["responses"]["200"]["content"]) {
        let (head, _) = app.download_as("/v1/domains/adelie/rows?columns=body_mass_g", &form);
        assert_eq!((head.status, head.header("content-type")), (200, form.as_str()));
    }
}
