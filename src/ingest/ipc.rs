//! Arrow IPC, as a file (`ARROW1`, footer at the end) or as a stream of messages.
//!
//! Buffers are slices of the upload: no length that a message claims is ever allocated. Compressed buffers are, so that
//! what they claim is counted before.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::buffer::Buffer;
use arrow::datatypes::Fields;
use arrow::ipc::convert::try_fb_to_schema;
use arrow::ipc::reader::{FileDecoder, StreamDecoder, read_footer_length};
use arrow::ipc::{Block, root_as_footer};
use bytes::Bytes;

use super::Parsed;
use super::columns::{ArrowColumns, Found, settle};
use super::error::{IngestError, shorten};
use super::options::Options;
use super::output::Output;

mod compressed;

use compressed::Room;

/// Where a file starts, padded to eight bytes, and where it ends, unpadded.
const MAGIC: &[u8] = b"ARROW1";
/// The footer's length and the magic.
const TRAILER_BYTES: usize = 10;

pub(super) fn read(source: &Bytes, options: &Options, out: &mut Output) -> Result<Parsed, IngestError> {
    // The decoder is not ours and may panic on bytes that lie about themselves; an upload must never do more than fail.
    let mut of_form = |text: &[usize], out: &mut Output| {
        if source.starts_with(MAGIC) {
            file(source, (options, text), out)
        } else {
            stream(source, (options, text), out)
        }
    };
    let decode = || settle(out, &mut of_form).map(Parsed::new);
    catch_unwind(AssertUnwindSafe(decode))
        .unwrap_or_else(|_| Err(IngestError::invalid("the Arrow data is damaged: its parts contradict each other")))
}

/// What is known of the columns: what a client says of them, and which are text.
type Known<'a> = (&'a Options, &'a [usize]);

fn file(source: &Bytes, known: Known<'_>, out: &mut Output) -> Result<Found, IngestError> {
    let damaged = || unreadable("its footer does not fit");
    let whole = Buffer::from(source.clone());
    let end = whole.len().checked_sub(TRAILER_BYTES).ok_or_else(damaged)?;
    let trailer: [u8; TRAILER_BYTES] = whole[end..].try_into().map_err(|_| damaged())?;
    let start = end.checked_sub(read_footer_length(trailer).map_err(unreadable)?).ok_or_else(damaged)?;
    let footer = root_as_footer(&whole[start..end]).map_err(unreadable)?;
    let schema = Arc::new(try_fb_to_schema(footer.schema().ok_or_else(damaged)?).map_err(unreadable)?);
    let mut columns = columns(schema.fields(), known)?;
    let mut room = Room::new(&known.0.limits, source.len());
    let mut decoder = FileDecoder::new(schema, footer.version());
    // Blocks that name the same bytes again and again would be read again and again.
    let mut left = start;
    let mut slice = |block: &Block| {
        let length = block.bodyLength().checked_add(i64::from(block.metaDataLength())).ok_or_else(damaged)?;
        let (from, length) = (usize::try_from(block.offset()), usize::try_from(length));
        let (from, length) = (from.map_err(|_| damaged())?, length.map_err(|_| damaged())?);
        let fits = from.checked_add(length).is_some_and(|to| to <= start) && (8..=left).contains(&length);
        left = left.saturating_sub(length);
        if !fits {
            return Err(damaged());
        }
        let message = whole.slice_with_length(from, length);
        room.check_message(&message)?;
        Ok(message)
    };
    for block in footer.dictionaries().into_iter().flatten() {
        decoder.read_dictionary(block, &slice(block)?).map_err(unreadable)?;
    }
    for block in footer.recordBatches().into_iter().flatten() {
        if let Some(batch) = decoder.read_record_batch(block, &slice(block)?).map_err(unreadable)? {
            columns.take(&batch, out)?;
        }
    }
    Ok(columns.finish(out))
}

fn stream(source: &Bytes, known: Known<'_>, out: &mut Output) -> Result<Found, IngestError> {
    Room::new(&known.0.limits, source.len()).check_stream(source)?;
    let mut rest = Buffer::from(source.clone());
    let mut decoder = StreamDecoder::new();
    let mut found: Option<ArrowColumns<'_>> = None;
    while !rest.is_empty() {
        let (before, batch) = (rest.len(), decoder.decode(&mut rest).map_err(unreadable)?);
        if found.is_none()
            && let Some(schema) = decoder.schema()
        {
            found = Some(columns(schema.fields(), known)?);
        }
        match (batch, &mut found) {
            (Some(batch), Some(columns)) => columns.take(&batch, out)?,
            // What stands after the end of the stream is left.
            _ if rest.len() == before => break,
            _ => {}
        }
    }
    decoder.finish().map_err(unreadable)?;
    let columns = found.ok_or_else(|| unreadable("it holds no schema"))?;
    Ok(columns.finish(out))
}

fn columns<'a>(fields: &Fields, known: Known<'a>) -> Result<ArrowColumns<'a>, IngestError> {
    if fields.is_empty() {
        return Err(IngestError::Empty { message: "the Arrow schema has no columns; send at least one".into() });
    }
    Ok(ArrowColumns::new(fields.clone(), known.0)?.with_text(known.1))
}

fn unreadable(error: impl std::fmt::Display) -> IngestError {
    let reason = error.to_string();
    IngestError::invalid(format!("the Arrow data cannot be read, it may be cut short or damaged: {}", shorten(&reason)))
}
