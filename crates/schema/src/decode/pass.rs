//! One pass over one JSON event: from bytes to the columns, or to the first fault.
//! Always: the pass stops at the first fault in document order; an object's missing fields are known at its end, and
//! so is the number of an array's items. The caller takes back what a refused event has pushed.

use std::{collections::HashSet, mem};

use hw_event::RejectCode;
use hw_vault::HashKey;

use super::{
    cell::{self, Captured, Cells, full},
    column::Column,
    miss::{Keys, Miss, Missed, Step, write_pointer, write_raw_part},
};
use crate::{
    guard::Guard,
    json::{KeySet, Scanner, Text, unescape, write_canonical, write_compact, write_string},
    schema::{Array, Extra, Field, Kind, Map, Object},
};

/// Room that outlives an event.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub keys: KeySet,
    /// From the root to the value at hand.
    pub path: Vec<Step>,
    /// One bit a field, for each open object.
    pub seen: Vec<u64>,
    pub text: Vec<u8>,
    pub captured: Captured,
    /// The members of this event's `_extra`, without the braces.
    pub extra: Vec<u8>,
    pub extra_dropped: u64,
}

impl Work {
    pub fn clear(&mut self) {
        self.keys.clear();
        self.path.clear();
        self.seen.clear();
        self.captured.clear();
        self.extra.clear();
        self.extra_dropped = 0;
    }
}

/// What is the same for all events of a stream.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub root: &'a Object,
    /// Of the whole event.
    pub guard: Option<&'a Guard>,
    pub extra: Extra,
    pub extra_bytes_max: usize,
    pub hash: &'a HashKey,
}

pub(super) struct Pass<'a, 'w> {
    pub record: &'a [u8],
    pub scanner: Scanner<'a>,
    pub context: Context<'w>,
    pub work: &'w mut Work,
}

impl<'a> Pass<'a, '_> {
    /// The object that comes next, at its brace.
    pub fn object(&mut self, object: &Object, columns: &mut [Column]) -> Result<(), Missed> {
        self.scanner.open()?;
        let base = self.work.seen.len();
        self.work.seen.resize(base + object.fields.len().div_ceil(64), 0);
        let (mut expected, mut known, mut unknown) = (0, 0, 0u64);
        let mut unknown_keys = None;
        let mut more = !self.scanner.close_empty(b'}');
        while more {
            let at = self.scanner.at();
            // Senders keep their order, so the key that usually comes next is compared as bytes.
            let usual = object.names.written(expected).is_some_and(|written| self.scanner.take(written));
            let (index, key) = if usual {
                self.scanner.space();
                (Some(expected), None)
            } else {
                let key = self.scanner.key()?;
                (self.find(object, key), Some(key))
            };
            match (index, key) {
                (Some(index), key) => {
                    let bit = 1u64 << (index % 64);
                    let word = &mut self.work.seen[base + index / 64];
                    if *word & bit != 0 {
                        return Err(repeated_key(at));
                    }
                    *word |= bit;
                    if key.is_some() {
                        self.scanner.colon()?;
                    }
                    known += 1;
                    expected = index + 1;
                    let field = &object.fields[index];
                    self.work.path.push(Step::Field(index));
                    self.value(field, field.column.and_then(|column| columns.get_mut(column)))?;
                    self.work.path.pop();
                }
                (None, Some(key)) => {
                    let id = *unknown_keys.get_or_insert_with(|| self.work.keys.object());
                    self.work.keys.insert(id, key, at)?;
                    self.scanner.colon()?;
                    unknown += 1;
                    self.unknown(object, key, at)?;
                }
                (None, None) => unreachable!("the usual key has an index"),
            }
            more = self.scanner.more(b'}')?;
        }
        let end = self.scanner.at() - 1;
        if known < object.fields.len() {
            for (index, field) in object.fields.iter().enumerate() {
                if self.work.seen[base + index / 64] & 1 << (index % 64) != 0 {
                    continue;
                }
                if field.required {
                    self.work.path.push(Step::Field(index));
                    return Err(Miss::new(RejectCode::Required, end, "the field is missing"));
                }
                if let Some(column) = field.column.and_then(|column| columns.get_mut(column)) {
                    column.push_null();
                }
            }
        }
        self.work.seen.truncate(base);
        object
            .count
            .check(known as u64 + unknown, "properties")
            .map_err(|(code, message)| Miss::new(code, end, message))
    }

    fn find(&mut self, object: &Object, key: Text<'_>) -> Option<usize> {
        if !key.escaped {
            return object.names.find(key.raw);
        }
        self.work.text.clear();
        unescape(key.raw, &mut self.work.text);
        object.names.find(&self.work.text)
    }

    /// Does the schema describe this property, though it does not name it?
    fn is_described(&mut self, object: &Object, key: Text<'_>) -> bool {
        self.work.text.clear();
        unescape(key.raw, &mut self.work.text);
        object.described.holds(&self.work.text)
    }

    /// A property that the schema does not name; its value comes next.
    fn unknown(&mut self, object: &Object, key: Text<'a>, at: usize) -> Result<(), Missed> {
        let described = self.is_described(object, key);
        if object.closed || self.context.extra == Extra::Refuse && !described {
            self.work.path.push(Step::Unknown);
            return Err(Miss::new(RejectCode::UnknownField, at, "the schema does not name this field"));
        }
        let start = self.scanner.at();
        self.scanner.skip(&mut self.work.keys)?;
        if self.context.extra == Extra::Drop && !described {
            self.work.extra_dropped += 1;
            return Ok(());
        }
        let value = self.scanner.slice(start);
        let mut pointer = mem::take(&mut self.work.text);
        pointer.clear();
        write_pointer(self.context.root, &self.work.path, Keys::Shown(self.record), &mut pointer);
        pointer.push(b'/');
        write_raw_part(key, &mut pointer);
        let extra = &mut self.work.extra;
        if !extra.is_empty() {
            extra.push(b',');
        }
        write_string(&pointer, extra);
        extra.push(b':');
        write_compact(value, extra);
        self.work.text = pointer;
        if self.work.extra.len() > self.context.extra_bytes_max {
            self.work.path.push(Step::Unknown);
            let message = "the fields that the schema does not name are too large";
            return Err(Miss::new(RejectCode::TooLarge, at, message));
        }
        Ok(())
    }

    /// The value that comes next.
    #[inline]
    fn value(&mut self, field: &Field, column: Option<&mut Column>) -> Result<(), Missed> {
        match &field.guard {
            None => self.unguarded(field, column),
            Some(guard) => {
                let at = self.scanner.at();
                self.unguarded(field, column)?;
                guard.check(self.scanner.slice(at)).map_err(|broken| Miss::guarded(broken, at))
            }
        }
    }

    #[inline]
    fn unguarded(&mut self, field: &Field, column: Option<&mut Column>) -> Result<(), Missed> {
        let at = self.scanner.at();
        match (&field.kind, self.scanner.peek()) {
            (_, Some(b'n')) if field.nullable => {
                self.scanner.literal(b"null")?;
                if let Some(column) = column {
                    column.push_null();
                }
                Ok(())
            }
            (
                Kind::String(_)
                | Kind::DateTime(_)
                | Kind::Date(_)
                | Kind::Binary(_)
                | Kind::Decimal(crate::schema::Decimal { text: true, .. }),
                Some(b'"'),
            ) => {
                let text = self.scanner.string()?;
                let mut cells = Cells { hash: self.context.hash, captured: &mut self.work.captured };
                let broken = if text.escaped {
                    self.work.text.clear();
                    unescape(text.raw, &mut self.work.text);
                    cells.text(field, &self.work.text, column)
                } else {
                    cells.text(field, text.raw, column)
                };
                broken.map_err(|broken| Miss::broken(broken, field, at, self.scanner.slice(at)))
            }
            (
                Kind::Integer(_)
                | Kind::Number(_)
                | Kind::Time(_)
                | Kind::Decimal(crate::schema::Decimal { text: false, .. }),
                Some(b'-' | b'0'..=b'9'),
            ) => {
                let number = self.scanner.number()?;
                let mut cells = Cells { hash: self.context.hash, captured: &mut self.work.captured };
                let broken = cells.number(field, &number, column);
                broken.map_err(|broken| Miss::broken(broken, field, at, number.text))
            }
            (Kind::Boolean, Some(first @ (b't' | b'f'))) => {
                let value = first == b't';
                self.scanner.literal(if value { b"true" } else { b"false" })?;
                let mut cells = Cells { hash: self.context.hash, captured: &mut self.work.captured };
                let broken = cells.boolean(field, value, column);
                broken.map_err(|broken| Miss::broken(broken, field, at, self.scanner.slice(at)))
            }
            (Kind::Object(object), Some(b'{')) => match column {
                Some(column) => {
                    self.object(object, column.children())?;
                    column.end_struct();
                    Ok(())
                }
                None => self.object(object, &mut []),
            },
            (Kind::Array(array), Some(b'[')) => self.array(array, column, at),
            (Kind::Map(map), Some(b'{')) => self.map(map, column, at),
            (Kind::Json(marks), Some(_)) => {
                self.scanner.skip(&mut self.work.keys)?;
                let Some(column) = column else { return Ok(()) };
                let put = cell::json_text(
                    field,
                    marks.as_deref(),
                    self.scanner.slice(at),
                    self.context.hash,
                    &mut self.work.text,
                    column,
                );
                self.work.extra_dropped += put.map_err(|broken| Miss::new(broken.0, at, broken.1))?;
                Ok(())
            }
            (kind, found) => {
                let message = format!("expected {}, found {}", kind.noun(), noun(found));
                Err(Miss::new(RejectCode::Type, at, message))
            }
        }
    }

    fn array(&mut self, array: &Array, column: Option<&mut Column>, start: usize) -> Result<(), Missed> {
        let Some(column) = column else { unreachable!("an array has a column") };
        self.scanner.open()?;
        let mut distinct = HashSet::new();
        let mut count = 0;
        let mut more = !self.scanner.close_empty(b']');
        while more {
            let at = self.scanner.at();
            self.work.path.push(Step::Index(count));
            self.value(&array.element, Some(column.element()))?;
            if array.unique {
                let mut form = Vec::new();
                write_canonical(self.scanner.slice(at), &mut form);
                if !distinct.insert(form) {
                    return Err(Miss::new(RejectCode::Items, at, "the item is equal to one before it"));
                }
            }
            self.work.path.pop();
            count += 1;
            more = self.scanner.more(b']')?;
        }
        array
            .count
            .check(count as u64, "items")
            .map_err(|(code, message)| Miss::new(code, start, message))?;
        column.end_list().map_err(|error| Miss::new(RejectCode::TooLarge, start, full(error).1))
    }

    fn map(&mut self, map: &Map, column: Option<&mut Column>, start: usize) -> Result<(), Missed> {
        let Some(column) = column else { unreachable!("a map has a column") };
        self.scanner.open()?;
        let too_large = |error| Miss::new(RejectCode::TooLarge, start, full(error).1);
        let id = self.work.keys.object();
        let mut count = 0u64;
        let mut more = !self.scanner.close_empty(b'}');
        while more {
            let at = self.scanner.at();
            let key = self.scanner.key()?;
            self.work.keys.insert(id, key, at)?;
            let (keys, values) = column.entries();
            if key.escaped {
                self.work.text.clear();
                unescape(key.raw, &mut self.work.text);
                keys.push_bytes(&self.work.text).map_err(too_large)?;
            } else {
                keys.push_bytes(key.raw).map_err(too_large)?;
            }
            self.scanner.colon()?;
            self.work.path.push(Step::Key { start: at + 1, end: at + 1 + key.raw.len() });
            self.value(&map.value, Some(values))?;
            self.work.path.pop();
            count += 1;
            more = self.scanner.more(b'}')?;
        }
        map.count.check(count, "properties").map_err(|(code, message)| Miss::new(code, start, message))?;
        column.end_list().map_err(too_large)
    }
}

fn repeated_key(at: usize) -> Missed {
    crate::json::JsonFault {
        code: RejectCode::JsonRepeatedKey,
        at,
        message: "an object names this key twice",
    }
    .into()
}

/// What a message calls a value, by its first byte.
fn noun(first: Option<u8>) -> &'static str {
    match first {
        Some(b'"') => "a string",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        _ => "something else",
    }
}
