//! Intervals of metrics by the percentile bootstrap. One set of draws serves every metric and every
//! model that is scored on the same rows, so that differences between models are paired.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// The usual number of draws.
pub const DRAWS: usize = 1000;

/// A metric with the bounds that hold 95 % of its bootstrap draws.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

/// Samples of n rows with replacement, not stratified. A draw is made again whenever it is asked for,
/// always the same.
#[derive(Debug, Clone, PartialEq)]
pub struct BootstrapDraws {
    n_rows: usize,
    n_draws: usize,
    seed: [u8; 32],
}

impl BootstrapDraws {
    /// Draws for `n_rows` rows, seeded from `rng`. Without draws every interval is its value.
    pub fn new(n_rows: usize, n_draws: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        Self { n_rows, n_draws, seed }
    }

    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// How often every row is in one draw, `(n,)`; the sum is n.
    pub fn counts(&self, draw: usize) -> Vec<u32> {
        let mut rng = ChaCha8Rng::from_seed(self.seed);
        rng.set_stream(draw as u64);
        let mut counts = vec![0; self.n_rows];
        for _ in 0..self.n_rows {
            counts[rng.random_range(0..self.n_rows)] += 1;
        }
        counts
    }
}

/// The intervals of statistics that are computed from how often every row counts. A statistic is `None`
/// where all rows once do not define it; draws that do not define it are left out, and where none does
/// the bounds are the value.
pub fn intervals(
    draws: &BootstrapDraws,
    statistics: impl Fn(&[u32]) -> Vec<Option<f64>> + Sync,
) -> Vec<Option<Interval>> {
    let values = statistics(&vec![1; draws.n_rows]);
    let n_draws = if draws.n_rows == 0 { 0 } else { draws.n_draws };
    // Every draw is a result of its own: the number of threads does not matter.
    let drawn: Vec<Vec<Option<f64>>> =
        (0..n_draws).into_par_iter().map(|draw| statistics(&draws.counts(draw))).collect();
    let interval = |(i, value): (usize, &Option<f64>)| {
        let value = (*value)?;
        let mut sorted: Vec<f64> = drawn.iter().filter_map(|d| d[i]).collect();
        sorted.sort_by(f64::total_cmp);
        let (low, high) = (percentile(&sorted, 0.025), percentile(&sorted, 0.975));
        Some(Interval { value, low: low.unwrap_or(value), high: high.unwrap_or(value) })
    };
    values.iter().enumerate().map(interval).collect()
}

/// The value below which `fraction` of `sorted` lies, with linear interpolation.
pub(super) fn percentile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let at = fraction * sorted.len().checked_sub(1)? as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}
