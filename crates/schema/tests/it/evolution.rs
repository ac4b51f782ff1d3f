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
    ("require an optional field", P, R, "rewrite: narrow"),
    ("let a field be null", P, r#""properties":{"a":{"type":["string","null"]}}"#, "allowed"),
    ("forbid null", r#""properties":{"a":{"type":["string","null"]}}"#, P, "rewrite: narrow"),
    ("widen a range", I, r#""properties":{"a":{"type":"integer","minimum":0,"maximum":20}}"#, "allowed"),
    (
        "narrow a range",
        I,
        r#""properties":{"a":{"type":"integer","minimum":2,"maximum":10}}"#,
        "rewrite: narrow",
    ),
    ("drop a range", I, r#""properties":{"a":{"type":"integer"}}"#, "allowed"),
    (
        "allow longer text",
        r#""properties":{"a":{"type":"string","maxLength":3}}"#,
        r#""properties":{"a":{"type":"string","maxLength":9}}"#,
        "allowed",
    ),
    ("add a pattern", P, r#""properties":{"a":{"type":"string","pattern":"^x"}}"#, "rewrite: narrow"),
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
        "rewrite: narrow",
    ),
    (
        "allow more items",
        r#""properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":2}}"#,
        r#""properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":4}}"#,
        "allowed",
    ),
    (
        "allow fewer items",
        r#""properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":4}}"#,
        r#""properties":{"a":{"type":"array","items":{"type":"string"},"maxItems":2}}"#,
        "rewrite: narrow",
    ),
    (
        "narrow the items of a list",
        r#""properties":{"a":{"type":"array","items":{"type":"string"}}}"#,
        r#""properties":{"a":{"type":"array","items":{"type":"string","maxLength":2}}}"#,
        "rewrite: narrow",
    ),
    (
        "add a rule beside a text's type",
        P,
        r#""properties":{"a":{"type":"string","not":{"const":"x"}}}"#,
        "rewrite: narrow",
    ),
    (
        "add a pattern to a date-time",
        r#""properties":{"a":{"type":"string","format":"date-time"}}"#,
        r#""properties":{"a":{"type":"string","format":"date-time","pattern":"Z$"}}"#,
        "refused: narrower",
    ),
    (
        "add a pattern to a hashed text",
        r#""properties":{"a":{"type":"string","x-privacy":"hash"}}"#,
        r#""properties":{"a":{"type":"string","x-privacy":"hash","pattern":"^x"}}"#,
        "refused: narrower",
    ),
    (
        "give a field another name",
        P,
        r#""properties":{"b":{"type":"string","x-renamed-from":"a"}}"#,
        "rewrite: rename",
    ),
    (
        "give a field within an object another name",
        O,
        r#""properties":{"o":{"type":"object","properties":{"b":{"type":"string","x-renamed-from":"a"}}}}"#,
        "rewrite: rename",
    ),
    (
        "give the key another name",
        r#""properties":{"a":{"type":"string"}},"required":["a"],"x-key":["a"]"#,
        r#""properties":{"b":{"type":"string","x-renamed-from":"a"}},"required":["b"],"x-key":["b"]"#,
        "rewrite: rename",
    ),
    (
        "give a field another name and hash it",
        Q,
        r#""properties":{"b":{"type":"string","x-renamed-from":"a","x-privacy":"hash"}},"x-extra":"refuse""#,
        "rewrite: rename, hash",
    ),
    (
        "keep `x-renamed-from` in the next version",
        r#""properties":{"b":{"type":"string","x-renamed-from":"a"}}"#,
        r#""properties":{"b":{"type":"string","x-renamed-from":"a"},"c":{"type":"string"}}"#,
        "allowed",
    ),
    (
        "rename a field and keep the old one",
        P,
        r#""properties":{"a":{"type":"string"},"b":{"type":"string","x-renamed-from":"a"}}"#,
        "refused: still there",
    ),
    (
        "rename a field to a name that was there",
        r#""properties":{"a":{"type":"string"},"b":{"type":"string"}}"#,
        r#""properties":{"b":{"type":"string","x-renamed-from":"a"}}"#,
        "refused: was there already",
    ),
    (
        "change text to a number, with `x-from`",
        P,
        r#""properties":{"a":{"type":"number","x-from":"CAST(a AS DOUBLE)"}}"#,
        "rewrite: compute",
    ),
    (
        "give a number another unit, with `x-from`",
        r#""properties":{"a":{"type":"integer"}}"#,
        r#""properties":{"a":{"type":"integer","maximum":9,"x-from":"a * 100"}}"#,
        "rewrite: compute, narrow",
    ),
    (
        "add a required field, with `x-from`",
        P,
        r#""properties":{"a":{"type":"string"},"b":{"type":"integer","x-from":"length(a)"}},"required":["b"]"#,
        "rewrite: compute, narrow",
    ),
    (
        "compute a field from one that goes",
        P,
        r#""properties":{"b":{"type":"string","x-from":"upper(a)"}}"#,
        "rewrite: remove, compute",
    ),
    (
        "keep `x-from` in the next version",
        r#""properties":{"a":{"type":"integer","x-from":"a * 100"}}"#,
        r#""properties":{"a":{"type":"integer","x-from":"a * 100"},"c":{"type":"string"}}"#,
        "allowed",
    ),
    (
        "compute the key",
        r#""properties":{"a":{"type":"string"}},"required":["a"],"x-key":["a"]"#,
        r#""properties":{"a":{"type":"string","x-from":"upper(a)"}},"required":["a"],"x-key":["a"]"#,
        "refused: where or when",
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
        "rewrite: tokenize",
    ),
    (
        "tokenise the values of a map",
        r#""properties":{"a":{"type":"object","additionalProperties":{"type":"string"}}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":"object","additionalProperties":{"type":"string","x-privacy":"tokenize","x-token-domain":"a"}}},"x-extra":"refuse""#,
        "rewrite: tokenize",
    ),
    (
        "hash a value of more than one type",
        r#""properties":{"a":{"type":["string","integer"]}},"x-extra":"refuse""#,
        r#""properties":{"a":{"type":["string","integer"],"x-privacy":"hash"}},"x-extra":"refuse""#,
        "rewrite: hash",
    ),
    (
        "hash a value inside of JSON text",
        r#""properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"string"}}}]}},"x-extra":"refuse""#,
        r#""properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"string","x-privacy":"hash"}}}]}},"x-extra":"refuse""#,
        "rewrite: protect",
    ),
    (
        "drop a hashed value inside of JSON text",
        r#""properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"string","x-privacy":"hash"}}}]}},"x-extra":"refuse""#,
        r#""properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"string","x-privacy":"drop"}}}]}},"x-extra":"refuse""#,
        "rewrite: protect",
    ),
    (
        "show a hashed value inside of JSON text",
        r#""properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"string","x-privacy":"hash"}}}]}},"x-extra":"refuse""#,
        r#""properties":{"a":{"oneOf":[{"type":"string"},{"type":"object","properties":{"n":{"type":"string"}}}]}},"x-extra":"refuse""#,
        "refused: inside of the value",
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
