//! Why an event is refused, and where: the fault, and the path to it.

use hw_event::RejectCode;

use crate::{
    guard,
    json::{JsonFault, Text, unescape, write_string},
    rules::Broken,
    schema::{Field, Kind, Object},
};

/// The first fault of an event.
#[derive(Debug)]
pub(super) struct Miss {
    pub code: RejectCode,
    /// The byte of the record.
    pub at: usize,
    pub message: String,
    /// From where the path of the fields ends: what the slower path has found inside.
    pub inside: String,
    /// The text is not JSON: no path leads anywhere in it.
    pub json: bool,
}

/// Boxed: it is rare, and every value's verdict would be as large.
pub(super) type Missed = Box<Miss>;

impl Miss {
    pub fn new(code: RejectCode, at: usize, message: impl Into<String>) -> Missed {
        Box::new(Miss { code, at, message: message.into(), inside: String::new(), json: false })
    }

    /// What a guard refuses in the value at byte `at`.
    pub fn guarded(broken: guard::Broken, at: usize) -> Missed {
        let mut miss = Miss::new(broken.code, at + broken.at, broken.message);
        miss.inside = broken.path;
        miss
    }

    /// A broken rule of `field`, whose value was written as `found`. A protected value is not quoted.
    pub fn broken((code, mut message): Broken, field: &Field, at: usize, found: &[u8]) -> Missed {
        const CHARS_MAX: usize = 40;
        if field.privacy.is_none() && !matches!(code, RejectCode::TooLarge) {
            let text = String::from_utf8_lossy(found);
            message.push_str(", found ");
            message.extend(text.chars().take(CHARS_MAX));
            if text.chars().nth(CHARS_MAX).is_some() {
                message.push('…');
            }
        }
        Miss::new(code, at, message)
    }
}

impl From<JsonFault> for Missed {
    fn from(fault: JsonFault) -> Missed {
        Box::new(Miss {
            code: fault.code,
            at: fault.at,
            message: fault.message.to_owned(),
            inside: String::new(),
            json: true,
        })
    }
}

/// One step from the root towards a value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The field's index in its object.
    Field(usize),
    Index(usize),
    /// A map's key: where it stands in the record, without its quotes.
    Key {
        start: usize,
        end: usize,
    },
    /// A key that the schema does not name.
    Unknown,
}

/// What a pointer shows of keys which the schema does not name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keys<'a> {
    Hidden,
    /// As the record's bytes have them.
    Shown(&'a [u8]),
}

/// Appends the JSON pointer of `path`.
pub(super) fn write_pointer(root: &Object, path: &[Step], keys: Keys<'_>, out: &mut Vec<u8>) {
    let mut object = Some(root);
    let mut kind: Option<&Kind> = None;
    for step in path {
        let field = match (*step, kind) {
            (Step::Field(index), _) => object.and_then(|object| object.fields.get(index)),
            (Step::Index(_), Some(Kind::Array(array))) => Some(&*array.element),
            (Step::Key { .. }, Some(Kind::Map(map))) => Some(&*map.value),
            _ => None,
        };
        out.push(b'/');
        match (*step, keys) {
            (Step::Field(_), _) => write_part(field.map_or(b"", |field| field.name.as_bytes()), out),
            (Step::Index(index), _) => out.extend_from_slice(index.to_string().as_bytes()),
            (Step::Key { start, end }, Keys::Shown(record)) => {
                write_raw_part(Text { raw: record.get(start..end).unwrap_or_default(), escaped: true }, out);
            }
            (Step::Key { .. }, Keys::Hidden) | (Step::Unknown, _) => out.push(b'*'),
        }
        kind = field.map(|field| &field.kind);
        object = match kind {
            Some(Kind::Object(object)) => Some(object),
            _ => None,
        };
    }
}

/// Appends one part of a pointer, given as JSON text.
pub(super) fn write_raw_part(part: Text<'_>, out: &mut Vec<u8>) {
    let mut plain = Vec::with_capacity(part.raw.len());
    unescape(part.raw, &mut plain);
    write_part(&plain, out);
}

fn write_part(part: &[u8], out: &mut Vec<u8>) {
    for &byte in part {
        match byte {
            b'~' => out.extend_from_slice(b"~0"),
            b'/' => out.extend_from_slice(b"~1"),
            _ => out.push(byte),
        }
    }
}

/// A text as a message quotes it.
pub(super) fn quoted(text: &[u8]) -> Vec<u8> {
    const BYTES_MAX: usize = 200;
    let mut out = Vec::new();
    write_string(&text[..text.len().min(BYTES_MAX)], &mut out);
    out
}
