//! From a drafted request to a stored spec: names become versions, and whatever can be known before
//! the job runs is checked against the versions that it will read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use adaptation::data::{Kind, Role, TaskKind};
use adaptation::engine::{Choice, Evaluation, FittedModel, Spec};
use adaptation::features::{FeatureParams, TextParams};
use adaptation::methods::{Card, Method, Needs};
use adaptation::{learners, methods};
use serde_json::Value;

use super::Service;
use super::catalog::default_learner;
use super::error::{Code, ServiceError};
use super::spec::Drafted;
use crate::records::{
    ColumnRecord, DomainVersionRecord, JobId, JobKind, ModelVersionRecord, Name, StoredSpec, TenantId,
};

/// The stored things that a job will read.
struct Inputs {
    sources: Vec<Arc<DomainVersionRecord>>,
    target: Arc<DomainVersionRecord>,
    base: Option<(ModelVersionRecord, Arc<FittedModel>)>,
}

impl Service {
    /// # Errors
    /// If something named is not stored, or what is stored cannot be adapted as asked.
    pub(super) async fn resolve(
        &self,
        tenant: &TenantId,
        draft: Drafted,
        id: JobId,
    ) -> Result<StoredSpec, ServiceError> {
        let inputs = self.inputs(tenant, &draft).await?;
        // The kind alone decides which method was drafted, so a missing one is a defect of ours.
        let method = methods::find(&draft.method.id).ok_or_else(|| ServiceError::internal("method vanished"))?;
        let card = method.card();
        let task = task_of(&draft, &inputs)?;
        if !card.tasks.contains(&task) {
            let detail = format!("{} does not do {}", card.id, word(task));
            return Err(ServiceError::at(Code::InvalidParameter, "/method/id", detail));
        }
        continuable(&inputs)?;
        let learner = learner_for(&draft, &inputs, task, method)?;
        shared_columns(&inputs)?;
        columns_agree(&inputs)?;
        let labelled = is_labelled(&inputs.target);
        let evaluation = evaluation_for(draft.evaluation, labelled, card)?;
        let features = features_for(draft.features, &inputs)?;
        // An id is a name too: lower-case letters, digits, hyphens and one underscore.
        let named = |text: String| text.parse::<Name>().map_err(ServiceError::internal);
        let model = match draft.model {
            Some(name) => name,
            None => named(id.to_string())?,
        };
        Ok(StoredSpec {
            kind: draft.kind,
            sources: inputs.sources.iter().map(|s| versioned(s)).collect(),
            target: versioned(&inputs.target),
            method: explicit(draft.method),
            learner: explicit(learner),
            features,
            evaluation,
            seed: draft.seed,
            model,
            base: inputs.base.as_ref().map(|(m, _)| format!("{}@{}", m.name, m.version)),
            deadline: draft.terms.deadline.map(|(text, _)| text),
            labels: draft.terms.labels,
            time_budget: draft.time_budget,
            risk: draft.risk,
        })
    }

    async fn inputs(&self, tenant: &TenantId, draft: &Drafted) -> Result<Inputs, ServiceError> {
        let mut sources = Vec::with_capacity(draft.sources.len());
        for (i, reference) in draft.sources.iter().enumerate() {
            let found = self.found_version(tenant, reference).await;
            sources.push(found.map_err(|e| at_pointer(e, &format!("/sources/{i}")))?);
        }
        let target = self.found_version(tenant, &draft.target).await.map_err(|e| at_pointer(e, "/target"))?;
        let base = match &draft.base {
            Some(reference) => {
                let found = self.model_version_at(tenant, reference).await.map_err(|e| at_pointer(e, "/base"))?;
                let model = self.loaded(&found).await?;
                Some((found, model))
            }
            None => None,
        };
        Ok(Inputs { sources, target, base })
    }
}

/// The same refusal, with its place in the spec.
pub(super) fn at_pointer(error: ServiceError, pointer: &str) -> ServiceError {
    let cause = error.cause;
    ServiceError { cause, ..ServiceError::at(error.code, pointer, error.detail) }
}

fn versioned(version: &DomainVersionRecord) -> String {
    format!("{}@{}", version.name, version.version)
}

/// `null` parameters are written as the empty object that they mean.
fn explicit(choice: Choice) -> Choice {
    if choice.params.is_null() { Choice { params: Value::Object(Default::default()), ..choice } } else { choice }
}

fn word(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Classification => "classification",
        TaskKind::Regression => "regression",
    }
}

/// What the continued model was made with, if one is continued.
fn spec_of_base(inputs: &Inputs) -> Option<&Spec> {
    inputs.base.as_ref().map(|(_, model)| &model.manifest().spec)
}

/// A continued model keeps its features: its weights mean nothing on others. What is said about text is written out where
/// there is text.
fn features_for(given: Option<FeatureParams>, inputs: &Inputs) -> Result<FeatureParams, ServiceError> {
    let of_base = spec_of_base(inputs).map(|s| s.features);
    match (given, of_base) {
        (Some(given), Some(base)) if (FeatureParams { text: given.text.or(base.text), ..given }) != base => {
            let detail = "the model in base keeps the features that it was made with; leave this out";
            Err(ServiceError::at(Code::InvalidParameter, "/features", detail))
        }
        (_, Some(base)) => Ok(base),
        (given, None) => {
            let is_text = |c: &ColumnRecord| c.role == Role::Feature && c.kind == Kind::Text;
            let has_text = inputs.sources.iter().chain([&inputs.target]).any(|v| v.columns.iter().any(is_text));
            let given = given.unwrap_or_default();
            let text = given.text.or(has_text.then(TextParams::default));
            Ok(FeatureParams { text, ..given })
        }
    }
}

/// Whether at least one row has a label.
pub(super) fn is_labelled(version: &DomainVersionRecord) -> bool {
    let label = version.columns.iter().find(|c| c.role == Role::Label);
    label.is_some_and(|c| c.statistics["missing"].as_i64().is_none_or(|missing| missing < version.n_rows))
}

/// The task that all labelled inputs agree on.
fn task_of(draft: &Drafted, inputs: &Inputs) -> Result<TaskKind, ServiceError> {
    for (i, source) in inputs.sources.iter().enumerate() {
        if !is_labelled(source) {
            let detail = format!(
                "{} has no labels, and a source needs them; upload it again with ?label=COLUMN",
                versioned(source)
            );
            return Err(ServiceError::at(Code::InvalidParameter, format!("/sources/{i}"), detail));
        }
    }
    if draft.kind == JobKind::FineTune && !is_labelled(&inputs.target) {
        let detail = format!("{} has no labels, and fine_tune learns from them", versioned(&inputs.target));
        return Err(ServiceError::at(Code::InvalidParameter, "/target", detail));
    }
    if let (Some((_, base)), Some(task)) = (&inputs.base, inputs.target.task)
        && base.manifest().task != task
    {
        let detail = format!("the model in base does {}, the target is for another task", word(base.manifest().task));
        return Err(ServiceError::at(Code::SchemaIncompatible, "/target", detail));
    }
    let labelled = inputs.sources.iter().chain([&inputs.target]).filter(|v| is_labelled(v));
    let mut tasks = labelled.filter_map(|v| Some((v, v.task?)));
    let Some((first, task)) = tasks.next() else {
        return Err(ServiceError::at(Code::InvalidParameter, "/target", "no input says whether labels are classes"));
    };
    if let Some((other, _)) = tasks.find(|(_, t)| *t != task) {
        let detail = format!(
            "{} is for {}, {} is not; give the task with ?task= when uploading",
            versioned(first),
            word(task),
            versioned(other)
        );
        let place = if other.name == inputs.target.name { "/target" } else { "/sources" };
        return Err(ServiceError::at(Code::SchemaIncompatible, place, detail));
    }
    Ok(task)
}

/// Refuses a base that has no learner to continue.
fn continuable(inputs: &Inputs) -> Result<(), ServiceError> {
    let of_base = spec_of_base(inputs).and_then(|s| methods::find(&s.method.id));
    match of_base {
        Some(method) if method.brings_predictor() => {
            let detail = format!("a model of {} has no learner that could be continued", method.card().id);
            Err(ServiceError::at(Code::InvalidParameter, "/base", detail))
        }
        _ => Ok(()),
    }
}

fn learner_for(draft: &Drafted, inputs: &Inputs, task: TaskKind, method: &dyn Method) -> Result<Choice, ServiceError> {
    let of_base = spec_of_base(inputs).map(|s| s.learner.clone());
    if let (Some(base), Some(given)) = (&of_base, &draft.learner)
        && base.id != given.id
    {
        let detail = format!("the model in base was made with {}, which is continued", base.id);
        return Err(ServiceError::at(Code::InvalidParameter, "/learner/id", detail));
    }
    let default = || Choice { id: default_learner(task).to_owned(), params: Value::Null };
    let choice = draft.learner.clone().or(of_base).unwrap_or_else(default);
    let Some(learner) = learners::find(&choice.id) else {
        return Err(ServiceError::at(Code::InvalidParameter, "/learner/id", "there is no such learner"));
    };
    if !learner.card().tasks.contains(&task) {
        let detail = format!("{} does not do {}", choice.id, word(task));
        return Err(ServiceError::at(Code::InvalidParameter, "/learner/id", detail));
    }
    if method.brings_predictor() && draft.learner.is_some() {
        let detail = format!("{} brings its own predictor; leave the learner out", method.card().id);
        return Err(ServiceError::at(Code::InvalidParameter, "/learner", detail));
    }
    if let Err(detail) = method.accepts(learner.card()) {
        let detail = format!("{}: {detail}", method.card().id);
        return Err(ServiceError::at(Code::InvalidParameter, "/learner/id", detail));
    }
    Ok(choice)
}

/// Refuses domains that have no feature column in common.
fn shared_columns(inputs: &Inputs) -> Result<(), ServiceError> {
    let features = |v: &DomainVersionRecord| -> BTreeSet<String> {
        v.columns.iter().filter(|c| c.role == Role::Feature).map(|c| c.name.clone()).collect()
    };
    let mut shared = features(&inputs.target);
    for source in &inputs.sources {
        let of_source = features(source);
        shared.retain(|name| of_source.contains(name));
    }
    if shared.is_empty() {
        let names: Vec<String> = inputs.sources.iter().map(|s| versioned(s)).collect();
        let detail = format!(
            "{} shares no feature column with {}; columns are matched by name",
            versioned(&inputs.target),
            names.join(", ")
        );
        return Err(ServiceError::at(Code::SchemaIncompatible, "/target", detail));
    }
    Ok(())
}

/// Refuses a shared column that holds numbers in one domain and words in another: taken for words everywhere, its
/// numbers would be categories that have nothing to do with each other.
fn columns_agree(inputs: &Inputs) -> Result<(), ServiceError> {
    let numeric = |c: &ColumnRecord| !matches!(c.kind, Kind::Category | Kind::Text);
    let empty = |c: &ColumnRecord, n_rows: i64| c.statistics["missing"].as_i64() == Some(n_rows);
    let features = |v: &DomainVersionRecord| -> BTreeMap<String, bool> {
        let used = v.columns.iter().filter(|c| c.role == Role::Feature && !empty(c, v.n_rows));
        used.map(|c| (c.name.clone(), numeric(c))).collect()
    };
    let of_target = features(&inputs.target);
    for (i, source) in inputs.sources.iter().enumerate() {
        let odd =
            features(source).into_iter().find(|(name, numeric)| of_target.get(name).is_some_and(|t| t != numeric));
        if let Some((name, numeric)) = odd {
            let shown: String = name.chars().take(80).collect();
            let (here, there) = if numeric { ("numbers", "words") } else { ("words", "numbers") };
            let detail = format!(
                "column {shown:?} holds {here} in {} and {there} in {}; write it alike, or give it the role ignore",
                versioned(source),
                versioned(&inputs.target)
            );
            return Err(ServiceError::at(Code::SchemaIncompatible, format!("/sources/{i}"), detail));
        }
    }
    Ok(())
}

fn evaluation_for(given: Option<Evaluation>, labelled: bool, card: &Card) -> Result<Evaluation, ServiceError> {
    if card.needs == Needs::TargetLabels && !labelled {
        let detail = format!("{} learns from labels of the target, and the target has none", card.id);
        return Err(ServiceError::at(Code::InvalidParameter, "/target", detail));
    }
    let evaluation = given.unwrap_or_else(|| Evaluation::default_for(labelled, card.needs));
    let scores = !matches!(evaluation, Evaluation::None {});
    if scores && !labelled {
        let detail = "the target has no labels to score by; leave evaluation out, or use the kind none";
        return Err(ServiceError::at(Code::InvalidParameter, "/evaluation/kind", detail));
    }
    if matches!(evaluation, Evaluation::TargetLabels {}) && card.needs == Needs::TargetLabels {
        let detail = format!(
            "{} learns from labels of the target, so that they cannot all be kept aside; use hold_out or k_fold",
            card.id
        );
        return Err(ServiceError::at(Code::InvalidParameter, "/evaluation/kind", detail));
    }
    Ok(evaluation)
}
