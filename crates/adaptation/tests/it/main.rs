//! Integration tests in one binary, since linking each by itself takes long: what every method and learner has to
//! hold, and methods against the numbers of independent implementations in `tests/reference`.

mod clusters_reference;
mod conformance;
mod domain_adaptation_svm_reference;
mod joint_reference;
mod manifold_reference;
mod matching_reference;
mod methods_reference;
mod self_training_reference;
mod stats_reference;
mod support;
mod text_models;
mod text_reference;
