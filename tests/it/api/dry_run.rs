//! Jobs that are only looked at.

use serde_json::{Value, json};

use crate::support::TestApp;

#[test]
fn a_dry_run_resolves_and_estimates_and_starts_nothing() {
    let app = TestApp::start();
    app.penguins();
    let spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": "m",
                      "method": {"id": "transfer_component_analysis"}});
    let dry = |spec: &Value| app.post("/v1/jobs?dry_run=true", spec);
    let first = dry(&spec);
    assert_eq!(first.status, 200, "{}", first.text);
    let first = first.json();
    assert_eq!((&first["object"], &first["kind"]), (&json!("dry_run"), &json!("adapt")));
    assert_eq!(first["spec"]["sources"], json!(["adelie@1"]));
    assert_eq!(first["spec"]["learner"]["id"], "logistic");
    assert_eq!(first["estimate"]["seconds"], Value::Null);
    let asked = first["estimate"]["memory_bytes"].as_u64().unwrap();
    assert_eq!(app.get("/v1/jobs").json()["data"], json!([]), "nothing was started");

    let job = app.run_job(&spec);
    let metrics = app.get(&format!("/v1/jobs/{}/metrics", job["id"].as_str().unwrap())).json();
    assert_eq!(metrics["memory_bytes"]["estimate"].as_u64(), Some(asked), "as the job itself says");
    let second = dry(&spec).json();
    assert_eq!(second["estimate"]["seconds"]["n_jobs"], 1);
    let evaluate = json!({"kind": "evaluate", "model": "m", "target": "gentoo"});
    assert_eq!(dry(&evaluate).json()["estimate"]["memory_bytes"], Value::Null);
    assert_eq!(app.get("/v1/jobs").json()["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn what_would_fail_fails_before_it_starts() {
    let app = TestApp::with(|options| options.job_memory_bytes = 1000);
    app.penguins();
    let spec =
        |method: &str| json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": method}});
    let dry = |spec: &Value| app.post("/v1/jobs?dry_run=true", spec);
    let refused = dry(&spec("transfer_component_analysis")).problem(422, "dry_run_failed");
    assert!(refused["detail"].as_str().unwrap().contains("out_of_memory_budget"), "{refused}");
    dry(&spec("none")).problem(422, "invalid_parameter");
    // The classes of the domains have nothing in common, which only their rows tell.
    assert_eq!(app.put("/v1/domains/odd?label=label", b"bill_length_mm,label\n1,x\n2,y\n3,x\n").status, 201);
    let odd = json!({"kind": "adapt", "sources": ["adelie"], "target": "odd", "method": {"id": "source_only"}});
    let refused = dry(&odd).problem(422, "dry_run_failed");
    assert_eq!(refused["errors"][0]["pointer"], "/target");
    app.post("/v1/jobs?dry_run=perhaps", &odd).problem(422, "invalid_parameter");
    assert_eq!(app.get("/v1/jobs").json()["data"], json!([]));
}
