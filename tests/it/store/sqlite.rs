//! What SQLite adds: the schema refuses illegal rows, one write's failure is its own, tenants share the
//! workers, one process at a time.

use std::sync::Arc;
use std::time::Duration;

use adaptd::records::{NewJob, TenantId};
use adaptd::store::{Creation, SqliteOptions, SqliteStore, StoreError};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, SqliteConnection};

use super::fixtures::{Database, LIMITS, lease, sqlite, without_model};

fn run<F: Future<Output = ()>>(check: impl FnOnce() -> F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(check());
}

/// A second connection, as a shell would have it.
async fn shell(db: &Database) -> SqliteConnection {
    SqliteConnectOptions::new().filename(db.folder.path().join("adaptd.db")).connect().await.unwrap()
}

async fn sql(shell: &mut SqliteConnection, text: &str) -> Result<u64, String> {
    let done = sqlx::query(AssertSqlSafe(text.to_owned())).execute(shell).await;
    done.map(|d| d.rows_affected()).map_err(|e| e.to_string())
}

#[test]
fn the_schema_refuses_states_that_the_machine_does_not_have() {
    run(|| async {
        let db = sqlite().await;
        let queued = db.create(db.new_job()).await;
        let mut shell = shell(&db).await;
        let refused = [
            "state = 'sleeping'",
            "state = 'running'",
            "state = 'running', lease_owner = 'w', lease_expires_at = 1, claimed_at = 1, heartbeat_at = 1",
            "state = 'succeeded'",
            "state = 'succeeded', finished_at = 1",
            "state = 'succeeded', finished_at = 1, result = '{}', cancel_requested_at = 1",
            "state = 'succeeded', finished_at = 1, result = '{}', error = '{}'",
            "state = 'failed', finished_at = 1",
            "state = 'cancelled', finished_at = 1, error = '{}'",
            "finished_at = 1",
            "result = '{}'",
            "lease_expires_at = 1",
            "attempt = -1",
            "attempt = 3",
            "priority = 11",
            "max_attempts = 0",
            "spec = 'not json'",
            "tenant_id = 'nobody'",
            "priority = 'high'",
        ];
        for change in refused {
            let done = sql(&mut shell, &format!("UPDATE jobs SET {change}")).await;
            assert!(
                done.as_ref().is_err_and(|e| e.contains("constraint") || e.contains("cannot store")),
                "{change}: {done:?}"
            );
        }
        assert_eq!(db.job(queued.id).await, queued);
        // The same statement with a change that is allowed goes through.
        assert_eq!(sql(&mut shell, "UPDATE jobs SET priority = 1").await, Ok(1));

        let job = db.claim().await.unwrap();
        db.store.complete(lease(&job), without_model(), db.now()).await.unwrap();
        let undone = "UPDATE jobs SET state = 'queued', finished_at = NULL, result = NULL, attempt = 0";
        assert!(sql(&mut shell, undone).await.unwrap_err().contains("has ended"));
    });
}

#[test]
fn one_write_that_fails_does_not_undo_its_neighbours() {
    run(|| async {
        let db = sqlite().await;
        let mut shell = shell(&db).await;
        // Holds the writer back until all writes wait, so that they share one transaction.
        sql(&mut shell, "BEGIN IMMEDIATE").await.unwrap();
        let mut heard = db.store.subscribe();
        let mut news: Vec<NewJob> = (0..9).map(|_| db.new_job()).collect();
        news[4].priority = 99;
        let writes = futures::future::join_all(news.iter().map(|n| db.store.create_job(n.clone(), None, LIMITS)));
        let (done, _) = futures::future::join(writes, async {
            // The writes were queued when `join` polled them first.
            sql(&mut shell, "COMMIT").await.unwrap();
        })
        .await;
        for (i, outcome) in done.iter().enumerate() {
            match outcome {
                Ok(Creation::Created(_)) => assert_ne!(i, 4),
                Err(StoreError::Refused(_)) => assert_eq!(i, 4),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(db.store.queue_depth().await.unwrap().queued, 8);
        assert_eq!(db.store.job(&news[4].tenant, news[4].id).await.unwrap(), None);
        for new in news.iter().filter(|n| n.priority == 0) {
            assert_eq!(db.told(new.id).await, ["queued"]);
        }
        let feed = db.store.feed(&super::fixtures::tenant(), 0, 100).await.unwrap();
        assert_eq!(feed.iter().map(|e| e.feed_seq).collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
        let told = heard.recv().await.unwrap();
        assert!(told.events.iter().all(|(_, event)| feed.contains(event)), "what was undone is not told");
    });
}

#[test]
fn tenants_share_the_workers_and_keep_to_their_caps() {
    run(|| async {
        let db = sqlite().await;
        let mut shell = shell(&db).await;
        sql(&mut shell, "INSERT INTO tenants (id, max_running) VALUES ('b', NULL), ('c', 1)").await.unwrap();
        for name in ["default", "default", "default", "b", "c", "c"] {
            db.clock.advance(Duration::from_millis(1));
            db.create(NewJob { tenant: TenantId(name.into()), ..db.new_job() }).await;
        }
        let mut order = Vec::new();
        while let Some(job) = db.claim().await {
            order.push(job.tenant.0);
        }
        // The second job of `c` waits for the first.
        assert_eq!(order, ["default", "b", "c", "default", "default"]);
        assert_eq!(db.store.queue_depth().await.unwrap().queued, 1);
    });
}

#[test]
fn the_counts_follow_the_states() {
    run(|| async {
        let db = sqlite().await;
        for end in 0..4 {
            let job = db.running().await;
            match end {
                0 => drop(db.store.complete(lease(&job), without_model(), db.now()).await.unwrap()),
                1 => drop(db.store.release(lease(&job), db.now()).await.unwrap()),
                2 => drop(db.store.rescue_all(db.now(), 1).await.unwrap()),
                _ => {}
            }
            if end == 1 {
                let again = db.claim().await.unwrap();
                db.store.complete(lease(&again), without_model(), db.now()).await.unwrap();
            }
            if end == 2 {
                db.store.cancel_job(&super::fixtures::tenant(), job.id, db.now()).await.unwrap();
            }
        }
        let mut shell = shell(&db).await;
        let wrong = "SELECT 1 FROM job_counts c WHERE n <>
          (SELECT count(*) FROM jobs j WHERE j.tenant_id = c.tenant_id AND j.state = c.state)";
        assert_eq!(sqlx::query(wrong).fetch_all(&mut shell).await.unwrap().len(), 0);
        assert_eq!(sqlx::query("SELECT 1 FROM job_counts").fetch_all(&mut shell).await.unwrap().len(), 4);
    });
}

#[test]
fn subscribers_hear_of_commits() {
    run(|| async {
        let db = sqlite().await;
        let mut heard = db.store.subscribe();
        let job = db.running().await;
        db.store.append_event(lease(&job), "phase", json!({"phase": "fit"}), db.now()).await.unwrap();
        for _ in 0..3 {
            assert!(heard.recv().await.unwrap().touches(job.id));
        }
        db.store.heartbeat(lease(&job), None, db.now(), db.now()).await.unwrap();
        db.store.ping().await.unwrap();
        assert!(heard.try_recv().is_err(), "a heartbeat without progress is no news");
    });
}

#[test]
fn a_database_belongs_to_one_process() {
    run(|| async {
        let db = sqlite().await;
        let path = db.folder.path().join("adaptd.db");
        let second = SqliteStore::open(&path, SqliteOptions::default()).await;
        assert!(matches!(second, Err(StoreError::Unavailable(why)) if why.contains("another process")));
        db.store.close().await;
        SqliteStore::open(&path, SqliteOptions::default()).await.unwrap();
        assert!(db.store.ping().await.is_err());
    });
}

#[test]
fn a_database_that_is_closed_is_one_file() {
    run(|| async {
        let db = sqlite().await;
        db.create(db.new_job()).await;
        assert_eq!(db.store.queue_depth().await.unwrap().queued, 1);
        let files = || std::fs::read_dir(db.folder.path()).unwrap().count();
        assert_eq!(files(), 4, "the database, its lock, its log and the log's index");
        db.store.close().await;
        assert_eq!(files(), 2);
    });
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    run(|| async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adaptd.db");
        std::fs::write(&path, vec![b'x'; 8192]).unwrap();
        assert!(matches!(SqliteStore::open(&path, SqliteOptions::default()).await, Err(StoreError::Corrupt(_))));
    });
}

#[test]
fn a_full_disk_refuses_what_is_new_and_loses_nothing() {
    run(|| async {
        let mut db = sqlite().await;
        db.store.close().await;
        let small = SqliteOptions { max_pages: Some(120), ..SqliteOptions::default() };
        let path = db.folder.path().join("adaptd.db");
        db.store = Arc::new(SqliteStore::open(&path, small).await.unwrap());
        let large = json!({"text": "x".repeat(50_000)});
        let mut accepted = Vec::new();
        let refusal = loop {
            let new = NewJob { spec: large.clone(), ..db.new_job() };
            match db.store.create_job(new, None, LIMITS).await {
                Ok(Creation::Created(job)) => accepted.push(job),
                other => break other,
            }
        };
        assert_eq!(refusal, Err(StoreError::Full));
        assert!(!accepted.is_empty());
        // Reading goes on, and so does writing after there is room again.
        db.store.close().await;
        db.store = super::fixtures::reopen(&db.folder).await;
        for job in &accepted {
            assert_eq!(&db.job(job.id).await, job);
        }
        assert_eq!(db.store.queue_depth().await.unwrap().queued, accepted.len() as i64);
        db.create(db.new_job()).await;
    });
}
