//! Schema documents. An input is a document, or a `!` and bytes from which one is made; records may follow, each
//! behind a 0x1e. Whatever was accepted must judge them, and events made from its own names, in bounded time.

use std::{borrow::Cow, sync::Arc};

use super::{SEPARATOR, decoder, events::is_whole, grammar, is_json, record};
use crate::{Schema, rows};

/// Names of the document that events are made with.
const NAMES_MAX: usize = 6;
const LEVELS: usize = 90;

pub fn schema_document(data: &[u8]) {
    let mut pieces = data.split(|&byte| byte == SEPARATOR);
    let Some(schema) = pieces.next().and_then(parse) else { return };
    let mut events: Vec<Vec<u8>> = pieces.map(<[u8]>::to_vec).collect();
    events.extend(made_for(&schema));
    let records: Vec<_> = events.iter().map(|event| record(event)).collect();
    let applied = decoder(&schema).apply(&records);
    is_whole(&applied, &records);
    for event in rows::to_json(&schema, &applied.batch) {
        assert!(is_json(&event), "a row is rendered as no JSON: {event}");
    }
    let same = schema.check_change(&schema);
    assert!(same.is_ok(), "a schema may not follow itself: {same:?}");
}

/// Two documents, parted by 0x1e.
pub fn schema_change(data: &[u8]) {
    let mut pieces = data.split(|&byte| byte == SEPARATOR);
    let (old, next) = (pieces.next().and_then(parse), pieces.next().and_then(parse));
    for schema in [&old, &next].into_iter().flatten() {
        let same = schema.check_change(schema);
        assert!(same.is_ok(), "a schema may not follow itself: {same:?}");
    }
    let (Some(old), Some(next)) = (old, next) else { return };
    if old.check_change(&next).is_err() {
        return;
    }
    // What was accepted still is.
    let events = made_for(&old);
    let records: Vec<_> = events.iter().map(|event| record(event)).collect();
    let before = decoder(&old).apply(&records);
    let after = decoder(&next).apply(&records);
    for row in &before.rows {
        let refused = after.rejects.iter().find(|reject| reject.index == row.index);
        assert!(refused.is_none(), "accepted before, refused after: {refused:?}");
    }
}

fn parse(piece: &[u8]) -> Option<Arc<Schema>> {
    let document = match piece.split_first() {
        Some((b'!', bytes)) => Cow::Owned(grammar::document(bytes)),
        _ => String::from_utf8_lossy(piece),
    };
    match Schema::parse(&document) {
        Ok(checked) => Some(Arc::new(checked.schema)),
        Err(faults) => {
            assert!(!faults.is_empty(), "refused without a fault");
            None
        }
    }
}

/// Events that go where the schema's names lead: flat, wide and deep ones.
fn made_for(schema: &Schema) -> Vec<Vec<u8>> {
    let mut names: Vec<String> = schema.fields().iter().map(|field| field.name().to_owned()).collect();
    names.extend(["a", "b"].map(str::to_owned));
    names.truncate(NAMES_MAX);
    let quoted: Vec<String> =
        names.iter().map(|name| serde_json::Value::from(name.as_str()).to_string()).collect();
    let object = |value: &str| {
        let members: Vec<String> = quoted.iter().map(|name| format!("{name}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let mut events: Vec<String> = ["1", "-0.5", "null", "true", "\"x\"", "[]", "{}", "[1,\"x\",{}]"]
        .iter()
        .flat_map(|value| [object(value), object(&object(value)), object(&format!("[{}]", object(value)))])
        .collect();
    for name in &quoted {
        let open = format!("{{{name}:");
        events.push(format!("{}1{}", open.repeat(LEVELS), "}".repeat(LEVELS)));
        let open = format!("{{{name}:[");
        events.push(format!("{}1{}", open.repeat(LEVELS / 2), "]}".repeat(LEVELS / 2)));
        events.push(format!("{{{name}:{}1{}}}", "[".repeat(LEVELS), "]".repeat(LEVELS)));
        events.push(format!("{{{name}:[{}]}}", vec!["1"; 200].join(",")));
    }
    // Both ways at each level.
    let mut both = String::from("1");
    for _ in 0..4 {
        both = object(&both);
    }
    events.push(both);
    events.into_iter().map(String::into_bytes).collect()
}
