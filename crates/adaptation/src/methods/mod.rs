//! Adaptation methods: one file each in the folder of its family, and one line in [`METHODS`].

pub mod baselines;
mod contract;
pub mod mmd;
pub mod parameters;
pub mod reweighting;
pub mod statistical_alignment;

pub use crate::features::{DomainMaps, Map};
pub use contract::{
    Adaptation, Adapter, AdapterMethod, Card, Family, FittedMethod, Labelled, MetaEstimator, MetaMethod, Method, Needs,
    Toy, TrainOn,
};

/// All methods, in the order in which they are shown.
pub static METHODS: &[&dyn Method] = &[];

/// The method of that id.
pub fn find(id: &str) -> Option<&'static dyn Method> {
    METHODS.iter().copied().find(|m| m.card().id == id)
}
