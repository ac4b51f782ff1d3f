//! Avro's binary encoding as JSON text, resolved from the schema that wrote it to the stream's own.
//! Always: a count is believed only as far as bytes or the bound of the text go; a length lies within its event.
//!
//! A file (object container) brings the schema that its writer had; a datum alone was written with the stream's newest.

mod container;
mod cursor;
mod walk;

pub(super) use self::container::open;
use self::{cursor::Cursor, walk::Walk};
use super::{PayloadFault, Text};
use crate::notation::avro::Types;

pub(super) fn write(
    writer: &Types,
    reader: &Types,
    bytes: &[u8],
    steps_max: usize,
    text: &mut Text,
) -> Result<(), PayloadFault> {
    let mut walk = Walk { writer, reader, cursor: Cursor::new(bytes, steps_max), text };
    walk.value(&writer.root, &reader.root)?;
    match walk.cursor.at() {
        end if end == bytes.len() => Ok(()),
        end => Err(PayloadFault::record(end, "bytes stand behind the event")),
    }
}
