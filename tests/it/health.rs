//! What probes are told: by a service that is well, by one whose database hangs or is gone, and by one that stops.

use std::net::SocketAddr;
use std::sync::Arc;

use adaptd::api::{self, App};
use adaptd::blobs::Blobs;
use adaptd::config::Options;
use adaptd::disk::Disk;
use adaptd::records::{Clock, SystemClock};
use adaptd::service::{Collaborators, Service};
use adaptd::store::{SqliteOptions, SqliteStore, Store};
use serde_json::{Value, json};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::SqliteConnectOptions;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::TestApp;

/// A service whose parts are at hand.
struct Parts {
    folder: TempDir,
    store: Arc<dyn Store>,
    draining: CancellationToken,
    addr: SocketAddr,
    /// Ends with the rest.
    _serving: JoinSet<()>,
}

async fn parts() -> Parts {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = SqliteStore::open(&folder.path().join("adaptd.db"), SqliteOptions::default()).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
    let (draining, closing) = (CancellationToken::new(), CancellationToken::new());
    let with = Collaborators {
        store: store.clone(),
        blobs,
        disk: Disk::under(folder.path(), options.min_free_bytes, clock.clone()),
        clock,
        scratch: folder.path().join("incoming"),
        stopping: draining.clone(),
    };
    let service = Arc::new(Service::open(with, options.service_limits()).await.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let limits = options.http_limits();
    let serving = api::listen::serve(listener, api::router(App { service, limits }), limits, closing);
    let mut tasks = JoinSet::new();
    tasks.spawn(serving);
    Parts { folder, store, draining, addr, _serving: tasks }
}

impl Parts {
    async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("http://{}{path}", self.addr);
        let get = move || {
            let config = ureq::Agent::config_builder().http_status_as_error(false).build();
            let mut answer = config.new_agent().get(&url).call().unwrap();
            (answer.status().as_u16(), answer.body_mut().read_json().unwrap())
        };
        tokio::task::spawn_blocking(get).await.unwrap()
    }
}

fn run<F: Future<Output = ()>>(check: impl FnOnce() -> F) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(check());
}

#[test]
fn a_service_that_is_ready_tells_what_it_looked_at() {
    let app = TestApp::start();
    let ready = app.get("/readyz");
    assert_eq!(ready.status, 200);
    let ready = ready.json();
    assert_eq!((&ready["status"], &ready["checks"]["database"]), (&json!("ready"), &json!("ok")), "{ready}");
    assert_eq!((&ready["checks"]["draining"], &ready["version"]), (&json!(false), &json!(env!("CARGO_PKG_VERSION"))));
    let disk = &ready["checks"]["disk"];
    assert_eq!(disk["needed_bytes"], json!(64 << 20));
    assert!(disk["free_bytes"].as_u64().unwrap() > 64 << 20, "{disk}");
    let folder = app.folder().to_str().unwrap();
    for path in ["/readyz", "/livez"] {
        let answer = app.get(path);
        assert!(!answer.text.contains(folder), "whoever asks learns no path: {}", answer.text);
    }
}

#[test]
fn a_database_that_is_locked_makes_the_service_unready_and_not_dead() {
    run(|| async {
        let parts = parts().await;
        let file = parts.folder.path().join("adaptd.db");
        let mut shell = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut shell).await.unwrap();
        let (status, problem) = parts.get("/readyz").await;
        assert_eq!((status, &problem["code"]), (503, &json!("storage_unavailable")), "{problem}");
        assert_eq!(problem["checks"]["database"], json!("silent"));
        assert!(problem["checks"]["disk"]["free_bytes"].is_u64(), "{problem}");
        assert_eq!(parts.get("/livez").await.0, 200, "a restart does not take a lock from another");
        sqlx::query("ROLLBACK").execute(&mut shell).await.unwrap();
        assert_eq!(parts.get("/readyz").await.0, 200);
    });
}

#[test]
fn a_service_that_cannot_write_any_more_is_dead() {
    run(|| async {
        let parts = parts().await;
        assert_eq!(parts.get("/livez").await, (200, json!({"status": "live", "version": env!("CARGO_PKG_VERSION")})));
        parts.store.close().await;
        let (status, problem) = parts.get("/livez").await;
        assert_eq!((status, &problem["code"]), (503, &json!("storage_unavailable")), "{problem}");
        let (status, problem) = parts.get("/readyz").await;
        assert_eq!((status, &problem["checks"]["database"]), (503, &json!("unavailable")), "{problem}");
    });
}

#[test]
fn a_service_that_stops_is_unready_and_not_dead() {
    run(|| async {
        let parts = parts().await;
        parts.draining.cancel();
        let (status, problem) = parts.get("/readyz").await;
        assert_eq!((status, &problem["code"]), (503, &json!("shutting_down")), "{problem}");
        assert_eq!((&problem["checks"]["draining"], &problem["checks"]["database"]), (&json!(true), &json!("ok")));
        parts.store.close().await;
        assert_eq!(parts.get("/livez").await.0, 200, "it ends by itself");
    });
}
