//! Dense and sparse matrices, products, decompositions, kernels and optimisers.
//! The only room that names `faer`; everything else speaks `ndarray`.

mod decompose;
mod dense;
mod exp;
pub mod kernels;
mod matrix;
pub mod nystrom;
mod principal;

pub use decompose::{DecompositionError, symmetric_eigen, thin_svd, top_symmetric_eigen};
pub use dense::{column_means, matmul, matmul_nt, matmul_tn};
pub use matrix::{Matrix, SparseRows};
pub use principal::PrincipalAxes;
