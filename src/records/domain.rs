//! Domains and their immutable versions.

use adaptation::data::{Kind, Role, TaskKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ids::{DomainId, TenantId};
use super::name::Name;
use super::time::Timestamp;

/// One column of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnRecord {
    pub name: String,
    pub kind: Kind,
    pub role: Role,
    /// What ingest counted: missing values, quantiles, histogram or levels.
    pub statistics: Value,
}

/// A domain; its data is in its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainRecord {
    pub id: DomainId,
    pub name: Name,
    pub latest_version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One version of a domain.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainVersionRecord {
    pub domain: DomainId,
    pub name: Name,
    /// 1, 2, …
    pub version: i64,
    /// Hash of bytes, roles and parse options; equal hashes are the same version.
    pub identity: String,
    /// The format that was uploaded.
    pub format: String,
    /// Size of what was uploaded.
    pub n_bytes: i64,
    pub n_rows: i64,
    pub task: Option<TaskKind>,
    pub columns: Vec<ColumnRecord>,
    /// What ingest has to say, such as arrays that were skipped.
    pub notes: Vec<String>,
    /// The blob with the table.
    pub blob: String,
    pub created_at: Timestamp,
}

/// A version to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDomainVersion {
    pub tenant: TenantId,
    /// Used if the name is new.
    pub id: DomainId,
    pub name: Name,
    /// The version that this one was made of, or that the client knows, which must still be the newest; 0 where there must
    /// be none.
    pub of_version: Option<i64>,
    pub identity: String,
    pub format: String,
    pub n_bytes: i64,
    pub n_rows: i64,
    pub task: Option<TaskKind>,
    pub columns: Vec<ColumnRecord>,
    pub notes: Vec<String>,
    pub blob: String,
    pub created_at: Timestamp,
}
