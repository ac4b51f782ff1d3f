//! `hw_gate::fuzzing::kv_record` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_gate::fuzzing::kv_record(data));
