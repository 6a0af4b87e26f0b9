//! The integration tests of the service, in one binary.

<<<<<<< HEAD
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect has failed")]

mod architecture;
mod kill;
mod process;
mod readme;
=======
mod api;
>>>>>>> h/api
mod store;
mod support;
mod worker;
