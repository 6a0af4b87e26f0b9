//! What the checks of the store share: a fresh database, records with few words, a clock's times.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use adaptd::records::{
    Clock as _, JobError, JobEvent, JobId, JobKind, JobRecord, ManualClock, ModelId, NewJob, NewModelVersion,
    PageRequest, TenantId, Timestamp,
};
use adaptd::store::{ClaimTerms, Completion, CreateLimits, Creation, Lease, SqliteOptions, SqliteStore, Store};
use serde_json::json;
use tempfile::TempDir;

/// A database that is gone after the test.
pub(crate) struct Database {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: ManualClock,
    pub(crate) folder: TempDir,
}

pub(crate) const LEASE: Duration = Duration::from_secs(15);
pub(crate) const LIMITS: CreateLimits = CreateLimits { max_queued: 1_000, max_queued_of_tenant: None };

/// Runs a check on a fresh database of every kind.
pub(crate) fn databases<F: Future<Output = ()>>(check: impl Fn(Database) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        check(sqlite().await).await;
    });
}

/// The same where a flush costs nothing, for checks of very many steps that lose no power.
pub(crate) fn databases_in_memory<F: Future<Output = ()>>(check: impl Fn(Database) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        check(sqlite_in(folder).await).await;
    });
}

pub(crate) async fn sqlite() -> Database {
    sqlite_in(tempfile::tempdir().unwrap()).await
}

async fn sqlite_in(folder: TempDir) -> Database {
    let store = reopen(&folder).await;
    Database { store, clock: ManualClock::at(Timestamp::from_millis(1_764_000_000_000)), folder }
}

pub(crate) async fn reopen(folder: &TempDir) -> Arc<dyn Store> {
    Arc::new(SqliteStore::open(&folder.path().join("adaptd.db"), SqliteOptions::default()).await.unwrap())
}

pub(crate) fn terms() -> ClaimTerms {
    ClaimTerms { owner: "a test".into(), lease: LEASE, max_running_of_tenant: None }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::default()
}

pub(crate) fn lease(job: &JobRecord) -> Lease {
    Lease { job: job.id, token: job.lease_token }
}

pub(crate) fn page(limit: u32) -> PageRequest {
    PageRequest { after: None, limit }
}

pub(crate) fn error(code: &str, retryable: bool, attempt: i64) -> JobError {
    JobError { code: code.into(), message: "it went wrong".into(), retryable, pointer: None, attempt }
}

pub(crate) fn with_model(name: &str, now: Timestamp) -> Completion {
    let model = NewModelVersion {
        tenant: tenant(),
        id: ModelId::at(now),
        name: name.parse().unwrap(),
        blob: "b10b".into(),
        n_bytes: 7,
        signature: json!({"columns": []}),
        lineage: json!({"seed": 0}),
    };
    Completion { model: Some(model), file: None, metrics: json!({"accuracy": 0.5}), result: json!({}) }
}

pub(crate) fn without_model() -> Completion {
    Completion { model: None, file: None, metrics: json!({}), result: json!({}) }
}

impl Database {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn new_job(&self) -> NewJob {
        NewJob::new(tenant(), JobKind::Adapt, json!({"seed": 7}), self.now())
    }

    pub(crate) async fn create(&self, new: NewJob) -> JobRecord {
        match self.store.create_job(new, None, LIMITS).await.unwrap() {
            Creation::Created(job) => job,
            other => panic!("not created: {other:?}"),
        }
    }

    pub(crate) async fn claim(&self) -> Option<JobRecord> {
        self.store.claim(&terms(), self.now()).await.unwrap()
    }

    /// A job that runs.
    pub(crate) async fn running(&self) -> JobRecord {
        let created = self.create(self.new_job()).await;
        let claimed = self.claim().await.expect("there is a job to claim");
        assert_eq!(claimed.id, created.id);
        claimed
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRecord {
        self.store.job(&tenant(), id).await.unwrap().expect("the job is there")
    }

    pub(crate) async fn events(&self, id: JobId) -> Vec<JobEvent> {
        self.store.events(&tenant(), id, 0, 1_000).await.unwrap()
    }

    /// The states that the job's events tell, in order, after a check that no number is missing.
    pub(crate) async fn told(&self, id: JobId) -> Vec<String> {
        let events = self.events(id).await;
        let numbers: Vec<i64> = events.iter().map(|e| e.seq).collect();
        assert_eq!(numbers, (1..=events.len() as i64).collect::<Vec<_>>());
        let states = events.iter().filter(|e| e.event == "state");
        states.map(|e| e.data["state"].as_str().unwrap().to_owned()).collect()
    }
}
