//! One NPY array.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::npy(data));
