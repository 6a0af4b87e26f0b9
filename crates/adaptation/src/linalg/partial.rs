//! The largest eigenpairs of a large symmetric matrix without the rest of its spectrum: block Krylov
//! spaces with Rayleigh-Ritz projection and restarts (Saad, *Numerical Methods for Large Eigenvalue
//! Problems*, chapter 6). A block sees repeated eigenvalues that a single start vector sees once, the
//! work is bounded, and an answer is believed only for its residuals.

use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate, s};

use super::decompose::symmetric_eigen;
use super::dense::{matmul, matmul_tn};

/// Residuals relative to the largest magnitude at which the answer is believed.
const ACCEPT: f64 = 1e-11;
/// Vectors beyond those asked for: the gap to them sets how fast the others converge.
const SPARE: usize = 8;
/// Products with the matrix before a restart.
const DEPTH: usize = 4;
const MAX_RESTARTS: usize = 25;
/// Directions shorter than this, relative to the longest of their block, are rounding noise.
const VANISHED: f64 = 1e-12;

/// The `k` largest eigenvalues, descending, and their vectors as columns `(n, k)`; `None` where they
/// did not converge within the bound.
pub(super) fn partial_eigen(a: ArrayView2<f64>, k: usize) -> Option<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    // The lower triangle alone counts, as for the whole spectrum, but products read everything.
    let a = Array2::from_shape_fn((n, n), |(i, j)| if i >= j { a[[i, j]] } else { a[[j, i]] });
    let block = (k + SPARE).min(n);
    let mut q = orthonormal(Array2::from_shape_fn((n, block), |(i, j)| start_entry(i, j)))?;
    for _ in 0..MAX_RESTARTS {
        let basis = krylov(&a, q)?;
        let image = matmul(a.view(), basis.view());
        let (ritz, y) = symmetric_eigen(matmul_tn(basis.view(), image.view()).view()).ok()?;
        let kept = block.min(ritz.len());
        let scale = ritz.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        let y = y.slice(s![.., ritz.len() - kept..;-1]).to_owned();
        let values = ritz.slice(s![ritz.len() - kept..;-1]).to_owned();
        q = matmul(basis.view(), y.view());
        let residual = matmul(image.view(), y.view()) - &q * &values;
        let worst = residual.slice(s![.., ..k.min(kept)]).iter().fold(0.0_f64, |m, r| m.max(r.abs()));
        if !worst.is_finite() || kept < k {
            return None;
        }
        if worst <= ACCEPT * scale {
            return Some((values.slice(s![..k]).to_owned(), q.slice(s![.., ..k]).to_owned()));
        }
    }
    None
}

/// An orthonormal basis of q, a q, …, `(n, at most block · (DEPTH + 1))`.
fn krylov(a: &Array2<f64>, q: Array2<f64>) -> Option<Array2<f64>> {
    let mut basis = q.clone();
    let mut last = q;
    for _ in 0..DEPTH {
        let image = matmul(a.view(), last.view());
        let length = longest(&image);
        // Twice is enough (Kahan and Parlett): once leaves what cancellation brought back.
        let mut rest = outside(&basis, image);
        if longest(&rest) <= VANISHED * length || basis.ncols() + rest.ncols() > a.nrows() {
            break;
        }
        rest = orthonormal(outside(&basis, orthonormal(rest)?))?;
        basis = concatenate(Axis(1), &[basis.view(), rest.view()]).ok()?;
        last = rest;
    }
    Some(basis)
}

/// What of `x` is orthogonal to the columns of `basis`.
fn outside(basis: &Array2<f64>, x: Array2<f64>) -> Array2<f64> {
    let inside = matmul(basis.view(), matmul_tn(basis.view(), x.view()).view());
    x - inside
}

/// Orthonormal columns that span those of `x`; directions that vanished are left out.
fn orthonormal(x: Array2<f64>) -> Option<Array2<f64>> {
    let (squares, vectors) = symmetric_eigen(matmul_tn(x.view(), x.view()).view()).ok()?;
    let largest = squares.last().copied().unwrap_or(0.0);
    let kept: Vec<usize> = (0..squares.len()).filter(|&i| squares[i] > VANISHED * largest).collect();
    let directions = vectors.select(Axis(1), &kept) / kept.iter().map(|&i| squares[i].sqrt()).collect::<Array1<f64>>();
    Some(matmul(x.view(), directions.view()))
}

fn longest(x: &Array2<f64>) -> f64 {
    x.axis_iter(Axis(1)).map(|c| c.dot(&c).sqrt()).fold(0.0, f64::max)
}

/// Fixed entries without symmetry: constant ones would be orthogonal to all that is centred.
fn start_entry(i: usize, j: usize) -> f64 {
    let golden = 0.618_033_988_749_894_9;
    (((i + 1) as f64 * golden * (j + 1) as f64 + (i * i % 101) as f64 * 0.37).fract() - 0.5) * 2.0
}
