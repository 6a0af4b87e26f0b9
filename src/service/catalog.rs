//! The lists of methods and learners, as clients build their forms from them.

use adaptation::data::TaskKind;
use adaptation::learners::{ErasedLearner, LEARNERS, LearnerCard};
use adaptation::methods::{Card, METHODS, Method};
use adaptation::{learners as learner_list, methods as method_list};
use serde_json::{Map, Value};

use super::error::{Code, ServiceError};

/// One method: its card, the JSON Schema of its parameters and their defaults.
#[derive(Debug, Clone)]
pub struct MethodEntry {
    pub card: &'static Card,
    pub brings_predictor: bool,
    pub schema: Value,
    pub defaults: Value,
}

/// One learner: its card, the JSON Schema of its parameters and their defaults.
#[derive(Debug, Clone)]
pub struct LearnerEntry {
    pub card: &'static LearnerCard,
    pub schema: Value,
    pub defaults: Value,
}

pub fn methods() -> Vec<MethodEntry> {
    METHODS.iter().map(|m| of_method(*m)).collect()
}

pub fn learners() -> Vec<LearnerEntry> {
    LEARNERS.iter().map(|l| of_learner(*l)).collect()
}

/// # Errors
/// If there is no method of that id.
pub fn method(id: &str) -> Result<MethodEntry, ServiceError> {
    let found = method_list::find(id).map(of_method);
    found.ok_or_else(|| ServiceError::new(Code::MethodNotFound, "there is no method of that id"))
}

/// # Errors
/// If there is no learner of that id.
pub fn learner(id: &str) -> Result<LearnerEntry, ServiceError> {
    let found = learner_list::find(id).map(of_learner);
    found.ok_or_else(|| ServiceError::new(Code::LearnerNotFound, "there is no learner of that id"))
}

fn of_method(method: &dyn Method) -> MethodEntry {
    let schema = method.schema();
    let brings_predictor = method.brings_predictor();
    MethodEntry { card: method.card(), brings_predictor, defaults: defaults_of(&schema), schema }
}

fn of_learner(learner: &dyn ErasedLearner) -> LearnerEntry {
    let schema = learner.schema();
    LearnerEntry { card: learner.card(), defaults: defaults_of(&schema), schema }
}

/// The defaults that a schema names.
fn defaults_of(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().into_iter().flatten();
    let named = properties.filter_map(|(name, s)| Some((name.clone(), s.get("default")?.clone())));
    Value::Object(named.collect::<Map<String, Value>>())
}

/// The learner that follows where a spec names none.
pub(super) fn default_learner(task: TaskKind) -> &'static str {
    match task {
        TaskKind::Classification => "logistic",
        TaskKind::Regression => "ridge",
    }
}
