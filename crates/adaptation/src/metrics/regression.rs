//! Metrics of predicted values.

use std::collections::BTreeMap;

use serde::Serialize;

use super::intervals::{BootstrapDraws, Interval, intervals};

/// All metrics of one model on rows of known value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegressionReport {
    /// `rmse`, `mae`, `r2` and `median_absolute_error`; `None` where undefined.
    pub overall: BTreeMap<&'static str, Option<Interval>>,
    pub n_scored: usize,
}

const NAMES: [&str; 4] = ["rmse", "mae", "r2", "median_absolute_error"];

/// Scores predicted `values (n,)` against `truth (n,)`.
pub fn score_regression(truth: &[f64], values: &[f64], draws: &BootstrapDraws) -> RegressionReport {
    assert_eq!(truth.len(), values.len(), "truth and predictions differ in length");
    assert_eq!(truth.len(), draws.n_rows(), "the draws are of other rows");
    let errors: Vec<f64> = truth.iter().zip(values).map(|(t, v)| (t - v).abs()).collect();
    let mut ascending: Vec<usize> = (0..errors.len()).collect();
    ascending.sort_by(|&a, &b| errors[a].total_cmp(&errors[b]));
    let found = intervals(draws, |counts| {
        let total: f64 = counts.iter().map(|&c| f64::from(c)).sum();
        if total == 0.0 {
            return vec![None; NAMES.len()];
        }
        let sum =
            |f: &dyn Fn(usize) -> f64| -> f64 { counts.iter().enumerate().map(|(i, &c)| f64::from(c) * f(i)).sum() };
        let squares = sum(&|i| errors[i] * errors[i]);
        let mean = sum(&|i| truth[i]) / total;
        let spread = sum(&|i| (truth[i] - mean).powi(2));
        // A mean of equal numbers can miss them by rounding.
        let constant = spread <= total * (8.0 * f64::EPSILON * mean).powi(2);
        vec![
            Some((squares / total).sqrt()),
            Some(sum(&|i| errors[i]) / total),
            (!constant).then(|| 1.0 - squares / spread),
            Some(median(&errors, &ascending, counts)),
        ]
    });
    RegressionReport { overall: NAMES.into_iter().zip(found).collect(), n_scored: truth.len() }
}

/// The median of `values`, whose ascending order is given, where value i counts `counts[i]` times.
fn median(values: &[f64], ascending: &[usize], counts: &[u32]) -> f64 {
    let total: u64 = counts.iter().map(|&c| u64::from(c)).sum();
    let at = |wanted: u64| {
        let mut seen = 0;
        let reached = ascending.iter().find(|&&i| {
            seen += u64::from(counts[i]);
            seen > wanted
        });
        reached.map_or(0.0, |&i| values[i])
    };
    0.5 * (at((total - 1) / 2) + at(total / 2))
}
