//! Bodies in the notation of the stream's schema: which content types they have, and where one event ends.
//! Always: every byte of the body belongs to exactly one event. Does not read events: that is the decoder's.

use bytes::Bytes;
use http::StatusCode;
use hw_schema::{Frame, Notation, PayloadForm, PayloadReader, PayloadRefused};

use super::{
    body::{self, Held},
    problem::Problem,
};
use crate::{Framed, Framing, Gate, Refusal};

/// Content types of payloads, for hints.
const AVRO: &str = "application/avro (an object container file), avro/binary (one value)";
const CAPNP: &str =
    "application/x-capnp (framed messages, one behind the other; ; packed=true where they are packed)";
const PROTOBUF: &str =
    "application/protobuf (one message; ; delimited=true where there are several, each behind its length)";

/// What a content type means. `None`: it is no payload's. `media` is in lower case.
pub(super) fn form(media: &str, content_type: &str) -> Result<Option<PayloadForm>, Problem> {
    let flag = |name: &str| -> Result<bool, Problem> {
        let mut set = false;
        for parameter in content_type.split(';').skip(1) {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match (key.trim().eq_ignore_ascii_case(name), value) {
                (true, "true") => set = true,
                (true, "false") => set = false,
                (false, _) if key.trim().eq_ignore_ascii_case("charset") || key.trim().is_empty() => {}
                _ => {
                    let detail =
                        format!("the parameter {:?} of the Content-Type is not understood", parameter.trim());
                    let hint = format!("the only one is {name}=true");
                    return Err(Problem::new(
                        StatusCode::UNSUPPORTED_MEDIA_TYPE,
                        "content_type",
                        detail,
                        hint,
                    ));
                }
            }
        }
        Ok(set)
    };
    Ok(Some(match media {
        "application/x-capnp" | "application/capnp" | "application/vnd.capnproto" => {
            PayloadForm::Capnp { packed: flag("packed")? }
        }
        "application/avro" | "application/vnd.apache.avro" => {
            flag("charset")?;
            PayloadForm::AvroFile
        }
        "avro/binary" | "application/avro+binary" => {
            flag("charset")?;
            PayloadForm::AvroDatum
        }
        "application/protobuf" | "application/x-protobuf" | "application/vnd.google.protobuf" => {
            PayloadForm::Protobuf { delimited: flag("delimited")? }
        }
        _ => return Ok(None),
    }))
}

/// How events of a body are read.
pub(super) enum Reading {
    Now(PayloadReader),
    /// The stream has no schema: each is kept in this form until it has one.
    Later(PayloadForm),
    /// Nobody could read an event of it alone.
    Nothing,
}

/// How bodies of this form that come to a stream are read.
pub(super) fn reading(gate: &Gate, stream: &str, form: PayloadForm) -> Result<Reading, Problem> {
    let known = gate.registry().by_name(stream);
    let Some((_, schema)) = known.as_ref().and_then(|stream| stream.current()) else {
        let alone = PayloadForm::of_content_type(form.content_type()).map(|_| form);
        return Ok(alone.map_or(Reading::Nothing, Reading::Later));
    };
    if let Some(reader) = schema.payload_reader(form) {
        return Ok(Reading::Now(reader));
    }
    let written = schema.notation();
    let detail =
        format!("the stream's schema is written in {}, not in {}", written.noun(), form.notation().noun());
    let accepted = match written {
        Notation::Json => "send application/json or application/x-ndjson".to_owned(),
        Notation::Capnp => format!("send {CAPNP}, application/json or application/x-ndjson"),
        Notation::Avro => format!("send {AVRO}, application/json or application/x-ndjson"),
        Notation::Protobuf => format!("send {PROTOBUF}, application/json or application/x-ndjson"),
    };
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content_type", detail, accepted))
}

/// The bytes that events lie in, the events, and how they are to be read.
pub(super) struct Cut {
    pub held: Held,
    pub events: Vec<Framed>,
    pub framing: Framing,
}

/// Cuts a body into events. Works through the whole body: not for the threads that serve sockets, if it is long.
pub(super) fn cut(
    gate: &Gate,
    reading: Reading,
    mut held: Held,
    bytes_max: usize,
    events_max: usize,
) -> Result<Cut, Problem> {
    let refused = |refused: PayloadRefused| match refused {
        PayloadRefused::TooManyEvents => Problem::from(Refusal::TooManyEvents { events_max }),
        PayloadRefused::TooLarge => body::too_large(bytes_max),
    };
    let framed = |Frame { bytes, fault }: Frame| Framed { start: bytes.start, end: bytes.end, fault };
    let reader = match reading {
        Reading::Now(reader) => reader,
        Reading::Later(form) => {
            let frames = form.frames(&held.bytes, events_max).map_err(refused)?.unwrap_or_default();
            let events = frames.into_iter().map(framed).collect();
            return Ok(Cut { held, events, framing: Framing::Unread(form, None) });
        }
        Reading::Nothing => {
            // It becomes one reject, whatever is in it.
            let whole = (!held.bytes.is_empty()).then(|| Framed::new(0, held.bytes.len()));
            return Ok(Cut { held, events: whole.into_iter().collect(), framing: Framing::Json });
        }
    };
    let opened = reader.open(&held.bytes, bytes_max, events_max).map_err(refused)?;
    if let Some(unpacked) = opened.unpacked {
        gate.more_room(&mut held.permit, unpacked.len())?;
        held.bytes = Bytes::from(unpacked);
    }
    let events = opened.frames.into_iter().map(framed).collect();
    Ok(Cut { held, events, framing: Framing::Payload(opened.reader, None) })
}
