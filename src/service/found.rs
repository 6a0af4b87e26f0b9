//! What references to models led to, as long as nothing was committed since: under load the same few models are asked for
//! again and again, and a read of the database costs more than a prediction.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Service;
use super::error::ServiceError;
use crate::records::{ModelReference, ModelVersionRecord, TenantId};

/// References that are remembered; beyond it they are forgotten together.
const MAX_REFERENCES: usize = 1024;

type Key = (TenantId, ModelReference);

/// Model versions by reference, of one generation of the store.
#[derive(Default)]
pub(super) struct FoundModels(Mutex<Found>);

#[derive(Default)]
struct Found {
    generation: u64,
    versions: HashMap<Key, Arc<ModelVersionRecord>>,
}

impl FoundModels {
    fn get(&self, key: &Key, generation: u64) -> Option<Arc<ModelVersionRecord>> {
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.generation == generation { found.versions.get(key).cloned() } else { None }
    }

    /// `generation` is the store's before the version was read.
    fn put(&self, key: Key, version: Arc<ModelVersionRecord>, generation: u64) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.generation != generation || found.versions.len() >= MAX_REFERENCES {
            *found = Found { generation, versions: HashMap::new() };
        }
        found.versions.insert(key, version);
    }
}

impl Service {
    /// As [`Service::model_version_at`], from memory where nothing was committed since the last read.
    pub(super) async fn found_model(
        &self,
        tenant: &TenantId,
        reference: &ModelReference,
    ) -> Result<Arc<ModelVersionRecord>, ServiceError> {
        let key = (tenant.clone(), reference.clone());
        let generation = self.store.generation();
        if let Some(version) = self.found.get(&key, generation) {
            return Ok(version);
        }
        let version = Arc::new(self.model_version_at(tenant, reference).await?);
        self.found.put(key, Arc::clone(&version), generation);
        Ok(version)
    }
}
