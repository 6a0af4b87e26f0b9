//! Dense and sparse matrices, products, decompositions, kernels and optimisers.
//! The only room that names `faer`; everything else speaks `ndarray`.

mod dense;
mod exp;
pub mod kernels;
mod matrix;

pub use dense::{column_means, matmul, matmul_nt, matmul_tn};
pub use matrix::{Matrix, SparseRows};
