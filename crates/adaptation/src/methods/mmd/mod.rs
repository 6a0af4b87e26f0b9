//! Methods that look for a space in which the maximum mean discrepancy of the domains is small.

pub mod balanced_distribution_adaptation;
pub mod class_matching_manifold_smoothing;
pub mod feature_selection_mmd;
pub mod joint_distribution_adaptation;
pub mod joint_geometrical_statistical_alignment;
pub mod joint_probability_adaptation;
pub mod manifold_embedded_distribution_alignment;
pub mod transfer_component_analysis;
