//! Pause, resume, retry, batches and cancels of many, as clients ask for them.

use serde_json::{Value, json};

use crate::support::TestApp;

/// A job of a hundred fits: seconds of computing, with a checkpoint after each.
fn long() -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": "birds",
           "method": {"id": "transfer_component_analysis"}, "evaluation": {"kind": "leave_one_out"}})
}

fn coral(model: &str) -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"}, "model": model})
}

#[track_caller]
fn submit(app: &TestApp, spec: &Value) -> String {
    let answer = app.post("/v1/jobs", spec);
    assert_eq!(answer.status, 202, "{}", answer.text);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

#[track_caller]
fn act(app: &TestApp, id: &str, what: &str) -> (u16, Value) {
    let answer = app.post(&format!("/v1/jobs/{id}/{what}"), &Value::Null);
    (answer.status, answer.json())
}

/// Long-polls until the job is as it should be.
#[track_caller]
fn until(app: &TestApp, id: &str, what: impl Fn(&Value) -> bool) -> Value {
    let mut answer = app.get(&format!("/v1/jobs/{id}"));
    for _ in 0..1000 {
        let job = answer.json();
        if what(&job) {
            return job;
        }
        assert_ne!(job["terminal"], true, "{job}");
        let seen = answer.header("etag").to_owned();
        // Until it is another; progress alone is no other version, so the wait is short.
        let next = app.send("GET", &format!("/v1/jobs/{id}?wait=1"), &[("if-none-match", &seen)], b"");
        answer = if next.status == 304 { app.get(&format!("/v1/jobs/{id}")) } else { next };
    }
    panic!("it does not come to that: {}", app.get(&format!("/v1/jobs/{id}")).text);
}

#[test]
fn a_running_job_is_paused_at_a_checkpoint_and_ends_with_the_numbers_that_it_would_have_had() {
    let app = TestApp::start();
    app.penguins();
    let undisturbed = app.run_job(&long());
    let id = submit(&app, &long());
    until(&app, &id, |job| job["progress"]["phase"] == "evaluate" && job["progress"]["step"].as_u64() > Some(2));
    let (status, job) = act(&app, &id, "pause");
    assert_eq!((status, &job["pause_requested"]), (202, &json!(true)), "{job}");
    let paused = until(&app, &id, |job| job["state"] == "paused");
    assert_eq!((&paused["attempt"], &paused["checkpointed"]), (&json!(0), &json!(true)), "{paused}");
    assert_eq!(act(&app, &id, "pause").0, 200, "it is paused already");

    // Another process goes on from it.
    let app = app.restart();
    assert_eq!(app.get(&format!("/v1/jobs/{id}")).json()["state"], "paused");
    assert_eq!(act(&app, &id, "resume").0, 202);
    let ended = until(&app, &id, |job| job["terminal"] == true);
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended}");
    let numbers = |job: &Value| {
        let metrics = app.get(&format!("/v1/jobs/{}/metrics", job["id"].as_str().unwrap())).json();
        (metrics["adapted"].clone(), metrics["source_only"].clone(), metrics["n_scored"].clone())
    };
    assert_eq!(numbers(&ended), numbers(&undisturbed));
    let model = |n: u32| app.get(&format!("/v1/models/birds@{n}")).json()["version"]["n_bytes"].clone();
    assert_eq!(model(1), model(2));

    let (status, problem) = act(&app, &id, "pause");
    assert_eq!((status, &problem["code"]), (409, &json!("job_already_terminal")));
    assert_eq!(act(&app, "job_0197f1c2-7a30-7cc0-8000-0123456789ab", "resume").0, 404);
}

#[test]
fn a_job_is_retried_as_a_new_one_that_names_it() {
    let app = TestApp::start();
    app.penguins();
    let id = submit(&app, &long());
    let conflict = app.post(&format!("/v1/jobs/{id}/retry"), &Value::Null);
    assert_eq!(conflict.problem(409, "job_state_conflict")["job"], json!(id));
    assert_eq!(act(&app, &id, "cancel").0, 202);
    until(&app, &id, |job| job["terminal"] == true);

    let retry = format!("/v1/jobs/{id}/retry");
    let first = app.send("POST", &retry, &[("idempotency-key", "again")], b"");
    assert_eq!(first.status, 202, "{}", first.text);
    let again = first.json();
    assert_eq!((&again["retry_of"], &again["spec"]), (&json!(id), &app.get(&format!("/v1/jobs/{id}")).json()["spec"]));
    let replayed = app.send("POST", &retry, &[("idempotency-key", "again")], b"");
    assert_eq!((replayed.json()["id"].clone(), replayed.header("idempotency-replayed")), (again["id"].clone(), "true"));
    let own = again["id"].as_str().unwrap();
    let ended = until(&app, own, |job| job["terminal"] == true);
    assert_eq!(ended["state"], "succeeded");
    app.post(&format!("/v1/jobs/{own}/retry"), &Value::Null).problem(409, "job_state_conflict");
}

#[test]
fn a_batch_is_accepted_as_one_and_gathers_its_jobs_side_by_side() {
    let app = TestApp::start();
    app.penguins();
    let broken = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "fine_tuning"},
                        "evaluation": {"kind": "hold_out", "fraction": 0.99}});
    let spec = json!({"kind": "batch", "labels": {"team": "crm"}, "jobs": [coral("a"), coral("b"), broken]});
    let accepted = app.post("/v1/jobs", &spec);
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let batch = accepted.json();
    assert_eq!(batch["children"], json!({"total": 3, "open": 3}));
    let id = batch["id"].as_str().unwrap();
    let ended = until(&app, id, |job| job["terminal"] == true);
    assert_eq!(ended["state"], "succeeded", "{ended}");
    let children = app.get(ended["links"]["children"].as_str().unwrap()).json();
    let children = children["data"].as_array().unwrap();
    assert_eq!(children.len(), 3);
    assert!(children.iter().all(|c| c["parent"] == json!(id) && c["labels"] == json!({"team": "crm"})));
    let succeeded = children.iter().filter(|c| c["state"] == "succeeded").count();
    assert_eq!(ended["result"]["jobs"]["succeeded"], json!(succeeded), "{ended}");

    let metrics = app.get(&format!("/v1/jobs/{id}/metrics")).json();
    let rows = metrics["jobs"].as_array().unwrap();
    assert_eq!(rows.len(), 3);
    let first = app.get(&format!("/v1/jobs/{}/metrics", rows[0]["job"].as_str().unwrap())).json();
    assert_eq!((&rows[0]["method"], &rows[0]["adapted"]), (&json!("coral"), &first["adapted"]));
    assert_eq!(rows[0]["result"], json!({"model": "a@1"}), "in the order in which they were given");

    let filtered = app.get("/v1/jobs?labels=team:crm&kind=adapt").json();
    assert_eq!(filtered["data"].as_array().unwrap().len(), 3);
    assert!(app.get("/v1/jobs?labels=team:sales").json()["data"].as_array().unwrap().is_empty());
}

#[test]
fn what_is_wrong_with_a_batch_is_told_with_its_place_and_starts_nothing() {
    let app = TestApp::start();
    app.penguins();
    let check = |spec: Value, pointer: &str| {
        let problem = app.post("/v1/jobs", &spec).problem(422, "invalid_parameter");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    };
    check(json!({"kind": "batch"}), "/jobs");
    check(json!({"kind": "batch", "jobs": []}), "/jobs");
    check(json!({"kind": "batch", "jobs": vec![coral("m"); 201]}), "/jobs");
    check(json!({"kind": "batch", "target": "gentoo", "jobs": [coral("m")]}), "/target");
    check(json!({"kind": "batch", "jobs": [{"kind": "batch", "jobs": [coral("m")]}]}), "/jobs/0/kind");
    let mut unknown = coral("m");
    unknown["method"]["id"] = json!("magic");
    check(json!({"kind": "batch", "jobs": [coral("m"), unknown]}), "/jobs/1/method/id");
    let mut stray = coral("m");
    stray["jobs"] = json!([coral("m")]);
    check(stray, "/jobs");
    let mut gone = coral("m");
    gone["target"] = json!("nowhere");
    app.post("/v1/jobs", &json!({"kind": "batch", "jobs": [coral("m"), gone]})).problem(404, "domain_not_found");
    assert!(app.get("/v1/jobs").json()["data"].as_array().unwrap().is_empty());
}

#[test]
fn a_cancel_of_a_batch_reaches_its_jobs() {
    let app = TestApp::start();
    app.penguins();
    let id = submit(&app, &json!({"kind": "batch", "jobs": [long(), long(), long()]}));
    let children = app.get(&format!("/v1/jobs?parent={id}")).json();
    let first = children["data"][2]["id"].as_str().unwrap();
    until(&app, first, |job| job["state"] == "running");
    let (status, job) = act(&app, &id, "cancel");
    assert_eq!((status, &job["state"]), (202, &json!("cancelled")));
    let children = app.get(&format!("/v1/jobs?parent={id}")).json();
    for child in children["data"].as_array().unwrap() {
        let ended = until(&app, child["id"].as_str().unwrap(), |job| job["terminal"] == true);
        assert_eq!(ended["state"], "cancelled");
    }
}

#[test]
fn many_jobs_are_cancelled_by_what_they_are() {
    let app = TestApp::start();
    app.penguins();
    let labelled = |team: &str| {
        let mut spec = long();
        spec["labels"] = json!({"team": team});
        spec
    };
    let first = submit(&app, &labelled("crm"));
    until(&app, &first, |job| job["state"] == "running");
    let crm: Vec<String> = (0..3).map(|_| submit(&app, &labelled("crm"))).collect();
    let sales = submit(&app, &labelled("sales"));

    app.post("/v1/jobs/cancel", &json!({})).problem(400, "filter_required");
    app.post("/v1/jobs/cancel", &json!({"state": "succeeded"})).problem(422, "invalid_parameter");
    app.post("/v1/jobs/cancel", &json!({"colour": "red"})).problem(422, "unknown_field");
    let answer = app.post("/v1/jobs/cancel", &json!({"labels": {"team": "crm"}, "kind": "adapt"})).json();
    assert_eq!(answer, json!({"object": "cancelled_jobs", "cancelled": 3, "stopping": 1}));
    for id in crm.iter().chain([&first]) {
        assert_eq!(until(&app, id, |job| job["terminal"] == true)["state"], "cancelled");
    }
    assert_eq!(app.get(&format!("/v1/jobs/{sales}")).json()["cancel_requested"], false);
    let answer = app.post("/v1/jobs/cancel", &json!({"created_before": "2100-01-01T00:00:00Z"})).json();
    assert_eq!(answer["cancelled"].as_u64().unwrap() + answer["stopping"].as_u64().unwrap(), 1);
    until(&app, &sales, |job| job["terminal"] == true);
}

#[test]
fn a_tenant_has_a_queue_of_its_own_length() {
    let app = TestApp::with(|options| options.tenant_max_queued = Some(2));
    app.penguins();
    let running = submit(&app, &long());
    until(&app, &running, |job| job["state"] == "running");
    let waiting = [submit(&app, &long()), submit(&app, &long())];
    app.post("/v1/jobs", &long()).problem(429, "quota_exceeded");
    for id in waiting.iter().chain([&running]) {
        act(&app, id, "cancel");
        until(&app, id, |job| job["terminal"] == true);
    }
}

#[test]
fn a_job_that_asks_for_more_memory_than_all_may_have_fails_before_it_takes_it() {
    let app = TestApp::with(|options| options.jobs_memory_bytes = 1000);
    app.penguins();
    let ended = app.run_job(&coral("m"));
    assert_eq!((&ended["state"], &ended["error"]["code"]), (&json!("failed"), &json!("job.out_of_memory_budget")));
}

#[test]
fn one_job_of_a_key_is_accepted_at_a_time() {
    let app = TestApp::start();
    app.penguins();
    let mut spec = long();
    spec["unique_key"] = json!("nightly");
    let id = submit(&app, &spec);
    assert_eq!(app.post("/v1/jobs", &spec).problem(409, "job_duplicate")["job"], json!(id));
    act(&app, &id, "cancel");
    until(&app, &id, |job| job["terminal"] == true);
    let next = submit(&app, &spec);
    act(&app, &next, "cancel");
    until(&app, &next, |job| job["terminal"] == true);
    spec["unique_key"] = json!("");
    app.post("/v1/jobs", &spec).problem(422, "invalid_parameter");
}

#[test]
fn paused_jobs_take_their_places_in_the_queue() {
    let app = TestApp::with(|options| options.max_queued_jobs = 2);
    app.penguins();
    let running = submit(&app, &long());
    until(&app, &running, |job| job["state"] == "running");
    let waiting = [submit(&app, &long()), submit(&app, &long())];
    for id in &waiting {
        assert_eq!(act(&app, id, "pause").0, 202);
    }
    app.post("/v1/jobs", &long()).problem(503, "queue_full");
    app.post("/v1/jobs/cancel", &json!({"kind": "adapt"}));
    for id in waiting.iter().chain([&running]) {
        until(&app, id, |job| job["terminal"] == true);
    }
}

#[test]
fn an_event_that_has_not_been_is_no_place_to_go_on_from() {
    let app = TestApp::start();
    app.penguins();
    let id = submit(&app, &long());
    let stream = |last: i64| app.stream(&format!("/v1/jobs/{id}/events"), Some(last));
    for beyond in [1_000, i64::MAX] {
        assert!(stream(beyond).iter().any(|line| line.contains("invalid_cursor")), "{beyond}");
    }
    act(&app, &id, "cancel");
    until(&app, &id, |job| job["terminal"] == true);
    assert!(stream(i64::MAX)[0].contains("204"));
}
