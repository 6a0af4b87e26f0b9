//! A folder of blobs that is another's: looked at and copied while its owner puts and removes, or when there is none.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{BlobError, BlobId, folders, from_io, sync_folder};

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// With which Parquet files, as all stored tables are, begin and end.
const PARQUET: &[u8; 4] = b"PAR1";

/// A folder of blobs, by its path alone.
#[derive(Debug, Clone)]
pub struct BlobFolder(PathBuf);

impl BlobFolder {
    pub fn at(root: &Path) -> Self {
        Self(root.to_owned())
    }

    fn path_of(&self, id: &BlobId) -> PathBuf {
        self.0.join(PathBuf::from_iter(id.parts()))
    }

    /// All blobs with their sizes, sorted. Files that are no blobs are passed over; a folder that is not there has none.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn list(&self) -> Result<Vec<(BlobId, u64)>, BlobError> {
        let mut found = Vec::new();
        if !self.0.is_dir() {
            return Ok(found);
        }
        for folder in folders(&self.0).map_err(from_io)? {
            let first = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            for entry in std::fs::read_dir(&folder).map_err(from_io)? {
                let entry = entry.map_err(from_io)?;
                let name = format!("{first}{}", entry.file_name().to_string_lossy());
                // One that was removed meanwhile is not there.
                if let (Ok(id), Ok(meta)) = (name.parse(), entry.metadata()) {
                    found.push((id, meta.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// # Errors
    /// A blob that is missing or cannot be read.
    pub fn size(&self, id: &BlobId) -> Result<u64, BlobError> {
        Ok(self.open(id)?.metadata().map_err(from_io)?.len())
    }

    /// Whether a blob that is a table begins and ends as one: what was cut does not. Quick, and no proof.
    ///
    /// # Errors
    /// As [`BlobFolder::size`].
    pub fn is_whole_table(&self, id: &BlobId) -> Result<bool, BlobError> {
        let mut file = self.open(id)?;
        if file.metadata().map_err(from_io)?.len() < 2 * PARQUET.len() as u64 {
            return Ok(false);
        }
        let (mut head, mut tail) = ([0; 4], [0; 4]);
        file.read_exact(&mut head).map_err(from_io)?;
        file.seek(SeekFrom::End(-4)).map_err(from_io)?;
        file.read_exact(&mut tail).map_err(from_io)?;
        Ok(head == *PARQUET && tail == *PARQUET)
    }

    /// Reads a blob and holds it to its name.
    ///
    /// # Errors
    /// A blob that is missing or damaged, or cannot be read.
    pub fn verify(&self, id: &BlobId) -> Result<u64, BlobError> {
        pass(id, self.open(id)?, &mut io::sink())
    }

    /// Copies a blob, held to its name, so that it survives a power cut; its size.
    ///
    /// # Errors
    /// As [`BlobFolder::verify`], and a copy that cannot be written.
    pub fn copy(&self, id: &BlobId, to: &BlobFolder) -> Result<u64, BlobError> {
        let from = self.open(id)?;
        let path = to.path_of(id);
        let folder = path.parent().unwrap_or(&to.0);
        std::fs::create_dir_all(folder).map_err(from_io)?;
        let mut file = File::create(&path).map_err(from_io)?;
        let copied = pass(id, from, &mut file).and_then(|n| file.sync_all().map_err(from_io).map(|()| n));
        let n_bytes = copied.inspect_err(|_| drop(std::fs::remove_file(&path)))?;
        sync_folder(folder).map_err(from_io)?;
        Ok(n_bytes)
    }

    /// # Errors
    /// A blob that cannot be removed.
    pub fn remove(&self, id: &BlobId) -> Result<(), BlobError> {
        std::fs::remove_file(self.path_of(id)).map_err(from_io)
    }

    fn open(&self, id: &BlobId) -> Result<File, BlobError> {
        File::open(self.path_of(id)).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => BlobError::Missing(id.clone()),
            _ => from_io(e),
        })
    }
}

/// Passes a blob on and holds it to its name; its size.
fn pass(id: &BlobId, mut from: impl Read, to: &mut impl Write) -> Result<u64, BlobError> {
    let (mut hash, mut piece, mut n_bytes) = (Sha256::new(), vec![0; PIECE], 0);
    loop {
        let n = from.read(&mut piece).map_err(from_io)?;
        if n == 0 {
            break;
        }
        hash.update(&piece[..n]);
        to.write_all(&piece[..n]).map_err(from_io)?;
        n_bytes += n as u64;
    }
    if BlobId::of_digest(&hash.finalize().into()) == *id { Ok(n_bytes) } else { Err(BlobError::Corrupt(id.clone())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_listed_copied_and_held_to_their_names() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (BlobFolder::at(&folder.path().join("a")), BlobFolder::at(&folder.path().join("b")));
        assert!(from.list().unwrap().is_empty());
        let id = BlobId::of(b"PAR1 a table PAR1");
        let path = from.path_of(&id);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"PAR1 a table PAR1").unwrap();
        std::fs::write(path.with_file_name("half#1"), b"not yet").unwrap();
        assert_eq!(from.list().unwrap(), [(id.clone(), 17)]);
        assert_eq!(from.copy(&id, &to).unwrap(), 17);
        assert_eq!((to.list().unwrap(), to.verify(&id).unwrap()), (from.list().unwrap(), 17));
        assert!(from.is_whole_table(&id).unwrap());

        std::fs::write(&path, b"PAR1 a tab").unwrap();
        assert!(!from.is_whole_table(&id).unwrap());
        assert!(matches!(from.verify(&id), Err(BlobError::Corrupt(_))));
        to.remove(&id).unwrap();
        assert!(matches!(from.copy(&id, &to), Err(BlobError::Corrupt(_))));
        assert!(matches!(to.size(&id), Err(BlobError::Missing(_))), "nothing of a damaged copy is left");
    }
}
