//! The largest eigenpairs of a large symmetric matrix without the rest of its spectrum, by a
//! restarted Krylov method whose answer is checked before it is believed.

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::matrix_free::LinOp;
use faer::matrix_free::eigen::{PartialEigenParams, partial_self_adjoint_eigen, partial_self_adjoint_eigen_scratch};
use faer::{Col, Mat, MatRef, Par};
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::decompose::to_array;
use super::dense::{matmul, matmul_tn, parallelism};

/// Residuals relative to the largest eigenvalue at which the first search stops.
const TOLERANCE: f64 = 1e-13;
/// The same for the second search: errors of values are squares of those of vectors.
const TOLERANCE_OF_CHECK: f64 = 1e-6;
/// Residuals relative to the largest eigenvalue at which the answer is believed.
const ACCEPT: f64 = 1e-10;
const MAX_RESTARTS: usize = 60;

/// The `k` largest eigenvalues, descending, and their vectors as columns `(n, k)`; `None` where the
/// answer cannot be believed.
pub(super) fn partial_eigen(a: ArrayView2<f64>, k: usize) -> Option<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    // The lower triangle alone counts, as for the whole spectrum, but products read everything.
    let symmetric = Array2::from_shape_fn((n, n), |(i, j)| if i >= j { a[[i, j]] } else { a[[j, i]] });
    let tolerance = TOLERANCE * magnitude(symmetric.view());
    let (values, vectors) = krylov(symmetric.view().into_faer(), k, tolerance, Phase::First)?;
    let scale = values[0].abs();
    // The search finds the largest magnitudes. If none is negative they are the largest values too.
    if scale == 0.0 || values.iter().any(|&v| v < 0.0) || !residuals_small(symmetric.view(), &values, &vectors) {
        return None;
    }
    // What is left without the found space: had a repeated eigenvalue been seen only once, it would
    // still be there.
    let mut rest = symmetric;
    rest -= &matmul((&vectors * &values).view(), vectors.t());
    let (largest, _) = krylov(rest.view().into_faer(), 1, TOLERANCE_OF_CHECK * scale, Phase::Second)?;
    (largest[0] <= values[k - 1] + ACCEPT * scale).then_some((values, vectors))
}

/// The two searches start from vectors that are unlike each other.
#[derive(Clone, Copy)]
enum Phase {
    First,
    Second,
}

fn krylov(a: MatRef<'_, f64>, k: usize, tolerance: f64, phase: Phase) -> Option<(Array1<f64>, Array2<f64>)> {
    let n = a.nrows();
    let par = parallelism(n * n * k.max(8));
    let start = start_vector(n, phase);
    let params = PartialEigenParams {
        min_dim: 32.max(k + k / 2),
        max_dim: (64.max(3 * k)).min(n / 2),
        max_restarts: MAX_RESTARTS,
        ..Default::default()
    };
    let mut values = vec![0.0; k];
    let mut vectors = Mat::<f64>::zeros(n, k);
    let mut memory = MemBuffer::new(scratch(&a, k, par, params));
    let stack = MemStack::new(&mut memory);
    let info =
        partial_self_adjoint_eigen(vectors.as_mut(), &mut values, &a, start.as_ref(), tolerance, par, stack, params);
    if info.n_converged_eigen < k || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mut order: Vec<usize> = (0..k).collect();
    order.sort_by(|&i, &j| values[j].total_cmp(&values[i]));
    let vectors = to_array(vectors.as_ref()).select(Axis(1), &order);
    Some((order.iter().map(|&i| values[i]).collect(), vectors))
}

/// The largest magnitude of an eigenvalue, from below, by a few steps of the power method.
fn magnitude(a: ArrayView2<f64>) -> f64 {
    let mut v = Array1::from_shape_fn(a.nrows(), |i| start_entry(i, Phase::Second));
    let mut norm = 0.0;
    for _ in 0..4 {
        v /= v.dot(&v).sqrt().max(f64::MIN_POSITIVE);
        v = a.dot(&v);
        norm = v.dot(&v).sqrt();
    }
    norm
}

fn scratch(a: &dyn LinOp<f64>, k: usize, par: Par, params: PartialEigenParams) -> faer::dyn_stack::StackReq {
    partial_self_adjoint_eigen_scratch(a, k, par, params)
}

/// A fixed unit vector without symmetry: a constant one would be orthogonal to all that is centred.
fn start_vector(n: usize, phase: Phase) -> Col<f64> {
    let norm = (0..n).map(|i| start_entry(i, phase).powi(2)).sum::<f64>().sqrt();
    Col::from_fn(n, |i| start_entry(i, phase) / norm)
}

fn start_entry(i: usize, phase: Phase) -> f64 {
    let step = match phase {
        Phase::First => 0.618_033_988_749_894_9,
        Phase::Second => 0.414_213_562_373_095_1,
    };
    ((i + 1) as f64 * step).fract() - 0.5 + ((i * i % 101) as f64) / 400.0
}

/// Whether `a v = λ v` and `vᵀ v = 1` hold, both to [`ACCEPT`].
fn residuals_small(a: ArrayView2<f64>, values: &Array1<f64>, vectors: &Array2<f64>) -> bool {
    let scale = values[0].abs();
    let residual = matmul(a, vectors.view()) - vectors * values;
    let gram = matmul_tn(vectors.view(), vectors.view()) - Array2::<f64>::eye(values.len());
    residual.iter().all(|r| r.abs() <= ACCEPT * scale) && gram.iter().all(|g| g.abs() <= ACCEPT)
}
