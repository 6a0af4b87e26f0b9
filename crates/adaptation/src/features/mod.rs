//! Tables become matrices: missing values are imputed, categories one-hot encoded, columns scaled.
//! Fitted on training rows only, saved with the model, applied again at prediction.

mod map;
mod params;

pub use map::{DomainMaps, Map};
pub use params::{FeatureParams, Imputation, MissingIndicator, Scaling, UnseenCategory};
