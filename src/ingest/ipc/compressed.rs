//! What the compressed buffers of Arrow messages say they unpack to, counted before any of them is unpacked: the decoder
//! takes so much memory as they say.

use arrow::ipc::{RecordBatch, root_as_message};

use super::unreadable;
use crate::ingest::error::IngestError;
use crate::ingest::options::Limits;

/// The mark before the length of a message; older writers leave it out.
const CONTINUATION: [u8; 4] = [0xFF; 4];
/// Of one message, whose columns are in memory together.
const MOST_A_MESSAGE: u64 = 512 << 20;

/// Bytes that may still be unpacked.
pub(super) struct Room<'a> {
    limits: &'a Limits,
    packed: u64,
    unpacked: u64,
}

impl<'a> Room<'a> {
    /// For an upload of so many bytes.
    pub(super) fn new(limits: &'a Limits, packed: usize) -> Self {
        Self { limits, packed: packed as u64, unpacked: 0 }
    }

    /// Counts every message of a stream.
    pub(super) fn check_stream(&mut self, mut bytes: &[u8]) -> Result<(), IngestError> {
        while let Some(n) = self.check_message(bytes)? {
            bytes = bytes.get(n..).unwrap_or_default();
        }
        Ok(())
    }

    /// Counts the message that the bytes begin with: how many of them it takes, or `None` at the end.
    pub(super) fn check_message(&mut self, bytes: &[u8]) -> Result<Option<usize>, IngestError> {
        let marked = bytes.starts_with(&CONTINUATION);
        let start = if marked { 8 } else { 4 };
        let Some(length) = bytes.get(start - 4..start).and_then(|b| b.first_chunk()) else { return Ok(None) };
        let end = start.saturating_add(usize::try_from(i32::from_le_bytes(*length)).map_err(unreadable)?);
        // What is cut short the decoder says; a length of 0 ends a stream.
        let Some(metadata) = bytes.get(start..end).filter(|m| !m.is_empty()) else { return Ok(None) };
        let message = root_as_message(metadata).map_err(unreadable)?;
        let body = bytes.get(end..).unwrap_or_default();
        let dictionary = message.header_as_dictionary_batch().and_then(|d| d.data());
        if let Some(batch) = message.header_as_record_batch().or(dictionary) {
            self.check_batch(&batch, body)?;
        }
        Ok(Some(end.saturating_add(usize::try_from(message.bodyLength()).map_err(unreadable)?)))
    }

    fn check_batch(&mut self, batch: &RecordBatch<'_>, body: &[u8]) -> Result<(), IngestError> {
        if batch.compression().is_none() {
            return Ok(());
        }
        let before = self.unpacked;
        for buffer in batch.buffers().into_iter().flatten() {
            // Each begins with what it unpacks to; -1 is one that is not packed.
            let at = usize::try_from(buffer.offset()).map_err(unreadable)?;
            let said = body.get(at..).and_then(|b| b.first_chunk()).filter(|_| buffer.length() > 0);
            let said = said.map_or(0, |bytes| i64::from_le_bytes(*bytes));
            self.unpacked = self.unpacked.saturating_add(u64::try_from(said).unwrap_or(0));
        }
        let fits = self.limits.may_unpack(self.packed, self.unpacked) && self.unpacked - before <= MOST_A_MESSAGE;
        if fits {
            return Ok(());
        }
        let message = format!(
            "the Arrow buffers unpack to more than {} bytes, {MOST_A_MESSAGE} bytes in one batch, or {} times their size; \
             send less, or smaller batches",
            self.limits.decompressed_bytes, self.limits.unpack_ratio
        );
        Err(IngestError::Decompression { message })
    }
}
