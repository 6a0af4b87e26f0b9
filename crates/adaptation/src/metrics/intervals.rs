//! Percentile bootstrap (Efron 1979): rows are drawn with replacement, the metric is computed on each
//! draw, and the middle 95 % of its values are the interval. The draws are made once and shared by all
//! metrics and models, so that differences between two models are paired. Rows that belong together (one target
//! row scored several times, rows of one group) are drawn together (Davison and Hinkley 1997, section 3.8):
//! drawn one by one, they would make an interval narrower the more often the same thing is scored.

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// The share of draws beyond each end of an interval.
const TAIL: f64 = 0.025;

/// A value with its 95 % interval, `low ≤ value ≤ high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Draws of n clusters of rows out of n with replacement.
///
/// A draw is kept as its seed: stored, a thousand draws would be a thousand times as long as the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BootstrapDraws {
    /// The cluster of each row, below `n_clusters`.
    clusters: Vec<usize>,
    n_clusters: usize,
    seeds: Vec<u64>,
}

impl BootstrapDraws {
    /// Every row by itself.
    pub fn new(n_rows: usize, n_draws: usize, rng: &mut ChaCha8Rng) -> Self {
        Self::of_clusters(&(0..n_rows).collect::<Vec<_>>(), n_draws, rng)
    }

    /// Rows of the same name in `names (n,)` together.
    pub fn of_clusters(names: &[usize], n_draws: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut index = HashMap::new();
        let clusters = names.iter().map(|name| {
            let next = index.len();
            *index.entry(*name).or_insert(next)
        });
        let clusters: Vec<usize> = clusters.collect();
        Self { clusters, n_clusters: index.len(), seeds: (0..n_draws).map(|_| rng.random()).collect() }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.clusters.len()
    }

    /// Values of metrics on all rows, with their intervals over the draws. `metrics` is told how often
    /// each row counts, `(n,)`, and answers equally many values each time. Draws in which a metric is not
    /// defined are left out for that metric.
    ///
    /// The percentile interval of a biased metric, such as the calibration error, can miss the value; it
    /// is then widened to hold it.
    pub(super) fn intervals(&self, metrics: impl Fn(&[u32]) -> Vec<Option<f64>> + Sync) -> Vec<Option<Interval>> {
        let finite = |values: Vec<Option<f64>>| values.into_iter().map(|v| v.filter(|v| v.is_finite()));
        let metrics = |counts: &[u32]| -> Vec<Option<f64>> { finite(metrics(counts)).collect() };
        let values = metrics(&vec![1; self.n_rows()]);
        // Collected in the order of the draws, so that the number of threads changes nothing.
        let drawn: Vec<Vec<Option<f64>>> = self
            .seeds
            .par_iter()
            .map_init(
                || (vec![0; self.n_clusters], vec![0; self.n_rows()]),
                |(in_draw, counts), &seed| {
                    count_draw(in_draw, seed);
                    counts.iter_mut().zip(&self.clusters).for_each(|(count, &c)| *count = in_draw[c]);
                    metrics(counts)
                },
            )
            .collect();
        let of = |(k, value): (usize, Option<f64>)| {
            let defined = drawn.iter().filter_map(|draw| draw[k]).collect();
            Some(interval(value?, defined))
        };
        values.into_iter().enumerate().map(of).collect()
    }
}

/// How often the draw of that seed has each cluster.
fn count_draw(counts: &mut [u32], seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let n = counts.len();
    counts.fill(0);
    for _ in 0..n {
        counts[rng.random_range(0..n)] += 1;
    }
}

fn interval(value: f64, mut drawn: Vec<f64>) -> Interval {
    if drawn.is_empty() {
        return Interval { value, low: value, high: value };
    }
    drawn.sort_unstable_by(f64::total_cmp);
    Interval { value, low: quantile(&drawn, TAIL).min(value), high: quantile(&drawn, 1.0 - TAIL).max(value) }
}

/// Linear between the two nearest of at least one sorted value.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[position.floor() as usize], sorted[position.ceil() as usize]);
    below + (above - below) * position.fract()
}
