//! What the fuzz targets of this crate do with the bytes they are given. For `fuzz/` and `tests/it/corpus.rs`, no API.
//! Always: whatever the bytes, a target returns, or panics because a promise of this crate was broken.

mod bodies;
mod records;

pub use self::{
    bodies::{json_body, ndjson_body},
    records::kv_record,
};
pub use crate::doors::http::cloudevents::fuzzing::cloudevents;

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: [(&str, fn(&[u8])); 4] = [
    ("ndjson_body", ndjson_body),
    ("json_body", json_body),
    ("kv_record", kv_record),
    ("cloudevents", cloudevents),
];

/// Cuts bytes into pieces whose lengths follow from one byte: 0 gives one piece, others ever new lengths.
fn pieces(bytes: &[u8], seed: u8) -> Vec<&[u8]> {
    let (mut pieces, mut rest, mut state) = (Vec::new(), bytes, u32::from(seed));
    while !rest.is_empty() {
        let length = match seed {
            0 => rest.len(),
            1..16 => usize::from(seed),
            _ => {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                1 + (state >> 24) as usize % usize::from(seed)
            }
        };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        pieces.push(piece);
        rest = after;
    }
    pieces
}
