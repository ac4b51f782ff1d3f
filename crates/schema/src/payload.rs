//! Payloads in other notations: bytes → the JSON text of the same event, in memory, for the compiled decoder. So every
//! rule, protection and reject code is that of JSON by construction.
//! Always: bad bytes are a fault with a place, never a panic; the text is bounded, and with it the time; numbers are exact.
//! Does not judge: what the schema says of an event is the decoder's.

mod avro;
mod capnp;
mod protobuf;
mod text;

use std::{fmt, ops::Range, sync::Arc};

use hw_event::RejectCode;

pub(crate) use self::text::{Text, quoted_name};
use crate::{
    DecodeLimits, Schema,
    notation::{self, Files, Notation, NotationText, Problems},
};

/// The text may be so many times as long as an event: columns have names, and bits become words.
const TEXT_FACTOR: usize = 8;

/// How a body's bytes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadForm {
    /// Framed messages of Cap'n Proto, one behind the other.
    Capnp { packed: bool },
    /// One value, written with the stream's newest schema.
    AvroDatum,
    /// An object container file, which brings its writer's schema.
    AvroFile,
    /// One message of Protobuf; delimited: messages, each behind its length.
    Protobuf { delimited: bool },
}

impl PayloadForm {
    pub fn notation(self) -> Notation {
        match self {
            PayloadForm::Capnp { .. } => Notation::Capnp,
            PayloadForm::AvroDatum | PayloadForm::AvroFile => Notation::Avro,
            PayloadForm::Protobuf { .. } => Notation::Protobuf,
        }
    }

    /// The content type that one event alone would have. Kept with rejects: these words never change.
    pub fn content_type(self) -> &'static str {
        match self {
            PayloadForm::Capnp { packed: false } => "application/x-capnp",
            PayloadForm::Capnp { packed: true } => "application/x-capnp; packed=true",
            PayloadForm::AvroDatum => "avro/binary",
            PayloadForm::AvroFile => "application/avro",
            PayloadForm::Protobuf { .. } => "application/protobuf",
        }
    }

    /// Cuts a body into events where that needs no schema. `None`: it does, or they are in a file that says how they are written.
    pub fn frames(self, body: &[u8], events_max: usize) -> Result<Option<Vec<Frame>>, PayloadRefused> {
        let frames = match self {
            PayloadForm::Capnp { packed } => {
                capnp::frames(body, packed, events_max).ok_or(PayloadRefused::TooManyEvents)?
            }
            PayloadForm::AvroDatum if body.is_empty() => Vec::new(),
            // A message of Protobuf in which nothing was set has no bytes.
            PayloadForm::AvroDatum | PayloadForm::Protobuf { delimited: false } => {
                vec![Frame { bytes: 0..body.len(), fault: None }]
            }
            PayloadForm::Protobuf { delimited: true } => {
                protobuf::frames(body, events_max).ok_or(PayloadRefused::TooManyEvents)?
            }
            PayloadForm::AvroFile => return Ok(None),
        };
        Ok(Some(frames))
    }

    /// How an event is written that was kept with this content type. `None`: nothing is known that could read it, as an
    /// event of a file whose schema was another one.
    pub fn of_content_type(text: &str) -> Option<PayloadForm> {
        [
            PayloadForm::Capnp { packed: false },
            PayloadForm::Capnp { packed: true },
            PayloadForm::AvroDatum,
            PayloadForm::Protobuf { delimited: false },
        ]
        .into_iter()
        .find(|form| form.content_type() == text)
    }
}

/// What is wrong with a payload's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayloadFault {
    pub code: RejectCode,
    /// The byte of the event at which it was found.
    pub at: usize,
    pub message: &'static str,
}

impl PayloadFault {
    pub(crate) fn record(at: usize, message: &'static str) -> PayloadFault {
        PayloadFault { code: RejectCode::Record, at, message }
    }

    pub(crate) fn too_large(at: usize, message: &'static str) -> PayloadFault {
        PayloadFault { code: RejectCode::TooLarge, at, message }
    }
}

/// One event within a body, or bytes that are none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub bytes: Range<usize>,
    pub fault: Option<RejectCode>,
}

/// Reads payloads of one form, as one version of a schema describes them. Cheap to clone.
#[derive(Clone)]
pub struct PayloadReader {
    form: PayloadForm,
    meaning: Arc<Meaning>,
    /// The schema of an Avro file's writer.
    writer: Option<Arc<notation::avro::Types>>,
}

/// A body taken apart.
#[derive(Debug)]
pub struct PayloadOpened {
    /// The events lie in this, where the body was compressed.
    pub unpacked: Option<Vec<u8>>,
    pub frames: Vec<Frame>,
    /// Reads these events.
    pub reader: PayloadReader,
}

/// Why a body was not taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PayloadRefused {
    TooManyEvents,
    /// Unpacked it is larger than it may be.
    TooLarge,
}

impl fmt::Debug for PayloadReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadReader").field("form", &self.form).finish_non_exhaustive()
    }
}

/// What a notation's text means for its payloads.
#[derive(Debug)]
pub(crate) enum Meaning {
    Capnp(notation::capnp::Structs),
    Avro(Arc<notation::avro::Types>),
    Protobuf(notation::protobuf::Messages),
}

/// From the text that is kept with a schema. `None`: it is not understood any more.
pub(crate) fn meaning(text: &NotationText) -> Option<Meaning> {
    let mut fetch = |name: &str| text.files.get(name).cloned().ok_or_else(String::new);
    let main = text.files.get(&text.main)?;
    match text.notation {
        Notation::Json => None,
        Notation::Avro => notation::avro::read(main).ok().map(|types| Meaning::Avro(Arc::new(types))),
        Notation::Capnp => {
            let files: Files = notation::capnp::load(&text.main, main, &mut fetch, &mut Problems::default());
            notation::capnp::structs(&files, &text.root).map(Meaning::Capnp)
        }
        Notation::Protobuf => {
            let loaded = notation::protobuf::load(&text.main, main, &mut fetch, &mut Problems::default());
            notation::protobuf::messages(&loaded, &text.root).map(Meaning::Protobuf)
        }
    }
}

impl Schema {
    /// How to read payloads of this form. `None`: the schema is written in another notation.
    pub fn payload_reader(&self, form: PayloadForm) -> Option<PayloadReader> {
        let text = self.notation.as_ref().filter(|text| text.notation == form.notation())?;
        let meaning = self.payload.get_or_init(|| meaning(text).map(Arc::new)).clone()?;
        Some(PayloadReader { form, meaning, writer: None })
    }
}

impl Schema {
    /// How to read events that came when `older` was the newest version. `None`: either is written in another notation.
    pub fn reader_of_older(&self, form: PayloadForm, older: &Schema) -> Option<PayloadReader> {
        let mut reader = self.payload_reader(form)?;
        // Only Avro needs to know what was written to read it at all.
        if let Meaning::Avro(types) = &*older.payload_reader(form)?.meaning {
            reader.writer = Some(Arc::clone(types));
        }
        Some(reader)
    }
}

impl PayloadReader {
    /// How one of the events that this reads is written, on its own.
    pub fn form_of_events(&self) -> PayloadForm {
        match (self.form, &*self.meaning, &self.writer) {
            (PayloadForm::AvroFile, Meaning::Avro(types), Some(writer)) if writer.are_written_like(types) => {
                PayloadForm::AvroDatum
            }
            (form, ..) => form,
        }
    }

    /// The JSON of an event, if its bytes can be read.
    pub fn json(&self, bytes: &[u8], limits: DecodeLimits) -> Option<Vec<u8>> {
        let mut text = Text::default();
        self.write(bytes, limits.event_bytes, limits.depth, &mut text).ok()?;
        Some(text.bytes().to_vec())
    }

    /// Cuts a body into events. Bytes that are none are the last frame. What is unpacked is at most `bytes_max` long.
    pub fn open(
        &self,
        body: &[u8],
        bytes_max: usize,
        events_max: usize,
    ) -> Result<PayloadOpened, PayloadRefused> {
        let mut reader = self.clone();
        let (unpacked, frames) = match self.form.frames(body, events_max)? {
            Some(frames) => (None, frames),
            None => {
                let opened = avro::open(body, bytes_max, events_max)?;
                reader.writer = opened.writer;
                (opened.unpacked, opened.frames)
            }
        };
        Ok(PayloadOpened { unpacked, frames, reader })
    }

    /// The byte of an event for a byte of what was read: packed messages are read when they are unpacked, and of
    /// those only the first byte is known.
    pub(crate) fn place(&self, at: usize) -> usize {
        match self.form {
            PayloadForm::Capnp { packed: true } => 0,
            PayloadForm::Capnp { packed: false }
            | PayloadForm::AvroDatum
            | PayloadForm::AvroFile
            | PayloadForm::Protobuf { .. } => at,
        }
    }

    /// Writes the JSON text of one event.
    pub(crate) fn write(
        &self,
        bytes: &[u8],
        event_bytes: usize,
        depth: usize,
        text: &mut Text,
    ) -> Result<(), PayloadFault> {
        let text_max = event_bytes.saturating_mul(TEXT_FACTOR);
        text.begin(text_max, depth);
        match &*self.meaning {
            Meaning::Capnp(structs) => {
                let packed = self.form == PayloadForm::Capnp { packed: true };
                capnp::write(structs, bytes, packed, event_bytes, text)
            }
            Meaning::Avro(types) => {
                avro::write(self.writer.as_deref().unwrap_or(types), types, bytes, text_max, text)
            }
            Meaning::Protobuf(messages) => protobuf::write(messages, bytes, text),
        }
    }
}

#[cfg(test)]
mod tests;
