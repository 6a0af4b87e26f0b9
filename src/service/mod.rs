//! Use cases: what a client may ask for, whatever the protocol. No HTTP words, no SQL words; the
//! worker is not known here, jobs reach it through the store alone.

mod aliases;
mod apply;
mod batch;
mod browse;
mod catalog;
mod census;
mod deletion;
mod domains;
mod dry_run;
mod error;
mod events;
mod found;
mod health;
mod hub;
mod job_actions;
mod jobs;
mod keys;
mod model_cache;
mod models;
mod predict;
mod rates;
mod requests;
mod resolve;
mod retention;
mod rows;
mod schema_guess;
mod scratch;
mod spec;
mod unpack;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use crate::ingest::columnar::Columnar;
pub use crate::ingest::{
    BadDialect, Coding, CsvOptions, Delimiter, Dialect, Format, HeaderRow, MissingMarks, Quote, RoleRequest,
    TextEncoding,
};
pub use crate::predictions::{Form, cell};
pub use crate::records::{FileFormat, Include};
pub use crate::store::{Aliases, Lineage};
pub use aliases::{ModelPatch, PutAlias};
pub use browse::{RolePatch, RowPage, columnar};
pub use catalog::{LearnerEntry, MethodEntry, learner, learners, method, methods};
pub use census::Census;
pub use deletion::Collection;
pub use domains::{DomainOptions, InlineDomain, PutDomain};
pub use dry_run::DryRun;
pub use error::{Code, Fault, Place, ServiceError};
pub use events::{EventPage, EventStream};
pub use health::{Checks, DatabaseHealth};
pub use hub::{Line, Told};
pub use job_actions::{Accepted, CancelledMany};
pub use jobs::{NewJobContext, Wait};
pub use keys::{Caller, FreshKey, NewKey, RotateKey, make_key};
pub use model_cache::ModelCache;
pub use models::ModelWithVersion;
pub use predict::{PredictInput, PredictOptions, Predicted, include_of};
pub use rates::{NewRateLimit, Quota};
pub use requests::{Once, RequestKey};
pub use retention::Keep;
pub use rows::PredictDocument;
pub use schema_guess::{FilePart, GUESS_BYTES, GuessedColumn, SchemaGuess};
pub use scratch::{Received, Upload};
pub use spec::JobRequest;
pub use unpack::unpack_document;

use crate::blobs::Blobs;
use crate::disk::Disk;
use crate::records::{Clock, Cursor, PageRequest};
use crate::store::Store;

/// Bounds of the use cases. Each is an option of the command line, where its reason stands.
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_upload_bytes: u64,
    /// What one job may ask for beyond its data.
    pub job_memory_bytes: u64,
    pub max_rows: u64,
    pub max_columns: usize,
    pub max_predict_rows: usize,
    pub max_queued_jobs: i64,
    pub max_queued_jobs_of_tenant: Option<i64>,
    pub keep: Keep,
    pub model_cache_bytes: u64,
    pub max_uploads: usize,
}

/// The use cases over their collaborators.
pub struct Service {
    store: Arc<dyn Store>,
    hub: Arc<hub::Hub>,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    limits: Limits,
    models: ModelCache,
    keys: keys::Keyring,
    found: found::FoundModels,
    versions: found::FoundVersions,
    in_progress: requests::InProgress,
    /// One for each core: more long predictions at a time would only take each other's caches.
    predicting: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    scratch: scratch::Scratch,
    disk: Disk,
    stopping: CancellationToken,
}

/// What a service is made of.
pub struct Collaborators {
    pub store: Arc<dyn Store>,
    pub blobs: Blobs,
    pub clock: Arc<dyn Clock>,
    /// A folder of ours for bodies on their way in; emptied at start.
    pub scratch: PathBuf,
    pub disk: Disk,
    /// Ends waits and streams at shutdown.
    pub stopping: CancellationToken,
}

/// One page of a list, and where the next begins.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<Cursor>,
}

impl Service {
    /// # Errors
    /// If the scratch folder cannot be made or emptied, or the keys cannot be read.
    pub async fn open(with: Collaborators, limits: Limits) -> Result<Self, ServiceError> {
        let scratch = scratch::Scratch::prepare(with.scratch, with.disk.clone()).map_err(scratch::of_io)?;
        Ok(Self {
            keys: keys::Keyring::of(with.store.all_keys().await?),
            hub: hub::Hub::of(with.store.subscribe()),
            store: with.store,
            blobs: with.blobs,
            clock: with.clock,
            models: ModelCache::new(limits.model_cache_bytes),
            found: found::FoundModels::default(),
            versions: found::FoundVersions::default(),
            in_progress: requests::InProgress::default(),
            predicting: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))),
            uploads: Arc::new(Semaphore::new(limits.max_uploads)),
            limits,
            scratch,
            disk: with.disk,
            stopping: with.stopping,
        })
    }

    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// Whether the service has begun to stop.
    pub fn is_stopping(&self) -> bool {
        self.stopping.is_cancelled()
    }
}

/// Asks for one item more than the page holds, so that it is known whether another page follows.
fn one_more(page: &PageRequest) -> PageRequest {
    PageRequest { after: page.after.clone(), limit: page.limit + 1 }
}

/// Cuts what [`one_more`] brought to the page.
fn cut<T>(mut items: Vec<T>, page: &PageRequest, key: impl Fn(&T) -> String) -> Page<T> {
    let limit = page.limit as usize;
    let more = items.len() > limit;
    items.truncate(limit);
    let next = if more { items.last().map(|last| Cursor(key(last))) } else { None };
    Page { items, next }
}
