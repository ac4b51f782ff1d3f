//! CloudEvents 1.0 over HTTP: structured (one envelope), batch (an array of them) and binary (attributes in headers).
//! Always: the event is the data, byte for byte as it stands in the body; what the envelope says besides goes into
//! `Attributes`. A request that is one event with a bad envelope is refused as a whole; in a batch a bad envelope is a
//! reject, with its own bytes, and costs no neighbour. Does not judge data: that is the decoder's.

mod draft;
mod envelope;
pub(crate) mod fuzzing;
mod headers;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use hw_event::RejectCode;

use self::envelope::{Broken, Data, Envelope};
use super::{body::Held, problem::Problem};
use crate::{Attributes, EnvelopeFault, Framed, Gate, Refusal, doors::framing};

const HINT: &str = "CloudEvents 1.0 ask for specversion \"1.0\" and for id, source and type, all of them text that is \
                    not empty; nothing of the request was stored";
const NO_DATA: &str = "the CloudEvent has no data, so there is no event in it";
/// Steps by which room is taken for attributes.
const ROOM_STEP_BYTES: usize = 16 * 1024;

/// How a request holds CloudEvents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Structured,
    Batch,
    Binary,
}

/// A body and what is in it.
pub(super) struct Opened {
    pub held: Held,
    pub events: Vec<Framed>,
    pub attributes: Attributes,
}

/// Data and attributes of a request. Works through the whole body: not for the threads that serve sockets, if it is long.
pub(super) fn open(
    gate: &Gate,
    mode: Mode,
    headers: &HeaderMap,
    held: Held,
    events_max: usize,
) -> Result<Opened, Problem> {
    match mode {
        Mode::Binary => binary(headers, held),
        // The one answer for all kinds of empty bodies is the gate's.
        _ if held.bytes.trim_ascii().is_empty() => {
            Ok(Opened { held, events: Vec::new(), attributes: Attributes::default() })
        }
        Mode::Structured => structured(gate, held),
        Mode::Batch => batch(gate, held, events_max),
    }
}

fn binary(headers: &HeaderMap, held: Held) -> Result<Opened, Problem> {
    let mut event = headers::read(headers).map_err(|message| refused(message, None))?;
    let mut attributes = Attributes::default();
    let framed = Framed::new(0, held.bytes.len());
    let events = if held.bytes.is_empty() {
        attributes.push_fault(no_data());
        vec![framed.with_fault(RejectCode::NotObject)]
    } else {
        attributes.push(&mut event);
        vec![framed]
    };
    Ok(Opened { held, events, attributes })
}

fn structured(gate: &Gate, held: Held) -> Result<Opened, Problem> {
    let mut batch = Batch::new(gate, held);
    let whole = 0..batch.held.bytes.len();
    match envelope::read(&batch.held.bytes) {
        Ok(envelope) => batch.add(whole.start, whole.end, envelope)?,
        Err(Broken { code: RejectCode::Record, message, at }) => return Err(refused(message, Some(at))),
        Err(Broken { code, message, at }) => {
            let detail = format!("the CloudEvent's envelope: {message} (byte {at})");
            let hint = "send one JSON object; nothing of the request was stored";
            return Err(Problem::new(StatusCode::BAD_REQUEST, code.as_str(), detail, hint));
        }
    }
    batch.finish()
}

fn batch(gate: &Gate, held: Held, events_max: usize) -> Result<Opened, Problem> {
    if held.bytes.trim_ascii_start().first() != Some(&b'[') {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "cloudevent",
            "a batch of CloudEvents is a JSON array of envelopes",
            "send one envelope as application/cloudevents+json, several as [{…},{…}]",
        ));
    }
    let elements = framing::json(&held.bytes, events_max).ok_or(Refusal::TooManyEvents { events_max })?;
    let mut batch = Batch::new(gate, held);
    for element in elements {
        let Framed { start, end, fault } = element;
        if fault.is_some() {
            batch.attributes.push_none();
            batch.events.push(element);
            continue;
        }
        match envelope::read(&batch.held.bytes[start..end]) {
            Ok(envelope) => batch.add(start, end, envelope)?,
            Err(Broken { code, message, at }) => {
                batch.attributes.push_fault(EnvelopeFault { message, byte_offset: at as u64 });
                batch.events.push(element.with_fault(code));
                batch.take_room()?;
            }
        }
    }
    batch.finish()
}

/// The events of a body, one after another.
struct Batch<'a> {
    gate: &'a Gate,
    held: Held,
    events: Vec<Framed>,
    attributes: Attributes,
    /// What was decoded from base64; it comes to stand behind the body.
    decoded: Vec<u8>,
    /// Bytes for which room was taken beyond the body.
    room: usize,
}

impl<'a> Batch<'a> {
    fn new(gate: &'a Gate, held: Held) -> Batch<'a> {
        let (events, attributes) = (Vec::new(), Attributes::default());
        Batch { gate, held, events, attributes, decoded: Vec::new(), room: 0 }
    }

    /// The envelope that stands at `start..end` of the body.
    fn add(&mut self, start: usize, end: usize, envelope: Envelope) -> Result<(), Problem> {
        let Envelope { mut attributes, data } = envelope;
        let event = match data {
            Data::At(range) => Framed::new(start + range.start, start + range.end),
            Data::Decoded(bytes) => {
                let begins = self.held.bytes.len() + self.decoded.len();
                self.decoded.extend_from_slice(&bytes);
                Framed::new(begins, begins + bytes.len())
            }
            Data::None => {
                // The envelope's bytes are kept, since there are no others.
                self.attributes.push_fault(no_data());
                self.events.push(Framed::new(start, end).with_fault(RejectCode::NotObject));
                return Ok(());
            }
        };
        self.attributes.push(&mut attributes);
        self.events.push(event);
        self.take_room()
    }

    /// Room for what was gathered so far, and for the body again where data was decoded.
    fn take_room(&mut self) -> Result<(), Problem> {
        // Twice: as they stand here, and as columns.
        let mut bytes = self.attributes.bytes() * 2;
        if !self.decoded.is_empty() {
            bytes += self.held.bytes.len() + self.decoded.len();
        }
        if bytes > self.room {
            let more = (bytes - self.room).next_multiple_of(ROOM_STEP_BYTES);
            self.gate.more_room(&mut self.held.permit, more)?;
            self.room += more;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Opened, Problem> {
        if !self.decoded.is_empty() {
            self.held.bytes = Bytes::from([&self.held.bytes[..], &self.decoded].concat());
        }
        Ok(Opened { held: self.held, events: self.events, attributes: self.attributes })
    }
}

fn no_data() -> EnvelopeFault {
    EnvelopeFault { message: NO_DATA.to_owned(), byte_offset: 0 }
}

fn refused(message: String, at: Option<usize>) -> Problem {
    let place = at.map_or(String::new(), |at| format!(" (byte {at})"));
    Problem::new(StatusCode::BAD_REQUEST, "cloudevent", format!("the CloudEvent: {message}{place}"), HINT)
}
