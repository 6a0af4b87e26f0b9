//! The interface, as clients meet it: through a socket.

mod aliases;
mod apply;
mod conventions;
mod domains;
mod dry_run;
mod edits;
mod events;
mod examples;
mod formats;
mod heads;
mod hostile;
mod job_actions;
mod jobs;
mod keys;
mod limits;
mod metrics;
mod models;
mod predict;
mod schema_guess;
mod specs;
mod text;
