//! Methods that guess the target's classes and learn from the guesses.

pub mod domain_adaptation_svm;
pub mod self_training;
