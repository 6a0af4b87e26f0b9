//! The store in one SQLite file: one writer thread, several readers, and nothing shared with another
//! process. Statements are literals; values are bound.

mod aliases;
mod beside;
mod deletion;
mod domains;
mod events;
mod inspect;
mod intents;
mod jobs;
mod keys;
mod leases;
mod models;
mod open;
mod parked;
mod pulse;
mod requests;
mod retention;
mod rows;
mod sweeps;
mod tenants;
mod writer;

use std::time::Duration;

use super::{
    AliasChange, Aliases, Cancellation, ClaimTerms, Commits, Completion, CreateLimits, Creation, Deletion, FeedBounds,
    Lease, Lineage, Pausing, Purge, Purged, Put, QueueDepth, Store, StoreError, TenantRecord, WriterHealth,
};
use crate::disk::Disk;
use crate::records::{
    Alias, AliasRecord, DomainId, DomainRecord, DomainVersionRecord, Earlier, Expected, Intent, JobError, JobEvent,
    JobFile, JobFilter, JobId, JobKind, JobRecord, JobState, KeyId, KeyRecord, KeyedRequest, Made, ModelChange,
    ModelId, ModelRecord, ModelVersionRecord, NewAlias, NewDomainVersion, NewJob, PageRequest, Progress, Reference,
    Rotation, TenantId, Timestamp,
};
use async_trait::async_trait;
pub use beside::SqliteBeside;
pub use open::SqliteOptions;
use serde_json::Value;
use sqlx::sqlite::SqlitePool;
use writer::{Tx, Writer};

use crate::faults::{self, Injected, Point};

/// One database file, owned by this process from `open` to `close`.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// Whose ballast may be given up.
    disk: Option<Disk>,
}

impl SqliteStore {
    /// With a ballast to give up.
    #[must_use]
    pub fn on(self, disk: Disk) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// Writes what must go on when the disk is full: what ends something, or takes it away. Where there is no room it is
    /// written in the place of the ballast.
    async fn go_on<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: AsyncFnOnce(&mut Tx) -> Result<T, StoreError> + Clone + Send + 'static,
        T: Send + 'static,
    {
        match (self.writer.write(work.clone()).await, &self.disk) {
            (Err(StoreError::Full), Some(disk)) => {
                disk.give_up_ballast();
                self.writer.write(work).await
            }
            (done, _) => done,
        }
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

    async fn delete_domain(
        &self,
        tenant: &TenantId,
        id: DomainId,
        lineage: Lineage,
        expected: Expected,
    ) -> Result<Deletion, StoreError> {
        let tenant = tenant.clone();
        self.go_on(async move |tx: &mut Tx| deletion::domain(tx, (&tenant, id), lineage, &expected).await).await
    }

    async fn names_blob(&self, blob: &str) -> Result<bool, StoreError> {
        deletion::names_blob(&self.readers, blob).await
    }

    async fn create_job(
        &self,
        new: NewJob,
        request: Option<KeyedRequest>,
        limits: CreateLimits,
    ) -> Result<Creation, StoreError> {
        self.writer.write(async move |tx: &mut Tx| jobs::create(tx, new, request, limits).await).await
    }

    async fn earlier_request(&self, request: &KeyedRequest) -> Result<Option<Earlier>, StoreError> {
        requests::earlier(&self.readers, request).await
    }

    async fn remember_request(&self, request: KeyedRequest, made: Made) -> Result<Option<Earlier>, StoreError> {
        let remember = async move |tx: &mut Tx| {
            let earlier = requests::begin(tx, &request).await?;
            if earlier.is_none() {
                requests::remember(tx, &request, made).await?;
            }
            Ok(earlier)
        };
        self.writer.write(remember).await
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
        self.go_on(async move |tx: &mut Tx| intents::cancel(tx, &tenant, id, now).await).await
    }

    async fn cancel_jobs(
        &self,
        tenant: &TenantId,
        ids: Vec<JobId>,
        now: Timestamp,
    ) -> Result<Vec<JobRecord>, StoreError> {
        let tenant = tenant.clone();
        self.go_on(async move |tx: &mut Tx| intents::cancel_all(tx, &tenant, &ids, now).await).await
    }

    async fn pause_job(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Pausing, StoreError> {
        let tenant = tenant.clone();
        self.go_on(async move |tx: &mut Tx| intents::pause(tx, &tenant, id, now).await).await
    }

    async fn resume_job(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Pausing, StoreError> {
        let tenant = tenant.clone();
        self.writer.write(async move |tx: &mut Tx| intents::resume(tx, &tenant, id, now).await).await
    }

    async fn events(&self, tenant: &TenantId, id: JobId, after: i64, limit: u32) -> Result<Vec<JobEvent>, StoreError> {
        events::after(&self.readers, tenant, id, after, limit).await
    }

    async fn feed(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<JobEvent>, StoreError> {
        events::feed(&self.readers, tenant, after, limit).await
    }

    async fn feed_bounds(&self, tenant: &TenantId) -> Result<FeedBounds, StoreError> {
        events::feed_bounds(&self.readers, tenant).await
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

    async fn claim(&self, terms: &ClaimTerms, now: Timestamp) -> Result<Option<JobRecord>, StoreError> {
        let terms = terms.clone();
        self.writer.write(async move |tx: &mut Tx| or_fault(leases::claim(tx, &terms, now).await, Point::Claim)).await
    }

    async fn heartbeat(
        &self,
        lease: Lease,
        progress: Option<Progress>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Intent>, StoreError> {
        self.go_on(async move |tx: &mut Tx| {
            or_fault(leases::heartbeat(tx, lease, progress, now, until).await, Point::Heartbeat)
        })
        .await
    }

    async fn checkpoint(&self, lease: Lease, blob: &str, data: Value, now: Timestamp) -> Result<bool, StoreError> {
        let blob = blob.to_owned();
        self.writer
            .write(async move |tx: &mut Tx| {
                or_fault(leases::checkpoint(tx, lease, (&blob, data), now).await, Point::Checkpoint)
            })
            .await
    }

    async fn append_event(&self, lease: Lease, event: &str, data: Value, now: Timestamp) -> Result<bool, StoreError> {
        let event = event.to_owned();
        self.writer
            .write(async move |tx: &mut Tx| {
                or_fault(events::append_fenced(tx, lease, &event, data, now).await, Point::AppendEvent)
            })
            .await
    }

    async fn complete(
        &self,
        lease: Lease,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Option<JobState>, StoreError> {
        self.go_on(async move |tx: &mut Tx| {
            or_fault(leases::complete(tx, lease, completion, now).await, Point::Complete)
        })
        .await
    }

    async fn fail(
        &self,
        lease: Lease,
        error: JobError,
        backoff: Duration,
        now: Timestamp,
    ) -> Result<Option<JobState>, StoreError> {
        self.go_on(async move |tx: &mut Tx| or_fault(leases::fail(tx, lease, error, backoff, now).await, Point::Fail))
            .await
    }

    async fn release(&self, lease: Lease, now: Timestamp) -> Result<Option<JobState>, StoreError> {
        self.go_on(async move |tx: &mut Tx| or_fault(leases::release(tx, lease, now).await, Point::Release)).await
    }

    async fn unpark(&self, now: Timestamp, longest: Duration) -> Result<u64, StoreError> {
        self.go_on(async move |tx: &mut Tx| parked::unpark(tx, now, longest).await).await
    }

    async fn rescue_all(&self, now: Timestamp, crash_limit: i64) -> Result<Vec<(JobId, JobState)>, StoreError> {
        self.go_on(async move |tx: &mut Tx| or_fault(sweeps::rescue_all(tx, now, crash_limit).await, Point::Rescue))
            .await
    }

    async fn expire(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError> {
        self.go_on(async move |tx: &mut Tx| sweeps::expire(tx, now).await).await
    }

    async fn is_due(&self, what: Purge) -> Result<bool, StoreError> {
        retention::is_due(&self.readers, what).await
    }

    async fn purge(&self, what: Purge) -> Result<Purged, StoreError> {
        self.go_on(async move |tx: &mut Tx| or_fault(retention::purge(tx, what).await, Point::Purge)).await
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

    async fn delete_model(
        &self,
        tenant: &TenantId,
        id: ModelId,
        aliases: Aliases,
        expected: Expected,
    ) -> Result<Deletion, StoreError> {
        let tenant = tenant.clone();
        self.go_on(async move |tx: &mut Tx| deletion::model(tx, (&tenant, id), aliases, &expected).await).await
    }

    async fn change_model(&self, change: ModelChange) -> Result<Option<ModelRecord>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| aliases::change_model(tx, change).await).await
    }

    async fn alias(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        alias: &Alias,
    ) -> Result<Option<AliasRecord>, StoreError> {
        aliases::one(&self.readers, tenant, which, alias).await
    }

    async fn put_alias(&self, new: NewAlias, expected: Expected) -> Result<AliasChange, StoreError> {
        self.writer.write(async move |tx: &mut Tx| aliases::put(tx, new, expected).await).await
    }

    async fn delete_alias(
        &self,
        tenant: &TenantId,
        (model, alias): (ModelId, &Alias),
        expected: Expected,
        now: Timestamp,
    ) -> Result<AliasChange, StoreError> {
        let (tenant, alias) = (tenant.clone(), alias.clone());
        let delete = async move |tx: &mut Tx| aliases::delete(tx, &tenant, (model, &alias), expected, now).await;
        self.writer.write(delete).await
    }

    async fn models(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<ModelRecord>, StoreError> {
        models::list(&self.readers, tenant, page).await
    }

    async fn create_key(&self, new: KeyRecord, request: Option<KeyedRequest>) -> Result<Option<Earlier>, StoreError> {
        self.writer.write(async move |tx: &mut Tx| keys::create(tx, &new, request).await).await
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
        self.go_on(async move |tx: &mut Tx| keys::revoke(tx, &tenant, id, now).await).await
    }

    async fn rotate_key(
        &self,
        tenant: &TenantId,
        id: KeyId,
        rotation: Rotation,
    ) -> Result<Option<KeyRecord>, StoreError> {
        let tenant = tenant.clone();
        self.go_on(async move |tx: &mut Tx| keys::rotate(tx, &tenant, id, &rotation).await).await
    }

    async fn set_tenant(&self, tenant: TenantRecord) -> Result<(), StoreError> {
        self.writer.write(async move |tx: &mut Tx| tenants::set(tx, tenant).await).await
    }

    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError> {
        tenants::all(&self.readers).await
    }

    fn generation(&self) -> u64 {
        self.writer.generation()
    }

    fn subscribe(&self) -> Commits {
        self.writer.subscribe()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.writer.write(async |_: &mut Tx| Ok(())).await
    }

    fn writer(&self) -> WriterHealth {
        self.writer.health()
    }

    async fn close(&self) {
        // The last connection puts the log into the database and removes it, which one that only reads cannot.
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// What the statements of a write answered, unless it is planned to fail after them.
fn or_fault<T>(outcome: Result<T, StoreError>, point: Point) -> Result<T, StoreError> {
    let outcome = outcome?;
    faults::hit(point)?;
    Ok(outcome)
}

impl From<Injected> for StoreError {
    fn from(injected: Injected) -> Self {
        StoreError::Unavailable(injected.to_string())
    }
}
