//! What a run gives back besides its model: the numbers, in the shape in which they are published.

use std::collections::BTreeMap;

use serde::Serialize;

use super::spec::Evaluation;
use crate::data::TaskKind;
use crate::metrics::{ClassReport, Interval, RocCurve};

/// Named metrics, each with its interval; `None` where a metric is not defined on these rows.
pub type Scores = BTreeMap<&'static str, Option<Interval>>;

/// The numbers of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Metrics {
    pub task: TaskKind,
    pub evaluation: Evaluation,
    /// Whether target labels that an adaptation would not have chose or trained the model.
    pub oracle: bool,
    /// How many target rows were scored, each counted once.
    pub n_scored: usize,
    /// `None` where no row was scored.
    pub adapted: Option<Scores>,
    pub source_only: Option<Scores>,
    /// Of the adapted model; empty for a regression.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub per_class: Vec<ClassReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Receiver operating characteristic of the adapted model, one class against the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roc: Vec<RocCurve>,
    pub distances: Distances,
    /// Milliseconds of each phase.
    pub timings_ms: BTreeMap<&'static str, f64>,
    pub memory_bytes: Memory,
    /// Numbers about the fit that a method gives, such as an effective sample size.
    pub diagnostics: BTreeMap<String, f64>,
    /// What a reader of the numbers has to know.
    pub notes: Vec<String>,
}

/// Confusion matrices: rows are true classes, columns predicted ones.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confusion {
    pub classes: Vec<String>,
    pub adapted: Vec<Vec<u64>>,
    /// `None` where source-only was not kept with the model.
    pub source_only: Option<Vec<Vec<u64>>>,
}

/// How far source and target are from each other.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Distances {
    pub mmd2: Mmd2,
}

/// Unbiased squared maximum mean discrepancy, RBF kernel with median bandwidth in each space.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mmd2 {
    /// Between scaled features.
    pub before: Option<f64>,
    /// In the adapted space; `None` where there is none.
    pub after: Option<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Memory {
    /// What the fit was expected to take beyond its input.
    pub estimate: u64,
    /// `None` unless the run was alone in its process.
    pub peak: Option<u64>,
}
