//! A fitted model: from a table of target rows to predictions.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::spec::Spec;
use crate::data::{Kind, Table, Task, TaskKind};
use crate::features::{InputProblem, Map, Pipeline};
use crate::learners::{Prediction, Predictor};
use crate::linalg::Matrix;

/// What is known of a model besides its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub task: TaskKind,
    /// Sorted; codes of predictions index them. Empty for a regression.
    pub classes: Vec<String>,
    /// What was run, with every default filled in.
    pub spec: Spec,
    /// Where the model comes from: domains with versions, base model. The caller's own words.
    pub lineage: Value,
    /// Version of this library.
    pub library: String,
}

/// One column that rows must have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputColumn {
    pub name: String,
    /// `number` or `category`.
    pub kind: Kind,
    /// The words seen in training; at most fifty are shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
}

/// What goes in and what comes out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signature {
    pub task: TaskKind,
    pub inputs: Vec<InputColumn>,
    pub classes: Vec<String>,
}

/// A pipeline, a map into the adapted space, and a predictor there.
pub struct FittedModel {
    pub(super) manifest: Manifest,
    pub(super) pipeline: Pipeline,
    pub(super) map: Map,
    pub(super) predictor: Box<dyn Predictor>,
}

impl FittedModel {
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Says where the model comes from, before it is saved.
    pub fn set_lineage(&mut self, lineage: Value) {
        self.manifest.lineage = lineage;
    }

    /// The task, with its classes.
    pub fn task(&self) -> Task {
        match self.manifest.task {
            TaskKind::Classification => Task::Classification { classes: self.manifest.classes.clone() },
            TaskKind::Regression => Task::Regression,
        }
    }

    pub fn signature(&self) -> Signature {
        let input = |(name, kind): (&str, Kind)| InputColumn {
            name: name.to_owned(),
            kind,
            categories: self.pipeline.levels_of(name).unwrap_or_default().iter().take(50).cloned().collect(),
        };
        Signature {
            task: self.manifest.task,
            inputs: self.pipeline.inputs().into_iter().map(input).collect(),
            classes: self.manifest.classes.clone(),
        }
    }

    /// Predictions for rows of the target domain, seen or not; columns that the model does not know
    /// are ignored.
    ///
    /// # Errors
    /// Every column that is missing and every value that does not fit, up to twenty.
    pub fn predict(&self, rows: &Table) -> Result<Prediction, Vec<InputProblem>> {
        Ok(self.predict_features(&self.pipeline.transform(rows)?))
    }

    /// Predictions from scaled features, `(n, d)`.
    pub(super) fn predict_features(&self, x: &Matrix) -> Prediction {
        self.predictor.predict(&self.map.apply(x))
    }
}
