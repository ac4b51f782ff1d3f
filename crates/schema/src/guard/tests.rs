//! What the slower path says of a broken value: where, in which words, and what it keeps to itself.

use std::sync::Arc;

use hw_vault::HashKey;

use crate::{DecodeLimits, Decoder, Format, KvFields, Record, Rejected, Schema};

const LIMITS: DecodeLimits = DecodeLimits { depth: 512, event_bytes: 1 << 20 };

fn decoder(document: &str) -> Decoder {
    let checked = Schema::parse(document).unwrap_or_else(|faults| panic!("{document}: {faults:#?}"));
    Decoder::new(Arc::new(checked.schema), HashKey::from_bytes(&[7; 32]), LIMITS)
}

fn field(schema: &str) -> Decoder {
    decoder(&format!(r#"{{"type":"object","properties":{{"v":{schema}}}}}"#))
}

fn apply(decoder: &mut Decoder, event: &str) -> Result<Vec<Option<String>>, Rejected> {
    record(decoder, Record { bytes: event.as_bytes(), format: Format::Json, fault: None, event_time: None })
}

/// The text of each column of text.
fn record(decoder: &mut Decoder, record: Record<'_>) -> Result<Vec<Option<String>>, Rejected> {
    use arrow::array::{Array, AsArray};
    let applied = decoder.apply(&[record]);
    if let Some(rejected) = applied.rejects.into_iter().next() {
        return Err(rejected);
    }
    let texts = applied.batch.columns().iter().filter_map(|column| column.as_string_opt::<i32>());
    Ok(texts.map(|column| column.is_valid(0).then(|| column.value(0).to_owned())).collect())
}

#[track_caller]
fn check(schema: &str, event: &str, expected: Result<&str, &str>) {
    let told = match apply(&mut field(schema), event) {
        Ok(columns) => Ok(columns[0].clone().unwrap_or_else(|| "NULL".to_owned())),
        Err(found) => Err(format!("{} {} {} @{}", found.code, found.path, found.message, found.byte_offset)),
    };
    assert_eq!(told, expected.map(str::to_owned).map_err(str::to_owned), "{schema} {event}");
}

#[test]
fn a_value_of_no_one_type_is_kept_as_json_text() {
    let any = r#"{"type":["string","integer","array","object","null"]}"#;
    check(any, r#"{"v":"a\u0062"}"#, Ok(r#""a\u0062""#));
    check(any, r#"{"v": [ 1 , {"x" : "a b"} ]}"#, Ok(r#"[1,{"x":"a b"}]"#));
    check(any, r#"{"v":1.5}"#, Err("keyword /v the value is of another type (/properties/v/type) @5"));
    check(any, r#"{"v":null}"#, Ok("NULL"));
    check(any, "{}", Ok("NULL"));
    check("{}", r#"{"v":1e400}"#, Ok("1e400"));
    check(
        r#"{"minimum":1}"#,
        r#"{"v":[1e400]}"#,
        Err("out_of_range /v the number is beyond a 64-bit float @6"),
    );
    check("false", r#"{"v":1}"#, Err("keyword /v the schema allows no value here (/properties/v) @5"));
}

#[test]
fn the_first_fault_is_told_with_its_place_and_without_the_value() {
    let schema = r#"{"type":"object","patternProperties":{"^k":{"type":"array","items":{"properties":{"n":{"maximum":9}}}}}}"#;
    check(
        schema,
        r#"{"v":{"k1":[],"k-secret":[{},{"n":10}],"k3":7}}"#,
        Err(
            "keyword /v/*/1/n the value breaks a rule (/properties/v/patternProperties/^k/items/properties/n/maximum) @34",
        ),
    );
    // A key of digits is no place in an array.
    check(
        r#"{"additionalProperties":{"type":"string"}}"#,
        r#"{"v":{"4915112345":1}}"#,
        Err("keyword /v/* the value is of another type (/properties/v/additionalProperties/type) @19"),
    );
    check(
        r#"{"oneOf":[{"required":["a/b"],"properties":{"a/b":true}}]}"#,
        r#"{"v":{}}"#,
        Err("keyword /v the value fits none of the alternatives (/properties/v/oneOf) @5"),
    );
    check(
        r#"{"allOf":[{"required":["a/b"],"properties":{"a/b":true}}]}"#,
        r#"{"v":{}}"#,
        Err("keyword /v/a~1b the field is missing (/properties/v/allOf/0/required) @5"),
    );
    check(
        r#"{"allOf":[{"additionalProperties":false}]}"#,
        r#"{"v":{"secret":1}}"#,
        Err(
            "keyword /v/* the schema does not allow this field (/properties/v/allOf/0/additionalProperties) @5",
        ),
    );
    check(
        r#"{"type":"string","format":"iri"}"#,
        r#"{"v":"a b"}"#,
        Err("format /v the value breaks a rule (/properties/v/format) @5"),
    );
}

/// The compiled rules come first; then those beside them.
#[test]
fn rules_beside_columns_hold() {
    let schema = r#"{"type":"object","properties":{"kind":{"type":"string"},"n":{"type":"integer"}},
        "required":["kind"],"if":{"properties":{"kind":{"const":"a"}}},"then":{"required":["n"]},
        "patternProperties":{"^x-":{"type":"boolean"}},"additionalProperties":false}"#;
    let mut decoder = decoder(schema);
    assert!(apply(&mut decoder, r#"{"kind":"a","n":1}"#).is_ok());
    assert!(apply(&mut decoder, r#"{"kind":"b"}"#).is_ok());
    let code = |event: &str, decoder: &mut Decoder| {
        let found = apply(decoder, event).unwrap_err();
        format!("{} {}", found.code, found.path)
    };
    assert_eq!(code(r#"{"kind":"a"}"#, &mut decoder), "keyword /n");
    assert_eq!(code(r#"{"kind":"a","n":"1"}"#, &mut decoder), "type /n");
    assert_eq!(code(r#"{"kind":"b","x-a":1}"#, &mut decoder), "keyword /*");
    assert_eq!(code(r#"{"kind":"b","y":1}"#, &mut decoder), "keyword /*");
    let kept = apply(&mut decoder, r#"{"kind":"b","x-a":true}"#).unwrap();
    assert_eq!(kept[1].as_deref(), Some(r#"{"/x-a":true}"#));
}

/// What a pattern describes is kept, though unnamed fields are refused or dropped.
#[test]
fn described_fields_are_no_unknown_ones() {
    for extra in ["refuse", "drop", "keep"] {
        let schema = format!(
            r#"{{"type":"object","properties":{{"a":{{"type":"integer"}}}},"patternProperties":{{"^x":{{"type":"integer"}}}},"x-extra":"{extra}"}}"#
        );
        let mut decoder = decoder(&schema);
        let kept = apply(&mut decoder, r#"{"xy":1}"#).unwrap();
        assert_eq!(kept[0].as_deref(), Some(r#"{"/xy":1}"#), "{extra}");
        assert_eq!(apply(&mut decoder, r#"{"z":1}"#).is_err(), extra == "refuse");
    }
}

#[test]
fn null_passes_where_another_branch_takes_it() {
    let schema = r##"{"anyOf":[{"type":"string","not":{"const":"x"}},{"type":"null"}]}"##;
    check(schema, r#"{"v":null}"#, Ok("NULL"));
    check(schema, r#"{"v":"y"}"#, Ok("y"));
    check(
        schema,
        r#"{"v":"x"}"#,
        Err("keyword /v the value is one that the schema shuts out (/properties/v/anyOf/0/not) @5"),
    );
}

/// A mark protects wherever its branch may apply; what nobody described goes.
#[test]
fn marks_reach_into_json_text() {
    let digest = |text: &str| {
        let digest = HashKey::from_bytes(&[7; 32]).digest(text.as_bytes());
        String::from_utf8(digest.to_vec()).unwrap()
    };
    let schema = r##"{"type":"object","properties":{
        "who":{"oneOf":[{"type":"string","x-privacy":"hash"},{"$ref":"#/$defs/person"}]},
        "tree":{"$ref":"#/$defs/person"},
        "one":{"type":["string","integer"],"x-privacy":"hash"},
        "gone":{"type":["string","integer"],"x-privacy":"drop"}},
        "$defs":{"person":{"type":"object","properties":{
            "name":{"type":"string","x-privacy":"hash"},"pin":{"type":"integer","x-privacy":"drop"},
            "age":{"type":["integer","null"],"x-privacy":"hash"},"city":{"type":"string"},
            "friends":{"type":"array","items":{"$ref":"#/$defs/person"}}},
            "patternProperties":{"^s-":{"type":"string","x-privacy":"hash"}},
            "dependentSchemas":{"city":{"properties":{"zip":{"type":"string","x-privacy":"drop"}}}}}}}"##;
    let mut decoder = decoder(schema);
    let names: Vec<String> =
        decoder.batch_schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["who", "tree", "one", "_extra"]);
    assert_eq!(decoder.schema().protected_columns(), ["who", "tree", "one"]);
    let columns = apply(
        &mut decoder,
        r#"{"who":"Ann","one":1.0,"gone":"x","tree":{"name":"Bob","pin":1,"city":"Rome","zip":"00100","mail":"b@b.b",
            "age":1e1,"s-1":"z","friends":[{"name":"Ann","age":null},{"friends":[{"name":"C","pin":2}]}]}}"#,
    )
    .unwrap();
    assert_eq!(columns[0], Some(format!("{:?}", digest("Ann"))));
    assert_eq!(columns[2], Some(digest("1")));
    let (bob, ann, c, ten, z) = (digest("Bob"), digest("Ann"), digest("C"), digest("10"), digest("z"));
    let tree = format!(
        r#"{{"name":"{bob}","city":"Rome","age":"{ten}","s-1":"{z}","friends":[{{"name":"{ann}","age":null}},{{"friends":[{{"name":"{c}"}}]}}]}}"#
    );
    assert_eq!(columns[1], Some(tree));
    let refused = apply(&mut decoder, r#"{"who":["Ann"]}"#).unwrap_err();
    assert!(!format!("{refused:?}").contains("Ann"), "{refused:?}");
}

/// Deep values, deep schemas and rules that branch at every level end soon.
#[test]
fn nothing_is_deep_or_forked_enough_to_stall() {
    let schema = r##"{"$ref":"#/$defs/fork"}"##;
    let document = format!(
        r##"{{"type":"object","properties":{{"v":{schema}}},"$defs":{{"fork":{{"anyOf":[
        {{"type":"object","properties":{{"n":{{"$ref":"#/$defs/fork"}}}},"required":["a"]}},
        {{"type":"object","properties":{{"n":{{"$ref":"#/$defs/fork"}}}},"required":["b"]}},
        {{"const":1}}]}}}}}}"##
    );
    let mut decoder = decoder(&document);
    let deep = format!(r#"{{"v":{}2{}}}"#, r#"{"n":"#.repeat(500), "}".repeat(500));
    let begun = std::time::Instant::now();
    assert!(apply(&mut decoder, &deep).is_err());
    // Without a memory of what was judged it would be two to the power of five hundred.
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let wide = format!(r#"{{"v":{{"n":[{}]}}}}"#, vec!["0"; 100_000].join(","));
    assert!(apply(&mut decoder, &wide).is_err());
}

/// A chain of parts, each of which `fork` makes of a reference to the next; the last is `last`.
fn chain(length: usize, fork: impl Fn(&str) -> String, last: &str) -> String {
    let mut definitions: Vec<String> = (0..length)
        .map(|level| format!(r#""d{level}":{}"#, fork(&format!(r##"{{"$ref":"#/$defs/d{}"}}"##, level + 1))))
        .collect();
    definitions.push(format!(r#""d{length}":{last}"#));
    let field = r##"{"$ref":"#/$defs/d0"}"##;
    format!(r#"{{"type":"object","properties":{{"v":{field}}},"$defs":{{{}}}}}"#, definitions.join(","))
}

fn field_faults(schema: &str) -> Vec<crate::Fault> {
    Schema::parse(&format!(r#"{{"type":"object","properties":{{"v":{schema}}}}}"#)).unwrap_err()
}

/// Of a shared part nothing is remembered unless it is in a circle: each of these would look at one value two to the
/// power of sixty times.
#[test]
fn a_schema_that_forks_without_end_is_refused_and_the_part_named() {
    let forks: [fn(&str) -> String; 8] = [
        |next| format!(r#"{{"allOf":[{next},{next}]}}"#),
        |next| format!(r#"{{"anyOf":[{next},{next}]}}"#),
        |next| format!(r#"{{"if":{next},"then":{next}}}"#),
        |next| format!(r#"{{"dependentSchemas":{{"q":{next},"w":{next}}}}}"#),
        |next| format!(r#"{{"propertyNames":{{"anyOf":[{next},{next}]}}}}"#),
        |next| format!(r#"{{"contains":{next},"items":{next}}}"#),
        |next| format!(r#"{{"unevaluatedProperties":false,"anyOf":[{{"properties":{{"n":{next}}}}}]}}"#),
        |next| format!(r#"{{"unevaluatedItems":false,"anyOf":[{{"prefixItems":[{next}]}}]}}"#),
    ];
    for fork in forks {
        let document = chain(60, fork, r#"{"minimum":9}"#);
        let faults = Schema::parse(&document).err().unwrap_or_else(|| panic!("accepted: {document}"));
        assert!(faults[0].message.contains("more than 10000 steps"), "{faults:?}");
        assert!(faults[0].pointer.starts_with("/$defs/d") && faults[0].column > 1, "{faults:?}");
        // A few levels are no more than what many schemas have.
        assert!(Schema::parse(&chain(6, fork, r#"{"minimum":9}"#)).is_ok(), "{document}");
    }
    let listed = vec!["1"; 100_000].join(",");
    let faults = field_faults(&format!(r#"{{"items":{{"enum":["x",{listed}]}}}}"#));
    assert!(faults.iter().any(|fault| fault.message.contains("more than 10000 steps")), "{faults:?}");
    // Without any reference.
    let mut inline = r#"{"const":1}"#.to_owned();
    for _ in 0..40 {
        inline = format!(r#"{{"unevaluatedProperties":false,"anyOf":[{{"properties":{{"n":{inline}}}}}]}}"#);
    }
    let faults = Schema::parse(&format!(r#"{{"type":"object","properties":{{"v":{inline}}}}}"#)).unwrap_err();
    assert!(faults[0].message.contains("more than 10000 steps"), "{faults:?}");
    // In a circle: single values are not remembered either.
    let fork =
        |next: &str| format!(r##"{{"anyOf":[{next},{next}],"properties":{{"q":{{"$ref":"#/$defs/d0"}}}}}}"##);
    let faults = Schema::parse(&chain(60, fork, r#"{"minimum":9}"#)).unwrap_err();
    assert!(faults[0].message.contains("more than 10000 steps"), "{faults:?}");
}

#[test]
fn a_part_that_leads_to_itself_in_place_in_two_ways_is_refused() {
    let document = r##"{"type":"object","properties":{"v":{"$ref":"#/$defs/a"}},
        "$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"},{"$ref":"#/$defs/a"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}"##;
    let faults = Schema::parse(document).unwrap_err();
    assert!(faults.iter().any(|fault| fault.message.contains("without going into the value")), "{faults:?}");
}

/// What is let through may still fork; a large value then is refused before it is judged.
#[test]
fn a_value_too_large_for_its_forks_is_refused() {
    let fork = |next: &str| format!(r#"{{"allOf":[{next},{next}]}}"#);
    let mut decoder = decoder(&chain(11, fork, r#"{"maxItems":1000000}"#));
    let event = |items: usize| format!(r#"{{"v":[{}]}}"#, vec!["0"; items].join(","));
    assert!(apply(&mut decoder, &event(10)).is_ok());
    let refused = apply(&mut decoder, &event(300_000)).unwrap_err();
    assert_eq!((refused.code.as_str(), refused.path.as_str()), ("too_large", "/v"));
}

/// A record of pairs is judged as the object that it stands for.
#[test]
fn records_of_pairs_are_guarded_too() {
    let mut decoder = decoder(
        r#"{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":["integer","string"]},"c":{"type":["integer","boolean"]}},
        "dependentRequired":{"a":["b"]}}"#,
    );
    let fields = KvFields::default();
    let mut tell = |text: &str| {
        let kv =
            Record { bytes: text.as_bytes(), format: Format::Kv(&fields), fault: None, event_time: None };
        record(&mut decoder, kv).map_err(|found| format!("{} {}", found.code, found.path))
    };
    assert_eq!(tell("a=1").unwrap_err(), "keyword /b");
    assert_eq!(tell("a=1&b=2&c=3").unwrap(), [Some(r#""2""#.into()), Some("3".into()), None]);
    assert_eq!(tell("c=x").unwrap_err(), "keyword /c");
}
