//! All metrics of a classifier on rows of known class.

use std::collections::BTreeMap;

use ndarray::{ArrayView2, Axis};
use serde::Serialize;

use super::classification::Confusion;
use super::curves::{Areas, Ranking, RocCurve};
use super::intervals::{BootstrapDraws, Interval, intervals};
use super::probability::ProbabilityTerms;

/// What the columns of a prediction's scores are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scores {
    /// Rows sum to one.
    Probability,
    /// Larger means more likely; no scale.
    Decision,
}

/// All metrics of one model on rows of known class.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassificationReport {
    /// By name; `None` where undefined..
    pub overall: BTreeMap<&'static str, Option<Interval>>,
    pub per_class: Vec<ClassMetrics>,
    /// Rows are true classes, columns predicted ones.
    pub confusion: Vec<Vec<u64>>,
    /// One curve for each class that some rows are of and others not; empty without scores.
    pub roc: Vec<RocCurve>,
    pub n_scored: usize,
}

/// Metrics of one class against the rest; `None` where undefined.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassMetrics {
    pub class: String,
    pub precision: Option<f64>,
    pub recall: Option<f64>,
    pub f1: Option<f64>,
    /// Rows of the class.
    pub support: u64,
    pub roc_auc: Option<f64>,
    pub average_precision: Option<f64>,
}

/// The names in [`ClassificationReport::overall`]. `roc_auc` and `average_precision` are means over the
/// classes in the truth, one against the rest; the last three need probabilities.
pub(super) const NAMES: [&str; 12] = [
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "macro_recall",
    "macro_f1",
    "micro_f1",
    "weighted_f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "brier",
    "expected_calibration_error",
];

/// Scores predicted codes `(n,)` and, where there are any, scores `(n, C)` against `truth (n,)`.
///
/// Codes index `classes`, whose first C have the columns of the scores; a class beyond them was never seen
/// in training and has the lowest score everywhere.
pub fn score_classification(
    truth: &[usize],
    codes: &[usize],
    scores: Option<(ArrayView2<f64>, Scores)>,
    classes: &[String],
    draws: &BootstrapDraws,
) -> ClassificationReport {
    assert_eq!(truth.len(), codes.len(), "truth and predictions differ in length");
    assert_eq!(truth.len(), draws.n_rows(), "the draws are of other rows");
    let rankings = scores.map_or_else(Vec::new, |(scores, kind)| rankings(truth, scores, kind, classes.len()));
    let terms = match scores {
        Some((scores, Scores::Probability)) => Some(ProbabilityTerms::new(truth, codes, scores)),
        _ => None,
    };
    let found = intervals(draws, |counts| {
        let averages = Confusion::of(truth, codes, classes.len(), counts).averages();
        let areas: Vec<Areas> = rankings.iter().map(|r| r.areas(counts)).collect();
        let probability = terms.as_ref().and_then(|t| t.metrics(counts));
        vec![
            averages.map(|a| a.accuracy),
            averages.map(|a| a.balanced_accuracy),
            averages.map(|a| a.macro_precision),
            averages.map(|a| a.macro_recall),
            averages.map(|a| a.macro_f1),
            averages.map(|a| a.micro_f1),
            averages.map(|a| a.weighted_f1),
            mean(areas.iter().filter_map(|a| a.roc_auc)),
            mean(areas.iter().filter_map(|a| a.average_precision)),
            probability.map(|p| p.log_loss),
            probability.map(|p| p.brier),
            probability.map(|p| p.expected_calibration_error),
        ]
    });
    let once = vec![1; truth.len()];
    let confusion = Confusion::of(truth, codes, classes.len(), &once);
    let per_class = classes.iter().enumerate().map(|(c, class)| {
        let areas = rankings.get(c).map(|r| r.areas(&once));
        ClassMetrics {
            class: class.clone(),
            precision: confusion.precision(c),
            recall: confusion.recall(c),
            f1: confusion.f1(c),
            support: confusion.support(c),
            roc_auc: areas.and_then(|a| a.roc_auc),
            average_precision: areas.and_then(|a| a.average_precision),
        }
    });
    ClassificationReport {
        overall: NAMES.into_iter().zip(found).collect(),
        per_class: per_class.collect(),
        roc: rankings.iter().zip(classes).filter_map(|(r, class)| r.roc(class)).collect(),
        n_scored: truth.len(),
        confusion: confusion.counts,
    }
}

/// One ranking for each class.
fn rankings(truth: &[usize], scores: ArrayView2<f64>, kind: Scores, n_classes: usize) -> Vec<Ranking> {
    assert_eq!(truth.len(), scores.nrows(), "truth and scores differ in length");
    let two = n_classes == 2 && scores.ncols() == 2;
    let of_class = |c: usize| {
        let column: Vec<f64> = if two {
            // One score for both, so that both classes see the same ties.
            let sign = if c == 1 { 1.0 } else { -1.0 };
            let score = |row: ndarray::ArrayView1<f64>| match kind {
                Scores::Probability => sign * row[1],
                Scores::Decision => sign * (row[1] - row[0]),
            };
            scores.axis_iter(Axis(0)).map(score).collect()
        } else if c < scores.ncols() {
            scores.column(c).to_vec()
        } else {
            vec![0.0; truth.len()]
        };
        Ranking::new(&column, |row| truth[row] == c)
    };
    (0..n_classes).map(of_class).collect()
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    values.for_each(|v| {
        sum += v;
        count += 1.0;
    });
    (count > 0.0).then(|| sum / count)
}
