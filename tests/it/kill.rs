//! The real binary, killed with SIGKILL again and again while clients submit and cancel: every job
//! that was accepted ends, nothing takes effect twice, and no accepted cancel ends as a success.
//!
//! Thirty kills by default; `ADAPTD_KILLS=1000` makes it long.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::audit::{Promises, audit, drain};
use crate::process::{Http, Process, free_port};

const CLIENTS: u64 = 4;

/// One client: submits under keys of its own, sends a key again where the answer was lost, cancels
/// some of what it submitted.
fn client(number: u64, port: u16, promises: &Mutex<Promises>, stop: &AtomicBool) {
    let http = Http::new(port);
    let mut rng = ChaCha8Rng::seed_from_u64(number);
    for n in 0.. {
        let key = format!("client-{number}-{n}");
        // Some jobs end at once, some run for as long as a process lives here.
        let evaluation =
            if rng.random_bool(0.1) { json!({"kind": "leave_one_out"}) } else { json!({"kind": "target_labels"}) };
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
