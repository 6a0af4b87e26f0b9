//! Metrics of predicted probabilities. What a row adds is computed once; draws only count rows.

use ndarray::ArrayView2;

/// Equal-width bins of confidence.
const BINS: usize = 10;

/// What every row adds to the metrics of probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbabilityTerms {
    log_loss: Vec<f64>,
    brier: Vec<f64>,
    confidence: Vec<f64>,
    correct: Vec<bool>,
}

/// Means over rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbabilityMetrics {
    /// `−ln p` of the true class, p not below 2.2e-16.
    pub log_loss: f64,
    /// `Σ over classes (p − [class is true])²`, from 0 to 2: for two classes twice the form of one class.
    pub brier: f64,
    /// `Σ over bins share · |accuracy − confidence|` of the predicted class, in 10 bins of equal width.
    pub expected_calibration_error: f64,
}

impl ProbabilityTerms {
    /// `truth (n,)`, predicted codes `(n,)` and probabilities `(n, C)`. A true class beyond the columns has
    /// probability zero.
    pub fn new(truth: &[usize], predicted: &[usize], probabilities: ArrayView2<f64>) -> Self {
        let of_true = |i: usize| probabilities.get((i, truth[i])).copied().unwrap_or(0.0);
        let rows = 0..truth.len();
        let squares = |i: usize| probabilities.row(i).iter().map(|p| p * p).sum::<f64>();
        Self {
            log_loss: rows.clone().map(|i| -of_true(i).clamp(f64::EPSILON, 1.0).ln()).collect(),
            // Σ (p − y)² = Σ p² − 2 p_true + 1
            brier: rows.clone().map(|i| (squares(i) - 2.0 * of_true(i) + 1.0).max(0.0)).collect(),
            confidence: rows.map(|i| probabilities.row(i).fold(0.0, |m: f64, &p| m.max(p))).collect(),
            correct: truth.iter().zip(predicted).map(|(t, p)| t == p).collect(),
        }
    }

    /// The means where row i counts `counts[i]` times; `None` where there are no rows.
    pub fn metrics(&self, counts: &[u32]) -> Option<ProbabilityMetrics> {
        let total: f64 = counts.iter().map(|&c| f64::from(c)).sum();
        if total == 0.0 {
            return None;
        }
        let mean = |terms: &[f64]| terms.iter().zip(counts).map(|(t, &c)| t * f64::from(c)).sum::<f64>() / total;
        let mut gaps = [0.0; BINS];
        for ((&confidence, &correct), &count) in self.confidence.iter().zip(&self.correct).zip(counts) {
            // Bins are open below and closed above.
            let bin = (confidence * BINS as f64).ceil().clamp(1.0, BINS as f64) as usize - 1;
            gaps[bin] += f64::from(count) * (f64::from(u8::from(correct)) - confidence);
        }
        Some(ProbabilityMetrics {
            log_loss: mean(&self.log_loss),
            brier: mean(&self.brier),
            expected_calibration_error: gaps.iter().map(|g| g.abs()).sum::<f64>() / total,
        })
    }
}
