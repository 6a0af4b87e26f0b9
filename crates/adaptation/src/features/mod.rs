//! Tables become matrices: missing values are imputed, categories one-hot encoded, texts cut into n-grams, columns scaled.
//! Fitted on training rows only, saved with the model, applied again at prediction. Beside them, the kernel
//! features that component methods work in.

mod columns;
mod component_space;
mod encoder;
mod map;
mod params;
mod pipeline;
mod recolouring;
mod scaling;
mod text;

pub use component_space::{ComponentFeatures, ComponentSpace, Lens, varying};
pub use encoder::InputProblem;
pub use map::{DomainMaps, Map};
pub use params::{FeatureParams, Imputation, MissingIndicator, Scaling, UnseenCategory};
pub use pipeline::{FittedFeatures, Pipeline};
pub use recolouring::recoloured;
pub use text::{Analyzer, Case, TermFrequency, TextParams, TextScaling};
