//! The workers, with runners that do what the test tells them: channels say when, nothing sleeps.

mod attempts;
mod checkpoints;
mod failures;
mod fixtures;
mod intents;
