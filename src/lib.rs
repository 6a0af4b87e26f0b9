//! The service: domains come in over HTTP, jobs adapt models to them, models predict.
//! The modules are listed in reading order; ARCHITECTURE.md says who may call whom.

pub mod cli;
pub mod config;
mod counters;
pub mod telemetry;

pub mod api;
pub mod service;
pub mod worker;

pub mod blobs;
pub mod disk;
pub mod ingest;
pub mod predictions;
pub mod store;

pub mod faults;
pub mod records;
