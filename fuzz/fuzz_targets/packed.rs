//! Gzip, zstd and deflate, and any format within them.
#![no_main]

libfuzzer_sys::fuzz_target!(init: adaptd_fuzz::only_ours_may_not_panic(), |data: &[u8]| adaptd_fuzz::packed(data));
