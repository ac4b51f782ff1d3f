//! The table of `docs/reference/evolution.md`: thirty and more changes of a schema, and what becomes of each. The page says
//! what is written here; a test compares them.

use hw_schema::Schema;

/// What is done, the schema before, the schema after, and the verdict: `allowed`, `rewrite: ACTION`, or `refused: WHY`.
const CHANGES: &[(&str, &str, &str, &str)] = &[
    ("add an optional field", P, r#""properties":{"a":{"type":"string"},"b":{"type":"integer"}}"#, "allowed"),
    (
        "add an optional field within an object",
        O,
        r#""properties":{"o":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}}"#,
        "allowed",
    ),
    (
        "add a required field",
        P,
        r#""properties":{"a":{"type":"string"},"b":{"type":"integer"}},"required":["b"]"#,
        "refused: must be optional",
    ),
    ("let a required field be missing", R, P, "allowed"),
    ("require an optional field", P, R, "refused: was optional"),
    ("let a field be null", P, r#""properties":{"a":{"type":["string","null"]}}"#, "allowed"),
    ("forbid null", r#""properties":{"a":{"type":["string","null"]}}"#, P, "refused: could be null"),
    ("widen a range", I, r#""properties":{"a":{"type":"integer","minimum":0,"maximum":20}}"#, "allowed"),
    (
        "narrow a range",
        I,
        r#""properties":{"a":{"type":"integer","minimum":2,"maximum":10}}"#,
        "refused: narrower",
    ),
    ("drop a range", I, r#""properties":{"a":{"type":"integer"}}"#, "allowed"),
    (
        "allow longer text",
        r#""properties":{"a":{"type":"string","maxLength":3}}"#,
        r#""properties":{"a":{"type":"string","maxLength":9}}"#,
        "allowed",
    ),
    ("add a pattern", P, r#""properties":{"a":{"type":"string","pattern":"^x"}}"#, "refused: narrower"),
    ("take a pattern away", r#""properties":{"a":{"type":"string","pattern":"^x"}}"#, P, "allowed"),
    (
        "add to an enum",
        r#""properties":{"a":{"type":"string","enum":["x"]}}"#,
        r#""properties":{"a":{"type":"string","enum":["x","y"]}}"#,
        "allowed",
    ),
    (
        "take from an enum",
        r#""properties":{"a":{"type":"string","enum":["x","y"]}}"#,
        r#""properties":{"a":{"type":"string","enum":["x"]}}"#,
        "refused: no longer",
    ),
    (
        "allow more items",
        r#""properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":2}}"#,
        r#""properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":4}}"#,
        "allowed",
    ),
    (
        "add a rule beside the types",
        P,
        r#""properties":{"a":{"type":"string"}},"oneOf":[{"required":["a"]}]"#,
        "refused: no rules",
    ),
    (
        "forbid unnamed fields",
        P,
        r#""properties":{"a":{"type":"string"}},"additionalProperties":false"#,
        "refused: unnamed fields were allowed",
    ),
    ("change text to a number", P, r#""properties":{"a":{"type":"number"}}"#, "refused: type has changed"),
    (
        "change an integer to a number",
        r#""properties":{"a":{"type":"integer"}}"#,
        r#""properties":{"a":{"type":"number"}}"#,
        "refused: type has changed",
    ),
    (
        "change the unit of a time",
        r#""properties":{"a":{"type":"integer","x-time":"s"}}"#,
        r#""properties":{"a":{"type":"integer","x-time":"ms"}}"#,
        "refused: type has changed",
    ),
    (
        "change the key",
        r#""properties":{"a":{"type":"string"}},"required":["a"],"x-key":["a"]"#,
        R,
        "refused: other partitions",
    ),
    (
        "change the number of partitions",
        P,
        r#""properties":{"a":{"type":"string"}},"x-partitions":3"#,
        "refused: fixed",
    ),
    (
        "change the event time",
        r#""properties":{"a":{"type":"string","format":"date-time"}},"x-event-time":"a""#,
        r#""properties":{"a":{"type":"string","format":"date-time"}}"#,
        "refused: _time would mean",
    ),
    ("remove a field", r#""properties":{"a":{"type":"string"},"b":{"type":"string"}}"#, P, "rewrite: remove"),
    (
        "remove a field within an object",
        r#""properties":{"o":{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}}}}"#,
        O,
        "rewrite: remove",
    ),
    (
        "hash a text",
        Q,
        r#""properties":{"a":{"type":"string","x-privacy":"hash"}},"x-extra":"refuse""#,
        "rewrite: hash",
    ),
    (
        "hash a number",
        r#""properties":{"a":{"type":"integer"}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"integer","x-privacy":"hash"}},"x-extra":"refuse""#,
        "rewrite: hash",
    ),
    (
        "hash the items of a list",
        r#""properties":{"a":{"type":"array","items":{"type":"string"}}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"array","items":{"type":"string","x-privacy":"hash"}}},"x-extra":"refuse""#,
        "rewrite: hash",
    ),
    (
        "hash the values of a map",
        r#""properties":{"a":{"type":"object","additionalProperties":{"type":"string"}}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"object","additionalProperties":{"type":"string","x-privacy":"hash"}}},"x-extra":"refuse""#,
        "rewrite: hash",
    ),
    (
        "drop a plain field by annotation",
        Q,
        r#""properties":{"a":{"type":"string","x-privacy":"drop"}},"x-extra":"refuse""#,
        "rewrite: drop",
    ),
    (
        "drop a hashed field",
        r#""properties":{"a":{"type":"string","x-privacy":"hash"}}"#,
        r#""properties":{"a":{"type":"string","x-privacy":"drop"}}"#,
        "rewrite: drop",
    ),
    (
        "tokenise a text",
        Q,
        r#""properties":{"a":{"type":"string","x-privacy":"tokenize"}},"x-extra":"refuse""#,
        "rewrite: tokenize",
    ),
    (
        "tokenise the items of a list",
        r#""properties":{"a":{"type":"array","items":{"type":"string"}}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"array","items":{"type":"string","x-privacy":"tokenize","x-token-domain":"a"}}},"x-extra":"refuse""#,
        "refused: protection has changed",
    ),
    (
        "drop a tokenised field",
        r#""properties":{"a":{"type":"string","x-privacy":"tokenize"}}"#,
        r#""properties":{"a":{"type":"string","x-privacy":"drop"}}"#,
        "rewrite: drop",
    ),
    (
        "name the subject",
        r#""properties":{"a":{"type":"string"}},"required":["a"],"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"string","x-privacy":"subject"}},"required":["a"],"x-extra":"refuse""#,
        "rewrite: hide",
    ),
    (
        "protect the first field, with the default of x-extra",
        P,
        r#""properties":{"a":{"type":"string","x-privacy":"hash"}}"#,
        "rewrite: clear, hash",
    ),
    (
        "hash a time",
        r#""properties":{"a":{"type":"string","format":"date-time"}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"string","format":"date-time","x-privacy":"hash"}},"x-extra":"refuse""#,
        "refused: protection has changed",
    ),
    (
        "show what was hashed",
        r#""properties":{"a":{"type":"string","x-privacy":"hash"}},"x-extra":"refuse""#,
        Q,
        "refused: protection has changed",
    ),
    (
        "add a protected field where unnamed ones are kept",
        r#""properties":{"a":{"type":"string"}},"x-extra":"keep""#,
        r#""properties":{"a":{"type":"string"},"b":{"type":"string","x-privacy":"hash"}},"x-extra":"keep""#,
        "refused: stand unprotected",
    ),
];

const P: &str = r#""properties":{"a":{"type":"string"}}"#;
const Q: &str = r#""properties":{"a":{"type":"string"}},"x-extra":"refuse""#;
const R: &str = r#""properties":{"a":{"type":"string"}},"required":["a"]"#;
const I: &str = r#""properties":{"a":{"type":"integer","minimum":1,"maximum":10}}"#;
const O: &str = r#""properties":{"o":{"type":"object","properties":{"a":{"type":"string"}}}}"#;

fn schema(body: &str) -> Schema {
    match Schema::parse(&format!("{{\"type\":\"object\",{body}}}")) {
        Ok(checked) => checked.schema,
        Err(faults) => panic!("{body}: {faults:?}"),
    }
}

/// As `headwater plan` would say it.
fn verdict(old: &str, next: &str) -> Result<String, String> {
    let (old, next) = (schema(old), schema(next));
    if old.check_change(&next).is_ok() {
        return Ok("allowed".to_owned());
    }
    match old.check_generation(&next) {
        Ok(rewrites) => {
            let actions: Vec<&str> = rewrites.iter().map(|it| it.action.as_str()).collect();
            Ok(format!("rewrite: {}", actions.join(", ")))
        }
        Err(faults) => {
            for fault in &faults {
                assert!(fault.line > 0 && !fault.message.is_empty() && !fault.hint.is_empty(), "{fault:?}");
            }
            Err(faults.iter().map(|fault| fault.message.clone()).collect::<Vec<_>>().join("; "))
        }
    }
}

#[test]
fn every_change_has_its_verdict() {
    assert!(CHANGES.len() >= 30);
    for (what, old, next, expected) in CHANGES {
        match (verdict(old, next), expected.strip_prefix("refused: ")) {
            (Ok(found), None) => assert_eq!(&found, expected, "{what}"),
            (Err(found), Some(why)) => assert!(found.contains(why), "{what}: {found}"),
            (found, _) => panic!("{what}: {found:?}, expected {expected}"),
        }
    }
}

#[test]
fn the_page_says_the_same() {
    let page = include_str!("../../../../docs/reference/evolution.md");
    let verdict = |expected: &str| match expected.split_once(": ") {
        Some(("refused", _)) => "refused".to_owned(),
        _ => expected.to_owned(),
    };
    for (what, _, _, expected) in CHANGES {
        let line = format!("| {what} | {} |", verdict(expected));
        assert!(page.contains(&line), "docs/reference/evolution.md lacks: {line}");
    }
}
