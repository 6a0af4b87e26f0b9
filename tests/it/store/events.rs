//! The feed: what a commit did is told with it, and events of a tenant have numbers without a gap over all its jobs.

use std::path::{Path, PathBuf};

use adaptd::records::{Clock as _, JobEvent, ManualClock, NewJob, TenantId, Timestamp};
use adaptd::store::{FeedBounds, SqliteOptions, SqliteStore, Store as _};
use serde_json::json;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;

use super::fixtures::{Database, databases, lease, sqlite, tenant, without_model};

async fn feed(db: &Database) -> Vec<JobEvent> {
    db.store.feed(&tenant(), 0, 10_000).await.unwrap()
}

#[test]
fn numbers_of_the_feed_have_no_gap_and_follow_the_commits() {
    databases(|db| async move {
        let mut heard = db.store.subscribe();
        let (first, second) = (db.running().await, db.running().await);
        let appended = (0..60).map(|n| {
            let job = if n % 3 == 0 { &first } else { &second };
            db.store.append_event(lease(job), "metrics", json!({"n": n}), db.now())
        });
        assert!(futures::future::join_all(appended).await.into_iter().all(Result::unwrap));
        db.store.complete(lease(&first), without_model(), db.now()).await.unwrap();
        db.store.release(lease(&second), db.now()).await.unwrap();

        let stored = feed(&db).await;
        let numbers: Vec<i64> = stored.iter().map(|e| e.feed_seq).collect();
        assert_eq!(numbers, (1..=66).collect::<Vec<_>>());
        for job in [&first, &second] {
            let own: Vec<JobEvent> = stored.iter().filter(|e| e.job == job.id).cloned().collect();
            assert_eq!(own, db.events(job.id).await, "a job's own numbers follow the same order");
        }
        assert_eq!(db.store.feed_bounds(&tenant()).await.unwrap(), FeedBounds { last: 66, purged: 0 });
        let mut told = Vec::new();
        while told.len() < stored.len() {
            let commit = heard.recv().await.unwrap();
            assert!(commit.events.iter().all(|(of, event)| *of == tenant() && commit.touches(event.job)));
            told.extend(commit.events.iter().map(|(_, event)| event.clone()));
        }
        assert_eq!(told, stored, "what is told is what is stored, in its order");
    });
}

#[test]
fn each_tenant_has_numbers_of_its_own() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = sqlite().await;
        let path = db.folder.path().join("adaptd.db");
        let mut shell = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        sqlx::query("INSERT INTO tenants (id) VALUES ('b')").execute(&mut shell).await.unwrap();
        let b = TenantId("b".into());
        for of in [tenant(), b.clone(), tenant(), b.clone(), b.clone()] {
            db.create(NewJob { tenant: of, ..db.new_job() }).await;
        }
        for (of, n) in [(tenant(), 2), (b, 3)] {
            let found = db.store.feed(&of, 0, 100).await.unwrap();
            assert_eq!(found.iter().map(|e| e.feed_seq).collect::<Vec<_>>(), (1..=n).collect::<Vec<_>>());
            assert_eq!(db.store.feed_bounds(&of).await.unwrap(), FeedBounds { last: n, purged: 0 });
        }
        let nobody = TenantId("nobody".into());
        assert_eq!(db.store.feed(&nobody, 0, 100).await.unwrap(), []);
        assert_eq!(db.store.feed_bounds(&nobody).await.unwrap(), FeedBounds::default());
    });
}

/// The migrations before this version, in a folder of their own.
fn migrations_before(version: i64, folder: &Path) {
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite")).unwrap() {
        let file: PathBuf = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap();
        if name.split('_').next().unwrap().parse::<i64>().unwrap() < version {
            std::fs::copy(&file, folder.join(name)).unwrap();
        }
    }
}

#[test]
fn what_an_older_version_stored_gets_its_numbers() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let older = tempfile::tempdir().unwrap();
        migrations_before(20261128000040, older.path());
        let path = folder.path().join("adaptd.db");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true).foreign_keys(true);
        let mut shell = options.connect().await.unwrap();
        sqlx::migrate::Migrator::new(older.path()).await.unwrap().run(&mut shell).await.unwrap();
        let clock = ManualClock::at(Timestamp::from_millis(1_764_000_000_000));
        let jobs = [(); 2].map(|()| adaptd::records::JobId::at(clock.now()));
        for job in jobs {
            let sql = "INSERT INTO jobs (id, tenant_id, kind, state, run_at, created_at, finished_at, result, spec)
              VALUES (?1, 'default', 'adapt', 'succeeded', 1, 1, 9, '{}', '{}')";
            sqlx::query(sql).bind(job.to_string()).execute(&mut shell).await.unwrap();
        }
        // The clock was set back between the second and the third.
        for (job, seq, at) in [(0, 1, 10), (0, 2, 30), (0, 3, 20), (1, 1, 15), (1, 2, 40)] {
            let sql = "INSERT INTO job_events VALUES (?1, 'default', ?2, ?3, 'state', '{}')";
            sqlx::query(sql).bind(jobs[job].to_string()).bind(seq).bind(at).execute(&mut shell).await.unwrap();
        }
        for sql in [
            "INSERT INTO models (id, tenant_id, name, latest_version, created_at, updated_at)
              VALUES ('mod_1', 'default', 'm', 1, 1, 1)",
            "INSERT INTO model_versions VALUES ('mod_1', 'default', 1, 'job', 'b10b', 1, '{}', '{}', 1)",
            "INSERT INTO model_aliases VALUES ('mod_1', 'default', 'production', 1, 1, 1, 1)",
        ] {
            let sql = sql.replace("'job'", &format!("'{}'", jobs[0]));
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut shell).await.unwrap();
        }
        drop(shell);

        let store = SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
        let found = store.feed(&tenant(), 0, 100).await.unwrap();
        let order: Vec<(i64, usize, i64)> =
            found.iter().map(|e| (e.feed_seq, jobs.iter().position(|j| *j == e.job).unwrap(), e.seq)).collect();
        assert_eq!(order, [(1, 0, 1), (2, 1, 1), (3, 0, 2), (4, 0, 3), (5, 1, 2)]);
        assert_eq!(store.feed_bounds(&tenant()).await.unwrap(), FeedBounds { last: 5, purged: 0 });
        assert!(store.names_blob("b10b").await.unwrap());
        store.close().await;
        let mut shell = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
        let aliases: i64 =
            sqlx::query_scalar("SELECT count(*) FROM model_aliases").fetch_one(&mut shell).await.unwrap();
        assert_eq!(aliases, 1);
        let broken = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut shell).await.unwrap();
        assert_eq!(broken.len(), 0);
    });
}

#[test]
fn who_is_far_behind_is_told_so() {
    databases(|db| async move {
        let mut heard = db.store.subscribe();
        let job = db.running().await;
        for _ in 0..400 {
            db.store.append_event(lease(&job), "metrics", json!({}), db.now()).await.unwrap();
        }
        let lagged = heard.recv().await;
        assert!(matches!(lagged, Err(tokio::sync::broadcast::error::RecvError::Lagged(_))), "{lagged:?}");
    });
}
