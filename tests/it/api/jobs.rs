//! Jobs from the request to the metrics, and everything that can happen on the way.

use serde_json::{Value, json};

use crate::support::TestApp;

fn coral() -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"}, "model": "birds"})
}

/// A job that computes for seconds, unless it is cancelled.
fn long(app: &TestApp) -> Value {
    let mut csv = String::from("a,b,c,d,label\n");
    let mut x = 1_u64;
    for i in 0..3000 {
        for _ in 0..4 {
            x = x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            csv.push_str(&format!("{},", (x >> 40) as f64 / 1e6));
        }
        csv.push_str(if i % 2 == 0 { "p\n" } else { "q\n" });
    }
    app.put("/v1/domains/large?label=label", csv.as_bytes());
    json!({"kind": "adapt", "sources": ["large"], "target": "large", "method": {"id": "kernel_mean_matching"},
           "evaluation": {"kind": "k_fold", "n_folds": 100}})
}

#[test]
fn a_job_is_accepted_then_ends_with_a_model_and_metrics() {
    let app = TestApp::start();
    app.penguins();
    let accepted = app.post("/v1/jobs", &coral());
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    let job = accepted.json();
    let own = format!("/v1/jobs/{}", job["id"].as_str().expect("an id"));
    assert_eq!((accepted.header("location"), accepted.header("etag")), (own.as_str(), "\"1\""));
    assert!(!accepted.header("retry-after").is_empty());
    assert_eq!((&job["state"], &job["terminal"], &job["attempt"]), (&json!("queued"), &json!(false), &json!(0)));
    let position = &job["queue"]["position"];
    assert!(*position == 1 || position.is_null(), "next, or claimed before it was counted: {job}");
    assert_eq!((&job["object"], &job["links"]["self"]), (&json!("job"), &json!(own)));
    assert_eq!(
        job["progress"],
        json!({"fraction": 0.0, "phase": "queued", "step": 0, "total_steps": null, "eta": null})
    );

    let ended = app.get(&format!("{own}?wait=60")).json();
    assert_eq!((&ended["state"], &ended["terminal"]), (&json!("succeeded"), &json!(true)), "{ended}");
    assert_eq!(ended["result"], json!({"model": "birds@1"}));
    assert_eq!(
        (&ended["progress"]["fraction"], &ended["error"], &ended["queue"]),
        (&json!(1.0), &json!(null), &json!(null))
    );

    let metrics = app.get(&format!("{own}/metrics")).json();
    assert_eq!((&metrics["job"], &metrics["task"]), (&job["id"], &json!("classification")));
    for of in ["adapted", "source_only"] {
        let accuracy = &metrics[of]["accuracy"];
        assert!(accuracy["low"].as_f64() <= accuracy["value"].as_f64(), "{metrics}");
    }
    assert!(metrics["adapted"]["accuracy"]["value"].as_f64().is_some_and(|a| a > 0.8), "{metrics}");
    assert!(metrics["distances"]["mmd2"]["before"].is_number(), "{metrics}");
    assert!(metrics["timings_ms"]["fit"].is_number(), "{metrics}");
    assert!(metrics["memory_bytes"]["estimate"].is_number(), "{metrics}");
    if cfg!(target_os = "linux") {
        assert!(metrics["memory_bytes"]["peak"].is_number(), "the job ran alone: {metrics}");
    }
}

#[test]
fn a_client_may_wait_for_the_end() {
    let app = TestApp::start();
    app.penguins();
    let body = coral().to_string();
    let waited = app.send("POST", "/v1/jobs", &[("Prefer", "wait=60")], body.as_bytes());
    assert_eq!((waited.status, waited.header("preference-applied")), (200, "wait=60"), "{}", waited.text);
    assert_eq!(waited.json()["state"], "succeeded");
    assert_eq!(waited.header("retry-after"), "");
    app.get(&format!("{}?wait=61", waited.header("location"))).problem(422, "invalid_parameter");
    let etag = waited.header("etag").to_owned();
    assert_eq!(app.get_with(waited.header("location"), "if-none-match", &etag).status, 304);
}

#[test]
fn one_key_makes_one_job() {
    let app = TestApp::start();
    app.penguins();
    let send = |key: &str, body: &Value| {
        app.send("POST", "/v1/jobs", &[("Idempotency-Key", key), ("Prefer", "wait=60")], body.to_string().as_bytes())
    };
    let first = send("\"k-1\"", &coral());
    assert_eq!(first.header("idempotency-replayed"), "");
    for key in ["\"k-1\"", "k-1"] {
        let again = send(key, &coral());
        assert_eq!(
            (again.json()["id"].clone(), again.header("idempotency-replayed")),
            (first.json()["id"].clone(), "true")
        );
    }
    let mut other = coral();
    other["seed"] = json!(1);
    send("k-1", &other).problem(422, "idempotency_key_reused");
    send("\"open", &coral()).problem(400, "idempotency_key_invalid");
    assert_eq!(app.get("/v1/jobs").json()["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_key_replays_its_job_whatever_became_of_what_it_names() {
    let app = TestApp::start();
    app.penguins();
    let send = |body: &Value| {
        app.send("POST", "/v1/jobs", &[("Idempotency-Key", "k"), ("Prefer", "wait=60")], body.to_string().as_bytes())
    };
    let first = send(&coral());
    // The same spec would now be resolved to another version, and then be refused: it has no labels.
    assert_eq!(app.put("/v1/domains/adelie", b"a,b\n1,2\n2,1\n").status, 201);
    app.post("/v1/jobs", &coral()).problem(422, "invalid_parameter");
    let again = send(&coral());
    assert_eq!(again.header("idempotency-replayed"), "true", "{}", again.text);
    assert_eq!(
        (&again.json()["id"], &again.json()["resolved"]["sources"]),
        (&first.json()["id"], &json!(["adelie@1"]))
    );
    // The key is looked at before the spec.
    let mut other = coral();
    other["sources"] = json!(["none"]);
    send(&other).problem(422, "idempotency_key_reused");
}

#[test]
fn a_cancelled_job_never_succeeds() {
    let app = TestApp::start();
    app.penguins();
    let long = long(&app);
    let id = |spec: &Value| app.post("/v1/jobs", spec).json()["id"].as_str().expect("an id").to_owned();
    // One place to compute: the second job waits behind the first.
    let (running, waiting) = (id(&long), id(&coral()));
    let cancel = |id: &str| app.post(&format!("/v1/jobs/{id}/cancel"), &json!(null));
    let place = app.get(&format!("/v1/jobs/{waiting}")).json();
    // The first may not have been claimed yet.
    assert!([json!(1), json!(2)].contains(&place["queue"]["position"]), "{place}");
    assert_eq!(place["queue"]["estimated_start"], json!(null));
    let cancelled = cancel(&waiting);
    assert_eq!(
        (cancelled.status, cancelled.json()["cancel_requested"].clone()),
        (202, json!(true)),
        "{}",
        cancelled.text
    );
    assert_eq!(cancel(&running).status, 202);
    for id in [&running, &waiting] {
        let ended = app.get(&format!("/v1/jobs/{id}?wait=60")).json();
        assert_eq!((&ended["state"], &ended["result"]), (&json!("cancelled"), &json!(null)), "{ended}");
        assert_eq!(cancel(id).status, 200, "it was cancelled before");
        app.get(&format!("/v1/jobs/{id}/metrics")).problem(409, "job_state_conflict");
    }
    let done = app.run_job(&coral());
    let problem = cancel(done["id"].as_str().expect("an id")).problem(409, "job_already_terminal");
    assert_eq!(problem["job"], done["id"]);
    let cancelled = app.get("/v1/jobs?state=cancelled").json();
    assert_eq!(cancelled["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(app.get("/v1/jobs?kind=fine_tune").json()["data"], json!([]));
}

#[test]
fn events_are_replayed_by_page_and_by_stream() {
    let app = TestApp::start();
    app.penguins();
    let job = app.run_job(&coral());
    let path = format!("/v1/jobs/{}/events", job["id"].as_str().expect("an id"));
    let page = app.get(&path).json();
    let events = page["data"].as_array().expect("events");
    let seqs: Vec<i64> = events.iter().filter_map(|e| e["seq"].as_i64()).collect();
    assert_eq!(seqs, (1..=events.len() as i64).collect::<Vec<_>>(), "no gap");
    let last = events.last().expect("an event");
    assert_eq!(
        (&last["event"], &last["state"], &last["terminal"]),
        (&json!("state"), &json!("succeeded"), &json!(true))
    );
    assert_eq!(last["model"], "birds@1");
    let short = app.get(&format!("{path}?after_seq=1&limit=1"));
    assert_eq!((short.json()["data"][0]["seq"].clone(), short.json()["next_cursor"].clone()), (json!(2), json!("2")));
    assert!(short.header("link").contains("after_seq=2"));

    let ids =
        |lines: &[String]| lines.iter().filter_map(|l| l.strip_prefix("id: ")?.parse().ok()).collect::<Vec<i64>>();
    let all = app.stream(&path, None);
    assert!(all[0].starts_with("HTTP/1.1 200"), "{all:?}");
    assert!(all.iter().any(|l| l == "retry: 2000") && all.iter().any(|l| l == "event: state"), "{all:?}");
    assert_eq!(ids(&all), seqs);
    assert_eq!(ids(&app.stream(&path, Some(1))), seqs[1..]);
    let end = app.stream(&path, seqs.last().copied());
    assert!(end[0].starts_with("HTTP/1.1 204"), "{end:?}");
    app.get_with(&path, "accept", "image/png").problem(406, "not_acceptable");
}

#[test]
fn a_stream_follows_a_job_to_its_end() {
    let app = TestApp::start();
    app.penguins();
    let job = app.post("/v1/jobs", &coral()).json();
    let lines = app.stream(&format!("/v1/jobs/{}/events", job["id"].as_str().expect("an id")), None);
    let data: Vec<Value> = lines.iter().filter_map(|l| serde_json::from_str(l.strip_prefix("data: ")?).ok()).collect();
    assert_eq!(data.first().map(|d| d["state"].clone()), Some(json!("queued")));
    assert_eq!(
        data.last().map(|d| (d["state"].clone(), d["terminal"].clone())),
        Some((json!("succeeded"), json!(true)))
    );
}

#[test]
fn a_job_that_cannot_be_done_fails_with_a_code_and_a_cure() {
    let app = TestApp::start();
    app.put("/v1/domains/one?label=y", b"a,b,y\n1,2,p\n2,3,p\n3,1,p\n");
    app.put("/v1/domains/two?label=y", b"a,b,y\n1,2,p\n2,3,q\n3,1,p\n");
    let job = app.run_job(&json!({"kind": "adapt", "sources": ["one"], "target": "two", "method": {"id": "coral"}}));
    assert_eq!((&job["state"], &job["error"]["code"]), (&json!("failed"), &json!("job.data_degenerate")), "{job}");
    assert_eq!(job["error"]["docs"], "/docs/errors#job.data_degenerate");
    assert!(job["error"]["message"].as_str().is_some_and(|m| !m.is_empty()));
}

#[test]
fn a_stopped_service_goes_on_where_it_was() {
    let mut app = TestApp::start();
    app.penguins();
    let done = app.run_job(&coral());
    app.stop();
    let app = app.restart();
    let id = done["id"].as_str().expect("an id");
    assert_eq!(app.get(&format!("/v1/jobs/{id}")).json()["state"], "succeeded");
    assert_eq!(app.get("/v1/models/birds").json()["latest_version"], 1);
}
