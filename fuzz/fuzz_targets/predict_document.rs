//! Documents of predictions: the fast reader says what the thorough one says, or nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::predict_document(data));
