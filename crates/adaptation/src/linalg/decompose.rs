//! Stand-in until the numeric branch's file arrives.
use faer_ext::IntoFaer;
use ndarray::{Array1, Array2, ArrayView2};
use thiserror::Error;
#[derive(Debug, Clone, PartialEq, Error)]
#[error("did not converge")]
pub struct DecompositionError;
pub struct Eigen {
    pub values: Array1<f64>,
    pub vectors: Array2<f64>,
}
pub struct Svd {
    pub u: Array2<f64>,
    pub s: Array1<f64>,
    pub v: Array2<f64>,
}
pub fn symmetric_eigen(a: ArrayView2<f64>) -> Result<Eigen, DecompositionError> {
    let e = a.into_faer().self_adjoint_eigen(faer::Side::Lower).map_err(|_| DecompositionError)?;
    let n = a.nrows();
    Ok(Eigen {
        values: Array1::from_shape_fn(n, |i| e.S()[i]),
        vectors: Array2::from_shape_fn((n, n), |(i, j)| e.U()[(i, j)]),
    })
}
pub fn top_symmetric_eigen(a: ArrayView2<f64>, k: usize) -> Result<Eigen, DecompositionError> {
    let e = symmetric_eigen(a)?;
    let idx: Vec<usize> = (0..e.values.len()).rev().take(k).collect();
    Ok(Eigen { values: e.values.select(ndarray::Axis(0), &idx), vectors: e.vectors.select(ndarray::Axis(1), &idx) })
}
pub fn thin_svd(a: ArrayView2<f64>) -> Result<Svd, DecompositionError> {
    let e = a.into_faer().thin_svd().map_err(|_| DecompositionError)?;
    let r = a.nrows().min(a.ncols());
    Ok(Svd {
        u: Array2::from_shape_fn((a.nrows(), r), |(i, j)| e.U()[(i, j)]),
        s: Array1::from_shape_fn(r, |i| e.S()[i]),
        v: Array2::from_shape_fn((a.ncols(), r), |(i, j)| e.V()[(i, j)]),
    })
}
