//! The eigenproblem that component methods share: directions of large scatter under a constraint of low
//! rank,
//!
//! ```text
//! max_W  tr(Wᵀ S W)   with   Wᵀ (A Aᵀ + λ I) W = λ I,   S, I (r, r),  A (r, q),  q ≪ r
//! ```
//!
//! With `A = Q diag(s) Zᵀ` the root `((A Aᵀ + λI)/λ)^{-1/2} = I − Q diag(1 − √(λ/(λ + s²))) Qᵀ` is known from
//! a decomposition of the q × q matrix `Aᵀ A`, and what is left is one symmetric eigenproblem. W has the factor
//! √λ, so that components keep the scale of the features.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::{DecomposeError, gram, matmul, matmul_nt, matmul_tn, solve_spd, symmetric_eigen, top_symmetric_eigen};

/// Directions of the constraint whose length is below this share of the longest are rounding.
const RELATIVE_FLOOR: f64 = 1e-12;

/// The solution.
#[derive(Debug, Clone)]
pub struct Constrained {
    /// `wᵀ S w` of each column, `(k,)`, descending.
    pub values: Array1<f64>,
    /// W, `(r, k)`
    pub vectors: Array2<f64>,
}

/// The `k` columns of W for a symmetric `scatter (r, r)`, the factor `a (r, q)` of the constraint, and
/// `lambda` > 0. `k` beyond r means r. O(r² (q + k)) beside the eigenproblem.
///
/// # Errors
/// As [`top_symmetric_eigen`].
pub fn top_constrained(
    scatter: Array2<f64>,
    a: ArrayView2<f64>,
    lambda: f64,
    k: usize,
) -> Result<Constrained, DecomposeError> {
    let (q, shrink) = Root::of(a, lambda)?.into_parts();
    let inner = both_sides(scatter, &q, &shrink);
    let (values, vectors) = top_symmetric_eigen(inner.view(), k)?;
    let along = matmul_tn(q.view(), vectors.view()) * &shrink.insert_axis(Axis(1));
    Ok(Constrained { values, vectors: vectors - matmul(q.view(), along.view()) })
}

/// The numerator `Y Yᵀ` of an eigenproblem under constraints, by its factor, for any number of constraints.
///
/// Its directions are found among the p columns of Y instead of in all r dimensions: with `C = A Aᵀ/λ + I`, u an
/// eigenvector of `Yᵀ C⁻¹ Y` (p, p) and v its value, `w = C⁻¹ Y u / √v`.
#[derive(Debug, Clone)]
pub struct Factored {
    /// `(r, p)`
    y: Array2<f64>,
    /// `Yᵀ Y`, `(p, p)`
    gram: Array2<f64>,
}

impl Factored {
    /// `y (r, p)`, p ≤ r where it is to pay.
    pub fn new(y: Array2<f64>) -> Self {
        Self { gram: gram(y.view()), y }
    }

    /// As [`top_constrained`] for the scatter `Y Yᵀ`; `k` beyond p means p. O(p² q + r p k) beside the eigenproblem.
    ///
    /// # Errors
    /// As [`top_symmetric_eigen`] and [`solve_spd`].
    pub fn top_constrained(&self, a: ArrayView2<f64>, lambda: f64, k: usize) -> Result<Constrained, DecomposeError> {
        let mut held = gram(a);
        held.diag_mut().mapv_inplace(|v| v + lambda);
        // C⁻¹ = I − A (λI + Aᵀ A)⁻¹ Aᵀ
        let along = matmul_tn(self.y.view(), a);
        let share = solve_spd(held.view(), along.t())?;
        let inner = &self.gram - &matmul(along.view(), share.view());
        let (values, u) = top_symmetric_eigen(inner.view(), k)?;
        let yu = matmul(self.y.view(), u.view());
        let share = solve_spd(held.view(), matmul_tn(a, yu.view()).view())?;
        let vectors = (yu - matmul(a, share.view())) / values.mapv(|v| v.max(f64::MIN_POSITIVE).sqrt());
        Ok(Constrained { values, vectors })
    }
}

/// `I − Q diag(c) Qᵀ`
struct Root {
    /// `(r, p)`, orthonormal columns
    q: Array2<f64>,
    /// c, `(p,)`
    shrink: Array1<f64>,
}

impl Root {
    fn of(a: ArrayView2<f64>, lambda: f64) -> Result<Self, DecomposeError> {
        // The longest column sets the scale, so that lengths neither overflow nor vanish when squared.
        let largest = a.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        if largest == 0.0 {
            return Ok(Self { q: Array2::zeros((a.nrows(), 0)), shrink: Array1::zeros(0) });
        }
        let scaled = &a / largest;
        let (squares, z) = symmetric_eigen(gram(scaled.view()).view())?;
        let floor = RELATIVE_FLOOR * squares.last().copied().unwrap_or(0.0);
        let kept: Vec<usize> = (0..squares.len()).filter(|&i| squares[i] > floor && squares[i] > 0.0).collect();
        let lengths: Array1<f64> = kept.iter().map(|&i| squares[i].sqrt()).collect();
        let q = matmul(scaled.view(), z.select(Axis(1), &kept).view()) / &lengths;
        let shrink = lengths.mapv(|s| 1.0 - (1.0 + (s * largest) * (s * largest) / lambda).sqrt().recip());
        Ok(Self { q, shrink })
    }

    fn into_parts(self) -> (Array2<f64>, Array1<f64>) {
        (self.q, self.shrink)
    }
}

/// `(I − Q c Qᵀ) S (I − Q c Qᵀ)` by products of low rank:
/// `S − Q Vᵀ − V Qᵀ` with `V = S Q c − ½ Q c (Qᵀ S Q) c`.
fn both_sides(mut s: Array2<f64>, q: &Array2<f64>, shrink: &Array1<f64>) -> Array2<f64> {
    let sq = matmul(s.view(), q.view());
    let inner = matmul_tn(q.view(), sq.view()) * shrink * shrink.view().insert_axis(Axis(1));
    let v = sq * shrink - matmul(q.view(), inner.view()) * 0.5;
    let outer = matmul_nt(q.view(), v.view());
    s -= &outer;
    s -= &outer.t();
    s
}

#[cfg(test)]
mod tests {
    use ndarray::s;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn noise(shape: (usize, usize), seed: u64) -> Array2<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        Array2::from_shape_simple_fn(shape, || rng.random_range(-1.0..1.0))
    }

    #[test]
    fn columns_keep_the_constraint_and_solve_the_eigenproblem() {
        for (r, q, lambda) in [(7, 1, 0.3), (9, 4, 1.0), (5, 8, 1e-3), (6, 2, 1e4)] {
            let x = noise((20, r), 1);
            let scatter = x.t().dot(&x);
            let a = noise((r, q), 2);
            let got = top_constrained(scatter.clone(), a.view(), lambda, 3).unwrap();
            let constraint = a.dot(&a.t()) / lambda + Array2::<f64>::eye(r);
            let gram = got.vectors.t().dot(&constraint).dot(&got.vectors) - Array2::<f64>::eye(3);
            assert!(gram.iter().all(|v| v.abs() < 1e-9), "{gram}");
            let left = scatter.dot(&got.vectors);
            let right = constraint.dot(&got.vectors) * &got.values;
            let scale = scatter.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            assert!((left - right).iter().all(|v| v.abs() < 1e-8 * scale));
        }
    }

    #[test]
    fn a_factor_of_the_scatter_gives_the_same_directions() {
        for (r, p, q, lambda) in [(12, 5, 3, 0.4), (9, 9, 1, 1.0), (10, 7, 12, 2.0)] {
            let (y, a) = (noise((r, p), 5), noise((r, q), 6));
            let want = top_constrained(y.dot(&y.t()), a.view(), lambda, 3).unwrap();
            let got = Factored::new(y).top_constrained(a.view(), lambda, 3).unwrap();
            assert!((&got.values - &want.values).iter().all(|v| v.abs() < 1e-10));
            let projection = |w: &Array2<f64>| w.dot(&w.t());
            assert!((projection(&got.vectors) - projection(&want.vectors)).iter().all(|v| v.abs() < 1e-9));
        }
    }

    #[test]
    fn without_a_constraint_they_are_the_eigenvectors() {
        let x = noise((20, 6), 3);
        let scatter = x.t().dot(&x);
        let got = top_constrained(scatter.clone(), Array2::zeros((6, 2)).view(), 1.0, 2).unwrap();
        let (values, _) = top_symmetric_eigen(scatter.view(), 2).unwrap();
        assert!((got.values.slice(s![..2]).to_owned() - values).iter().all(|v| v.abs() < 1e-10));
    }
}
