//! The integration tests of the service, in one binary.

mod api;
mod store;
mod support;
mod worker;
