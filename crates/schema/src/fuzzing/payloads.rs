//! Payloads. The first byte chooses a schema and a form, the rest is a body: it is cut into events, and they are judged.

use std::sync::{Arc, OnceLock};

use super::{chosen, decoder, events::is_whole};
use crate::{Format, Notation, PayloadForm, Record, Schema};

const EVENTS_MAX: usize = 1000;

const FORMS: [PayloadForm; 2] = [PayloadForm::Capnp { packed: false }, PayloadForm::Capnp { packed: true }];

fn schema() -> &'static Arc<Schema> {
    static SCHEMA: OnceLock<Arc<Schema>> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let text = include_str!("../../tests/payloads/every.capnp");
        let translated =
            Schema::translate(Notation::Capnp, "every", "every.capnp", text, &mut |_| Err(String::new()));
        match translated {
            Ok(translated) => Arc::new(translated.schema),
            Err(faults) => panic!("{faults:?}"),
        }
    })
}

pub fn payload(data: &[u8]) {
    let Some((form, body)) = chosen(data, FORMS.len()) else { return };
    let schema = schema();
    let Some(reader) = schema.payload_reader(FORMS[form]) else { panic!("the form is the schema's") };
    let Some(frames) = reader.frames(body, EVENTS_MAX) else { return };
    let mut end = 0;
    for frame in &frames {
        assert!(frame.bytes.start == end && frame.bytes.end > end, "bytes are lost between events");
        end = frame.bytes.end;
    }
    assert_eq!(end, body.len(), "bytes are lost");
    let records: Vec<Record<'_>> = frames
        .iter()
        .map(|frame| {
            let bytes = &body[frame.bytes.clone()];
            Record { bytes, format: Format::Payload(&reader), fault: frame.fault, event_time: None }
        })
        .collect();
    let applied = decoder(schema).apply(&records);
    is_whole(&applied, &records);
}
