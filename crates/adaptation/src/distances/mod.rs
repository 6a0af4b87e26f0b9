//! How far apart two samples are.

pub mod mmd;
mod permutation;

pub use permutation::{PermutationTest, permutation_test};
