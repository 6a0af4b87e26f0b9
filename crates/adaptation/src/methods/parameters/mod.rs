//! Methods that carry a model's weights from the sources to a target with a few labels.

pub mod fine_tuning;
