//! Models and their immutable versions.

use std::collections::BTreeMap;

use serde_json::Value;

use super::ids::{JobId, ModelId, TenantId};
use super::name::{Alias, Name};
use super::time::Timestamp;

/// A model; what predicts is in its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRecord {
    pub id: ModelId,
    pub name: Name,
    pub latest_version: i64,
    /// Grows with every change of the model, of its versions and its aliases; the ETag.
    pub revision: i64,
    pub description: Option<String>,
    pub labels: BTreeMap<String, String>,
    /// Versions by the aliases that point to them.
    pub aliases: BTreeMap<String, i64>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVersionRecord {
    pub model: ModelId,
    pub name: Name,
    pub version: i64,
    pub job: JobId,
    /// The blob with the model file, which is also its SHA-256.
    pub blob: String,
    pub n_bytes: i64,
    /// Columns in, outputs out.
    pub signature: Value,
    /// Domains with versions, base model, version of the program, spec.
    pub lineage: Value,
    pub created_at: Timestamp,
}

/// A version to be stored when its job completes.
#[derive(Debug, Clone, PartialEq)]
pub struct NewModelVersion {
    pub tenant: TenantId,
    /// Used if the name is new.
    pub id: ModelId,
    pub name: Name,
    pub blob: String,
    pub n_bytes: i64,
    pub signature: Value,
    pub lineage: Value,
}

/// What people say of a model, to be stored where it still stands at a revision.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelChange {
    pub tenant: TenantId,
    pub model: ModelId,
    pub of_revision: i64,
    pub description: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub at: Timestamp,
}

/// A name for a version that can be moved to another.
#[derive(Debug, Clone, PartialEq)]
pub struct AliasRecord {
    pub alias: Alias,
    /// The name of the model.
    pub model: Name,
    pub version: i64,
    /// The model's at the last move; the ETag.
    pub revision: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Where an alias is to point.
#[derive(Debug, Clone, PartialEq)]
pub struct NewAlias {
    pub tenant: TenantId,
    pub model: ModelId,
    pub alias: Alias,
    pub version: i64,
    pub at: Timestamp,
}
