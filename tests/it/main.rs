//! The integration tests of the service, in one binary.

mod store;
mod worker;
