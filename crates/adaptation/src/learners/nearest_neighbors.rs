//! The nearest training rows by Euclidean distance decide.
//!
//! Classes: the `n_neighbors` nearest rows vote with their weights; the scores are shares of the vote, and
//! of classes with equal shares the one with the nearest row wins. Values: the weighted mean.
//! Of rows at exactly equal distance the one that came first in training is nearer. A weight scales a
//! vote: it does not take the place of a further neighbour.
//!
//! The search ([`Searchable`]) is by products of blocks, and rounding never decides it.
//!
//! Cost: nothing to fit; O(n·d) for every predicted row. Memory: the training rows, and one block.

use ndarray::{Array1, Array2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, LearnerCard, Prediction, Predictor, Scores, Start, Targets, Training};
use super::linear::Classes;
use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::linalg::neighbors::Searchable;
use crate::linalg::{Matrix, SparseRows};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

pub struct NearestNeighbors;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NearestNeighborsParams {
    /// How many of the nearest rows decide; all where there are fewer.
    #[schemars(range(min = 1, max = 1000))]
    pub n_neighbors: usize,
}

impl Default for NearestNeighborsParams {
    fn default() -> Self {
        // The learner of the published comparisons of shallow methods.
        Self { n_neighbors: 1 }
    }
}

/// What the rows answer.
#[derive(Debug, Clone, PartialEq)]
enum Answers {
    Classes { codes: Vec<usize>, n_classes: usize },
    Values(Array1<f64>),
}

/// The rows themselves.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbors {
    x: Searchable,
    answers: Answers,
    weights: Array1<f64>,
    n_neighbors: usize,
}

impl Learner for NearestNeighbors {
    const CARD: LearnerCard = LearnerCard {
        id: "nearest_neighbors",
        title: "Nearest neighbours",
        summary: "The nearest training rows decide. No assumption on the form of the classes, \
                  and the usual yardstick of published comparisons.",
        tasks: &[TaskKind::Classification, TaskKind::Regression],
        cost: "O(n·d) for every predicted row",
        references: &["Cover and Hart 1967, Nearest neighbor pattern classification"],
        warm_start: false,
    };
    type Params = NearestNeighborsParams;
    type Model = Neighbors;

    fn fit(
        training: &Training,
        _start: Option<&Start>,
        params: &Checked<NearestNeighborsParams>,
        ctx: &mut Ctx,
    ) -> Result<Neighbors, FitError> {
        if matches!(training.y, Targets::Classes { .. }) {
            Classes::of(training, "nearest_neighbors")?;
        }
        ctx.step(1, Some(1))?;
        let n = training.x.n_rows();
        let weights = training.weights.map_or_else(|| Array1::ones(n), |w| w.to_owned());
        // Rows without weight are no neighbours.
        let kept: Vec<usize> = (0..n).filter(|&i| weights[i] > 0.0).collect();
        let answers = match training.y {
            Targets::Classes { codes, n_classes } => {
                Answers::Classes { codes: kept.iter().map(|&i| codes[i]).collect(), n_classes }
            }
            Targets::Values(values) => Answers::Values(kept.iter().map(|&i| values[i]).collect()),
        };
        let x = if kept.len() == n { training.x.clone() } else { training.x.select_rows(&kept) };
        let weights = weights.select(Axis(0), &kept);
        let largest = weights.fold(f64::MIN_POSITIVE, |m, &w| m.max(w));
        let mean = (&weights / largest).sum() / weights.len() as f64;
        let weights = weights / largest / mean;
        Ok(Neighbors { x: Searchable::new(x), answers, weights, n_neighbors: params.n_neighbors })
    }

    fn load(parts: &Parts) -> Result<Neighbors, LoadError> {
        let x = load_rows(parts.child("x")?)?;
        let n = x.n_rows();
        let answers = match parts.get::<Option<usize>>("n_classes")? {
            Some(n_classes) => {
                let codes: Vec<usize> = parts.get("codes")?;
                if codes.len() != n || codes.iter().any(|&c| c >= n_classes) {
                    return Err(LoadError(format!("codes are not {n} numbers below {n_classes}")));
                }
                Answers::Classes { codes, n_classes }
            }
            None => Answers::Values(parts.vector("values", n)?),
        };
        let weights = parts.vector("weights", n)?;
        let n_neighbors: usize = parts.get("n_neighbors")?;
        if n == 0 || n_neighbors == 0 || weights.iter().any(|&w| w <= 0.0) {
            return Err(LoadError("rows, neighbours and weights must be positive".into()));
        }
        Ok(Neighbors { x: Searchable::new(x), answers, weights, n_neighbors })
    }
}

impl Predictor for Neighbors {
    fn predict(&self, x: &Matrix) -> Prediction {
        match &self.answers {
            Answers::Values(values) => {
                let mut out = Array1::zeros(x.n_rows());
                self.x.each_nearest(x, self.n_neighbors, |row, nearest| {
                    let total: f64 = nearest.iter().map(|near| self.weights[near.row]).sum();
                    let sum: f64 = nearest.iter().map(|near| self.weights[near.row] * values[near.row]).sum();
                    out[row] = sum / total;
                });
                Prediction::Values(out)
            }
            Answers::Classes { codes, n_classes } => {
                let mut scores = Array2::zeros((x.n_rows(), *n_classes));
                let mut chosen = vec![0; x.n_rows()];
                self.x.each_nearest(x, self.n_neighbors, |row, nearest| {
                    let mut votes = scores.row_mut(row);
                    nearest.iter().for_each(|near| votes[codes[near.row]] += self.weights[near.row]);
                    let most = votes.fold(0.0_f64, |m, &v| m.max(v));
                    // In order of distance, so that the nearest decides a tie.
                    if let Some(winner) = nearest.iter().find(|near| votes[codes[near.row]] >= most * (1.0 - 1e-12)) {
                        chosen[row] = codes[winner.row];
                    }
                    let total = votes.sum();
                    votes.mapv_inplace(|v| v / total);
                });
                Prediction::Classes { codes: chosen, scores, kind: Scores::Probability }
            }
        }
    }

    fn n_features(&self) -> usize {
        self.x.rows().n_columns()
    }

    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put("n_neighbors", self.n_neighbors).put_array("weights", &self.weights);
        parts.put_child("x", save_rows(self.x.rows()));
        match &self.answers {
            Answers::Classes { codes, n_classes } => parts.put("n_classes", Some(n_classes)).put("codes", codes),
            Answers::Values(values) => parts.put("n_classes", None::<usize>).put_array("values", values),
        };
        parts
    }
}

fn save_rows(x: &Matrix) -> Parts {
    let mut parts = Parts::default();
    match x {
        Matrix::Dense(x) => parts.put("form", "dense").put_array("rows", x),
        Matrix::Sparse(rows) => {
            let entries = |i| rows.row(i);
            let lengths: Array1<f64> = (0..rows.n_rows()).map(|i| entries(i).count() as f64).collect();
            let columns: Array1<f64> = (0..rows.n_rows()).flat_map(entries).map(|(j, _)| j as f64).collect();
            let values: Array1<f64> = (0..rows.n_rows()).flat_map(entries).map(|(_, v)| v).collect();
            parts.put("form", "sparse").put("n_columns", x.n_columns());
            parts.put_array("lengths", &lengths).put_array("columns", &columns).put_array("values", &values)
        }
    };
    parts
}

fn load_rows(parts: &Parts) -> Result<Matrix, LoadError> {
    if parts.get::<String>("form")? == "dense" {
        return Ok(Matrix::Dense(parts.matrix("rows", None, None)?));
    }
    let array = |name: &str| parts.arrays.get(name).ok_or_else(|| LoadError(format!("array {name:?} is missing")));
    let n_columns: usize = parts.get("n_columns")?;
    let lengths = parts.vector("lengths", array("lengths")?.len())?;
    let n_entries = lengths.iter().map(|&l| l as usize).fold(0, usize::saturating_add);
    let (columns, values) = (parts.vector("columns", n_entries)?, parts.vector("values", n_entries)?);
    let mut rows = SparseRows::new(n_columns);
    let mut at = 0;
    for length in &lengths {
        let entries = at..at + *length as usize;
        at = entries.end;
        let ascending = entries.clone().skip(1).all(|e| columns[e] > columns[e - 1]);
        let inside = entries.clone().all(|e| columns[e] >= 0.0 && columns[e] < n_columns as f64);
        if !ascending || !inside {
            return Err(LoadError("columns of a sparse row are not ascending inside the matrix".into()));
        }
        rows.push_row(entries.map(|e| (columns[e] as usize, values[e])));
    }
    Ok(Matrix::Sparse(rows))
}
