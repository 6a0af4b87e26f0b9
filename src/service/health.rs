//! Whether a restart would help, whether requests can be served, and whether there is room for what they bring.

use std::time::Duration;

use super::Service;
use super::error::{Code, ServiceError};
use super::scratch::of_io;
use crate::disk::{Disk, Room};
use crate::store::{StoreError, WriterHealth};

/// A writer that has not answered for so long hangs: a lock that another process holds is given up after five seconds, and
/// no transaction of ours is as long. Below it, a slow disk would have the service restarted, which makes it no faster.
const HANGS_AFTER: Duration = Duration::from_secs(10);

/// A probe is asked every few seconds and must not wait for the next.
const PING_WITHIN: Duration = Duration::from_secs(2);

/// How the parts are that requests need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// The service is stopping.
    pub draining: bool,
    pub database: DatabaseHealth,
    /// `None` where the system does not tell.
    pub disk: Option<Room>,
}

/// What became of a short write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DatabaseHealth {
    Ok,
    /// It was not answered in time.
    Silent,
    Full,
    Unavailable,
}

impl Checks {
    /// # Errors
    /// Why requests are not served; the first reason, from the one that ends last.
    pub fn verdict(&self) -> Result<(), ServiceError> {
        if self.draining {
            return Err(ServiceError::new(Code::ShuttingDown, "the service is stopping"));
        }
        match (self.database, self.disk) {
            (DatabaseHealth::Silent, _) => {
                Err(ServiceError::new(Code::StorageUnavailable, "the database has not answered in time"))
            }
            (DatabaseHealth::Unavailable, _) => {
                Err(ServiceError::new(Code::StorageUnavailable, "the database does not answer"))
            }
            (_, None) => Err(ServiceError::new(Code::StorageUnavailable, "the disk cannot be looked at")),
            (DatabaseHealth::Full, Some(room)) => Err(no_room(room)),
            (DatabaseHealth::Ok, Some(room)) if !room.is_enough() => Err(no_room(room)),
            (DatabaseHealth::Ok, Some(_)) => Ok(()),
        }
    }
}

impl Service {
    /// Whether the process does what only a restart could mend.
    ///
    /// # Errors
    /// If the writer of the store has ended, or hangs.
    pub fn live(&self) -> Result<(), ServiceError> {
        match self.store.writer() {
            // It ends before the process does.
            WriterHealth::Ended if self.is_stopping() => Ok(()),
            WriterHealth::Ended => {
                Err(ServiceError::new(Code::StorageUnavailable, "the database is not written any more"))
            }
            WriterHealth::SilentFor(time) if time >= HANGS_AFTER => {
                let detail = format!("the database has not answered for {} s", time.as_secs());
                Err(ServiceError::new(Code::StorageUnavailable, detail))
            }
            WriterHealth::SilentFor(_) => Ok(()),
        }
    }

    /// Looks at everything that requests need.
    pub async fn checks(&self) -> Checks {
        let database = match tokio::time::timeout(PING_WITHIN, self.store.ping()).await {
            Err(_) => DatabaseHealth::Silent,
            Ok(Ok(())) => DatabaseHealth::Ok,
            Ok(Err(StoreError::Full)) => DatabaseHealth::Full,
            Ok(Err(_)) => DatabaseHealth::Unavailable,
        };
        Checks { draining: self.is_stopping(), database, disk: self.disk.room().ok() }
    }

    /// Holds before something is stored that takes so many bytes, or a few. What ends something, what removes something and
    /// what moves an alias is not held to it.
    ///
    /// # Errors
    /// If too little room would be left for what must go on.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), ServiceError> {
        make_room(&self.disk, bytes)
    }

    /// Whether less room is left than has to be.
    pub fn lacks_room(&self) -> bool {
        self.disk.room().is_ok_and(|room| !room.is_enough())
    }

    /// Makes the ballast again that was given up, as soon as there is room. Blocks.
    pub fn keep_ballast(&self) {
        if let Err(error) = self.disk.keep_ballast() {
            tracing::warn!(%error, "the ballast cannot be made");
        }
    }
}

pub(super) fn make_room(disk: &Disk, bytes: u64) -> Result<(), ServiceError> {
    let room = disk.take(bytes).map_err(of_io)?;
    if room.is_enough() { Ok(()) } else { Err(no_room(room)) }
}

pub(super) fn no_room(room: Room) -> ServiceError {
    let detail = format!(
        "the disk of the service would have {} bytes free, of which {} are kept for what must go on",
        room.free_bytes, room.needed_bytes
    );
    ServiceError::new(Code::StorageFull, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(draining: bool, database: DatabaseHealth, free_bytes: u64, expected: Option<Code>) {
        let disk = Some(Room { free_bytes, needed_bytes: 100 });
        let verdict = Checks { draining, database, disk }.verdict();
        assert_eq!(verdict.err().map(|e| e.code), expected);
    }

    #[test]
    fn a_service_is_ready_where_all_its_parts_are() {
        check(false, DatabaseHealth::Ok, 100, None);
        check(false, DatabaseHealth::Ok, 99, Some(Code::StorageFull));
        check(false, DatabaseHealth::Full, 100, Some(Code::StorageFull));
        check(false, DatabaseHealth::Silent, 100, Some(Code::StorageUnavailable));
        check(false, DatabaseHealth::Unavailable, 0, Some(Code::StorageUnavailable));
        check(true, DatabaseHealth::Unavailable, 0, Some(Code::ShuttingDown));
        let blind = Checks { draining: false, database: DatabaseHealth::Ok, disk: None };
        assert_eq!(blind.verdict().err().map(|e| e.code), Some(Code::StorageUnavailable));
    }
}
