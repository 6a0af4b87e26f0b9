//! The integration tests of the service, in one binary.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod api;
mod architecture;
mod audit;
mod disk;
mod failpoints;
mod health;
mod kill;
mod operations;
mod process;
mod readme;
mod signals;
mod store;
mod support;
mod worker;
