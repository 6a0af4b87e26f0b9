//! Model files whose digest is true and whose parts may lie: what loads must predict.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| adaptd_fuzz::model_parts(data));
