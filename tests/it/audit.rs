//! What clients of a service that dies were promised, and whether its database keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::process::Http;

/// How long it may take until one more of the jobs that were accepted has ended.
const STUCK: Duration = Duration::from_secs(60);

/// What clients were promised.
#[derive(Default)]
pub struct Promises {
    /// Job by idempotency key; a key that was answered twice must have got the same job.
    pub accepted: BTreeMap<String, String>,
    pub cancelled: BTreeSet<String>,
    /// What was sent under each key.
    pub specs: BTreeMap<String, serde_json::Value>,
    pub replayed: usize,
    pub paused: usize,
    pub uploaded: usize,
    /// Requests during which the process went.
    pub lost_answers: usize,
    /// Jobs that no attempt can do, and the only ones that may fail.
    pub hopeless: BTreeSet<String>,
}

/// Waits until no job is left that has not ended, as long as there are ever fewer.
#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
pub fn drain(http: &Http) {
    let mut fewest = (u64::MAX, Instant::now());
    loop {
        let left = n_open(http);
        if left == 0 {
            return;
        }
        if left < fewest.0 {
            fewest = (left, Instant::now());
        }
        assert!(fewest.1.elapsed() < STUCK, "{left} jobs that were accepted do not end");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Jobs that have not ended, as the service counts them.
fn n_open(http: &Http) -> u64 {
    let (_, metrics) = http.get("/metrics").expect("an answer");
    let open = ["queued", "running", "paused"].map(|state| format!("jobs{{state=\"{state}\""));
    let lines = metrics.as_str().expect("text").lines().filter(|line| open.iter().any(|o| line.starts_with(o)));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum::<f64>() as u64
}

/// Looks at the database itself, after the last process is gone.
pub async fn audit(data: &Path, promises: &Promises) {
    let options = SqliteConnectOptions::new().filename(data.join("adaptd.db")).read_only(true);
    let mut db = SqliteConnection::connect_with(&options).await.expect("a database");
    let check: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut db).await.expect("a check");
    assert_eq!(check, "ok");
    let states = jobs(&mut db, promises).await;
    models(&mut db, &states).await;
    families(&mut db).await;
    events(&mut db, states.len()).await;
    feeds(&mut db).await;
    doctor(data);
}

/// What the program itself says of the folder: every blob that is named is there with its bytes, among others.
fn doctor(data: &Path) {
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_adaptd"))
        .args(["doctor", "--deep", "--data"])
        .arg(data)
        .output()
        .expect("a doctor");
    let said = String::from_utf8_lossy(&command.stdout);
    assert!(command.status.success(), "{said}{}", String::from_utf8_lossy(&command.stderr));
}

/// The state of every job, each of which ended as it may.
async fn jobs(db: &mut SqliteConnection, promises: &Promises) -> BTreeMap<String, String> {
    let sql = "SELECT id, state, json_extract(error, '$.code') FROM jobs";
    let jobs: Vec<(String, String, Option<String>)> = sqlx::query_as(sql).fetch_all(db).await.expect("jobs");
    let states: BTreeMap<String, String> = jobs.iter().map(|(id, state, _)| (id.clone(), state.clone())).collect();
    for job in promises.accepted.values() {
        let state = states.get(job).unwrap_or_else(|| panic!("accepted job {job} is lost"));
        assert!(["succeeded", "failed", "cancelled"].contains(&state.as_str()), "{job} is {state}");
    }
    for (id, state, code) in &jobs {
        assert!(state != "failed" || promises.hopeless.contains(id), "{id}: {code:?}");
    }
    for job in &promises.hopeless {
        assert!(states[job] != "succeeded", "{job} cannot be done");
    }
    for job in &promises.cancelled {
        assert_eq!(states[job], "cancelled", "{job} was cancelled");
    }
    states
}

async fn models(db: &mut SqliteConnection, states: &BTreeMap<String, String>) {
    let sql = "SELECT job_id, count(*) FROM model_versions GROUP BY job_id";
    let models: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut *db).await.expect("models");
    let made: BTreeSet<&str> = models.iter().map(|(job, _)| job.as_str()).collect();
    let sql = "SELECT id FROM jobs WHERE kind = 'batch'";
    let batches: BTreeSet<String> = sqlx::query_scalar(sql).fetch_all(db).await.expect("batches").into_iter().collect();
    let makes = |(id, state): &(&String, &String)| *state == "succeeded" && !batches.contains(*id);
    let succeeded: BTreeSet<&str> = states.iter().filter(makes).map(|(id, _)| id.as_str()).collect();
    assert_eq!(made, succeeded, "one model for each job that succeeded, none for others");
    assert!(models.iter().all(|(_, n)| *n == 1), "a job made two models");
}

/// Parents that counted their children, none of which is left behind.
async fn families(db: &mut SqliteConnection) {
    let sql = "SELECT p.id FROM jobs p WHERE n_children <> (SELECT count(*) FROM jobs c WHERE c.parent_id = p.id)
      OR open_children <> 0
      OR (state = 'succeeded' AND n_children > 0 AND n_children <>
        (SELECT count(*) FROM job_events e WHERE e.job_id = p.id AND e.type = 'child'))";
    let wrong: Vec<String> = sqlx::query_scalar(sql).fetch_all(db).await.expect("parents");
    assert_eq!(wrong, Vec::<String>::new(), "parents that lost count");
}

async fn events(db: &mut SqliteConnection, n_jobs: usize) {
    let sql =
        "SELECT e.job_id, count(*), max(seq), sum(type = 'state' AND json_extract(data, '$.terminal')), events_purged
      FROM job_events e JOIN jobs j ON j.id = e.job_id GROUP BY e.job_id";
    let events: Vec<(String, i64, i64, i64, bool)> = sqlx::query_as(sql).fetch_all(db).await.expect("events");
    assert_eq!(events.len(), n_jobs);
    for (job, count, last, terminal, purged) in events {
        assert!(count == last || (purged && count == 1), "{job}: a gap in the events");
        assert_eq!(terminal, 1, "{job}: one terminal event");
    }
}

async fn feeds(db: &mut SqliteConnection) {
    let sql = "SELECT last, purged, (SELECT count(*) FROM job_events e WHERE e.tenant_id = f.tenant_id AND feed_seq > purged),
      (SELECT max(feed_seq) FROM job_events e WHERE e.tenant_id = f.tenant_id) FROM event_feeds f";
    let feeds: Vec<(i64, i64, i64, i64)> = sqlx::query_as(sql).fetch_all(db).await.expect("feeds");
    assert!(!feeds.is_empty());
    for (last, purged, above, highest) in feeds {
        assert_eq!((highest, above), (last, last - purged), "a gap in the feed");
    }
}
