//! Maximum mean discrepancy under a Gaussian kernel in which every column has a weight of its own, and its slope in
//! those weights:
//!
//! ```text
//! k_v(x, y) = exp(−√d Σ_j v_j (x_j − y_j)² / 2σ²)
//! ```
//!
//! which is the usual kernel where all weights are 1/√d. O(n² d) time for value and slope together, memory for the rows.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::conditional::marginal_contrast;
use crate::context::FitError;
use crate::linalg::kernels::{Kernel, KernelRows};

/// Rows on which a bandwidth is judged.
const JUDGED_ROWS: usize = 200;

/// The rows of two samples that are compared.
pub struct WeightedColumns {
    /// `(n, d)`, those of the first sample first
    rows: Array2<f64>,
    /// 1/n₁ on rows of the first sample, −1/n₂ on those of the second, `(n, 1)`
    signs: Array2<f64>,
    bandwidth: f64,
}

/// How far apart the samples are under some weights.
pub struct Apart {
    /// v, `(d,)`
    pub weights: Array1<f64>,
    /// MMD², biased.
    pub distance: f64,
    /// Its slope in v, `(d,)`.
    pub gradient: Array1<f64>,
    /// The mean of the distance where both samples have one distribution.
    pub by_chance: f64,
}

impl WeightedColumns {
    /// For rows `first (n₁, d)`, `second (n₂, d)` and the bandwidth σ.
    ///
    /// # Errors
    /// Where under equal weights all rows, or none, are alike.
    pub fn of(first: ArrayView2<f64>, second: ArrayView2<f64>, bandwidth: f64) -> Result<Self, FitError> {
        let signs = marginal_contrast(first.nrows(), second.nrows());
        let rows = concatenate![Axis(0), first, second];
        let every = rows.nrows().div_ceil(JUDGED_ROWS).max(1);
        let some = KernelRows::new(rows.select(Axis(0), &(0..rows.nrows()).step_by(every).collect::<Vec<_>>()));
        let kernel = Kernel::Rbf { bandwidth };
        kernel
            .check_informative(kernel.matrix(&some, &some).view())
            .map_err(|e| FitError::Degenerate(e.to_string()))?;
        Ok(Self { rows, signs, bandwidth })
    }

    /// Under weights v ≥ 0, `(d,)`.
    ///
    /// `∂/∂v_j Σ_ab s_a s_b k_v(a, b) = −(√d/2σ²) Σ_ab s_a s_b k_v(a, b) (x_aj − x_bj)²`, whose square falls apart into
    /// products with `K s` and `K (s ⊙ x_j)`.
    pub fn at(&self, weights: Array1<f64>) -> Apart {
        let (n, d) = self.rows.dim();
        let root = (d as f64).sqrt();
        let kernel_rows = KernelRows::new(&self.rows * &weights.mapv(|v| (root * v).sqrt()));
        let signed = &self.rows * &self.signs;
        let right = concatenate![Axis(1), signed, self.signs, Array2::ones((n, 1))];
        let product = Kernel::Rbf { bandwidth: self.bandwidth }.dot(&kernel_rows, &kernel_rows, right.view());
        let seen = &product.slice(s![.., d..=d]) * &self.signs;
        let across = (&signed * &product.slice(s![.., ..d])).sum_axis(Axis(0));
        let alone = (&self.rows * &self.rows * &seen).sum_axis(Axis(0));
        let mean_kernel = product.column(d + 1).sum() / (n * n) as f64;
        Apart {
            weights,
            distance: seen.sum(),
            gradient: (across - alone) * (root / (self.bandwidth * self.bandwidth)),
            // (1/n₁ + 1/n₂) (1 − mean k)
            by_chance: self.signs.iter().map(|s| s * s).sum::<f64>() * (1.0 - mean_kernel),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::context::{Ctx, Silent};
    use crate::distances::mmd::mmd2;

    fn samples() -> (Array2<f64>, Array2<f64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut noise = |n| Array2::from_shape_simple_fn((n, 3), || rng.random_range(-1.7..1.7));
        (noise(20), noise(15) + &array![0.0, 0.5, 1.0])
    }

    #[test]
    fn equal_weights_give_the_usual_distance() {
        let (x, y) = samples();
        let got =
            WeightedColumns::of(x.view(), y.view(), 1.3).unwrap().at(Array1::from_elem(3, 3.0_f64.sqrt().recip()));
        let want = mmd2(x.view(), y.view(), &[Kernel::Rbf { bandwidth: 1.3 }], &Ctx::new(0, &Silent)).unwrap();
        assert!((got.distance - want.biased).abs() < 1e-14);
        let of_equal = WeightedColumns::of(x.view(), x.view(), 1.3).unwrap().at(got.weights);
        assert!(of_equal.distance.abs() < 1e-14 && of_equal.by_chance > 0.01);
    }

    #[test]
    fn the_slope_is_that_of_the_distance() {
        let (x, y) = samples();
        let compared = WeightedColumns::of(x.view(), y.view(), 1.3).unwrap();
        let at = array![0.3, 0.9, 0.5];
        let point = compared.at(at.clone());
        for j in 0..3 {
            let by = |step: f64| {
                let mut v = at.clone();
                v[j] += step;
                compared.at(v).distance
            };
            let slope = (by(1e-5) - by(-1e-5)) / 2e-5;
            assert!((slope - point.gradient[j]).abs() < 1e-8, "{slope} and {}", point.gradient[j]);
        }
    }
}
