//! CSV, with what a client may say of it taken from the first bytes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::csv(data));
