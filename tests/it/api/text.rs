//! Columns of text from the upload to the predictions.

use serde_json::{Value, json};

use crate::support::TestApp;

/// Messages as CSV, half of them offers; each domain has a word of its own.
fn messages(own: &str, n: usize) -> String {
    let line = |i: usize| match i % 2 {
        0 => format!("\"{own}, free gift number{i}: click here, {own}!\",offer\n"),
        _ => format!("\"see you at {own} lunch{} tomorrow 🎉\",letter\n", i % 5),
    };
    let lines: String = (0..n).map(line).collect();
    format!("text,label\n{lines}")
}

fn with_domains() -> TestApp {
    let app = TestApp::start();
    for (name, own, n) in [("mail", "office", 80), ("chat", "home", 61)] {
        let answer = app.put(&format!("/v1/domains/{name}"), messages(own, n).as_bytes());
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
    app
}

fn spec(method: &str, features: &Value) -> Value {
    json!({"kind": "adapt", "sources": ["mail"], "target": "chat", "method": {"id": method}, "model": "offers",
           "features": features})
}

#[test]
fn texts_are_adapted_predicted_and_evaluated() {
    let app = with_domains();
    let domain = app.get("/v1/domains/chat").json();
    let text = &domain["version"]["columns"][0];
    assert_eq!((&text["kind"], &text["role"]), (&json!("text"), &json!("feature")), "{domain}");
    assert!(domain["version"]["notes"].to_string().contains("tf-idf"), "{domain}");

    let dry = app.post("/v1/jobs?dry_run=true", &spec("coral", &json!({}))).json();
    assert!(dry["estimate"]["memory_bytes"].as_u64().is_some_and(|b| b > 0), "{dry}");
    let job = app.run_job(&spec("coral", &json!({})));
    assert_eq!(job["state"], "succeeded", "{job}");
    assert_eq!(job["spec"]["features"]["text"]["word_ngrams"], json!([1, 2]), "defaults are written out: {job}");
    let metrics = app.get(job["links"]["metrics"].as_str().expect("a link")).json();
    assert!(metrics["adapted"]["accuracy"]["value"].as_f64().is_some_and(|a| a > 0.95), "{metrics}");
    let model = app.get("/v1/models/offers").json();
    assert_eq!(model["version"]["signature"]["inputs"], json!([{"name": "text", "kind": "text"}]));

    // The same rows one by one, as a file, and as a job of the whole domain.
    let path = "/v1/models/offers/predict";
    let csv = messages("home", 61);
    let headers = [("content-type", "text/csv"), ("accept", "text/csv")];
    let file = app.send("POST", path, &headers, csv.as_bytes()).text;
    let bulk = app.run_job(&json!({"kind": "predict", "model": "offers", "target": "chat"}));
    assert_eq!(app.get(bulk["links"]["result"].as_str().expect("a link")).text, file);
    let first = &app.post(path, &json!({"rows": [{"text": "home, free gift number0: click here, home!"}]})).json();
    let offer = first["predictions"][0]["probabilities"]["offer"].as_f64().expect("a number");
    let line = file.lines().nth(1).expect("a line");
    assert!(line.starts_with("offer,") && line.ends_with(&format!(",{offer}")), "{line} and {offer}");
    let evaluation = app.run_job(&json!({"kind": "evaluate", "model": "offers", "target": "chat"}));
    let again = app.get(evaluation["links"]["metrics"].as_str().expect("a link")).json();
    assert_eq!(again["adapted"], metrics["adapted"]);

    // Nothing known, nothing there, and what is no text at all.
    let rows = json!({"rows": [{"text": "🎉"}, {"text": null}, {"text": 12}, {"text": "\u{0}"}, {"text": true}]});
    let answer = app.post(path, &rows);
    assert_eq!(answer.status, 200, "{}", answer.text);
    let predictions = answer.json()["predictions"].clone();
    assert_eq!(predictions[0], predictions[1]);
    let huge = json!({"columns": ["text"], "data": [["x".repeat(1 << 20)], ["a ".repeat(1 << 19)]]});
    assert_eq!(app.post(path, &huge).status, 200);
    let problem = app.post(path, &json!({"rows": [{"txt": "a"}]})).problem(422, "input_schema_mismatch");
    assert_eq!(problem["errors"][0]["column"], "text");
}

#[test]
fn how_texts_are_cut_is_asked_for_and_checked() {
    let app = with_domains();
    for text in [
        json!({"analyzer": "char", "char_ngrams": [2, 4], "max_features": 300}),
        json!({"analyzer": "word_char", "hashed": 512, "term_frequency": "count"}),
        json!({"scaling": "as_other_columns", "case": "keep", "min_document_frequency": 1.0}),
    ] {
        let job = app.run_job(&spec("source_only", &json!({"text": text})));
        assert_eq!(job["state"], "succeeded", "{job}");
    }
    for (text, code, pointer) in [
        (json!({"analyser": "char"}), "unknown_field", "/features/text/analyser"),
        (json!({"word_ngrams": [0, 2]}), "invalid_parameter", "/features/text/word_ngrams/0"),
        (json!({"word_ngrams": [1, 6]}), "invalid_parameter", "/features/text/word_ngrams/1"),
        (json!({"char_ngrams": [3]}), "invalid_parameter", "/features/text/char_ngrams"),
        (json!({"char_ngrams": [5, 3]}), "invalid_parameter", "/features"),
        (json!({"max_features": 0}), "invalid_parameter", "/features/text/max_features"),
        (json!({"hashed": 8}), "invalid_parameter", "/features/text/hashed"),
        (json!({"hashed": 1_000_000}), "invalid_parameter", "/features/text/hashed"),
        (json!(null), "invalid_parameter", "/features/text"),
    ] {
        let problem = app.post("/v1/jobs", &spec("coral", &json!({"text": text}))).problem(422, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    let problem = app.post("/v1/jobs", &spec("coral", &json!({"text": {"ngrams": 1}}))).problem(422, "unknown_field");
    assert!(problem.to_string().contains("word_ngrams"), "the names of the text are told: {problem}");
    let rare = json!({"text": {"min_document_frequency": 1000}});
    let job = app.run_job(&spec("coral", &rare));
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("job.data_degenerate")), "{job}");
}

#[test]
fn a_model_of_text_is_continued_with_its_own_words() {
    let app = with_domains();
    let features = json!({"text": {"hashed": 256}});
    assert_eq!(app.run_job(&spec("moment_matching", &features))["state"], "succeeded");
    let tune = json!({"kind": "fine_tune", "base": "offers", "target": "chat", "model": "offers"});
    let job = app.run_job(&tune);
    assert_eq!(
        (&job["state"], &job["spec"]["features"]["text"]["hashed"]),
        (&json!("succeeded"), &json!(256)),
        "{job}"
    );
    let mut other = tune.clone();
    other["features"] = json!({"text": {"hashed": 128}});
    let problem = app.post("/v1/jobs", &other).problem(422, "invalid_parameter");
    assert_eq!(problem["errors"][0]["pointer"], "/features");
}
