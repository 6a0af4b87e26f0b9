//! How far apart two samples are.

pub mod mmd;
