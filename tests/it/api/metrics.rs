//! What `/metrics` tells. Other tests count in the same process, so that numbers are bounds.

use serde_json::json;

use crate::support::TestApp;

/// The sum of all series of a name, of those lines that hold `label`.
fn sum(text: &str, name: &str, label: &str) -> Option<f64> {
    let of = |line: &str| {
        let (series, value) = line.rsplit_once(' ')?;
        let own = series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        if own && series.contains(label) { value.parse::<f64>().ok() } else { None }
    };
    let values: Vec<f64> = text.lines().filter_map(of).collect();
    (!values.is_empty()).then(|| values.iter().sum())
}

#[test]
fn everything_that_is_promised_is_counted() {
    let app = TestApp::start();
    app.penguins();
    app.run_job(&json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": "m",
                        "method": {"id": "source_only"}}));
    let row = json!({"rows": [{"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181,
                               "body_mass_g": 3750}]});
    assert_eq!(app.post("/v1/models/m/predict", &row).status, 200);
    app.run_job(&json!({"kind": "predict", "model": "m", "target": "gentoo"}));
    app.send("BREW", "/v1/domains", &[], b"");
    let answer = app.get("/metrics");
    assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"));
    let text = answer.text;
    let at_least = |name: &str, label: &str, least: f64| {
        let found = sum(&text, name, label);
        assert!(found.is_some_and(|v| v >= least), "{name} {label}: {found:?}\n{text}");
    };
    let requests = "http_server_request_duration_seconds_count";
    at_least(requests, "http_route=\"/v1/domains/{name}\"", 2.0);
    at_least(requests, "http_response_status_code=\"201\"", 2.0);
    at_least(requests, "http_request_method=\"_OTHER\"", 1.0);
    at_least("jobs", "state=\"succeeded\",kind=\"adapt\"", 1.0);
    at_least("jobs", "state=\"queued\",kind=\"fine_tune\"", 0.0);
    at_least("job_run_seconds_count", "outcome=\"succeeded\"", 1.0);
    // A row of the request, and those of the domain.
    at_least("predict_rows_total", "", 120.0);
    at_least("db_commit_seconds_count", "", 3.0);
    for name in ["job_queue_age_seconds", "job_rescues_total", "lease_lost_total", "sse_streams"] {
        at_least(name, "", 0.0);
    }
    assert!(!text.contains("BREW") && !text.contains("adelie"), "no word of a client becomes a label");
}

#[test]
fn a_service_with_keys_tells_its_metrics_to_those_who_may_read_them() {
    let (app, [root]) = TestApp::with_keys(["default"]);
    app.get("/metrics").problem(401, "missing_credentials");
    let made = app.ask(&root, "POST", "/v1/keys", &json!({"name": "scraper", "scopes": ["metrics:read"]})).json();
    let token = made["token"].as_str().unwrap();
    assert_eq!(app.ask(token, "GET", "/metrics", &serde_json::Value::Null).status, 200);
    app.ask(token, "GET", "/v1/domains", &serde_json::Value::Null).problem(403, "insufficient_scope");
}
