//! Reads the values of a message and writes them in the order of the schema.
//! Always: entries of a message are as many as it has values, and values have at least two bytes; a message is as deep as
//! the text, which is bounded.
//!
//! 1. The values of a message, or of several that are to be merged, are noted with their places.
//! 2. Of each oneof, those are struck out that a later member replaced.
//! 3. They are sorted by field; within a field they stay in the order in which they came.
//! 4. Each field is written from its values, and what the schema does not name under its number.

use std::{borrow::Cow, ops::Range};

use super::wire::{Cursor, Value, Wire};
use crate::{
    notation::protobuf::{Body, Field, Label, Messages, Type},
    payload::{PayloadFault, Text, quoted_name},
};

const OTHER_WIRE: &str = "a field is written in another way than its type is";

/// One value, and the index of its field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// Or `UNNAMED`, or `STRUCK`.
    slot: u32,
    number: u32,
    pub start: u32,
    pub end: u32,
    pub wire: Wire,
}

impl Entry {
    /// Where its value lies, for messages.
    pub fn at(self) -> usize {
        self.start as usize
    }

    fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// The schema does not name the field.
const UNNAMED: u32 = u32::MAX - 1;
/// Another member of its oneof came later.
const STRUCK: u32 = u32::MAX;

pub(super) struct Walk<'a, 'b> {
    pub messages: &'a Messages,
    pub bytes: &'b [u8],
    pub text: &'a mut Text,
    /// Of the messages that are being written, each behind those around it.
    pub entries: Vec<Entry>,
}

impl<'a, 'b> Walk<'a, 'b> {
    pub fn new(
        messages: &'a Messages,
        bytes: &'b [u8],
        text: &'a mut Text,
    ) -> Result<Walk<'a, 'b>, PayloadFault> {
        if u32::try_from(bytes.len()).is_err() {
            return Err(PayloadFault::too_large(0, "the event is larger than 4 GiB"));
        }
        Ok(Walk { messages, bytes, text, entries: Vec::with_capacity(64) })
    }

    pub fn event(&mut self) -> Result<(), PayloadFault> {
        let messages = self.messages;
        let Some(body) = messages.0.first() else {
            return Err(PayloadFault::record(0, "the schema has no message"));
        };
        #[expect(clippy::cast_possible_truncation, reason = "`new` has looked")]
        let end = self.bytes.len() as u32;
        self.entries.push(Entry { slot: 0, number: 0, start: 0, end, wire: Wire::Length });
        self.message(body, 0..1, 0)
    }

    /// Writes the message that these entries hold, merged.
    fn message(&mut self, body: &Body, parts: Range<usize>, at: usize) -> Result<(), PayloadFault> {
        let first = self.entries.len();
        self.note(body, parts)?;
        match body.known {
            Some(known) => self.known(known, body, first, at)?,
            None => self.object(body, first, at)?,
        }
        self.entries.truncate(first);
        Ok(())
    }

    /// Notes the values of a message behind all others, in the order of its fields.
    fn note(&mut self, body: &Body, parts: Range<usize>) -> Result<(), PayloadFault> {
        let first = self.entries.len();
        for part in parts {
            let Some(range) = self.entries.get(part).map(|entry| entry.range()) else { continue };
            let mut cursor = Cursor::within(self.bytes, range);
            // Mostly fields come in their order.
            let mut likely = 0;
            while !cursor.is_at_end() {
                let at = cursor.at();
                let value = cursor.value()?;
                let found = match body.fields.get(likely) {
                    Some(field) if field.number == value.number => Some(likely),
                    _ => body.field(value.number),
                };
                let slot = match found {
                    Some(index) => {
                        check_wire(&body.fields[index], value.wire, at)?;
                        likely = index + usize::from(matches!(body.fields[index].label, Label::One(_)));
                        u32::try_from(index).unwrap_or(UNNAMED)
                    }
                    None => UNNAMED,
                };
                self.entries.push(entry(slot, value));
            }
        }
        if body.oneofs > 0 {
            self.strike(body, first);
        }
        let entries = &mut self.entries[first..];
        if !entries.is_sorted_by_key(|entry| entry.slot) {
            entries.sort_by_key(|entry| entry.slot);
        }
        Ok(())
    }

    /// Strikes out what a later member of the same oneof replaced.
    fn strike(&mut self, body: &Body, first: usize) {
        // Of each oneof the member that came last, and whether another one came before it.
        let mut last: Vec<Option<(u32, bool)>> = vec![None; body.oneofs];
        for entry in self.entries[first..].iter_mut().rev() {
            let field = body.fields.get(entry.slot as usize);
            let Some(oneof) = field.and_then(|field| field.oneof).and_then(|oneof| last.get_mut(oneof))
            else {
                continue;
            };
            match oneof {
                None => *oneof = Some((entry.slot, false)),
                Some((slot, false)) if *slot == entry.slot => {}
                Some((_, was_replaced)) => {
                    *was_replaced = true;
                    entry.slot = STRUCK;
                }
            }
        }
    }

    fn object(&mut self, body: &Body, first: usize, at: usize) -> Result<(), PayloadFault> {
        self.text.open(b'{', at)?;
        let mut next = first;
        for (slot, field) in body.fields.iter().enumerate() {
            let values = self.run(next, slot);
            next = values.end;
            let at = values.clone().next().map_or(at, |index| self.entries[index].at());
            if values.is_empty() {
                let json: &[u8] = match &field.label {
                    Label::One(Some(default)) => default,
                    Label::Repeated => b"[]",
                    Label::Map(_) => b"{}",
                    Label::One(None) | Label::Required => continue,
                };
                self.text.name(&field.quoted, at)?;
                self.text.json(json, at)?;
            } else {
                self.text.name(&field.quoted, at)?;
                self.field(field, values)?;
            }
            self.text.comma();
        }
        self.unnamed(next)?;
        self.text.close(b'}');
        Ok(())
    }

    /// The entries from `next` on that belong to a field.
    pub fn run(&self, next: usize, slot: usize) -> Range<usize> {
        let is_field = |entry: &&Entry| entry.slot as usize == slot;
        let count = self.entries.get(next..).unwrap_or_default().iter().take_while(is_field).count();
        next..next + count
    }

    /// The last entry of a field, of those from `first` on.
    pub fn last(&self, first: usize, slot: usize) -> Option<usize> {
        let entries = self.entries.get(first..).unwrap_or_default();
        entries.iter().rposition(|entry| entry.slot as usize == slot).map(|index| first + index)
    }

    /// Writes what these values, one or more, say of a field.
    pub fn field(&mut self, field: &Field, values: Range<usize>) -> Result<(), PayloadFault> {
        match &field.label {
            Label::One(_) | Label::Required => match field.ty.message() {
                Some(_) => self.value(&field.ty, values),
                None => self.value(&field.ty, values.end - 1..values.end),
            },
            Label::Repeated => self.list(&field.ty, values),
            Label::Map(key) => self.map(key, &field.ty, values),
        }
    }

    fn list(&mut self, ty: &Type, values: Range<usize>) -> Result<(), PayloadFault> {
        self.text.open(b'[', self.entries[values.start].at())?;
        for index in values {
            let entry = self.entries[index];
            if entry.wire != Wire::Length || natural(ty) == Wire::Length {
                self.text.mark(entry.at());
                self.value(ty, index..index + 1)?;
                self.text.comma();
                continue;
            }
            let mut packed = Cursor::within(self.bytes, entry.range());
            while !packed.is_at_end() {
                self.text.mark(packed.at());
                self.number(ty, &mut packed)?;
                self.text.comma();
            }
        }
        self.text.close(b']');
        Ok(())
    }

    /// Of several values of a key the last counts.
    fn map(&mut self, key: &Type, ty: &Type, values: Range<usize>) -> Result<(), PayloadFault> {
        self.text.open(b'{', self.entries[values.start].at())?;
        let mut keys = Vec::with_capacity(values.len());
        for index in values {
            keys.push((self.key(key, self.entries[index])?, index));
        }
        if keys.len() > 1 {
            keys.sort();
            keys.dedup_by(|later, earlier| {
                let is_same = later.0 == earlier.0;
                if is_same {
                    earlier.1 = later.1;
                }
                is_same
            });
            keys.sort_by_key(|(_, index)| *index);
        }
        for (key, index) in keys {
            let entry = self.entries[index];
            let at = entry.at();
            let name = std::str::from_utf8(&key)
                .map_err(|_| PayloadFault::record(at, "the text is not valid UTF-8"))?;
            self.text.name(&quoted_name(name), at)?;
            let first = self.entries.len();
            let mut cursor = Cursor::within(self.bytes, entry.range());
            while !cursor.is_at_end() {
                let at = cursor.at();
                let value = cursor.value()?;
                if value.number == 2 {
                    if value.wire != natural(ty) {
                        return Err(PayloadFault::record(at, OTHER_WIRE));
                    }
                    self.entries.push(self::entry(0, value));
                }
            }
            match (self.entries.len(), ty.message()) {
                (end, _) if end == first => self.unset(ty, at)?,
                (end, Some(_)) => self.value(ty, first..end)?,
                (end, None) => self.value(ty, end - 1..end)?,
            }
            self.entries.truncate(first);
            self.text.comma();
        }
        self.text.close(b'}');
        Ok(())
    }

    /// A map's key as text.
    fn key(&self, ty: &Type, entry: Entry) -> Result<Cow<'b, [u8]>, PayloadFault> {
        let mut cursor = Cursor::within(self.bytes, entry.range());
        let mut key = None;
        while !cursor.is_at_end() {
            let at = cursor.at();
            let value = cursor.value()?;
            if value.number == 1 {
                if value.wire != natural(ty) {
                    return Err(PayloadFault::record(at, OTHER_WIRE));
                }
                key = Some(value.start..value.end);
            }
        }
        if matches!(ty, Type::String) {
            let bytes = key.and_then(|range| self.bytes.get(range)).unwrap_or_default();
            return Ok(Cow::Borrowed(bytes));
        }
        let number = match key {
            Some(range) => integer(ty, &mut Cursor::within(self.bytes, range))?,
            None => 0,
        };
        Ok(Cow::Owned(match ty {
            Type::Bool => if number == 0 { "false" } else { "true" }.as_bytes().to_vec(),
            _ => number.to_string().into_bytes(),
        }))
    }

    /// A value that must be there and was not sent.
    pub fn unset(&mut self, ty: &Type, at: usize) -> Result<(), PayloadFault> {
        match ty {
            Type::Bool => self.text.word("false", at),
            Type::Float | Type::Double => self.text.float(0.0, at),
            Type::String | Type::Bytes => self.text.word("\"\"", at),
            // The first of an enum's values is its default.
            Type::Enum(names) => match names.all.first() {
                Some(name) => self.text.string(name.as_bytes(), at),
                None => self.text.word("null", at),
            },
            Type::Message(index) | Type::Group(index) => {
                let messages = self.messages;
                match messages.0.get(*index) {
                    // Of no parts: all its fields are unset.
                    Some(body) => {
                        let nothing = self.entries.len();
                        self.message(body, nothing..nothing, at)
                    }
                    None => self.text.word("null", at),
                }
            }
            _ => self.text.word("0", at),
        }
    }

    /// One value; of a message, all that are to be merged.
    pub fn value(&mut self, ty: &Type, values: Range<usize>) -> Result<(), PayloadFault> {
        let entry = self.entries[values.start];
        let at = entry.at();
        match ty {
            Type::Message(index) | Type::Group(index) => {
                let messages = self.messages;
                match messages.0.get(*index) {
                    Some(body) => self.message(body, values, at),
                    None => self.text.word("null", at),
                }
            }
            Type::String => {
                let bytes = self.bytes.get(entry.range()).unwrap_or_default();
                self.text.string(bytes, at)
            }
            Type::Bytes => {
                let bytes = self.bytes.get(entry.range()).unwrap_or_default();
                self.text.base64(bytes, at)
            }
            _ => self.number(ty, &mut Cursor::within(self.bytes, entry.range())),
        }
    }

    /// A value that is no text and no message.
    fn number(&mut self, ty: &Type, cursor: &mut Cursor<'_>) -> Result<(), PayloadFault> {
        let at = cursor.at();
        match ty {
            Type::Float => self.text.float(f64::from(f32::from_le_bytes(cursor.fixed()?)), at),
            Type::Double => self.text.float(f64::from_le_bytes(cursor.fixed()?), at),
            Type::Bool => {
                let word = if cursor.varint()? == 0 { "false" } else { "true" };
                self.text.word(word, at)
            }
            Type::Enum(names) => {
                let number = cursor.varint()?.cast_signed();
                match i32::try_from(number).ok().and_then(|number| names.quoted(number)) {
                    Some(name) => self.text.json(name, at),
                    // No value of this schema: the decoder says so.
                    None => self.text.string(format!("@{number}").as_bytes(), at),
                }
            }
            _ => {
                let value = integer(ty, cursor)?;
                self.text.integer(value, at)
            }
        }
    }

    /// The number that an entry is.
    pub fn varint_of(&self, index: usize) -> Result<i64, PayloadFault> {
        Ok(Cursor::within(self.bytes, self.entries[index].range()).varint()?.cast_signed())
    }

    pub fn double_of(&self, index: usize) -> Result<f64, PayloadFault> {
        Ok(f64::from_le_bytes(Cursor::within(self.bytes, self.entries[index].range()).fixed()?))
    }

    /// What the schema does not name, under its number; several values of one number are a list.
    fn unnamed(&mut self, next: usize) -> Result<(), PayloadFault> {
        let unnamed = self.run(next, UNNAMED as usize);
        self.entries[unnamed.clone()].sort_by_key(|entry| entry.number);
        let mut next = unnamed.start;
        while next < unnamed.end {
            let first = self.entries[next];
            let same = |index: &usize| self.entries[*index].number == first.number;
            let end = next + (next..unnamed.end).take_while(same).count();
            self.text.name(format!("\"{}\"", first.number).as_bytes(), first.at())?;
            let is_list = end > next + 1;
            if is_list {
                self.text.open(b'[', first.at())?;
            }
            for index in next..end {
                let entry = self.entries[index];
                let mut cursor = Cursor::within(self.bytes, entry.range());
                match entry.wire {
                    Wire::Varint => self.text.integer(i128::from(cursor.varint()?), entry.at())?,
                    Wire::Fixed32 => {
                        let value = u32::from_le_bytes(cursor.fixed()?);
                        self.text.integer(i128::from(value), entry.at())?;
                    }
                    Wire::Fixed64 => {
                        let value = u64::from_le_bytes(cursor.fixed()?);
                        self.text.integer(i128::from(value), entry.at())?;
                    }
                    Wire::Length | Wire::Group => {
                        let bytes = self.bytes.get(entry.range()).unwrap_or_default();
                        self.text.base64(bytes, entry.at())?;
                    }
                }
                if is_list {
                    self.text.comma();
                }
            }
            if is_list {
                self.text.close(b']');
            }
            self.text.comma();
            next = end;
        }
        Ok(())
    }
}

fn entry(slot: u32, value: Value) -> Entry {
    let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Entry { slot, number: value.number, start: place(value.start), end: place(value.end), wire: value.wire }
}

/// How a single value of a type is written.
fn natural(ty: &Type) -> Wire {
    match ty {
        Type::Bool
        | Type::Int32
        | Type::Int64
        | Type::Uint32
        | Type::Uint64
        | Type::Sint32
        | Type::Sint64
        | Type::Enum(_) => Wire::Varint,
        Type::Fixed32 | Type::Sfixed32 | Type::Float => Wire::Fixed32,
        Type::Fixed64 | Type::Sfixed64 | Type::Double => Wire::Fixed64,
        Type::String | Type::Bytes | Type::Message(_) => Wire::Length,
        Type::Group(_) => Wire::Group,
    }
}

fn check_wire(field: &Field, wire: Wire, at: usize) -> Result<(), PayloadFault> {
    let fits = match &field.label {
        Label::Map(_) => wire == Wire::Length,
        // Numbers may be packed, whatever the schema says of it.
        Label::Repeated if wire == Wire::Length => natural(&field.ty) != Wire::Group,
        _ => wire == natural(&field.ty),
    };
    if fits { Ok(()) } else { Err(PayloadFault::record(at, OTHER_WIRE)) }
}

/// Exactly what was sent, also where it is too large for its type: then the decoder says so.
fn integer(ty: &Type, cursor: &mut Cursor<'_>) -> Result<i128, PayloadFault> {
    Ok(match ty {
        Type::Int32 | Type::Int64 => i128::from(cursor.varint()?.cast_signed()),
        Type::Sint32 | Type::Sint64 => {
            let value = cursor.varint()?;
            i128::from((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
        }
        Type::Fixed32 => i128::from(u32::from_le_bytes(cursor.fixed()?)),
        Type::Fixed64 => i128::from(u64::from_le_bytes(cursor.fixed()?)),
        Type::Sfixed32 => i128::from(i32::from_le_bytes(cursor.fixed()?)),
        Type::Sfixed64 => i128::from(i64::from_le_bytes(cursor.fixed()?)),
        _ => i128::from(cursor.varint()?),
    })
}
