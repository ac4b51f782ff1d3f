//! `hw_schema::fuzzing::schema_notation` under libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hw_schema::fuzzing::schema_notation(data));
