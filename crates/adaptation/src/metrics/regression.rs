//! Scores of predicted numbers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::intervals::{BootstrapDraws, Interval};

const NAMES: [&str; 4] = ["rmse", "mae", "r2", "median_absolute_error"];

/// Named metrics of one model on some rows.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RegressionReport {
    /// `rmse`, `mae`, `r2` and `median_absolute_error`, in the unit of the label but for `r2`.
    pub overall: BTreeMap<&'static str, Option<Interval>>,
}

/// Scores `values (n,)` against `truth (n,)`, n as in `draws`.
///
/// `r2` is 1 − Σ(y − ŷ)² / Σ(y − ȳ)², and `None` where the truth is constant.
pub fn score_regression(truth: &[f64], values: &[f64], draws: &BootstrapDraws) -> RegressionReport {
    assert!(truth.len() == draws.n_rows() && values.len() == draws.n_rows(), "one prediction and one label a row");
    let errors: Vec<f64> = truth.iter().zip(values).map(|(t, v)| (t - v).abs()).collect();
    let mut ascending: Vec<usize> = (0..errors.len()).collect();
    ascending.sort_unstable_by(|&a, &b| errors[a].total_cmp(&errors[b]));

    let intervals = draws.intervals(|counts| {
        let n: f64 = counts.iter().map(|&c| f64::from(c)).sum();
        if n == 0.0 {
            return vec![None; NAMES.len()];
        }
        let squares = sum(counts, errors.iter().map(|e| e * e));
        vec![
            Some((squares / n).sqrt()),
            Some(sum(counts, errors.iter().copied()) / n),
            spread(truth, counts, n).map(|total| 1.0 - squares / total),
            median(&errors, &ascending, counts),
        ]
    });
    RegressionReport { overall: NAMES.into_iter().zip(intervals).collect() }
}

fn sum(counts: &[u32], values: impl Iterator<Item = f64>) -> f64 {
    counts.iter().zip(values).map(|(&c, v)| f64::from(c) * v).sum()
}

/// Σ(y − ȳ)²; `None` where all counted values are the same, which rounding of ȳ would hide.
fn spread(truth: &[f64], counts: &[u32], n: f64) -> Option<f64> {
    let mut counted = truth.iter().zip(counts).filter(|(_, c)| **c > 0).map(|(t, _)| t);
    let first = counted.next()?;
    if counted.all(|t| t == first) {
        return None;
    }
    let mean = sum(counts, truth.iter().copied()) / n;
    Some(sum(counts, truth.iter().map(|t| (t - mean).powi(2)))).filter(|total| *total > 0.0)
}

/// The median of counted values, `ascending` being the order of their rows.
fn median(values: &[f64], ascending: &[usize], counts: &[u32]) -> Option<f64> {
    let n: u64 = counts.iter().map(|&c| u64::from(c)).sum();
    let (lower_rank, upper_rank) = (n.checked_sub(1)? / 2, n / 2);
    let (mut passed, mut lower) = (0, None);
    for &row in ascending {
        passed += u64::from(counts[row]);
        if passed > lower_rank {
            lower.get_or_insert(values[row]);
        }
        if passed > upper_rank {
            return lower.map(|l| l.midpoint(values[row]));
        }
    }
    None
}
