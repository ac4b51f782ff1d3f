//! One bad event never costs its neighbours, and leaves nothing behind.

use hw_schema::{Schema, rows};
use std::sync::Arc;

use crate::{Random, apply, decoder, json, schema};

fn wide() -> Arc<Schema> {
    schema(
        r#"{
        "type": "object", "required": ["id"], "x-key": ["id"], "x-partitions": 7, "x-event-time": "at",
        "properties": {
            "id": {"type": "integer", "minimum": 0},
            "ok": {"type": "boolean"},
            "n": {"type": ["number", "null"]},
            "s": {"type": "string", "maxLength": 6},
            "h": {"type": "string", "x-privacy": "hash"},
            "at": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "bin": {"type": "string", "contentEncoding": "base64"},
            "price": {"type": "number", "format": "decimal", "x-precision": 10, "x-scale": 2},
            "tags": {"type": "array", "items": {"type": ["string", "null"]}, "maxItems": 3},
            "map": {"type": "object", "additionalProperties": {"type": "integer"}},
            "deep": {"type": "object", "required": ["a"], "properties": {
                "a": {"type": "array", "items": {"type": "object", "properties": {
                    "x": {"type": "integer"}, "y": {"type": "string"}}}},
                "b": {"type": "boolean"}}}
        },
        "x-extra": "keep"
    }"#,
    )
}

/// Good members, and bad ones for each.
const MEMBERS: [(&str, &[&str], &[&str]); 12] = [
    ("ok", &["true", "false"], &["1", "null", "tru"]),
    ("n", &["1.5", "null", "-2e3"], &["\"1\"", "1e999", "01"]),
    ("s", &["\"abc\"", "\"\"", "\"\\u00e9\\n\""], &["\"too long!\"", "5", "\"\\ud800\""]),
    ("h", &["\"secret\"", "\"s2\""], &["1", "{}"]),
    ("at", &["\"2026-11-21T20:00:00Z\""], &["\"yesterday\"", "0"]),
    ("day", &["\"2026-11-21\""], &["\"2026-02-30\""]),
    ("bin", &["\"AAEC\"", "\"\""], &["\"A\"", "\"!!!!\""]),
    ("price", &["1.25", "100", "-0.5"], &["1.255", "1e9", "\"1\""]),
    (
        "tags",
        &["[]", "[\"a\",null]", "[\"x\",\"y\",\"z\"]"],
        &["[1]", "[\"a\",\"b\",\"c\",\"d\"]", "[\"a\",", "null"],
    ),
    ("map", &["{}", "{\"k\":1,\"l\":2}"], &["{\"k\":1,\"k\":2}", "{\"k\":\"v\"}", "[1]"]),
    (
        "deep",
        &["{\"a\":[]}", "{\"a\":[{\"x\":1},{\"y\":\"z\",\"e\":[1, 2]}],\"b\":true}"],
        &["{}", "{\"a\":[{\"x\":1},{\"x\":\"1\"}]}", "{\"a\":[{\"y\":\"q\",\"y\":\"r\"}]}", "{\"a\":[null]}"],
    ),
    ("more", &["{ \"free\" : [1, 2] }", "\"text\""], &["{\"a\":1,\"a\":2}", "NaN"]),
];

fn event(random: &mut Random, bad: bool) -> String {
    let spoiled = bad.then(|| random.below(MEMBERS.len() + 1));
    let id = if spoiled == Some(MEMBERS.len()) { -1 } else { random.below(1000) as i64 };
    let mut event = format!("{{\"id\":{id}");
    for (index, (name, good, bad)) in MEMBERS.iter().enumerate() {
        let choices = if spoiled == Some(index) { bad } else { good };
        if spoiled == Some(index) || random.chance(60) {
            event.push_str(&format!(",\"{name}\":{}", random.pick(choices)));
        }
    }
    event.push('}');
    event
}

#[test]
fn a_batch_is_what_its_good_events_alone_give() {
    let schema = wide();
    for seed in 1..=20 {
        let mut random = Random(seed * 0x9e37_79b9);
        let bad: Vec<bool> = (0..1000).map(|_| random.chance(30)).collect();
        let events: Vec<String> = bad.iter().map(|&bad| event(&mut random, bad)).collect();
        let good: Vec<&String> = events.iter().zip(&bad).filter(|(_, bad)| !**bad).map(|(e, _)| e).collect();
        let mixed = apply(&schema, &events);
        let alone = apply(&schema, &good);
        for reject in &mixed.rejects {
            assert!(bad[reject.index as usize], "seed {seed}: {} {reject:?}", events[reject.index as usize]);
        }
        assert_eq!(alone.rejects, [], "seed {seed}");
        assert_eq!(mixed.rejects.len() + good.len(), events.len(), "seed {seed}");
        assert_eq!(mixed.batch, alone.batch, "seed {seed}");
        // The bytes on disk are the same too: no trace of the bad ones.
        let bytes =
            |applied: &hw_schema::Applied| rows::encode(&applied.batch, rows::Encoding::Plain).unwrap();
        assert_eq!(bytes(&mixed), bytes(&alone), "seed {seed}");
        let told = |applied: &hw_schema::Applied| {
            applied.rows.iter().map(|row| (row.partition, row.event_time)).collect::<Vec<_>>()
        };
        assert_eq!(told(&mixed), told(&alone), "seed {seed}");
    }
}

#[test]
fn a_decoder_is_as_good_as_new_after_each_batch() {
    let schema = wide();
    let mut random = Random(77);
    let events: Vec<String> = (0..50).map(|n| event(&mut random, n % 3 == 0)).collect();
    let records: Vec<_> = events.iter().map(|event| json(event.as_bytes())).collect();
    let mut used = decoder(&schema);
    let first = used.apply(&records);
    let second = used.apply(&records);
    assert_eq!(first.batch, second.batch);
    assert_eq!((first.rows, first.rejects), (second.rows, second.rejects));
    assert_eq!(used.apply(&[]).batch.num_rows(), 0);
}

/// Whatever the bytes are, they become a row or a reject.
#[test]
fn damaged_events_never_panic() {
    let schema = wide();
    let mut decoder = decoder(&schema);
    for seed in 1..=20_000u64 {
        let mut random = Random(seed * 0x9e37_79b9);
        let mut event = event(&mut random, false).into_bytes();
        for _ in 0..1 + random.below(4) {
            let at = random.below(event.len());
            if event.is_empty() {
                break;
            }
            match random.below(4) {
                0 => event[at] = random.below(256) as u8,
                1 => drop(event.remove(at)),
                2 => event.truncate(at + 1),
                _ => event.insert(at, *random.pick(b"{}[]\",:\\u0d9e-.\x00\xff tfn")),
            }
        }
        let applied = decoder.apply(&[json(&event)]);
        assert_eq!(applied.rows.len() + applied.rejects.len(), 1, "seed {seed}");
        for reject in &applied.rejects {
            assert!(reject.byte_offset <= event.len() as u64, "seed {seed}: {reject:?}");
        }
        // The standard parser agrees about what is JSON, apart from depth and repeated keys.
        let ours = applied
            .rejects
            .iter()
            .any(|reject| matches!(reject.code.as_str(), "json_syntax" | "json_unicode"));
        let repeated = applied.rejects.iter().any(|reject| reject.code.as_str() == "json_repeated_key");
        // It has no numbers beyond doubles and takes no NUL; those it calls bad are not compared.
        let theirs = serde_json::from_slice::<serde_json::Value>(&event);
        let out_of_range = theirs.as_ref().is_err_and(|error| error.to_string().contains("out of range"));
        if !repeated && !out_of_range {
            let text = String::from_utf8_lossy(&event).into_owned();
            assert_eq!(ours, theirs.is_err(), "seed {seed}: {text} {theirs:?} {:?}", applied.rejects);
        }
    }
}
