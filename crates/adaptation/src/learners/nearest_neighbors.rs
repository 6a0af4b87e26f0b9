//! The nearest training rows by Euclidean distance decide.
//!
//! Classes: the `n_neighbors` nearest rows vote with their weights; the scores are shares of the vote, and
//! of classes with equal shares the one with the nearest row wins. Values: the weighted mean.
//! Of rows at exactly equal distance the one that came first in training is nearer. A weight scales a
//! vote: it does not take the place of a further neighbour.
//!
//! Distances are found as `‖x‖² + ‖y‖² − 2·x·y` by products of blocks, never of all rows with all; those
//! within rounding of the nearest are measured again directly, so that rounding never decides.
//!
//! Cost: nothing to fit; O(n·d) for every predicted row. Memory: the training rows, and one block.

use std::ops::Range;

use ndarray::{Array1, Array2, ArrayView1, Axis, s};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, LearnerCard, Prediction, Predictor, Scores, Start, Targets, Training};
use super::linear::Classes;
use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::linalg::{Matrix, SparseRows};
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

/// Distances held at once, 32 MiB.
const BLOCK_ENTRIES: usize = 1 << 22;
/// Rows predicted at once where there are few to compare with.
const BLOCK_ROWS: usize = 256;
/// Relative to the squared norms involved: far above the rounding of a product, far below what matters.
const ROUNDING: f64 = 1e-11;

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
    x: Matrix,
    norms: Array1<f64>,
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
        Ok(Neighbors { norms: x.squared_norms(), x, answers, weights, n_neighbors: params.n_neighbors })
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
        Ok(Neighbors { norms: x.squared_norms(), x, answers, weights, n_neighbors })
    }
}

impl Predictor for Neighbors {
    fn predict(&self, x: &Matrix) -> Prediction {
        match &self.answers {
            Answers::Values(values) => {
                let mut out = Array1::zeros(x.n_rows());
                self.each(x, |row, nearest| {
                    let total: f64 = nearest.iter().map(|&i| self.weights[i]).sum();
                    out[row] = nearest.iter().map(|&i| self.weights[i] * values[i]).sum::<f64>() / total;
                });
                Prediction::Values(out)
            }
            Answers::Classes { codes, n_classes } => {
                let mut scores = Array2::zeros((x.n_rows(), *n_classes));
                let mut chosen = vec![0; x.n_rows()];
                self.each(x, |row, nearest| {
                    let mut votes = scores.row_mut(row);
                    nearest.iter().for_each(|&i| votes[codes[i]] += self.weights[i]);
                    let most = votes.fold(0.0_f64, |m, &v| m.max(v));
                    // In order of distance, so that the nearest decides a tie.
                    if let Some(&winner) = nearest.iter().find(|&&i| votes[codes[i]] >= most * (1.0 - 1e-12)) {
                        chosen[row] = codes[winner];
                    }
                    let total = votes.sum();
                    votes.mapv_inplace(|v| v / total);
                });
                Prediction::Classes { codes: chosen, scores, kind: Scores::Probability }
            }
        }
    }

    fn n_features(&self) -> usize {
        self.x.n_columns()
    }

    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put("n_neighbors", self.n_neighbors).put_array("weights", &self.weights);
        parts.put_child("x", save_rows(&self.x));
        match &self.answers {
            Answers::Classes { codes, n_classes } => parts.put("n_classes", Some(n_classes)).put("codes", codes),
            Answers::Values(values) => parts.put("n_classes", None::<usize>).put_array("values", values),
        };
        parts
    }
}

impl Neighbors {
    /// Calls `answer` with every row of `x` and its nearest training rows, nearest first.
    fn each(&self, x: &Matrix, mut answer: impl FnMut(usize, &[usize])) {
        let n = self.x.n_rows();
        let step = (BLOCK_ENTRIES / n).clamp(1, BLOCK_ROWS);
        let norms = x.squared_norms();
        for begin in (0..x.n_rows()).step_by(step) {
            let rows = begin..(begin + step).min(x.n_rows());
            let block = dense_rows(x, rows.clone());
            let products = self.x.dot(block.t());
            for (query, row) in block.axis_iter(Axis(0)).zip(rows.clone()) {
                let product = products.column(row - begin);
                let distances = &self.norms - &(2.0 * &product) + norms[row];
                answer(row, &self.nearest(query, norms[row], &distances));
            }
        }
    }

    /// The nearest rows given distances that are right up to rounding.
    fn nearest(&self, query: ArrayView1<f64>, norm: f64, distances: &Array1<f64>) -> Vec<usize> {
        let k = self.n_neighbors.min(distances.len());
        let slack = |i: usize| ROUNDING * (norm + self.norms[i]);
        let furthest = if k == 1 {
            (0..distances.len()).fold(f64::INFINITY, |m, i| m.min(distances[i] + slack(i)))
        } else {
            let mut upper: Vec<f64> = (0..distances.len()).map(|i| distances[i] + slack(i)).collect();
            *upper.select_nth_unstable_by(k - 1, f64::total_cmp).1
        };
        let candidates = (0..distances.len()).filter(|&i| distances[i] - slack(i) <= furthest);
        let mut measured: Vec<(f64, usize)> = candidates.map(|i| (self.squared_distance(query, i), i)).collect();
        measured.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        measured.truncate(k);
        measured.into_iter().map(|(_, i)| i).collect()
    }

    /// The squared distance of a query to training row `i`, measured directly.
    fn squared_distance(&self, query: ArrayView1<f64>, i: usize) -> f64 {
        match &self.x {
            Matrix::Dense(x) => query.iter().zip(x.row(i)).map(|(a, b)| (a - b) * (a - b)).sum(),
            Matrix::Sparse(x) => {
                let mut row = x.row(i).peekable();
                let entry = |(j, a): (usize, &f64)| {
                    let b = row.next_if(|&(at, _)| at == j).map_or(0.0, |(_, v)| v);
                    (a - b) * (a - b)
                };
                query.iter().enumerate().map(entry).sum()
            }
        }
    }
}

fn dense_rows(x: &Matrix, rows: Range<usize>) -> Array2<f64> {
    match x {
        Matrix::Dense(x) => x.slice(s![rows, ..]).to_owned(),
        Matrix::Sparse(_) => x.select_rows(&rows.collect::<Vec<_>>()).dense().into_owned(),
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
