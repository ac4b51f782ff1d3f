//! What this crate promises at its edge, against the public suites, an oracle and random damage.

mod canaries;
mod corpus;
mod evolution;
mod generator;
mod json_suite;
mod neighbours;
mod oracle;
mod payloads;
mod protobuf;
mod random_schema;
mod rewriting;
mod rows;
mod schema_suite;
mod tokens;

use std::{path::PathBuf, sync::Arc};

use hw_event::RejectCode;
use hw_schema::{Applied, DecodeLimits, Decoder, Format, Record, Schema};
use hw_vault::HashKey;

const LIMITS: DecodeLimits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };

#[track_caller]
fn schema(document: &str) -> Arc<Schema> {
    match Schema::parse(document) {
        Ok(checked) => Arc::new(checked.schema),
        Err(faults) => panic!("{document}: {faults:#?}"),
    }
}

fn decoder(schema: &Arc<Schema>) -> Decoder {
    Decoder::new(Arc::clone(schema), HashKey::from_bytes(&[7; 32]), LIMITS)
}

fn json(bytes: &[u8]) -> Record<'_> {
    Record { bytes, format: Format::Json, fault: None, event_time: None }
}

fn apply<T: AsRef<[u8]>>(schema: &Arc<Schema>, events: &[T]) -> Applied {
    let records: Vec<Record<'_>> = events.iter().map(|event| json(event.as_ref())).collect();
    decoder(schema).apply(&records)
}

/// `None`: the event is accepted.
fn verdict(decoder: &mut Decoder, event: &[u8]) -> Option<RejectCode> {
    let applied = decoder.apply(&[json(event)]);
    assert_eq!(applied.rows.len() + applied.rejects.len(), 1);
    applied.rejects.first().map(|reject| reject.code)
}

/// A folder of the public suites, which lie beside the workspace; `None`, said aloud, where they do not.
fn suite(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites").join(name);
    if path.is_dir() {
        return Some(path);
    }
    println!("SKIPPED: there is no suite at {}", path.display());
    None
}

/// A small generator for tests: the seed is part of each failure's message.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}
