//! The real binary and its terminal: how it stops, whom it refuses, what it logs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

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
