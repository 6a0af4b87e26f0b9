//! Scores both models against the labels that were kept aside. Only this file compares predictions
//! with held-out labels.

use std::collections::{BTreeSet, HashMap};

use ndarray::{Array2, s};
use rand_chacha::ChaCha8Rng;

use super::model::FittedModel;
use super::outcome::{Confusion, Scores};
use crate::context::FitError;
use crate::data::{Labels, Task};
use crate::learners::{self, Prediction};
use crate::linalg::Matrix;
use crate::metrics::{self, BootstrapDraws, ClassReport, RocCurve};

/// Draws of the bootstrap behind every interval.
const N_DRAWS: usize = 1000;

/// What both models say about some rows of the target.
pub(super) struct Pair {
    pub(super) rows: Vec<usize>,
    pub(super) adapted: Prediction,
    /// `None` where it was not kept with the model.
    pub(super) source_only: Option<Prediction>,
}

impl Pair {
    /// Of features `x (n, d)` of the target's `rows`.
    pub(super) fn of(model: &FittedModel, x: &Matrix, rows: Vec<usize>) -> Self {
        let adapted = model.predict_adapted(&model.adapt(x));
        Self { rows, adapted, source_only: model.predict_source_only(x) }
    }
}

/// Predictions with their truth, collected over splits.
pub(super) struct Scored {
    /// The model's classes first, then those that only held-out labels have.
    task: Task,
    /// What each row of the target belongs to: rows of one unit are drawn together.
    units: Vec<usize>,
    /// The row of the target behind each prediction.
    rows: Vec<usize>,
    truth_codes: Vec<usize>,
    truth_values: Vec<f64>,
    adapted: Vec<Prediction>,
    source_only: Vec<Prediction>,
}

/// The numbers of both models.
#[derive(Default)]
pub(super) struct BothScores {
    pub(super) adapted: Option<Scores>,
    pub(super) source_only: Option<Scores>,
    pub(super) per_class: Vec<ClassReport>,
    pub(super) confusion: Option<Confusion>,
    pub(super) roc: Vec<RocCurve>,
    pub(super) notes: Vec<String>,
}

impl Scored {
    /// `units (n_target,)`, as of [`super::problem::units_of`].
    pub(super) fn new(task: Task, units: Vec<usize>) -> Self {
        Self {
            task,
            units,
            rows: Vec::new(),
            truth_codes: Vec::new(),
            truth_values: Vec::new(),
            adapted: Vec::new(),
            source_only: Vec::new(),
        }
    }

    /// Rows of the target that were scored, each once however often it was.
    pub(super) fn n_rows(&self) -> usize {
        self.rows.iter().collect::<BTreeSet<_>>().len()
    }

    /// Adds predictions of rows that all have a label, of `labels` of the whole target.
    pub(super) fn add(&mut self, pair: Pair, labels: &Labels) {
        match labels {
            Labels::Classes(codes) => self.truth_codes.extend(pair.rows.iter().filter_map(|&row| codes[row])),
            Labels::Values(values) => self.truth_values.extend(pair.rows.iter().filter_map(|&row| values[row])),
        }
        self.rows.extend(&pair.rows);
        self.adapted.push(pair.adapted);
        self.source_only.extend(pair.source_only);
    }

    /// Scores of both models on the same rows with the same bootstrap draws.
    pub(super) fn scores(&self, rng: &mut ChaCha8Rng) -> Result<BothScores, FitError> {
        if self.rows.is_empty() {
            return Ok(BothScores::default());
        }
        let units: Vec<usize> = self.rows.iter().map(|&row| self.units[row]).collect();
        let draws = BootstrapDraws::of_clusters(&units, N_DRAWS, rng);
        Ok(match &self.task {
            Task::Classification { classes } => self.classification(classes, &draws),
            Task::Regression => self.regression(&draws),
        })
    }

    fn classification(&self, classes: &[String], draws: &BootstrapDraws) -> BothScores {
        let report = |predictions: &[Prediction]| {
            let (codes, scores, kind) = stack(predictions, classes.len());
            metrics::score_classification(&self.truth_codes, &codes, Some((scores.view(), kind)), classes, draws)
        };
        let (adapted, source_only) = (report(&self.adapted), self.beside().map(report));
        let mut notes = self.unpredicted_classes(classes.len());
        notes.extend(self.unlearnt_classes(classes));
        BothScores {
            per_class: adapted.per_class,
            confusion: Some(Confusion {
                classes: classes.to_vec(),
                adapted: adapted.confusion,
                source_only: source_only.as_ref().map(|s| s.confusion.clone()),
            }),
            roc: adapted.roc,
            adapted: Some(adapted.overall),
            source_only: source_only.map(|s| s.overall),
            notes,
        }
    }

    fn regression(&self, draws: &BootstrapDraws) -> BothScores {
        let values = |predictions: &[Prediction]| -> Vec<f64> {
            let of = |p: &Prediction| match p {
                Prediction::Values(v) => v.to_vec(),
                Prediction::Classes { .. } => Vec::new(),
            };
            predictions.iter().flat_map(of).collect()
        };
        let report = |predictions: &[Prediction]| {
            metrics::score_regression(&self.truth_values, &values(predictions), draws).overall
        };
        BothScores {
            adapted: Some(report(&self.adapted)),
            source_only: self.beside().map(report),
            ..BothScores::default()
        }
    }

    /// What source-only says of the same rows, if it is there for all of them.
    fn beside(&self) -> Option<&[Prediction]> {
        (self.source_only.len() == self.adapted.len()).then_some(self.source_only.as_slice())
    }

    /// Classes that the target has and no row that was learnt from.
    fn unlearnt_classes(&self, classes: &[String]) -> Option<String> {
        let known = self.adapted.iter().find_map(|p| match p {
            Prediction::Classes { scores, .. } => Some(scores.ncols()),
            Prediction::Values(_) => None,
        })?;
        let unlearnt = &classes[known.min(classes.len())..];
        (!unlearnt.is_empty())
            .then(|| format!("no source has the target's classes {}; their rows count as wrong", unlearnt.join(", ")))
    }

    /// A model that answers one class only looks fine by accuracy where that class is frequent.
    fn unpredicted_classes(&self, n_classes: usize) -> Vec<String> {
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for prediction in &self.adapted {
            if let Prediction::Classes { codes, .. } = prediction {
                codes.iter().for_each(|c| *counts.entry(*c).or_default() += 1);
            }
        }
        match counts.len() {
            1 if n_classes > 1 => vec!["the adapted model predicts one class only".into()],
            _ => Vec::new(),
        }
    }
}

/// Predictions one below the other; classes that a model does not know get its lowest score.
fn stack(predictions: &[Prediction], n_classes: usize) -> (Vec<usize>, Array2<f64>, learners::Scores) {
    let n = predictions.iter().map(Prediction::len).sum();
    let mut all_codes = Vec::with_capacity(n);
    let mut all_scores = Array2::zeros((n, n_classes));
    let mut all_kind = learners::Scores::Probability;
    for prediction in predictions {
        if let Prediction::Classes { codes, scores, kind } = prediction {
            let rows = s![all_codes.len()..all_codes.len() + codes.len(), ..];
            let lowest = match kind {
                learners::Scores::Probability => 0.0,
                learners::Scores::Decision => scores.iter().copied().fold(0.0, f64::min),
            };
            let mut part = all_scores.slice_mut(rows);
            part.fill(lowest);
            part.slice_mut(s![.., ..scores.ncols()]).assign(scores);
            all_codes.extend(codes);
            all_kind = *kind;
        }
    }
    (all_codes, all_scores, all_kind)
}
