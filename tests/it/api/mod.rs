//! The interface, as clients meet it: through a socket.

mod conventions;
mod domains;
mod jobs;
mod models;
mod specs;
