//! Base learners: the predictor that follows an adapter. One file each, and one line in [`LEARNERS`].

mod contract;
mod linear;
pub mod linear_svm;
pub mod logistic;
pub mod nearest_centroid;
pub mod nearest_neighbors;
mod pseudo_labels;
pub mod ridge;
#[cfg(test)]
mod tests;

pub use contract::{
    BoundLearner, ErasedLearner, Learner, LearnerCard, LinearModel, Prediction, Predictor, Scores, Start, Targets,
    Training, WithLearner,
};

pub use linear::LinearPredictor;
pub use pseudo_labels::{PseudoLabels, Settled, changes, refuse_one_class};

/// All learners, in the order in which they are shown.
pub static LEARNERS: &[&dyn ErasedLearner] = &[
    &WithLearner::<logistic::Logistic>::new(),
    &WithLearner::<ridge::Ridge>::new(),
    &WithLearner::<linear_svm::LinearSvm>::new(),
    &WithLearner::<nearest_neighbors::NearestNeighbors>::new(),
    &WithLearner::<nearest_centroid::NearestCentroid>::new(),
];

/// The learner of that id.
pub fn find(id: &str) -> Option<&'static dyn ErasedLearner> {
    LEARNERS.iter().copied().find(|l| l.card().id == id)
}
