//! What references to models led to, as long as nothing was committed since: under load the same few models are asked for
//! again and again, and a read of the database costs more than a prediction. And versions of domains, which never change:
//! jobs name the same few, and reading the statistics of all their columns costs more than the job's own record.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Service;
use super::error::ServiceError;
use crate::records::{DomainId, DomainVersionRecord, ModelReference, ModelVersionRecord, TenantId, VersionedReference};

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

/// Columns of all versions that are remembered; beyond it they are forgotten together.
const MAX_COLUMNS: usize = 20_000;

/// Versions of domains by id and number.
#[derive(Default)]
pub(super) struct FoundVersions(Mutex<Versions>);

#[derive(Default)]
struct Versions {
    n_columns: usize,
    versions: HashMap<(DomainId, i64), Arc<DomainVersionRecord>>,
}

impl FoundVersions {
    fn get(&self, key: (DomainId, i64)) -> Option<Arc<DomainVersionRecord>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).versions.get(&key).cloned()
    }

    fn put(&self, version: &Arc<DomainVersionRecord>) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if found.n_columns + version.columns.len() > MAX_COLUMNS {
            *found = Versions::default();
        }
        if version.columns.len() <= MAX_COLUMNS
            && found.versions.insert((version.domain, version.version), Arc::clone(version)).is_none()
        {
            found.n_columns += version.columns.len();
        }
    }
}

impl Service {
    /// As [`Service::domain_version`], with what never changes from memory.
    pub(super) async fn found_version(
        &self,
        tenant: &TenantId,
        reference: &VersionedReference<DomainId>,
    ) -> Result<Arc<DomainVersionRecord>, ServiceError> {
        // Whether it is there, whose it is and which is the newest may change, and is asked.
        let domain = self.domain(tenant, &reference.thing).await?;
        let version = reference.version.unwrap_or(domain.latest_version);
        if let Some(found) = self.versions.get((domain.id, version)) {
            return Ok(found);
        }
        let found = Arc::new(self.domain_version(tenant, &reference.thing, Some(version)).await?);
        self.versions.put(&found);
        Ok(found)
    }

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
