//! Protobuf: what the reference tool wrote, what a second library writes, and what nobody should send.

use std::sync::Arc;

use hw_event::RejectCode;
use hw_schema::{Applied, Frame, Notation, PayloadForm, Schema};
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, SerializeOptions, Value,
};

use crate::{
    Random, apply,
    payloads::{apply_payloads, bytes, events, frames, path, reader, text, translated, twins},
};

const ONE: PayloadForm = PayloadForm::Protobuf { delimited: false };
const MANY: PayloadForm = PayloadForm::Protobuf { delimited: true };

#[test]
fn protobuf_gives_the_rows_of_its_json_twin() {
    for name in ["user.identity.created", "every", "older"] {
        twins(&format!("{name}.proto"), &format!("{name}.proto.bin"), &format!("{name}.proto.ndjson"), MANY);
    }
}

fn small(text: &str) -> Arc<Schema> {
    let text =
        if text.starts_with("syntax") { text.to_owned() } else { format!("syntax = \"proto3\"; {text}") };
    let fetch = &mut |_: &str| Err(String::new());
    match Schema::translate(Notation::Protobuf, "a", "a.proto", &text, fetch) {
        Ok(translated) => Arc::new(translated.schema),
        Err(faults) => panic!("{text}: {faults:#?}"),
    }
}

fn judged(schema: &str, payload: &[u8]) -> Applied {
    let schema = small(schema);
    let reader = reader(&schema, ONE);
    apply_payloads(&schema, &reader, &[payload])
}

/// The payload and the JSON come to the same row.
#[track_caller]
fn means(schema: &str, payload: &[u8], json: &str) {
    let got = judged(schema, payload);
    assert_eq!(got.rejects, [], "{json}");
    let expected = apply(&small(schema), &[json.to_owned()]);
    assert_eq!(expected.rejects, [], "{json}");
    assert_eq!(got.batch, expected.batch, "{json}");
}

#[track_caller]
fn refused(schema: &str, payload: &[u8], code: RejectCode, at: u64) {
    let applied = judged(schema, payload);
    let found: Vec<_> = applied.rejects.iter().map(|reject| (reject.code, reject.byte_offset)).collect();
    assert_eq!(found, [(code, at)], "{schema} {payload:?} {:?}", applied.rejects);
}

#[test]
fn what_comes_twice_is_merged_as_the_format_has_it() {
    let number = "message A { int32 a = 1; }";
    means(number, b"\x08\x05\x08\x07", r#"{"a":7}"#);
    means(number, b"", r#"{"a":0}"#);
    means("message A { optional int32 a = 1; }", b"", "{}");
    let inner =
        "message A { B b = 1; message B { int32 x = 1; optional int32 y = 2; repeated int32 z = 3; } }";
    means(
        inner,
        b"\x0a\x04\x08\x01\x18\x05\x0a\x06\x10\x02\x18\x06\x08\x09",
        r#"{"b":{"x":9,"y":2,"z":[5,6]}}"#,
    );
    // Packed and not packed, in parts.
    let list = "message A { repeated sint32 a = 1; string b = 2; }";
    means(list, b"\x08\x01\x12\x01x\x0a\x02\x02\x03\x08\x04", r#"{"a":[-1,1,-2,2],"b":"x"}"#);
    // Of a map the last value of a key, where it came.
    let map = "message A { map<int32, string> m = 1; }";
    let entries = b"\x0a\x05\x08\x01\x12\x01a\x0a\x05\x08\x02\x12\x01b\x0a\x05\x08\x01\x12\x01c\x0a\x00\x0a\x02\x08\x03";
    means(map, entries, r#"{"m":{"2":"b","1":"c","0":"","3":""}}"#);
}

#[test]
fn of_a_oneof_the_last_member_counts() {
    let schema = "message A { int32 z = 9; oneof o { int32 a = 1; string b = 2; B c = 3; } \
                  message B { int32 x = 1; int32 y = 2; } }";
    means(schema, b"\x08\x05\x12\x01s", r#"{"z":0,"b":"s"}"#);
    means(schema, b"\x12\x01s\x08\x05\x48\x01", r#"{"z":1,"a":5}"#);
    means(schema, b"\x12\x00", r#"{"z":0,"b":""}"#);
    // Parts of one member are merged, but not with what another member replaced.
    means(
        schema,
        b"\x1a\x02\x08\x01\x08\x05\x1a\x02\x08\x02\x1a\x02\x10\x03",
        r#"{"z":0,"c":{"x":2,"y":3}}"#,
    );
}

#[test]
fn what_the_schema_does_not_name_is_kept_under_its_number() {
    let schema = "message A { int32 a = 1; B b = 2; message B { int32 x = 1; } }";
    let payload = b"\x50\x07\x08\x01\x5d\x01\0\0\0\x50\x08\x62\x02hi\x12\x04\x08\x02\x38\x09\x6b\x08\x01\x6c\x71\x02\0\0\0\0\0\0\0";
    let json = r#"{"a":1,"b":{"x":2,"7":9},"10":[7,8],"11":1,"12":"aGk=","13":"CAE=","14":2}"#;
    means(schema, payload, json);
    // Where protected fields drop what is not named, it is counted.
    let protected = "syntax = \"proto3\"; import \"headwater/annotations.proto\"; \
                     message A { string a = 1 [(headwater.hash) = true]; }";
    assert_eq!(judged(protected, b"\x0a\x01x\x50\x07").extra_dropped, 1);
}

#[test]
fn bad_protobuf_is_a_reject_with_its_place() {
    use RejectCode::{Enum, Format, Maximum, Minimum, OutOfRange, Pattern, Record, Required, TooLarge};
    let number = "message A { int64 a = 1; }";
    refused(number, b"\x08", Record, 1);
    refused(number, b"\x08\x80", Record, 2);
    refused(number, &[&[8], &[0xff; 10][..]].concat(), Record, 1);
    refused(number, b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x02", Record, 1);
    // Another wire type, a wire type that there is not, the number 0, a number beyond all.
    refused(number, b"\x0a\x01\x00", Record, 0);
    refused(number, b"\x08\x01\x0d\0\0\0\0", Record, 2);
    refused(number, b"\x0e", Record, 0);
    refused(number, b"\x0f", Record, 0);
    refused(number, b"\x00\x00", Record, 0);
    refused(number, b"\x80\x80\x80\x80\x10\x00", Record, 0);
    refused(number, b"\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00", Record, 0);
    // Groups that do not end, or end what did not begin.
    refused(number, b"\x13\x08\x01", Record, 3);
    refused(number, b"\x14", Record, 0);
    refused(number, b"\x13\x1c", Record, 1);
    refused(number, &[0x13; 200], TooLarge, 100);
    let text = "message A { string a = 1; bytes b = 2; }";
    refused(text, b"\x0a\x03ab", Record, 1);
    refused(text, b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Record, 1);
    refused(text, b"\x12\xff\xff\xff\xff\x0f", Record, 1);
    refused(text, b"\x0a\x02a\xff", Record, 3);
    let list = "message A { repeated fixed32 a = 1; map<string, int32> m = 2; }";
    refused(list, b"\x0a\x05\x01\0\0\0\x01", Record, 6);
    refused(list, b"\x12\x03\x0a\x01\xff", Record, 2);
    refused(list, b"\x12\x02\x08\x01", Record, 2);
    refused(list, b"\x12\x02\x12\x00", Record, 2);
    // What the types cannot hold.
    let types = "message A { int32 a = 1; uint32 b = 2; uint64 c = 3; double d = 4; sint32 e = 5; E f = 6; enum E { X = 0; } }";
    refused(types, b"\x08\x80\x80\x80\x80\x08", Maximum, 1);
    refused(types, b"\x08\x80\x80\x80\x80\xf0\xff\xff\xff\xff\x01", Minimum, 1);
    refused(types, b"\x10\x80\x80\x80\x80\x10", Maximum, 1);
    refused(types, b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", OutOfRange, 1);
    refused(types, &[&[0x21][..], &f64::NAN.to_le_bytes()].concat(), OutOfRange, 1);
    refused(types, b"\x28\x80\x80\x80\x80\x10", Maximum, 1);
    refused(types, b"\x30\x01", Enum, 1);
    refused(types, b"\x30\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Enum, 1);
    let known = "syntax = \"proto3\"; import \"google/protobuf/timestamp.proto\"; import \"google/protobuf/duration.proto\"; \
                 import \"google/protobuf/struct.proto\"; message A { google.protobuf.Timestamp a = 1; \
                 google.protobuf.Duration b = 2; google.protobuf.Value c = 3; }";
    refused(known, b"\x0a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", Format, 2);
    refused(known, b"\x0a\x03\x10\xff\x7f\x0a\x02\x0a\x00", Record, 7);
    refused(known, b"\x12\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x10\x01", Pattern, 2);
    refused(known, &[&[0x1a, 9, 0x11][..], &f64::INFINITY.to_le_bytes()].concat(), OutOfRange, 2);
    let required = "syntax = \"proto2\"; message A { required int32 a = 1; optional string b = 2; }";
    refused(required, b"\x12\x01x", Required, 2);
    let subject = "syntax = \"proto3\"; import \"headwater/annotations.proto\"; \
                   message A { string a = 1 [(headwater.id) = true]; }";
    refused(subject, b"", Required, 0);
}

#[test]
fn depth_and_size_are_bounded() {
    let tree = "message Event { T t = 1; } message T { T of = 1; repeated int32 n = 2; }";
    let nested = |depth: usize| {
        let mut payload = Vec::new();
        for _ in 0..depth {
            let mut length = payload.len();
            let mut around = vec![0x0a];
            while length > 127 {
                around.push(u8::try_from(length & 127).unwrap() | 128);
                length >>= 7;
            }
            around.push(u8::try_from(length).unwrap());
            around.extend(payload);
            payload = around;
        }
        payload
    };
    assert_eq!(judged(tree, &nested(50)).rejects, []);
    for depth in [200, 10_000, 50_000] {
        let applied = judged(tree, &nested(depth));
        assert_eq!(applied.rejects[0].code, RejectCode::TooLarge, "{depth}");
    }
    // Every two bytes are a message of many fields that were not set.
    let fields: String = (1..=200).map(|n| format!("int64 a_field_with_a_long_name_{n} = {n}; ")).collect();
    let wide = format!("message A {{ repeated B b = 1; message B {{ {fields} }} }}");
    let applied = judged(&wide, &b"\x0a\x00".repeat(200_000));
    assert_eq!(applied.rejects[0].code, RejectCode::TooLarge);
}

#[test]
fn a_body_of_lengths_that_breaks_off_costs_only_its_end() {
    let schema = translated("every.proto");
    let reader = reader(&schema, MANY);
    let body = bytes("every.proto.bin");
    let whole = frames(&reader, &body, 10_000).unwrap();
    assert_eq!(whole.len(), 241);
    // The last event has no bytes: the one before it breaks off.
    for cut in [2, 7] {
        let frames = frames(&reader, &body[..body.len() - cut], 10_000).unwrap();
        assert_eq!(frames[..239], whole[..239]);
        assert_eq!((frames.len(), frames[239].fault), (240, Some(RejectCode::Record)));
        assert_eq!(frames[239].bytes.end, body.len() - cut, "no byte is lost");
    }
    assert_eq!(frames(&reader, &body, 240), None, "too many");
    assert_eq!(frames(&reader, b"", 10), Some(Vec::new()));
    assert_eq!(frames(&reader, &[0; 1000], 999), None);
    for lie in [&b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"[..], &[0xff; 12], b"\x05abc"] {
        let broken = Frame { bytes: 0..lie.len(), fault: Some(RejectCode::Record) };
        assert_eq!(frames(&reader, lie, 10), Some(vec![broken]));
    }
    let one = self::reader(&schema, ONE);
    assert_eq!(frames(&one, b"", 10), Some(vec![Frame { bytes: 0..0, fault: None }]));
}

#[test]
fn harmed_protobuf_is_rows_or_rejects() {
    let mut random = Random(seed());
    for name in ["every", "older"] {
        let schema = translated(&format!("{name}.proto"));
        let reader = reader(&schema, MANY);
        let body = bytes(&format!("{name}.proto.bin"));
        let good: Vec<&[u8]> = events(&reader, &body).into_iter().filter(|event| !event.is_empty()).collect();
        for _ in 0..4000 {
            let mut event = random.pick(&good).to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(event.len());
                match random.below(5) {
                    0 => event.truncate(at + 1),
                    1 => event[at] = 0xff,
                    2 => event[at] ^= 1 << random.below(8),
                    3 => event.extend_from_within(at..),
                    _ => event[at] = u8::try_from(random.below(256)).unwrap(),
                }
            }
            let applied = apply_payloads(&schema, &reader, &[&event]);
            assert_eq!(applied.rows.len() + applied.rejects.len(), 1);
            for reject in &applied.rejects {
                assert!(reject.byte_offset <= event.len() as u64, "{reject:?}");
            }
            _ = frames(&reader, &event, 100);
        }
    }
}

fn seed() -> u64 {
    let seed = std::env::var("HW_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    println!("HW_SEED={seed}");
    seed
}

/// The messages of a fixture, as another library compiles them.
fn compiled(file: &str, message: &str) -> MessageDescriptor {
    let directory = path("");
    let set = protox::compile([file], [directory]).expect("a good schema");
    let mut pool = DescriptorPool::new();
    pool.add_file_descriptor_set(set).expect("it has all its files");
    pool.get_message_by_name(message).expect("the message is there")
}

fn random_message(random: &mut Random, descriptor: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    let seconds = |random: &mut Random| Value::I64(i64::try_from(random.below(4_000_000_000)).unwrap());
    match descriptor.full_name() {
        "google.protobuf.Timestamp" | "google.protobuf.Duration" => {
            let nanos = *random.pick(&[0, 1, 1000, 500_000_000, 999_999_999]);
            message.set_field_by_name("seconds", seconds(random));
            message.set_field_by_name("nanos", Value::I32(nanos));
            return message;
        }
        // One that holds nothing has no JSON there.
        "google.protobuf.Value" => {
            match random.below(if depth == 0 { 3 } else { 4 }) {
                0 => message.set_field_by_name("number_value", Value::F64(1.5)),
                1 => message.set_field_by_name("string_value", Value::String("a".to_owned())),
                2 => message.set_field_by_name("null_value", Value::EnumNumber(0)),
                _ => {
                    let list = descriptor.get_field_by_name("list_value").unwrap();
                    let value = random_value(random, &list.kind(), depth - 1);
                    message.set_field(&list, value);
                }
            }
            return message;
        }
        _ => {}
    }
    for field in descriptor.fields() {
        let is_deep = matches!(field.kind(), Kind::Message(_)) && depth == 0;
        // A default that the schema declares stands for what was not sent; in Protobuf's own JSON it is left out.
        let has_default = field.field_descriptor_proto().default_value.is_some();
        if (random.below(3) == 0 && !has_default && !field.is_required()) || is_deep {
            continue;
        }
        let value = random_field(random, &field, depth);
        message.set_field(&field, value);
    }
    message
}

fn random_field(random: &mut Random, field: &FieldDescriptor, depth: usize) -> Value {
    let depth = depth.saturating_sub(1);
    if field.is_map() {
        let kind = field.kind();
        let entry = kind.as_message().unwrap();
        let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        // One at most: the two libraries may give several in different orders.
        let entries = (0..random.below(2)).map(|_| {
            let key = match random_value(random, &key, depth) {
                Value::Bool(key) => MapKey::Bool(key),
                Value::I32(key) => MapKey::I32(key),
                Value::String(key) => MapKey::String(key),
                other => panic!("no key of a fixture: {other:?}"),
            };
            (key, random_value(random, &value, depth))
        });
        return Value::Map(entries.collect());
    }
    if field.is_list() {
        return Value::List(
            (0..random.below(4)).map(|_| random_value(random, &field.kind(), depth)).collect(),
        );
    }
    random_value(random, &field.kind(), depth)
}

fn random_value(random: &mut Random, kind: &Kind, depth: usize) -> Value {
    let bits = random.below(usize::MAX) as u64;
    let low = u32::try_from(bits & 0xffff_ffff).unwrap();
    match kind {
        Kind::Bool => Value::Bool(bits & 1 == 1),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32((low >> (bits >> 59)).cast_signed()),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(bits.cast_signed() >> (bits & 63)),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(low >> (bits >> 59)),
        // Beyond 63 bits there is no column.
        Kind::Uint64 | Kind::Fixed64 => Value::U64(bits >> 1 >> (bits & 31)),
        // Quarters are exact in either width.
        Kind::Float => Value::F32(f32::from(i16::try_from(bits & 0x7fff).unwrap()) / 4.0),
        Kind::Double => Value::F64(f64::from(low) / 4.0),
        Kind::String => Value::String((*random.pick(&["", "a", "Ünïcode ✓ 𝄞", "\"\\\n"])).to_owned()),
        Kind::Bytes => Value::Bytes(bits.to_le_bytes()[..random.below(9)].to_vec().into()),
        Kind::Enum(values) => {
            let numbers: Vec<i32> = values.values().map(|value| value.number()).collect();
            Value::EnumNumber(*random.pick(&numbers))
        }
        Kind::Message(message) => Value::Message(random_message(random, message, depth)),
    }
}

#[test]
fn random_messages_give_the_rows_of_their_own_json() {
    let mut random = Random(seed());
    let rounds = std::env::var("HW_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(2000);
    let options = SerializeOptions::new()
        .stringify_64_bit_integers(false)
        .use_proto_field_name(true)
        .skip_default_fields(false);
    for (file, name) in [("every.proto", "every.kind.Every"), ("older.proto", "Older")] {
        let schema = translated(file);
        let reader = reader(&schema, ONE);
        let descriptor = compiled(file, name);
        for _ in 0..rounds {
            let mut message = random_message(&mut random, &descriptor, 4);
            if name == "Older" {
                message.set_field_by_name("number", Value::I64(1));
            }
            let mut json = Vec::new();
            let mut serializer = serde_json::Serializer::new(&mut json);
            message.serialize_with_options(&mut serializer, &options).expect("it has a JSON");
            let json = String::from_utf8(json).unwrap();
            let payload = {
                use prost_reflect::prost::Message;
                message.encode_to_vec()
            };
            let got = apply_payloads(&schema, &reader, &[&payload]);
            let expected = apply(&schema, std::slice::from_ref(&json));
            assert_eq!(got.rejects, [], "{json}");
            assert_eq!(expected.rejects, [], "{json}");
            for (index, field) in expected.batch.schema().fields().iter().enumerate() {
                let (got, want) = (got.batch.column(index), expected.batch.column(index));
                assert!(got == want, "the column {} differs:\n{got:?}\n{want:?}\n{json}", field.name());
            }
        }
    }
}

#[test]
fn protected_values_of_messages_show_nowhere() {
    let schema = translated("user.identity.created.proto");
    assert!(schema.has_protected());
    let reader = reader(&schema, MANY);
    let body = bytes("user.identity.created.proto.bin");
    let applied = apply_payloads(&schema, &reader, &events(&reader, &body));
    let shown = format!("{:?}", applied.batch);
    assert!(shown.contains("user-"), "the subject is stored");
    assert!(!shown.contains("@example.com"), "addresses are digests");
    assert!(!shown.contains("\"pin\""), "what is dropped has no column");
    assert!(text("user.identity.created.proto.ndjson").contains("@example.com"));
}

#[test]
fn harmed_schemas_are_accepted_or_refused_with_a_place() {
    let mut random = Random(seed());
    let texts = ["every.proto", "older.proto", "user.identity.created.proto"].map(text);
    let rounds = std::env::var("HW_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(600);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..rounds {
        let mut words: Vec<&str> =
            random.pick(&texts).split_inclusive(|c: char| !c.is_alphanumeric()).collect();
        for _ in 0..=random.below(3) {
            let (at, from) = (random.below(words.len()), random.below(words.len()));
            match random.below(6) {
                0 => drop(words.remove(at)),
                1 => words.insert(at, words[from]),
                2 => words.swap(at, from),
                3 => words[at] = *random.pick(&["{", "}", "\"", ";", "<", "[", "-", "/*", "inf", "\\", "ß"]),
                4 => {
                    words[at] =
                        *random.pick(&["99999999999", "group ", "oneof ", "extend ", "reserved ", "map<"])
                }
                _ => words.truncate(at + 1),
            }
        }
        let harmed = words.concat();
        let fetch = &mut |_: &str| Err("it is not there".to_owned());
        match Schema::translate(Notation::Protobuf, "a", "a.proto", &harmed, fetch) {
            Ok(translated) => {
                accepted += 1;
                let kept = Schema::parse(translated.schema.document()).expect("what is kept is accepted");
                assert!(kept.schema.payload_reader(ONE).is_some(), "{harmed}");
            }
            Err(faults) => {
                refused += 1;
                let fault = &faults.first().expect("refused without a fault").fault;
                assert!(fault.line >= 1 && !fault.message.is_empty() && !fault.hint.is_empty(), "{harmed}");
            }
        }
    }
    assert!(accepted > rounds / 20 && refused > rounds / 4, "{accepted} accepted, {refused} refused");
}
