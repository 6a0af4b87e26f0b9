//! Room on the disk of the data folder: how much is left and how much has to be, and a file that is given up when there is
//! none, so that what must go on can be written. It does not know what is written.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::records::{Clock, Timestamp};

/// What the ballast holds ready. The log of the database grows to 1000 pages of 4 KiB before it is written over from its
/// beginning; the other half is for the file of the database itself.
pub const BALLAST_BYTES: u64 = 8 << 20;

/// How long a look at the disk holds. What we write ourselves meanwhile is subtracted.
const LOOK_HOLDS: Duration = Duration::from_secs(1);

/// Room as it is and as it has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub free_bytes: u64,
    pub needed_bytes: u64,
}

/// The disk under a folder. Clones share it.
#[derive(Clone)]
pub struct Disk(Arc<Shared>);

struct Shared {
    folder: PathBuf,
    needed_bytes: u64,
    clock: Arc<dyn Clock>,
    last_look: Mutex<Option<Look>>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Timestamp,
    free_bytes: u64,
}

impl Room {
    pub fn is_enough(&self) -> bool {
        self.free_bytes >= self.needed_bytes
    }
}

impl Disk {
    /// `needed_bytes` are to stay free for what must go on.
    pub fn under(folder: &Path, needed_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { folder: folder.to_owned(), needed_bytes, clock, last_look: Mutex::new(None) }))
    }

    /// The room as it was at most a second ago, less what was taken since.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn room(&self) -> io::Result<Room> {
        let look = self.look(&mut self.last_look())?;
        Ok(Room { free_bytes: look.free_bytes, needed_bytes: self.0.needed_bytes })
    }

    /// The room that is left once so many bytes are written, which the caller goes on to do if it is enough.
    ///
    /// # Errors
    /// As [`Disk::room`].
    pub fn take(&self, bytes: u64) -> io::Result<Room> {
        let mut last = self.last_look();
        let look = self.look(&mut last)?;
        let free_bytes = look.free_bytes.saturating_sub(bytes);
        let room = Room { free_bytes, needed_bytes: self.0.needed_bytes };
        if room.is_enough() {
            *last = Some(Look { free_bytes, ..look });
        }
        Ok(room)
    }

    fn last_look(&self) -> MutexGuard<'_, Option<Look>> {
        // A look is written whole.
        self.0.last_look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self, last: &mut Option<Look>) -> io::Result<Look> {
        let now = self.0.clock.now();
        match *last {
            Some(look) if now.since(look.at) < LOOK_HOLDS => Ok(look),
            _ => Ok(*last.insert(Look { at: now, free_bytes: free_bytes(&self.0.folder)? })),
        }
    }

    /// Gives the ballast up: whoever met a full disk may try again.
    pub fn give_up_ballast(&self) {
        match std::fs::remove_file(self.ballast()) {
            Ok(()) => tracing::warn!(bytes = BALLAST_BYTES, "the disk is full; the ballast is given up"),
            // Given up before, which is as good.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::error!(%error, "the ballast cannot be given up"),
        }
    }

    /// Makes the ballast where it is not there and there is room for it. Blocks.
    ///
    /// # Errors
    /// If it cannot be written, which leaves nothing of it.
    pub fn keep_ballast(&self) -> io::Result<()> {
        let path = self.ballast();
        let is_whole = std::fs::metadata(&path).is_ok_and(|m| m.len() == BALLAST_BYTES);
        if is_whole || free_bytes(&self.0.folder)? < self.0.needed_bytes.saturating_add(BALLAST_BYTES) {
            return Ok(());
        }
        write_ballast(&path).inspect_err(|_| drop(std::fs::remove_file(&path)))
    }

    fn ballast(&self) -> PathBuf {
        self.0.folder.join("ballast")
    }
}

/// Bytes that no file system packs or leaves out: their blocks are really taken.
fn write_ballast(path: &Path) -> io::Result<()> {
    let mut bytes = vec![0_u8; BALLAST_BYTES as usize];
    ChaCha8Rng::seed_from_u64(0).fill(&mut bytes[..]);
    let mut file = File::create(path)?;
    file.write_all(&bytes)?;
    file.sync_all()
}

/// What a process without privileges may still write.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::ManualClock;

    fn disk(folder: &Path, needed_bytes: u64) -> (Disk, ManualClock) {
        let clock = ManualClock::at(Timestamp::from_millis(0));
        (Disk::under(folder, needed_bytes, Arc::new(clock.clone())), clock)
    }

    #[test]
    fn what_is_written_meanwhile_counts_until_the_next_look() {
        let folder = tempfile::tempdir().unwrap();
        let all = free_bytes(folder.path()).unwrap();
        let (disk, clock) = disk(folder.path(), all / 2);
        assert!(disk.take(all / 3).unwrap().is_enough());
        assert!(!disk.take(all / 3).unwrap().is_enough(), "the first third was promised to another");
        assert!(disk.room().unwrap().is_enough(), "what was refused is not written");
        clock.advance(LOOK_HOLDS);
        assert!(disk.take(all / 3).unwrap().is_enough(), "nothing was written after all");
    }

    #[test]
    fn a_disk_without_the_room_is_told_and_gets_no_ballast() {
        let folder = tempfile::tempdir().unwrap();
        let (small, _) = disk(folder.path(), u64::MAX / 2);
        assert!(!small.room().unwrap().is_enough());
        small.keep_ballast().unwrap();
        assert!(!small.ballast().exists());
        assert!(disk(&folder.path().join("none"), 1).0.room().is_err());
    }

    #[test]
    fn the_ballast_takes_blocks_and_comes_back() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (disk, _) = disk(folder.path(), 1);
        for _ in 0..2 {
            disk.keep_ballast().unwrap();
            let found = std::fs::metadata(disk.ballast()).unwrap();
            assert_eq!(found.len(), BALLAST_BYTES);
            assert!(found.blocks() * 512 >= BALLAST_BYTES, "{} blocks", found.blocks());
            disk.give_up_ballast();
            disk.give_up_ballast();
            assert!(!disk.ballast().exists());
        }
        std::fs::write(disk.ballast(), b"cut short by a crash").unwrap();
        disk.keep_ballast().unwrap();
        assert_eq!(std::fs::metadata(disk.ballast()).unwrap().len(), BALLAST_BYTES);
    }
}
