//! The geodesic between two subspaces, as a kernel of low rank (Gong, Shi, Sha and Grauman, "Geodesic flow kernel
//! for unsupervised domain adaptation", CVPR 2012, equations 4-6). With `P_sᵀ P_t = U cos(Θ) Vᵀ` the geodesic
//! passes through `Φ(t) = A cos(tΘ) + B sin(tΘ)` for t from 0 to 1, where `A = P_s U` are the source's principal
//! vectors and B the unit directions in which the target's leave them: `P_t V = A cos(Θ) + B sin(Θ)`. Then
//!
//! ```text
//! ∫ Φ(t) Φ(t)ᵀ dt = Σ_i [a_i b_i] [λ₁ λ₂; λ₂ λ₃] [a_i b_i]ᵀ
//! λ₁ = ½ (1 + sin 2θ / 2θ),  λ₂ = ½ (1 − cos 2θ) / 2θ,  λ₃ = ½ (1 − sin 2θ / 2θ)
//! ```
//!
//! which is the paper's up to the sign of B, and a factor that no comparison of distances sees. B comes from
//! `P_t V − A cos Θ`, so that the complement of the source's subspace is never formed.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::{DecomposeError, matmul, matmul_tn, thin_svd};

/// Sines below this are rounding of an angle of zero, along which there is no direction to leave.
const NO_ANGLE: f64 = 1e-10;

/// The kernel `W Wᵀ` of a geodesic.
#[derive(Debug, Clone)]
pub struct Geodesic {
    /// W `(d, r)`, k ≤ r ≤ 2k.
    pub factor: Array2<f64>,
    /// Θ in radians, ascending, `(k,)`.
    pub angles: Array1<f64>,
}

impl Geodesic {
    /// The geodesic from the subspace of `source (d, k)` to that of `target (d, k)`, both with orthonormal columns.
    /// O(d k²).
    ///
    /// # Errors
    /// As [`thin_svd`].
    pub fn between(source: ArrayView2<f64>, target: ArrayView2<f64>) -> Result<Self, DecomposeError> {
        assert_eq!(source.dim(), target.dim(), "subspaces differ in size");
        let (u, cosines, vt) = thin_svd(matmul_tn(source, target).view())?;
        let a = matmul(source, u.view());
        let leaving = matmul(target, vt.t()) - &a * &cosines;
        let (d, k) = a.dim();
        let mut factor = Array2::zeros((d, 2 * k));
        let mut angles = Array1::zeros(k);
        let mut used = 0;
        for i in 0..k {
            let residual = leaving.column(i);
            let sine = residual.dot(&residual).sqrt();
            if sine < NO_ANGLE {
                factor.column_mut(used).assign(&a.column(i));
                used += 1;
                continue;
            }
            let theta = sine.atan2(cosines[i].max(0.0));
            angles[i] = theta;
            for [along, across] in root(theta) {
                let mut column = factor.column_mut(used);
                column.scaled_add(along, &a.column(i));
                column.scaled_add(across / sine, &residual);
                used += 1;
            }
        }
        Ok(Self { factor: factor.slice_axis(Axis(1), (..used).into()).as_standard_layout().into_owned(), angles })
    }
}

/// The columns of a triangular R with `R Rᵀ = [λ₁ λ₂; λ₂ λ₃]`.
fn root(theta: f64) -> [[f64; 2]; 2] {
    let twice = 2.0 * theta;
    let sinc = twice.sin() / twice;
    let (l1, l2) = (0.5 * (1.0 + sinc), 0.5 * theta.sin().powi(2) / theta);
    // 1 − sin x / x loses its digits for small x, where its series has them.
    let l3 = if twice < 1e-2 { twice * twice / 12.0 * (1.0 - twice * twice / 20.0) } else { 0.5 * (1.0 - sinc) };
    let first = l1.sqrt();
    [[first, l2 / first], [0.0, (l3 - l2 * l2 / l1).max(0.0).sqrt()]]
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::linalg::PrincipalAxes;

    fn basis(d: usize, k: usize, seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let x = Array2::from_shape_simple_fn((3 * d, d), || rng.random_range(-1.0..1.0));
        PrincipalAxes::of(x.view()).unwrap().first(k).to_owned()
    }

    /// Simpson's rule along the geodesic, which the paper's closed form integrates.
    fn integrated(source: &Array2<f64>, target: &Array2<f64>) -> Array2<f64> {
        let (u, cosines, vt) = thin_svd(source.t().dot(target).view()).unwrap();
        let (a, at_one) = (source.dot(&u), target.dot(&vt.t()));
        let theta = cosines.mapv(|c| c.min(1.0).acos());
        let b = (&at_one - &(&a * &cosines)) / &theta.mapv(|t| t.sin().max(1e-300));
        let steps = 200;
        let mut sum = Array2::zeros((a.nrows(), a.nrows()));
        for step in 0..=steps {
            let t = step as f64 / steps as f64;
            let phi = &a * &theta.mapv(|v| (t * v).cos()) + &b * &theta.mapv(|v| (t * v).sin());
            let weight = if step == 0 || step == steps { 1.0 } else { 2.0 + 2.0 * (step % 2) as f64 };
            sum = sum + phi.dot(&phi.t()) * (weight / (3.0 * steps as f64));
        }
        sum
    }

    #[test]
    fn the_factor_is_the_integral_of_the_projections_along_the_geodesic() {
        for (d, k) in [(8, 3), (5, 4), (30, 6)] {
            let (source, target) = (basis(d, k, 1), basis(d, k, 2));
            let geodesic = Geodesic::between(source.view(), target.view()).unwrap();
            let worst = (geodesic.factor.dot(&geodesic.factor.t()) - integrated(&source, &target))
                .iter()
                .fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!(worst < 1e-7, "{d}, {k}: {worst:e}");
            assert!(geodesic.angles.windows(2).into_iter().all(|w| w[0] <= w[1] + 1e-12));
        }
    }

    #[test]
    fn equal_subspaces_give_their_projection_whatever_their_bases() {
        let source = basis(9, 3, 3);
        let (turn, _, _) = thin_svd(source.slice(s![..3, ..])).unwrap();
        let geodesic = Geodesic::between(source.view(), source.dot(&turn).view()).unwrap();
        let worst = (geodesic.factor.dot(&geodesic.factor.t()) - source.dot(&source.t()))
            .iter()
            .fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(worst < 1e-12, "{worst:e}");
    }
}
