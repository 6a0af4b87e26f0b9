//! Blobs beside what records say of them.

use std::collections::BTreeMap;
use std::path::Path;

use super::Depth;
use crate::blobs::{BlobError, BlobFolder, BlobId};
use crate::records::{Check, Finding};
use crate::store::{BlobForm, NamedBlob, SqliteBeside};

/// What is wrong with the blobs that are named, and which are not.
pub(super) async fn look(database: &mut SqliteBeside, folder: &Path, depth: Depth) -> anyhow::Result<Vec<Finding>> {
    let folder = BlobFolder::at(folder);
    // Listed first: a blob that comes later is not missed for a record that is not read yet.
    let there = folder.list()?;
    let named = by_name(database).await?;
    let mut findings = tokio::task::block_in_place(|| -> anyhow::Result<Vec<Finding>> {
        let looked = named.values().map(|blob| check(&folder, blob, depth));
        Ok(looked.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    })?;
    if findings.iter().any(|f| f.check == Check::BlobMissing) {
        // What was deleted while we looked may be gone.
        let still = by_name(database).await?;
        findings.retain(|f| f.check != Check::BlobMissing || still.contains_key(&f.subject));
    }
    for (id, n_bytes) in there.iter().filter(|(id, _)| !named.contains_key(id.as_str())) {
        let detail = format!("{n_bytes} bytes that no record names");
        findings.push(Finding { check: Check::BlobUnnamed, subject: id.to_string(), detail });
    }
    Ok(findings)
}

/// One of the records that name each blob; the one that tells its size, if one does.
async fn by_name(database: &mut SqliteBeside) -> anyhow::Result<BTreeMap<String, NamedBlob>> {
    let mut named = BTreeMap::new();
    for blob in database.named_blobs().await? {
        let known = named.entry(blob.blob.clone()).or_insert_with(|| blob.clone());
        if known.n_bytes.is_none() {
            *known = blob;
        }
    }
    Ok(named)
}

fn check(folder: &BlobFolder, named: &NamedBlob, depth: Depth) -> Result<Option<Finding>, BlobError> {
    let finding = |check, detail: String| {
        let detail = format!("{detail}; it is of {}", named.named_by);
        Ok(Some(Finding { check, subject: named.blob.clone(), detail }))
    };
    let Ok(id) = named.blob.parse::<BlobId>() else {
        return finding(Check::BlobMissing, "not the name of a blob".into());
    };
    let size = match folder.size(&id) {
        Ok(size) => size,
        Err(BlobError::Missing(_)) => return finding(Check::BlobMissing, "not there".into()),
        Err(error) => return Err(error),
    };
    if let Some(expected) = named.n_bytes.filter(|n| *n != size) {
        return finding(Check::BlobSize, format!("has {size} bytes and not {expected}"));
    }
    // The size of a stored table is written nowhere.
    if named.form == BlobForm::Table && !folder.is_whole_table(&id)? {
        return finding(Check::BlobSize, format!("{size} bytes that are no whole table"));
    }
    match depth {
        Depth::Sizes => Ok(None),
        Depth::Hashes => match folder.verify(&id) {
            Ok(_) => Ok(None),
            Err(BlobError::Corrupt(_)) => finding(Check::BlobDamaged, "its bytes have not its hash".into()),
            Err(error) => Err(error),
        },
    }
}
