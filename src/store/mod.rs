//! The only room with SQL. This file is the interface that every database implements and that the
//! conformance tests run against; it does not know what a spec means, nor HTTP.

mod sqlite;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::broadcast;

use crate::records::{
    Alias, AliasRecord, DomainId, DomainRecord, DomainVersionRecord, Earlier, Expected, Intent, JobError, JobEvent,
    JobFile, JobFilter, JobId, JobKind, JobRecord, JobState, KeyId, KeyRecord, KeyedRequest, Made, ModelChange,
    ModelId, ModelRecord, ModelVersionRecord, NewAlias, NewDomainVersion, NewJob, NewModelVersion, PageRequest,
    Progress, Reference, Rotation, TenantId, Timestamp,
};

pub use sqlite::{SqliteBeside, SqliteOptions, SqliteStore};

/// Why the store could not answer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    #[error("the disk is full")]
    Full,
    #[error("the database does not answer: {0}")]
    Unavailable(String),
    #[error("the database holds what it should not: {0}")]
    Corrupt(String),
    /// A constraint holds back what no caller may ask for: a defect of the program.
    #[error("the database refuses the change: {0}")]
    Refused(String),
    #[error("the cursor does not belong to this list")]
    BadCursor,
}

/// What became of a version that was put.
#[derive(Debug, Clone, PartialEq)]
pub enum Put {
    Created(DomainVersionRecord),
    /// Equal in identity to the newest version, which is returned.
    Unchanged(DomainVersionRecord),
    /// Another version came before.
    Stale,
}

/// What became of a job that was to be created.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one a request, which is moved twice")]
pub enum Creation {
    Created(JobRecord),
    /// The client's key was used before.
    Earlier(Earlier),
    /// A job of that `unique_key` has not ended yet.
    Duplicate(JobId),
    /// The queue holds as many jobs as it may.
    QueueFull,
    /// As many jobs of this tenant wait as may.
    TenantQueueFull,
}

/// What became of a job that was to be paused, or to go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Pausing {
    /// Done, or asked of the worker that runs it.
    Accepted(JobRecord),
    /// It was so before.
    Already(JobRecord),
    /// It is to be cancelled.
    BeingCancelled(JobRecord),
    AlreadyTerminal(JobRecord),
    NotFound,
}

/// What became of a cancel.
#[derive(Debug, Clone, PartialEq)]
pub enum Cancellation {
    /// Accepted: queued and paused jobs are cancelled now, running ones when they stop.
    Accepted(JobRecord),
    AlreadyCancelled(JobRecord),
    /// Succeeded or failed before.
    AlreadyTerminal(JobRecord),
    NotFound,
}

/// Whether models may lose what they were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    Keep,
    Break,
}

/// What became of an alias that was to be set or removed.
#[derive(Debug, Clone, PartialEq)]
pub enum AliasChange {
    Created(AliasRecord),
    /// Also where it pointed there before.
    Moved(AliasRecord),
    Removed,
    NoVersion,
    NoAlias,
    /// It is there, and the client does not say what it has seen of it.
    Unsaid,
    /// It stands otherwise than expected.
    Stale,
    /// The model has as many as it may.
    TooMany(i64),
}

/// Whether a model that aliases point to may be removed, and they with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aliases {
    Keep,
    Remove,
}

/// What became of a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion {
    Deleted,
    NotFound,
    /// It stands otherwise than expected.
    Stale,
    /// Jobs that have not ended need it; a few of them.
    NeededByJobs(Vec<String>),
    /// Models were made of it; a few of them, as `name@version`.
    NeededByModels(Vec<String>),
    /// Aliases point to it; a few of them.
    NeededByAliases(Vec<String>),
}

/// Everything that a successful attempt leaves behind, committed in one transaction.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    pub model: Option<NewModelVersion>,
    /// The file that the job leaves.
    pub file: Option<JobFile>,
    pub metrics: Value,
    /// Merged with `{"model": "name@version"}` where there is a model.
    pub result: Value,
}

/// A running attempt: the right to write for a job until somebody else claims it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    pub job: JobId,
    pub token: i64,
}

/// What one commit did to jobs, sent once it is durable. Who follows jobs need not read the database again.
#[derive(Debug, Default, PartialEq)]
pub struct Committed {
    /// Jobs that were changed or got events, each once.
    pub jobs: Vec<JobId>,
    /// Events that were appended, and whose they are; in the order of their numbers.
    pub events: Vec<(TenantId, JobEvent)>,
}

impl Committed {
    pub fn touches(&self, job: JobId) -> bool {
        self.jobs.contains(&job)
    }
}

/// What comes of every commit that touched a job.
pub type Commits = broadcast::Receiver<Arc<Committed>>;

/// What is removed because it is old, or too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purge {
    /// Events of jobs that have ended, all but the last of each.
    Events { ended_before: Timestamp },
    /// Jobs that have ended, the oldest first, with all but the models that they made.
    Jobs { ended_before: Timestamp, at_most: u32 },
    /// Keys of requests that are forgotten.
    Requests { made_before: Timestamp },
}

/// What one step removed or marked as done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    pub rows: u64,
    pub jobs: u64,
}

/// How far the feed of a tenant reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedBounds {
    /// The number of the last event; 0 where there was none.
    pub last: i64,
    /// Above this number nothing was removed; 0 where nothing was.
    pub purged: i64,
}

/// How many jobs of a tenant may run and wait; `None` is as the service's options say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRecord {
    pub id: TenantId,
    pub max_running: Option<u32>,
    pub max_queued: Option<u32>,
}

/// Who claims, and what holds for whatever is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimTerms {
    /// Who holds the lease, for operators.
    pub owner: String,
    pub lease: Duration,
    /// Jobs of one tenant that may run at a time, where the tenant has no number of its own.
    pub max_running_of_tenant: Option<i64>,
}

/// How many jobs there are in each state that is not terminal, for health and queue positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueDepth {
    pub queued: i64,
    pub running: i64,
}

/// How the one that writes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriterHealth {
    /// How long a write has been waiting for its answer; zero where none does.
    SilentFor(Duration),
    Ended,
}

/// Whether a process owns the database that is looked at beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Alive,
    Gone,
}

/// The form of a stored database, and the newest that this program knows: numbers of migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    pub version: i64,
    pub known: i64,
    /// False where a migration did not come to its end.
    pub finished: bool,
}

/// A blob that a record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedBlob {
    pub blob: String,
    /// Where the record tells.
    pub n_bytes: Option<u64>,
    /// The record, as people call it.
    pub named_by: String,
    pub form: BlobForm,
}

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobForm {
    Table,
    /// A model, a file of predictions, the state of a job.
    Other,
}

/// As far as a place in the queue is counted: what is behind it learns little from a number, and a read
/// must not become slower with the length of the queue.
pub const COUNTED_QUEUE: u32 = 100;

/// Jobs that one sweep of deadlines fails: bounds how long other writes wait for it.
pub const EXPIRED_AT_ONCE: u32 = 100;

/// A database. All writes are durable when they return.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // Domains
    async fn put_domain_version(&self, new: NewDomainVersion) -> Result<Put, StoreError>;
    async fn domain(&self, tenant: &TenantId, which: &Reference<DomainId>) -> Result<Option<DomainRecord>, StoreError>;
    /// `version` `None` is the newest.
    async fn domain_version(
        &self,
        tenant: &TenantId,
        which: &Reference<DomainId>,
        version: Option<i64>,
    ) -> Result<Option<DomainVersionRecord>, StoreError>;
    /// By name, ascending; the cursor is the last name.
    async fn domains(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<DomainRecord>, StoreError>;
    /// Newest first; the cursor is the last version.
    async fn domain_versions(
        &self,
        tenant: &TenantId,
        domain: DomainId,
        page: &PageRequest,
    ) -> Result<Vec<DomainVersionRecord>, StoreError>;

    /// Removes a domain with all its versions; what is expected is said of its newest version.
    async fn delete_domain(
        &self,
        tenant: &TenantId,
        id: DomainId,
        lineage: Lineage,
        expected: Expected,
    ) -> Result<Deletion, StoreError>;
    /// Whether a record of any tenant names this blob.
    async fn names_blob(&self, blob: &str) -> Result<bool, StoreError>;

    // Requests that are done once
    /// What the key of this request was used for, where that is not forgotten. For an answer before anything else is
    /// looked at: that no key makes two things is kept by what makes them.
    async fn earlier_request(&self, request: &KeyedRequest) -> Result<Option<Earlier>, StoreError>;
    /// Keeps what a request made that is not one transaction; the earlier use, where there is one.
    async fn remember_request(&self, request: KeyedRequest, made: Made) -> Result<Option<Earlier>, StoreError>;

    // Jobs, as clients see them
    /// The job, its first event and the request's key, in one transaction.
    async fn create_job(
        &self,
        new: NewJob,
        request: Option<KeyedRequest>,
        limits: CreateLimits,
    ) -> Result<Creation, StoreError>;
    async fn job(&self, tenant: &TenantId, id: JobId) -> Result<Option<JobRecord>, StoreError>;
    /// Newest first; the cursor is the last id.
    async fn jobs(
        &self,
        tenant: &TenantId,
        filter: &JobFilter,
        page: &PageRequest,
    ) -> Result<Vec<JobRecord>, StoreError>;
    /// Reaches the job's children.
    async fn cancel_job(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Cancellation, StoreError>;
    /// Several at once; those that are gone or have ended are passed over.
    async fn cancel_jobs(
        &self,
        tenant: &TenantId,
        ids: Vec<JobId>,
        now: Timestamp,
    ) -> Result<Vec<JobRecord>, StoreError>;
    /// Queued jobs at once, running ones at their next checkpoint; reaches the job's children.
    async fn pause_job(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Pausing, StoreError>;
    /// Reaches the job's children.
    async fn resume_job(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Pausing, StoreError>;
    /// Events with `seq > after`, ascending. Empty for another tenant's job.
    async fn events(&self, tenant: &TenantId, id: JobId, after: i64, limit: u32) -> Result<Vec<JobEvent>, StoreError>;
    /// Events of all jobs of a tenant with `feed_seq > after`, ascending.
    async fn feed(&self, tenant: &TenantId, after: i64, limit: u32) -> Result<Vec<JobEvent>, StoreError>;
    async fn feed_bounds(&self, tenant: &TenantId) -> Result<FeedBounds, StoreError>;
    async fn metrics(&self, tenant: &TenantId, id: JobId) -> Result<Option<Value>, StoreError>;
    /// Over all tenants.
    async fn job_counts(&self) -> Result<Vec<(JobState, JobKind, i64)>, StoreError>;
    /// Since when the queued job that could have run earliest could have.
    async fn oldest_queued(&self) -> Result<Option<Timestamp>, StoreError>;
    /// How long jobs of a kind ran, of a method unless that is empty; the newest first, of the newest thousand.
    async fn past_run_ms(
        &self,
        tenant: &TenantId,
        kind: JobKind,
        method: &str,
        limit: u32,
    ) -> Result<Vec<i64>, StoreError>;
    /// The file that a job left.
    async fn job_file(&self, tenant: &TenantId, id: JobId) -> Result<Option<JobFile>, StoreError>;
    async fn queue_depth(&self) -> Result<QueueDepth, StoreError>;
    /// The place of a job among those of its tenant that may be claimed at `now`, in the order in which
    /// they will be; 1 is next. `None` where it is not queued, waits for a later time, or stands behind
    /// the first [`COUNTED_QUEUE`] jobs.
    async fn queue_position(&self, tenant: &TenantId, id: JobId, now: Timestamp) -> Result<Option<i64>, StoreError>;

    // Jobs, as workers see them. `None` and `false` mean that the lease is lost: stop, write nothing.
    async fn claim(&self, terms: &ClaimTerms, now: Timestamp) -> Result<Option<JobRecord>, StoreError>;
    /// Keeps the lease, stores the progress, and tells what was asked meanwhile.
    async fn heartbeat(
        &self,
        lease: Lease,
        progress: Option<Progress>,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<Option<Intent>, StoreError>;
    /// Keeps the state from which the next attempt goes on, a blob, and forgives the crashes so far.
    async fn checkpoint(&self, lease: Lease, blob: &str, data: Value, now: Timestamp) -> Result<bool, StoreError>;
    async fn append_event(&self, lease: Lease, event: &str, data: Value, now: Timestamp) -> Result<bool, StoreError>;
    /// `Some(Succeeded)`, or `Some(Cancelled)` where a cancel came first: then nothing else is stored.
    async fn complete(
        &self,
        lease: Lease,
        completion: Completion,
        now: Timestamp,
    ) -> Result<Option<JobState>, StoreError>;
    /// Failed, queued again after `backoff` where the error is retryable and attempts are left, or cancelled.
    async fn fail(
        &self,
        lease: Lease,
        error: JobError,
        backoff: Duration,
        now: Timestamp,
    ) -> Result<Option<JobState>, StoreError>;
    /// Gives a job back without consuming the attempt, at shutdown or because it is to be paused.
    async fn release(&self, lease: Lease, now: Timestamp) -> Result<Option<JobState>, StoreError>;
    /// At the start: no queued job waits longer than `longest`, and one that never failed does not wait at all. They would
    /// where the clock was set back since. How many did.
    async fn unpark(&self, now: Timestamp, longest: Duration) -> Result<u64, StoreError>;
    /// At the start of a single process every running row is an orphan.
    async fn rescue_all(&self, now: Timestamp, crash_limit: i64) -> Result<Vec<(JobId, JobState)>, StoreError>;
    /// Fails queued and paused jobs whose deadline has passed, [`EXPIRED_AT_ONCE`] at most.
    async fn expire(&self, now: Timestamp) -> Result<Vec<JobId>, StoreError>;

    // What is kept no longer
    async fn is_due(&self, what: Purge) -> Result<bool, StoreError>;
    /// One small step, of at most 500 rows; nothing is left once a step does nothing.
    async fn purge(&self, what: Purge) -> Result<Purged, StoreError>;

    // Models
    async fn model(&self, tenant: &TenantId, which: &Reference<ModelId>) -> Result<Option<ModelRecord>, StoreError>;
    /// `version` `None` is the newest.
    async fn model_version(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        version: Option<i64>,
    ) -> Result<Option<ModelVersionRecord>, StoreError>;
    /// Removes a model with all its versions.
    async fn delete_model(
        &self,
        tenant: &TenantId,
        id: ModelId,
        aliases: Aliases,
        expected: Expected,
    ) -> Result<Deletion, StoreError>;
    /// `None` where the model stands at another revision, or is gone.
    async fn change_model(&self, change: ModelChange) -> Result<Option<ModelRecord>, StoreError>;
    async fn alias(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        alias: &Alias,
    ) -> Result<Option<AliasRecord>, StoreError>;
    /// Makes an alias or moves it, where it stands as expected.
    async fn put_alias(&self, new: NewAlias, expected: Expected) -> Result<AliasChange, StoreError>;
    async fn delete_alias(
        &self,
        tenant: &TenantId,
        which: (ModelId, &Alias),
        expected: Expected,
        now: Timestamp,
    ) -> Result<AliasChange, StoreError>;
    /// By name, ascending; the cursor is the last name.
    async fn models(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<ModelRecord>, StoreError>;

    // Keys
    /// Makes the key's tenant too, where it is the first. `Some` is an earlier use of the client's key: nothing is made.
    async fn create_key(&self, new: KeyRecord, request: Option<KeyedRequest>) -> Result<Option<Earlier>, StoreError>;
    /// Of all tenants: a key says whose it is, so that who presents one is not known before.
    async fn all_keys(&self) -> Result<Vec<KeyRecord>, StoreError>;
    async fn key(&self, tenant: &TenantId, id: KeyId) -> Result<Option<KeyRecord>, StoreError>;
    /// Newest first; the cursor is the last id.
    async fn keys(&self, tenant: &TenantId, page: &PageRequest) -> Result<Vec<KeyRecord>, StoreError>;
    /// The key as it stands now; revoking twice changes nothing.
    async fn revoke_key(&self, tenant: &TenantId, id: KeyId, now: Timestamp) -> Result<Option<KeyRecord>, StoreError>;
    /// `None` also where the key was revoked.
    async fn rotate_key(
        &self,
        tenant: &TenantId,
        id: KeyId,
        rotation: Rotation,
    ) -> Result<Option<KeyRecord>, StoreError>;

    // Tenants
    /// Makes the tenant where it is not there.
    async fn set_tenant(&self, tenant: TenantRecord) -> Result<(), StoreError>;
    /// By id, ascending.
    async fn tenants(&self) -> Result<Vec<TenantRecord>, StoreError>;

    /// A number that is another one after every commit, whatever was committed: what was read since it was this number
    /// is what is stored, as long as it is.
    fn generation(&self) -> u64;
    /// Tells of every commit that touched a job. A receiver that lags must read the database instead.
    fn subscribe(&self) -> Commits;
    /// Whether writes are answered: a short transaction, for `/readyz`.
    async fn ping(&self) -> Result<(), StoreError>;
    /// How the thread is that writes, told without asking it.
    fn writer(&self) -> WriterHealth;
    /// Commits what is queued and closes; later calls fail.
    async fn close(&self);
}

/// Bounds that hold when a job is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CreateLimits {
    /// Queued and paused jobs over all tenants.
    pub max_queued: i64,
    /// Queued and paused jobs of one tenant, where the tenant has no number of its own.
    pub max_queued_of_tenant: Option<i64>,
}
