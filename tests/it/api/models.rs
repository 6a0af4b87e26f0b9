//! Models.

use serde_json::json;

use crate::support::TestApp;

pub(super) fn with_model() -> TestApp {
    model_of(TestApp::start())
}

/// Makes the model `birds`.
pub(super) fn model_of(app: TestApp) -> TestApp {
    app.penguins();
    let spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "moment_matching"},
                      "model": "birds"});
    assert_eq!(app.run_job(&spec)["state"], "succeeded");
    app
}

#[test]
fn a_model_says_where_it_comes_from() {
    let app = with_model();
    let model = app.get("/v1/models/birds").json();
    let version = &model["version"];
    assert_eq!((&model["latest_version"], &version["ref"]), (&json!(1), &json!("birds@1")));
    assert_eq!(version["signature"]["classes"], json!(["female", "male"]));
    assert_eq!(version["signature"]["inputs"][0]["name"], "bill_length_mm");
    assert!(version["lineage"].to_string().contains("adelie@1"), "{version}");
    assert_eq!(version["sha256"].as_str().map(str::len), Some(64));
    assert_eq!(app.get("/v1/models").json()["data"][0]["name"], "birds");
    app.get("/v1/models/birds@2").problem(404, "model_version_not_found");
}

#[test]
fn a_stored_model_is_continued() {
    let app = with_model();
    let spec = json!({"kind": "fine_tune", "base": "birds", "target": "gentoo", "model": "birds"});
    let job = app.run_job(&spec);
    assert_eq!((&job["state"], &job["spec"]["base"]), (&json!("succeeded"), &json!("birds@1")), "{job}");
    assert_eq!(job["result"]["model"], "birds@2");
    let learner = json!({"kind": "fine_tune", "base": "birds", "target": "gentoo", "learner": {"id": "linear_svm"}});
    app.post("/v1/jobs", &learner).problem(422, "invalid_parameter");
    let none = json!({"kind": "fine_tune", "base": "nobody", "target": "gentoo"});
    app.post("/v1/jobs", &none).problem(404, "model_not_found");
}
