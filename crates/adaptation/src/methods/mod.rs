//! Adaptation methods: one file each in the folder of its family, and one line in [`METHODS`].

pub mod baselines;
pub mod class_structure;
mod contract;
pub mod mmd;
pub mod parameters;
pub mod reweighting;
pub mod statistical_alignment;

pub use crate::features::{DomainMaps, Map};
pub use contract::{
    Adaptation, Adapter, AdapterMethod, Card, Estimate, Estimator, EstimatorMethod, Family, FittedMethod, Labelled,
    MetaEstimator, MetaMethod, Method, Needs, Toy, TrainOn,
};

/// All methods, in the order in which they are shown.
pub static METHODS: &[&dyn Method] = &[
    &AdapterMethod::<baselines::source_only::SourceOnly>::new(),
    &AdapterMethod::<baselines::target_only::TargetOnly>::new(),
    &AdapterMethod::<baselines::pooled::Pooled>::new(),
    &AdapterMethod::<statistical_alignment::moment_matching::MomentMatching>::new(),
    &AdapterMethod::<statistical_alignment::pca::Pca>::new(),
    &AdapterMethod::<statistical_alignment::coral::Coral>::new(),
    &AdapterMethod::<statistical_alignment::linear_optimal_transport::LinearOptimalTransport>::new(),
    &AdapterMethod::<statistical_alignment::mmd_location_scale::MmdLocationScale>::new(),
    &AdapterMethod::<statistical_alignment::maximum_independence::MaximumIndependence>::new(),
    &AdapterMethod::<statistical_alignment::subspace_alignment::SubspaceAlignment>::new(),
    &AdapterMethod::<statistical_alignment::geodesic_flow_kernel::GeodesicFlowKernel>::new(),
    &AdapterMethod::<statistical_alignment::transfer_joint_matching::TransferJointMatching>::new(),
    &AdapterMethod::<mmd::transfer_component_analysis::TransferComponentAnalysis>::new(),
    &MetaMethod::<mmd::joint_distribution_adaptation::JointDistributionAdaptation>::new(),
    &MetaMethod::<mmd::balanced_distribution_adaptation::BalancedDistributionAdaptation>::new(),
    &EstimatorMethod::<mmd::manifold_embedded_distribution_alignment::ManifoldEmbeddedDistributionAlignment>::new(),
    &MetaMethod::<mmd::joint_probability_adaptation::JointProbabilityAdaptation>::new(),
    &MetaMethod::<mmd::joint_geometrical_statistical_alignment::JointGeometricalStatisticalAlignment>::new(),
    &EstimatorMethod::<mmd::class_matching_manifold_smoothing::ClassMatchingManifoldSmoothing>::new(),
    &AdapterMethod::<mmd::feature_selection_mmd::FeatureSelectionMmd>::new(),
    &EstimatorMethod::<class_structure::easy_transfer_learning::EasyTransferLearning>::new(),
    &EstimatorMethod::<class_structure::selective_pseudo_labeling::SelectivePseudoLabeling>::new(),
    &MetaMethod::<class_structure::self_training::SelfTraining>::new(),
    &EstimatorMethod::<class_structure::domain_adaptation_svm::DomainAdaptationSvm>::new(),
    &AdapterMethod::<reweighting::kernel_mean_matching::KernelMeanMatching>::new(),
    &MetaMethod::<parameters::fine_tuning::FineTuning>::new(),
];

/// The method of that id.
pub fn find(id: &str) -> Option<&'static dyn Method> {
    METHODS.iter().copied().find(|m| m.card().id == id)
}
