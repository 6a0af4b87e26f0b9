//! Base learners: the predictor that follows an adapter. One file each, and one line in [`LEARNERS`].

mod contract;

pub use contract::{
    BoundLearner, ErasedLearner, Learner, LearnerCard, LinearModel, Prediction, Predictor, Scores, Start, Targets,
    Training, WithLearner,
};

/// All learners, in the order in which they are shown.
pub static LEARNERS: &[&dyn ErasedLearner] = &[];

/// The learner of that id.
pub fn find(id: &str) -> Option<&'static dyn ErasedLearner> {
    LEARNERS.iter().copied().find(|l| l.card().id == id)
}
