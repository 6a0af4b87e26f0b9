//! Models and their immutable versions.

use serde_json::Value;

use super::ids::{JobId, ModelId, TenantId};
use super::name::Name;
use super::time::Timestamp;

/// A model; what predicts is in its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelRecord {
    pub id: ModelId,
    pub name: Name,
    pub latest_version: i64,
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
