//! Bytes to UTF-8 text: UTF-8 with or without a byte order mark, UTF-16 with one, and what else is named.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::error::{IngestError, Place};

/// Bytes decoded at a time.
const CHUNK: usize = 64 << 10;

/// Text and the encoding that it was in.
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) encoding: &'static Encoding,
    /// What a user may not expect.
    pub(super) note: Option<String>,
}

/// The text of a format that is UTF-8 by its definition, without its byte order mark.
///
/// # Errors
/// Bytes that are not this encoding, with their position; NUL bytes, which no text file holds.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, IngestError> {
    Ok(decode_as(bytes, Some(UTF_8))?.text)
}

/// The text of a file in a named encoding, without its byte order mark; the mark outweighs the name. Where none is
/// named, it is UTF-8 if it can be, else windows-1252, in which every byte but five is a character.
///
/// # Errors
/// Bytes that are not this encoding, with their position; NUL bytes, which no text file holds.
pub(super) fn decode_as<'a>(bytes: &'a [u8], named: Option<&'static Encoding>) -> Result<Decoded<'a>, IngestError> {
    let marked = Encoding::for_bom(bytes);
    let (encoding, start) = marked.unwrap_or((named.unwrap_or(UTF_8), 0));
    let rest = &bytes[start..];
    let mut decoded = Decoded { text: Cow::Borrowed(""), encoding, note: None };
    if encoding == UTF_8 {
        match (std::str::from_utf8(rest), named.or(marked.map(|m| m.0))) {
            (Ok(text), _) => decoded.text = Cow::Borrowed(text),
            (Err(error), Some(_)) => return Err(not_utf8(rest, error.valid_up_to(), start)),
            (Err(error), None) => {
                let (at, line) = (error.valid_up_to(), line_of(rest, error.valid_up_to()));
                decoded.text = Cow::Owned(decode_other(rest, WINDOWS_1252, 0)?);
                decoded.encoding = WINDOWS_1252;
                decoded.note = Some(format!(
                    "byte {at} (line {line}) is not UTF-8: read as windows-1252; say encoding= if it is another"
                ));
            }
        }
    } else {
        decoded.text = Cow::Owned(decode_other(rest, encoding, start)?);
    }
    check_no_nul(&decoded.text)?;
    Ok(decoded)
}

fn check_no_nul(text: &str) -> Result<(), IngestError> {
    let Some(at) = text.as_bytes().iter().position(|b| *b == 0) else { return Ok(()) };
    let line = line_of(text.as_bytes(), at);
    let place = Place { byte: Some(at as u64), line: Some(line), ..Place::default() };
    let message = format!(
        "a NUL byte at byte {at} (line {line}): this is not a text file, or is UTF-16 without a byte order mark"
    );
    Err(IngestError::invalid_at(place, message))
}

fn not_utf8(bytes: &[u8], at: usize, skipped: usize) -> IngestError {
    let line = line_of(bytes, at);
    let byte = (at + skipped) as u64;
    let place = Place { byte: Some(byte), line: Some(line), ..Place::default() };
    IngestError::Encoding { message: format!("byte {byte} (line {line}) is not UTF-8; save the file as UTF-8"), place }
}

fn decode_other(bytes: &[u8], encoding: &'static Encoding, skipped: usize) -> Result<String, IngestError> {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    // Most text grows little: characters beyond ASCII take two bytes or three.
    let half = if encoding == UTF_16LE || encoding == UTF_16BE { 2 } else { 1 };
    let mut text = String::with_capacity(bytes.len() / half);
    let mut read = 0;
    loop {
        let chunk = &bytes[read..bytes.len().min(read + CHUNK)];
        let last = read + chunk.len() == bytes.len();
        text.reserve(decoder.max_utf8_buffer_length_without_replacement(chunk.len()).unwrap_or(4 * CHUNK));
        let (result, n) = decoder.decode_to_string_without_replacement(chunk, &mut text, last);
        read += n;
        match result {
            DecoderResult::InputEmpty if last => return Ok(text),
            DecoderResult::InputEmpty | DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, after) => {
                let byte = (skipped + read).saturating_sub(usize::from(bad) + usize::from(after)) as u64;
                let line = line_of(text.as_bytes(), text.len());
                let place = Place { byte: Some(byte), line: Some(line), ..Place::default() };
                let name = encoding.name();
                let message = format!("byte {byte} (line {line}) is not {name}; save the file as UTF-8");
                return Err(IngestError::Encoding { message, place });
            }
        }
    }
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    bytes[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1
}
