//! Payloads of other notations give the rows of their JSON twins. The fixtures are the reference tools'.

use std::{path::PathBuf, sync::Arc};

use hw_event::RejectCode;
use hw_schema::{
    Applied, Format, Frame, Notation, PayloadForm, PayloadReader, PayloadRefused, Record, Schema,
};

use crate::{Random, apply, decoder};

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/payloads").join(name)
}

pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn translated(file: &str) -> Arc<Schema> {
    let (stream, extension) = file.rsplit_once('.').unwrap();
    let notation = Notation::of_extension(extension).unwrap();
    let mut fetch = |name: &str| std::fs::read_to_string(path(name)).map_err(|error| error.to_string());
    match Schema::translate(notation, stream, file, &text(file), &mut fetch) {
        Ok(translated) => Arc::new(translated.schema),
        Err(faults) => panic!("{file}: {faults:#?}"),
    }
}

pub fn reader(schema: &Schema, form: PayloadForm) -> PayloadReader {
    schema.payload_reader(form).expect("the schema's own notation")
}

pub fn frames(reader: &PayloadReader, body: &[u8], events_max: usize) -> Option<Vec<Frame>> {
    reader.open(body, 1 << 20, events_max).ok().map(|opened| opened.frames)
}

/// The events of a body, each on its own.
pub fn events<'a>(reader: &PayloadReader, body: &'a [u8]) -> Vec<&'a [u8]> {
    let frames = frames(reader, body, 10_000).expect("not too many");
    frames
        .into_iter()
        .map(|frame| {
            assert_eq!(frame.fault, None);
            &body[frame.bytes]
        })
        .collect()
}

pub fn apply_payloads(schema: &Arc<Schema>, reader: &PayloadReader, events: &[&[u8]]) -> Applied {
    let record = |bytes| Record { bytes, format: Format::Payload(reader), fault: None, event_time: None };
    let records: Vec<Record<'_>> = events.iter().copied().map(record).collect();
    decoder(schema).apply(&records)
}

pub fn twins(schema: &str, body: &str, json: &str, form: PayloadForm) {
    // As it is after a restart: from the text that is kept.
    let kept = translated(schema).document().to_owned();
    let schema = Arc::new(Schema::parse(&kept).expect("what was translated is accepted").schema);
    let reader = reader(&schema, form);
    let body = bytes(body);
    let opened = reader.open(&body, 1 << 20, 10_000).expect("a good body");
    let body = opened.unpacked.unwrap_or(body);
    let reader = opened.reader;
    let found: Vec<&[u8]> = opened.frames.into_iter().map(|frame| &body[frame.bytes]).collect();
    let payloads = apply_payloads(&schema, &reader, &found);
    let json = text(json);
    let lines: Vec<&str> = json.lines().collect();
    let expected = apply(&schema, &lines);
    assert_eq!(expected.rejects, [], "the twins are good");
    assert_eq!(payloads.rejects, []);
    assert_eq!(payloads.rows, expected.rows, "partitions and times too");
    for (index, field) in expected.batch.schema().fields().iter().enumerate() {
        let (got, want) = (payloads.batch.column(index), expected.batch.column(index));
        assert!(got == want, "the column {} differs:\n{got:?}\n{want:?}", field.name());
    }
    assert!(lines.len() >= 200, "the fixture was read");
}

const CAPNP: PayloadForm = PayloadForm::Capnp { packed: false };
const PACKED: PayloadForm = PayloadForm::Capnp { packed: true };

#[test]
fn capnp_gives_the_rows_of_its_json_twin() {
    for name in ["user.identity.created", "every"] {
        let schema = format!("{name}.capnp");
        let json = format!("{name}.ndjson");
        twins(&schema, &format!("{name}.capnp.bin"), &json, CAPNP);
        twins(&schema, &format!("{name}.segments.bin"), &json, CAPNP);
        twins(&schema, &format!("{name}.packed.bin"), &json, PACKED);
    }
}

#[test]
fn avro_gives_the_rows_of_its_json_twin() {
    for file in ["user.identity.created.avro.bin", "user.identity.created.deflate.bin"] {
        twins("user.identity.created.avsc", file, "user.identity.created.ndjson", PayloadForm::AvroFile);
    }
    twins("every.avsc", "every.avro.bin", "every.avro.ndjson", PayloadForm::AvroFile);
    // Written with an older schema: promoted, renamed, left out, and filled with defaults.
    twins("every.avsc", "every.older.bin", "every.older.ndjson", PayloadForm::AvroFile);
}

#[test]
fn twins_in_all_notations_give_one_table() {
    let columns = |file: &str| {
        let schema = translated(file);
        let fields = schema.table_columns().fields().clone();
        fields.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect::<Vec<_>>()
    };
    let capnp = columns("user.identity.created.capnp");
    assert_eq!(columns("user.identity.created.avsc"), capnp);
    assert_eq!(columns("user.identity.created.proto"), capnp);
}

#[test]
fn bad_avro_is_a_reject_with_its_place() {
    use RejectCode::{OutOfRange, Record, TooLarge};
    let refused = |fields: &str, payload: &[u8], code: RejectCode, at: u64| {
        let text = format!(r#"{{"type":"record","name":"A","fields":[{fields}]}}"#);
        let translated = Schema::translate(Notation::Avro, "a", "a.avsc", &text, &mut |_| Err(String::new()));
        let schema = Arc::new(translated.expect("a good schema").schema);
        let reader = reader(&schema, PayloadForm::AvroDatum);
        let applied = apply_payloads(&schema, &reader, &[payload]);
        let found: Vec<_> = applied.rejects.iter().map(|reject| (reject.code, reject.byte_offset)).collect();
        assert_eq!(found, [(code, at)], "{fields} {payload:?} {:?}", applied.rejects);
    };
    let field = |ty: &str| format!(r#"{{"name":"a","type":{ty}}}"#);
    refused(&field("\"long\""), b"\x80", Record, 1);
    refused(&field("\"long\""), b"\x02\x02", Record, 1);
    refused(&field("\"long\""), &[0xff; 11], Record, 0);
    refused(&field("\"int\""), b"\x80\x80\x80\x80\x10", Record, 0);
    refused(&field("\"boolean\""), b"\x02", Record, 0);
    refused(&field("\"string\""), b"\x01", Record, 0);
    refused(&field("\"string\""), b"\x10ab", Record, 1);
    refused(&field("\"string\""), b"\x04a\xff", Record, 2);
    refused(&field("[\"null\",\"string\"]"), b"\x04", Record, 0);
    refused(&field("\"double\""), &f64::NAN.to_le_bytes(), OutOfRange, 0);
    let symbols = r#"{"type":"enum","name":"E","symbols":["x"]}"#;
    refused(&field(symbols), b"\x02", Record, 0);
    // A billion elements that take no bytes.
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    refused(&field(r#"{"type":"array","items":"null"}"#), &bomb, TooLarge, 6);
    refused(&field(r#"{"type":"array","items":"long"}"#), b"\x01\x01", Record, 0);
    let key = r#"{"name":"b","type":["null","string"],"x-privacy":"subject"}"#;
    // The null stands behind the number of its branch.
    refused(key, b"\0", RejectCode::Type, 1);
}

#[test]
fn avro_files_that_break_off_cost_only_their_end() {
    let schema = translated("every.avsc");
    let reader = reader(&schema, PayloadForm::AvroFile);
    let body = bytes("every.avro.bin");
    let whole = reader.open(&body, 1 << 20, 10_000).unwrap().frames;
    assert!(whole.iter().all(|frame| frame.fault.is_none()));
    let cut = reader.open(&body[..body.len() - 20], 1 << 20, 10_000).unwrap().frames;
    assert!(cut.len() > 1 && cut.len() < whole.len());
    assert_eq!(cut.last().unwrap().fault, Some(RejectCode::Record));
    assert_eq!(cut.last().unwrap().bytes.end, body.len() - 20);
    let none = reader.open(b"Obj\x01\x00", 1 << 20, 10_000).unwrap().frames;
    assert_eq!(none, [Frame { bytes: 0..5, fault: Some(RejectCode::Record) }]);
    let packed = bytes("user.identity.created.deflate.bin");
    assert_eq!(reader.open(&packed, 1000, 10_000).unwrap_err(), PayloadRefused::TooLarge);
    assert_eq!(reader.open(&body, 1 << 20, 5).unwrap_err(), PayloadRefused::TooManyEvents);
}

#[test]
fn what_was_not_set_has_the_schemas_defaults() {
    let schema = translated("every.capnp");
    let reader = reader(&schema, CAPNP);
    let body = bytes("every.defaults.bin");
    let payload = apply_payloads(&schema, &reader, &events(&reader, &body));
    let twin = r#"{"bool":true,"i8":-7,"i16":0,"i32":42,"i64":-9223372036854775808,"u8":255,"u16":0,"u32":0,"u64":0,
        "f32":0.5,"f64":-1.5e300,"text":"a \"default\"","data":"AP8=","kind":"second","group":{"a":false,"b":0,
        "inner":{}},"choice":{"none":true},"left":0}"#;
    assert_eq!(payload.batch, apply(&schema, &[twin.replace('\n', "")]).batch);
}

/// A message of one segment.
fn message(words: &[u64]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(u32::try_from(words.len()).unwrap().to_le_bytes());
    bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    bytes
}

fn small(text: &str) -> Arc<Schema> {
    let translated = Schema::translate(Notation::Capnp, "a", "a.capnp", text, &mut |_| Err(String::new()));
    Arc::new(translated.expect("a good schema").schema)
}

#[track_caller]
fn refused(schema: &str, payload: &[u8], code: RejectCode, at: u64) {
    let schema = small(schema);
    let reader = reader(&schema, CAPNP);
    let applied = apply_payloads(&schema, &reader, &[payload]);
    let found: Vec<_> = applied.rejects.iter().map(|reject| (reject.code, reject.byte_offset)).collect();
    assert_eq!(found, [(code, at)], "{:?}", applied.rejects);
}

#[test]
fn bad_messages_are_rejects_with_their_place() {
    use RejectCode::{Enum, OutOfRange, Pattern, Record, Required, TooLarge};
    let number = "struct A { a @0 :UInt64; }";
    let texts = "struct A { a @0 :Text $Metadata.required; }";
    // A root of one data word, of one pointer.
    let (data, pointer) = (1_u64 << 32, 1_u64 << 48);
    refused(number, b"", Record, 0);
    refused(number, b"\x00\x00\x00\x00\x09\x00\x00\x00", Record, 0);
    refused(number, &[0xff; 16], Record, 0);
    refused(number, &message(&[]), Record, 8);
    refused(number, &message(&[1 | 2 << 32]), Record, 8);
    refused(number, &message(&[data | 40]), Record, 8);
    refused(number, &message(&[data | 0xffff_fff0]), Record, 8);
    refused(number, &message(&[2 | 7 << 32]), Record, 8);
    refused(number, &message(&[3]), Record, 8);
    refused(number, &[message(&[0]), vec![0; 8]].concat(), Record, 16);
    refused(number, &message(&[data, u64::MAX]), OutOfRange, 16);
    refused(texts, &message(&[pointer, 0]), Required, 8);
    refused(texts, &message(&[pointer, 1 | 2 << 32 | 2 << 35, 0x41_41]), Record, 16);
    refused(texts, &message(&[pointer, 1 | 2 << 32 | 3 << 35, 0xff_41]), Record, 25);
    refused(texts, &message(&[pointer, 1 | 2 << 32 | 9 << 35, 0x41]), Record, 16);
    let pattern = "struct A { a @0 :Text $Metadata.pattern(\"^b\"); }";
    refused(pattern, &message(&[pointer, 1 | 2 << 32 | 2 << 35, 0x41]), Pattern, 16);
    refused("struct A { a @0 :E; enum E { b @0; } }", &message(&[data, 7]), Enum, 16);
    refused("struct A { union { a @0 :Bool; b @1 :Bool; } }", &message(&[data, 7 << 16]), Record, 18);
    // Elements without a size cost nothing to send and something to write.
    let empty = "struct A { a @0 :List(B); struct B { c @0 :Int64; } }";
    refused(empty, &message(&[pointer, 1 | 7 << 32, 0xffff_fffc]), TooLarge, 32);
    // A list that holds itself.
    let tree = "struct Event { t @0 :T; } struct T { of @0 :List(T); }";
    let circle = message(&[pointer, pointer | 0xffff_fffc, 0]);
    let schema = small(tree);
    let reader = reader(&schema, CAPNP);
    let applied = apply_payloads(&schema, &reader, &[&circle]);
    assert_eq!(applied.rejects.len(), 1, "{applied:?}");
}

#[test]
fn a_body_that_breaks_off_costs_only_its_end() {
    let schema = translated("every.capnp");
    for (form, name) in [(CAPNP, "every.capnp.bin"), (PACKED, "every.packed.bin")] {
        let reader = reader(&schema, form);
        let body = bytes(name);
        let whole = frames(&reader, &body, 10_000).unwrap();
        for cut in [1, 7, 100] {
            let frames = frames(&reader, &body[..body.len() - cut], 10_000).unwrap();
            assert_eq!(frames.len(), whole.len());
            assert_eq!(frames[..whole.len() - 1], whole[..whole.len() - 1]);
            assert_eq!(frames.last().unwrap().fault, Some(RejectCode::Record));
            assert_eq!(frames.last().unwrap().bytes.end, body.len() - cut, "no byte is lost");
        }
        assert_eq!(frames(&reader, &body, 10), None, "too many");
        assert_eq!(frames(&reader, b"", 10), Some(Vec::new()));
    }
}

#[test]
fn harmed_payloads_are_rows_or_rejects() {
    let seed = std::env::var("HW_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_122);
    println!("HW_SEED={seed}");
    let mut random = Random(seed);
    let (capnp, avro) = (translated("every.capnp"), translated("every.avsc"));
    for (schema, form, name) in [
        (&capnp, CAPNP, "every.capnp.bin"),
        (&capnp, CAPNP, "every.segments.bin"),
        (&capnp, PACKED, "every.packed.bin"),
        (&avro, PayloadForm::AvroFile, "every.avro.bin"),
    ] {
        let body = bytes(name);
        let reader = reader(schema, form).open(&body, 1 << 20, 10_000).expect("a good body").reader;
        let good = events(&reader, &body);
        for _ in 0..2000 {
            let mut event = random.pick(&good).to_vec();
            for _ in 0..=random.below(4) {
                let at = random.below(event.len());
                match random.below(4) {
                    0 => event.truncate(at + 1),
                    1 => event[at] = 0xff,
                    2 => event[at] ^= 1 << random.below(8),
                    _ => event[at] = u8::try_from(random.below(256)).unwrap(),
                }
            }
            let applied = apply_payloads(schema, &reader, &[&event]);
            assert_eq!(applied.rows.len() + applied.rejects.len(), 1);
            for reject in &applied.rejects {
                assert!(reject.byte_offset <= event.len() as u64, "{reject:?}");
                assert!(form != PACKED || reject.byte_offset == 0, "no place is known in what is packed");
            }
            _ = frames(&reader, &event, 100);
        }
    }
}

#[test]
fn protected_values_of_payloads_show_nowhere() {
    let schema = translated("user.identity.created.capnp");
    assert!(schema.has_protected());
    let reader = reader(&schema, CAPNP);
    let body = bytes("user.identity.created.capnp.bin");
    let applied = apply_payloads(&schema, &reader, &events(&reader, &body));
    let shown = format!("{:?}", applied.batch);
    assert!(shown.contains("user-"), "the subject is stored");
    assert!(!shown.contains("@example.com"), "addresses are digests");
    assert!(!shown.contains("\"pin\""), "what is dropped has no column");
}

#[test]
fn the_seeds_way_of_writing_annotations_is_ours() {
    let ours = text("user.identity.created.capnp");
    let seed = ours.replace("$Metadata.Hash.sha256", "$Metadata.hash.sha256");
    assert_ne!(ours, seed);
    let mut fetch = |name: &str| Ok(text(name));
    let translate = |text: &str, fetch: &mut hw_schema::Fetch<'_>| {
        let translated = Schema::translate(Notation::Capnp, "a", "a.capnp", text, fetch).unwrap();
        assert_eq!(translated.warnings, []);
        translated.schema
    };
    let (ours, seed) = (translate(&ours, &mut fetch), translate(&seed, &mut fetch));
    assert!(ours.check_change(&seed).is_ok() && seed.check_change(&ours).is_ok());
    assert_eq!(ours.table_columns(), seed.table_columns());
}
