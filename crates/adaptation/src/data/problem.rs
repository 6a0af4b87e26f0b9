//! The numeric problem. [`Problem`] holds what a method may see and has no path to held-out labels;
//! [`Holdout`] holds what only scoring may see.

use ndarray::Array1;
use serde::{Deserialize, Serialize};
use thiserror::Error;

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

/// Why a problem cannot be worked on. Rows and columns count from 0.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProblemError {
    #[error("{domain}: the value in row {row}, column {column} is not finite")]
    NotFinite { domain: String, row: usize, column: usize },
    #[error("{domain}: the label in row {row} is {label}")]
    BadLabel { domain: String, row: usize, label: &'static str },
    #[error("{domain}: the weights must be finite, not negative and not all zero, one for each of the {rows} rows")]
    BadWeights { domain: String, rows: usize },
    #[error("{domain} has {found} columns, the target has {expected}")]
    Columns { domain: String, found: usize, expected: usize },
    #[error("{domain} has {labels} labels for {rows} rows")]
    Lengths { domain: String, labels: usize, rows: usize },
    #[error("{domain} has no {what}")]
    Empty { domain: String, what: &'static str },
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

    /// Whether the label of a row is known.
    pub fn is_known(&self, row: usize) -> bool {
        match self {
            Labels::Classes(v) => v[row].is_some(),
            Labels::Values(v) => v[row].is_some(),
        }
    }

    /// The first label that a task cannot have, and what is wrong with it.
    fn first_bad(&self, task: &Task) -> Option<(usize, &'static str)> {
        match (self, task) {
            (Labels::Classes(v), Task::Classification { classes }) => {
                let row = v.iter().position(|c| c.is_some_and(|c| c >= classes.len()))?;
                Some((row, "not one of the classes"))
            }
            (Labels::Values(v), Task::Regression) => {
                let row = v.iter().position(|y| y.is_some_and(|y| !y.is_finite()))?;
                Some((row, "not finite"))
            }
            _ => Some((0, "of another task")),
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
    /// Holds the problem to what its types promise but cannot enforce: equal columns, one label a row,
    /// labels of the task's kind, source labels known, everything finite, no domain empty.
    ///
    /// # Errors
    /// The first thing found, with its place.
    pub fn check(&self) -> Result<(), ProblemError> {
        for (s, source) in self.sources.iter().enumerate() {
            self.check_domain(&format!("source {s}"), source)?;
            if let Some(row) = (0..source.n_rows()).find(|i| !source.labels.is_known(*i)) {
                return Err(ProblemError::BadLabel { domain: format!("source {s}"), row, label: "missing" });
            }
        }
        self.check_domain("the target", &self.target)
    }

    fn check_domain(&self, name: &str, dataset: &Dataset) -> Result<(), ProblemError> {
        let domain = name.to_owned();
        let (rows, found, expected) = (dataset.n_rows(), dataset.x.n_columns(), self.n_features());
        if rows == 0 || found == 0 {
            return Err(ProblemError::Empty { domain, what: if rows == 0 { "rows" } else { "columns" } });
        }
        if found != expected {
            return Err(ProblemError::Columns { domain, found, expected });
        }
        if dataset.labels.len() != rows {
            return Err(ProblemError::Lengths { domain, labels: dataset.labels.len(), rows });
        }
        if let Some((row, column)) = dataset.x.first_not_finite() {
            return Err(ProblemError::NotFinite { domain, row, column });
        }
        if let Some((row, label)) = dataset.labels.first_bad(&self.task) {
            return Err(ProblemError::BadLabel { domain, row, label });
        }
        if let Some(w) = &dataset.weights
            && (w.len() != rows || w.iter().any(|v| !v.is_finite() || *v < 0.0) || w.sum() <= 0.0)
        {
            return Err(ProblemError::BadWeights { domain, rows });
        }
        Ok(())
    }

    /// The number of columns.
    pub fn n_features(&self) -> usize {
        self.target.x.n_columns()
    }

    /// The classes of all source rows, one source below the other; empty for regression.
    pub fn source_codes(&self) -> Vec<usize> {
        let codes = |source: &Dataset| match &source.labels {
            Labels::Classes(v) => v.iter().flatten().copied().collect(),
            Labels::Values(_) => Vec::new(),
        };
        self.sources.iter().flat_map(codes).collect()
    }

    /// The weights that came with all source rows, one source below the other, scaled to mean one; a source
    /// without weights counts as ones beforehand.
    pub fn source_weights(&self) -> Array1<f64> {
        let weights = |s: &Dataset| s.weights.as_ref().map_or_else(|| vec![1.0; s.n_rows()], |w| w.to_vec());
        let all: Array1<f64> = self.sources.iter().flat_map(weights).collect();
        let largest = all.fold(f64::MIN_POSITIVE, |m, &w| m.max(w));
        let scaled = all / largest;
        let mean = scaled.sum() / (scaled.len() as f64).max(1.0);
        scaled / mean
    }

    /// The classes of source rows of positive weight, ascending; none for regression.
    pub fn source_classes(&self) -> Vec<usize> {
        let mut counts = vec![false; self.task.n_classes()];
        for (code, weight) in self.source_codes().into_iter().zip(&self.source_weights()) {
            counts[code] |= *weight > 0.0;
        }
        (0..counts.len()).filter(|&c| counts[c]).collect()
    }

    /// All source rows, one source below the other, `(n_source, d)`.
    pub fn pooled_sources(&self) -> Matrix {
        Matrix::stack(&self.sources.iter().map(|s| &s.x).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    fn sound() -> Problem {
        let dataset = |labels: Vec<Option<usize>>| Dataset {
            x: Matrix::Dense(array![[0.0, 1.0], [2.0, 3.0]]),
            labels: Labels::Classes(labels),
            weights: None,
        };
        Problem {
            task: Task::Classification { classes: vec!["a".into(), "b".into()] },
            sources: vec![dataset(vec![Some(0), Some(1)])],
            target: dataset(vec![None, None]),
        }
    }

    #[track_caller]
    fn check(spoil: impl FnOnce(&mut Problem), expected: &str) {
        let mut problem = sound();
        spoil(&mut problem);
        assert_eq!(problem.check().unwrap_err().to_string(), expected);
    }

    #[test]
    fn a_sound_problem_passes() {
        assert_eq!(sound().check(), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        check(
            |p| p.target.x = Matrix::Dense(array![[0.0, 1.0], [2.0, f64::NAN]]),
            "the target: the value in row 1, column 1 is not finite",
        );
        check(
            |p| p.sources[0].x = Matrix::Dense(array![[0.0, f64::INFINITY], [2.0, 1.0]]),
            "source 0: the value in row 0, column 1 is not finite",
        );
        check(
            |p| p.sources[0].labels = Labels::Classes(vec![Some(0), None]),
            "source 0: the label in row 1 is missing",
        );
        check(
            |p| p.sources[0].labels = Labels::Classes(vec![Some(2), Some(0)]),
            "source 0: the label in row 0 is not one of the classes",
        );
        check(|p| p.task = Task::Regression, "source 0: the label in row 0 is of another task");
        check(|p| p.sources[0].x = Matrix::Dense(array![[0.0], [1.0]]), "source 0 has 1 columns, the target has 2");
        check(|p| p.target.labels = Labels::Classes(vec![]), "the target has 0 labels for 2 rows");
        check(|p| p.target = p.target.select_rows(&[]), "the target has no rows");
        check(
            |p| p.sources[0].weights = Some(array![1.0, -1.0]),
            "source 0: the weights must be finite, not negative and not all zero, one for each of the 2 rows",
        );
    }
}
