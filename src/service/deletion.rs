//! What is removed: domains and models with their versions, and the blobs that no record names any more.

use std::time::Duration;

use super::Service;
use super::aliases::stale;
use super::error::{Code, ServiceError};
use crate::blobs::YOUNG;
use crate::records::{DomainId, Expected, ModelId, Reference, TenantId};
use crate::store::{Aliases, Deletion, Lineage};

impl Service {
    /// Removes a domain with all its versions.
    ///
    /// # Errors
    /// If there is no such domain, it stands otherwise than expected, a job that has not ended reads it, or, unless that may be broken, models were made
    /// of it.
    pub async fn delete_domain(
        &self,
        tenant: &TenantId,
        which: &Reference<DomainId>,
        lineage: Lineage,
        expected: Expected,
    ) -> Result<(), ServiceError> {
        let domain = self.domain(tenant, which).await?;
        let in_use = |what: String| Err(ServiceError::new(Code::DomainInUse, format!("{}: {what}", domain.name)));
        match self.store.delete_domain(tenant, domain.id, lineage, expected).await? {
            Deletion::Deleted => Ok(()),
            Deletion::NotFound => Err(ServiceError::new(Code::DomainNotFound, "there is no such domain")),
            Deletion::Stale => Err(stale("domain")),
            Deletion::NeededByJobs(jobs) => in_use(format!("jobs that have not ended read it: {}", jobs.join(", "))),
            Deletion::NeededByModels(models) => in_use(format!(
                "models were made of it: {}; with force=true it is removed all the same, and they can be made no more",
                models.join(", ")
            )),
            Deletion::NeededByAliases(_) => Err(ServiceError::internal("a domain has no aliases")),
        }
    }

    /// Removes a model with all its versions.
    ///
    /// # Errors
    /// If there is no such model, it stands otherwise than expected, a job that has not ended reads it, or, unless they may go with it, aliases point to it.
    pub async fn delete_model(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        aliases: Aliases,
        expected: Expected,
    ) -> Result<(), ServiceError> {
        let missing = || ServiceError::new(Code::ModelNotFound, "there is no such model");
        let model = self.store.model(tenant, which).await?.ok_or_else(missing)?;
        let in_use = |what: String| Err(ServiceError::new(Code::ModelInUse, format!("{}: {what}", model.name)));
        match self.store.delete_model(tenant, model.id, aliases, expected).await? {
            Deletion::Deleted => Ok(()),
            Deletion::NotFound => Err(missing()),
            Deletion::Stale => Err(stale("model")),
            Deletion::NeededByJobs(needing) | Deletion::NeededByModels(needing) => {
                in_use(format!("jobs that have not ended read it: {}", needing.join(", ")))
            }
            Deletion::NeededByAliases(aliases) => {
                in_use(format!("aliases point to it: {}; with force=true it is removed with them", aliases.join(", ")))
            }
        }
    }

    /// Removes the blobs that no record names; answers with how many. At the start nothing is on its way, later a blob may
    /// be waiting for its record.
    ///
    /// # Errors
    /// If the storage or the store does not answer.
    pub async fn collect_garbage(&self, when: Collection) -> Result<usize, ServiceError> {
        let grace = match when {
            Collection::AtStart => Duration::ZERO,
            Collection::WhileRunning => YOUNG,
        };
        let mut n_removed = 0;
        for id in self.blobs.list().await? {
            let named = async || Ok::<_, ServiceError>(self.store.names_blob(id.as_str()).await?);
            if !named().await? && self.blobs.remove_unless(&id, grace, named()).await? {
                n_removed += 1;
            }
        }
        Ok(n_removed)
    }
}

/// When blobs are collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    AtStart,
    WhileRunning,
}
