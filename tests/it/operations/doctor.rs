//! A data folder that is well is found to be, and each thing that may be wrong with one is found.

use std::path::{Path, PathBuf};

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::{adaptd, examined, long, quick};
use crate::support::TestApp;

/// A folder of a service that has ended, with a model, the domains that it is of, and a job that waits.
fn folder() -> (TestApp, PathBuf) {
    let mut app = TestApp::start();
    app.penguins();
    app.run_job(&quick("birds"));
    app.run_job(&json!({"kind": "predict", "model": "birds", "target": "gentoo"}));
    app.post("/v1/jobs", &long("a"));
    app.post("/v1/jobs", &long("b"));
    app.stop();
    let data = app.folder().to_owned();
    (app, data)
}

/// Does what no program of ours does.
fn sql(data: &Path, text: &str) {
    let change = async {
        let options = SqliteConnectOptions::new().filename(data.join("adaptd.db")).foreign_keys(false);
        let mut shell = options.pragma("ignore_check_constraints", "on").connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(text.to_owned())).execute(&mut shell).await.unwrap();
        sqlx::Connection::close(shell).await.unwrap();
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(change);
}

#[test]
fn what_is_broken_in_the_database_is_found() {
    let (_app, data) = folder();
    assert_eq!(examined(&data, &["--deep"]), (0, vec![]));
    let whole = std::fs::read(data.join("adaptd.db")).unwrap();
    let broken = [
        ("events_gap", "DELETE FROM job_events WHERE seq = 2 AND job_id = (SELECT job_id FROM model_versions)"),
        ("events_gap", "DELETE FROM job_events WHERE job_id IN (SELECT id FROM jobs WHERE state = 'queued')"),
        ("feed_gap", "UPDATE job_events SET feed_seq = feed_seq + 1 WHERE feed_seq = (SELECT last FROM event_feeds)"),
        ("terminal_event", "UPDATE job_events SET data = '{\"state\": \"running\"}' WHERE data ->> '$.terminal'"),
        ("terminal_event", "UPDATE job_events SET data = json_set(data, '$.terminal', json('true')) WHERE seq = 1 AND type = 'state'"),
        ("job_counts", "UPDATE job_counts SET n = n + 1 WHERE state = 'queued'"),
        ("job_counts", "DELETE FROM job_counts WHERE state = 'queued'"),
        ("model_of_job", "UPDATE jobs SET result = '{\"model\": \"other@1\"}' WHERE id = (SELECT job_id FROM model_versions)"),
        ("model_of_job", "DELETE FROM model_versions"),
        ("lineage_broken", "UPDATE domain_versions SET identity = 'another'"),
        ("foreign_keys", "DELETE FROM tenants"),
        ("families", "UPDATE jobs SET n_children = 1, open_children = 1 WHERE state = 'queued'"),
        ("idempotency_key", "INSERT INTO idempotency_keys VALUES ('default', 'k', 'f', 'job', 'job_none', 1, 0)"),
        ("integrity", "UPDATE jobs SET priority = 99"),
        ("integrity", "PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'jobs_list'"),
        ("schema_older", "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)"),
        ("schema_newer", "UPDATE _sqlx_migrations SET version = 30000101000001 WHERE version = (SELECT max(version) FROM _sqlx_migrations)"),
        ("schema_unfinished", "UPDATE _sqlx_migrations SET success = 0"),
        (
            "running_without_process",
            "UPDATE jobs SET state = 'running', attempt = 1, lease_token = 1, lease_owner = 'x', lease_expires_at = 1, claimed_at = 1,
               heartbeat_at = 1 WHERE id = (SELECT min(id) FROM jobs WHERE state = 'queued')",
        ),
    ];
    for (check, change) in broken {
        sql(&data, change);
        let (code, found) = examined(&data, &[]);
        assert!(found.iter().any(|f| f == check), "{check}: {found:?}");
        assert_eq!(code, i32::from(check != "idempotency_key"), "{check}: {found:?}");
        std::fs::write(data.join("adaptd.db"), &whole).unwrap();
    }
    assert_eq!(examined(&data, &[]), (0, vec![]));
    std::fs::write(data.join("adaptd.db"), b"no database at all").unwrap();
    assert_eq!(examined(&data, &[]).0, 2);
    std::fs::remove_file(data.join("adaptd.db")).unwrap();
    assert_eq!(examined(&data, &[]).0, 2);
}

#[test]
fn what_is_wrong_with_files_is_found() {
    let (_app, data) = folder();
    let files = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let blobs: Vec<PathBuf> = files(&data.join("blobs")).iter().flat_map(|f| files(f)).collect();
    // Two tables, a model and the file of predictions.
    assert_eq!(blobs.len(), 4);
    for blob in &blobs {
        let whole = std::fs::read(blob).unwrap();
        std::fs::remove_file(blob).unwrap();
        assert_eq!(examined(&data, &[]), (1, vec!["blob_missing".to_owned()]));
        std::fs::write(blob, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(examined(&data, &[]), (1, vec!["blob_size".to_owned()]));
        let mut other = whole.clone();
        other[whole.len() / 2] ^= 1;
        std::fs::write(blob, other).unwrap();
        assert_eq!(examined(&data, &[]), (0, vec![]), "only who reads all of it sees one byte");
        assert_eq!(examined(&data, &["--deep"]), (1, vec!["blob_damaged".to_owned()]));
        std::fs::write(blob, &whole).unwrap();
    }
    std::fs::create_dir_all(data.join("blobs/ab")).unwrap();
    std::fs::write(data.join("blobs/ab").join("c".repeat(62)), b"x").unwrap();
    assert_eq!(examined(&data, &["--deep"]), (0, vec!["blob_unnamed".to_owned()]));
    let lines = adaptd(["doctor", "--data", data.to_str().unwrap()]);
    let text = String::from_utf8_lossy(&lines.stdout);
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.starts_with("note: abccc") && text.ends_with("\nclean\n"), "{text}");
}

#[test]
fn a_service_at_work_is_well_and_what_force_broke_is_told_apart() {
    let app = TestApp::start();
    app.penguins();
    app.run_job(&quick("birds"));
    let slow = app.post("/v1/jobs", &long("slow")).json();
    let path = format!("/v1/jobs/{}", slow["id"].as_str().unwrap());
    while app.get(&path).json()["state"] == "queued" {}
    assert_eq!(examined(app.folder(), &["--deep"]), (0, vec![]), "a job that runs has its process");
    assert_eq!(app.post(&format!("{path}/cancel"), &json!(null)).status, 202);
    while app.get(&format!("{path}?wait=60")).json()["terminal"] == false {}
    assert_eq!(app.send("DELETE", "/v1/domains/adelie?force=true", &[("if-match", "*")], b"").status, 204);
    let (code, found) = examined(app.folder(), &[]);
    assert_eq!((code, found.iter().filter(|f| *f == "lineage_forced").count()), (0, 1), "{found:?}");
    // A new domain of the name is not what the model was made of.
    assert_eq!(app.put("/v1/domains/adelie?label=label", crate::support::GENTOO).status, 201);
    let (code, found) = examined(app.folder(), &[]);
    assert_eq!((code, found.iter().filter(|f| *f == "lineage_forced").count()), (0, 1), "{found:?}");
    let model = app.get("/v1/models/birds");
    assert_eq!(app.send("DELETE", "/v1/models/birds", &[("if-match", model.header("etag"))], b"").status, 204);
    let (code, found) = examined(app.folder(), &[]);
    assert!(code == 0 && found.iter().all(|f| f == "blob_unnamed"), "a job may outlive its model: {found:?}");
}
