//! JSON lines, whole and cut.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::ndjson(data));
