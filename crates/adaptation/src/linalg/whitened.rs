//! Directions for an objective of low rank that need not be positive, in the coordinates in which rows are white:
//!
//! ```text
//! min_W  tr(Wᵀ (A K Aᵀ + λ I) W)   with   Wᵀ S W = I,   S (r, r) ⪰ 0,  A (r, q),  K (q, q) symmetric
//! ```
//!
//! With `S = V D Vᵀ` and `W = V D^{-1/2} U`, U are the least eigenvectors of `λ D⁻¹ + P K Pᵀ`, `P = D^{-1/2} Vᵀ A`.
//! The decomposition of S is made once for any number of objectives. Where K is positive, this is the problem of
//! [`top_constrained`](super::top_constrained) in another scale.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use super::{DecomposeError, matmul, matmul_nt, matmul_tn, symmetric_eigen};

/// Directions whose scatter is below this share of the largest are left out: the inverse would drown the others.
const RELATIVE_FLOOR: f64 = 1e-8;

/// Coordinates in which a scatter is the identity.
#[derive(Debug, Clone)]
pub struct Whitened {
    /// `V D^{-1/2}`, `(r, p)`
    basis: Array2<f64>,
    /// `D⁻¹`, `(p,)`
    inverse: Array1<f64>,
}

impl Whitened {
    /// O(r³).
    ///
    /// # Errors
    /// As [`symmetric_eigen`].
    pub fn of(scatter: ArrayView2<f64>) -> Result<Self, DecomposeError> {
        let (values, vectors) = symmetric_eigen(scatter)?;
        let floor = RELATIVE_FLOOR * values.last().copied().unwrap_or(0.0);
        let kept: Vec<usize> = (0..values.len()).filter(|&i| values[i] > floor && values[i] > 0.0).collect();
        let inverse: Array1<f64> = kept.iter().map(|&i| values[i].recip()).collect();
        let basis = vectors.select(Axis(1), &kept) * inverse.mapv(f64::sqrt);
        Ok(Self { basis, inverse })
    }

    /// The number of directions that vary, p.
    pub fn rank(&self) -> usize {
        self.inverse.len()
    }

    /// W `(r, k)` for `a (r, q)`, `inner (q, q)`; the least first. `k` beyond the rank means the rank. O(p³ + p² q).
    ///
    /// # Errors
    /// As [`symmetric_eigen`].
    pub fn least(
        &self,
        a: ArrayView2<f64>,
        inner: ArrayView2<f64>,
        lambda: f64,
        k: usize,
    ) -> Result<Array2<f64>, DecomposeError> {
        let p = matmul_tn(self.basis.view(), a);
        let mut objective = matmul_nt(matmul(p.view(), inner).view(), p.view());
        objective.diag_mut().scaled_add(lambda, &self.inverse);
        let (_, vectors) = symmetric_eigen(objective.view())?;
        Ok(matmul(self.basis.view(), vectors.slice(s![.., ..k.min(self.rank())])))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn directions_are_white_and_solve_the_eigenproblem_of_an_indefinite_objective() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let x = Array2::from_shape_simple_fn((20, 6), || rng.random_range(-1.0..1.0));
        let a = Array2::from_shape_simple_fn((6, 2), || rng.random_range(-1.0..1.0));
        let inner = array![[1.0, -0.5], [-0.5, -2.0]];
        let scatter = x.t().dot(&x);
        let w = Whitened::of(scatter.view()).unwrap().least(a.view(), inner.view(), 0.3, 3).unwrap();
        let white = w.t().dot(&scatter).dot(&w) - Array2::<f64>::eye(3);
        assert!(white.iter().all(|v| v.abs() < 1e-10), "{white}");
        let objective = a.dot(&inner).dot(&a.t()) + Array2::<f64>::eye(6) * 0.3;
        let eta = w.t().dot(&objective).dot(&w);
        let left = objective.dot(&w) - scatter.dot(&w) * eta.diag();
        assert!(left.iter().all(|v| v.abs() < 1e-10), "{left}");
        assert!(eta[[0, 0]] < 0.0 && eta[[0, 0]] <= eta[[1, 1]] && eta[[1, 1]] <= eta[[2, 2]]);
    }

    #[test]
    fn directions_without_scatter_are_left_out() {
        let whitened = Whitened::of(array![[4.0, 0.0], [0.0, 0.0]].view()).unwrap();
        assert_eq!(whitened.rank(), 1);
        let w = whitened.least(array![[1.0], [1.0]].view(), array![[1.0]].view(), 1.0, 2).unwrap();
        assert_eq!(w.dim(), (2, 1));
    }
}
