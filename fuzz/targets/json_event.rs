//! `hw_schema::fuzzing::json_event` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_schema::fuzzing::json_event(data));
