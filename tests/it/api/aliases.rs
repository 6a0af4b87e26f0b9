//! Aliases of models, and what people say of a model.

use serde_json::{Value, json};

use super::models::with_model;
use crate::support::{Answer, TestApp};

const ALIAS: &str = "/v1/models/birds/aliases/production";

/// A service with two versions of the model `birds`.
fn with_two_versions() -> TestApp {
    let app = with_model();
    let spec = json!({"kind": "fine_tune", "base": "birds", "target": "gentoo", "model": "birds"});
    assert_eq!(app.run_job(&spec)["result"]["model"], "birds@2");
    app
}

fn put(app: &TestApp, version: Value, headers: &[(&str, &str)]) -> Answer {
    app.send("PUT", ALIAS, headers, json!({ "version": version }).to_string().as_bytes())
}

fn predicted_by(app: &TestApp, model: &str) -> Value {
    let row = json!({"rows": [{"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181,
                               "body_mass_g": 3750}]});
    app.post(&format!("/v1/models/{model}/predict"), &row).json()["model"].clone()
}

#[test]
fn an_alias_is_moved_only_by_who_has_seen_where_it_stands() {
    let app = with_two_versions();
    let made = put(&app, json!(1), &[]);
    assert_eq!((made.status, made.header("location")), (201, ALIAS), "{}", made.text);
    let first = made.header("etag").to_owned();
    assert_eq!(made.json()["ref"], "birds@production");
    assert_eq!(made.json()["model"], "birds@1");
    assert_eq!(predicted_by(&app, "birds@production"), "birds@1");

    put(&app, json!(2), &[]).problem(428, "precondition_required");
    put(&app, json!(1), &[]).problem(428, "precondition_required");
    put(&app, json!(2), &[("If-None-Match", "*")]).problem(412, "precondition_failed");
    for bad in ["\"1000\"", "\"x\"", &format!("W/{first}"), "1", ""] {
        put(&app, json!(2), &[("If-Match", bad)]).problem(412, "precondition_failed");
    }
    let moved = put(&app, json!(2), &[("If-Match", &first)]);
    assert_eq!((moved.status, moved.json()["version"].clone()), (200, json!(2)), "{}", moved.text);
    assert_eq!(predicted_by(&app, "birds@production"), "birds@2", "from the answer on");
    put(&app, json!(1), &[("If-Match", &first)]).problem(412, "precondition_failed");
    let same = put(&app, json!(2), &[("If-Match", "*")]);
    assert_eq!((same.status, same.header("etag")), (200, moved.header("etag")), "nothing changes");

    let read = app.get(ALIAS);
    assert_eq!((read.json(), read.header("etag")), (moved.json(), moved.header("etag")));
    assert_eq!(app.get_with(ALIAS, "if-none-match", read.header("etag")).status, 304);
    let delete = |headers: &[(&str, &str)]| app.send("DELETE", ALIAS, headers, b"");
    delete(&[]).problem(428, "precondition_required");
    delete(&[("If-Match", &first)]).problem(412, "precondition_failed");
    assert_eq!(delete(&[("If-Match", read.header("etag"))]).status, 204);
    delete(&[("If-Match", "*")]).problem(404, "alias_not_found");
    // An alias of the same name is another one: what was seen of the first does not speak of it.
    put(&app, json!(1), &[("If-Match", "*")]).problem(412, "precondition_failed");
    assert_eq!(put(&app, json!(1), &[("If-None-Match", "*")]).status, 201);
    put(&app, json!(2), &[("If-Match", read.header("etag"))]).problem(412, "precondition_failed");
}

#[test]
fn an_alias_stands_wherever_a_model_is_named() {
    let app = with_two_versions();
    assert_eq!(put(&app, json!(1), &[]).status, 201);
    let model = app.get("/v1/models/birds@production").json();
    assert_eq!((&model["version"]["ref"], &model["aliases"]), (&json!("birds@1"), &json!({"production": 1})));
    assert_eq!(app.get("/v1/models").json()["data"][0]["aliases"], json!({"production": 1}));
    let id = model["id"].as_str().unwrap();
    assert_eq!(predicted_by(&app, &format!("{id}@production")), "birds@1");
    for kind in ["predict", "evaluate"] {
        let job = app.run_job(&json!({"kind": kind, "model": "birds@production", "target": "gentoo"}));
        assert_eq!((&job["state"], &job["resolved"]["model"]), (&json!("succeeded"), &json!("birds@1")), "{job}");
    }
    let tuned =
        app.run_job(&json!({"kind": "fine_tune", "base": "birds@production", "target": "gentoo", "model": "b"}));
    assert_eq!(tuned["spec"]["base"], "birds@1");

    let unknown = app.get("/v1/models/birds@canary").problem(404, "alias_not_found");
    assert!(unknown["detail"].as_str().unwrap().contains("production"), "{unknown}");
    app.post("/v1/models/birds@canary/predict", &json!({"rows": [{}]})).problem(404, "alias_not_found");
    let job = app.post("/v1/jobs", &json!({"kind": "predict", "model": "birds@canary", "target": "gentoo"}));
    assert_eq!(job.problem(404, "alias_not_found")["errors"][0]["pointer"], "/model");
    let job = app.post("/v1/jobs", &json!({"kind": "fine_tune", "base": "birds@canary", "target": "gentoo"}));
    assert_eq!(job.problem(404, "alias_not_found")["errors"][0]["pointer"], "/base");
    // Of a model that is made, `model` is a name.
    let fit = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"},
                     "model": "birds@production"});
    app.post("/v1/jobs", &fit).problem(422, "invalid_parameter");
}

#[test]
fn what_cannot_be_an_alias_is_refused() {
    let app = with_model();
    let at = |alias: &str, body: Value| {
        app.send("PUT", &format!("/v1/models/birds/aliases/{alias}"), &[], body.to_string().as_bytes())
    };
    for bad in ["1", "03", "v2", "latest", "Prod", "a%40b", "a%2Fb", "..%2Fx", &"a".repeat(101)] {
        at(bad, json!({"version": 1})).problem(422, "invalid_parameter");
        app.get(&format!("/v1/models/birds/aliases/{bad}")).problem(404, "alias_not_found");
    }
    for bad in [0, -1, 2, i64::MAX] {
        let refused = at("a", json!({ "version": bad })).problem(404, "model_version_not_found");
        assert_eq!(refused["errors"][0]["pointer"], "/version");
    }
    at("a", json!({"version": "1"})).problem(422, "invalid_parameter");
    at("a", json!({})).problem(422, "invalid_parameter");
    at("a", json!({"version": 1, "to": 2})).problem(422, "unknown_field");
    app.send("PUT", "/v1/models/none/aliases/a", &[], b"{\"version\":1}").problem(404, "model_not_found");
    app.send("PUT", "/v1/models/birds@1/aliases/a", &[], b"{\"version\":1}").problem(404, "model_not_found");
    for i in 0..64 {
        assert_eq!(at(&format!("a{i}"), json!({"version": 1})).status, 201);
    }
    at("one-more", json!({"version": 1})).problem(422, "invalid_parameter");
}

#[test]
fn a_model_that_an_alias_points_to_stays_unless_forced() {
    let app = with_two_versions();
    let made = put(&app, json!(1), &[]);
    assert_eq!(made.status, 201);
    let delete = |query: &str| app.send("DELETE", &format!("/v1/models/birds{query}"), &[], b"");
    let refused = delete("").problem(409, "model_in_use");
    assert!(refused["detail"].as_str().unwrap().contains("production"), "{refused}");
    delete("?force=false").problem(409, "model_in_use");
    assert_eq!(delete("?force=true").status, 204);
    app.get("/v1/models/birds@production").problem(404, "model_not_found");
    app.get(ALIAS).problem(404, "model_not_found");
    // Another model of the same name: what was seen of the first does not speak of it.
    let spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "source_only"},
                      "model": "birds"});
    assert_eq!(app.run_job(&spec)["result"]["model"], "birds@1");
    assert_eq!(put(&app, json!(1), &[]).status, 201);
    put(&app, json!(1), &[("If-Match", made.header("etag"))]).problem(412, "precondition_failed");
}

#[test]
fn a_model_is_described_by_who_has_read_it() {
    let app = with_model();
    let patch = |body: Value, headers: &[(&str, &str)]| {
        app.send("PATCH", "/v1/models/birds", headers, body.to_string().as_bytes())
    };
    let any = [("If-Match", "*")];
    let first = app.get("/v1/models/birds");
    assert_eq!((&first.json()["description"], &first.json()["labels"]), (&Value::Null, &json!({})));
    patch(json!({"description": "x"}), &[]).problem(428, "precondition_required");
    patch(json!({"description": "x"}), &[("If-Match", "\"99\"")]).problem(412, "precondition_failed");
    let said = json!({"description": "Birds by sex", "labels": {"team": "crm", "a/b": "ü"}});
    let said = patch(said, &[("If-Match", first.header("etag"))]);
    assert_eq!((said.status, &said.json()["labels"]), (200, &json!({"team": "crm", "a/b": "ü"})), "{}", said.text);
    let read = app.get("/v1/models/birds");
    assert_eq!(read.header("etag"), said.header("etag"));
    assert_ne!(read.header("etag"), first.header("etag"));
    patch(json!({}), &[("If-Match", first.header("etag"))]).problem(412, "precondition_failed");
    assert_eq!(patch(json!({}), &any).header("etag"), said.header("etag"), "nothing changes");
    let less = patch(json!({"description": null, "labels": {"team": null, "tier": "1"}}), &any).json();
    assert_eq!((&less["description"], &less["labels"]), (&Value::Null, &json!({"a/b": "ü", "tier": "1"})));
    assert_eq!(patch(json!({"labels": null}), &any).json()["labels"], json!({}));

    patch(json!({"description": "x".repeat(4001)}), &any).problem(422, "invalid_parameter");
    let many: serde_json::Map<String, Value> = (0..65).map(|i| (format!("k{i}"), json!("v"))).collect();
    patch(json!({"labels": many}), &any).problem(422, "invalid_parameter");
    patch(json!({"labels": {"": "v"}}), &any).problem(422, "invalid_parameter");
    patch(json!({"labels": {"k": 3}}), &any).problem(422, "invalid_parameter");
    patch(json!({"name": "other"}), &any).problem(422, "unknown_field");
    app.send("PATCH", "/v1/models/none", &any, b"{}").problem(404, "model_not_found");
}
