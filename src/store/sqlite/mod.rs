//! The store in one SQLite file: one writer thread, several readers, and nothing shared with another
//! process. Statements are literals; values are bound.

mod deletion;
mod domains;
mod events;
mod jobs;
mod keys;
mod leases;
mod models;
mod rows;
mod sweeps;
mod writer;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::broadcast;

use super::{
    Cancellation, Committed, Completion, CreateLimits, Creation, Deletion, Lease, Lineage, Put, QueueDepth, Store,
    StoreError,
};
use crate::records::{
    DomainId, DomainRecord, DomainVersionRecord, IdempotencyRecord, Intent, JobError, JobEvent, JobFile, JobFilter,
    JobId, JobKind, JobRecord, JobState, KeyId, KeyRecord, ModelId, ModelRecord, ModelVersionRecord, NewDomainVersion,
    NewJob, PageRequest, Progress, Reference, Rotation, TenantId, Timestamp,
};
use writer::{Tx, Writer};

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");

/// How long a connection waits for a lock that a backup or a shell may hold, and a reader for a connection.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// What may be chosen about the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Connections that read.
    pub readers: u32,
    /// Pages of 4 KiB that the file may grow to; `None` is what the disk holds.
    pub max_pages: Option<u32>,
}

impl Default for SqliteOptions {
    /// Four readers: reads are short, and a service of this kind has few clients at a time.
    fn default() -> Self {
        Self { readers: 4, max_pages: None }
    }
}

/// One database file, owned by this process from `open` to `close`.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens or creates the database at `path`, takes its lock file and runs the migrations. The lock is
    /// held until [`Store::close`] returns; a store that is only dropped gives it back a little later.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where another process has the lock, the folder cannot be written or a
    /// migration fails; [`StoreError::Corrupt`] where the file is no database.
    pub async fn open(path: &Path, options: SqliteOptions) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        let connect = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .disable_statement_logging();
        let mut writes = connect
            .clone()
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full);
        if let Some(pages) = options.max_pages {
            writes = writes.pragma("max_page_count", pages.to_string());
        }
        let mut connection = writes.connect().await?;
        MIGRATIONS.run(&mut connection).await.map_err(|e| StoreError::Unavailable(e.to_string()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(BUSY_TIMEOUT)
            .connect_with(connect.read_only(true))
            .await?;
        Ok(Self { writer: Writer::start(connection, lock)?, readers })
    }
}

/// Takes the lock that proves that this process alone writes, and that running jobs found at start are
/// orphans. The system gives it back when the process ends, however it ends.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let unavailable = |why: &str| StoreError::Unavailable(format!("{}: {why}", name.display()));
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|e| unavailable(&e.to_string()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(unavailable("another process uses this database")),
        Err(std::fs::TryLockError::Error(e)) => Err(unavailable(&e.to_string())),
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn put_domain_version(&self, new: NewDomainVersion) -> Result<Put, StoreError> {
        self.writer.write(async move |tx: &mut Tx| domains::put(tx, new).await).await
    }

    async fn domain(&self, tenant: &TenantId, which: &Reference<DomainId>) -> Result<Option<DomainRecord>, StoreError> {
        domains::one(&self.readers, tenant, which).await
    }

    async fn domain_version(
        &self,
        tenant: &TenantId,
        which: &Reference<DomainId>,
        version: Option<i64>,
    ) -> Result<Option<DomainVersionRecord>, StoreError> {
        domains::version(&self.readers, tenant, which, version).await
    }

    async fn domains(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<DomainRecord>, StoreError> {
        domains::list(&self.readers, tenant, page).await
    }

    async fn domain_versions(
        &self,
        tenant: &TenantId,
        domain: DomainId,
        page: &PageRequest,
    ) -> Result<Vec<DomainVersionRecord>, StoreError> {
        domains::versions(&self.readers, tenant, domain, page).await
    }

    async fn delete_domain(&self, tenant: &TenantId, id: DomainId, lineage: Lineage) -> Result<Deletion, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(async move |tx: &mut Tx| deletion::domain(tx, &tenant, id, lineage).await).await
    }

    async fn names_blob(&self, blob: &str) -> Result<bool, StoreError> {
        deletion::names_blob(&self.readers, blob).await
    }

    async fn create_job(
        &self,
        new: NewJob,
        key: Option<IdempotencyRecord>,
        limits: CreateLimits,
    ) -> Result<Creation, StoreError> {
        self.writer.write(async move |tx: &mut Tx| jobs::create(tx, new, key, limits).await).await
    }

    async fn earlier_request(&self, key: &IdempotencyRecord, since: Timestamp) -> Result<Option<Creation>, StoreError> {
        jobs::earlier_request(&self.readers, key, since).await
    }

    async fn job(&self, tenant: &TenantId, id: JobId) -> Result<Option<JobRecord>, StoreError> {
        jobs::one(&self.readers, tenant, id).await
    }

    async fn jobs(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        page: &PageRequest,
    ) -> Result<Vec<JobRecord>, StoreError> {
        jobs::list(&self.readers, tenant, filter, page).await
    }

    async fn cancel_job(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Cancellation, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(async move |tx: &mut Tx| jobs::cancel(tx, &tenant, id, now).await).await
    }

    async fn events(&self, tenant: &TenantId, id: JobId, after: i64, limit: u32) -> Result<Vec<JobEvent>, StoreError> {
        events::after(&self.readers, tenant, id, after, limit).await
    }

    async fn metrics(&self, tenant: &TenantId, id: JobId) -> Result<Option<Value>, StoreError> {
        models::metrics(&self.readers, tenant, id).await
    }

    async fn job_counts(&self) -> Result<Vec<(JobState, JobKind, i64)>, StoreError> {
        jobs::counts(&self.readers).await
    }

    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError> {
        jobs::oldest_queued(&self.readers).await
    }

    async fn past_run_ms(
        &self,
        tenant: &TenantId,
        kind: JobKind,
        method: &str,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError> {
        jobs::past_run_ms(&self.readers, tenant, (kind, method), limit).await
    }

    async fn job_file(&self, tenant: &TenantId, id: JobId) -> Result<Option<JobFile>, StoreError> {
        models::job_file(&self.readers, tenant, id).await
    }

    async fn queue_depth(&self) -> Result<QueueDepth, StoreError> {
        jobs::depth(&self.readers).await
    }

    async fn queue_position(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Option<i64>, StoreError> {
        jobs::position(&self.readers, tenant, id, now).await
    }

    async fn claim(&self, owner: &str, now: Timestamp, lease: Duration) -> Result<Option<JobRecord>, StoreError> {
        let owner = owner.to_owned();
        self.writer.write(async move |tx: &mut Tx| leases::claim(tx, &owner, now, lease).await).await
    }

    async fn heartbeat(
        &self,
        lease: Lease,
        progress: Option<Progress>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Intent>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| leases::heartbeat(tx, lease, progress, now, until).await).await
    }

    async fn append_event(&self, lease: Lease, event: &str, data: Value, now: Timestamp) -> Result<bool, StoreError> {
        let event = event.to_owned();
        self.writer.write(async move |tx: &mut Tx| events::append_fenced(tx, lease, &event, &data, now).await).await
    }

    async fn complete(
        &self,
        lease: Lease,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Option<JobState>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| leases::complete(tx, lease, completion, now).await).await
    }

    async fn fail(
        &self,
        lease: Lease,
        error: JobError,
        backoff: Duration,
        now: Timestamp,
    ) -> Result<Option<JobState>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| leases::fail(tx, lease, error, backoff, now).await).await
    }

    async fn release(&self, lease: Lease, now: Timestamp) -> Result<Option<JobState>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| leases::release(tx, lease, now).await).await
    }

    async fn rescue_all(&self, now: Timestamp, crash_limit: i64) -> Result<Vec<(JobId, JobState)>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| sweeps::rescue_all(tx, now, crash_limit).await).await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| sweeps::expire(tx, now).await).await
    }

    async fn model(&self, tenant: &TenantId, which: &Reference<ModelId>) -> Result<Option<ModelRecord>, StoreError> {
        models::one(&self.readers, tenant, which).await
    }

    async fn model_version(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        version: Option<i64>,
    ) -> Result<Option<ModelVersionRecord>, StoreError> {
        models::version(&self.readers, tenant, which, version).await
    }

    async fn delete_model(&self, tenant: &TenantId, id: ModelId) -> Result<Deletion, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(async move |tx: &mut Tx| deletion::model(tx, &tenant, id).await).await
    }

    async fn models(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<ModelRecord>, StoreError> {
        models::list(&self.readers, tenant, page).await
    }

    async fn create_key(&self, new: KeyRecord) -> Result<(), StoreError> {
        self.writer.write(async move |tx: &mut Tx| keys::create(tx, &new).await).await
    }

    async fn all_keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        keys::all(&self.readers).await
    }

    async fn key(&self, tenant: &TenantId, id: KeyId) -> Result<Option<KeyRecord>, StoreError> {
        keys::one(&self.readers, tenant, id).await
    }

    async fn keys(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<KeyRecord>, StoreError> {
        keys::list(&self.readers, tenant, page).await
    }

    async fn revoke_key(&self, tenant: &TenantId, id: KeyId, now: Timestamp) -> Result<Option<KeyRecord>, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(async move |tx: &mut Tx| keys::revoke(tx, &tenant, id, now).await).await
    }

    async fn rotate_key(
        &self,
        tenant: &TenantId,
        id: KeyId,
        rotation: Rotation,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(async move |tx: &mut Tx| keys::rotate(tx, &tenant, id, &rotation).await).await
    }

    fn generation(&self) -> u64 {
        self.writer.generation()
    }

    fn subscribe(&self) -> broadcast::Receiver<Committed> {
        self.writer.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.write(async |_: &mut Tx| Ok(())).await
    }

    async fn close(&self) {
        self.writer.close().await;
        self.readers.close().await;
    }
}
