//! Which changes follow, and why others do not.

use super::*;

fn schema(body: &str) -> Schema {
    match Schema::parse(&format!("{{\"type\":\"object\",{body}}}")) {
        Ok(checked) => checked.schema,
        Err(faults) => panic!("{body}: {faults:?}"),
    }
}

#[track_caller]
fn check(old: &str, next: &str, expected: Option<&str>) {
    match (schema(old).check_change(&schema(next)), expected) {
        (Ok(()), None) => {}
        (Err(faults), Some(expected)) => {
            assert!(faults.iter().any(|fault| fault.message.contains(expected)), "{faults:?}");
        }
        (result, expected) => panic!("{old} -> {next}: {result:?}, expected {expected:?}"),
    }
}

#[test]
fn a_schema_may_become_wider() {
    let a = r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5}}"#;
    check(a, a, None);
    check(a, r#""properties":{"b":{"type":"string"},"a":{"type":"integer","minimum":1,"maximum":5}}"#, None);
    check(a, r#""properties":{"a":{"type":"integer","minimum":0,"maximum":5.5}}"#, None);
    check(a, r#""properties":{"a":{"type":["integer","null"]}},"x-mode":"reject""#, None);
    check(
        r#""properties":{"a":{"type":"string","enum":["x"],"maxLength":3}},"required":["a"]"#,
        r#""properties":{"a":{"type":"string","enum":["y","x"],"maxLength":4}}"#,
        None,
    );
    check(
        r#""properties":{"o":{"type":"object","properties":{"a":{"type":"integer"}}}}"#,
        r#""properties":{"o":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}}"#,
        None,
    );
    check(
        r#""properties":{"a":{"type":"integer","multipleOf":6}}"#,
        r#""properties":{"a":{"type":"integer","multipleOf":3}}"#,
        None,
    );
}

#[test]
fn a_schema_must_not_become_narrower_or_mean_something_else() {
    let a = r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5}}"#;
    let with = |rest: &str| format!("{a},{rest}");
    check(a, r#""properties":{}"#, Some("has gone"));
    check(a, r#""properties":{"a":{"type":"number","minimum":1,"maximum":5}}"#, Some("type has changed"));
    check(a, r#""properties":{"a":{"type":"integer","exclusiveMinimum":1,"maximum":5}}"#, Some("narrower"));
    check(a, r#""properties":{"a":{"type":"integer","minimum":1,"maximum":4}}"#, Some("narrower"));
    check(a, &with(r#""required":["a"]"#), Some("was optional"));
    check(a, &with(r#""additionalProperties":false"#), Some("unnamed fields were allowed"));
    check(a, &with(r#""x-extra":"refuse""#), Some("unnamed fields has changed"));
    check(a, &with(r#""x-partitions":2"#), Some("fixed"));
    check(&with(r#""required":["a"],"x-key":["a"]"#), &with(r#""required":["a"]"#), Some("other partitions"));
    check(
        a,
        r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5,"x-privacy":"hash"}},"x-extra":"keep""#,
        Some("protection"),
    );
    let tokens = |rest: &str| {
        format!(
            r#""properties":{{"a":{{"type":"string","pattern":"^[0-9]{{6}}$","x-privacy":"tokenize"{rest}}}}}"#
        )
    };
    check(&tokens(""), &tokens(r#","x-token-domain":"a""#), None);
    check(&tokens(""), &tokens(r#","x-token-domain":"b""#), Some("domain or the format"));
    check(&tokens(""), &tokens(r#","x-token-format":"digits""#), Some("domain or the format"));
    check(
        r#""properties":{"a":{"type":"string","x-privacy":"hash"}}"#,
        r#""properties":{"a":{"type":"string","x-privacy":"tokenize"}}"#,
        Some("protection"),
    );
    check(
        a,
        r#""properties":{"a":{"type":"integer","minimum":1,"maximum":5},"b":{"type":"string","x-privacy":"drop"}},"x-extra":"keep""#,
        Some("stand unprotected"),
    );
    check(a, r#""properties":{"a":{"type":"integer","enum":[1]}}"#, Some("no longer"));
    check(
        r#""properties":{"a":{"type":"array","items":{"type":"string"}}}"#,
        r#""properties":{"a":{"type":"array","items":{"type":"string","pattern":"a"},"maxItems":1}}"#,
        Some("narrower"),
    );
    check(
        r#""properties":{"a":{"type":"integer","multipleOf":3}}"#,
        r#""properties":{"a":{"type":"integer","multipleOf":6}}"#,
        Some("narrower"),
    );
}

#[test]
fn a_refused_change_has_a_place() {
    let old = schema(r#""properties":{"a":{"type":"integer"}}"#);
    let next = schema("\n\"properties\":{\n  \"a\":{\"type\":\"string\"}}");
    let faults = old.check_change(&next).unwrap_err();
    assert_eq!((faults[0].pointer.as_str(), faults[0].line, faults[0].column), ("/properties/a", 3, 7));
}
