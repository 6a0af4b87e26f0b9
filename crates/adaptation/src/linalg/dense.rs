//! Products of dense matrices, with parallelism chosen by problem size only, so that the
//! result does not depend on how many threads there are.

use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Par};
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::exp::leave_vectors;

/// Below this many multiply-adds, threads cost more than they save.
const PARALLEL_FLOPS: usize = 1 << 20;

/// The threads to use for a product of `flops` multiply-adds. The count is nominal: faer sums
/// per nominal thread, so the bits do not change with the size of the pool.
pub(crate) fn parallelism(flops: usize) -> Par {
    if flops < PARALLEL_FLOPS { Par::Seq } else { Par::rayon(2) }
}

/// `a · b`, shapes `(n, k)` and `(k, m)` → `(n, m)`.
pub fn matmul(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    assert_eq!(a.ncols(), b.nrows(), "inner sizes of a product differ");
    // Row-major results are transposed column-major ones: (a b)ᵀ = bᵀ aᵀ.
    let mut out = Array2::zeros((a.nrows(), b.ncols()));
    let par = parallelism(a.nrows() * a.ncols() * b.ncols());
    faer::linalg::matmul::matmul(out.view_mut().into_faer(), Accum::Replace, a.into_faer(), b.into_faer(), 1.0, par);
    leave_vectors();
    out
}

/// `aᵀ · b`, shapes `(n, k)` and `(n, m)` → `(k, m)`.
pub fn matmul_tn(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    matmul(a.reversed_axes(), b)
}

/// `aᵀ · b`, shapes `(n, k)` and `(n, k)` → `(k, k)`, of a product that is symmetric: half the work, and exactly so.
pub fn symmetric_tn(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    assert_eq!(a.dim(), b.dim(), "a symmetric product has equal sides");
    let (n, k) = a.dim();
    let mut out = Array2::zeros((k, k));
    let (lower, whole) = (BlockStructure::TriangularLower, BlockStructure::Rectangular);
    let par = parallelism(n * k * k / 2);
    triangular::matmul(
        out.view_mut().into_faer(),
        lower,
        Accum::Replace,
        a.reversed_axes().into_faer(),
        whole,
        b.into_faer(),
        whole,
        1.0,
        par,
    );
    leave_vectors();
    for i in 0..k {
        for j in 0..i {
            out[[j, i]] = out[[i, j]];
        }
    }
    out
}

/// `xᵀ · x`, `(n, k)` → `(k, k)`.
pub fn gram(x: ArrayView2<f64>) -> Array2<f64> {
    symmetric_tn(x, x)
}

/// `a · bᵀ`, shapes `(n, k)` and `(m, k)` → `(n, m)`.
pub fn matmul_nt(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Array2<f64> {
    matmul(a, b.reversed_axes())
}

/// The mean of every column, shape `(d,)`; zeros where there are no rows.
pub fn column_means(x: ArrayView2<f64>) -> Array1<f64> {
    x.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(x.ncols()))
}
