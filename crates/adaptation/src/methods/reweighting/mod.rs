//! Methods that weigh source rows so that they stand for the target.

pub mod kernel_mean_matching;
