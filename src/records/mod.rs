//! Stored things as plain structs and typed ids. No SQL, no HTTP.

mod domain;
mod ids;
mod job;
mod key;
mod model;
mod name;
mod page;
mod spec;
mod time;

pub use domain::{ColumnRecord, DomainRecord, DomainVersionRecord, NewDomainVersion};
pub use ids::{DomainId, Id, JobId, KeyId, ModelId, Prefix, RequestId, TenantId};
pub use job::{
    IdempotencyRecord, Intent, JobError, JobEvent, JobFile, JobFilter, JobKind, JobRecord, JobState, NewJob, Progress,
};
pub use key::{KeyRecord, PreviousSecret, Rotation, Scope};
pub use model::{ModelRecord, ModelVersionRecord, NewModelVersion};
pub use name::{BadName, Name, Reference, VersionedReference};
pub use page::{Cursor, PageRequest};
pub use spec::{AppliedSpec, FileFormat, Include, Risk, StoredSpec};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
