//! Models, and what they predict.

use serde_json::{Value, json};

use crate::support::TestApp;

fn with_model() -> TestApp {
    let app = TestApp::start();
    app.penguins();
    let spec = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "moment_matching"},
                      "model": "birds"});
    assert_eq!(app.run_job(&spec)["state"], "succeeded");
    app
}

const HEADER: &str = "bill_length_mm,bill_depth_mm,flipper_length_mm,body_mass_g";

fn row() -> Value {
    json!({"bill_length_mm": 50.0, "bill_depth_mm": 16.3, "flipper_length_mm": 230, "body_mass_g": 5700})
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
fn rows_are_predicted_in_every_form() {
    let app = with_model();
    let records = app.post("/v1/models/birds/predict", &json!({"rows": [row(), row()]}));
    assert_eq!(records.status, 200, "{}", records.text);
    let answer = records.json();
    assert_eq!((&answer["model"], answer["predictions"].as_array().map(Vec::len)), (&json!("birds@1"), Some(2)));
    let first = &answer["predictions"][0];
    assert_eq!(first["label"], "male", "{answer}");
    let sum: f64 = ["female", "male"].iter().filter_map(|c| first["probabilities"][c].as_f64()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "{first}");

    let arrays = json!({"columns": HEADER.split(',').collect::<Vec<_>>(), "data": [[50.0, 16.3, 230, 5700]]});
    assert_eq!(app.post("/v1/models/birds@1/predict", &arrays).json()["predictions"][0], *first);

    let csv = format!("{HEADER}\n50.0,16.3,230,5700\n");
    let headers = [("content-type", "text/csv"), ("accept", "text/csv")];
    let table = app.send("POST", "/v1/models/birds/predict", &headers, csv.as_bytes());
    assert_eq!(table.header("content-type"), "text/csv", "{}", table.text);
    let mut lines = table.text.lines();
    assert_eq!(lines.next(), Some("label,probability_female,probability_male"));
    assert!(lines.next().is_some_and(|l| l.starts_with("male,0.")), "{}", table.text);
}

#[test]
fn rows_come_in_every_format_that_domains_do() {
    let app = with_model();
    let lines = format!("{}\n{}\n", row(), row());
    let tsv = format!("{}\n50.0\t16.3\t230\t5700\n50.0\t16.3\t-1\t5700\n", HEADER.replace(',', "\t"));
    let zstd = zstd::encode_all(lines.as_bytes(), 3).unwrap();
    for (query, headers, body) in [
        ("", vec![("content-type", "application/x-ndjson")], lines.as_bytes()),
        ("?format=ndjson", vec![], lines.as_bytes()),
        ("?format=ndjson", vec![("content-encoding", "zstd")], &zstd),
        ("", vec![("content-type", "application/x-ndjson")], &zstd),
        ("?missing=-1", vec![("content-type", "text/tab-separated-values")], tsv.as_bytes()),
        ("?format=csv&delimiter=tab&missing=-1", vec![], tsv.as_bytes()),
    ] {
        let answer = app.send("POST", &format!("/v1/models/birds/predict{query}"), &headers, body);
        assert_eq!(answer.status, 200, "{query} {headers:?}: {}", answer.text);
        let predictions = &answer.json()["predictions"];
        assert_eq!((predictions.as_array().map(Vec::len), &predictions[0]["label"]), (Some(2), &json!("male")));
    }
    let path = "/v1/models/birds/predict?format=ndjson&header=none";
    app.send("POST", path, &[], lines.as_bytes()).problem(422, "invalid_parameter");
}

#[test]
fn rows_that_do_not_fit_are_named() {
    let app = with_model();
    let predict = |body: &Value| app.post("/v1/models/birds/predict", body);
    let mut word = row();
    word["body_mass_g"] = json!("heavy");
    let problem = predict(&json!({"rows": [row(), word]})).problem(422, "input_schema_mismatch");
    let fault = &problem["errors"][0];
    assert_eq!((&fault["pointer"], &fault["code"]), (&json!("/rows/1/body_mass_g"), &json!("not_a_number")));
    let problem = predict(&json!({"rows": [{"bill_length_mm": 1}]})).problem(422, "input_schema_mismatch");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
    assert_eq!(
        (&problem["errors"][0]["column"], &problem["errors"][0]["code"]),
        (&json!("bill_depth_mm"), &json!("missing_column"))
    );
    let mut huge = row();
    huge["body_mass_g"] = json!(1e155);
    let problem = predict(&json!({"rows": [row(), huge]})).problem(422, "input_not_finite");
    assert_eq!(problem["errors"][0]["pointer"], "/rows/1/body_mass_g", "{problem}");
    let problem = predict(&json!({"rows": [{}]})).problem(422, "input_schema_mismatch");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(4), "every column is missing: {problem}");
    predict(&json!({"rows": []})).problem(422, "data_empty");
    predict(&json!({"rows": [1]})).problem(422, "invalid_parameter");
    predict(&json!({"rows": [], "data": []})).problem(422, "invalid_parameter");
    assert_eq!(predict(&json!({"lines": []})).problem(422, "unknown_field")["errors"][0]["pointer"], "/lines");
    let send = |media: &str, body: &str| {
        app.send("POST", "/v1/models/birds/predict", &[("content-type", media)], body.as_bytes())
    };
    send("application/json", "{\"rows\":[{\"a\":NaN}]}").problem(400, "malformed_json");
    send("image/png", "x").problem(415, "unsupported_media_type");
    send("text/csv", &format!("{HEADER}\n1,2\n")).problem(422, "data_invalid");
    let problem = send("text/csv", &format!("{HEADER}\n1,2,3,heavy\n")).problem(422, "input_schema_mismatch");
    assert_eq!((&problem["errors"][0]["row"], &problem["errors"][0]["column"]), (&json!(1), &json!("body_mass_g")));
    app.post("/v1/models/none/predict", &json!({"rows": [row()]})).problem(404, "model_not_found");
}

#[test]
fn a_document_too_long_for_the_thread_that_answers_is_read_and_answered_aside() {
    let app = with_model();
    let rows: Vec<Value> = (0..2000).map(|_| row()).collect();
    let answer = app.post("/v1/models/birds/predict", &json!({"rows": rows})).json();
    assert_eq!(answer["predictions"].as_array().map(Vec::len), Some(2000));
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
