//! Bytes under the name of their SHA-256, in a local folder: the only place that names object storage.
//!
//! A blob is written once and never changes: a temporary file, fsync, rename, fsync of the folder, done by `object_store`
//! (`with_fsync`), or here for a file that is moved as a whole. So when `put` or `take_file` returns, the blob survives a power cut, and a reader never sees a part
//! of one. Paths are made from the hash alone; no text of a client reaches the file system.

mod folder;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

use crate::disk::{BALLAST_BYTES, Disk};
use crate::faults::{self, Injected, Point};
use crate::records::{Clock as _, SystemClock, TimeOfDay, Timestamp};

pub use folder::BlobFolder;

/// Below this, hashing (about 1 ms a MiB at worst) is cheaper than a hop to a blocking thread.
const HASH_INLINE_BYTES: usize = 64 << 10;

/// A blob of this size may take from the ballast of a full disk: a quarter, so that the record that names it can be written
/// too.
const SPARED_BYTES: u64 = BALLAST_BYTES / 4;

/// A blob that was put within this time may be waiting for the record that names it.
pub const YOUNG: Duration = Duration::from_secs(3600);

/// The SHA-256 of a blob, as 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobId(String);

/// Why a blob cannot be stored or had.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    #[error("a blob's name is 64 lower-case hexadecimal digits")]
    InvalidId,
    #[error("blob {0} is not stored")]
    Missing(BlobId),
    /// The bytes are not those that were stored: a damaged disk, or a hand in the folder.
    #[error("blob {0} is damaged: its bytes do not have its hash")]
    Corrupt(BlobId),
    /// No space, or no quota, is left.
    #[error("the storage is full")]
    Full(#[source] Box<dyn Error + Send + Sync>),
    #[error("the storage cannot be used")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
}

/// A folder of blobs. Clones share it.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    root: PathBuf,
    /// Whose ballast may be given up.
    disk: Option<Disk>,
    /// Read while a blob is put, written while one is removed: what is just being named is not taken away.
    gate: Arc<RwLock<()>>,
}

impl Blobs {
    /// Opens a folder, which is made if it is not there, and removes what a crash left half written.
    /// Blocks: it is for the start of the program. The caller holds the data directory's lock.
    ///
    /// # Errors
    /// A folder that cannot be made or read.
    pub fn open(root: &Path) -> Result<Self, BlobError> {
        std::fs::create_dir_all(root).map_err(from_io)?;
        remove_unfinished(root).map_err(from_io)?;
        let store = LocalFileSystem::new_with_prefix(root).map_err(from_store)?.with_fsync(true);
        Ok(Self { store: Arc::new(store), root: root.to_owned(), disk: None, gate: Arc::default() })
    }

    /// With a ballast to give up.
    #[must_use]
    pub fn on(self, disk: Disk) -> Self {
        Self { disk: Some(disk), ..self }
    }

    /// Stores bytes durably and names them. Equal bytes are stored once.
    ///
    /// # Errors
    /// Full or unavailable storage.
    pub async fn put(&self, bytes: Bytes) -> Result<BlobId, BlobError> {
        let id = hash(bytes.clone()).await?;
        let _gate = self.gate.read().await;
        if !self.has_young(&id, bytes.len() as u64).await? {
            faults::hit(Point::BlobBeforeRename)?;
            self.store.put(&id.path(), PutPayload::from_bytes(bytes)).await.map_err(from_store)?;
            faults::hit(Point::BlobAfterRename)?;
        }
        Ok(id)
    }

    /// Whether the disk has more room than is kept for what must go on.
    pub fn has_room(&self) -> bool {
        self.disk.as_ref().is_none_or(|disk| disk.room().is_ok_and(|room| room.is_enough()))
    }

    /// As [`Blobs::put`], for what must go on when the disk is full: a small blob is put in the place of the ballast.
    ///
    /// # Errors
    /// As [`Blobs::put`].
    pub async fn put_at_all_costs(&self, bytes: Bytes) -> Result<BlobId, BlobError> {
        match (self.put(bytes.clone()).await, &self.disk) {
            (Err(BlobError::Full(_)), Some(disk)) if bytes.len() as u64 <= SPARED_BYTES => {
                disk.give_up_ballast();
                self.put(bytes).await
            }
            (done, _) => done,
        }
    }

    /// Stores a file whose SHA-256 is known, by moving it; it lies in the file system of the folder.
    ///
    /// # Errors
    /// As [`Blobs::put`]; a file that cannot be moved.
    pub async fn take_file(&self, path: &Path, digest: &[u8; 32]) -> Result<BlobId, BlobError> {
        let id = BlobId::of_digest(digest);
        let len = tokio::fs::metadata(path).await.map_err(from_io)?.len();
        let _gate = self.gate.read().await;
        if self.has_young(&id, len).await? {
            return Ok(id);
        }
        let (from, to) = (path.to_owned(), self.path_of(&id));
        let moved = tokio::task::spawn_blocking(move || move_durably(&from, &to));
        moved.await.map_err(|e| BlobError::Unavailable(e.into()))?.map_err(from_io)?;
        Ok(id)
    }

    fn path_of(&self, id: &BlobId) -> PathBuf {
        self.root.join(PathBuf::from_iter(id.parts()))
    }

    /// Whether a blob of this name and size is there that was put lately. The size shows a file that was cut by hand; such
    /// a one is written again, and so is an old one, so that it counts as young until a record names it.
    async fn has_young(&self, id: &BlobId, len: u64) -> Result<bool, BlobError> {
        match self.store.head(&id.path()).await {
            Ok(found) => Ok(found.size == len && age(&found) < YOUNG / 2),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(from_store(error)),
        }
    }

    /// The bytes of a blob, checked against its name.
    ///
    /// # Errors
    /// A blob that is missing or damaged, unavailable storage.
    pub async fn get(&self, id: &BlobId) -> Result<Bytes, BlobError> {
        let missing = |error| match error {
            object_store::Error::NotFound { .. } => BlobError::Missing(id.clone()),
            error => from_store(error),
        };
        let bytes = self.store.get(&id.path()).await.map_err(missing)?.bytes().await.map_err(from_store)?;
        if hash(bytes.clone()).await? != *id {
            return Err(BlobError::Corrupt(id.clone()));
        }
        Ok(bytes)
    }

    /// The file of a blob, for who needs a part of it. Its bytes are not checked against its name.
    ///
    /// # Errors
    /// A blob that is missing, unavailable storage.
    pub async fn file(&self, id: &BlobId) -> Result<PathBuf, BlobError> {
        if !self.exists(id).await? {
            return Err(BlobError::Missing(id.clone()));
        }
        Ok(self.path_of(id))
    }

    /// # Errors
    /// Unavailable storage.
    pub async fn exists(&self, id: &BlobId) -> Result<bool, BlobError> {
        match self.store.head(&id.path()).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(from_store(error)),
        }
    }

    /// Removes a blob; it is no error if it is not there.
    ///
    /// # Errors
    /// Unavailable storage.
    pub async fn delete(&self, id: &BlobId) -> Result<(), BlobError> {
        match self.store.delete(&id.path()).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(from_store(error)),
        }
    }

    /// Removes a blob that has lain for `grace`, unless `named` says that a record names it; whether it did. Meanwhile no
    /// blob is put.
    ///
    /// # Errors
    /// Unavailable storage, and what `named` fails with.
    pub async fn remove_unless<E: From<BlobError>>(
        &self,
        id: &BlobId,
        grace: Duration,
        named: impl Future<Output = Result<bool, E>>,
    ) -> Result<bool, E> {
        let _gate = self.gate.write().await;
        let found = match self.store.head(&id.path()).await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(from_store(error).into()),
        };
        if age(&found) < grace || named.await? {
            return Ok(false);
        }
        self.delete(id).await?;
        Ok(true)
    }

    /// The names of all blobs, sorted. Files that are no blobs are passed over.
    ///
    /// # Errors
    /// Unavailable storage.
    pub async fn list(&self) -> Result<Vec<BlobId>, BlobError> {
        let names = self.store.list(None).map_ok(|meta| meta.location.as_ref().replace('/', "").parse::<BlobId>());
        let found: Vec<_> = names.try_collect().await.map_err(from_store)?;
        let mut ids: Vec<BlobId> = found.into_iter().filter_map(Result::ok).collect();
        ids.sort_unstable();
        Ok(ids)
    }
}

/// How long a blob has lain at least. It was stamped by the time of day, which may have been set before or since: the
/// shorter of two measures is sure. One from the future is new.
fn age(meta: &ObjectMeta) -> Duration {
    let written = Timestamp::from_millis(meta.last_modified.timestamp_millis());
    SystemClock.now().since(written).min(TimeOfDay.now().since(written))
}

impl BlobId {
    /// The name of these bytes. Blocks for the time of a hash.
    pub fn of(bytes: &[u8]) -> Self {
        Self::of_digest(&Sha256::digest(bytes).into())
    }

    fn of_digest(digest: &[u8; 32]) -> Self {
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `ab` and `cdef…`: 256 folders keep each of them small.
    fn parts(&self) -> [&str; 2] {
        let (folder, file) = self.0.split_at(2);
        [folder, file]
    }

    fn path(&self) -> ObjectPath {
        ObjectPath::from_iter(self.parts())
    }
}

impl FromStr for BlobId {
    type Err = BlobError;

    fn from_str(text: &str) -> Result<Self, BlobError> {
        let is_hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if text.len() == 64 && is_hex { Ok(Self(text.to_owned())) } else { Err(BlobError::InvalidId) }
    }
}

impl TryFrom<String> for BlobId {
    type Error = BlobError;

    fn try_from(text: String) -> Result<Self, BlobError> {
        text.parse()
    }
}

impl From<BlobId> for String {
    fn from(id: BlobId) -> Self {
        id.0
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

async fn hash(bytes: Bytes) -> Result<BlobId, BlobError> {
    if bytes.len() <= HASH_INLINE_BYTES {
        return Ok(BlobId::of(&bytes));
    }
    tokio::task::spawn_blocking(move || BlobId::of(&bytes)).await.map_err(|e| BlobError::Unavailable(e.into()))
}

/// In place of what may be there: the bytes, then the name, then the folder of the name survive a power cut.
fn move_durably(from: &Path, to: &Path) -> io::Result<()> {
    let folder = to.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        std::fs::create_dir_all(folder)?;
        sync_folder(folder.parent().unwrap_or(Path::new(".")))?;
    }
    std::fs::File::open(from)?.sync_all()?;
    faults::hit(Point::BlobBeforeRename).map_err(io::Error::other)?;
    std::fs::rename(from, to)?;
    faults::hit(Point::BlobAfterRename).map_err(io::Error::other)?;
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    std::fs::File::open(folder)?.sync_all()
}

/// `object_store` writes to `name#1` before it renames; what is so called at start belongs to nobody.
fn remove_unfinished(root: &Path) -> io::Result<()> {
    for folder in folders(root)? {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name().to_string_lossy().contains('#') {
                std::fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}

/// The folders that blobs may lie in.
fn folders(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    Ok(found)
}

impl From<Injected> for BlobError {
    fn from(injected: Injected) -> Self {
        BlobError::Unavailable(injected.into())
    }
}

fn from_io(error: io::Error) -> BlobError {
    if is_full(&error) { BlobError::Full(error.into()) } else { BlobError::Unavailable(error.into()) }
}

fn from_store(error: object_store::Error) -> BlobError {
    if is_full(&error) { BlobError::Full(error.into()) } else { BlobError::Unavailable(error.into()) }
}

/// Whether a full disk or quota is at the bottom of it.
fn is_full(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |e| (*e).source()).filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| {
        let inner_is_full = e.get_ref().is_some_and(|inner| is_full(inner));
        inner_is_full || matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_is_got_once_under_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let id = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(id.as_str(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(blobs.put(Bytes::from_static(b"abc")).await.unwrap(), id);
        assert_eq!(blobs.get(&id).await.unwrap(), "abc");
        assert!(folder.path().join("ba").join(&id.as_str()[2..]).is_file());
        let large = Bytes::from(vec![7u8; 1 << 20]);
        let second = blobs.put(large.clone()).await.unwrap();
        assert_eq!(blobs.get(&second).await.unwrap(), large);
        let mut both = vec![id.clone(), second];
        both.sort_unstable();
        assert_eq!(blobs.list().await.unwrap(), both);
        blobs.delete(&id).await.unwrap();
        blobs.delete(&id).await.unwrap();
        assert!(!blobs.exists(&id).await.unwrap());
        assert!(matches!(blobs.get(&id).await, Err(BlobError::Missing(lost)) if lost == id));
    }

    #[tokio::test]
    async fn a_file_becomes_a_blob_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs")).unwrap();
        let file = folder.path().join("scratch");
        for bytes in [b"abc".as_slice(), b"abd"] {
            std::fs::write(&file, bytes).unwrap();
            let id = blobs.take_file(&file, &Sha256::digest(bytes).into()).await.unwrap();
            assert_eq!(id, BlobId::of(bytes));
            assert_eq!(blobs.get(&id).await.unwrap(), bytes);
            assert!(!file.exists());
            assert_eq!(std::fs::read(blobs.file(&id).await.unwrap()).unwrap(), bytes);
        }
        std::fs::write(&file, b"abc").unwrap();
        let digest = Sha256::digest(b"abc").into();
        let id = blobs.take_file(&file, &digest).await.unwrap();
        assert_eq!((blobs.get(&id).await.unwrap(), blobs.list().await.unwrap().len()), ("abc".into(), 2));
        assert!(blobs.take_file(&folder.path().join("none"), &digest).await.is_err());
    }

    #[tokio::test]
    async fn a_damaged_blob_is_refused_and_a_cut_one_is_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let id = blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        let file = folder.path().join("ba").join(&id.as_str()[2..]);
        std::fs::write(&file, b"abd").unwrap();
        assert!(matches!(blobs.get(&id).await, Err(BlobError::Corrupt(_))));
        std::fs::write(&file, b"a").unwrap();
        assert!(matches!(blobs.get(&id).await, Err(BlobError::Corrupt(_))));
        blobs.put(Bytes::from_static(b"abc")).await.unwrap();
        assert_eq!(blobs.get(&id).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn opening_removes_what_a_crash_left() {
        let folder = tempfile::tempdir().unwrap();
        let id = Blobs::open(folder.path()).unwrap().put(Bytes::from_static(b"abc")).await.unwrap();
        let half = folder.path().join("ba").join(format!("{}#1", &id.as_str()[2..]));
        std::fs::write(&half, b"ab").unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        assert!(!half.exists());
        assert_eq!(blobs.list().await.unwrap(), [id]);
    }

    #[test]
    fn only_a_hash_is_a_name() {
        for text in ["", "abc", "../../etc/passwd", &"g".repeat(64), &"A".repeat(64), &"a".repeat(65), &"é".repeat(32)]
        {
            assert!(matches!(text.parse::<BlobId>(), Err(BlobError::InvalidId)), "{text}");
        }
        assert!("a".repeat(64).parse::<BlobId>().is_ok());
        assert!(serde_json::from_str::<BlobId>("\"../x\"").is_err());
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let wrap = |kind: io::ErrorKind| object_store::Error::Generic {
            store: "test",
            source: Box::new(io::Error::other(io::Error::from(kind))),
        };
        assert!(matches!(from_store(wrap(io::ErrorKind::StorageFull)), BlobError::Full(_)));
        assert!(matches!(from_store(wrap(io::ErrorKind::PermissionDenied)), BlobError::Unavailable(_)));
        assert!(matches!(from_io(io::Error::from(io::ErrorKind::QuotaExceeded)), BlobError::Full(_)));
    }
}
