//! The nearest class mean decides.
//!
//! `p(c | x) = exp(−‖x − μ_c‖) / Σ_k exp(−‖x − μ_k‖)` with μ_c the weighted mean of the training rows of class
//! c: the form that methods of class structure give their pseudo-labels by (Wang and Breckon, "Unsupervised
//! domain adaptation via structured prediction based selective pseudo-labeling", AAAI 2020, equation 6). A
//! class that no training row belongs to has probability zero.
//!
//! Cost: O(n·d) to fit, O(d·C) for every predicted row.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::contract::{Learner, LearnerCard, Prediction, Predictor, Scores, Start, Training};
use super::linear::{Classes, first_largest};
use crate::context::{Ctx, FitError};
use crate::data::TaskKind;
use crate::linalg::Matrix;
use crate::params::Checked;
use crate::parts::{LoadError, Parts};

pub struct NearestCentroid;

/// There is nothing to choose.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NearestCentroidParams {}

/// Class means, and the classes that they belong to.
#[derive(Debug, Clone, PartialEq)]
pub struct Centroids {
    /// `(p, d)`
    means: Array2<f64>,
    /// What the distance from each mean is lessened by, `(p,)`; zeros unless a method says otherwise.
    allowances: Array1<f64>,
    /// The class of each mean, ascending, `(p,)`.
    present: Vec<usize>,
    n_classes: usize,
}

impl Centroids {
    /// The means `(p, d)` of the classes `present`, of `n_classes`.
    pub fn new(means: Array2<f64>, present: Vec<usize>, n_classes: usize) -> Self {
        assert_eq!(means.nrows(), present.len(), "one mean for each present class");
        Self { allowances: Array1::zeros(present.len()), means, present, n_classes }
    }

    /// The same means, their distances lessened by `allowances (p,)`: `exp(−(‖x − μ_c‖ − a_c))` stands in place of
    /// the exponential.
    pub fn with_allowances(self, allowances: Array1<f64>) -> Self {
        assert_eq!(allowances.len(), self.present.len(), "one allowance for each present class");
        Self { allowances, ..self }
    }

    /// `(p, d)`
    pub fn means(&self) -> &Array2<f64> {
        &self.means
    }

    /// The class of each mean, ascending, `(p,)`.
    pub fn present(&self) -> &[usize] {
        &self.present
    }

    /// Reads what [`Predictor::save`] wrote.
    ///
    /// # Errors
    /// Where classes and means do not fit together.
    pub fn load(parts: &Parts) -> Result<Self, LoadError> {
        let (present, n_classes): (Vec<usize>, usize) = (parts.get("present")?, parts.get("n_classes")?);
        if present.is_empty() || present.iter().any(|c| *c >= n_classes) || present.windows(2).any(|w| w[0] >= w[1]) {
            return Err(LoadError(format!("classes are not ascending numbers below {n_classes}")));
        }
        let means = parts.matrix("means", Some(present.len()), None)?;
        // Written only where there are some.
        let allowances = match parts.arrays.contains_key("allowances") {
            true => parts.vector("allowances", present.len())?,
            false => Array1::zeros(present.len()),
        };
        Ok(Self { means, allowances, present, n_classes })
    }

    /// ‖x_i − μ_p‖, `(n, p)`.
    pub fn distances(&self, x: &Matrix) -> Array2<f64> {
        let (dense, means) = (x.dense(), self.means.as_standard_layout());
        let dense = dense.as_standard_layout();
        let mut out = Array2::zeros((x.n_rows(), self.present.len()));
        for (row, mut out) in dense.axis_iter(Axis(0)).zip(out.axis_iter_mut(Axis(0))) {
            for (mean, out) in means.axis_iter(Axis(0)).zip(&mut out) {
                // Measured directly: the expanded form loses the digits that tell near means apart.
                *out = match (row.as_slice(), mean.as_slice()) {
                    (Some(row), Some(mean)) => squared_distance(row, mean).sqrt(),
                    _ => row.iter().zip(mean).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt(),
                };
            }
        }
        out
    }

    /// p(c | x), `(n, C)`.
    pub fn probabilities(&self, x: &Matrix) -> Array2<f64> {
        self.normalised(self.log_odds(x).view())
    }

    fn log_odds(&self, x: &Matrix) -> Array2<f64> {
        &self.allowances - &self.distances(x)
    }

    fn normalised(&self, log_odds: ArrayView2<f64>) -> Array2<f64> {
        let mut scores = Array2::zeros((log_odds.nrows(), self.n_classes));
        for (row, mut scores) in log_odds.axis_iter(Axis(0)).zip(scores.axis_iter_mut(Axis(0))) {
            // Divided by their own sum: far from all means a logarithm of it has no digits left for small differences.
            let largest = row.fold(f64::NEG_INFINITY, |m, &v| m.max(v));
            let sum: f64 = row.iter().map(|v| (v - largest).exp()).sum();
            row.iter().zip(&self.present).for_each(|(v, &c)| scores[c] = (v - largest).exp() / sum);
        }
        scores
    }
}

/// ‖a − b‖², summed in lanes that the processor takes together.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    const LANES: usize = 8;
    let mut sums = [0.0; LANES];
    let (chunks_a, chunks_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = chunks_a.remainder().iter().zip(chunks_b.remainder()).map(|(a, b)| (a - b) * (a - b)).sum::<f64>();
    for (a, b) in chunks_a.zip(chunks_b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b) * (a - b);
        }
    }
    sums.iter().sum::<f64>() + rest
}

impl Predictor for Centroids {
    fn predict(&self, x: &Matrix) -> Prediction {
        let log_odds = self.log_odds(x);
        let codes = log_odds.axis_iter(Axis(0)).map(|row| self.present[first_largest(row)]).collect();
        Prediction::Classes { codes, scores: self.normalised(log_odds.view()), kind: Scores::Probability }
    }

    fn n_features(&self) -> usize {
        self.means.ncols()
    }

    fn save(&self) -> Parts {
        let mut parts = Parts::default();
        parts.put("present", &self.present).put("n_classes", self.n_classes).put_array("means", &self.means);
        if self.allowances.iter().any(|a| *a != 0.0) {
            parts.put_array("allowances", &self.allowances);
        }
        parts
    }
}

impl Learner for NearestCentroid {
    const CARD: LearnerCard = LearnerCard {
        id: "nearest_centroid",
        title: "Nearest class mean",
        summary: "The nearest class mean decides. For few rows a class, and where classes are single clouds.",
        tasks: &[TaskKind::Classification],
        cost: "O(n·d) to fit, O(d·C) for every predicted row",
        references: &["Tibshirani, Hastie, Narasimhan and Chu 2002, Diagnosis of multiple cancer types by shrunken \
                       centroids of gene expression (without the shrinkage)"],
        warm_start: false,
    };
    type Params = NearestCentroidParams;
    type Model = Centroids;

    fn fit(
        training: &Training,
        _start: Option<&Start>,
        _params: &Checked<NearestCentroidParams>,
        ctx: &mut Ctx,
    ) -> Result<Centroids, FitError> {
        let classes = Classes::of(training, "nearest_centroid")?;
        ctx.step(1, Some(1))?;
        let largest = training.weights.map_or(1.0, |w| w.fold(f64::MIN_POSITIVE, |m, &v| m.max(v)));
        let mut shares = Array2::zeros((training.x.n_rows(), classes.present.len()));
        for (i, place) in classes.place.iter().enumerate() {
            if let Some(place) = place {
                shares[[i, *place]] = training.weights.map_or(1.0, |w| w[i] / largest);
            }
        }
        let totals: Array1<f64> = shares.sum_axis(Axis(0));
        shares /= &totals;
        let means = training.x.t_dot(shares.view()).reversed_axes().as_standard_layout().into_owned();
        Ok(Centroids::new(means, classes.present, classes.n_classes))
    }

    fn load(parts: &Parts) -> Result<Centroids, LoadError> {
        Centroids::load(parts)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn the_nearest_mean_wins_and_absent_classes_have_no_probability() {
        let model = Centroids::new(array![[0.0, 0.0], [3.0, 4.0]], vec![0, 2], 3);
        let Prediction::Classes { codes, scores, .. } = model.predict(&array![[0.0, 1.0], [3.0, 3.0]].into()) else {
            panic!("classes")
        };
        assert_eq!(codes, [0, 2]);
        let p = (-1.0_f64).exp() / ((-1.0_f64).exp() + (-(18.0_f64.sqrt())).exp());
        assert!((scores[[0, 0]] - p).abs() < 1e-15 && scores[[0, 1]] == 0.0);
        let lenient = model.clone().with_allowances(array![0.0, 4.5]);
        assert_eq!(lenient.predict(&array![[0.0, 1.0]].into()).codes(), [2]);
        assert_eq!(Centroids::load(&lenient.save()), Ok(lenient));
        for far in [1e12, 1e17, 1e100] {
            let sum = model.probabilities(&array![[far, far]].into()).sum();
            assert!((sum - 1.0).abs() < 1e-12, "{far:e}: {sum}");
        }
        assert_eq!(Centroids::load(&model.save()), Ok(model));
    }
}
