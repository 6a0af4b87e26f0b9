//! Specs that cannot be run are refused before they are jobs, each fault with its pointer.

use serde_json::{Value, json};

use crate::support::TestApp;

fn penguins() -> TestApp {
    let app = TestApp::start();
    app.penguins();
    app
}

/// A spec that runs, with some of its fields replaced; `null` removes one.
fn spec(changes: &Value) -> Value {
    let mut spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"}});
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            spec.as_object_mut().expect("an object").remove(name);
        } else {
            spec[name] = value.clone();
        }
    }
    spec
}

#[track_caller]
fn refused(app: &TestApp, changes: &Value, code: &str, pointers: &[&str]) -> Value {
    let problem =
        app.post("/v1/jobs", &spec(changes)).problem(if code == "domain_not_found" { 404 } else { 422 }, code);
    let found: Vec<&str> =
        problem["errors"].as_array().into_iter().flatten().filter_map(|e| e["pointer"].as_str()).collect();
    assert_eq!(found, pointers, "{problem}");
    problem
}

#[test]
fn what_is_not_known_or_out_of_range_is_named() {
    let app = penguins();
    let invalid = |changes: Value, pointers: &[&str]| refused(&app, &changes, "invalid_parameter", pointers);
    let unknown = |changes: Value, pointers: &[&str]| refused(&app, &changes, "unknown_field", pointers);
    unknown(json!({"methd": 1}), &["/methd"]);
    unknown(json!({"method": {"id": "coral", "parms": {}}}), &["/method/parms"]);
    unknown(json!({"method": {"id": "coral", "params": {"lamda": 1}}}), &["/method/params/lamda"]);
    unknown(json!({"features": {"scalling": "none"}}), &["/features/scalling"]);
    unknown(json!({"evaluation": {"kind": "none", "fraction": 0.1}}), &["/evaluation/fraction"]);
    let method = invalid(json!({"method": {"id": "corall"}}), &["/method/id"]);
    assert!(method["detail"].as_str().is_some_and(|d| d.contains("coral")), "{method}");
    invalid(json!({"learner": {"id": "forest"}}), &["/learner/id"]);
    invalid(
        json!({"learner": {"id": "nearest_neighbors", "params": {"n_neighbors": 0}}}),
        &["/learner/params/n_neighbors"],
    );
    let tca = |params: Value| json!({"method": {"id": "transfer_component_analysis", "params": params}});
    invalid(tca(json!({"n_components": 0})), &["/method/params/n_components"]);
    invalid(tca(json!({"n_components": "many"})), &["/method/params/n_components"]);
    invalid(json!({"features": {"scaling": "tf-idf"}}), &["/features/scaling"]);
    invalid(json!({"evaluation": {"kind": "hold_out", "fraction": 1.5}}), &["/evaluation/fraction"]);
    invalid(json!({"evaluation": {"kind": "guess"}}), &["/evaluation/kind"]);
    invalid(json!({"seed": -1}), &["/seed"]);
    invalid(json!({"priority": 11, "max_attempts": 0}), &["/priority", "/max_attempts"]);
    invalid(json!({"deadline": "2 hours"}), &["/deadline"]);
    invalid(json!({"deadline": "PT0S"}), &["/deadline"]);
    invalid(json!({"model": "A b"}), &["/model"]);
    invalid(json!({"risk": "reckless"}), &["/risk"]);
    invalid(json!({"kind": "guess"}), &["/kind"]);
    let later = invalid(json!({"kind": "select", "method": null}), &["/kind"]);
    assert!(later["detail"].as_str().is_some_and(|d| d.contains("not available")), "{later}");
    invalid(json!({"method": null}), &["/method"]);
    invalid(json!({"target": null}), &["/target"]);
    invalid(json!({"sources": []}), &["/sources"]);
    invalid(json!({"sources": ["adelie", "adelie"]}), &["/sources/1"]);
    invalid(json!({"sources": ["../adelie"]}), &["/sources/0"]);
    invalid(json!({"base": "m@1"}), &["/base"]);
    refused(&app, &json!({"sources": ["nobody"]}), "domain_not_found", &["/sources/0"]);
    assert_eq!(app.get("/v1/jobs").json()["data"], json!([]), "none of it became a job");
}

#[test]
fn what_the_data_cannot_give_is_told_at_once() {
    let app = penguins();
    app.put("/v1/domains/plain", b"bill_length_mm,bill_depth_mm\n40,18\n41,17\n");
    app.put("/v1/domains/other", b"a,b\n40,18\n41,17\n");
    app.put("/v1/domains/words", b"bill_length_mm,bill_depth_mm\nlong,18\nshort,17\n");
    app.put("/v1/domains/values?label=y&task=regression", b"bill_length_mm,y\n40,1.5\n41,2.5\n42,0.5\n");
    let invalid = |changes: Value, pointers: &[&str]| refused(&app, &changes, "invalid_parameter", pointers);
    invalid(json!({"sources": ["plain"]}), &["/sources/0"]);
    invalid(json!({"target": "plain", "method": {"id": "target_only"}}), &["/target"]);
    invalid(json!({"target": "plain", "evaluation": {"kind": "target_labels"}}), &["/evaluation/kind"]);
    invalid(json!({"method": {"id": "target_only"}, "evaluation": {"kind": "target_labels"}}), &["/evaluation/kind"]);
    invalid(json!({"sources": ["values"], "target": "values", "learner": {"id": "logistic"}}), &["/learner/id"]);
    let wrapped = json!({"method": {"id": "fine_tuning"}, "learner": {"id": "nearest_neighbors"}});
    let refusal = invalid(wrapped, &["/learner/id"]);
    assert!(refusal["detail"].as_str().is_some_and(|d| d.contains("logistic")), "{refusal}");
    refused(&app, &json!({"target": "other"}), "schema_incompatible", &["/target"]);
    let odd = refused(&app, &json!({"target": "words"}), "schema_incompatible", &["/sources/0"]);
    assert!(odd["detail"].as_str().is_some_and(|d| d.contains("bill_length_mm")), "{odd}");
    refused(&app, &json!({"target": "values"}), "schema_incompatible", &["/target"]);
    invalid(json!({"kind": "fine_tune", "method": null, "sources": null}), &["/base"]);
}

#[test]
fn malformed_json_has_line_and_column() {
    let app = penguins();
    let send = |body: &str| app.send("POST", "/v1/jobs", &[("content-type", "application/json")], body.as_bytes());
    let nan = send("{\"kind\":\"adapt\",\n \"seed\":NaN}").problem(400, "malformed_json");
    assert!(nan["detail"].as_str().is_some_and(|d| d.contains("line 2 column 9")), "{nan}");
    send("").problem(400, "malformed_json");
    send("{\"kind\":\"adapt\"} x").problem(400, "malformed_json");
    send("[1]").problem(422, "invalid_parameter");
    send(&format!("{{\"features\":{}{}}}", "[".repeat(200), "]".repeat(200))).problem(400, "json_too_deep");
    let xml = app.send("POST", "/v1/jobs", &[("content-type", "application/xml")], b"<a/>");
    xml.problem(415, "unsupported_media_type");
}

#[test]
fn defaults_are_resolved_and_shown() {
    let app = penguins();
    let job = app.run_job(&spec(&json!({"labels": {"team": "crm"}, "deadline": "PT2H"})));
    assert_eq!(job["resolved"], json!({"sources": ["adelie@1"], "target": "gentoo@1"}));
    assert_eq!(job["spec"]["learner"]["id"], "logistic");
    assert_eq!(job["spec"]["evaluation"], json!({"kind": "target_labels"}));
    assert_eq!(job["spec"]["features"]["scaling"], "joint_z_score");
    assert_eq!((&job["spec"]["seed"], &job["labels"]), (&json!(0), &json!({"team": "crm"})));
    assert_eq!(job["spec"]["model"], job["id"], "the model is named after the job");
}
