//! A backup as one file: a ZIP of what the folder would hold, not packed further, because tables and models are.

use std::fs::File;
use std::io::{self, BufReader, BufWriter};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::manifest::{DATABASE, MANIFEST, Manifest};
use super::parent;
use crate::blobs::BlobId;

/// Writes a folder that holds a backup into a file, which is in its place only once it is whole.
pub(super) fn pack(folder: &Path, to: &Path) -> anyhow::Result<()> {
    let unfinished = folder.join("packed");
    let mut zip = ZipWriter::new(BufWriter::new(File::create(&unfinished)?));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
    for name in names(&Manifest::read(folder)?) {
        let mut file = File::open(folder.join(&name)).with_context(|| name.display().to_string())?;
        zip.start_file_from_path(&name, options)?;
        io::copy(&mut file, &mut zip)?;
    }
    let written = zip.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
    written.sync_all()?;
    std::fs::rename(&unfinished, to).with_context(|| to.display().to_string())?;
    super::sync(parent(to))
}

/// Unpacks such a file into a folder. Only names that a backup has are taken.
pub fn unpack(from: &Path, folder: &Path) -> anyhow::Result<()> {
    let not_one = || format!("{}: not a backup", from.display());
    let file = File::open(from).with_context(|| from.display().to_string())?;
    let mut zip = ZipArchive::new(BufReader::new(file)).with_context(not_one)?;
    for i in 0..zip.len() {
        let mut entry = zip.by_index(i).with_context(not_one)?;
        let name = entry.name().with_context(not_one)?.into_owned();
        ensure!(is_of_backup(&name), "{}: {name:?} is no part of a backup", from.display());
        let to = folder.join(&name);
        std::fs::create_dir_all(parent(&to))?;
        let mut to = File::create(&to)?;
        io::copy(&mut entry, &mut to).with_context(|| name.clone())?;
        to.sync_all()?;
    }
    Ok(())
}

/// The files of a backup, the manifest last.
fn names(manifest: &Manifest) -> Vec<PathBuf> {
    let blob = |id: &BlobId| Path::new("blobs").join(&id.as_str()[..2]).join(&id.as_str()[2..]);
    let blobs = manifest.blobs.keys().map(blob);
    std::iter::once(DATABASE.into()).chain(blobs).chain([MANIFEST.into()]).collect()
}

fn is_of_backup(name: &str) -> bool {
    let is_blob = |name: &str| {
        let (folder, file) = name.split_once('/')?;
        Some(folder.len() == 2 && format!("{folder}{file}").parse::<BlobId>().is_ok())
    };
    name == DATABASE || name == MANIFEST || name.strip_prefix("blobs/").and_then(is_blob).unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let hash = "a".repeat(62);
        assert!(is_of_backup(DATABASE) && is_of_backup(MANIFEST) && is_of_backup(&format!("blobs/ab/{hash}")));
        for bad in ["../adaptd.db", "/adaptd.db", "blobs/../../x", "blobs/ab/../x", "blobs/", "other"] {
            assert!(!is_of_backup(bad), "{bad}");
        }
        assert!(!is_of_backup(&format!("blobs/abc/{}", "a".repeat(61))));
    }
}
