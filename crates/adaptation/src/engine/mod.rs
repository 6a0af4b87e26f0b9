//! Spec → fit → score → outcome. The only place where the lists of methods and learners meet.

mod checkpoint;
mod evaluate;
mod file;
mod model;
mod outcome;
mod problem;
mod run;
mod scoring;
mod spec;
#[cfg(test)]
mod tests;

pub use evaluate::evaluate;
pub use model::{FittedModel, InputColumn, Manifest, Signature};
pub use outcome::{Confusion, Distances, Memory, Metrics, Mmd2, Scores};
pub use run::{Input, Outcome, PHASES, estimate, run};
pub use spec::{Choice, Evaluation, Spec};
