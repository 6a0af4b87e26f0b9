//! What people say of a model, and aliases: names for its versions that are moved from one to the next.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Service;
use super::browse::given;
use super::error::{Code, ServiceError};
use super::spec::{Faults, check_labels};
use crate::records::{Alias, AliasRecord, Expected, ModelChange, ModelId, ModelRecord, NewAlias, Reference, TenantId};
use crate::store::AliasChange;

/// A page of text: what is longer belongs beside the model.
const MAX_DESCRIPTION_CHARS: usize = 4000;

/// What is to be said of a model: what is left out stays as it is, null takes it away, also a single label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, expecting = "an object")]
pub struct ModelPatch {
    #[serde(deserialize_with = "given")]
    pub description: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    pub labels: Option<Option<BTreeMap<String, Option<String>>>>,
}

/// An alias, and whether this request made it.
#[derive(Debug, Clone, PartialEq)]
pub enum PutAlias {
    Created(AliasRecord),
    Moved(AliasRecord),
}

impl Service {
    /// # Errors
    /// If there is no such model, it has changed since it was read, or what is said of it is too long.
    pub async fn patch_model(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        patch: ModelPatch,
        expected: &Expected,
    ) -> Result<ModelRecord, ServiceError> {
        let model = self.find_model(tenant, which).await?;
        if *expected == Expected::Unsaid {
            return Err(unsaid("model"));
        }
        if !expected.holds(Some(model.revision)) {
            return Err(stale("model"));
        }
        let change = ModelChange {
            tenant: tenant.clone(),
            model: model.id,
            of_revision: model.revision,
            description: patch.description.unwrap_or_else(|| model.description.clone()),
            labels: merged(model.labels.clone(), patch.labels),
            at: self.clock.now(),
        };
        check(&change)?;
        if change.description == model.description && change.labels == model.labels {
            return Ok(model);
        }
        self.store.change_model(change).await?.ok_or_else(|| stale("model"))
    }

    /// # Errors
    /// If there is no such model or alias.
    pub async fn alias(
        &self,
        tenant: &TenantId,
        which: &Reference<ModelId>,
        alias: &Alias,
    ) -> Result<AliasRecord, ServiceError> {
        if let Some(found) = self.store.alias(tenant, which, alias).await? {
            return Ok(found);
        }
        Err(no_alias(&self.find_model(tenant, which).await?))
    }

    /// Makes an alias, or moves it to another version. From the answer on it means that version.
    ///
    /// # Errors
    /// If there is no such model or version, or the alias stands otherwise than expected.
    pub async fn put_alias(
        &self,
        tenant: &TenantId,
        (which, alias): (&Reference<ModelId>, Alias),
        version: i64,
        expected: Expected,
    ) -> Result<PutAlias, ServiceError> {
        let model = self.find_model(tenant, which).await?;
        let new = NewAlias { tenant: tenant.clone(), model: model.id, alias, version, at: self.clock.now() };
        match self.store.put_alias(new, expected).await? {
            AliasChange::Created(alias) => Ok(PutAlias::Created(alias)),
            AliasChange::Moved(alias) => Ok(PutAlias::Moved(alias)),
            other => Err(refused(other, &model)),
        }
    }

    /// # Errors
    /// If there is no such model or alias, or it stands otherwise than expected.
    pub async fn delete_alias(
        &self,
        tenant: &TenantId,
        (which, alias): (&Reference<ModelId>, &Alias),
        expected: Expected,
    ) -> Result<(), ServiceError> {
        let model = self.find_model(tenant, which).await?;
        match self.store.delete_alias(tenant, (model.id, alias), expected, self.clock.now()).await? {
            AliasChange::Removed => Ok(()),
            other => Err(refused(other, &model)),
        }
    }
}

fn refused(change: AliasChange, model: &ModelRecord) -> ServiceError {
    match change {
        AliasChange::NoVersion => {
            let detail = format!("{} has versions 1 to {}", model.name, model.latest_version);
            ServiceError::at(Code::ModelVersionNotFound, "/version", detail)
        }
        AliasChange::NoAlias => no_alias(model),
        AliasChange::Unsaid => unsaid("alias"),
        AliasChange::Stale => stale("alias"),
        AliasChange::TooMany(most) => {
            ServiceError::parameter(Code::InvalidParameter, "alias", format!("a model has at most {most} aliases"))
        }
        AliasChange::Created(_) | AliasChange::Moved(_) | AliasChange::Removed => {
            ServiceError::internal("an alias was changed otherwise than asked")
        }
    }
}

fn no_alias(model: &ModelRecord) -> ServiceError {
    let known: Vec<&str> = model.aliases.keys().take(10).map(String::as_str).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    ServiceError::new(Code::AliasNotFound, format!("{} has no such alias; it has {known}", model.name))
}

fn unsaid(what: &str) -> ServiceError {
    let detail = format!("this changes the {what} as it was read: send its ETag as If-Match");
    ServiceError::new(Code::PreconditionRequired, detail)
}

pub(super) fn stale(what: &str) -> ServiceError {
    ServiceError::new(Code::PreconditionFailed, format!("the {what} stands otherwise by now; read it and try again"))
}

fn merged(
    mut labels: BTreeMap<String, String>,
    patch: Option<Option<BTreeMap<String, Option<String>>>>,
) -> BTreeMap<String, String> {
    match patch {
        None => labels,
        Some(None) => BTreeMap::new(),
        Some(Some(patch)) => {
            for (key, value) in patch {
                match value {
                    Some(value) => drop(labels.insert(key, value)),
                    None => drop(labels.remove(&key)),
                }
            }
            labels
        }
    }
}

fn check(change: &ModelChange) -> Result<(), ServiceError> {
    let mut faults = Faults::default();
    if change.description.as_ref().is_some_and(|text| text.chars().count() > MAX_DESCRIPTION_CHARS) {
        faults.invalid("/description", format!("a description has at most {MAX_DESCRIPTION_CHARS} characters"));
    }
    check_labels(&change.labels, &mut faults);
    if faults.is_empty() { Ok(()) } else { Err(faults.into_error()) }
}
