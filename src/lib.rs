//! The service: domains come in over HTTP, jobs adapt models to them, models predict.
//! The modules are listed in reading order; ARCHITECTURE.md says who may call whom.

pub mod api;
pub mod blobs;
pub mod ingest;
pub mod records;
pub mod service;
pub mod store;
pub mod worker;
