//! Whether a process uses a data folder.

use std::fs::{File, TryLockError};
use std::path::Path;

use anyhow::Context as _;

/// Looks at the lock of the folder, and holds it, shared, for no longer than the look takes.
pub(super) fn is_in_use(folder: &Path) -> anyhow::Result<bool> {
    let path = folder.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e).with_context(|| path.display().to_string()),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(e)) => Err(e).with_context(|| path.display().to_string()),
    }
}
