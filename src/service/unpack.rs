//! Bodies that come packed, as what they unpack to.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::Received;
use super::domains::of_ingest;
use super::error::ServiceError;
use super::scratch::{hex, of_io};
use crate::ingest::{self, Coding};

/// The data of an upload.
pub(super) struct Contents {
    pub(super) bytes: Bytes,
    /// SHA-256 of them, in hexadecimal: data is the same however it was packed.
    pub(super) digest: String,
    /// That it was unpacked, where nobody said that it is packed.
    pub(super) note: Option<String>,
}

impl Contents {
    pub(super) fn plain(bytes: Bytes) -> Self {
        let digest = hex(&Sha256::digest(&bytes));
        Self { bytes, digest, note: None }
    }

    /// Reads what was received; packed data as a stream, so that only what it unpacks to is held.
    pub(super) fn of(
        received: &Received,
        named: Option<Coding>,
        limits: &ingest::Limits,
    ) -> Result<Self, ServiceError> {
        let mut file = File::open(received.path()).map_err(of_io)?;
        let mut head = Vec::new();
        (&mut file).take(4).read_to_end(&mut head).map_err(of_io)?;
        let Some(coding) = named.or_else(|| Coding::from_magic(&head)) else {
            let bytes = Bytes::from(std::fs::read(received.path()).map_err(of_io)?);
            return Ok(Self { bytes, digest: received.digest.clone(), note: None });
        };
        let unpacked = ingest::unpack(&mut (&head[..]).chain(file), coding, limits).map_err(|e| of_ingest(&e))?;
        let note = named.is_none().then(|| format!("the file is packed with {} and was unpacked", coding.as_str()));
        Ok(Self { note, ..Self::plain(unpacked.into()) })
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
