//! The short way of a value: written as senders usually write it, and as the schema wants it.
//! Always: a value that is taken here is stored as the long way (`Pass::value`) stores it; of any other nothing is
//! said and nothing is done, and the long way decides and finds the words. Tests let both ways judge the same events.

use hw_event::Timestamp;

use super::{column::Column, names::Usual, pass::Pass};
use crate::{
    format,
    json::{quick_integer, quick_number},
    schema::{Field, Kind, Object, Privacy, TokenRule},
};

/// How short a field's way may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing is asked of the value but its type, and it goes to its column alone.
    Integer,
    Number,
    Text,
    Time,
    Boolean,
    /// There are rules, or the value is more than a column's.
    Checked,
    Long,
}

impl Way {
    pub fn of(field: &Field) -> Way {
        let asked = field.one_of.is_some()
            || field.key_slot.is_some()
            || field.is_event_time
            || field.column.is_none()
            || matches!(field.privacy, Some(Privacy::Hash | Privacy::Tokenize | Privacy::Drop));
        match &field.kind {
            _ if field.guard.is_some() => Way::Long,
            kind if !kind.is_scalar() => Way::Long,
            Kind::Date(_) | Kind::Binary(_) | Kind::Decimal(_) => Way::Long,
            _ if asked => Way::Checked,
            Kind::Integer(None) => Way::Integer,
            Kind::Number(None) => Way::Number,
            Kind::String(None) => Way::Text,
            Kind::DateTime(None) => Way::Time,
            Kind::Boolean => Way::Boolean,
            _ => Way::Checked,
        }
    }
}

/// What comes where a run ends.
pub(super) enum Stop {
    /// A key.
    Key,
    /// The value of the field that the run has come to.
    Value,
    /// What follows a value.
    More,
}

impl Pass<'_, '_> {
    /// Passes over the members that come as they usually do: in the order of the fields, from `index` on, without white
    /// space, each by its shortest way. Returns the first field that it did not pass.
    #[inline]
    pub(super) fn run(&mut self, object: &Object, mut index: usize, columns: &mut [Column]) -> (usize, Stop) {
        let record = self.record;
        let mut at = self.scanner.at();
        let stop = loop {
            let Some((usual, rest)) = record.get(at..).and_then(|rest| object.names.begins(index, rest))
            else {
                break Stop::Key;
            };
            at += usual.length;
            let end = match columns.get_mut(usual.column) {
                Some(column) if usual.way != Way::Checked => {
                    self.put_short(usual.way, rest, column).map(|length| at + length)
                }
                column => {
                    self.scanner.go_to(at);
                    self.quick(&object.fields[index], column).then(|| self.scanner.at())
                }
            };
            let Some(end) = end else { break Stop::Value };
            at = end;
            index += 1;
            if record.get(at) != Some(&b',') {
                break Stop::More;
            }
            at += 1;
        };
        self.scanner.go_to(at);
        (index, stop)
    }

    /// Puts the value that `text` begins with into its column, if the shortest way leads there; returns its length.
    #[inline(always)]
    fn put_short(&mut self, way: Way, text: &[u8], column: &mut Column) -> Option<usize> {
        match way {
            Way::Integer => {
                let (value, length) = quick_integer(text)?;
                column.push_int64(value);
                Some(length)
            }
            Way::Number => {
                let (value, length) = quick_number(text)?;
                column.push_float64(value);
                Some(length)
            }
            Way::Text => {
                let (b'"', rest) = text.split_first()? else { return None };
                column.push_string(rest).map(|length| length + 2)
            }
            Way::Time => {
                let (micros, length) = self.work.minute.read(text)?;
                column.push_int64(micros);
                Some(length)
            }
            Way::Boolean => {
                let (value, length) = boolean(text)?;
                column.push_boolean(value);
                Some(length)
            }
            Way::Checked | Way::Long => None,
        }
    }

    /// Takes the value of the field that `usual` is, if a short way leads to it.
    #[inline]
    pub(super) fn short(&mut self, usual: &Usual, field: &Field, columns: &mut [Column]) -> bool {
        let Some(column) = columns.get_mut(usual.column) else { return self.quick(field, None) };
        if self.work.long_way {
            return false;
        }
        match self.put_short(usual.way, self.scanner.rest(), column) {
            Some(length) => {
                self.scanner.go_to(self.scanner.at() + length);
                true
            }
            None => usual.way != Way::Long && self.quick(field, Some(column)),
        }
    }

    /// Takes the value that comes next, if this way leads to it.
    pub(super) fn quick(&mut self, field: &Field, column: Option<&mut Column>) -> bool {
        if field.guard.is_some() || self.work.long_way {
            return false;
        }
        match &field.kind {
            Kind::Integer(rules) => {
                let Some((value, length)) = quick_integer(self.scanner.rest()) else { return false };
                let ruled = rules.as_deref().is_some_and(|rules| !rules.whole.contains(&value));
                !ruled
                    && field.one_of.is_none()
                    && self.put(field, column, length, false, |column| column.push_int64(value))
            }
            Kind::Number(rules) => {
                let Some((value, length)) = quick_number(self.scanner.rest()) else { return false };
                let ruled = rules
                    .as_deref()
                    .is_some_and(|rules| !(rules.between.start < value && value < rules.between.end));
                // The text of a number that is a key or hashed is not always the one that was sent.
                if ruled || field.one_of.is_some() || is_text_of_use(field) {
                    return false;
                }
                self.put(field, column, length, false, |column| column.push_float64(value))
            }
            Kind::String(rules) => {
                let start = self.scanner.at();
                let Some(text) = self.scanner.quick_string() else { return false };
                let end = self.scanner.at();
                self.scanner.go_to(start);
                let fine = rules.as_deref().is_none_or(|rules| rules.check(text).is_ok())
                    && field.one_of.as_deref().is_none_or(|one_of| one_of.has_text(text));
                fine && self.put_text(field, column, text, end)
            }
            Kind::DateTime(None) if field.one_of.is_none() && field.privacy.is_none() => {
                let Some((micros, length)) = self.work.minute.read(self.scanner.rest()) else { return false };
                if field.is_event_time {
                    self.work.captured.event_time = Some(Timestamp(micros));
                }
                self.put(field, column, length, true, |column| column.push_int64(micros))
            }
            Kind::Time(time) if time.rules.is_none() && field.one_of.is_none() => {
                let Some((value, length)) = quick_integer(self.scanner.rest()) else { return false };
                let Some(micros) = time.unit.micros(value) else { return false };
                if !(format::TIME_MIN..=format::TIME_MAX).contains(&micros) {
                    return false;
                }
                if field.is_event_time {
                    self.work.captured.event_time = Some(Timestamp(micros));
                }
                self.put(field, column, length, false, |column| column.push_int64(micros))
            }
            Kind::Boolean if field.one_of.is_none() && !is_text_of_use(field) => {
                let Some((value, length)) = boolean(self.scanner.rest()) else { return false };
                self.put(field, column, length, false, |column| column.push_boolean(value))
            }
            _ => false,
        }
    }

    /// Stores a value that was checked: the next `length` bytes are its text, that of a `quoted` one between its quotes.
    #[inline(always)]
    fn put(
        &mut self,
        field: &Field,
        column: Option<&mut Column>,
        length: usize,
        quoted: bool,
        push: impl FnOnce(&mut Column),
    ) -> bool {
        let end = self.scanner.at() + length;
        let quote = usize::from(quoted);
        let text = &self.record[self.scanner.at() + quote..end - quote];
        if let Some(column) = column {
            if field.privacy == Some(Privacy::Hash) {
                if column.push_bytes(&self.work.digests.digest(text)).is_err() {
                    return false;
                }
            } else if let Some(rule) = &field.token {
                if !self.put_token(rule, text, column) {
                    return false;
                }
            } else {
                push(column);
            }
        }
        if field.key_slot.is_some() {
            self.work.captured.key_part(field, quoted, text);
        }
        self.scanner.go_to(end);
        true
    }

    /// `end` is behind the closing quote of `text`.
    #[inline(always)]
    fn put_text(&mut self, field: &Field, column: Option<&mut Column>, text: &[u8], end: usize) -> bool {
        if let Some(column) = column {
            let pushed = if field.privacy == Some(Privacy::Hash) {
                column.push_bytes(&self.work.digests.digest(text)).is_ok()
            } else if let Some(rule) = &field.token {
                self.put_token(rule, text, column)
            } else {
                column.push_start(&self.record[end - 1 - text.len()..], text.len()).is_ok()
            };
            if !pushed {
                return false;
            }
        }
        if field.key_slot.is_some() {
            self.work.captured.key_part(field, true, text);
        }
        self.scanner.go_to(end);
        true
    }

    /// Out of the way: most streams have none.
    #[inline(never)]
    fn put_token(&mut self, rule: &TokenRule, text: &[u8], column: &mut Column) -> bool {
        let token = self.work.tokens.token(rule.slot, rule.format, text);
        token.is_some_and(|token| column.push_bytes(token.as_bytes()).is_ok())
    }
}

#[inline(always)]
fn boolean(text: &[u8]) -> Option<(bool, usize)> {
    match text {
        [b't', b'r', b'u', b'e', ..] => Some((true, 4)),
        [b'f', b'a', b'l', b's', b'e', ..] => Some((false, 5)),
        _ => None,
    }
}

/// The value's text makes a key, a digest or a token.
fn is_text_of_use(field: &Field) -> bool {
    field.key_slot.is_some() || field.is_replaced()
}

#[cfg(test)]
mod tests;
