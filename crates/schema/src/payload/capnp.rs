//! Cap'n Proto messages as JSON text. See https://capnproto.org/encoding.html.
//! Always: a pointer leads into the message or is a fault; what is read twice counts twice against the bound of the
//! text, so a message cannot be made to unfold.
//!
//! - Numbers, booleans and enums are always there: what was not set has its default.
//! - A pointer that is null is a value that is not there, or the default that the schema gives.
//! - Of a union only the member that is set is written. One that the schema does not know is a fault.

mod message;
mod walk;

use hw_event::RejectCode;

use self::{message::Message, walk::Walk};
use super::{Frame, PayloadFault, Text};
use crate::notation::capnp::Structs;

pub(super) fn frames(body: &[u8], packed: bool, events_max: usize) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let rest = &body[at..];
        let bytes = if packed { message::packed_bytes(rest) } else { message::framed_bytes(rest) };
        let (end, fault) = match bytes {
            Ok(bytes) => (at + bytes, None),
            Err(_) => (body.len(), Some(RejectCode::Record)),
        };
        frames.push(Frame { bytes: at..end, fault });
        if frames.len() > events_max {
            return None;
        }
        at = end;
    }
    Some(frames)
}

pub(super) fn write(
    structs: &Structs,
    bytes: &[u8],
    packed: bool,
    event_bytes: usize,
    text: &mut Text,
) -> Result<(), PayloadFault> {
    let unpacked;
    let bytes = if packed {
        unpacked = message::unpack(bytes, event_bytes)?;
        &unpacked
    } else {
        bytes
    };
    let message = Message::read(bytes)?;
    Walk { structs, message: &message, text }.event()
}
