//! The generator on a schema that has everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sha2::{Digest, Sha256};

use super::*;

const LIMITS: DecodeLimits = DecodeLimits { depth: 128, event_bytes: 1 << 16 };

const EVERYTHING: &str = r##"{
  "type": "object", "x-key": ["id"], "x-event-time": "at", "additionalProperties": false,
  "properties": {
    "id": {"type": "string", "minLength": 3, "maxLength": 20, "pattern": "^[a-z]+\\.[0-9]{1,4}$"},
    "state": {"enum": ["on", "off", "äüß", "\ud83d\ude80"], "type": "string"},
    "at": {"type": "string", "format": "date-time"},
    "sent": {"type": "integer", "x-time": "ms"},
    "day": {"type": ["string", "null"], "format": "date"},
    "count": {"type": "integer", "minimum": 0, "maximum": 100, "multipleOf": 5},
    "level": {"type": "number", "exclusiveMinimum": -1.5, "maximum": 1e3},
    "price": {"type": "string", "format": "decimal", "x-precision": 12, "x-scale": 2},
    "exact": {"type": "number", "format": "decimal", "x-precision": 30, "x-scale": 10, "minimum": 0},
    "flag": {"type": "boolean"},
    "image": {"type": "string", "contentEncoding": "base64", "maxLength": 64},
    "mail": {"type": "string", "format": "email"},
    "host": {"type": "string", "format": "hostname"},
    "v4": {"type": "string", "format": "ipv4"},
    "v6": {"type": "string", "format": "ipv6"},
    "link": {"type": "string", "format": "uri"},
    "reference": {"type": "string", "format": "uri-reference"},
    "uuid": {"type": "string", "format": "uuid"},
    "pointer": {"type": "string", "format": "json-pointer"},
    "time": {"type": "string", "format": "time"},
    "tags": {"type": "array", "items": {"type": "string"}, "uniqueItems": true, "maxItems": 4},
    "labels": {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1},
    "place": {
      "type": "object", "required": ["lat"],
      "properties": {"lat": {"type": "number", "minimum": -90, "maximum": 90}, "name": {"type": "string"}}
    },
    "secret": {"type": "string", "x-privacy": "hash"}
  },
  "required": ["id", "at", "state"]
}"##;

fn generator(document: &str, seed: u64) -> Generator {
    let checked = Schema::parse(document).unwrap_or_else(|faults| panic!("{faults:#?}"));
    Generator::new(Arc::new(checked.schema), LIMITS, seed)
}

#[test]
fn every_code_that_a_schema_can_give_is_given() {
    let generator = generator(EVERYTHING, 1);
    assert_eq!(generator.unmade(), []);
    let codes: BTreeSet<&str> = generator.codes().map(RejectCode::as_str).collect();
    let outside = ["keyword", "no_schema", "record"];
    let all: BTreeSet<&str> =
        RejectCode::ALL.iter().map(|code| code.as_str()).filter(|code| !outside.contains(code)).collect();
    assert_eq!(codes, all);
}

#[test]
fn a_seed_gives_the_same_bytes_for_ever() {
    let mut generator = generator(EVERYTHING, 42);
    // Changed only by a release that says so: seeds are written into scripts.
    assert_eq!(digest(&mut generator), "53dd1de003daaeb0902d988667d63e4e");
}

/// What has a column, what has none, and rules that hold for both.
const SLOWER: &str = r##"{
  "type": "object", "x-key": ["id"],
  "properties": {
    "id": {"type": "string", "minLength": 1, "maxLength": 8},
    "kind": {"type": "string", "enum": ["sale", "refund"]},
    "reason": {"type": "string"},
    "place": {"oneOf": [
      {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false},
      {"type": "array", "prefixItems": [{"type": "number"}, {"type": "number"}], "minItems": 2, "items": false},
      {"type": "null"}]},
    "labels": {"type": "object", "patternProperties": {"^[a-z]{2,5}$": {"type": ["integer", "string"]}}, "additionalProperties": false},
    "tree": {"$ref": "#/$defs/tree"},
    "even": {"type": "integer", "not": {"multipleOf": 2}},
    "link": {"type": "string", "format": "iri"}
  },
  "required": ["id", "kind"],
  "if": {"properties": {"kind": {"const": "refund"}}}, "then": {"required": ["reason"]},
  "$defs": {"tree": {"type": "object", "required": ["n"], "additionalProperties": false,
    "properties": {"n": {"type": "integer"}, "left": {"$ref": "#/$defs/tree"}, "right": {"$ref": "#/$defs/tree"}}}}
}"##;

fn digest(generator: &mut Generator) -> String {
    let mut digest = Sha256::new();
    for number in 0..600 {
        let intended = generator.intended(number, 400_000);
        let event = generator.event(number, intended).unwrap();
        digest.update(&event);
        digest.update(b"\n");
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_seed_gives_the_same_bytes_on_the_slower_path() {
    let mut generator = generator(SLOWER, 42);
    assert_eq!(generator.unmade(), []);
    assert_eq!(digest(&mut generator), "6dd8f1ade719964e6aceccb9179c32c2");
}

#[test]
fn the_share_of_bad_events_is_exact_and_the_codes_take_turns() {
    let generator = generator(EVERYTHING, 1);
    for (per_million, count, bad) in
        [(0, 1000, 0), (1_000_000, 50, 50), (300_000, 1000, 300), (1, 2_000_000, 2)]
    {
        let intended = (0..count).filter_map(|number| generator.intended(number, per_million));
        let mut codes: HashMap<RejectCode, u64> = HashMap::new();
        for code in intended {
            *codes.entry(code).or_default() += 1;
        }
        assert_eq!(codes.values().sum::<u64>(), bad, "{per_million}");
        if bad == 300 {
            let few = codes.remove(&RejectCode::TooLarge).unwrap();
            assert!(few == 1 && codes.len() == 17, "{codes:?}");
            assert!(codes.values().all(|count| (16..=20).contains(count)), "{codes:?}");
        }
    }
}

#[test]
fn values_of_every_sort_appear() {
    let mut generator = generator(EVERYTHING, 9);
    let mut events = String::new();
    for number in 0..1500 {
        events.push_str(&String::from_utf8(generator.event(number, None).unwrap()).unwrap());
        events.push('\n');
    }
    let sorts: BTreeMap<&str, bool> = [
        "\"on\"",
        "\"off\"",
        "äüß",
        "🚀",
        "\\u",
        "\\n",
        "null",
        "😀",
        "\u{10ffff}",
        "\"count\":0",
        "\"count\":100",
        ".0,",
        "e0",
        "-89",
        "1000",
        "[]",
        "+0",
        "0000-01-01",
        "23:59:60",
        "\"place\":{\"name\"",
    ]
    .into_iter()
    .map(|sort| (sort, events.contains(sort)))
    .collect();
    assert!(sorts.values().all(|there| *there), "{sorts:?}");
    assert!(events.lines().any(|event| !event.contains("\"count\"")));
}

#[test]
fn what_cannot_be_made_is_said() {
    let generator = generator(
        r#"{"type": "object", "properties": {
            "never": {"type": "string", "pattern": "[^\\s\\S]"}, "always": {"type": "string", "pattern": ""},
            "whole": {"type": "integer", "multipleOf": 1, "maximum": 1e30}
        }, "required": ["never"]}"#,
        1,
    );
    let unmade: Vec<Option<RejectCode>> = generator.unmade().iter().map(|not_made| not_made.code).collect();
    assert!(unmade.contains(&None), "{unmade:?}");
    assert!(unmade.contains(&Some(RejectCode::MultipleOf)) && unmade.contains(&Some(RejectCode::Maximum)));
    for not_made in generator.unmade() {
        assert!(!not_made.reason.is_empty());
    }
    assert!(generator.codes().any(|code| code == RejectCode::JsonSyntax));
}

#[test]
fn a_schema_that_nests_without_measure_ends() {
    let mut field = r#"{"type": "integer"}"#.to_owned();
    for _ in 0..20 {
        field = format!(r#"{{"type": "array", "minItems": 3, "items": {field}}}"#);
    }
    let document =
        format!(r#"{{"type": "object", "properties": {{"deep": {field}}}, "required": ["deep"]}}"#);
    assert!(generator(&document, 1).unmade().iter().any(|not_made| not_made.code.is_none()));
    let mut wide = generator(r#"{"type": "object", "properties": {}}"#, 1);
    assert!(wide.event(0, None).is_ok());
    for code in wide.codes().collect::<Vec<_>>() {
        assert!(wide.event(1, Some(code)).is_ok(), "{code}");
    }
}
