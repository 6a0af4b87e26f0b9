//! A fitted model: from a table of target rows to predictions.

use std::borrow::Cow;

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

/// A pipeline, a map into the adapted space, and a predictor there; and what stands beside it unadapted.
pub struct FittedModel {
    pub(super) manifest: Manifest,
    pub(super) pipeline: Pipeline,
    pub(super) map: Map,
    pub(super) predictor: Box<dyn Predictor>,
    /// `None` for models of files that do not hold it.
    pub(super) source_only: Option<SourceOnly>,
}

/// The model without the adaptation, on the same features.
#[expect(clippy::large_enum_variant, reason = "there is one a model, and most are the large one")]
pub(super) enum SourceOnly {
    /// The method was source-only.
    Itself,
    Beside {
        map: Map,
        predictor: Box<dyn Predictor>,
    },
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
        Ok(self.predict_adapted(&self.adapt(&self.transform(rows)?)))
    }

    /// Encoded and scaled features of rows, `(n, d)`: the first step of [`FittedModel::predict`].
    ///
    /// # Errors
    /// As [`FittedModel::predict`].
    pub fn transform(&self, rows: &Table) -> Result<Matrix, Vec<InputProblem>> {
        self.pipeline.transform(rows)
    }

    /// Features `(n, d)` in the adapted space, `(n, k)`.
    pub fn adapt<'a>(&self, x: &'a Matrix) -> Cow<'a, Matrix> {
        if self.map == Map::Identity { Cow::Borrowed(x) } else { Cow::Owned(self.map.apply(x)) }
    }

    /// Predictions from the adapted space, `(n, k)`.
    pub fn predict_adapted(&self, z: &Matrix) -> Prediction {
        self.predictor.predict(z)
    }

    /// What the model without the adaptation says of features `(n, d)`; `None` where it was not kept.
    pub fn predict_source_only(&self, x: &Matrix) -> Option<Prediction> {
        Some(match self.source_only.as_ref()? {
            SourceOnly::Itself => self.predict_adapted(&self.adapt(x)),
            SourceOnly::Beside { map, predictor } => predictor.predict(&map.apply(x)),
        })
    }

    /// Whether a row may hold text, so that its cost is not bounded by the size of the model.
    pub fn takes_text(&self) -> bool {
        self.pipeline.has_text()
    }

    /// Whether [`FittedModel::predict_source_only`] answers.
    pub fn keeps_source_only(&self) -> bool {
        self.source_only.is_some()
    }
}
