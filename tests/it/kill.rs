//! The real binary, killed with SIGKILL again and again while clients submit, cancel, pause and upload: every job that was
//! accepted ends, nothing takes effect twice, no key is forgotten, and no accepted cancel ends as a success.
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

/// A batch, or one job that ends at once or runs for as long as a process lives here.
fn spec_of(rng: &mut ChaCha8Rng, name: &str) -> Value {
    if rng.random_bool(0.05) {
        let jobs: Vec<Value> =
            (0..3).map(|i| spec_of(rng, &format!("{name}-{i}"))).filter(|j| j["jobs"].is_null()).collect();
        if !jobs.is_empty() {
            return json!({"kind": "batch", "jobs": jobs});
        }
    }
    let evaluation = if rng.random_bool(0.03) { "leave_one_out" } else { "target_labels" };
    let method = if rng.random_bool(0.5) { "coral" } else { "transfer_component_analysis" };
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "evaluation": {"kind": evaluation},
           "method": {"id": method}, "model": format!("m-{name}")})
}

/// One client, and what it was promised.
struct Client<'a> {
    number: u64,
    http: Http,
    rng: ChaCha8Rng,
    promises: &'a Mutex<Promises>,
    stop: &'a AtomicBool,
    paused: Vec<String>,
}

impl Client<'_> {
    fn run(mut self) {
        for n in 0.. {
            if self.stop.load(Ordering::SeqCst) {
                break;
            }
            let key = format!("client-{}-{n}", self.number);
            let spec = spec_of(&mut self.rng, &format!("{}-{n}", self.number));
            let job = self.submit(&key, &spec);
            match self.rng.random_range(0..10) {
                0..3 => self.cancel(&job),
                3..5 => self.pause(&job),
                5 => self.upload(n),
                _ => {}
            }
            if self.rng.random_bool(0.5)
                && let Some(job) = self.paused.pop()
            {
                self.resume(&job);
            }
            std::thread::sleep(Duration::from_millis(self.rng.random_range(0..40)));
        }
        for job in std::mem::take(&mut self.paused) {
            self.resume(&job);
        }
    }

    fn promise(&self, note: impl FnOnce(&mut Promises)) {
        note(&mut self.promises.lock().expect("a lock"));
    }

    /// Sends until there is an answer, as a client does that knows that a service may be away for a moment.
    fn until_answered(&mut self, send: impl Fn(&Http) -> Option<(u16, Value)>) -> (u16, Value) {
        loop {
            match send(&self.http) {
                Some((503, _)) => {}
                Some(answer) => return answer,
                None => self.promise(|p| p.lost_answers += 1),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn submit(&mut self, key: &str, spec: &Value) -> String {
        let (status, job) = self.until_answered(|http| http.post("/v1/jobs", spec, Some(key)));
        assert_eq!(status, 202, "{job}");
        let id = job["id"].as_str().expect("an id").to_owned();
        self.promise(|p| drop(p.accepted.insert(key.to_owned(), id.clone())));
        self.promise(|p| drop(p.specs.insert(key.to_owned(), spec.clone())));
        id
    }

    /// Once: whether it was accepted is known only where there is an answer.
    fn cancel(&mut self, job: &str) {
        if let Some((202, _)) = self.http.post(&format!("/v1/jobs/{job}/cancel"), &Value::Null, None) {
            self.promise(|p| {
                p.cancelled.insert(job.to_owned());
            });
        }
    }

    fn pause(&mut self, job: &str) {
        // Also where the answer is lost it may be paused.
        self.paused.push(job.to_owned());
        if let Some((202, _)) = self.http.post(&format!("/v1/jobs/{job}/pause"), &Value::Null, None) {
            self.promise(|p| p.paused += 1);
        }
    }

    fn resume(&mut self, job: &str) {
        let path = format!("/v1/jobs/{job}/resume");
        let (status, body) = self.until_answered(|http| http.post(&path, &Value::Null, None));
        assert!([200, 202, 409].contains(&status), "{status}: {body}");
    }

    fn upload(&mut self, n: u64) {
        let csv = format!("a,b\n{},{n}\n2,3\n", self.number);
        let path = format!("/v1/domains/d-{}", self.number);
        let (status, body) = self.until_answered(|http| http.put(&path, csv.as_bytes()));
        assert!([200, 201].contains(&status), "{status}: {body}");
        self.promise(|p| p.uploaded += 1);
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
            std::thread::spawn(move || {
                let rng = ChaCha8Rng::seed_from_u64(number);
                let http = Http::new(port);
                Client { number, http, rng, promises: &promises, stop: &stop, paused: Vec::new() }.run();
            })
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
    send_again(&http, &mut promises.lock().expect("a lock"));
    drain(&http);
    let (took, clean) = process.terminate();
    assert!(clean && took < Duration::from_secs(8), "the last shutdown took {took:?}");
    Arc::into_inner(promises).expect("the last owner").into_inner().expect("a lock")
}

/// Every key once more, after the last process came: none is forgotten, and none makes a second job.
fn send_again(http: &Http, promises: &mut Promises) {
    for (key, spec) in &promises.specs {
        let (status, job) = http.post("/v1/jobs", spec, Some(key)).expect("an answer");
        assert_eq!((status, job["id"].as_str()), (202, promises.accepted.get(key).map(String::as_str)), "{key}: {job}");
        promises.replayed += 1;
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
    let Promises { accepted, cancelled, paused, uploaded, replayed, lost_answers, .. } = &promises;
    println!(
        "{kills} kills: {} jobs accepted, {} cancels, {paused} pauses, {uploaded} uploads, {lost_answers} answers lost, \
         {replayed} keys sent again; all ended, none twice",
        accepted.len(),
        cancelled.len(),
    );
    assert!(accepted.len() > kills && !cancelled.is_empty() && *paused > 0 && *lost_answers > 0, "the storm met some");
}
