//! Documents that start jobs: read and checked, as far as that needs no store.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::job(data));
