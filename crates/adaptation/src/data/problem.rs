//! The numeric problem. [`Problem`] holds what a method may see and has no path to held-out labels;
//! [`Holdout`] holds what only scoring may see.

use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::linalg::Matrix;

/// Classification or regression, as it is written in specs and cards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    Classification,
    Regression,
}

/// The task of one problem.
#[derive(Debug, Clone, PartialEq)]
pub enum Task {
    /// The names of the classes, sorted; codes index them.
    Classification {
        classes: Vec<String>,
    },
    Regression,
}

/// One label for each row; `None` where it is not known, or not to be seen.
#[derive(Debug, Clone, PartialEq)]
pub enum Labels {
    Classes(Vec<Option<usize>>),
    Values(Vec<Option<f64>>),
}

/// Rows of one domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// `(n, d)`, finite.
    pub x: Matrix,
    /// `(n,)`
    pub labels: Labels,
    /// Sample weights that came with the data, `(n,)`, finite and not negative.
    pub weights: Option<Array1<f64>>,
}

/// What a method may see: one or more sources, one target, equal columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub task: Task,
    /// Every row is labelled. Empty only where a stored model is continued.
    pub sources: Vec<Dataset>,
    /// Labels are `None` unless the spec declared them for use by the fit.
    pub target: Dataset,
}

/// What only scoring may see: rows of the target and their labels.
/// Codes index `classes`, which begins with the problem's classes and may hold more.
#[derive(Debug, Clone, PartialEq)]
pub struct Holdout {
    pub x: Matrix,
    pub labels: Labels,
    pub classes: Vec<String>,
}

impl Task {
    pub fn kind(&self) -> TaskKind {
        match self {
            Task::Classification { .. } => TaskKind::Classification,
            Task::Regression => TaskKind::Regression,
        }
    }

    /// The names of the classes; none for regression.
    pub fn classes(&self) -> &[String] {
        match self {
            Task::Classification { classes } => classes,
            Task::Regression => &[],
        }
    }

    /// The number of classes; 0 for regression.
    pub fn n_classes(&self) -> usize {
        match self {
            Task::Classification { classes } => classes.len(),
            Task::Regression => 0,
        }
    }
}

impl Labels {
    pub fn len(&self) -> usize {
        match self {
            Labels::Classes(v) => v.len(),
            Labels::Values(v) => v.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The rows whose label is known, ascending.
    pub fn known_rows(&self) -> Vec<usize> {
        match self {
            Labels::Classes(v) => (0..v.len()).filter(|&i| v[i].is_some()).collect(),
            Labels::Values(v) => (0..v.len()).filter(|&i| v[i].is_some()).collect(),
        }
    }

    /// The same number of labels, all unknown.
    pub fn hidden(&self) -> Labels {
        match self {
            Labels::Classes(v) => Labels::Classes(vec![None; v.len()]),
            Labels::Values(v) => Labels::Values(vec![None; v.len()]),
        }
    }

    /// The given rows, in the given order.
    pub fn select(&self, rows: &[usize]) -> Labels {
        match self {
            Labels::Classes(v) => Labels::Classes(rows.iter().map(|&i| v[i]).collect()),
            Labels::Values(v) => Labels::Values(rows.iter().map(|&i| v[i]).collect()),
        }
    }
}

impl Dataset {
    pub fn n_rows(&self) -> usize {
        self.x.n_rows()
    }

    /// The given rows, in the given order.
    pub fn select_rows(&self, rows: &[usize]) -> Dataset {
        Dataset {
            x: self.x.select_rows(rows),
            labels: self.labels.select(rows),
            weights: self.weights.as_ref().map(|w| w.select(ndarray::Axis(0), rows)),
        }
    }
}

impl Problem {
    /// The number of columns.
    pub fn n_features(&self) -> usize {
        self.target.x.n_columns()
    }

    /// All source rows, one source below the other, `(n_source, d)`.
    pub fn pooled_sources(&self) -> Matrix {
        Matrix::stack(&self.sources.iter().map(|s| &s.x).collect::<Vec<_>>())
    }
}
