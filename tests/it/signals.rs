//! The real binary and its terminal: how it stops, whom it refuses, what it logs.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::process::{Http, Process, free_port};
use crate::support::{ADELIE, GENTOO};

/// What a service may take to stop, with what it was computing.
const STOP: Duration = Duration::from_secs(8);

fn penguins(http: &Http) {
    for (name, csv) in [("adelie", ADELIE), ("gentoo", GENTOO)] {
        assert_eq!(http.put(&format!("/v1/domains/{name}?label=label"), csv).unwrap().0, 201);
    }
}

/// A job of a hundred fits: seconds of computing.
fn long() -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": "birds",
           "method": {"id": "transfer_component_analysis"}, "evaluation": {"kind": "leave_one_out"}})
}

fn submit(http: &Http, spec: &Value) -> String {
    let (status, job) = http.post("/v1/jobs", spec, None).unwrap();
    assert_eq!(status, 202, "{job}");
    job["id"].as_str().unwrap().to_owned()
}

/// The job as soon as it is `running` or, if that was missed, has ended.
fn begun(http: &Http, id: &str) -> Value {
    loop {
        let (_, job) = http.get(&format!("/v1/jobs/{id}")).unwrap();
        if job["state"] != "queued" {
            return job;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn sigterm_gives_a_running_job_back_and_the_next_process_ends_it() {
    let (data, port) = (tempfile::tempdir().unwrap(), free_port());
    let options = ["--job-threads", "1"];
    let process = Process::start(data.path(), port, &options);
    let http = Http::new(port);
    penguins(&http);
    let id = submit(&http, &long());
    let job = begun(&http, &id);
    assert_eq!((&job["state"], &job["attempt"]), (&json!("running"), &json!(1)), "{job}");
    let (took, clean) = process.terminate();
    assert!(clean && took < STOP, "it ended after {took:?}, well: {clean}");

    let next = Process::start(data.path(), port, &options);
    // The event tells that the job was given back; what runs now is the first attempt again.
    let (_, events) = http.get(&format!("/v1/jobs/{id}/events")).unwrap();
    let states: Vec<&Value> =
        events["data"].as_array().unwrap().iter().filter(|e| e["event"] == "state").map(|e| &e["state"]).collect();
    assert_eq!(states[..3], ["queued", "running", "queued"], "{events}");
    let (_, ended) = http.get(&format!("/v1/jobs/{id}?wait=60")).unwrap();
    assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended}");
    assert_eq!(ended["result"], json!({"model": "birds@1"}));
    assert!(next.terminate().1);
}

#[test]
fn a_second_process_on_one_folder_is_refused_in_one_line() {
    let data = tempfile::tempdir().unwrap();
    let first = Process::start(data.path(), free_port(), &[]);
    let second = Command::new(env!("CARGO_BIN_EXE_adaptd"))
        .args(["serve", "--listen", &format!("127.0.0.1:{}", free_port()), "--data"])
        .arg(data.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && second.stdout.is_empty(), "{second:?}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("another adaptd uses this folder") && text.contains(data.path().to_str().unwrap()), "{text}");
    assert_eq!(Http::new(first.port).get("/readyz").unwrap().0, 200, "the first is not disturbed");
}

/// Every line of a log, each of which must be a JSON object.
fn lines(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn a_log_of_json_has_a_line_a_request_and_a_line_an_attempt_and_no_rows() {
    let data = tempfile::tempdir().unwrap();
    let log = data.path().join("log");
    let options = ["--log-format", "json"];
    let process = Process::start_logging(data.path(), free_port(), &options, &log);
    let http = Http::new(process.port);
    // Numbers and words that cannot be in a log by chance.
    let csv = "secretcolumn,b,label\n74218.53917,1,verymale\n2.5,3,veryfemale\n3.5,1,verymale\n1.5,4,veryfemale\n";
    for name in ["one", "two"] {
        assert_eq!(http.put(&format!("/v1/domains/{name}?label=label"), csv.as_bytes()).unwrap().0, 201);
    }
    let bad = "secretcolumn,b\n74218.53917,1\n74218.53917,1,9\n";
    assert_eq!(http.put("/v1/domains/bad", bad.as_bytes()).unwrap().0, 422);
    let spec = json!({"kind": "adapt", "sources": ["one"], "target": "two", "method": {"id": "coral"}, "model": "m"});
    let id = submit(&http, &spec);
    let (_, ended) = http.get(&format!("/v1/jobs/{id}?wait=60")).unwrap();
    assert_eq!(ended["terminal"], true, "{ended}");
    let rows = json!({"rows": [{"secretcolumn": 74218.53917, "b": "verymale"}]});
    let predicted = http.post("/v1/models/m/predict", &rows, None).unwrap();
    assert!(predicted.0 == 422 || predicted.0 == 404, "{predicted:?}");
    assert!(process.terminate().1);

    let lines = lines(&log);
    let requests: Vec<&Value> = lines.iter().filter(|l| l["message"] == "request").collect();
    let of =
        |method: &str, status: u64| requests.iter().filter(|l| l["method"] == method && l["status"] == status).count();
    assert_eq!((requests.len(), of("PUT", 201), of("PUT", 422), of("POST", 202)), (6, 2, 1, 1), "{requests:#?}");
    let mut ids: Vec<&str> = requests.iter().map(|l| l["span"]["request_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6, "each request has an id of its own");
    let attempts: Vec<&Value> = lines.iter().filter(|l| l["message"] == "attempt ended").collect();
    assert_eq!(attempts.len(), 1, "{attempts:#?}");
    assert_eq!(
        (&attempts[0]["span"]["job"], &attempts[0]["span"]["attempt"], &attempts[0]["outcome"]),
        (&json!(id), &json!(1), &ended["state"])
    );
    let of_job: Vec<&&Value> = requests.iter().filter(|l| l["span"]["job"] == json!(id)).collect();
    assert_eq!(of_job.len(), 2, "the requests that made and read the job join its attempt: {requests:#?}");
    let text = std::fs::read_to_string(&log).unwrap();
    for secret in ["74218", "verymale", "veryfemale"] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}

/// What clients of a service that is stopped under them saw.
#[derive(Default)]
struct Seen {
    /// A client was told that the service is stopping: from here on nobody is told anything else.
    stopping: AtomicBool,
    /// Answers by kind of client and status, 0 where there was none.
    answers: Mutex<BTreeMap<(&'static str, u16), usize>>,
}

impl Seen {
    /// Asks again and again until the service is gone, or until this answer was the one that was waited for.
    fn client(&self, port: u16, (kind, good): (&'static str, u16), mut ask: impl FnMut() -> Option<(u16, Value)>) {
        loop {
            let was_stopping = self.stopping.load(Ordering::SeqCst);
            let answer = ask();
            let status = answer.as_ref().map_or(0, |(status, _)| *status);
            *self.answers.lock().unwrap().entry((kind, status)).or_default() += 1;
            match &answer {
                Some((503, problem)) => {
                    assert_eq!(problem["code"], "shutting_down", "{kind}: {problem}");
                    self.stopping.store(true, Ordering::SeqCst);
                }
                Some((status, body)) => {
                    assert!(!was_stopping, "{kind}: asked while it stopped, and answered {status} {body}");
                    assert_eq!(*status, good, "{kind}: {body}");
                }
                // Only what is asked while it stops may find nobody: then nobody listens any more.
                None => {
                    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "{kind}: a request was lost");
                    return;
                }
            }
        }
    }

    fn count(&self, kind: &str, status: u16) -> usize {
        self.answers.lock().unwrap().iter().filter(|((k, s), _)| *k == kind && *s == status).map(|(_, n)| n).sum()
    }
}

/// A stream of events, from its head to the end of the connection.
fn streamed(port: u16, job: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let request = format!("GET /v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8(all).unwrap()
}

#[test]
fn sigterm_under_load_loses_no_answer_and_no_attempt() {
    let data = tempfile::tempdir().unwrap();
    let process = Process::start(data.path(), free_port(), &["--job-threads", "2"]);
    let (port, http) = (process.port, Http::new(process.port));
    penguins(&http);
    let quick =
        json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": "m", "method": {"id": "coral"}});
    let made = submit(&http, &quick);
    assert_eq!(http.get(&format!("/v1/jobs/{made}?wait=60")).unwrap().1["state"], "succeeded");
    let jobs: Vec<String> = (0..12).map(|_| submit(&http, &long())).collect();
    assert_eq!(begun(&http, &jobs[0])["state"], "running");

    let seen = Seen::default();
    let row = json!({"rows": [{"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750}]});
    let (streams, waits, took) = std::thread::scope(|threads| {
        let (seen, row, jobs) = (&seen, &row, &jobs);
        let streams: Vec<_> = jobs[10..].iter().map(|job| threads.spawn(move || streamed(port, job))).collect();
        let wait = |job: &String| Http::new(port).get(&format!("/v1/jobs/{job}?wait=60"));
        let waits: Vec<_> = jobs[8..].iter().map(|job| threads.spawn(move || wait(job))).collect();
        for n in 0..2 {
            threads.spawn(move || {
                let http = Http::new(port);
                seen.client(port, ("predict", 200), || http.post("/v1/models/m/predict", row, None));
            });
            threads.spawn(move || {
                let (http, mut csv) = (Http::new(port), ADELIE.to_vec());
                seen.client(port, ("upload", 201), || {
                    csv.extend_from_slice(b"39.1,18.7,181,3750,male\n");
                    http.put(&format!("/v1/domains/d{n}"), &csv)
                });
            });
        }
        while ["predict", "upload"].iter().any(|kind| seen.count(kind, 200) + seen.count(kind, 201) < 20) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let (took, clean) = process.terminate();
        assert!(clean, "it ended after {took:?}");
        let streams: Vec<String> = streams.into_iter().map(|s| s.join().unwrap()).collect();
        let waits: Vec<_> = waits.into_iter().map(|w| w.join().unwrap()).collect();
        (streams, waits, took)
    });
    println!("it took {took:?}; {:?}", seen.answers.lock().unwrap());
    assert!(took < STOP, "{took:?}");
    assert!(seen.count("predict", 503) + seen.count("upload", 503) > 0, "clients were told");
    for stream in streams {
        assert!(stream.starts_with("HTTP/1.1 200") && stream.contains("event: state"), "{stream}");
        assert!(stream.ends_with("\r\n0\r\n\r\n"), "the end of a stream is said: {stream:?}");
        assert!(!stream.contains("\"terminal\":true"), "{stream}");
    }
    for wait in waits {
        let (status, job) = wait.expect("who waits is answered");
        assert_eq!((status, &job["terminal"]), (200, &json!(false)), "{job}");
    }
    let ended = audit(data.path());
    assert!(ended < jobs.len() as i64, "some were left for the next process");
}

/// Looks at the database after the end: jobs that did not end have no attempt behind them. How many ended beside the first.
fn audit(data: &Path) -> i64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("adaptd.db")).read_only(true);
    let look = async {
        let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        let odd =
            "SELECT count(*) FROM jobs WHERE crash_count > 0 OR lost_before > 0 OR state NOT IN ('queued', 'succeeded')
          OR (state = 'queued' AND attempt <> 0) OR (state = 'succeeded' AND attempt <> 1)";
        assert_eq!(sqlx::query_scalar::<_, i64>(odd).fetch_one(&mut db).await.unwrap(), 0);
        let given_back = "SELECT count(*) FROM jobs j WHERE j.state = 'queued' AND (SELECT count(*) FROM job_events e
          WHERE e.job_id = j.id AND e.type = 'state') = 3";
        assert!(
            sqlx::query_scalar::<_, i64>(given_back).fetch_one(&mut db).await.unwrap() >= 1,
            "a job was given back"
        );
        let ended = "SELECT count(*) - 1 FROM jobs WHERE state = 'succeeded'";
        sqlx::query_scalar::<_, i64>(ended).fetch_one(&mut db).await.unwrap()
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(look)
}
