//! How far apart two samples are.

pub mod conditional;
pub mod mmd;
mod permutation;
pub mod weighted_columns;

pub use permutation::{PermutationTest, permutation_test};
