//! `hw_journal::fuzzing::append_frame` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_journal::fuzzing::append_frame(data));
