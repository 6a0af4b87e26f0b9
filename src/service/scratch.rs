//! Bodies on their way in: written to a file of ours, hashed and counted as they arrive, so that
//! memory does not grow with them and a client's name never becomes a path.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::Service;
use super::error::{Code, ServiceError};

/// A body that is being received. The file is removed when this is dropped.
#[derive(Debug)]
pub struct Upload {
    file: File,
    path: RemovedOnDrop,
    hash: Sha256,
    n_bytes: u64,
    limit: u64,
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
#[derive(Debug, Clone)]
pub(super) struct Scratch(PathBuf);

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
    pub(super) fn prepare(folder: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        for entry in std::fs::read_dir(&folder)? {
            std::fs::remove_file(entry?.path())?;
        }
        Ok(Self(folder))
    }

    /// A new file, open to be written and read.
    pub(super) fn create(&self) -> io::Result<(RemovedOnDrop, std::fs::File)> {
        let path = RemovedOnDrop(self.0.join(Uuid::new_v4().to_string()));
        let file = std::fs::File::options().read(true).write(true).create_new(true).open(&path.0)?;
        Ok((path, file))
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

    /// # Errors
    /// If no file can be made.
    pub async fn begin_upload(&self) -> Result<Upload, ServiceError> {
        let (path, file) = self.scratch.create().map_err(of_io)?;
        Ok(Upload {
            file: File::from_std(file),
            path,
            hash: Sha256::new(),
            n_bytes: 0,
            limit: self.limits.max_upload_bytes,
        })
    }
}

impl Upload {
    /// # Errors
    /// If the body grows beyond the limit, or the disk is full.
    pub async fn write(&mut self, chunk: &[u8]) -> Result<(), ServiceError> {
        self.n_bytes += chunk.len() as u64;
        if self.n_bytes > self.limit {
            return Err(ServiceError::new(Code::BodyTooLarge, format!("a body has at most {} bytes", self.limit)));
        }
        self.hash.update(chunk);
        self.file.write_all(chunk).await.map_err(of_io)
    }

    /// # Errors
    /// If the disk is full.
    pub async fn finish(mut self) -> Result<Received, ServiceError> {
        self.file.flush().await.map_err(of_io)?;
        let digest = hex(&self.hash.finalize());
        Ok(Received { path: self.path, digest, n_bytes: self.n_bytes })
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
