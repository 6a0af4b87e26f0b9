//! Tables at rest, as a damaged disk or another program may leave them.
#![no_main]

libfuzzer_sys::fuzz_target!(init: adaptd_fuzz::only_ours_may_not_panic(), |data: &[u8]| adaptd_fuzz::stored(data));
