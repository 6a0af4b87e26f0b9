//! Jobs that run a stored model on a stored domain: `predict` leaves a file, `evaluate` leaves metrics. Everything that
//! can be known before the job runs is checked here.

use std::time::Duration;

use serde_json::Value;

use super::error::{Code, ServiceError};
use super::predict::include_of;
use super::resolve::{at_pointer, is_labelled};
use super::spec::{Faults, Terms, reference};
use super::{JobRequest, Service};
use crate::predictions::Form;
use crate::records::{
    AppliedSpec, DomainId, DomainVersionRecord, FileFormat, Include, JobKind, ModelReference, ModelVersionRecord,
    TenantId, VersionedReference,
};

/// Columns that are named where many are missing.
const NAMED_COLUMNS: usize = 10;

/// A request whose every field holds by itself; what depends on stored data is still open.
pub(super) struct DraftedUse {
    kind: JobKind,
    model: ModelReference,
    target: VersionedReference<DomainId>,
    format: Option<FileFormat>,
    include: Vec<Include>,
    seed: u64,
    pub(super) terms: Terms,
}

impl JobRequest {
    /// # Errors
    /// Every field that cannot hold, whatever is stored.
    pub(super) fn draft_use(mut self, kind: JobKind) -> Result<DraftedUse, ServiceError> {
        let mut faults = Faults::default();
        self.refuse_fields_of_fits(kind, &mut faults);
        let terms = Terms::of(&mut self, &mut faults);
        let model = match &self.model {
            Some(text) => reference(text, "/model", &mut faults),
            None => {
                faults.invalid(
                    "/model",
                    "a stored model is required, such as \"churn-eu\", \"churn-eu@3\" or \"churn-eu@production\"",
                );
                None
            }
        };
        let target = match &self.target {
            Some(text) => reference(text, "/target", &mut faults),
            None => {
                faults.invalid("/target", "a domain is required, such as \"churn-eu\" or \"churn-eu@3\"");
                None
            }
        };
        let format = format_of(kind, self.format.as_deref(), &mut faults);
        let include = include_words(self.include.unwrap_or_default(), format, &mut faults);
        match (model, target) {
            (Some(model), Some(target)) if faults.is_empty() => {
                Ok(DraftedUse { kind, model, target, format, include, seed: self.seed.unwrap_or(0), terms })
            }
            _ => Err(faults.into_error()),
        }
    }

    /// Names every field that says how a model is made.
    fn refuse_fields_of_fits(&self, kind: JobKind, faults: &mut Faults) {
        let given = [
            ("/sources", self.sources.is_some()),
            ("/method", self.method.is_some()),
            ("/learner", self.learner.is_some()),
            ("/features", self.features.is_some()),
            ("/evaluation", self.evaluation.is_some()),
            ("/base", self.base.is_some()),
            ("/time_budget", self.time_budget.is_some()),
            ("/risk", self.risk.is_some()),
            ("/jobs", self.jobs.is_some()),
            ("/seed", kind == JobKind::Predict && self.seed.is_some()),
            ("/format", kind == JobKind::Evaluate && self.format.is_some()),
            ("/include", kind == JobKind::Evaluate && self.include.is_some()),
        ];
        for (pointer, _) in given.into_iter().filter(|(_, given)| *given) {
            faults
                .invalid(pointer, format!("{} takes a model and a target as they are; leave this out", kind.as_str()));
        }
    }
}

fn format_of(kind: JobKind, given: Option<&str>, faults: &mut Faults) -> Option<FileFormat> {
    if kind != JobKind::Predict {
        return None;
    }
    let Some(text) = given else { return Some(FileFormat::default()) };
    let format = FileFormat::ALL.into_iter().find(|f| f.as_str() == text);
    if format.is_none() {
        faults.invalid("/format", format!("known are {}", FileFormat::ALL.map(FileFormat::as_str).join(", ")));
    }
    format
}

fn include_words(words: Vec<String>, format: Option<FileFormat>, faults: &mut Faults) -> Vec<Include> {
    let mut include = Vec::new();
    for (i, word) in words.iter().enumerate() {
        match (include_of(word), format) {
            (Ok(what), Some(format)) if !Form::File(format).holds(what) => {
                faults.invalid(format!("/include/{i}"), format!("a {} file has no place for {word}", format.as_str()));
            }
            (Ok(what), _) => {
                if !include.contains(&what) {
                    include.push(what);
                }
            }
            (Err(known), _) => faults.invalid(format!("/include/{i}"), known),
        }
    }
    include
}

impl Service {
    /// # Errors
    /// If something named is not stored, or the model cannot be run on the domain.
    pub(super) async fn resolve_use(&self, tenant: &TenantId, draft: DraftedUse) -> Result<AppliedSpec, ServiceError> {
        let found = self.model_version_at(tenant, &draft.model).await.map_err(|e| at_pointer(e, "/model"))?;
        let target = self.domain_version(tenant, &draft.target.thing, draft.target.version).await;
        let target = target.map_err(|e| at_pointer(e, "/target"))?;
        let model = self.loaded(&found).await.map_err(|e| at_pointer(e, "/model"))?;
        let name = format!("{}@{}", found.name, found.version);
        columns_fit(&found, &target)?;
        if draft.kind == JobKind::Evaluate {
            labels_fit(&target, model.manifest().task)?;
        }
        if draft.include.contains(&Include::SourceOnly) && !model.keeps_source_only() {
            let detail =
                format!("{name} was stored before source_only was kept beside models; adapt it again to have it");
            return Err(ServiceError::at(Code::InvalidParameter, "/include", detail));
        }
        Ok(AppliedSpec {
            kind: draft.kind,
            model: name,
            target: format!("{}@{}", target.name, target.version),
            format: draft.format,
            include: draft.include,
            seed: draft.seed,
            deadline: draft.terms.deadline.map(|(text, _): (String, Duration)| text),
            labels: draft.terms.labels,
        })
    }
}

/// Refuses a domain that lacks a column of the model.
fn columns_fit(model: &ModelVersionRecord, target: &DomainVersionRecord) -> Result<(), ServiceError> {
    let inputs = model.signature["inputs"].as_array().into_iter().flatten().filter_map(|input| input["name"].as_str());
    let there: std::collections::BTreeSet<&str> = target.columns.iter().map(|c| c.name.as_str()).collect();
    let missing: Vec<&str> = inputs.filter(|name| !there.contains(name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = missing.iter().take(NAMED_COLUMNS).map(|name| Value::from(*name).to_string()).collect();
    let more = if missing.len() > shown.len() { ", …" } else { "" };
    let detail = format!(
        "{}@{} lacks {} of the model's columns: {}{more}",
        target.name,
        target.version,
        missing.len(),
        shown.join(", ")
    );
    Err(ServiceError::at(Code::SchemaIncompatible, "/target", detail))
}

/// Refuses a domain whose labels cannot score the model.
fn labels_fit(target: &DomainVersionRecord, task: adaptation::data::TaskKind) -> Result<(), ServiceError> {
    let name = format!("{}@{}", target.name, target.version);
    if !is_labelled(target) {
        let detail = format!("{name} has no labels to score by; upload it again with ?label=COLUMN, or use predict");
        return Err(ServiceError::at(Code::InvalidParameter, "/target", detail));
    }
    match target.task {
        Some(other) if other != task => {
            let detail = format!("the labels of {name} are for another task than the model's");
            Err(ServiceError::at(Code::SchemaIncompatible, "/target", detail))
        }
        _ => Ok(()),
    }
}
