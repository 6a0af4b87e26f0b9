//! `adaptd restore`: makes a new data folder of a backup, of which every byte is held to its hash before anything is in
//! its place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use clap::Args;

use super::backup::{DATABASE, Manifest, Unfinished, sha256_of, unpack};
use super::in_use::is_in_use;
use crate::blobs::{BlobFolder, BlobId};
use crate::records::{Clock as _, Severity, SystemClock};
use crate::store::{Owner, SqliteBeside};

#[derive(Debug, Args)]
pub struct Arguments {
    /// A backup: a folder, or a file
    #[arg(long, value_name = "FOLDER|FILE.zip")]
    from: PathBuf,
    /// The data folder to make; it must not be there yet, or be empty
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// # Errors
/// A backup that is not whole, or a place that is taken.
pub(super) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let Arguments { from, data } = arguments;
    check_place(&data)?;
    std::fs::create_dir_all(super::backup::parent(&data)).with_context(|| data.display().to_string())?;
    // The copy is checked and not the backup: what was read wrongly, or changes meanwhile, is found too.
    let unfinished = Unfinished::beside(&data)?;
    let manifest = tokio::task::block_in_place(|| copy(&from, unfinished.path()))?;
    check(&manifest, unfinished.path()).await.with_context(|| format!("--from {}", from.display()))?;
    unfinished.put(&data)?;
    println!("{}: as it was at {}; adaptd serve --data {}", data.display(), manifest.created_at, data.display());
    Ok(())
}

fn check_place(data: &Path) -> anyhow::Result<()> {
    if !data.exists() {
        return Ok(());
    }
    if is_in_use(data)? {
        bail!("--data {}: an adaptd uses this folder; restore into another", data.display());
    }
    let mut entries = std::fs::read_dir(data).with_context(|| format!("--data {}", data.display()))?;
    ensure!(entries.next().is_none(), "--data {}: is not empty; restore into a new folder", data.display());
    Ok(())
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<Manifest> {
    if from.is_file() {
        unpack(from, to)?;
        let manifest = Manifest::read(to)?;
        let blobs = BlobFolder::at(&to.join("blobs"));
        for (id, n_bytes) in &manifest.blobs {
            ensure!(blobs.verify(id)? == *n_bytes, "blob {id} has not the size that the manifest tells");
        }
        return Ok(manifest);
    }
    let manifest = Manifest::read(from)?;
    std::fs::copy(from.join("manifest.json"), to.join("manifest.json"))?;
    std::fs::copy(from.join(DATABASE), to.join(DATABASE)).with_context(|| from.join(DATABASE).display().to_string())?;
    std::fs::File::open(to.join(DATABASE))?.sync_all()?;
    let (source, blobs) = (BlobFolder::at(&from.join("blobs")), BlobFolder::at(&to.join("blobs")));
    for (id, n_bytes) in &manifest.blobs {
        ensure!(source.copy(id, &blobs)? == *n_bytes, "blob {id} has not the size that the manifest tells");
    }
    Ok(manifest)
}

/// Holds the database to its hash, to itself, and to the blobs that it names.
async fn check(manifest: &Manifest, folder: &Path) -> anyhow::Result<()> {
    let database = folder.join(DATABASE);
    ensure!(
        sha256_of(&database)? == manifest.database.sha256,
        "{DATABASE} is damaged: it has not the hash of the manifest"
    );
    let mut beside = SqliteBeside::open_to_inspect(&database).await?;
    let schema = beside.schema().await?;
    ensure!(
        schema.version <= schema.known,
        "the backup is of a newer program, adaptd {}: restore it with that",
        manifest.version
    );
    let findings = beside.inspect(Owner::Gone, SystemClock.now()).await?;
    if let Some(bad) = findings.iter().find(|f| f.check.severity() == Severity::Error) {
        bail!("{}: {}", bad.subject, bad.detail);
    }
    let named: BTreeSet<BlobId> =
        beside.named_blobs().await?.into_iter().map(|n| n.blob.parse()).collect::<Result<_, _>>()?;
    beside.close().await?;
    if let Some(missing) = named.iter().find(|id| !manifest.blobs.contains_key(id)) {
        bail!("blob {missing} is named and is not in the backup");
    }
    Ok(())
}
