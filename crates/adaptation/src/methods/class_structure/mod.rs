//! Methods that follow the classes' own structure in the target: centres, clusters and pseudo-labels.

pub mod domain_adaptation_svm;
pub mod easy_transfer_learning;
pub mod selective_pseudo_labeling;
pub mod self_training;
