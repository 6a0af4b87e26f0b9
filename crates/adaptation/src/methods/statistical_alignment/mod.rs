//! Methods that bring means, variances, covariances or principal axes of the domains together.

pub mod coral;
pub mod geodesic_flow_kernel;
pub mod linear_optimal_transport;
pub mod maximum_independence;
pub mod mmd_location_scale;
pub mod moment_matching;
pub mod pca;
pub mod subspace_alignment;
pub mod transfer_joint_matching;
