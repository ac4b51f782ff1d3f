//! `hw_gate::fuzzing::json_body` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_gate::fuzzing::json_body(data));
