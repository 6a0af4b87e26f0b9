//! Methods that guess the target's classes and learn from the guesses.

pub mod self_training;
