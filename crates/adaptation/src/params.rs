//! Hyper-parameters that are validated against their own JSON Schema. The struct is the single
//! declaration: check, documentation, forms and negative tests come from its schema.

mod kernel;
mod words;

use std::any::TypeId;
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

pub use kernel::{KernelName, Polynomial};
pub use words::{Bandwidth, CrossValidated, Median, NumberOr, Pull, Word};

/// A parameter struct: all fields have defaults, unknown fields are refused
/// (`#[serde(default, deny_unknown_fields)]`), ranges stand in `#[schemars(range(min = …, max = …))]`
/// and every field's doc comment is its help.
pub trait Params: Default + Clone + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static {}

impl<T: Default + Clone + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static> Params for T {}

/// Parameters that hold what their schema says. Can be made only by validating.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked<P>(P);

/// One thing that is wrong with given parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamError {
    /// JSON pointer relative to the parameters, such as `/n_components`; empty for the whole.
    pub pointer: String,
    /// `unknown_field` or `invalid_parameter`.
    pub code: &'static str,
    pub detail: String,
}

/// All that is wrong with given parameters; at least one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", .0.iter().map(|e| format!("{}: {}", e.pointer, e.detail)).collect::<Vec<_>>().join("; "))]
pub struct ParamErrors(pub Vec<ParamError>);

impl<P: Params> Checked<P> {
    /// Validates `value`; `null` means all defaults.
    ///
    /// # Errors
    /// Every unknown name and every value outside its range, each with its place.
    pub fn new(value: &Value) -> Result<Self, ParamErrors> {
        let value = if value.is_null() { &Value::Object(Default::default()) } else { value };
        let errors = match compiled::<P>().as_ref() {
            Ok(compiled) => compiled.check(value),
            // A schema of ours that does not compile is a defect of the program, which the conformance test meets
            // first; at run time nothing passes it.
            Err(detail) => {
                let (pointer, detail) = (String::new(), detail.clone());
                vec![ParamError { pointer, code: "invalid_parameter", detail }]
            }
        };
        if !errors.is_empty() {
            return Err(ParamErrors(errors));
        }
        serde_json::from_value(with_integers(value)).map(Checked).map_err(|e| {
            ParamErrors(vec![ParamError { pointer: String::new(), code: "invalid_parameter", detail: e.to_string() }])
        })
    }
}

impl<P: Params> Default for Checked<P> {
    fn default() -> Self {
        Self(P::default())
    }
}

impl<P> Deref for Checked<P> {
    type Target = P;

    fn deref(&self) -> &P {
        &self.0
    }
}

/// The JSON Schema of a parameter struct, without references to elsewhere.
pub fn schema_of<P: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().with(|s| {
        s.inline_subschemas = true;
        s.meta_schema = None;
    });
    settings.into_generator().into_root_schema_for::<P>().to_value()
}

/// A schema and what it checks with: made once for each struct, which takes longer than a whole request.
struct Compiled {
    schema: Value,
    validator: jsonschema::Validator,
}

type ByStruct = Mutex<HashMap<TypeId, Arc<Result<Compiled, String>>>>;

fn compiled<P: Params>() -> Arc<Result<Compiled, String>> {
    static ALL: LazyLock<ByStruct> = LazyLock::new(Mutex::default);
    // A panic while it was held leaves a map that is whole.
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    let compile = || {
        let schema = schema_of::<P>();
        let validator = jsonschema::validator_for(&schema).map_err(|e| format!("schema: {e}"));
        Arc::new(validator.map(|validator| Compiled { schema, validator }))
    };
    Arc::clone(all.entry(TypeId::of::<P>()).or_insert_with(compile))
}

impl Compiled {
    /// What `value` has against the schema.
    fn check(&self, value: &Value) -> Vec<ParamError> {
        let mut errors = Vec::new();
        for error in self.validator.iter_errors(value) {
            let at = error.instance_path().to_string();
            if let jsonschema::error::ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
                errors.extend(unexpected.iter().map(|name| ParamError {
                    pointer: format!("{at}/{}", escape_pointer(name)),
                    code: "unknown_field",
                    detail: format!("unknown parameter{}", known_names(&self.schema, &error.schema_path().to_string())),
                }));
            } else {
                errors.push(ParamError { pointer: at, code: "invalid_parameter", detail: explain(&error) });
            }
        }
        errors
    }
}

/// What is wrong, in words. Where none of several forms fits, what each of them asks for.
fn explain(error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::error::ValidationErrorKind::{AnyOf, OneOfNotValid};
    let (AnyOf { context } | OneOfNotValid { context }) = error.kind() else { return error.to_string() };
    let forms: Vec<String> = context.iter().filter_map(|form| form.first()).map(explain).collect();
    forms.join(", or ")
}

/// Whole numbers written with a fraction of zero, such as `2.0`, as the integers they are: JSON Schema
/// holds them for the same.
fn with_integers(value: &Value) -> Value {
    match value {
        Value::Number(n) => match n.as_f64() {
            Some(v) if n.is_f64() && v.fract() == 0.0 && v.abs() < 2.0_f64.powi(53) => Value::from(v as i64),
            _ => value.clone(),
        },
        Value::Array(items) => items.iter().map(with_integers).collect(),
        Value::Object(fields) => fields.iter().map(|(k, v)| (k.clone(), with_integers(v))).collect(),
        _ => value.clone(),
    }
}

/// The names where one is not known; `path` is of what refused it.
fn known_names(schema: &Value, path: &str) -> String {
    let schema = path.rsplit_once('/').and_then(|(parent, _)| schema.pointer(parent)).unwrap_or(schema);
    let names: Vec<&str> = schema["properties"].as_object().into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    if names.is_empty() { "; there are none here".into() } else { format!("; known are {}", names.join(", ")) }
}

/// A name as one token of a JSON pointer (RFC 6901).
pub fn escape_pointer(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
