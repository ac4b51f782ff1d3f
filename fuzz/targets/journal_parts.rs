//! `hw_journal::fuzzing::journal_parts` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_journal::fuzzing::journal_parts(data));
