//! Dense and sparse matrices, products, decompositions, kernels and optimisers.
//! The only room that names `faer`; everything else speaks `ndarray`.

mod assignment;
mod banded;
mod constrained;
mod covariance;
mod decompose;
mod dense;
mod exp;
mod fourier;
mod geodesic;
pub mod graph;
pub mod kernels;
mod matrix;
pub mod median;
pub mod neighbors;
pub mod nystrom;
mod optimise;
mod partial;
mod principal;
mod shrinkage;
mod whitened;

pub use assignment::{Assignment, assign_rows};
pub use banded::{Band, BandedLeastSquares, Solution};
pub use constrained::{Constrained, Factored, top_constrained};
pub use covariance::recolouring;
pub use decompose::{
    DecomposeError, MAX_WHOLE, Svd, Triangle, cholesky, inverse_sqrt_spd, solve_spd, solve_triangular, sqrt_spd,
    symmetric_eigen, thin_svd, top_symmetric_eigen,
};
pub use dense::{column_means, gram, matmul, matmul_nt, matmul_tn, symmetric_tn};
pub use exp::softmax;
pub use fourier::gaussian_frequencies;
pub use geodesic::Geodesic;
pub use matrix::{Matrix, SparseRows};
pub use optimise::{Iteration, Minimum, Options, Stop, minimise};
pub use principal::PrincipalAxes;
pub use shrinkage::ledoit_wolf;
pub use whitened::Whitened;

#[cfg(test)]
mod tests;
