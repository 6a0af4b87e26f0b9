//! Jobs that run a stored model on a stored domain: predict and evaluate.

use serde_json::{Value, json};

use super::models::with_model;
use crate::support::{GENTOO, TestApp};

fn file(app: &TestApp, job: &Value) -> crate::support::Answer {
    app.get(job["links"]["result"].as_str().expect("a link to the file"))
}

#[test]
fn a_whole_domain_is_predicted_into_a_file() {
    let app = with_model();
    let job = app.run_job(&json!({"kind": "predict", "model": "birds@1", "target": "gentoo"}));
    assert_eq!((&job["state"], &job["kind"]), (&json!("succeeded"), &json!("predict")), "{job}");
    assert_eq!(job["resolved"], json!({"sources": [], "target": "gentoo@1", "model": "birds@1"}));
    assert_eq!((&job["result"]["file"]["format"], &job["result"]["file"]["n_rows"]), (&json!("csv"), &json!(119)));
    let answer = file(&app, &job);
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/csv"));
    let id = job["id"].as_str().expect("an id");
    assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{id}.csv\""));
    assert_eq!(job["result"]["file"]["n_bytes"], json!(answer.text.len()));
    let etag = format!("\"{}\"", job["result"]["file"]["sha256"].as_str().expect("a hash"));
    assert_eq!(answer.header("etag"), etag);
    let path = format!("/v1/jobs/{id}/result");
    assert_eq!(app.get_with(&path, "if-none-match", &etag).status, 304);
    // Row by row what a request answers.
    let headers = [("content-type", "text/csv"), ("accept", "text/csv")];
    assert_eq!(app.send("POST", "/v1/models/birds/predict", &headers, GENTOO).text, answer.text);
    assert_eq!(app.get(&format!("/v1/jobs/{id}/metrics")).json()["n_rows"], 119);
    assert_eq!(app.get("/v1/jobs?kind=predict").json()["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn the_file_is_in_the_format_that_was_asked_for() {
    let app = with_model();
    let spec = json!({"kind": "predict", "model": "birds", "target": "gentoo@1", "format": "ndjson",
                      "include": ["source_only", "features", "features"]});
    let job = app.run_job(&spec);
    let lines = file(&app, &job);
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let first: Value = serde_json::from_str(lines.text.lines().next().expect("a line")).expect("JSON");
    assert!(first["source_only"]["label"].is_string() && first["features"].is_array(), "{first}");
    let job = app.run_job(&json!({"kind": "predict", "model": "birds", "target": "gentoo", "format": "parquet"}));
    let (head, bytes) = app.download(job["links"]["result"].as_str().expect("a link"));
    assert_eq!(head.header("content-type"), "application/vnd.apache.parquet");
    assert_eq!((&bytes[..4], &job["result"]["file"]["n_bytes"]), (&b"PAR1"[..], &json!(bytes.len())));
    // What was written is read again: a file of predictions is a domain like any other.
    assert_eq!(app.put("/v1/domains/predicted?format=parquet", &bytes).status, 201);
}

#[test]
fn a_file_says_whose_predictions_it_holds() {
    let app = with_model();
    let numbered = String::from_utf8(GENTOO.to_vec()).expect("text");
    let lines = numbered.lines().enumerate();
    let numbered: String =
        lines.map(|(i, l)| if i == 0 { format!("who,{l}\n") } else { format!("p{i},{l}\n") }).collect();
    assert_eq!(app.put("/v1/domains/numbered?label=label&id=who", numbered.as_bytes()).status, 201);
    let run = |target: &str, format: &str| {
        let job = app.run_job(&json!({"kind": "predict", "model": "birds", "target": target, "format": format}));
        assert_eq!(job["state"], "succeeded", "{job}");
        file(&app, &job).text
    };
    let (with, without) = (run("numbered", "csv"), run("gentoo", "csv"));
    for (i, (with, without)) in with.lines().zip(without.lines()).enumerate() {
        let id = if i == 0 { "who".to_owned() } else { format!("p{i}") };
        assert_eq!(with, format!("{id},{without}"));
    }
    assert!(run("numbered", "ndjson").starts_with("{\"who\":\"p1\",\"label\":"));
}

#[test]
fn who_may_not_read_rows_gets_no_file_of_them() {
    let app = with_model();
    let job = app.run_job(&json!({"kind": "predict", "model": "birds", "target": "gentoo"}));
    let path = job["links"]["result"].as_str().expect("a link");
    let root = app.post("/v1/keys", &json!({"name": "root", "scopes": ["admin"]})).json();
    let root = root["token"].as_str().expect("a token").to_owned();
    let get = |scopes: Value| {
        let made = app.ask(&root, "POST", "/v1/keys", &json!({"name": "k", "scopes": scopes})).json();
        app.ask(made["token"].as_str().expect("a token"), "GET", path, &Value::Null)
    };
    get(json!(["jobs:read"])).problem(403, "insufficient_scope");
    get(json!(["data:read"])).problem(403, "insufficient_scope");
    assert_eq!(get(json!(["jobs:read", "data:read"])).status, 200);
}

#[test]
fn files_outlive_the_process_the_model_and_the_domain() {
    let app = with_model();
    let job = app.run_job(&json!({"kind": "predict", "model": "birds", "target": "gentoo"}));
    let before = file(&app, &job).text;
    assert_eq!(app.send("DELETE", "/v1/models/birds", &[], b"").status, 204);
    app.post("/v1/models/birds/predict", &json!({"rows": [{}]})).problem(404, "model_not_found");
    let gone = json!({"kind": "predict", "model": "birds", "target": "gentoo"});
    app.post("/v1/jobs", &gone).problem(404, "model_not_found");
    assert_eq!(app.send("DELETE", "/v1/domains/gentoo", &[], b"").status, 204);
    // Blobs that no record names are collected at the start.
    let app = app.restart();
    assert_eq!(file(&app, &job).text, before);
}

#[test]
fn an_evaluation_has_the_metrics_of_the_adaptation() {
    let app = with_model();
    let made = app.get("/v1/models/birds").json()["version"]["links"]["metrics"].as_str().expect("a link").to_owned();
    let made = app.get(&made).json();
    let job = app.run_job(&json!({"kind": "evaluate", "model": "birds@1", "target": "gentoo@1", "seed": 0}));
    assert_eq!(job["state"], "succeeded", "{job}");
    let metrics = app.get(job["links"]["metrics"].as_str().expect("a link")).json();
    for part in ["task", "evaluation", "n_scored", "adapted", "source_only", "per_class", "confusion"] {
        assert_eq!(metrics[part], made[part], "{part}");
    }
    assert_eq!(metrics["job"], job["id"]);
    assert!(metrics["notes"].to_string().contains("gentoo@1 was the target"), "{}", metrics["notes"]);
    let id = job["id"].as_str().expect("an id");
    app.get(&format!("/v1/jobs/{id}/result")).problem(409, "job_state_conflict");
    let phases = app.get(&format!("/v1/jobs/{id}/events")).text;
    assert!(phases.contains("\"terminal\":true"), "{phases}");
}

#[test]
fn what_cannot_be_applied_is_refused_before_it_is_a_job() {
    let app = with_model();
    app.put("/v1/domains/narrow", b"bill_length_mm,label\n40,male\n41,female\n");
    app.put("/v1/domains/bare", b"bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g\n50,16,230,5700\n");
    let numbers =
        b"bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g,y\n50,16,230,5700,1.5\n51,16,230,5700,2.5\n";
    app.put("/v1/domains/numbers?label=y&task=regression", numbers);
    let made = app.get("/v1/jobs").json()["data"].as_array().map(Vec::len);
    let check = |changes: Value, status: u16, code: &str, pointers: &[&str]| {
        let mut spec = json!({"kind": "predict", "model": "birds", "target": "gentoo"});
        for (name, value) in changes.as_object().expect("an object") {
            spec[name] = value.clone();
        }
        spec.as_object_mut().expect("an object").retain(|_, v| !v.is_null());
        let problem = app.post("/v1/jobs", &spec).problem(status, code);
        let found: Vec<&str> =
            problem["errors"].as_array().into_iter().flatten().filter_map(|e| e["pointer"].as_str()).collect();
        assert_eq!(found, pointers, "{problem}");
    };
    check(json!({"model": "nobody"}), 404, "model_not_found", &["/model"]);
    check(json!({"model": "birds@7"}), 404, "model_version_not_found", &["/model"]);
    check(json!({"target": "nobody"}), 404, "domain_not_found", &["/target"]);
    check(json!({"target": "gentoo@7"}), 404, "domain_version_not_found", &["/target"]);
    check(json!({"target": "narrow"}), 422, "schema_incompatible", &["/target"]);
    check(json!({"model": null, "target": null}), 422, "invalid_parameter", &["/model", "/target"]);
    check(json!({"model": "../x"}), 422, "invalid_parameter", &["/model"]);
    check(
        json!({"sources": ["adelie"], "learner": {"id": "ridge"}}),
        422,
        "invalid_parameter",
        &["/sources", "/learner"],
    );
    check(json!({"format": "npy"}), 422, "invalid_parameter", &["/format"]);
    check(json!({"include": ["features"]}), 422, "invalid_parameter", &["/include/0"]);
    check(json!({"include": ["source_only", "weights"]}), 422, "invalid_parameter", &["/include/1"]);
    check(json!({"seed": 3, "priority": 99}), 422, "invalid_parameter", &["/seed", "/priority"]);
    check(json!({"kind": "evaluate", "format": "csv"}), 422, "invalid_parameter", &["/format"]);
    check(json!({"kind": "evaluate", "target": "bare"}), 422, "invalid_parameter", &["/target"]);
    check(json!({"kind": "evaluate", "target": "numbers"}), 422, "schema_incompatible", &["/target"]);
    let fit =
        json!({"kind": "adapt", "sources": ["adelie"], "method": {"id": "coral"}, "format": "csv", "model": null});
    check(fit, 422, "invalid_parameter", &["/format"]);
    assert_eq!(app.get("/v1/jobs").json()["data"].as_array().map(Vec::len), made, "none of it became a job");
}

#[test]
fn rows_that_the_model_cannot_take_fail_the_job_and_leave_no_file() {
    let app = with_model();
    let row = "50.0,16.3,230,5700\n";
    let words = format!("bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g\n{row}50.0,16.3,230,heavy\n{row}");
    assert_eq!(app.put("/v1/domains/words", words.as_bytes()).status, 201);
    let job = app.run_job(&json!({"kind": "predict", "model": "birds", "target": "words"}));
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("job.data_degenerate")), "{job}");
    assert_eq!(job["error"]["pointer"], "/target");
    assert!(job["error"]["message"].as_str().is_some_and(|m| m.contains("row 2")), "{job}");
    let id = job["id"].as_str().expect("an id");
    app.get(&format!("/v1/jobs/{id}/result")).problem(409, "job_state_conflict");
    app.get("/v1/jobs/job_0197f1c2-7a30-7cc0-8000-0123456789ab/result").problem(404, "job_not_found");
}
