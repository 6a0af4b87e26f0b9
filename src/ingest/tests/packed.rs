//! Packed bytes, good and hostile.

use std::io::Read;

use super::*;
use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

const TEXT: &[u8] = b"a,b\n1,2\n3,4\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn all(bytes: &[u8]) -> [(Coding, Vec<u8>); 4] {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(bytes).unwrap();
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
    raw.write_all(bytes).unwrap();
    [
        (Coding::Gzip, gzip(bytes)),
        (Coding::Zstd, zstd::encode_all(bytes, 3).unwrap()),
        (Coding::Deflate, zlib.finish().unwrap()),
        (Coding::Deflate, raw.finish().unwrap()),
    ]
}

#[test]
fn every_coding_is_unpacked_and_a_cut_one_is_refused() {
    for (coding, packed) in all(TEXT) {
        assert_eq!(unpack(&mut &packed[..], coding, &Limits::default()).unwrap(), TEXT);
        for end in 0..packed.len() {
            let found = unpack(&mut &packed[..end], coding, &Limits::default());
            // Zstd and raw deflate take nothing for nothing.
            assert!(found.as_ref().map_or(true, Vec::is_empty), "{coding:?} cut at {end}: {found:?}");
        }
        let error = unpack(&mut &b"\xff\xfe\xfdno such data"[..], coding, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "data_invalid");
    }
    let two = [gzip(b"a,b\n"), gzip(b"1,2\n")].concat();
    assert_eq!(unpack(&mut &two[..], Coding::Gzip, &Limits::default()).unwrap(), b"a,b\n1,2\n");
}

#[test]
fn magic_tells_what_is_packed() {
    let [(_, gzip), (_, zstd), ..] = all(TEXT);
    assert_eq!(Coding::from_magic(&gzip), Some(Coding::Gzip));
    assert_eq!(Coding::from_magic(&zstd), Some(Coding::Zstd));
    assert_eq!(Coding::from_magic(TEXT), None);
    assert_eq!(Coding::from_magic(b""), None);
}

/// Zeros without end, packed a megabyte at a time: nobody holds them.
struct Endless {
    block: Vec<u8>,
    at: usize,
    n_read: u64,
}

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.block.len() {
            self.at = 0;
        }
        let n = buffer.len().min(self.block.len() - self.at);
        buffer[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        self.n_read += n as u64;
        Ok(n)
    }
}

#[test]
fn a_bomb_is_given_up_as_soon_as_it_shows() {
    let zeros = vec![0; 1 << 20];
    for (coding, block) in [(Coding::Gzip, gzip(&zeros)), (Coding::Zstd, zstd::encode_all(&zeros[..], 3).unwrap())] {
        let mut bomb = Endless { block, at: 0, n_read: 0 };
        let error = unpack(&mut bomb, coding, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "decompression_limit", "{error}");
        assert!(bomb.n_read < 1 << 20, "{coding:?}: {} bytes were read", bomb.n_read);
    }
}

#[test]
fn what_grows_little_is_bounded_by_its_size() {
    let noise: Vec<u8> = (0..100_000u64).flat_map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15)).to_le_bytes()).collect();
    let limits = Limits { decompressed_bytes: 1 << 16, ..Limits::default() };
    for (coding, packed) in all(&noise) {
        assert_eq!(unpack(&mut &packed[..], coding, &limits).unwrap_err().code(), "decompression_limit");
        assert_eq!(unpack_start(&mut &packed[..], coding, 1000).unwrap(), noise[..1000]);
        // What is cut gives what is there.
        let start = unpack_start(&mut &packed[..packed.len() / 2], coding, noise.len()).unwrap();
        assert!(noise.starts_with(&start) && !start.is_empty());
    }
}
