//! Bytes to UTF-8 text: UTF-8 with or without a byte order mark, UTF-16 with one.

use std::borrow::Cow;

use super::error::{IngestError, Place};

/// The text, without its byte order mark.
///
/// # Errors
/// Bytes that are not this encoding, with their position; NUL bytes, which no text file holds.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, IngestError> {
    let text = match bytes {
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(decode_utf16(rest, u16::from_le_bytes)?),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(decode_utf16(rest, u16::from_be_bytes)?),
        [0xEF, 0xBB, 0xBF, rest @ ..] => Cow::Borrowed(decode_utf8(rest, 3)?),
        _ => Cow::Borrowed(decode_utf8(bytes, 0)?),
    };
    if let Some(at) = text.as_bytes().iter().position(|b| *b == 0) {
        let line = line_of(text.as_bytes(), at);
        let place = Place { byte: Some(at as u64), line: Some(line), ..Place::default() };
        let message = format!(
            "a NUL byte at byte {at} (line {line}): this is not a text file, or is UTF-16 without a byte order mark"
        );
        return Err(IngestError::invalid_at(place, message));
    }
    Ok(text)
}

fn decode_utf8(bytes: &[u8], skipped: usize) -> Result<&str, IngestError> {
    std::str::from_utf8(bytes).map_err(|error| {
        let at = error.valid_up_to();
        let line = line_of(bytes, at);
        let byte = (at + skipped) as u64;
        let place = Place { byte: Some(byte), line: Some(line), ..Place::default() };
        let message = format!("byte {byte} (line {line}) is not UTF-8; save the file as UTF-8");
        IngestError::Encoding { message, place }
    })
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, IngestError> {
    let failed = |byte: usize| {
        let place = Place { byte: Some(byte as u64), ..Place::default() };
        IngestError::Encoding { message: format!("byte {byte} is not UTF-16; save the file as UTF-8"), place }
    };
    if !bytes.len().is_multiple_of(2) {
        return Err(failed(bytes.len() + 1));
    }
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut at = 2;
    for decoded in char::decode_utf16(units) {
        let c = decoded.map_err(|_| failed(at))?;
        at += 2 * c.len_utf16();
        text.push(c);
    }
    Ok(text)
}

fn line_of(bytes: &[u8], at: usize) -> u64 {
    bytes[..at].iter().filter(|b| **b == b'\n').count() as u64 + 1
}
