//! The real binary, killed with SIGKILL again and again while clients submit and cancel: every job
//! that was accepted ends, nothing takes effect twice, and no accepted cancel ends as a success.
//!
//! Thirty kills by default; `ADAPTD_KILLS=1000` makes it long.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::process::{Http, Process, free_port};

const CLIENTS: u64 = 4;
const DRAIN: Duration = Duration::from_secs(240);

/// What clients were promised.
#[derive(Default)]
struct Promises {
    /// Job by idempotency key; a key that was answered twice must have got the same job.
    accepted: BTreeMap<String, String>,
    cancelled: BTreeSet<String>,
    replayed: usize,
}

/// One client: submits under keys of its own, sends a key again where the answer was lost, cancels
/// some of what it submitted.
fn client(number: u64, port: u16, promises: &Mutex<Promises>, stop: &AtomicBool) {
    let http = Http::new(port);
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    for n in 0.. {
        let key = format!("client-{number}-{n}");
        // Some jobs end at once, some run for as long as a process lives here.
        let evaluation =
            if rng.random_bool(0.3) { json!({"kind": "leave_one_out"}) } else { json!({"kind": "target_labels"}) };
        let spec = json!({
            "kind": "adapt", "sources": ["adelie"], "target": "gentoo", "evaluation": evaluation,
            "method": {"id": if rng.random_bool(0.5) { "coral" } else { "transfer_component_analysis" }},
            "model": format!("m-{number}-{n}"),
        });
        let job = loop {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            match http.post("/v1/jobs", &spec, Some(&key)) {
                Some((202, job)) => break job["id"].as_str().expect("an id").to_owned(),
                Some((503, _)) | None => std::thread::sleep(Duration::from_millis(10)),
                Some((status, body)) => panic!("{status}: {body}"),
            }
        };
        promises.lock().expect("a lock").accepted.insert(key.clone(), job.clone());
        if rng.random_bool(0.3)
            && let Some((202, _)) = http.post(&format!("/v1/jobs/{job}/cancel"), &Value::Null, None)
        {
            promises.lock().expect("a lock").cancelled.insert(job.clone());
        }
        // The same key again, as a client does that is not sure: it must get the same job.
        if rng.random_bool(0.3)
            && let Some((202, again)) = http.post("/v1/jobs", &spec, Some(&key))
        {
            assert_eq!(again["id"], job.as_str(), "one key, two jobs");
            promises.lock().expect("a lock").replayed += 1;
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(0..40)));
    }
}

#[expect(clippy::disallowed_methods, reason = "clients run beside a process that is killed by the clock")]
fn storm(data: &std::path::Path, port: u16, kills: usize) -> Promises {
    let options = ["--crash-limit", "1000000", "--job-threads", "2"];
    let mut process = Process::start(data, port, &options);
    let http = Http::new(port);
    for (name, csv) in [
        ("adelie", include_bytes!("../../examples/data/penguins/adelie.csv").as_slice()),
        ("gentoo", include_bytes!("../../examples/data/penguins/gentoo.csv")),
    ] {
        assert_eq!(http.put(&format!("/v1/domains/{name}?label=label"), csv).expect("an answer").0, 201);
    }
    let (promises, stop) = (Arc::new(Mutex::new(Promises::default())), Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let (promises, stop) = (promises.clone(), stop.clone());
            std::thread::spawn(move || client(number, port, &promises, &stop))
        })
        .collect();
    let mut rng = ChaCha8Rng::seed_from_u64(99);
    for _ in 0..kills {
        std::thread::sleep(Duration::from_millis(rng.random_range(50..500)));
        process.kill();
        process = Process::start(data, port, &options);
    }
    stop.store(true, Ordering::SeqCst);
    clients.into_iter().for_each(|c| c.join().expect("a client whose promises held"));
    drain(&http);
    let (took, clean) = process.terminate();
    assert!(clean && took < Duration::from_secs(8), "the last shutdown took {took:?}");
    Arc::into_inner(promises).expect("the last owner").into_inner().expect("a lock")
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn drain(http: &Http) {
    let began = Instant::now();
    let open = |state: &str| http.get(&format!("/v1/jobs?state={state}&limit=1")).expect("an answer").1;
    while ["queued", "running"].iter().any(|s| !open(s)["data"].as_array().expect("a list").is_empty()) {
        assert!(began.elapsed() < DRAIN, "jobs that were accepted do not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Looks at the database itself, after the last process is gone.
async fn audit(data: &std::path::Path, promises: &Promises) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("adaptd.db")).read_only(true);
    let mut db = sqlx::SqliteConnection::connect_with(&options).await.expect("a database");
    let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut db).await.expect("a check");
    assert_eq!(check, "ok");

    let jobs: Vec<(String, String, Option<String>)> =
        sqlx::query_as("SELECT id, state, json_extract(error, '$.code') FROM jobs")
            .fetch_all(&mut db)
            .await
            .expect("jobs");
    let states: BTreeMap<&str, &str> = jobs.iter().map(|(id, state, _)| (id.as_str(), state.as_str())).collect();
    for job in promises.accepted.values() {
        let state = states.get(job.as_str()).unwrap_or_else(|| panic!("accepted job {job} is lost"));
        assert!(["succeeded", "failed", "cancelled"].contains(state), "{job} is {state}");
    }
    for (id, state, code) in &jobs {
        assert_ne!(state, "failed", "{id}: {code:?}");
    }
    for job in &promises.cancelled {
        assert_eq!(states[job.as_str()], "cancelled", "{job} was cancelled");
    }

    let models: Vec<(String, i64)> = sqlx::query_as("SELECT job_id, count(*) FROM model_versions GROUP BY job_id")
        .fetch_all(&mut db)
        .await
        .expect("models");
    let made: BTreeSet<&str> = models.iter().map(|(job, _)| job.as_str()).collect();
    let succeeded: BTreeSet<&str> = states.iter().filter(|(_, s)| **s == "succeeded").map(|(id, _)| *id).collect();
    assert_eq!(made, succeeded, "one model for each job that succeeded, none for others");
    assert!(models.iter().all(|(_, n)| *n == 1), "a job made two models");

    let events: Vec<(String, i64, i64, i64)> = sqlx::query_as(
        "SELECT job_id, count(*), max(seq), sum(type = 'state' AND json_extract(data, '$.terminal')) \
         FROM job_events GROUP BY job_id",
    )
    .fetch_all(&mut db)
    .await
    .expect("events");
    assert_eq!(events.len(), jobs.len());
    for (job, count, last, terminal) in events {
        assert_eq!(count, last, "{job}: a gap in the events");
        assert_eq!(terminal, 1, "{job}: one terminal event");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the length of the storm is chosen by whoever runs the tests")]
async fn thirty_kills_lose_nothing_and_repeat_nothing() {
    let kills = std::env::var("ADAPTD_KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(30);
    let data = tempfile::tempdir().expect("a folder");
    let path = data.path().to_owned();
    let promises =
        tokio::task::spawn_blocking(move || storm(&path, free_port(), kills)).await.expect("a storm that ended");
    audit(data.path(), &promises).await;
    println!(
        "{kills} kills: {} jobs accepted, {} cancels accepted, {} keys replayed; all ended, none twice",
        promises.accepted.len(),
        promises.cancelled.len(),
        promises.replayed
    );
    assert!(promises.accepted.len() > kills && !promises.cancelled.is_empty(), "the storm met some jobs");
}
