//! What a client asks a job to do, as it was sent, and the checks that need no data. Everything that
//! is wrong is reported at once, each with its JSON pointer.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use adaptation::engine::{Choice, Evaluation};
use adaptation::features::FeatureParams;
use adaptation::params::{Checked, ParamErrors, escape_pointer, schema_of};
use adaptation::{learners, methods};
use serde::Deserialize;
use serde_json::Value;

use super::error::{Code, Fault, Place, ServiceError};
use crate::records::{BadName, DomainId, JobKind, ModelReference, Name, Period, Risk, VersionedReference};

/// Sources of one job; more are pooled into domains by whoever has so many.
pub(super) const MAX_SOURCES: usize = 100;
const MAX_LABELS: usize = 64;
const MAX_LABEL_BYTES: usize = 256;
const LATER_KINDS: [&str; 4] = ["select", "compare", "monitor_check", "export"];

/// The document that starts a job. Unknown fields are refused.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub struct JobRequest {
    pub kind: String,
    #[serde(default)]
    pub sources: Option<Vec<String>>,
    #[serde(default)]
    pub target: Option<String>,
    #[serde(default)]
    pub method: Option<Choice>,
    #[serde(default)]
    pub learner: Option<Choice>,
    #[serde(default)]
    pub features: Option<Value>,
    #[serde(default)]
    pub evaluation: Option<Value>,
    #[serde(default)]
    pub seed: Option<u64>,
    #[serde(default)]
    pub model: Option<String>,
    #[serde(default)]
    pub base: Option<String>,
    #[serde(default)]
    pub priority: Option<i64>,
    #[serde(default)]
    pub max_attempts: Option<i64>,
    #[serde(default)]
    pub deadline: Option<String>,
    #[serde(default)]
    pub labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub time_budget: Option<String>,
    #[serde(default)]
    pub risk: Option<Risk>,
    /// Of the file that `predict` leaves.
    #[serde(default)]
    pub format: Option<String>,
    /// What `predict` writes beside each prediction.
    #[serde(default)]
    pub include: Option<Vec<String>>,
    /// Of jobs of one kind and key, one at a time is accepted that has not ended.
    #[serde(default)]
    pub unique_key: Option<String>,
    /// What a `batch` starts.
    #[serde(default)]
    pub jobs: Option<Vec<JobRequest>>,
}

/// A request whose every field holds by itself; what depends on stored data is still open.
pub(super) struct Drafted {
    pub kind: JobKind,
    pub sources: Vec<VersionedReference<DomainId>>,
    pub target: VersionedReference<DomainId>,
    pub method: Choice,
    pub learner: Option<Choice>,
    pub features: Option<FeatureParams>,
    pub evaluation: Option<Evaluation>,
    pub seed: u64,
    pub model: Option<Name>,
    pub base: Option<ModelReference>,
    pub terms: Terms,
    pub time_budget: Option<String>,
    pub risk: Option<Risk>,
}

/// What every kind of job may be told about how it is run.
#[derive(Clone)]
pub(super) struct Terms {
    pub priority: i64,
    pub max_attempts: i64,
    pub deadline: Option<(String, Duration)>,
    pub labels: BTreeMap<String, String>,
    pub unique_key: Option<String>,
}

impl Terms {
    /// Takes the fields out of a request. The seed is checked with them.
    pub(super) fn of(request: &mut JobRequest, faults: &mut Faults) -> Self {
        let priority = request.priority.unwrap_or(0);
        if !(-10..=10).contains(&priority) {
            faults.invalid("/priority", format!("{priority} is not between -10 and 10"));
        }
        let max_attempts = request.max_attempts.unwrap_or(3);
        if !(1..=100).contains(&max_attempts) {
            faults.invalid("/max_attempts", format!("{max_attempts} is not between 1 and 100"));
        }
        if request.seed.is_some_and(|seed| i64::try_from(seed).is_err()) {
            faults.invalid("/seed", "a seed is at most 9223372036854775807");
        }
        let deadline = request.deadline.take().and_then(|t| Some((t.clone(), duration(&t, "/deadline", faults)?)));
        let labels = request.labels.take().unwrap_or_default();
        check_labels(&labels, faults);
        let unique_key = request.unique_key.take();
        if unique_key.as_ref().is_some_and(|key| key.is_empty() || key.len() > MAX_LABEL_BYTES) {
            faults.invalid("/unique_key", format!("a key has 1 to {MAX_LABEL_BYTES} bytes"));
        }
        Self { priority, max_attempts, deadline, labels, unique_key }
    }
}

/// Collects faults while fields are read.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    fn add(&mut self, code: Code, pointer: impl Into<String>, detail: impl Into<String>) {
        let at = Place::Pointer(pointer.into());
        self.0.push(Fault { at, code: code.as_str().to_owned(), detail: detail.into() });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn into_error(self) -> ServiceError {
        ServiceError::of_faults(self.0)
    }

    pub(super) fn invalid(&mut self, pointer: impl Into<String>, detail: impl Into<String>) {
        self.add(Code::InvalidParameter, pointer, detail);
    }

    /// Errors of parameters, which are relative to `prefix`.
    fn params(&mut self, prefix: &str, errors: ParamErrors) {
        for error in errors.0 {
            let at = Place::Pointer(format!("{prefix}{}", error.pointer));
            self.0.push(Fault { at, code: error.code.to_owned(), detail: error.detail });
        }
    }
}

impl JobRequest {
    /// # Errors
    /// Every field that cannot hold, whatever is stored.
    pub(super) fn draft(mut self) -> Result<Drafted, ServiceError> {
        let mut faults = Faults::default();
        let terms = Terms::of(&mut self, &mut faults);
        let kind = kind_of(&self.kind, &mut faults);
        let kind_known = kind.is_some();
        let kind = kind.unwrap_or(JobKind::Adapt);
        let sources = sources_of(kind, self.sources, &mut faults);
        let target = match self.target {
            Some(text) => reference(&text, "/target", &mut faults),
            None => {
                faults.invalid("/target", "a target domain is required, such as \"churn-eu\" or \"churn-eu@3\"");
                None
            }
        };
        let method = method_of(kind, kind_known, self.method, &mut faults);
        let learner = self.learner.inspect(|choice| check_learner(choice, &mut faults));
        let features = self.features.and_then(|value| features_of(&value, &mut faults));
        let evaluation = self.evaluation.and_then(|value| evaluation_of(value, &mut faults));
        let model = self.model.and_then(|text| match text.parse::<Name>() {
            Ok(name) => Some(name),
            Err(e) => {
                faults.invalid("/model", e.to_string());
                None
            }
        });
        let base = base_of(kind, self.base, &mut faults);
        for (pointer, given) in [("/format", self.format.is_some()), ("/include", self.include.is_some())] {
            if given && kind_known {
                faults.invalid(pointer, "only predict leaves a file; leave this out");
            }
        }
        if self.jobs.is_some() && kind_known {
            faults.invalid("/jobs", "only batch starts other jobs; leave this out");
        }
        let time_budget = self.time_budget.filter(|t| duration(t, "/time_budget", &mut faults).is_some());
        match (target, method) {
            (Some(target), Some(method)) if faults.0.is_empty() => Ok(Drafted {
                kind,
                sources,
                target,
                method,
                learner,
                features,
                evaluation,
                seed: self.seed.unwrap_or(0),
                model,
                base,
                terms,
                time_budget,
                risk: self.risk,
            }),
            _ => Err(ServiceError::of_faults(faults.0)),
        }
    }
}

fn kind_of(text: &str, faults: &mut Faults) -> Option<JobKind> {
    let kind = JobKind::ALL.into_iter().find(|k| k.as_str() == text);
    if kind.is_none() {
        let known = JobKind::ALL.map(JobKind::as_str);
        let detail = if LATER_KINDS.contains(&text) {
            format!("{text:?} is not available in this version; available are {}", known.join(", "))
        } else {
            format!("known are {}", known.join(", "))
        };
        faults.invalid("/kind", detail);
    }
    kind
}

fn sources_of(kind: JobKind, sources: Option<Vec<String>>, faults: &mut Faults) -> Vec<VersionedReference<DomainId>> {
    let sources = sources.unwrap_or_default();
    match kind {
        JobKind::Adapt if sources.is_empty() => faults.invalid("/sources", "at least one source domain is required"),
        JobKind::FineTune if !sources.is_empty() => faults.invalid(
            "/sources",
            "fine_tune continues the model in base and takes no sources; to pretrain on sources, \
             use kind adapt with the method fine_tuning",
        ),
        _ => {}
    }
    if sources.len() > MAX_SOURCES {
        faults.invalid("/sources", format!("{} sources, at most {MAX_SOURCES} are taken", sources.len()));
        return Vec::new();
    }
    for (i, source) in sources.iter().enumerate() {
        if sources[..i].contains(source) {
            faults.invalid(format!("/sources/{i}"), "this source is named twice");
        }
    }
    let read = |(i, text): (usize, &String)| reference(text, &format!("/sources/{i}"), faults);
    sources.iter().enumerate().filter_map(read).collect()
}

pub(super) fn reference<R>(text: &str, pointer: &str, faults: &mut Faults) -> Option<R>
where
    R: std::str::FromStr<Err = BadName>,
{
    match text.parse() {
        Ok(reference) => Some(reference),
        Err(e) => {
            faults.invalid(pointer, e.to_string());
            None
        }
    }
}

fn base_of(kind: JobKind, base: Option<String>, faults: &mut Faults) -> Option<ModelReference> {
    match (kind, base) {
        (JobKind::FineTune, None) => {
            faults.invalid("/base", "fine_tune requires the model to continue, such as \"churn-eu@3\"");
            None
        }
        (JobKind::Adapt, Some(_)) => {
            faults.invalid("/base", "only fine_tune continues a stored model");
            None
        }
        (_, base) => reference(&base?, "/base", faults),
    }
}

fn method_of(kind: JobKind, kind_known: bool, choice: Option<Choice>, faults: &mut Faults) -> Option<Choice> {
    let choice = match (kind, choice) {
        (JobKind::FineTune, None) => Choice { id: "fine_tuning".into(), params: Value::Null },
        (JobKind::FineTune, Some(choice)) if choice.id != "fine_tuning" => {
            faults.invalid("/method/id", "fine_tune has the one method fine_tuning");
            return None;
        }
        (_, None) => {
            // An unknown kind may not need a method; its own fault is enough.
            if kind_known {
                faults.invalid("/method", "adapt requires a method; GET /v1/methods lists them");
            }
            return None;
        }
        (_, Some(choice)) => choice,
    };
    match methods::find(&choice.id) {
        None => {
            let known: Vec<&str> = methods::METHODS.iter().map(|m| m.card().id).collect();
            faults.invalid("/method/id", format!("there is no such method; known are {}", known.join(", ")));
            None
        }
        Some(method) => {
            if let Err(errors) = method.check(&choice.params) {
                faults.params("/method/params", errors);
            }
            Some(choice)
        }
    }
}

fn check_learner(choice: &Choice, faults: &mut Faults) {
    match learners::find(&choice.id) {
        None => {
            let known: Vec<&str> = learners::LEARNERS.iter().map(|l| l.card().id).collect();
            faults.invalid("/learner/id", format!("there is no such learner; known are {}", known.join(", ")));
        }
        Some(learner) => {
            if let Err(errors) = learner.check(&choice.params) {
                faults.params("/learner/params", errors);
            }
        }
    }
}

fn features_of(value: &Value, faults: &mut Faults) -> Option<FeatureParams> {
    match Checked::<FeatureParams>::new(value) {
        Ok(checked) => Some(*checked),
        Err(errors) => {
            faults.params("/features", errors);
            None
        }
    }
}

/// Reads the evaluation by its kind, so that a fault is told about that kind alone.
fn evaluation_of(value: Value, faults: &mut Faults) -> Option<Evaluation> {
    static SCHEMA: LazyLock<Value> = LazyLock::new(schema_of::<Evaluation>);
    let schema = &*SCHEMA;
    let kinds = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let kind_of = |s: &Value| s["properties"]["kind"]["const"].as_str().map(str::to_owned);
    let Some(object) = value.as_object() else {
        faults.invalid("/evaluation", "an object with a kind is expected");
        return None;
    };
    let Some(of_kind) = kinds.iter().find(|s| kind_of(s).as_deref() == value["kind"].as_str()) else {
        let known: Vec<String> = kinds.iter().filter_map(kind_of).collect();
        faults.invalid("/evaluation/kind", format!("known are {}", known.join(", ")));
        return None;
    };
    let before = faults.0.len();
    for (name, given) in object {
        let pointer = format!("/evaluation/{}", escape_pointer(name));
        let Some(of_field) = of_kind["properties"].get(name) else {
            faults.add(Code::UnknownField, pointer, "this kind of evaluation has no such field");
            continue;
        };
        let (min, max) = (of_field["minimum"].as_f64(), of_field["maximum"].as_f64());
        let outside = |x: f64| min.is_some_and(|m| x < m) || max.is_some_and(|m| x > m);
        if given.as_f64().is_some_and(outside) {
            let bound = |b: Option<f64>| b.map_or("any".to_owned(), |b| b.to_string());
            faults.invalid(pointer, format!("{given} is not between {} and {}", bound(min), bound(max)));
        }
    }
    if faults.0.len() > before {
        return None;
    }
    match serde_path_to_error::deserialize::<_, Evaluation>(value) {
        Ok(evaluation) => Some(evaluation),
        Err(e) => {
            faults.invalid("/evaluation", e.into_inner().to_string());
            None
        }
    }
}

/// An ISO 8601 duration of at least a millisecond and at most a year; a day has 24 hours.
pub(super) fn duration_in(text: &str) -> Result<Duration, &'static str> {
    text.parse::<Period>()
        .ok()
        .map(|Period(d)| d)
        .filter(|d| (1..=366 * 86_400_000).contains(&d.as_millis()))
        .ok_or("an ISO 8601 duration of at most a year is expected, such as \"PT2H\" or \"PT90S\"")
}

fn duration(text: &str, pointer: &str, faults: &mut Faults) -> Option<Duration> {
    duration_in(text).map_err(|why| faults.invalid(pointer, why)).ok()
}

pub(super) fn check_labels(labels: &BTreeMap<String, String>, faults: &mut Faults) {
    if labels.len() > MAX_LABELS {
        faults.invalid("/labels", format!("{} labels, at most {MAX_LABELS} are kept", labels.len()));
    }
    for (key, value) in labels {
        if key.is_empty() || key.len() > MAX_LABEL_BYTES || value.len() > MAX_LABEL_BYTES {
            // The key may be 10 kB long; its beginning is enough to find it.
            let shown: String = key.chars().take(40).collect();
            faults.invalid(
                format!("/labels/{}", escape_pointer(&shown)),
                format!("keys and values have at most {MAX_LABEL_BYTES} bytes, and keys at least one"),
            );
        }
    }
}
