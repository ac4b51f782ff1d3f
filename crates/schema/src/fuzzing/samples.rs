//! The schemas that the target of events is run with: typed columns, nesting, JSON text and guards, protection.
//! Always: a sample that says so gives events back that it would accept again.

use std::sync::{Arc, LazyLock};

use crate::Schema;

pub(super) struct Sample {
    pub schema: Arc<Schema>,
    /// What it stores it accepts again: nothing is protected, and no rule looks at what is not stored.
    pub accepts_its_rows: bool,
    /// Where values are protected: pointers, `*` for any one part and `**` for any number of them.
    pub protected: &'static [&'static str],
}

const TYPED: &str = r#"{"type": "object", "required": ["a"], "properties": {
    "a": {"type": "integer", "minimum": -9007199254740993, "multipleOf": 3},
    "s": {"type": "string", "minLength": 1, "maxLength": 40, "pattern": "^[^#]*$"},
    "e": {"enum": ["x", "y", "ü"]}, "flag": {"type": "boolean"},
    "n": {"type": "number", "minimum": -1e300, "maximum": 1e300},
    "when": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"},
    "ts": {"type": "integer", "x-time": "ms"}, "tf": {"type": "number", "x-time": "s"},
    "tn": {"type": "integer", "x-time": "ns"},
    "p": {"type": "string", "format": "decimal", "x-precision": 20, "x-scale": 2},
    "q": {"type": "number", "format": "decimal", "x-precision": 38, "x-scale": 10},
    "b": {"type": "string", "contentEncoding": "base64"},
    "u": {"type": "string", "format": "uuid"}, "m": {"type": "string", "format": "email"},
    "ip": {"type": "string", "format": "ipv6"}, "uri": {"type": "string", "format": "uri"}}}"#;

const NESTED: &str = r#"{"type": "object", "properties": {
    "o": {"type": "object", "properties": {"x": {"type": "boolean"}, "a/b": {"type": "integer"},
        "l": {"type": "array", "items": {"type": "array", "items": {"type": "number"}, "maxItems": 4}},
        "in": {"type": "object", "properties": {"~": {"type": "string"}}, "minProperties": 1}}},
    "l": {"type": "array", "uniqueItems": true, "items": {"type": "object", "properties": {"k": {"type": "string"}}}},
    "m": {"type": "object", "additionalProperties": {"type": ["integer", "null"]}, "maxProperties": 5},
    "mm": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": {"type": "string"}}},
    "x\"y": {"type": "string"}}}"#;

const GUARDED: &str = r##"{"type": "object", "properties": {
    "v": {"type": ["string", "integer", "array", "object"]},
    "any": {},
    "tree": {"$ref": "#/$defs/tree"},
    "t": {"prefixItems": [{"type": "integer"}, {"type": "string"}], "items": false, "contains": {"minimum": 5}},
    "alt": {"oneOf": [{"type": "object", "required": ["kind"], "properties": {"kind": {"const": "a"}, "n": {"type": "integer"}}},
                      {"type": "object", "required": ["kind"], "properties": {"kind": {"const": "b"}}, "unevaluatedProperties": false}]},
    "txt": {"type": "string", "format": "iri"}, "not": {"type": "integer", "not": {"multipleOf": 7}}},
    "patternProperties": {"^x-": {"type": "boolean"}}, "dependentRequired": {"not": ["v"]},
    "$defs": {"tree": {"type": "object", "properties": {"w": {"type": "number"},
        "sub": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}, "additionalProperties": false}}}"##;

const PROTECTED: &str = r##"{"type": "object", "required": ["id", "person"], "x-key": ["id"], "properties": {
    "id": {"type": "integer"},
    "person": {"type": "string", "x-privacy": "subject", "pattern": "^p[0-9]+$"},
    "email": {"type": "string", "x-privacy": "hash", "format": "email", "maxLength": 40},
    "account": {"type": "integer", "x-privacy": "hash", "maximum": 99999999999},
    "note": {"type": "string", "x-privacy": "drop", "minLength": 3, "enum": ["fine-123", "well-12345"]},
    "in": {"type": "object", "properties": {"token": {"type": "string", "x-privacy": "hash", "pattern": "^[C]"}}},
    "tags": {"type": "array", "items": {"type": "string", "x-privacy": "hash", "maxLength": 20}, "uniqueItems": true},
    "map": {"type": "object", "additionalProperties": {"type": "string", "x-privacy": "hash"}},
    "when": {"type": "string", "format": "date-time", "x-privacy": "hash"}}}"##;

const TOKENS: &str = r##"{"type": "object", "required": ["who", "name"], "x-key": ["name"], "properties": {
    "name": {"type": "string", "x-privacy": "tokenize", "maxLength": 60},
    "who": {"type": "object", "required": ["id"], "properties": {
        "id": {"type": "integer", "x-privacy": "subject"}}},
    "account": {"type": "integer", "x-privacy": "tokenize", "maximum": 99999999999},
    "card": {"type": ["string", "null"], "x-privacy": "tokenize", "x-token-format": "digits", "pattern": "^[0-9]{6,19}$"},
    "weight": {"type": "number", "x-privacy": "tokenize"},
    "born": {"type": "string", "format": "date", "x-privacy": "tokenize"},
    "tags": {"type": "array", "items": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "tag"}}}}"##;

const MARKED: &str = r##"{"type": "object", "properties": {
    "who": {"oneOf": [{"type": "string", "x-privacy": "hash", "minLength": 4}, {"$ref": "#/$defs/person"}]},
    "tree": {"$ref": "#/$defs/person"},
    "one": {"type": ["string", "integer"], "x-privacy": "hash", "not": {"const": "none-000"}},
    "gone": {"type": ["string", "integer"], "x-privacy": "drop"}}, "x-extra": "drop",
    "$defs": {"person": {"type": "object", "properties": {
        "name": {"type": "string", "x-privacy": "hash"}, "pin": {"type": ["string", "integer"], "x-privacy": "drop"},
        "city": {"type": "string"}, "friends": {"type": "array", "items": {"$ref": "#/$defs/person"}}},
        "patternProperties": {"^s-": {"type": "string", "x-privacy": "hash"}}}}}"##;

const REFUSING: &str = r#"{"type": "object", "required": ["k", "j"], "x-key": ["k", "j"], "x-partitions": 7,
    "x-event-time": "at", "x-mode": "reject", "x-extra": "refuse", "minProperties": 3, "properties": {
    "k": {"type": "string", "maxLength": 100}, "j": {"type": "number"}, "at": {"type": "integer", "x-time": "us"},
    "c": {"type": "object", "properties": {"d": {"type": "integer"}}, "additionalProperties": false}}}"#;

pub(super) static SAMPLES: LazyLock<Vec<Sample>> = LazyLock::new(|| {
    let sample = |document, accepts_its_rows, protected| {
        let checked = Schema::parse(document).unwrap_or_else(|faults| panic!("{document}: {faults:#?}"));
        Sample { schema: Arc::new(checked.schema), accepts_its_rows, protected }
    };
    vec![
        sample(TYPED, true, &[]),
        sample(NESTED, true, &[]),
        sample(GUARDED, true, &[]),
        sample(PROTECTED, false, &["/email", "/account", "/note", "/in/token", "/tags/*", "/map/*", "/when"]),
        sample(
            MARKED,
            false,
            &["/who", "/one", "/gone", "/**/name", "/**/pin", "/who/**/s-1", "/tree/**/s-1"],
        ),
        sample(REFUSING, true, &[]),
        sample(TOKENS, false, &["/name", "/account", "/card", "/weight", "/born", "/tags/*"]),
    ]
});
