//! Models and their versions.

use super::error::{Code, ServiceError};
use super::jobs::check_cursor;
use super::{Page, Service, cut, one_more};
use crate::records::{
    ModelId, ModelRecord, ModelReference, ModelVersionRecord, Name, PageRequest, Reference, TenantId, Which,
};

/// A model and one of its versions.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelWithVersion {
    pub model: ModelRecord,
    pub version: ModelVersionRecord,
}

impl Service {
    /// # Errors
    /// If the cursor is none of ours.
    pub async fn models(&self, tenant: &TenantId, page: &PageRequest) -> Result<Page<ModelRecord>, ServiceError> {
        check_cursor(page, |key| key.parse::<Name>().is_ok())?;
        let found = self.store.models(tenant, &one_more(page)).await?;
        Ok(cut(found, page, |m| m.name.to_string()))
    }

    /// A model with the version that is meant, by default the newest.
    ///
    /// # Errors
    /// If there is no such model, version or alias.
    pub async fn model(&self, tenant: &TenantId, reference: &ModelReference) -> Result<ModelWithVersion, ServiceError> {
        let model = self.find_model(tenant, &reference.thing).await?;
        let version = self.model_version_at(tenant, reference).await?;
        Ok(ModelWithVersion { model, version })
    }

    pub(super) async fn model_version_at(
        &self,
        tenant: &TenantId,
        reference: &ModelReference,
    ) -> Result<ModelVersionRecord, ServiceError> {
        let version = match &reference.which {
            Which::Newest => None,
            Which::Version(version) => Some(*version),
            Which::Alias(alias) => Some(self.alias(tenant, &reference.thing, alias).await?.version),
        };
        match self.store.model_version(tenant, &reference.thing, version).await? {
            Some(version) => Ok(version),
            None => {
                let model = self.find_model(tenant, &reference.thing).await?;
                let detail = format!("{} has versions 1 to {}", model.name, model.latest_version);
                Err(ServiceError::new(Code::ModelVersionNotFound, detail))
            }
        }
    }

    pub(super) async fn find_model(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
    ) -> Result<ModelRecord, ServiceError> {
        let found = self.store.model(tenant, which).await?;
        found.ok_or_else(|| ServiceError::new(Code::ModelNotFound, "there is no such model"))
    }
}
