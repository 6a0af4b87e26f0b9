//! Decompositions of dense matrices. Results are the same bits for the same input: parallelism
//! follows from the problem's size, start vectors are fixed and the signs of eigenvectors and
//! singular vectors are chosen so that the component of largest magnitude is positive.

use faer::diag::Diag;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt;
use faer::linalg::evd::{self, ComputeEigenvectors};
use faer::linalg::svd::{self, ComputeSvdVectors};
use faer::linalg::triangular_solve;
use faer::{ColRef, Conj, Mat, MatRef};
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2, Axis, s};
use thiserror::Error;

use super::dense::{matmul, parallelism};
use super::partial::partial_eigen;

/// Why a matrix could not be decomposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecomposeError {
    #[error("the matrix is not positive definite")]
    NotPositiveDefinite,
    #[error("the decomposition did not converge")]
    NotConverged,
    #[error("the matrix holds a value that is not finite")]
    NotFinite,
    #[error(
        "a whole decomposition of size {size} would hold the compute thread for too long, {MAX_WHOLE} is the most; \
         use fewer columns or rows, or ask for few components"
    )]
    TooLarge { size: usize },
}

/// The size up to which a whole spectrum is computed: nothing can stop a decomposition once it runs, and a cancelled
/// job holds its thread until it returns.
pub const MAX_WHOLE: usize = 2500;

fn bounded(size: usize) -> Result<(), DecomposeError> {
    if size > MAX_WHOLE { Err(DecomposeError::TooLarge { size }) } else { Ok(()) }
}

/// `(u, s, vt)` of [`thin_svd`].
pub type Svd = (Array2<f64>, Array1<f64>, Array2<f64>);

/// Below this size the whole spectrum costs less than finding a part of it safely.
const PARTIAL_FROM: usize = 400;

/// All eigenvalues, ascending `(n,)`, and eigenvectors as columns `(n, n)`, of the symmetric matrix
/// `a (n, n)`, of which only the lower triangle is read.
///
/// # Errors
/// [`DecomposeError::NotFinite`] or [`DecomposeError::NotConverged`].
pub fn symmetric_eigen(a: ArrayView2<f64>) -> Result<(Array1<f64>, Array2<f64>), DecomposeError> {
    let n = square(a);
    bounded(n)?;
    finite(a)?;
    if n == 0 {
        return Ok((Array1::zeros(0), Array2::zeros((0, 0))));
    }
    let par = parallelism(n * n * n);
    let mut vectors = Mat::<f64>::zeros(n, n);
    let mut values = Diag::<f64>::zeros(n);
    let need = evd::self_adjoint_evd_scratch::<f64>(n, ComputeEigenvectors::Yes, par, Default::default());
    evd::self_adjoint_evd(
        a.into_faer(),
        values.as_mut(),
        Some(vectors.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(need)),
        Default::default(),
    )
    .map_err(|_| DecomposeError::NotConverged)?;
    let mut vectors = to_array(vectors.as_ref());
    fix_signs(&mut vectors);
    Ok((to_vector(values.column_vector().as_ref()), vectors))
}

/// The `k` largest eigenvalues, descending `(k,)`, and their eigenvectors as columns `(n, k)`, of the
/// symmetric matrix `a (n, n)`. `k` beyond n means n.
///
/// Large problems with few vectors go through a restarted block Krylov method of bounded work, whose
/// answer is kept only where its residuals are small; otherwise the whole spectrum is computed.
///
/// # Errors
/// [`DecomposeError::NotFinite`] or [`DecomposeError::NotConverged`].
pub fn top_symmetric_eigen(a: ArrayView2<f64>, k: usize) -> Result<(Array1<f64>, Array2<f64>), DecomposeError> {
    let n = square(a);
    let k = k.min(n);
    finite(a)?;
    // The Krylov space holds more than twice as many vectors as are asked for; beyond this share they do not pay.
    let partial = if n >= PARTIAL_FROM && k > 0 && k <= n / 12 { partial_eigen(a, k) } else { None };
    if let Some((values, mut vectors)) = partial {
        fix_signs(&mut vectors);
        return Ok((values, vectors));
    }
    let (values, vectors) = symmetric_eigen(a)?;
    let values = values.slice(s![n - k..;-1]).to_owned();
    Ok((values, vectors.slice(s![.., n - k..;-1]).as_standard_layout().into_owned()))
}

/// The thin decomposition `x = u · diag(s) · vt` of `x (n, d)` with r = min(n, d):
/// `u (n, r)`, `s (r,)` descending, `vt (r, d)`.
///
/// # Errors
/// [`DecomposeError::NotFinite`] or [`DecomposeError::NotConverged`].
pub fn thin_svd(x: ArrayView2<f64>) -> Result<Svd, DecomposeError> {
    let (n, d) = x.dim();
    let r = n.min(d);
    bounded(r)?;
    finite(x)?;
    if r == 0 {
        return Ok((Array2::zeros((n, 0)), Array1::zeros(0), Array2::zeros((0, d))));
    }
    let par = parallelism(n * d * r);
    let (mut u, mut v, mut values) = (Mat::<f64>::zeros(n, r), Mat::<f64>::zeros(d, r), Diag::<f64>::zeros(r));
    let thin = ComputeSvdVectors::Thin;
    let need = svd::svd_scratch::<f64>(n, d, thin, thin, par, Default::default());
    svd::svd(
        x.into_faer(),
        values.as_mut(),
        Some(u.as_mut()),
        Some(v.as_mut()),
        par,
        MemStack::new(&mut MemBuffer::new(need)),
        Default::default(),
    )
    .map_err(|_| DecomposeError::NotConverged)?;
    let (mut u, mut v) = (to_array(u.as_ref()), to_array(v.as_ref()));
    let signs = fix_signs(&mut v);
    u *= &signs;
    let vt = v.reversed_axes().as_standard_layout().into_owned();
    Ok((u, to_vector(values.column_vector().as_ref()), vt))
}

/// The lower triangular `l (n, n)` with `a = l · lᵀ`, for symmetric positive definite `a (n, n)`, of
/// which only the lower triangle is read.
///
/// # Errors
/// [`DecomposeError::NotPositiveDefinite`] or [`DecomposeError::NotFinite`].
pub fn cholesky(a: ArrayView2<f64>) -> Result<Array2<f64>, DecomposeError> {
    Ok(to_array(factor(a)?.as_ref()))
}

/// The solution `x (n, m)` of `a · x = b` for symmetric positive definite `a (n, n)` and `b (n, m)`.
///
/// # Errors
/// [`DecomposeError::NotPositiveDefinite`] or [`DecomposeError::NotFinite`].
pub fn solve_spd(a: ArrayView2<f64>, b: ArrayView2<f64>) -> Result<Array2<f64>, DecomposeError> {
    assert_eq!(a.nrows(), b.nrows(), "sides of an equation differ in rows");
    finite(b)?;
    let l = factor(a)?;
    let par = parallelism(b.nrows() * b.nrows() * b.ncols());
    let mut x = to_mat(b);
    let mut memory = MemBuffer::new(llt::solve::solve_in_place_scratch::<f64>(b.nrows(), b.ncols(), par));
    llt::solve::solve_in_place(l.as_ref(), x.as_mut(), par, MemStack::new(&mut memory));
    Ok(to_array(x.as_ref()))
}

/// Which triangular system is meant, for a lower triangular `l`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Triangle {
    /// `l · x = b`
    Lower,
    /// `lᵀ · x = b`
    LowerTransposed,
}

/// The solution `x (n, m)` of a triangular system given by lower triangular `l (n, n)`, without zeros
/// on its diagonal, and `b (n, m)`.
pub fn solve_triangular(l: ArrayView2<f64>, b: ArrayView2<f64>, triangle: Triangle) -> Array2<f64> {
    assert_eq!(square(l), b.nrows(), "sides of an equation differ in rows");
    let par = parallelism(b.nrows() * b.nrows() * b.ncols());
    let mut x = to_mat(b);
    match triangle {
        Triangle::Lower => {
            triangular_solve::solve_lower_triangular_in_place_with_conj(l.into_faer(), Conj::No, x.as_mut(), par);
        }
        Triangle::LowerTransposed => {
            let upper = l.reversed_axes();
            triangular_solve::solve_upper_triangular_in_place_with_conj(upper.into_faer(), Conj::No, x.as_mut(), par);
        }
    }
    to_array(x.as_ref())
}

/// The symmetric `a^½ (n, n)` of a symmetric positive semi-definite `a`; eigenvalues that are negative
/// by rounding count as zero.
///
/// # Errors
/// [`DecomposeError::NotPositiveDefinite`] where an eigenvalue is negative beyond rounding; otherwise as
/// [`symmetric_eigen`].
pub fn sqrt_spd(a: ArrayView2<f64>) -> Result<Array2<f64>, DecomposeError> {
    let (values, vectors) = symmetric_eigen(a)?;
    let floor = rounding(&values);
    if values.iter().any(|&v| v < -floor) {
        return Err(DecomposeError::NotPositiveDefinite);
    }
    Ok(recompose(&values.mapv(|v| v.max(0.0).sqrt()), &vectors))
}

/// The symmetric `a^-½ (n, n)` of a symmetric positive definite `a`.
///
/// # Errors
/// [`DecomposeError::NotPositiveDefinite`] where an eigenvalue is not positive beyond rounding;
/// otherwise as [`symmetric_eigen`].
pub fn inverse_sqrt_spd(a: ArrayView2<f64>) -> Result<Array2<f64>, DecomposeError> {
    let (values, vectors) = symmetric_eigen(a)?;
    let floor = rounding(&values);
    if values.iter().any(|&v| v <= floor) {
        return Err(DecomposeError::NotPositiveDefinite);
    }
    Ok(recompose(&values.mapv(|v| 1.0 / v.sqrt()), &vectors))
}

/// The size of rounding errors in eigenvalues of a matrix with these eigenvalues.
fn rounding(values: &Array1<f64>) -> f64 {
    let largest = values.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    largest * values.len() as f64 * f64::EPSILON
}

fn recompose(values: &Array1<f64>, vectors: &Array2<f64>) -> Array2<f64> {
    let scaled = vectors * values;
    let out = matmul(scaled.view(), vectors.t());
    // Rounding differs on the two sides of the diagonal; callers rely on symmetry.
    (&out + &out.t()) * 0.5
}

fn square(a: ArrayView2<f64>) -> usize {
    assert_eq!(a.nrows(), a.ncols(), "the matrix is not square");
    a.nrows()
}

fn finite(a: ArrayView2<f64>) -> Result<(), DecomposeError> {
    if a.iter().all(|v| v.is_finite()) { Ok(()) } else { Err(DecomposeError::NotFinite) }
}

/// The factor of [`cholesky`], zero above the diagonal.
fn factor(a: ArrayView2<f64>) -> Result<Mat<f64>, DecomposeError> {
    let n = square(a);
    finite(a)?;
    let par = parallelism(n * n * n);
    let mut l = Mat::from_fn(n, n, |i, j| if i >= j { a[[i, j]] } else { 0.0 });
    let mut memory = MemBuffer::new(llt::factor::cholesky_in_place_scratch::<f64>(n, par, Default::default()));
    let stack = MemStack::new(&mut memory);
    llt::factor::cholesky_in_place(l.as_mut(), Default::default(), par, stack, Default::default())
        .map_err(|_| DecomposeError::NotPositiveDefinite)?;
    for j in 1..n {
        l.as_mut().col_mut(j).subrows_mut(0, j).fill(0.0);
    }
    Ok(l)
}

fn to_mat(a: ArrayView2<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[[i, j]])
}

pub(super) fn to_array(a: MatRef<'_, f64>) -> Array2<f64> {
    Array2::from_shape_fn((a.nrows(), a.ncols()), |(i, j)| a[(i, j)])
}

fn to_vector(a: ColRef<'_, f64>) -> Array1<f64> {
    Array1::from_shape_fn(a.nrows(), |i| a[i])
}

/// Makes the component of largest magnitude of every column positive and returns the factors used.
fn fix_signs(vectors: &mut Array2<f64>) -> Array1<f64> {
    let mut signs = Array1::ones(vectors.ncols());
    for (mut column, sign) in vectors.axis_iter_mut(Axis(1)).zip(&mut signs) {
        let largest = column.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
        // Components of equal magnitude differ by rounding; the first of them decides.
        let leading = column.iter().copied().find(|v| v.abs() >= largest * (1.0 - 1e-8));
        if leading.is_some_and(|v| v < 0.0) {
            *sign = -1.0;
            column.mapv_inplace(|v| -v);
        }
    }
    signs
}
