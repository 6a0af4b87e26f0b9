//! Methods that look for a space in which the maximum mean discrepancy of the domains is small.

pub mod manifold_embedded_distribution_alignment;
pub mod transfer_component_analysis;
