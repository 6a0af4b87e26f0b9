//! The real binary with a failure planned at each boundary of a commit: an error, a panic, or the end of the process there.
//! Whatever happens, what was accepted ends, nothing takes effect twice, and no accepted cancel ends as a success.
//!
//! Each point with each action once by default; `ADAPTD_FAULTS=20` goes on with so many rounds in which every point fails
//! by chance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use adaptd::faults::Point;
use serde_json::{Value, json};

use crate::audit::{Promises, audit, drain};
use crate::process::{Http, Process, free_port};
use crate::support::{ADELIE, GENTOO};

/// What may be planned at a point.
const ACTIONS: [&str; 3] = ["return(error)", "panic", "return(abort)"];
/// Scenarios at a time: most of their time is waiting.
const BESIDE: usize = 6;

/// A service that may be dead at any moment, and its client.
struct Scenario {
    data: PathBuf,
    log: PathBuf,
    port: u16,
    process: Option<Process>,
    promises: Promises,
}

impl Scenario {
    /// Starts on a copy of a folder in which jobs were left running.
    fn start(template: &Path, folder: &Path, plan: &str, options: &[&str]) -> Self {
        let data = folder.join("data");
        copy(template, &data);
        let port = free_port();
        let log = folder.join("log");
        let process = Process::start_failing(&data, port, options, plan, &log);
        Self { data, log, port, process, promises: Promises::default() }
    }

    /// Sends until there is an answer that is not a refusal for a time; a process that is gone is started without a plan.
    fn send(&mut self, path: &str, body: &Value, key: Option<&str>) -> (u16, Value) {
        loop {
            if self.process.as_mut().is_none_or(Process::has_ended) {
                self.process = Process::start_failing(&self.data, self.port, &OPTIONS, "", &self.log);
                assert!(self.process.is_some(), "it starts without a plan");
            }
            match Http::new(self.port).post(path, body, key) {
                Some((503 | 500, _)) | None => std::thread::sleep(Duration::from_millis(5)),
                Some(answer) => return answer,
            }
        }
    }

    fn submit(&mut self, key: &str, spec: &Value) -> String {
        let (status, job) = self.send("/v1/jobs", spec, Some(key));
        assert_eq!(status, 202, "{job}");
        let id = job["id"].as_str().expect("an id").to_owned();
        self.promises.accepted.insert(key.to_owned(), id.clone());
        // The same key again must get the same job, also where the first answer was lost.
        let (_, again) = self.send("/v1/jobs", spec, Some(key));
        assert_eq!(again["id"], id.as_str(), "one key, two jobs");
        id
    }

    fn cancel(&mut self, job: &str) {
        if self.send(&format!("/v1/jobs/{job}/cancel"), &Value::Null, None).0 < 300 {
            self.promises.cancelled.insert(job.to_owned());
        }
    }

    /// Jobs of every kind of end; one that runs for long is given back by the shutdown.
    fn live(&mut self) {
        let quick = fit("adelie", "coral", "target_labels");
        for n in 0..2 {
            self.submit(&format!("quick-{n}"), &quick);
        }
        let hopeless = self.submit("hopeless", &fit("flat", "coral", "target_labels"));
        self.promises.hopeless.insert(hopeless);
        let doomed = self.submit("doomed", &fit("adelie", "transfer_component_analysis", "leave_one_out"));
        self.cancel(&doomed);
        let last = self.submit("last", &quick);
        self.until(&last, |job| job["error"].is_object());
        let long = self.submit("long", &fit("adelie", "transfer_component_analysis", "leave_one_out"));
        self.until(&long, |job| job["state"] == "running" && job["progress"]["step"].as_u64() > Some(0));
    }

    /// Waits until the job is as it should be, has ended, or its process has.
    #[expect(clippy::disallowed_methods, reason = "another process is waited for")]
    fn until(&mut self, job: &str, what: impl Fn(&Value) -> bool) {
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_secs(5) && !self.process.as_mut().is_none_or(Process::has_ended) {
            match Http::new(self.port).get(&format!("/v1/jobs/{job}")) {
                Some((200, job)) if what(&job) || job["terminal"] == true => return,
                _ => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Ends the process, and what was accepted by another one without a plan; what the logs say.
    fn end(mut self) -> (PathBuf, Promises, String) {
        if let Some(mut process) = self.process.take()
            && !process.has_ended()
        {
            process.terminate();
        }
        self.process = Process::start_failing(&self.data, self.port, &OPTIONS, "", &self.log);
        for key in ["long", "orphan"] {
            let job = self.promises.accepted[key].clone();
            self.cancel(&job);
        }
        drain(&Http::new(self.port));
        assert!(self.process.take().expect("a process").terminate().1, "the last shutdown is clean");
        (self.data, self.promises, std::fs::read_to_string(&self.log).expect("a log"))
    }
}

const OPTIONS: [&str; 6] = ["--crash-limit", "1000000", "--job-threads", "2", "--log-format", "json"];

fn fit(source: &str, method: &str, evaluation: &str) -> Value {
    json!({"kind": "adapt", "sources": [source], "target": "gentoo", "method": {"id": method}, "max_attempts": 100,
           "evaluation": {"kind": evaluation}})
}

/// A folder with domains, a job that has ended, and one, which is told, that was running when its process was killed.
fn template(data: &Path) -> String {
    let process = Process::start(data, free_port(), &OPTIONS);
    let http = Http::new(process.port);
    // Of one class.
    let adelie = std::str::from_utf8(ADELIE).expect("text");
    let flat: Vec<&str> =
        adelie.lines().enumerate().filter(|(n, l)| *n == 0 || l.contains("female")).map(|(_, l)| l).collect();
    for (name, csv) in [("adelie", ADELIE), ("gentoo", GENTOO), ("flat", flat.join("\n").as_bytes())] {
        assert_eq!(http.put(&format!("/v1/domains/{name}?label=label"), csv).expect("an answer").0, 201);
    }
    let spec = fit("adelie", "coral", "target_labels");
    let ended = http.post("/v1/jobs", &spec, None).expect("an answer").1["id"].as_str().expect("an id").to_owned();
    assert_eq!(http.get(&format!("/v1/jobs/{ended}?wait=60")).expect("an answer").1["state"], "succeeded");
    let long = http.post("/v1/jobs", &fit("adelie", "transfer_component_analysis", "leave_one_out"), None);
    let long = long.expect("an answer").1["id"].as_str().expect("an id").to_owned();
    while http.get(&format!("/v1/jobs/{long}")).expect("an answer").1["state"] != "running" {
        std::thread::sleep(Duration::from_millis(1));
    }
    process.kill();
    long
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("a copy");
        }
    }
}

/// Lets a point pass a few times where it is hit at the start already, so that it fails while clients are there.
fn plan(point: Point, action: &str) -> String {
    let passed = match point {
        Point::WriterBeforeCommit | Point::WriterAfterCommit => 6,
        Point::Heartbeat | Point::AppendEvent => 1,
        _ => 0,
    };
    let off = if passed > 0 { format!("{passed}*off->") } else { String::new() };
    format!("{}={off}1*{action}->off", point.as_str())
}

/// How often the log tells of each point.
fn hits(log: &str) -> BTreeMap<&'static str, usize> {
    let told = |name: &str| {
        let of = |line: &&str| line.contains("a planned failure") && line.contains(&format!("\"point\":\"{name}\""));
        log.lines().filter(of).count()
    };
    Point::ALL.iter().map(|point| (point.as_str(), told(point.as_str()))).collect()
}

async fn scenario((template, orphan): (&Path, &str), plan: String) -> BTreeMap<&'static str, usize> {
    let (folder, template, orphan) = (tempfile::tempdir().expect("a folder"), template.to_owned(), orphan.to_owned());
    let inside = folder.path().to_owned();
    let told = plan.clone();
    let lived = tokio::task::spawn_blocking(move || {
        let options = [&OPTIONS[..], &["--keep-events", "PT0S"]].concat();
        let mut scenario = Scenario::start(&template, &inside, &plan, &options);
        scenario.promises.accepted.insert("orphan".into(), orphan);
        scenario.live();
        scenario.end()
    });
    let (data, promises, log) = lived.await.unwrap_or_else(|e| panic!("{told}: {e}"));
    assert_eq!(promises.accepted.len(), 7);
    audit(&data, &promises).await;
    hits(&log)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_at_any_boundary_of_a_commit_loses_nothing_and_repeats_nothing() {
    let template_folder = tempfile::tempdir().expect("a folder");
    let folder = template_folder.path().to_owned();
    let orphan = tokio::task::spawn_blocking(move || template(&folder)).await.expect("a template");
    let template = (template_folder.path(), orphan.as_str());
    let plans = Point::ALL.iter().flat_map(|&point| ACTIONS.map(|action| (point, plan(point, action))));
    // A commit that fails later is another's: also that of an accepted job, which no attempt repairs.
    let later = (7..14).map(|passed| {
        let point = Point::WriterBeforeCommit;
        (point, format!("{}={passed}*off->1*return(error)->off", point.as_str()))
    });
    let plans = plans.chain(later);
    let missed = Mutex::new(Vec::new());
    let run = futures::StreamExt::for_each_concurrent(futures::stream::iter(plans), BESIDE, async |(point, plan)| {
        let hits = scenario(template, plan.clone()).await;
        if hits[point.as_str()] == 0 {
            missed.lock().expect("a lock").push(plan);
        }
    });
    run.await;
    assert_eq!(*missed.lock().expect("a lock"), Vec::<String>::new(), "plans that met nothing");
    rounds(template).await;
}

/// Everything fails by chance, again and again.
#[expect(clippy::disallowed_methods, reason = "the length is chosen by whoever runs the tests")]
async fn rounds(template: (&Path, &str)) {
    let rounds: usize = std::env::var("ADAPTD_FAULTS").ok().and_then(|n| n.parse().ok()).unwrap_or(0);
    for round in 0..rounds {
        let of = |point: &Point| format!("{}=3%return(error)->2%panic->1%return(abort)", point.as_str());
        let plan: Vec<String> = Point::ALL.iter().map(of).collect();
        println!("round {round}: {:?}", scenario(template, plan.join(";")).await);
    }
}
