//! Bytes to UTF-8 text, block by block: UTF-8 with or without a byte order mark, UTF-16 with one, and what else is named.

use std::borrow::Cow;
use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

use super::error::{IngestError, Place};
use super::source::Source;

/// Bytes decoded at a time: what is read, decoded and taken apart stays in the cache.
const BLOCK: usize = 128 << 10;

/// What came of asking for more text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fill {
    More,
    End,
    /// No encoding was named, and this byte (from 0) on this line (from 1) is not UTF-8.
    NotUtf8 {
        byte: u64,
        line: u64,
    },
}

/// A text file that is decoded as it is read.
pub(super) struct TextReader<'a> {
    source: Box<dyn Read + Send + 'a>,
    encoding: &'static Encoding,
    /// `None` for UTF-8, which is only checked.
    decoder: Option<Decoder>,
    is_said: bool,
    /// Read and not yet decoded: the first bytes of a character, or of the file.
    raw: Vec<u8>,
    /// Bytes that were decoded, a byte order mark included.
    n_bytes: u64,
    n_lines: u64,
    is_at_end: bool,
}

impl<'a> TextReader<'a> {
    /// The text without its byte order mark, which outweighs the encoding that is named.
    pub(super) fn open(source: &'a Source, named: Option<&'static Encoding>) -> Result<Self, IngestError> {
        let mut reader = source.open()?;
        let mut raw = Vec::new();
        reader.by_ref().take(3).read_to_end(&mut raw)?;
        let marked = Encoding::for_bom(&raw);
        let (encoding, mark) = marked.unwrap_or((named.unwrap_or(UTF_8), 0));
        raw.drain(..mark);
        let decoder = (encoding != UTF_8).then(|| encoding.new_decoder_without_bom_handling());
        let is_said = named.or(marked.map(|m| m.0)).is_some();
        Ok(Self { source: reader, encoding, decoder, is_said, raw, n_bytes: mark as u64, n_lines: 0, is_at_end: false })
    }

    pub(super) fn encoding(&self) -> &'static Encoding {
        self.encoding
    }

    /// Appends the next block of the text, which is whole characters.
    ///
    /// # Errors
    /// Bytes that are not of the encoding, with their position; NUL bytes, which no text file holds.
    pub(super) fn fill(&mut self, text: &mut Vec<u8>) -> Result<Fill, IngestError> {
        if self.is_at_end {
            return Ok(Fill::End);
        }
        let start = text.len();
        let outcome = if self.decoder.is_some() { self.decode(text)? } else { self.check(text)? };
        let block = &text[start..];
        if let Some(at) = memchr::memchr(0, block) {
            let line = self.n_lines + line_breaks(&block[..at]) + 1;
            // Of UTF-8 the text is the file; of another encoding only the line is known.
            let byte = self.decoder.is_none().then(|| self.n_bytes - (block.len() - at) as u64);
            let place = Place { byte, line: Some(line), ..Place::default() };
            let at = byte.map_or(format!("on line {line}"), |byte| format!("at byte {byte} (line {line})"));
            let message =
                format!("a NUL character {at}: this is not a text file, or is UTF-16 without a byte order mark");
            return Err(IngestError::invalid_at(place, message));
        }
        self.n_lines += line_breaks(block);
        Ok(outcome)
    }

    /// Appends a block of bytes, the undecoded ones first.
    fn read_block(&mut self, to: &mut Vec<u8>) -> io::Result<()> {
        let end = to.len() + BLOCK;
        to.append(&mut self.raw);
        let known = to.len();
        to.resize(end, 0);
        let n = read_full(&mut self.source, &mut to[known..])?;
        to.truncate(known + n);
        self.is_at_end = known + n < end;
        Ok(())
    }

    fn check(&mut self, text: &mut Vec<u8>) -> Result<Fill, IngestError> {
        let start = text.len();
        self.read_block(text)?;
        let valid = match std::str::from_utf8(&text[start..]) {
            Ok(block) => block.len(),
            // The rest of the character comes with the next block.
            Err(e) if e.error_len().is_none() && !self.is_at_end => e.valid_up_to(),
            Err(e) => {
                let byte = self.n_bytes + e.valid_up_to() as u64;
                let line = self.n_lines + line_breaks(&text[start..start + e.valid_up_to()]) + 1;
                text.truncate(start);
                return if self.is_said { Err(not_utf8(byte, line)) } else { Ok(Fill::NotUtf8 { byte, line }) };
            }
        };
        self.raw.extend_from_slice(&text[start + valid..]);
        text.truncate(start + valid);
        self.n_bytes += valid as u64;
        Ok(Fill::More)
    }

    fn decode(&mut self, text: &mut Vec<u8>) -> Result<Fill, IngestError> {
        let mut raw = Vec::new();
        self.read_block(&mut raw)?;
        self.raw = raw;
        let Some(decoder) = &mut self.decoder else { return Ok(Fill::End) };
        let room = decoder.max_utf8_buffer_length_without_replacement(self.raw.len()).unwrap_or(4 * BLOCK);
        let start = text.len();
        text.resize(start + room, 0);
        let (result, n_read, n_written) =
            decoder.decode_to_utf8_without_replacement(&self.raw, &mut text[start..], self.is_at_end);
        text.truncate(start + n_written);
        self.n_bytes += n_read as u64;
        self.raw.drain(..n_read);
        if let DecoderResult::Malformed(bad, after) = result {
            let byte = self.n_bytes.saturating_sub(u64::from(bad) + u64::from(after));
            let line = self.n_lines + line_breaks(&text[start..]) + 1;
            let place = Place { byte: Some(byte), line: Some(line), ..Place::default() };
            let name = self.encoding.name();
            let message = format!("byte {byte} (line {line}) is not {name}; save the file as UTF-8");
            return Err(IngestError::Encoding { message, place });
        }
        Ok(Fill::More)
    }
}

/// The text of a format that is UTF-8 by its definition, without its byte order mark.
///
/// # Errors
/// Bytes that are not this encoding, with their position; NUL bytes, which no text file holds.
pub(super) fn decode(bytes: &[u8]) -> Result<Cow<'_, str>, IngestError> {
    let (encoding, mark) = Encoding::for_bom(bytes).unwrap_or((UTF_8, 0));
    if encoding == UTF_8 && memchr::memchr(0, bytes).is_none() {
        let rest = &bytes[mark..];
        return std::str::from_utf8(rest).map(Cow::Borrowed).map_err(|e| {
            let at = e.valid_up_to();
            not_utf8((at + mark) as u64, line_breaks(&rest[..at]) + 1)
        });
    }
    let source = Source::Bytes(bytes::Bytes::copy_from_slice(bytes));
    let mut reader = TextReader::open(&source, Some(UTF_8))?;
    let mut text = Vec::new();
    while reader.fill(&mut text)? == Fill::More {}
    String::from_utf8(text).map(Cow::Owned).map_err(|_| not_utf8(0, 1))
}

fn not_utf8(byte: u64, line: u64) -> IngestError {
    let place = Place { byte: Some(byte), line: Some(line), ..Place::default() };
    IngestError::Encoding { message: format!("byte {byte} (line {line}) is not UTF-8; save the file as UTF-8"), place }
}

pub(super) fn line_breaks(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// Reads until the buffer is full or the file ends.
fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < buffer.len() {
        match source.read(&mut buffer[n..]) {
            Ok(0) => break,
            Ok(more) => n += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(n)
}
