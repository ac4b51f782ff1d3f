//! Verdicts of the decoder: what is stored, what is refused, and what each refusal says.

use arrow::{
    array::{Array, AsArray},
    datatypes::{Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};

use super::*;

const LIMITS: DecodeLimits = DecodeLimits { depth: 8, event_bytes: 2000 };

fn schema(document: &str) -> Arc<Schema> {
    match Schema::parse(document) {
        Ok(checked) => Arc::new(checked.schema),
        Err(faults) => panic!("{document}: {faults:#?}"),
    }
}

/// A schema of one optional field `v`.
fn field(field: &str) -> Arc<Schema> {
    schema(&format!(r#"{{"type":"object","properties":{{"v":{field}}}}}"#))
}

fn decoder(schema: &Arc<Schema>) -> Decoder {
    Decoder::new(Arc::clone(schema), HashKey::from_bytes(&[1; 32]), LIMITS)
}

fn record(bytes: &[u8]) -> Record<'_> {
    Record { bytes, format: Format::Json, fault: None, event_time: None }
}

fn apply(schema: &Arc<Schema>, events: &[&str]) -> Applied {
    let records: Vec<Record<'_>> = events.iter().map(|event| record(event.as_bytes())).collect();
    decoder(schema).apply(&records)
}

fn told(applied: &Applied) -> String {
    match applied.rejects.as_slice() {
        [] => "accepted".to_owned(),
        [reject, ..] => format!("{} {} @{} {}", reject.code, reject.path, reject.byte_offset, reject.message),
    }
}

#[track_caller]
fn check(schema: &Arc<Schema>, event: &str, expected: &str) {
    assert_eq!(told(&apply(schema, &[event])), expected, "{event}");
}

#[track_caller]
fn check_kv(schema: &Arc<Schema>, fields: &KvFields, event: &[u8], expected: &str) -> Applied {
    let record = Record { format: Format::Kv(fields), ..record(event) };
    let applied = decoder(schema).apply(&[record]);
    assert_eq!(told(&applied), expected, "{}", String::from_utf8_lossy(event));
    applied
}

const SENSOR: &str = r#"{
    "type": "object", "required": ["id", "at"], "additionalProperties": false,
    "properties": {
        "id": {"type": "string", "pattern": "^s[0-9]+$"},
        "at": {"type": "string", "format": "date-time"},
        "kind": {"type": "string", "enum": ["t", "p"]},
        "n": {"type": "integer", "minimum": 1, "exclusiveMaximum": 10, "multipleOf": 3},
        "email": {"type": "string", "x-privacy": "hash", "format": "email"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "minItems": 1, "maxItems": 2, "uniqueItems": true},
        "in": {"type": "object", "required": ["x", "y"], "properties": {"x": {"type": "integer"}, "y": {"type": ["boolean", "null"]}}, "maxProperties": 3},
        "map": {"type": "object", "additionalProperties": {"type": "number"}}
    }
}"#;

#[test]
fn a_decoder_may_move_to_another_thread() {
    fn sent<T: Send>(_: &T) {}
    sent(&decoder(&field(r#"{"type":"string"}"#)));
}

#[test]
fn each_fault_has_its_code_path_place_and_words() {
    let schema = schema(SENSOR);
    let check_member = |member: &str, expected: &str| {
        check(&schema, &format!(r#"{{"id":"s1","at":"2026-11-21T20:00:00Z",{member}}}"#), expected);
    };
    check_member(r#""n":3"#, "accepted");
    check_member(r#""n":"3""#, "type /n @43 expected an integer, found a string");
    check_member(r#""n":3.5"#, "type /n @43 expected an integer, found 3.5");
    check_member(r#""n":null"#, "type /n @43 expected an integer, found null");
    check_member(r#""n":0"#, "minimum /n @43 expected at least 1, found 0");
    check_member(r#""n":1e1"#, "maximum /n @43 expected less than 10, found 1e1");
    check_member(r#""n":4"#, "multiple_of /n @43 expected a multiple of 3, found 4");
    check_member(
        r#""n":9223372036854775808"#,
        "out_of_range /n @43 the number is beyond a 64-bit integer, found 9223372036854775808",
    );
    check_member(
        r#""kind":"q""#,
        "enum /kind @46 the value is none of those that the schema lists, found \"q\"",
    );
    check_member(r#""email":"a@""#, "format /email @47 expected an e-mail address");
    check_member(r#""email":5"#, "type /email @47 expected a string, found a number");
    check_member(r#""tags":[]"#, "items /tags @46 expected at least 1 items, found 0");
    check_member(r#""tags":["a","b","c"]"#, "items /tags @46 expected at most 2 items, found 3");
    check_member(r#""tags":["a","\u0061"]"#, "items /tags/1 @51 the item is equal to one before it");
    check_member(
        r#""tags":["abc"]"#,
        "length /tags/0 @47 expected at most 2 characters, found 3, found \"abc\"",
    );
    check_member(r#""tags":["é€"]"#, "accepted");
    check_member(r#""in":{"x":1}"#, "required /in/y @50 the field is missing");
    check_member(
        r#""in":{"y":null,"x":1,"a":2,"b":3}"#,
        "items /in @71 expected at most 3 properties, found 4",
    );
    check_member(r#""map":{"k":"v"}"#, "type /map/* @50 expected a number, found a string");
    check_member(r#""secret key":1"#, "unknown_field /* @39 the schema does not name this field");
    check_member(r#""kind":"t","kind":"p""#, "json_repeated_key  @50 an object names this key twice");
    check_member(r#""map":{"k":1,"\u006b":2}"#, "json_repeated_key  @52 an object names this key twice");
    check(&schema, "{}", "required /id @1 the field is missing");
    check(
        &schema,
        r#"{"id":"x"}"#,
        "pattern /id @6 the text does not match the pattern ^s[0-9]+$, found \"x\"",
    );
    check(&schema, r#"{"id":"s1"}"#, "required /at @10 the field is missing");
    check(
        &schema,
        r#"{"id":"s1","at":"soon"}"#,
        "format /at @16 expected a date and time with an offset, such as 2026-11-21T20:00:00Z, found \"soon\"",
    );
    check(&schema, "[]", "not_object  @0 expected an object");
    check(&schema, " 12 ", "not_object  @1 expected an object");
    check(&schema, "12 13", "json_syntax  @3 expected the end of the document");
    check(&schema, "", "json_syntax  @0 expected a document, found nothing");
    check(&schema, " \n", "json_syntax  @2 expected a document, found nothing");
    check(&schema, "\u{feff}{}", "json_syntax  @0 expected a value");
    check(&schema, "{\"id\":NaN}", "json_syntax  @6 expected a value");
    check(&schema, "{\"id\":01}", "json_syntax  @6 a number must not start with a zero");
    check(&schema, "{\"id\":\"\\ud800\"}", "json_unicode  @7 a surrogate stands without its other half");
    check(&schema, "{\"id\":\"\t\"}", "json_syntax  @7 a control character in a string must be escaped");
    check(&schema, "{\"id\":[[[[[[[[", "json_depth  @13 the document is nested too deeply");
    check(
        &schema,
        &format!("{{\"id\":\"{}\"}}", "s".repeat(2000)),
        "too_large  @0 the event is larger than limits.event",
    );
}

#[test]
fn a_text_that_is_no_json_is_called_so_whatever_comes_first() {
    let schema = schema(SENSOR);
    check(&schema, r#"{"id":5,"at":1,}"#, "json_syntax  @15 expected a key: no comma stands before }");
    check(
        &schema,
        r#"{"unknown":5,"x":{"a":1,"a":1}}"#,
        "json_repeated_key  @24 an object names this key twice",
    );
    check(&schema, r#"[{"a":1,"a":2}]"#, "json_repeated_key  @8 an object names this key twice");
    check(&schema, r#"{"id":5} x"#, "json_syntax  @9 expected the end of the document");
    // Without such a fault the first in document order counts, then what is missing, in the schema's order.
    check(&schema, r#"{"n":"x","id":5}"#, "type /n @5 expected an integer, found a string");
    check(&schema, r#"{"n":3}"#, "required /id @6 the field is missing");
}

#[test]
fn a_fault_of_the_door_is_not_looked_at() {
    let schema = schema(SENSOR);
    let framed = Record { fault: Some(RejectCode::TooLarge), ..record(b"{") };
    assert_eq!(
        told(&decoder(&schema).apply(&[framed])),
        "too_large  @0 the event is larger than limits.event"
    );
}

#[test]
fn numbers_are_exact() {
    let integers = field(r#"{"type":"integer"}"#);
    let texts = [
        "1.0",
        "1e2",
        "-0",
        "9223372036854775807",
        "-9223372036854775808",
        "12.5e1",
        "1000000000000000000000e-3",
    ];
    let events: Vec<String> = texts.iter().map(|text| format!("{{\"v\":{text}}}")).collect();
    let applied = apply(&integers, &events.iter().map(String::as_str).collect::<Vec<_>>());
    let values = applied.batch.column(0).as_primitive::<Int64Type>();
    assert_eq!(values.values(), &[1, 100, 0, i64::MAX, i64::MIN, 125, 1_000_000_000_000_000_000]);
    for text in ["9223372036854775808", "-9223372036854775809", "1e19", "1e999999999999"] {
        assert!(
            told(&apply(&integers, &[&format!("{{\"v\":{text}}}")])).starts_with("out_of_range"),
            "{text}"
        );
    }
    let bounded = field(r#"{"type":"integer","minimum":-9223372036854775808,"maximum":9007199254740993}"#);
    check(&bounded, r#"{"v":9007199254740993}"#, "accepted");
    check(
        &bounded,
        r#"{"v":9007199254740994}"#,
        "maximum /v @5 expected at most 9007199254740993, found 9007199254740994",
    );
    let beyond = field(r#"{"type":"integer","minimum":1e30}"#);
    check(
        &beyond,
        r#"{"v":9223372036854775807}"#,
        "minimum /v @5 expected at least 1e+30, found 9223372036854775807",
    );

    let floats = field(r#"{"type":"number","exclusiveMinimum":0.1,"maximum":1e300}"#);
    check(&floats, r#"{"v":0.1}"#, "minimum /v @5 expected more than 0.1, found 0.1");
    check(&floats, r#"{"v":0.10000000000000000001}"#, "accepted");
    check(&floats, r#"{"v":1e999}"#, "out_of_range /v @5 the number is beyond a 64-bit float, found 1e999");
    let texts = ["0.25", "123456789012345678", "1234567.890625", "0.30000000000000004", "1e22", "4.35"];
    let events: Vec<String> = texts.iter().map(|text| format!("{{\"v\":{text}}}")).collect();
    let applied = apply(&floats, &events.iter().map(String::as_str).collect::<Vec<_>>());
    let expected: Vec<f64> = texts.iter().map(|text| text.parse().unwrap()).collect();
    assert_eq!(applied.batch.column(0).as_primitive::<Float64Type>().values(), expected.as_slice());

    for (kind, quote) in [("number", ""), ("string", "\"")] {
        let decimals =
            field(&format!(r#"{{"type":"{kind}","format":"decimal","x-precision":5,"x-scale":2}}"#));
        let event = |text: &str| format!("{{\"v\":{quote}{text}{quote}}}");
        let applied = apply(&decimals, &[&event("-123.40"), &event("1e2"), &event("0.01"), &event("0")]);
        let values = applied.batch.column(0).as_primitive::<Decimal128Type>();
        assert_eq!(values.values(), &[-12340, 10000, 1, 0]);
        for text in ["1000", "0.001", "1e400"] {
            assert!(told(&apply(&decimals, &[&event(text)])).starts_with("out_of_range"), "{text}");
        }
    }
    let widest = field(r#"{"type":"number","format":"decimal","x-precision":38,"x-scale":0}"#);
    check(&widest, r#"{"v":99999999999999999999999999999999999999}"#, "accepted");
    check(
        &field(r#"{"type":"string","format":"decimal","x-precision":5,"x-scale":2}"#),
        r#"{"v":"1,5"}"#,
        "format /v @5 expected a decimal number, found \"1,5\"",
    );
}

#[test]
fn times_become_microseconds() {
    let times = |unit: &str, kind: &str, texts: &[&str]| {
        let schema = field(&format!(r#"{{"type":"{kind}","x-time":"{unit}"}}"#));
        let events: Vec<String> = texts.iter().map(|text| format!("{{\"v\":{text}}}")).collect();
        let applied = apply(&schema, &events.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(told(&applied), "accepted");
        applied.batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec()
    };
    assert_eq!(
        times("s", "number", &["1.5", "1.0000019", "-0.0000001", "2e0"]),
        [1_500_000, 1_000_001, -1, 2_000_000]
    );
    assert_eq!(times("ms", "integer", &["1763755200000", "-1"]), [1_763_755_200_000_000, -1000]);
    assert_eq!(times("ns", "integer", &["1999", "-1"]), [1, -1]);
    assert_eq!(times("us", "integer", &["7.0"]), [7]);
    let seconds = field(r#"{"type":"integer","x-time":"s"}"#);
    check(&seconds, r#"{"v":1.5}"#, "type /v @5 expected an integer, found 1.5");
    check(
        &seconds,
        r#"{"v":1763755200000}"#,
        "out_of_range /v @5 expected a time in s of the years 0000 to 9999, found 1763755200000",
    );
}

#[test]
fn missing_and_null_are_null() {
    let schema = field(r#"{"type":["string","null"]}"#);
    let applied = apply(&schema, &["{}", r#"{"v":null}"#, r#"{"v":"null"}"#]);
    assert_eq!(applied.batch.column(0).null_count(), 2);
    check(&field(r#"{"type":"string"}"#), r#"{"v":null}"#, "type /v @5 expected a string, found null");
    check(
        &field(r#"{"type":["string","null"],"enum":["a"]}"#),
        r#"{"v":null}"#,
        "type /v @5 expected a string, found null",
    );
    check(&field(r#"{"type":["string","null"],"enum":["a",null]}"#), r#"{"v":null}"#, "accepted");
}

#[test]
fn unnamed_fields_go_to_extra_by_their_pointers() {
    let document = |rest: &str| {
        schema(&format!(
            r#"{{"type":"object","properties":{{
                "o":{{"type":"object","properties":{{"a":{{"type":"integer"}}}}}},
                "l":{{"type":"array","items":{{"type":"object","properties":{{"a":{{"type":"integer"}}}}}}}},
                "m":{{"type":"object","additionalProperties":{{"type":"object","properties":{{"a":{{"type":"integer"}}}}}}}},
                "p":{{"type":"string"{rest}"#
        ))
    };
    let event = r#"{"x/~" : [ 1 , {"k" : " a b\" "} ], "o":{"b":1.50}, "l":[{},{"c":null}], "m":{"k\n/":{"d":"\u0061"}}}"#;
    let kept = apply(&document("}}}"), &[event]);
    let extra = r#"{"/x~1~0":[1,{"k":" a b\" "}],"/o/b":1.50,"/l/1/c":null,"/m/k\n~1/d":"\u0061"}"#;
    assert_eq!(kept.batch.column(4).as_string::<i32>().value(0), extra);
    assert_eq!(kept.extra_dropped, 0);
    let dropped = apply(&document(r#","x-privacy":"hash"}}}"#), &[event, r#"{"z":1,"p":5}"#]);
    assert!(dropped.batch.column(4).is_null(0));
    assert_eq!(dropped.extra_dropped, 4, "those of a refused event do not count");
    let asked = apply(&document(r#","x-privacy":"hash"}},"x-extra":"keep"}"#), &[event]);
    assert_eq!(asked.batch.column(4).as_string::<i32>().value(0), extra);
    check(
        &document(r#"}},"x-extra":"refuse"}"#),
        r#"{"o":{"b":1}}"#,
        "unknown_field /o/* @6 the schema does not name this field",
    );
}

/// A short event must not become a long row: each unnamed key is stored with the whole pointer to it.
#[test]
fn extra_is_bounded() {
    let name = "n".repeat(200);
    let schema = schema(&format!(
        r#"{{"type":"object","properties":{{"{name}":{{"type":"object","properties":{{"a":{{"type":"integer"}}}}}}}}}}"#
    ));
    let members: Vec<String> = (0..100).map(|n| format!("\"{n}\":0")).collect();
    let event = format!("{{\"{name}\":{{{}}}}}", members.join(","));
    assert!(event.len() < LIMITS.event_bytes);
    assert!(told(&apply(&schema, &[&event])).starts_with(&format!("too_large /{name}/*")));
}

#[test]
fn protected_values_are_digests_of_their_text() {
    let schema = schema(
        r#"{"type":"object","properties":{
            "s":{"type":"string","x-privacy":"hash"},"i":{"type":"integer","x-privacy":"hash"},
            "n":{"type":"number","x-privacy":"hash"},"b":{"type":"boolean","x-privacy":"hash"},
            "d":{"type":"string","x-privacy":"drop","maxLength":3}}}"#,
    );
    let applied = apply(
        &schema,
        &[
            r#"{"s":"é1","i":1,"n":1,"b":true,"d":"abc"}"#,
            r#"{"s":"\u00e91","i":1.0,"n":10e-1,"b":true}"#,
            r#"{"s":"1","d":"abcd"}"#,
            "{}",
        ],
    );
    assert_eq!(told(&applied), "length /d @13 expected at most 3 characters, found 4");
    let key = HashKey::from_bytes(&[1; 32]);
    let names: Vec<_> = applied.batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["s", "i", "n", "b", "_extra"]);
    for (index, text) in ["é1", "1", "1", "true"].iter().enumerate() {
        let column = applied.batch.column(index).as_string::<i32>();
        let digest = key.digest(text.as_bytes());
        assert_eq!(column.value(0).as_bytes(), digest);
        assert_eq!(column.value(1).as_bytes(), digest);
        assert!(column.is_null(2));
    }
    assert_eq!(schema.protected_columns(), ["s", "i", "n", "b"]);
}

#[test]
fn a_key_has_one_partition_and_an_event_one_time() {
    let one = schema(
        r#"{"type":"object","required":["k"],"x-key":["k"],"x-partitions":100,"properties":{"k":{"type":"string","x-privacy":"hash"}}}"#,
    );
    let applied = apply(&one, &[r#"{"k":"foobar"}"#, r#"{"k":"\u0066oobar"}"#]);
    let expected = Some(partition_of(b"foobar", 100));
    assert!(applied.rows.iter().all(|row| row.partition == expected));

    let many = schema(
        r#"{"type":"object","required":["s","i","b"],"x-key":["i","s","b"],"x-partitions":100,"x-event-time":"t",
            "properties":{"s":{"type":"string"},"b":{"type":"boolean"},"i":{"type":"integer"},"t":{"type":"integer","x-time":"s"}}}"#,
    );
    let records =
        [&br#"{"b":true,"s":"a\"\u00e9","i":7.0,"t":5}"#[..], br#"{"b":true,"s":"a\"\u00e9","i":7}"#];
    let records = records.map(|bytes| Record { event_time: Some(Timestamp(9)), ..record(bytes) });
    let applied = decoder(&many).apply(&records);
    let partition = Some(partition_of("[7,\"a\\\"é\",true]".as_bytes(), 100));
    let row = |index, time| RowInfo { index, partition, event_time: Some(Timestamp(time)) };
    assert_eq!(applied.rows, [row(0, 5_000_000), row(1, 9)]);
    assert_eq!(apply(&field(r#"{"type":"integer"}"#), &["{}"]).rows[0].partition, None);
}

#[test]
fn sensors_speak_key_value() {
    let schema = schema(
        r#"{"type":"object","required":["id","value"],"properties":{
            "id":{"type":"string"},"type":{"type":"string","maxLength":3},"value":{"type":"number","maximum":1000},
            "ts":{"type":"integer","x-time":"ms"},"ok":{"type":"boolean"},"l":{"type":"array","items":{"type":"string"}}}}"#,
    );
    let fields = KvFields::new([("tp", "type"), ("vl", "value")].map(|(a, b)| (a.to_owned(), b.to_owned())));
    let check = |event: &[u8], expected: &str| check_kv(&schema, &fields, event, expected);
    let applied = check(b"id=a%20%C3%A9+b&tp=t&vl=1.50&ts=1763755200000&ok=true&un=K%22", "accepted");
    assert_eq!(applied.batch.column(0).as_string::<i32>().value(0), "a é+b");
    assert_eq!(applied.batch.column(2).as_primitive::<Float64Type>().value(0), 1.5);
    assert_eq!(applied.batch.column(6).as_string::<i32>().value(0), r#"{"/un":"K\""}"#);
    check(b"id=a&vl=", "type /value @8 expected a number, found \"\"");
    check(b"id=a&vl=12abc", "type /value @8 expected a number, found \"12abc\"");
    check(b"id=a&vl= 12", "type /value @8 expected a number, found \" 12\"");
    check(b"id=a&vl=NaN", "type /value @8 expected a number, found \"NaN\"");
    check(b"id=a&vl=1001", "maximum /value @8 expected at most 1000, found \"1001\"");
    check(b"id=a&vl=1&ok=1", "type /ok @13 expected true or false, found \"1\"");
    check(b"id=a&vl=1&l=x", "type /l @12 expected an array, which no key=value record can hold");
    check(b"id=a&tp=long", "length /type @8 expected at most 3 characters, found 4, found \"long\"");
    check(b"tp=t&vl=1", "required /id @9 the field is missing");
    check(b"", "record  @0 expected name=value");
    check(b"id=a&", "record  @5 expected name=value");
    check(b"id=a&&vl=1", "record  @5 expected name=value");
    check(b"id=a&=1", "record  @5 expected a name before the equals sign");
    check(b"id=a&vl=%4", "record  @8 a percent sign needs two hexadecimal digits behind it");
    check(b"id=a&vl=1%zz", "record  @9 a percent sign needs two hexadecimal digits behind it");
    check(b"id=%ff&vl=1", "record  @3 the bytes are not valid UTF-8");
    check(b"id=a&vl=1&vl=1", "record  @10 the record names a field twice");
    check(b"id=a&vl=1&value=1", "record  @10 the record names a field twice");
    check(b"id=a&vl=x&q", "record  @10 expected name=value");
}
