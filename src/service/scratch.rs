//! Bodies on their way in: written to a file of ours, hashed and counted as they arrive, so that
//! memory does not grow with them and a client's name never becomes a path.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::Service;
use super::error::{Code, ServiceError};
use super::health::{make_room, no_room};
use crate::disk::{Disk, Room};

/// Bytes that wait in memory to be written together: a hop to a blocking thread costs more than writing a few.
const PENDING_BYTES: usize = 512 << 10;
/// And pieces of them: each keeps the buffer that it was read into.
const PENDING_PIECES: usize = 256;

/// A body that is being received. The file is removed when this is dropped.
pub struct Upload {
    path: RemovedOnDrop,
    /// `None` after a write that failed or was given up.
    sink: Option<Sink>,
    pending: Vec<Bytes>,
    n_pending: usize,
    n_bytes: u64,
    limit: u64,
    disk: Disk,
}

/// The file and the hash of what is in it.
#[derive(Debug)]
struct Sink {
    file: File,
    hash: Sha256,
}

/// A body that was received completely.
#[derive(Debug)]
pub struct Received {
    path: RemovedOnDrop,
    /// SHA-256 of all bytes, in hexadecimal.
    pub digest: String,
    pub n_bytes: u64,
}

/// The folder of files that are removed when they are no longer needed.
#[derive(Clone)]
pub(super) struct Scratch {
    folder: PathBuf,
    disk: Disk,
}

#[derive(Debug)]
pub(super) struct RemovedOnDrop(PathBuf);

impl RemovedOnDrop {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for RemovedOnDrop {
    fn drop(&mut self) {
        // What cannot be removed now is removed at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Scratch {
    /// Makes the folder, and removes what a crash left in it.
    pub(super) fn prepare(folder: PathBuf, disk: Disk) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self { folder, disk })
    }

    /// A new file, open to be written and read.
    pub(super) fn create(&self) -> io::Result<(RemovedOnDrop, File)> {
        let path = RemovedOnDrop(self.folder.join(Uuid::new_v4().to_string()));
        let file = File::options().read(true).write(true).create_new(true).open(&path.0)?;
        Ok((path, file))
    }

    /// Holds before so many bytes are written here.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), ServiceError> {
        make_room(&self.disk, bytes)
    }
}

impl Service {
    /// A place among the uploads that may come at a time, until it is dropped.
    ///
    /// # Errors
    /// If all are taken.
    pub fn upload_place(&self) -> Result<OwnedSemaphorePermit, ServiceError> {
        let full = |_| {
            let detail = format!("{} uploads are on their way, as many as may be; try again", self.limits.max_uploads);
            ServiceError::new(Code::Overloaded, detail)
        };
        Arc::clone(&self.uploads).try_acquire_owned().map_err(full)
    }

    /// Begins a body of at least so many bytes.
    ///
    /// # Errors
    /// If there is no room for it, or no file can be made.
    pub async fn begin_upload(&self, announced: u64) -> Result<Upload, ServiceError> {
        let room = self.disk.room().map_err(of_io)?;
        // What is too long is told as such, when so much has come.
        let announced = announced.min(self.limits.max_upload_bytes);
        let left = Room { free_bytes: room.free_bytes.saturating_sub(announced), ..room };
        if !left.is_enough() {
            return Err(no_room(left));
        }
        let scratch = self.scratch.clone();
        let made = tokio::task::spawn_blocking(move || scratch.create()).await.map_err(ServiceError::internal)?;
        let (path, file) = made.map_err(of_io)?;
        let (sink, limit) = (Some(Sink { file, hash: Sha256::new() }), self.limits.max_upload_bytes);
        Ok(Upload { path, sink, pending: Vec::new(), n_pending: 0, n_bytes: 0, limit, disk: self.disk.clone() })
    }
}

impl Upload {
    /// # Errors
    /// If the body grows beyond the limit, or the disk is full.
    pub async fn write(&mut self, chunk: Bytes) -> Result<(), ServiceError> {
        self.n_bytes += chunk.len() as u64;
        if self.n_bytes > self.limit {
            return Err(ServiceError::new(Code::BodyTooLarge, format!("a body has at most {} bytes", self.limit)));
        }
        self.n_pending += chunk.len();
        self.pending.push(chunk);
        let is_enough = self.n_pending >= PENDING_BYTES || self.pending.len() >= PENDING_PIECES;
        if is_enough { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Result<(), ServiceError> {
        make_room(&self.disk, self.n_pending as u64)?;
        self.n_pending = 0;
        let chunks = std::mem::take(&mut self.pending);
        let lost = || ServiceError::internal("a write before did not end");
        let mut sink = self.sink.take().ok_or_else(lost)?;
        let write = move || {
            for chunk in chunks {
                sink.hash.update(&chunk);
                sink.file.write_all(&chunk)?;
            }
            Ok(sink)
        };
        let written = tokio::task::spawn_blocking(write).await.map_err(ServiceError::internal)?;
        self.sink = Some(written.map_err(of_io)?);
        Ok(())
    }

    /// # Errors
    /// If the disk is full.
    pub async fn finish(mut self) -> Result<Received, ServiceError> {
        self.flush().await?;
        let sink = self.sink.ok_or_else(|| ServiceError::internal("a write before did not end"))?;
        Ok(Received { path: self.path, digest: hex(&sink.hash.finalize()), n_bytes: self.n_bytes })
    }
}

impl Received {
    pub(super) fn path(&self) -> &Path {
        &self.path.0
    }

    /// The digest and the file.
    pub(super) fn into_parts(self) -> (String, RemovedOnDrop) {
        (self.digest, self.path)
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

pub(super) fn of_io(error: io::Error) -> ServiceError {
    if error.kind() == io::ErrorKind::StorageFull {
        return ServiceError::new(Code::StorageFull, "the disk of the service is full");
    }
    let cause = Some(error.to_string());
    ServiceError { cause, ..ServiceError::new(Code::StorageUnavailable, "the file could not be stored; try again") }
}
