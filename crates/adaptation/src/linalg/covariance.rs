//! Powers of a regularised covariance, from the axes with variance only:
//! `(C + λI)^p = λ^p I + V diag((s + λ)^p − λ^p) Vᵀ`.

use ndarray::{Array1, Array2};

use super::{PrincipalAxes, matmul, matmul_nt, matmul_tn};

/// The affine map's matrix that gives rows of one covariance another,
/// `(C_s + λI)^{-1/2} (C_t + λI)^{1/2}`, `(d, d)` (Sun, Feng and Saenko, AAAI 2016, algorithm 1). O(d² r).
pub fn recolouring(source: &PrincipalAxes, target: &PrincipalAxes, lambda: f64) -> Array2<f64> {
    Power::of(source, lambda, -0.5).times(&Power::of(target, lambda, 0.5))
}

/// `a I + V diag(b) Vᵀ`
struct Power<'a> {
    a: f64,
    b: Array1<f64>,
    axes: &'a Array2<f64>,
}

impl<'a> Power<'a> {
    /// `(C + λI)^exponent`
    fn of(covariance: &'a PrincipalAxes, lambda: f64, exponent: f64) -> Self {
        // With an axis for every feature nothing is left for the identity, and no digits are lost.
        let full = covariance.rank() == covariance.mean.len();
        let a = if full { 0.0 } else { lambda.powf(exponent) };
        Self { a, b: covariance.variances.mapv(|s| (s + lambda).powf(exponent) - a), axes: &covariance.axes }
    }

    /// The product of two powers, `(d, d)`.
    fn times(&self, other: &Power) -> Array2<f64> {
        let d = self.axes.nrows();
        let (left, right) = (self.axes * &self.b, other.axes * &other.b);
        // V_s b_s (V_sᵀ V_t) b_t V_tᵀ + a_s V_t b_t V_tᵀ: both end in V_tᵀ.
        let between = matmul_tn(self.axes.view(), right.view());
        let head = matmul(left.view(), between.view()) + &right * self.a;
        let mut out = matmul_nt(head.view(), other.axes.view());
        if other.a != 0.0 {
            out += &(matmul_nt(left.view(), self.axes.view()) * other.a);
            out += &(Array2::eye(d) * (self.a * other.a));
        }
        out
    }
}
