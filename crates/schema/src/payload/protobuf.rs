//! Protobuf's wire format as JSON text. See https://protobuf.dev/programming-guides/encoding.
//! Always: a length lies within what is around it; nothing is kept of a message but where its values lie.
//!
//! - Of several values of a field that has one, the last counts; messages are merged, as the format has it.
//! - Of a oneof the member that came last is there, and no other.
//! - A field that was not sent has its default, if it has one, else it is not there.
//! - A field that the schema does not name is written under its number: the decoder keeps it or drops it.

mod known;
mod walk;
mod wire;

use hw_event::RejectCode;

use self::{walk::Walk, wire::Cursor};
use super::{Frame, PayloadFault, Text};
use crate::notation::protobuf::Messages;

/// Messages, each behind its length.
pub(super) fn frames(body: &[u8], events_max: usize) -> Option<Vec<Frame>> {
    let mut frames = Vec::new();
    let mut cursor = Cursor::new(body);
    while !cursor.is_at_end() {
        if frames.len() >= events_max {
            return None;
        }
        let start = cursor.at();
        match cursor.delimited() {
            Ok(bytes) => frames.push(Frame { bytes, fault: None }),
            Err(_) => {
                // Where the next one begins cannot be told.
                frames.push(Frame { bytes: start..body.len(), fault: Some(RejectCode::Record) });
                break;
            }
        }
    }
    Some(frames)
}

pub(super) fn write(messages: &Messages, bytes: &[u8], text: &mut Text) -> Result<(), PayloadFault> {
    Walk::new(messages, bytes, text)?.event()
}
