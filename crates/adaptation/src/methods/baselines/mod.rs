//! What every adaptation is measured against.

pub mod pooled;
pub mod source_only;
pub mod target_only;
