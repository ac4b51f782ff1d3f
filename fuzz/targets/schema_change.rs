//! `hw_schema::fuzzing::schema_change` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_schema::fuzzing::schema_change(data));
