//! Stored things as plain structs and typed ids. No SQL, no HTTP.

mod domain;
mod expected;
mod finding;
mod ids;
mod job;
mod key;
mod model;
mod name;
mod page;
mod request;
mod spec;
mod time;

pub use domain::{ColumnRecord, DomainRecord, DomainVersionRecord, NewDomainVersion};
pub use expected::Expected;
pub use finding::{Check, Finding, Severity};
pub use ids::{DomainId, Id, JobId, KeyId, ModelId, Prefix, RequestId, TenantId};
pub use job::{Intent, JobError, JobEvent, JobFile, JobFilter, JobKind, JobRecord, JobState, NewJob, Progress};
pub use key::{KeyRecord, PreviousSecret, RateLimit, Rotation, Scope};
pub use model::{AliasRecord, ModelChange, ModelRecord, ModelVersionRecord, NewAlias, NewModelVersion};
pub use name::{Alias, BadName, ModelReference, Name, Reference, VersionedReference, Which};
pub use page::{Cursor, PageRequest};
pub use request::{Earlier, KeyedRequest, Made};
pub use spec::{AppliedSpec, BatchSpec, FileFormat, Include, Risk, StoredSpec};
pub use time::{Clock, ManualClock, Period, SystemClock, TimeOfDay, Timestamp};
