//! Spec → fit → score → outcome. The only place where the lists of methods and learners meet.

mod spec;

pub use spec::{Choice, Evaluation, Spec};
