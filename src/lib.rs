//! The service: domains come in over HTTP, jobs adapt models to them, models predict.
//! The modules are listed in reading order; ARCHITECTURE.md says who may call whom.

pub mod blobs;
pub mod ingest;
pub mod records;
pub mod store;
