//! A folder as the program left it when its database had its first form: today's opens it, and nothing is lost.
//!
//! `first_schema.zip` was written by the program of commit 9f0281b over HTTP: domains, a model with its key of a request, jobs
//! that succeeded, failed and were cancelled, one that waited, and one that ran when the process was killed.

use std::io::Cursor;
use std::path::Path;

use adaptd::records::TenantId;
use adaptd::store::{SqliteOptions, SqliteStore, Store as _};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::examined;
use crate::process::{Http, Process, free_port};

const STORED: &[u8] = include_bytes!("first_schema.zip");

fn unpacked() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    zip::ZipArchive::new(Cursor::new(STORED)).unwrap().extract(folder.path()).unwrap();
    folder
}

/// The job of each state, as the program of then named their models.
fn jobs(http: &Http) -> Value {
    let listed = http.get("/v1/jobs?limit=200").unwrap().1;
    let by_state = |state: &str| listed["data"].as_array().unwrap().iter().filter(|j| j["state"] == state).count();
    json!({"succeeded": by_state("succeeded"), "failed": by_state("failed"), "cancelled": by_state("cancelled")})
}

#[test]
fn a_folder_of_the_first_schema_is_brought_forward_with_everything_in_it() {
    let data = unpacked();
    assert_eq!(examined(data.path(), &[]), (1, vec!["schema_older".to_owned()]));
    check_key(data.path());

    // However long ago that was.
    let options = ["--job-threads", "1", "--keep-jobs", "P36500D", "--keep-events", "P36500D"];
    let process = Process::start(data.path(), free_port(), &options);
    let http = Http::new(process.port);
    let get = |path: &str| {
        let (status, body) = http.get(path).unwrap();
        assert_eq!(status, 200, "{path}: {body}");
        body
    };
    for (domain, versions) in [("adelie", 2), ("gentoo", 1), ("flat", 1)] {
        assert_eq!(get(&format!("/v1/domains/{domain}"))["latest_version"], versions);
        for version in 1..=versions {
            let rows = get(&format!("/v1/domains/{domain}/rows?limit=2&version={version}"));
            assert_eq!(rows["data"].as_array().map(Vec::len), Some(2), "{rows}");
        }
    }
    let row = json!({"rows": [{"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "flipper_length_mm": 181, "body_mass_g": 3750}]});
    let (status, predicted) = http.post("/v1/models/birds/predict", &row, None).unwrap();
    assert_eq!((status, &predicted["model"]), (200, &json!("birds@1")), "{predicted}");

    // What waited runs, and what ran when the process was killed is run again.
    let before = jobs(&http);
    assert_eq!((&before["failed"], &before["cancelled"]), (&json!(1), &json!(1)), "{before}");
    for model in ["waited", "ran"] {
        let find = || {
            let all = get("/v1/jobs?limit=200");
            all["data"]
                .as_array()
                .unwrap()
                .iter()
                .find(|j| j["resolved"]["model"] == model || j["labels"]["is"] == model)
                .cloned()
        };
        let mut job = find().unwrap_or_else(|| panic!("no job {model}"));
        while job["terminal"] == false {
            job = get(&format!("{}?wait=60", job["links"]["self"].as_str().unwrap()));
        }
        assert_eq!(
            (&job["state"], &job["result"]),
            (&json!("succeeded"), &json!({"model": format!("{model}@1")})),
            "{job}"
        );
    }
    assert_eq!(jobs(&http), json!({"succeeded": 3, "failed": 1, "cancelled": 1}));
    for job in get("/v1/jobs?limit=200")["data"].as_array().unwrap() {
        let own = job["links"]["self"].as_str().unwrap();
        let events = get(&format!("{own}/events"));
        let seqs: Vec<i64> = events["data"].as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, (1..=seqs.len() as i64).collect::<Vec<_>>(), "{events}");
        if job["state"] == "succeeded" {
            assert!(get(&format!("{own}/metrics"))["adapted"]["accuracy"]["value"].is_number());
        }
    }
    assert!(process.terminate().1);
    assert_eq!(examined(data.path(), &["--deep"]), (0, vec![]));
}

/// The key of the request that made the model still names its job; a service forgets it after a day.
fn check_key(data: &Path) {
    let look = async {
        // Opening brings it forward.
        let store = SqliteStore::open(&data.join("adaptd.db"), SqliteOptions::default()).await.unwrap();
        let model = store.model_version(&TenantId::default(), &"birds".parse().unwrap(), None).await.unwrap().unwrap();
        store.close().await;
        let options = SqliteConnectOptions::new().filename(data.join("adaptd.db")).read_only(true);
        let mut db = options.connect().await.unwrap();
        let made: String = sqlx::query_scalar("SELECT made FROM idempotency_keys WHERE key = 'once' AND kind = 'job'")
            .fetch_one(&mut db)
            .await
            .unwrap();
        assert_eq!(made, model.job.to_string());
    };
    tokio::runtime::Runtime::new().unwrap().block_on(look);
}
