//! Domain adaptation: methods, learners, metrics and distances.
//!
//! The library takes arrays and a [`Ctx`](context::Ctx) and gives arrays back.
//! It knows no HTTP, SQL, async runtime, clock, files or environment.
//! The modules are listed in reading order; each uses only those above it.

pub mod context;
pub mod data;
pub mod distances;
pub mod engine;
pub mod evaluation;
pub mod features;
pub mod learners;
pub mod linalg;
pub mod methods;
pub mod metrics;
pub mod params;
pub mod parts;
