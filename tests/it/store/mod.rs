//! The checks that every database passes, and those of SQLite alone. A second database adds one line
//! to `databases` in each.

mod aliases;
mod applied;
mod claims;
mod domains;
mod events;
pub(crate) mod fixtures;
mod intents;
mod jobs;
mod leases;
mod machine;
mod model;
mod parked;
mod retention;
mod sqlite;
