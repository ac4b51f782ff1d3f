//! What the fuzz targets of this crate do with the bytes they are given. For `fuzz/` and `tests/it/corpus.rs`, no API.
//! Always: whatever the bytes, a target returns, or panics because a promise of this crate was broken.

mod bodies;
mod documents;
mod events;
mod grammar;
mod leaks;
mod notations;
mod payloads;
mod samples;

use std::sync::Arc;

use hw_vault::HashKey;

pub use self::{
    bodies::rows_body,
    documents::{schema_change, schema_document},
    events::json_event,
    notations::schema_notation,
    payloads::payload,
};
use crate::{
    DecodeLimits, Decoder, Format, Record, Schema,
    json::{KeySet, Scanner},
};

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: [(&str, fn(&[u8])); 6] = [
    ("json_event", json_event),
    ("rows_body", rows_body),
    ("schema_document", schema_document),
    ("schema_change", schema_change),
    ("schema_notation", schema_notation),
    ("payload", payload),
];

/// Parts the pieces of an input: no JSON may hold it as it stands.
const SEPARATOR: u8 = 0x1e;
/// As the server's, but for room: what is rendered may be longer than what was sent.
const LIMITS: DecodeLimits = DecodeLimits { depth: 100, event_bytes: 4 << 20 };

fn decoder(schema: &Arc<Schema>) -> Decoder {
    Decoder::new(Arc::clone(schema), HashKey::from_bytes(&[7; 32]), LIMITS)
}

fn record(bytes: &[u8]) -> Record<'_> {
    Record { bytes, format: Format::Json, fault: None, event_time: None }
}

/// The first byte, which chooses something, and the rest.
fn chosen(data: &[u8], choices: usize) -> Option<(usize, &[u8])> {
    let (first, rest) = data.split_first()?;
    Some((usize::from(first.wrapping_sub(b'a')) % choices, rest))
}

fn is_json(text: &str) -> bool {
    let mut scanner = Scanner::new(text.as_bytes(), crate::json::DEPTH_MAX);
    scanner.space();
    scanner.skip(&mut KeySet::default()).and_then(|()| scanner.end()).is_ok()
}
