//! Bytes that come packed, by gzip, zstd or deflate: unpacked as a stream, and given up as soon as they grow too much.

use std::cell::Cell;
use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::error::{IngestError, shorten};
use super::options::Limits;

/// Unpacked at a time: no more than this is held of what will be refused.
const CHUNK: usize = 64 << 10;

/// How bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Zstd,
    /// In zlib's frame, as HTTP has it, or without, as some clients send it.
    Deflate,
}

impl Coding {
    pub fn as_str(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Zstd => "zstd",
            Coding::Deflate => "deflate",
        }
    }

    /// What the first four bytes of a file say. Deflate has no mark of its own.
    pub fn from_magic(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x1F, 0x8B, 0x08, ..] => Some(Coding::Gzip),
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Coding::Zstd),
            _ => None,
        }
    }
}

/// Unpacks to the end.
///
/// # Errors
/// More than the limits allow, counted while it is unpacked: in all, and in proportion to what was read so far. Bytes
/// that are not packed so, or are cut short.
pub fn unpack(packed: &mut dyn Read, coding: Coding, limits: &Limits) -> Result<Vec<u8>, IngestError> {
    let mut unpacked = Vec::new();
    let mut keep = |chunk: &[u8]| {
        unpacked.extend_from_slice(chunk);
        Ok(())
    };
    unpack_to(packed, coding, limits, &mut keep)?;
    Ok(unpacked)
}

/// Unpacks to the end, to where it is written; how many bytes that were.
///
/// # Errors
/// As [`unpack`]; what `to` fails with.
pub fn unpack_to(
    packed: &mut dyn Read,
    coding: Coding,
    limits: &Limits,
    to: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> Result<u64, IngestError> {
    let mut n = 0;
    each_chunk(packed, coding, |chunk, n_read| {
        n += chunk.len() as u64;
        if n > limits.bytes || !limits.may_unpack(n_read, n) {
            return Err(too_large(coding, limits));
        }
        to(chunk)?;
        Ok(Go::On)
    })?;
    Ok(n)
}

/// Unpacks the first `most` bytes, or fewer if there are not so many; the packed bytes may be cut anywhere.
///
/// # Errors
/// Bytes that are not packed so, if nothing could be unpacked.
pub fn unpack_start(packed: &mut dyn Read, coding: Coding, most: usize) -> Result<Vec<u8>, IngestError> {
    let mut unpacked = Vec::new();
    let outcome = each_chunk(packed, coding, |chunk, _| {
        let room = most - unpacked.len();
        unpacked.extend_from_slice(&chunk[..chunk.len().min(room)]);
        Ok(if unpacked.len() == most { Go::Stop } else { Go::On })
    });
    match outcome {
        Err(error) if unpacked.is_empty() => Err(error),
        _ => Ok(unpacked),
    }
}

enum Go {
    On,
    Stop,
}

/// Hands over what is unpacked piece by piece, with how many packed bytes were read for it.
fn each_chunk(
    packed: &mut dyn Read,
    coding: Coding,
    mut take: impl FnMut(&[u8], u64) -> Result<Go, IngestError>,
) -> Result<(), IngestError> {
    let n_read = Cell::new(0);
    let mut reader = reader(Counted { inner: packed, n_read: &n_read }, coding).map_err(|e| damaged(coding, &e))?;
    let mut chunk = vec![0; CHUNK];
    loop {
        let n = reader.read(&mut chunk).map_err(|e| damaged(coding, &e))?;
        if n == 0 {
            return Ok(());
        }
        if let Go::Stop = take(&chunk[..n], n_read.get())? {
            return Ok(());
        }
    }
}

fn reader<'a>(mut packed: Counted<'a>, coding: Coding) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match coding {
        Coding::Gzip => Box::new(MultiGzDecoder::new(packed)),
        // Its window is at most 128 MiB, whatever a frame asks for.
        Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
        Coding::Deflate => {
            let mut head = Vec::new();
            (&mut packed).take(2).read_to_end(&mut head)?;
            let framed =
                matches!(head[..], [a, b] if a & 15 == 8 && (u16::from(a) << 8 | u16::from(b)).is_multiple_of(31));
            let whole = io::Cursor::new(head).chain(packed);
            if framed { Box::new(ZlibDecoder::new(whole)) } else { Box::new(DeflateDecoder::new(whole)) }
        }
    })
}

/// Counts what is read through it.
struct Counted<'a> {
    inner: &'a mut dyn Read,
    n_read: &'a Cell<u64>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.n_read.set(self.n_read.get() + n as u64);
        Ok(n)
    }
}

fn too_large(coding: Coding, limits: &Limits) -> IngestError {
    let most = limits.decompressed_bytes.min(limits.bytes);
    let message = format!(
        "the {} data unpacks to more than {most} bytes or {} times its size; send less",
        coding.as_str(),
        limits.unpack_ratio
    );
    IngestError::Decompression { message }
}

fn damaged(coding: Coding, error: &io::Error) -> IngestError {
    let (name, reason) = (coding.as_str(), shorten(&error.to_string()));
    IngestError::invalid(format!("the bytes are not {name}, or are damaged or cut short: {reason}"))
}
