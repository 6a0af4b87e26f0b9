//! Bodies that come packed, as what they unpack to.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Received;
use super::domains::of_ingest;
use super::error::ServiceError;
use super::scratch::{RemovedOnDrop, Scratch, hex, of_io};
use crate::ingest::{self, Coding, Format, Source};

/// The data of an upload.
pub(super) struct Contents {
    pub(super) source: Source,
    pub(super) format: Format,
    /// SHA-256 of it, in hexadecimal: data is the same however it was packed.
    pub(super) digest: String,
    /// That it was unpacked, where nobody said that it is packed.
    pub(super) note: Option<String>,
    /// The file that the source reads, if there is one.
    _file: Option<RemovedOnDrop>,
}

impl Contents {
    /// Rows of a document that is in memory.
    pub(super) fn rows(bytes: Bytes) -> Self {
        let digest = hex(&Sha256::digest(&bytes));
        Self { source: bytes.into(), format: Format::JsonRows, digest, note: None, _file: None }
    }

    /// What was received; packed data is unpacked to another file.
    pub(super) fn of(
        received: Received,
        named: Option<Coding>,
        settings: &ingest::Options,
        scratch: &Scratch,
    ) -> Result<Self, ServiceError> {
        let mut file = File::open(received.path()).map_err(of_io)?;
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(of_io)?;
        let Some(coding) = named.or_else(|| Coding::from_magic(&head)) else {
            let source = Source::file(received.path().to_owned()).map_err(of_io)?;
            let format = settings.format_of(&source).map_err(|e| of_ingest(&e))?;
            let (digest, file) = received.into_parts();
            return Ok(Self { source, format, digest, note: None, _file: Some(file) });
        };
        let (path, to) = scratch.create().map_err(of_io)?;
        let (mut to, mut hash) = (BufWriter::new(to), Sha256::new());
        let mut write = |chunk: &[u8]| {
            // Packed bytes may become many.
            scratch.make_room(chunk.len() as u64).map_err(|_| io::ErrorKind::StorageFull)?;
            hash.update(chunk);
            to.write_all(chunk)
        };
        ingest::unpack_to(&mut (&head[..]).chain(file), coding, &settings.limits, &mut write)
            .map_err(|e| of_ingest(&e))?;
        to.flush().map_err(of_io)?;
        let note = named.is_none().then(|| format!("the file is packed with {} and was unpacked", coding.as_str()));
        let source = Source::file(path.path().to_owned()).map_err(of_io)?;
        let format = settings.format_of(&source).map_err(|e| of_ingest(&e))?;
        Ok(Self { source, format, digest: hex(&hash.finalize()), note, _file: Some(path) })
    }
}

/// Unpacks a document that may take so many bytes.
///
/// # Errors
/// More than so many bytes, or bytes that are not packed so.
pub fn unpack_document(bytes: &[u8], coding: Coding, most: u64) -> Result<Bytes, ServiceError> {
    let limits = ingest::Limits { decompressed_bytes: most, ..ingest::Limits::default() };
    let unpacked = ingest::unpack(&mut &bytes[..], coding, &limits).map_err(|e| of_ingest(&e))?;
    Ok(unpacked.into())
}
