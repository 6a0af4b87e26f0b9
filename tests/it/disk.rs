//! A disk that runs full: what is new is refused before it is written, what ends or removes something goes on, and when
//! there is room again so does everything, in the same process.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Connection as _;

use crate::process::{Http, Process, free_port};
use crate::support::{ADELIE, GENTOO, TestApp};

/// A job of a hundred fits: seconds of computing.
fn long(model: &str) -> Value {
    json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "model": model, "max_attempts": 20,
           "method": {"id": "transfer_component_analysis"}, "evaluation": {"kind": "leave_one_out"}})
}

#[test]
fn a_service_short_of_room_takes_nothing_new_and_ends_and_removes_what_it_has() {
    let app = TestApp::start();
    app.penguins();
    app.put("/v1/domains/other", b"a,b\n1,2\n3,4\n");
    let keyed = |app: &TestApp| {
        let headers = [("content-type", "application/json"), ("idempotency-key", "again")];
        app.send("POST", "/v1/jobs", &headers, long("a").to_string().as_bytes())
    };
    let running = keyed(&app).json();
    let queued = app.post("/v1/jobs", &long("b")).json();
    // More than any disk has.
    let app = app.restart_with(|options| options.min_free_bytes = 1 << 60);

    app.put("/v1/domains/new", b"a,b\n1,2\n").problem(507, "storage_full");
    app.put("/v1/domains/other", b"a,b\n1,2\n").problem(507, "storage_full");
    app.post("/v1/domains", &json!({"name": "new", "rows": [{"a": 1}]})).problem(507, "storage_full");
    let etag = app.get("/v1/domains/other").header("etag").to_owned();
    let headers = [("content-type", "application/json"), ("if-match", etag.as_str())];
    app.send("PATCH", "/v1/domains/other", &headers, br#"{"label": "b"}"#).problem(507, "storage_full");
    app.post("/v1/jobs", &long("c")).problem(507, "storage_full");
    app.post("/v1/keys", &json!({"name": "k", "scopes": ["admin"]})).problem(507, "storage_full");
    assert_eq!(app.get("/v1/domains/new").status, 404);
    let ready = app.get("/readyz");
    let problem = ready.problem(507, "storage_full");
    assert_eq!(problem["checks"]["disk"]["needed_bytes"], json!(1_u64 << 60), "{problem}");
    assert_eq!(app.get("/livez").status, 200);

    // What was made before is told again, what is wrong is still told as such, a dry run stores nothing.
    let again = keyed(&app);
    assert_eq!((again.status, &again.json()["id"]), (202, &running["id"]), "{}", again.text);
    assert_eq!(app.post("/v1/jobs?dry_run=true", &long("c")).status, 200);
    for job in [&queued, &running] {
        let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
        // What they would make could not be stored: they wait, and use up no attempt.
        let waits = app.get(&path).json();
        assert_eq!((&waits["state"], &waits["attempt"]), (&json!("queued"), &json!(0)), "{waits}");
        assert_eq!(app.post(&format!("{path}/cancel"), &Value::Null).status, 202);
        let mut ended = app.get(&format!("{path}?wait=60")).json();
        while ended["terminal"] == false {
            ended = app.get(&format!("{path}?wait=60")).json();
        }
        assert_eq!(ended["state"], "cancelled", "{ended}");
    }
    for domain in ["other", "adelie"] {
        assert_eq!(app.send("DELETE", &format!("/v1/domains/{domain}"), &[("if-match", "*")], b"").status, 204);
    }
}

/// A file system of its own, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(at: &Path, size: &str) -> Option<Self> {
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", size, "tmpfs"]).arg(at).output();
        mount.is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }

    /// Takes all the room that is left.
    fn fill(&self, name: &str) {
        let mut file = File::options().create(true).append(true).open(self.0.join(name)).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may hold it for a moment.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Set for the process that has a namespace for mounts.
const INSIDE: &str = "ADAPTD_TEST_INSIDE";

#[test]
#[expect(clippy::disallowed_methods, reason = "the test runs itself again where it may mount")]
fn a_disk_that_is_really_full_stops_nothing_for_good() {
    let folder = tempfile::tempdir().unwrap();
    if let Some(disk) = SmallDisk::mount(folder.path(), "size=64m") {
        return through_a_full_disk(&disk);
    }
    if std::env::var(INSIDE).is_ok() {
        return println!("skipped: nothing can be mounted, not even in a namespace");
    }
    let name = "disk::a_disk_that_is_really_full_stops_nothing_for_good";
    let inside = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output();
    match inside {
        Ok(done) if String::from_utf8_lossy(&done.stdout).contains("running 1 test") => {
            print!("{}", String::from_utf8_lossy(&done.stdout));
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        }
        _ => println!("skipped: neither a mount nor a namespace is allowed here"),
    }
}

/// Asks until the answer is as it should be.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn until(what: &str, within: Duration, mut ask: impl FnMut() -> bool) {
    let began = Instant::now();
    while !ask() {
        assert!(began.elapsed() < within, "{what}: not within {within:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn id(job: &Value) -> String {
    format!("/v1/jobs/{}", job["id"].as_str().unwrap_or_else(|| panic!("no job: {job}")))
}

fn through_a_full_disk(disk: &SmallDisk) {
    let (data, port) = (disk.0.join("data"), free_port());
    let options = ["--job-threads", "2", "--min-free-bytes", "16777216"];
    let http = Http::new(port);
    let process = Process::start(&data, port, &options);
    for (name, csv) in [("adelie", ADELIE), ("gentoo", GENTOO), ("spare", GENTOO)] {
        assert_eq!(http.put(&format!("/v1/domains/{name}?label=label"), csv).unwrap().0, 201);
    }
    let submit = |spec: &Value| http.post("/v1/jobs", spec, None).unwrap();
    let before_others = |model: &str, priority: i64| {
        let mut spec = long(model);
        spec["priority"] = json!(priority);
        if model == "kept" {
            // Long enough that it runs when the disk is full.
            spec["evaluation"] = json!({"kind": "bootstrap", "n_draws": 600});
        }
        id(&submit(&spec).1)
    };
    let (first, kept) = (before_others("first", 2), before_others("kept", 1));
    let queued: Vec<String> = (0..80).map(|i| id(&submit(&long(&format!("m{i}"))).1)).collect();
    // The log of the database begins anew with a process: on the full disk it has to grow.
    assert!(process.terminate().1);
    let process = Process::start(&data, port, &options);
    for job in [&first, &kept] {
        until("the first jobs run", Duration::from_secs(20), || http.get(job).unwrap().1["state"] == "running");
    }
    assert!(data.join("ballast").exists());

    disk.fill("filler");
    until("the full disk is seen", Duration::from_secs(5), || http.get("/readyz").unwrap().0 == 507);
    assert_eq!(http.get("/livez").unwrap().0, 200);
    let full = |answer: (u16, Value)| assert_eq!((answer.0, &answer.1["code"]), (507, &json!("storage_full")));
    full(http.put("/v1/domains/new?label=label", ADELIE).unwrap());
    full(submit(&long("new")));
    for job in queued.iter().rev().chain([&first]) {
        let (status, answer) = http.post(&format!("{job}/cancel"), &Value::Null, None).unwrap();
        assert_eq!(status, 202, "{answer}");
    }
    assert_eq!(http.delete("/v1/domains/spare").unwrap().0, 204);
    for job in queued.iter().chain([&first]) {
        until("a cancel", Duration::from_secs(10), || http.get(job).unwrap().1["state"] == "cancelled");
    }
    assert!(!data.join("ballast").exists(), "there was no other room for so many changes");

    // Now there is nothing left to give up, and the job that runs has nowhere to leave its model.
    disk.fill("more");
    let met_full_disk = || {
        let (_, job) = http.get(&kept).unwrap();
        assert_eq!(job["terminal"], false, "{job}");
        job["error"]["code"] == "job.disk_full"
    };
    until("the job meets the full disk", Duration::from_secs(300), met_full_disk);
    for filler in ["filler", "more"] {
        std::fs::remove_file(disk.0.join(filler)).unwrap();
    }
    until("the room is seen", Duration::from_secs(5), || http.get("/readyz").unwrap().0 == 200);
    assert_eq!(http.put("/v1/domains/new?label=label", ADELIE).unwrap().0, 201);
    let quick = json!({"kind": "adapt", "sources": ["adelie"], "target": "gentoo", "method": {"id": "coral"}});
    let (status, job) = submit(&quick);
    assert_eq!(status, 202, "{job}");
    for job in [id(&job), kept] {
        until("a job succeeds", Duration::from_secs(600), || http.get(&job).unwrap().1["state"] == "succeeded");
    }
    until("the ballast is back", Duration::from_secs(15), || data.join("ballast").exists());
    assert!(process.terminate().1);
    check_integrity(&data);
}

fn check_integrity(data: &Path) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("adaptd.db")).read_only(true);
    let check = async {
        let mut db = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar::<_, String>("PRAGMA integrity_check").fetch_one(&mut db).await.unwrap()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(check), "ok");
}
