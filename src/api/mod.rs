//! The only room with HTTP. `router.rs` shows every route; each resource is one file of handlers
//! and views. It knows neither store nor worker.

mod aliases;
mod browse;
mod catalog;
mod conditional;
mod data_query;
mod deletion;
mod domains;
mod dry_run;
mod events;
mod examples;
mod extract;
mod headers;
mod health;
mod idempotency;
mod job_actions;
mod job_view;
mod jobs;
mod keys;
pub mod listen;
mod metrics;
mod models;
mod openapi;
mod pages;
mod predict;
mod problem;
mod requests;
mod router;
mod schema_guess;
mod security;
mod stream;

use std::sync::Arc;
use std::time::Duration;

pub use openapi::document_yaml;
pub use problem::{Meaning, meaning};
pub use router::router;

use crate::service::Service;

/// What every handler is given.
#[derive(Clone)]
pub struct App {
    pub service: Arc<Service>,
    pub limits: HttpLimits,
}

/// Bounds of the protocol. Each is an option of the command line, where its reason stands.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// JSON documents and rows to predict; uploads of domains have their own bound.
    pub max_document_bytes: u64,
    /// A client that does not finish its request line and headers in this time is let go.
    pub header_timeout: Duration,
    /// A body that sends nothing for so long is given up.
    pub body_idle: Duration,
    /// A client that takes nothing of its answer for so long is let go.
    pub write_idle: Duration,
}
