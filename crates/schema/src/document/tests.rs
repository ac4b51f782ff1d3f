//! Schema documents: what is understood, and how each fault is told.

use super::*;
use crate::{Privacy, schema::Kind};

/// Every fault as `line:column pointer: message`.
fn faults(document: &str) -> Vec<String> {
    let tell = |fault: &Fault| {
        assert!(!fault.hint.is_empty(), "{fault}");
        format!("{}:{} {}: {}", fault.line, fault.column, fault.pointer, fault.message)
    };
    match Schema::parse(document) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(tell).collect(),
    }
}

#[track_caller]
fn check(document: &str, expected: &[&str]) {
    assert_eq!(faults(document), expected, "{document}");
}

/// One field `v` of the root.
#[track_caller]
fn check_field(field: &str, expected: &str) {
    let found = faults(&format!(r#"{{"type":"object","properties":{{"v":{field}}}}}"#));
    let found = found.first().map_or("fine", |fault| fault.split_once(' ').map_or("", |(_, rest)| rest));
    assert_eq!(found, expected, "{field}");
}

#[test]
fn every_fault_is_told_at_once_and_has_its_place() {
    let document = "{
  \"type\": \"object\",
  \"properties\": {
    \"é\": {\"type\": \"text\"},
    \"_id\": {\"type\": \"integer\", \"minimum\": \"1\"},
    \"a\": {\"type\": \"string\", \"pattern\": \"(?=x)\", \"x-privat\": true},
    \"A\": {\"oneOf\": [{\"format\": \"e-mail\"}]},
    \"in\": {\"type\": \"object\", \"properties\": {\"t\": {\"type\": \"string\", \"x-privacy\": \"tokenize\", \"x-token-format\": 5}}}
  },
  \"x-partitions\": 0
}";
    check(
        document,
        &[
            "4:19 /properties/é/type: there is no type \"text\"",
            "5:5 /properties/_id: a field's name must not start with _",
            "5:43 /properties/_id/minimum: minimum is a number",
            "6:40 /properties/a/pattern: the pattern uses look-around, which cannot be matched in linear time",
            "6:49 /properties/a/x-privat: there is no keyword \"x-privat\"",
            "7:5 /properties/A: \"a\" and \"A\" differ only in case",
            "7:32 /properties/A/oneOf/0/format: the format \"e-mail\" is not one that we can assert for this type",
            "8:112 /properties/in/properties/t/x-token-format: there is no such format of tokens",
            "10:19 /x-partitions: x-partitions is an integer from 1 to 10000",
        ],
    );
}

#[test]
fn what_is_no_document_is_refused() {
    check("", &["1:1 : the file is empty"]);
    check("{\n \"a\": 1,\n \"a\": 2}", &["3:2 : the document names a key twice in one object"]);
    check("[]", &["1:1 /type: an event is an object"]);
    check("true", &["1:1 /type: an event is an object"]);
    check(r#"{"type":"array"}"#, &["1:9 /type: an event is an object"]);
    check(r#"{"type":["object","null"]}"#, &["1:9 /type: an event is an object"]);
    check(
        r#"{"type":"object","$schema":"http://json-schema.org/draft-04/schema#"}"#,
        &["1:28 /$schema: we do not read this dialect of JSON Schema"],
    );
    check(&"[".repeat(100_000), &["1:257 : the document is not JSON: the document is nested too deeply"]);
}

#[test]
fn fields_are_judged_one_by_one() {
    for fine in [
        r#"{"type":"string","format":"uuid","description":"x","title":"y","default":1,"examples":[],"$comment":""}"#,
        r#"{"type":["null","number"],"const":1.5}"#,
        r#"{"type":"integer","x-time":"ms","x-privacy":"hash"}"#,
        r#"{"type":"integer","x-privacy":"tokenize"}"#,
        r#"{"type":["string","null"],"format":"date","x-privacy":"tokenize","x-token-domain":"birthday"}"#,
        r#"{"type":"array","items":{"type":"string","x-privacy":"tokenize","x-token-domain":"tag"}}"#,
        r##"{"anyOf":[{"type":"string"},{"type":"null"}],"x-privacy":"tokenize","x-token-domain":"d","x-token-format":"text"}"##,
        r#"{"type":"string","pattern":"^[0-9]+$","minLength":6,"maxLength":9,"x-privacy":"tokenize","x-token-format":"digits"}"#,
        r#"{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","x-privacy":"drop"},"b":{"type":"string"}}}}"#,
        r#"{"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":{}}"#,
        r#"{"type":"object","additionalProperties":{"type":["integer","null"]},"maxProperties":3.0}"#,
        r#"{"type":"string","contentEncoding":"base64","contentMediaType":"image/png"}"#,
        r#"{"type":"string","contentEncoding":"base32"}"#,
        r#"{"type":"string","format":"iri"}"#,
        r#"{"type":"integer","format":"int64"}"#,
        "{}",
        "true",
        r##"{"$ref":"#/properties/v","minLength":1}"##,
    ] {
        check_field(fine, "fine");
    }
    let at = |rest: &str| format!("/properties/v{rest}");
    for (field, expected) in [
        (
            r#"{"type":"array","items":[{"type":"string"}]}"#,
            at("/items: [{\"type\":\"string\"}] is not of types \"boolean\", \"object\""),
        ),
        (r#"{"oneOf":[]}"#, at("/oneOf: [] has less than 1 item")),
        (r#"{"anyOf":[{"minLength":-1}]}"#, at("/anyOf/0/minLength: -1 is less than the minimum of 0")),
        (
            r#"{"anyOf":[{"pattern":"(?=a)"}]}"#,
            at("/anyOf/0/pattern: the pattern uses look-around, which cannot be matched in linear time"),
        ),
        (
            r#"{"patternProperties":{"(?=a)":true}}"#,
            at(
                "/patternProperties/(?=a): the pattern uses look-around, which cannot be matched in linear time",
            ),
        ),
        (
            r#"{"anyOf":[{"x-time":"s"}]}"#,
            at("/anyOf/0/x-time: x-time has no effect on a field that becomes JSON text"),
        ),
        (r#"{"anyOf":[{"x-key":["a"]}]}"#, at("/anyOf/0/x-key: \"x-key\" says something about the stream")),
        (
            r#"{"anyOf":[{"x-privacy":"hash"}]}"#,
            at("/anyOf/0/x-privacy: only single values can be protected"),
        ),
        (
            r#"{"anyOf":[{"type":"string","x-privacy":"subject"}]}"#,
            at("/anyOf/0/x-privacy: the subject must be in every event"),
        ),
        (
            r#"{"propertyNames":{"type":"string","x-privacy":"hash"}}"#,
            at("/propertyNames/x-privacy: names of fields cannot be protected"),
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"if":{"properties":{"b":{"type":"string","x-privacy":"hash"}}}}"#,
            at(": x-privacy inside of a rule beside the fields would protect no column"),
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["b"],"additionalProperties":false}"#,
            at("/required: required names \"b\", which properties does not describe"),
        ),
        (
            r#"{"type":"array","items":{"type":"string","x-privacy":"drop"}}"#,
            at("/items: nothing of the elements would be stored"),
        ),
        (
            r#"{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","x-privacy":"drop"}}}}"#,
            at("/items: nothing of the elements would be stored"),
        ),
        (r#"{"type":"string","format":"duration"}"#, at("/format: a lake has no type for durations")),
        (r#"{"type":"integer","format":"uint64"}"#, at("/format: a lake has no unsigned types")),
        (
            r#"{"type":"string","format":"e-mail"}"#,
            at("/format: the format \"e-mail\" is not one that we can assert for this type"),
        ),
        (
            r#"{"type":"integer","format":"int32"}"#,
            at("/format: the format \"int32\" is not one that we can assert for this type"),
        ),
        (
            r#"{"type":"number","format":"decimal","x-precision":39,"x-scale":2}"#,
            at("/x-precision: a decimal needs x-precision from 1 to 38"),
        ),
        (
            r#"{"type":"number","format":"decimal","x-precision":5,"x-scale":6}"#,
            at("/x-scale: a decimal needs x-scale from 0 to 5"),
        ),
        (r#"{"type":"number","x-scale":6}"#, at("/x-scale: x-scale belongs to \"format\": \"decimal\"")),
        (
            r#"{"type":"string","pattern":"("}"#,
            at("/pattern: the pattern is not a regular expression: unclosed group"),
        ),
        (
            r#"{"type":"string","minLength":3,"maxLength":2}"#,
            at(": minLength is above maxLength, so nothing passes"),
        ),
        (r#"{"type":"string","minLength":-1}"#, at("/minLength: minLength is a count")),
        (r#"{"type":"integer","minimum":3,"exclusiveMaximum":3}"#, at(": no number lies between the bounds")),
        (
            r#"{"type":"integer","exclusiveMinimum":true}"#,
            at("/exclusiveMinimum: exclusiveMinimum is a number"),
        ),
        (r#"{"type":"integer","multipleOf":0}"#, at("/multipleOf: multipleOf is a positive number")),
        (r#"{"type":"integer","enum":[1,"2"]}"#, at("/enum/1: this value is not of the type integer")),
        (r#"{"type":"integer","enum":[]}"#, at("/enum: an enum is a list of 1 to 10000 values")),
        (r#"{"type":["integer","null"],"const":null}"#, at("/const: only null is allowed")),
        (r#"{"type":"integer","x-time":"min"}"#, at("/x-time: there is no such unit")),
        (r#"{"type":"string","x-time":"s"}"#, at("/x-time: \"x-time\" has no effect on the type string")),
        (r#"{"type":"string","x-key":["v"]}"#, at("/x-key: \"x-key\" says something about the stream")),
        (
            r#"{"type":"string","x-cluster":true}"#,
            at("/x-cluster: the keyword \"x-cluster\" is not built yet"),
        ),
        (
            r#"{"type":"array","items":{"type":"string"},"x-privacy":"hash"}"#,
            at("/x-privacy: only single values can be protected"),
        ),
        (
            r#"{"type":["string","integer"],"x-privacy":"tokenize"}"#,
            at(
                "/x-privacy: x-privacy: tokenize on a value of no one type, which becomes JSON text, is not built yet",
            ),
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string"}},"x-privacy":"tokenize"}"#,
            at("/x-privacy: only single values can be protected"),
        ),
        (
            r#"{"type":"string","x-privacy":"hash","x-token-domain":"a"}"#,
            at("/x-token-domain: x-token-domain says something about tokens, and there are none"),
        ),
        (
            r#"{"type":"string","x-token-format":"text"}"#,
            at("/x-token-format: x-token-format says something about tokens, and there are none"),
        ),
        (
            r#"{"type":"string","x-privacy":"tokenize","x-token-domain":"a b"}"#,
            at("/x-token-domain: this is no name of a domain"),
        ),
        (
            r#"{"type":"array","items":{"type":"string","x-privacy":"tokenize"}}"#,
            at("/items: tokens are of a domain, and an element has no name of its own to give it"),
        ),
        (
            r#"{"type":"string","x-privacy":"tokenize","x-token-format":"digits"}"#,
            at(
                "/x-token-format: tokens of digits need a text of which the schema says that it is 6 to 64 digits",
            ),
        ),
        (
            r#"{"type":"string","pattern":"^[0-9]+$","minLength":5,"maxLength":9,"x-privacy":"tokenize","x-token-format":"digits"}"#,
            at(
                "/x-token-format: tokens of digits need a text of which the schema says that it is 6 to 64 digits; \
                it allows 5, so that whoever sees all tokens could guess the values",
            ),
        ),
        (
            r#"{"type":"string","pattern":"^[0-9]{6,}$","x-privacy":"tokenize","x-token-format":"digits"}"#,
            at(
                "/x-token-format: tokens of digits need a text of which the schema says that it is 6 to 64 digits; \
                it allows more",
            ),
        ),
        (r#"{"type":"string","x-privacy":"mask"}"#, at("/x-privacy: there is no such protection")),
        (r#"{"type":"string","x-privacy":"subject"}"#, at("/x-privacy: the subject must be in every event")),
    ] {
        check_field(field, &expected);
    }
}

/// `x-renamed-from` and `x-from` are said of a field with a column.
#[test]
fn where_older_values_are_is_said_of_a_field() {
    for fine in [
        r#"{"type":"string","x-renamed-from":"w"}"#,
        r#"{"type":"integer","x-from":"CAST(w AS BIGINT)"}"#,
        r#"{"anyOf":[{"type":"string"},{"type":"null"}],"x-renamed-from":"w"}"#,
        r#"{"type":"object","properties":{"a":{"type":"string","x-renamed-from":"b"},"x-from":{"type":"integer"}}}"#,
        r#"{"type":"array","items":{"type":"object","properties":{"a":{"type":"string","x-renamed-from":"b"}}}}"#,
    ] {
        check_field(fine, "fine");
    }
    let at = |rest: &str| format!("/properties/v{rest}");
    for (field, expected) in [
        (r#"{"type":"string","x-renamed-from":""}"#, at("/x-renamed-from: this is no name of a field")),
        (r#"{"type":"string","x-renamed-from":7}"#, at("/x-renamed-from: this is no name of a field")),
        (r#"{"type":"string","x-from":[]}"#, at("/x-from: this is no expression")),
        (
            r#"{"type":"string","x-from":"a","x-renamed-from":"b"}"#,
            at("/x-renamed-from: a field is renamed, or computed"),
        ),
        (
            r#"{"type":"object","properties":{"a":{"type":"string","x-from":"b"}}}"#,
            at("/properties/a/x-from: only fields of the event itself are computed"),
        ),
        (
            r#"{"type":"array","items":{"type":"string","x-renamed-from":"b"}}"#,
            at("/items/x-renamed-from: x-renamed-from is said of a named field with a column of its own"),
        ),
        (
            r#"{"oneOf":[{"type":"object","properties":{"a":{"x-renamed-from":"b"}}},{"type":"string"}]}"#,
            at(
                "/oneOf/0/properties/a/x-renamed-from: x-renamed-from is said of a named field with a column of its own",
            ),
        ),
    ] {
        check_field(field, &expected);
    }
    let long = format!(r#"{{"type":"string","x-from":"{}"}}"#, "a".repeat(5000));
    check_field(&long, &at("/x-from: the expression is longer than 4096 bytes"));
}

#[test]
fn names_that_a_lake_cannot_hold_are_refused() {
    for name in [
        "",
        "_x",
        "a b",
        "a,b",
        "a;b",
        "a{b",
        "a}b",
        "a(b",
        "a)b",
        "a=b",
        "a\\tb",
        "a\\u0000b",
        &"x".repeat(256),
    ] {
        let found = faults(&format!(r#"{{"type":"object","properties":{{"{name}":{{"type":"string"}}}}}}"#));
        assert_eq!(found.len(), 1, "{name:?}: {found:?}");
        assert!(found[0].contains("a field"), "{found:?}");
    }
}

#[test]
fn the_stream_s_keywords_are_checked_against_its_fields() {
    let document = |rest: &str| {
        format!(
            r#"{{"type":"object","required":["k","n","d"],"properties":{{
            "k":{{"type":"string"}},"n":{{"type":["string","null"]}},"o":{{"type":"string"}},
            "l":{{"type":"array","items":{{"type":"string"}}}},"t":{{"type":"string","format":"date-time","x-privacy":"hash"}},
            "d":{{"type":"integer","x-time":"s"}}}},{rest}}}"#
        )
    };
    let checked = Schema::parse(&document(
        r#""x-key":["d","k"],"x-partitions":12,"x-event-time":"d","x-mode":"reject","x-extra":"refuse""#,
    ));
    let schema = checked.unwrap().schema;
    assert_eq!((schema.key(), schema.partitions()), (&["d".to_owned(), "k".to_owned()][..], 12));
    assert_eq!(
        (schema.event_time(), schema.mode(), schema.extra()),
        (Some("d"), Mode::Reject, Extra::Refuse)
    );
    for (rest, expected) in [
        (r#""x-key":"k""#, "x-key is a list of 1 to 16 names"),
        (r#""x-key":[]"#, "x-key is a list of 1 to 16 names"),
        (r#""x-key":["zz"]"#, "x-key names \"zz\", which is no property of the root"),
        (r#""x-key":["k","k"]"#, "x-key names \"k\" twice"),
        (r#""x-key":["l"]"#, "x-key names \"l\", which is no single value"),
        (r#""x-key":["o"]"#, "x-key names \"o\", which need not be in every event"),
        (r#""x-key":["n"]"#, "x-key names \"n\", which may be null"),
        (r#""x-partitions":1.5"#, "x-partitions is an integer from 1 to 10000"),
        (r#""x-partitions":10001"#, "x-partitions is an integer from 1 to 10000"),
        (r#""x-event-time":"k""#, "the event's time is no time"),
        (r#""x-event-time":"t""#, "the event's time cannot be a protected field"),
        (r#""x-event-time":7"#, "x-event-time names \"\", which is no property of the root"),
        (r#""x-mode":"strict""#, "x-mode has no such value"),
        (r#""x-extra":true"#, "x-extra has no such value"),
        (r#""x-cluster":["d"]"#, "the keyword \"x-cluster\" is not built yet"),
        (r#""x-compatibility":"full""#, "the keyword \"x-compatibility\" is not built yet"),
        (r#""x-secret":1"#, "there is no keyword \"x-secret\""),
        (r#""x-time":"s""#, "\"x-time\" has no effect on the type object"),
    ] {
        let found = faults(&document(rest));
        assert_eq!(found.len(), 1, "{rest}: {found:?}");
        assert!(found[0].ends_with(expected), "{rest}: {found:?}");
    }
}

#[test]
fn references_stay_in_the_document() {
    let document = |reference: &str| {
        format!(
            r##"{{"type":"object","properties":{{"a":{{"$ref":"{reference}"}},"b":{{"$ref":"#/$defs/x~1y"}}}},
            "$defs":{{"x/y":{{"type":"string"}},"loop":{{"type":"array","items":{{"$ref":"#/$defs/loop"}}}},"hop":{{"$ref":"#/$defs/x~1y"}}}}}}"##
        )
    };
    for fine in
        ["#/$defs/x~1y", "#/$defs/hop", "#/$defs/loop", "#", "#/%24defs/x~1y", "#/$defs/loop/type/../x"]
    {
        let found = faults(&document(fine));
        assert_eq!(found.is_empty(), !fine.contains(".."), "{fine}: {found:?}");
    }
    for (reference, expected) in [
        ("#/$defs/none", "a $ref points to nothing"),
        ("#anchor", "a $ref points to nothing"),
        ("other.json#/a", "a $ref leads out of this document"),
        ("http://example.com/schema", "a $ref leads out of this document"),
        ("file:///etc/passwd", "a $ref leads out of this document"),
    ] {
        let found = faults(&document(reference));
        assert_eq!(found.len(), 1, "{reference}: {found:?}");
        assert!(found[0].ends_with(expected), "{reference}: {found:?}");
    }
}

/// What becomes a column of its own, and what JSON text (or a rule beside a column).
#[test]
fn values_of_one_type_get_a_column_of_it() {
    let told = |field: &str| {
        let document = format!(
            r##"{{"type":"object","properties":{{"v":{field}}},"$defs":{{
            "name":{{"type":"string","maxLength":9}},
            "tree":{{"type":"object","properties":{{"left":{{"$ref":"#/$defs/tree"}}}}}}}}}}"##
        );
        let schema = Schema::parse(&document).unwrap_or_else(|faults| panic!("{field}: {faults:?}")).schema;
        let field = &schema.fields()[0];
        let kind = format!("{:?}", schema.user_columns().field(0).data_type());
        let json = matches!(field.kind(), Kind::Json(_)).then_some(" json");
        let guard = field.guard.is_some().then_some(" guarded");
        let null = field.nullable().then_some(" null");
        [Some(kind.as_str()), json, guard, null].into_iter().flatten().collect::<String>()
    };
    for (field, expected) in [
        (r#"{"type":["integer","number"]}"#, "Float64"),
        (r#"{"anyOf":[{"type":"integer"},{"type":"null"}],"title":"x"}"#, "Int64 null"),
        (r#"{"oneOf":[{"type":"null"},{"type":"integer"}]}"#, "Int64 null"),
        (r#"{"oneOf":[{"type":"null"},{"type":["integer","null"]}]}"#, "Utf8 json guarded null"),
        (r##"{"anyOf":[{"$ref":"#/$defs/name"},{"type":"null"}]}"##, "Utf8 null"),
        (r##"{"anyOf":[{"$ref":"#/$defs/tree"},{"type":"null"}]}"##, "Utf8 json guarded null"),
        (r##"{"$ref":"#/$defs/name","minLength":2}"##, "Utf8 guarded"),
        (r##"{"$ref":"#/$defs/name","type":["string","null"]}"##, "Utf8 guarded null"),
        (r##"{"$ref":"#/$defs/tree"}"##, "Utf8 json guarded null"),
        (
            r##"{"type":"array","items":{"$ref":"#/$defs/tree"}}"##,
            "List(Field { name: \"element\", data_type: Utf8, nullable: true })",
        ),
        (r#"{"type":"string","format":"iri"}"#, "Utf8 guarded"),
        (r#"{"type":"string","not":{"const":""}}"#, "Utf8 guarded"),
        (r#"{"type":"string","patternProperties":{}}"#, "Utf8"),
        (
            r#"{"type":"array","items":{"type":"integer"},"contains":{"const":1}}"#,
            "List(Field { name: \"element\", data_type: Int64, nullable: true }) guarded",
        ),
        (r#"{"type":"array","prefixItems":[{"type":"integer"}]}"#, "Utf8 json guarded null"),
        (r#"{"type":"array"}"#, "Utf8 json guarded null"),
        (r#"{"type":"object"}"#, "Utf8 json guarded null"),
        (r#"{"type":["string","integer"]}"#, "Utf8 json guarded null"),
        (r#"{"enum":["a",1]}"#, "Utf8 json guarded null"),
        ("{}", "Utf8 json null"),
        ("false", "Utf8 json guarded null"),
    ] {
        assert_eq!(told(field), expected, "{field}");
    }
}

/// References that double at each step would make a small document enormous.
#[test]
fn a_small_document_cannot_become_enormous() {
    let mut defs = String::from(r#""d0":{"type":"string"}"#);
    for n in 1..25 {
        let before = n - 1;
        defs.push_str(&format!(
            r##","d{n}":{{"type":"object","properties":{{"a":{{"$ref":"#/$defs/d{before}"}},"b":{{"$ref":"#/$defs/d{before}"}}}}}}"##
        ));
    }
    let found = faults(&format!(
        r##"{{"type":"object","properties":{{"v":{{"$ref":"#/$defs/d24"}}}},"$defs":{{{defs}}}}}"##
    ));
    assert!(found.iter().any(|fault| fault.contains("more than 2000 fields")), "{found:?}");
    // Many fields that refer to one large rule: as many checks as fields, and one budget for all.
    let branches: Vec<String> = (0..100).map(|n| format!(r#"{{"required":["k{n}"]}}"#)).collect();
    let fields: Vec<String> = (0..1000).map(|n| format!(r##""f{n}":{{"$ref":"#/$defs/big"}}"##)).collect();
    let found = faults(&format!(
        r#"{{"type":"object","properties":{{{}}},"$defs":{{"big":{{"oneOf":[{}]}}}}}}"#,
        fields.join(","),
        branches.join(",")
    ));
    assert_eq!(found, ["1:1 : the rules beside columns have more than 40000 parts, references followed"]);
    let mut deep = String::from(r#"{"type":"string"}"#);
    for _ in 0..40 {
        deep = format!(r#"{{"type":"array","items":{deep}}}"#);
    }
    let found = faults(&format!(r#"{{"type":"object","properties":{{"v":{deep}}}}}"#));
    assert!(found[0].contains("nested more than 32 deep"), "{found:?}");
}

#[test]
fn what_has_no_effect_is_a_warning() {
    let checked = Schema::parse(
        "{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"integer\",\n\"minLength\":1,\"colour\":\"red\"}}}",
    );
    let warnings: Vec<String> = checked.unwrap().warnings.iter().map(Fault::to_string).collect();
    assert_eq!(
        warnings,
        [
            "2:1: /properties/v/minLength: \"minLength\" has no effect on the type integer (take it away)",
            "2:15: /properties/v/colour: the keyword \"colour\" is not known and has no effect (take it away, or correct its name)",
        ]
    );
}

#[test]
fn a_schema_says_what_it_means() {
    let schema = Schema::parse(
        r#"{"type":"object","required":["who"],"properties":{
            "who":{"type":"string","x-privacy":"subject"},
            "gone":{"type":"string","x-privacy":"drop"},
            "hidden":{"type":"object","properties":{"h":{"type":"integer","x-privacy":"hash"}}},
            "empty":{"type":"object","properties":{"d":{"type":"integer","x-privacy":"drop"}}},
            "free":{"type":"number"}}}"#,
    );
    let schema = schema.unwrap().schema;
    assert!(schema.has_protected());
    assert_eq!(schema.extra(), Extra::Drop);
    assert_eq!(schema.protected_columns(), ["who", "hidden"]);
    let names: Vec<_> = schema.user_columns().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["who", "hidden", "free"]);
    assert_eq!(schema.user_columns().field(0).metadata()["headwater.privacy"], "subject");
    assert_eq!(schema.fields()[1].privacy(), Some(Privacy::Drop));
    assert!(matches!(schema.fields()[4].kind(), Kind::Number(None)));
}

#[test]
fn the_fingerprint_is_that_of_the_meaning_of_the_text() {
    let print = |text: &str| Schema::parse(text).unwrap().schema.fingerprint();
    let one = print(r#"{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}"#);
    assert_eq!(
        one,
        print(r#"{ "properties": {"a": {"minimum": 1.0, "type": "\u0069nteger"}}, "type": "object" }"#)
    );
    assert_ne!(one, print(r#"{"type":"object","properties":{"a":{"type":"integer","minimum":2}}}"#));
}
