//! What a backup says of itself: of which program and form it is, how much there is, and the hash of every file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::blobs::BlobId;
use crate::records::{Clock as _, SystemClock, Timestamp};

/// The database, in a data folder and in a backup.
pub const DATABASE: &str = "adaptd.db";

pub(super) const MANIFEST: &str = "manifest.json";

/// The form of backups that is written; there was none before.
const FORMAT: u32 = 1;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// Of the program that made it.
    pub version: String,
    /// The newest migration of the database.
    pub schema: i64,
    pub created_at: Timestamp,
    pub database: DatabaseFile,
    /// Rows of tables.
    pub counts: BTreeMap<String, i64>,
    /// Bytes of each blob, by its SHA-256.
    pub blobs: BTreeMap<BlobId, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatabaseFile {
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    pub(super) fn of(
        schema: i64,
        counts: BTreeMap<String, i64>,
        blobs: BTreeMap<BlobId, u64>,
        database: &Path,
    ) -> anyhow::Result<Self> {
        let database = DatabaseFile { bytes: std::fs::metadata(database)?.len(), sha256: sha256_of(database)? };
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Ok(Self { format: FORMAT, version, schema, created_at: SystemClock.now(), database, counts, blobs })
    }

    /// Last of all files, so that a backup without it is known to be none.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let mut file = File::create(folder.join(MANIFEST))?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.write_all(b"\n")?;
        Ok(file.sync_all()?)
    }

    /// # Errors
    /// A folder that is no backup, or one of a newer program.
    pub fn read(folder: &Path) -> anyhow::Result<Self> {
        let path = folder.join(MANIFEST);
        let file = File::open(&path).with_context(|| format!("{}: not a backup", path.display()))?;
        let manifest: Self = serde_json::from_reader(std::io::BufReader::new(file))
            .with_context(|| format!("{}: not the manifest of a backup", path.display()))?;
        ensure!(
            manifest.format == FORMAT,
            "the backup is of form {}, this program reads form {FORMAT}: use adaptd {}",
            manifest.format,
            manifest.version
        );
        Ok(manifest)
    }
}

/// The SHA-256 of a file, in hexadecimal.
pub fn sha256_of(path: &Path) -> anyhow::Result<String> {
    let mut file = File::open(path).with_context(|| path.display().to_string())?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        match file.read(&mut piece)? {
            0 => break,
            n => hash.update(&piece[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
