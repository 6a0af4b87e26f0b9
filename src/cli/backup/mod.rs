//! `adaptd backup`: a copy of a data folder at one moment, made beside the service that uses it.
//!
//! Blobs are copied first, then the database, then the blobs that came between. One that the database names may have been
//! removed before it was copied: then the database has changed too, and is copied again.

mod archive;
mod manifest;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

pub(super) use archive::unpack;
pub(super) use manifest::{DATABASE, Manifest, sha256_of};

use crate::blobs::{BlobError, BlobFolder, BlobId};
use crate::store::SqliteBeside;

/// Snapshots taken because something that was named had been removed meanwhile. Each takes a deletion that came just then
/// and a collection of blobs: after so many something else is wrong.
const MAX_SNAPSHOTS: u32 = 5;

#[derive(Debug, Args)]
pub struct Arguments {
    /// The folder of the service, which may be running
    #[arg(long, value_name = "DIR", env = "ADAPTD_DATA", default_value = "adaptd-data")]
    data: PathBuf,
    /// Where the backup is to lie, which must not be there yet: a folder, or one file if the name ends in .zip
    #[arg(long, value_name = "FOLDER|FILE.zip")]
    to: PathBuf,
}

/// A folder that is removed unless it is put in its place.
pub(super) struct Unfinished(PathBuf);

impl Unfinished {
    /// Beside `place`, so that it can be moved there.
    pub(super) fn beside(place: &Path) -> anyhow::Result<Self> {
        let name = place.file_name().with_context(|| format!("{}: not a name", place.display()))?;
        let path = parent(place).join(format!(".{}.unfinished-{}", name.to_string_lossy(), uuid::Uuid::new_v4()));
        std::fs::create_dir_all(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Moves it to its place at once. An empty folder there is replaced.
    pub(super) fn put(self, place: &Path) -> anyhow::Result<()> {
        sync(&self.0)?;
        std::fs::rename(&self.0, place).with_context(|| place.display().to_string())?;
        sync(parent(place))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After `put` there is nothing of that name.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// # Errors
/// If there is something in the place, or something that is named is not there or is damaged.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { data, to } = arguments;
    ensure!(data.join(DATABASE).is_file(), "--data {}: there is no {DATABASE} in it", data.display());
    ensure!(!to.exists(), "--to {}: is there already; a backup is never written over another", to.display());
    std::fs::create_dir_all(parent(&to)).with_context(|| parent(&to).display().to_string())?;
    let unfinished = Unfinished::beside(&to)?;
    let manifest = fill(&data, unfinished.path()).await?;
    let n_bytes: u64 = manifest.blobs.values().sum::<u64>() + manifest.database.bytes;
    if to.extension().is_some_and(|e| e == "zip") {
        archive::pack(unfinished.path(), &to)?;
    } else {
        unfinished.put(&to)?;
    }
    let count = |what: &str| manifest.counts.get(what).copied().unwrap_or(0);
    println!(
        "{}: {} versions of domains, {} of models, {} jobs, {} files; {n_bytes} bytes",
        to.display(),
        count("domain_versions"),
        count("model_versions"),
        count("jobs"),
        manifest.blobs.len()
    );
    Ok(())
}

/// Copies everything into an empty folder.
async fn fill(data: &Path, folder: &Path) -> anyhow::Result<Manifest> {
    let database = data.join(DATABASE);
    let mut live = SqliteBeside::open(&database).await.with_context(|| database.display().to_string())?;
    let mut copies = Copies {
        from: BlobFolder::at(&data.join("blobs")),
        to: BlobFolder::at(&folder.join("blobs")),
        done: BTreeMap::new(),
    };
    // Most of the bytes, while the database goes on. What is gone is perhaps not named any more.
    let first = named(&mut live).await?;
    tokio::task::block_in_place(|| copies.add(&first))?;
    let snapshot = folder.join(DATABASE);
    for _ in 0..MAX_SNAPSHOTS {
        live.snapshot(&snapshot).await.context("the database cannot be copied")?;
        let mut beside = SqliteBeside::open(&snapshot).await?;
        let (named, schema, counts) = (named(&mut beside).await?, beside.schema().await?, beside.counts().await?);
        beside.close().await?;
        if tokio::task::block_in_place(|| copies.add(&named))?.is_none() {
            live.close().await?;
            File::open(&snapshot)?.sync_all()?;
            let blobs = copies.only(&named)?;
            let manifest = Manifest::of(schema.version, counts, blobs, &snapshot)?;
            manifest.write(folder)?;
            return Ok(manifest);
        }
        std::fs::remove_file(&snapshot)?;
    }
    let named = named(&mut live).await?;
    match tokio::task::block_in_place(|| copies.add(&named))? {
        Some((id, named_by)) => bail!("blob {id} of {named_by} is not there; adaptd doctor tells more"),
        None => bail!("domains and models are deleted faster than they can be copied; try again"),
    }
}

/// Blobs that a database names, with one of the records that do.
async fn named(database: &mut SqliteBeside) -> anyhow::Result<BTreeMap<BlobId, String>> {
    let named = database.named_blobs().await?;
    named.into_iter().map(|n| Ok((n.blob.parse().with_context(|| n.named_by.clone())?, n.named_by))).collect()
}

/// Blobs that were copied, with their sizes.
struct Copies {
    from: BlobFolder,
    to: BlobFolder,
    done: BTreeMap<BlobId, u64>,
}

impl Copies {
    /// Copies what is not copied yet; one that is not there, with who names it.
    fn add(&mut self, named: &BTreeMap<BlobId, String>) -> anyhow::Result<Option<(BlobId, String)>> {
        let mut missing = None;
        for (id, named_by) in named {
            if self.done.contains_key(id) {
                continue;
            }
            match self.from.copy(id, &self.to) {
                Ok(n_bytes) => drop(self.done.insert(id.clone(), n_bytes)),
                Err(BlobError::Missing(_)) => missing = Some((id.clone(), named_by.clone())),
                Err(error) => return Err(error).with_context(|| named_by.clone()),
            }
        }
        Ok(missing)
    }

    /// Removes what came to be named no more.
    fn only(self, named: &BTreeMap<BlobId, String>) -> anyhow::Result<BTreeMap<BlobId, u64>> {
        let (kept, gone): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.done.into_iter().partition(|(id, _)| named.contains_key(id));
        for id in gone.keys() {
            self.to.remove(id)?;
        }
        Ok(kept)
    }
}

/// Makes the names in a folder survive a power cut.
pub(super) fn sync(folder: &Path) -> anyhow::Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.with_context(|| folder.display().to_string())
}

pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
