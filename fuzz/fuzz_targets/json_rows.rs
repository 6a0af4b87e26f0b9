//! JSON rows, as records or as arrays.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::json_rows(data));
