//! Payloads. The first byte chooses a schema and a form, the rest is a body: it is cut into events, and they are judged.

use std::sync::{Arc, OnceLock};

use super::{chosen, decoder, events::is_whole};
use crate::{Format, Frame, Notation, PayloadForm, PayloadReader, Record, Schema};

const EVENTS_MAX: usize = 1000;

const BYTES_MAX: usize = 4 << 20;

const FORMS: [PayloadForm; 6] = [
    PayloadForm::Capnp { packed: false },
    PayloadForm::Capnp { packed: true },
    PayloadForm::AvroDatum,
    PayloadForm::AvroFile,
    PayloadForm::Protobuf { delimited: false },
    PayloadForm::Protobuf { delimited: true },
];

fn schema(notation: Notation) -> &'static Arc<Schema> {
    static CAPNP: OnceLock<Arc<Schema>> = OnceLock::new();
    static AVRO: OnceLock<Arc<Schema>> = OnceLock::new();
    static PROTOBUF: OnceLock<Arc<Schema>> = OnceLock::new();
    let (kept, text) = match notation {
        Notation::Avro => (&AVRO, include_str!("../../tests/payloads/every.avsc")),
        Notation::Protobuf => (&PROTOBUF, include_str!("../../tests/payloads/every.proto")),
        Notation::Capnp | Notation::Json => (&CAPNP, include_str!("../../tests/payloads/every.capnp")),
    };
    kept.get_or_init(|| {
        match Schema::translate(notation, "every", "every", text, &mut |_| Err(String::new())) {
            Ok(translated) => Arc::new(translated.schema),
            Err(faults) => panic!("{faults:?}"),
        }
    })
}

pub fn payload(data: &[u8]) {
    let Some((form, body)) = chosen(data, FORMS.len()) else { return };
    let schema = schema(FORMS[form].notation());
    let Some(reader) = schema.payload_reader(FORMS[form]) else { panic!("the form is the schema's") };
    let Ok(opened) = reader.open(body, BYTES_MAX, EVENTS_MAX) else { return };
    let (frames, reader) = (opened.frames, opened.reader);
    if FORMS[form] == PayloadForm::AvroFile {
        let body = opened.unpacked.as_deref().unwrap_or(body);
        return judge(schema, &reader, body, &frames);
    }
    let is_protobuf = FORMS[form].notation() == Notation::Protobuf;
    let is_delimited = FORMS[form] == PayloadForm::Protobuf { delimited: true };
    let mut end = 0;
    for frame in &frames {
        // A length stands between events, and an event of Protobuf may have no bytes.
        let starts = match is_delimited && frame.fault.is_none() {
            true => (end + 1..=end + 10).contains(&frame.bytes.start),
            false => frame.bytes.start == end,
        };
        assert!(starts && frame.bytes.end >= frame.bytes.start, "bytes are lost between events");
        assert!(is_protobuf || !frame.bytes.is_empty(), "an event without bytes");
        end = frame.bytes.end;
    }
    assert_eq!(end, body.len(), "bytes are lost");
    judge(schema, &reader, body, &frames);
}

fn judge(schema: &Arc<Schema>, reader: &PayloadReader, body: &[u8], frames: &[Frame]) {
    let records: Vec<Record<'_>> = frames
        .iter()
        .map(|frame| {
            let bytes = &body[frame.bytes.clone()];
            Record { bytes, format: Format::Payload(reader), fault: frame.fault, event_time: None }
        })
        .collect();
    let applied = decoder(schema).apply(&records);
    is_whole(&applied, &records);
}
