//! One value on its way into its column: rules first, on the clear value; then what is protected is protected.
//! Always: the clear text of a `hash` or `drop` field ends here. Knows nothing of how the value was framed.

use base64::{Engine, engine::general_purpose::STANDARD};
use hw_event::{RejectCode, Timestamp};
use hw_vault::{Digests, HashKey, Tokens};

use super::{column::Column, texts::Full};
use crate::{
    format::{self, NotTime},
    json::{Exact, NotWhole, Number, write_compact, write_float},
    marks::{Marks, digest_text},
    rules::Broken,
    schema::{Decimal, Field, Kind, Privacy, Time},
};

/// What the row's partition and time are made of.
#[derive(Debug, Default)]
pub(super) struct Captured {
    /// The clear text of each key field, end to end.
    pub key_text: Vec<u8>,
    /// By place in `x-key`.
    pub key_parts: Vec<KeyPart>,
    pub event_time: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct KeyPart {
    pub start: usize,
    pub end: usize,
    /// A text: in a composite key it stands in quotes.
    pub quoted: bool,
}

impl Captured {
    pub fn clear(&mut self) {
        self.key_text.clear();
        self.event_time = None;
    }

    pub fn key_part(&mut self, field: &Field, quoted: bool, text: &[u8]) {
        if let Some(part) = field.key_slot.and_then(|slot| self.key_parts.get_mut(slot)) {
            let start = self.key_text.len();
            self.key_text.extend_from_slice(text);
            *part = KeyPart { start, end: self.key_text.len(), quoted };
        }
    }
}

/// Where values go.
pub(super) struct Cells<'a> {
    pub digests: &'a mut Digests,
    pub tokens: &'a mut Tokens,
    pub captured: &'a mut Captured,
}

/// What a value becomes once it is checked.
enum Stored<'a> {
    Boolean(bool),
    Int64(i64),
    Float64(f64),
    Date(i32),
    Decimal(i128),
    Bytes(&'a [u8]),
}

impl Cells<'_> {
    pub fn boolean(&mut self, field: &Field, value: bool, column: Option<&mut Column>) -> Result<(), Broken> {
        if let Some(one_of) = &field.one_of {
            one_of.check_boolean(value)?;
        }
        let text: &[u8] = if value { b"true" } else { b"false" };
        self.captured.key_part(field, false, text);
        self.store(field, Stored::Boolean(value), column, || text.to_vec())
    }

    /// `text` is valid UTF-8.
    #[inline]
    pub fn text(&mut self, field: &Field, text: &[u8], column: Option<&mut Column>) -> Result<(), Broken> {
        let decoded;
        let stored = match &field.kind {
            Kind::String(_) => Stored::Bytes(text),
            Kind::DateTime(_) => Stored::Int64(date_time(text)?),
            Kind::Date(_) => {
                Stored::Date(format::parse_date(text).ok_or_else(|| expected("a date such as 2026-11-21"))?)
            }
            Kind::Binary(_) => {
                decoded = STANDARD.decode(text).map_err(|_| expected("base64"))?;
                Stored::Bytes(&decoded)
            }
            Kind::Decimal(decimal) => {
                let number = Number::parse(text).ok_or_else(|| expected("a decimal number"))?;
                Stored::Decimal(decimal_value(decimal, &Exact::from_number(&number))?)
            }
            _ => unreachable!("a text goes to a field of text"),
        };
        if let Some(one_of) = &field.one_of {
            one_of.check_text(text)?;
        }
        if let Some(rules) = field.kind.text_rules() {
            rules.check(text)?;
        }
        if field.key_slot.is_some() {
            self.captured.key_part(field, true, text);
        }
        self.store(field, stored, column, || text.to_vec())
    }

    #[inline]
    pub fn number(
        &mut self,
        field: &Field,
        number: &Number<'_>,
        column: Option<&mut Column>,
    ) -> Result<(), Broken> {
        let stored = match &field.kind {
            Kind::Integer(rules) => {
                let value = integer(number)?;
                if let Some(rules) = rules {
                    rules.check_integer(value)?;
                }
                Stored::Int64(value)
            }
            Kind::Number(rules) => {
                let value = number.to_f64();
                if value.is_infinite() {
                    return Err((RejectCode::OutOfRange, "the number is beyond a 64-bit float".to_owned()));
                }
                if let Some(rules) = rules {
                    rules.check_float(number, value)?;
                }
                Stored::Float64(value)
            }
            Kind::Time(time) => {
                if let Some(rules) = &time.rules {
                    rules.check_exact(&Exact::from_number(number))?;
                }
                Stored::Int64(time_value(time, number)?)
            }
            Kind::Decimal(decimal) => {
                let exact = Exact::from_number(number);
                let value = decimal_value(decimal, &exact)?;
                if let Some(rules) = &decimal.rules {
                    rules.check_exact(&exact)?;
                }
                Stored::Decimal(value)
            }
            _ => unreachable!("a number goes to a field of numbers"),
        };
        if let Some(one_of) = &field.one_of {
            one_of.check_number(&Exact::from_number(number))?;
        }
        // One text for one number, however it is written: 1, 1.0 and 10e-1 are one key and one digest.
        let text = || {
            let mut text = Vec::new();
            match (&field.kind, &stored) {
                (Kind::Integer(_), Stored::Int64(value)) => {
                    text.extend_from_slice(value.to_string().as_bytes())
                }
                (_, Stored::Float64(value)) => write_float(*value, &mut text),
                _ => Exact::from_number(number).write(&mut text),
            }
            text
        };
        if field.key_slot.is_some() {
            self.captured.key_part(field, false, &text());
        }
        let clear = if field.is_replaced() { text() } else { Vec::new() };
        self.store(field, stored, column, || clear)
    }

    #[inline]
    fn store(
        &mut self,
        field: &Field,
        stored: Stored<'_>,
        column: Option<&mut Column>,
        clear: impl FnOnce() -> Vec<u8>,
    ) -> Result<(), Broken> {
        if field.is_event_time
            && let Stored::Int64(micros) = stored
        {
            self.captured.event_time = Some(Timestamp(micros));
        }
        let Some(column) = column else { return Ok(()) };
        if field.privacy == Some(Privacy::Hash) {
            return column.push_bytes(&self.digests.digest(&clear())).map_err(full);
        }
        if let Some(rule) = &field.token {
            let token = self.tokens.token(rule.slot, rule.format, &clear());
            // The schema allows no other value; should it, the value is refused and not let through.
            let token = token.ok_or_else(|| expected("6 to 64 digits"))?;
            return column.push_bytes(token.as_bytes()).map_err(full);
        }
        match stored {
            Stored::Boolean(value) => column.push_boolean(value),
            Stored::Int64(value) => column.push_int64(value),
            Stored::Float64(value) => column.push_float64(value),
            Stored::Date(days) => column.push_date(days),
            Stored::Decimal(value) => column.push_decimal(value),
            Stored::Bytes(bytes) => column.push_bytes(bytes).map_err(full)?,
        }
        Ok(())
    }
}

/// Puts the checked value `json` of no one type; returns how many members nobody described and were left out.
/// Null stays null.
pub(super) fn json_text(
    field: &Field,
    marks: Option<&Marks>,
    json: &[u8],
    key: &HashKey,
    room: &mut Vec<u8>,
    column: &mut Column,
) -> Result<u64, Broken> {
    room.clear();
    let mut left_out = 0;
    match (field.privacy, marks) {
        _ if json == b"null" => {
            column.push_null();
            return Ok(0);
        }
        (Some(Privacy::Hash), _) => room.extend_from_slice(&key.digest(&digest_text(json))),
        (_, Some(marks)) => left_out = marks.protect(json, key, room).undescribed,
        (_, None) => write_compact(json, room),
    }
    column.push_bytes(room).map_err(full)?;
    Ok(left_out)
}

pub(super) fn full(_: Full) -> Broken {
    (RejectCode::TooLarge, "the column of this field is full in this batch".to_owned())
}

fn expected(what: &str) -> Broken {
    (RejectCode::Format, format!("expected {what}"))
}

fn date_time(text: &[u8]) -> Result<i64, Broken> {
    format::parse_date_time(text).map_err(|reason| match reason {
        NotTime::Malformed => expected("a date and time with an offset, such as 2026-11-21T20:00:00Z"),
        NotTime::OutOfRange => {
            (RejectCode::OutOfRange, "expected a time of the years 0000 to 9999 in UTC".to_owned())
        }
    })
}

/// An int64, exactly, however it is written.
#[inline]
fn integer(number: &Number<'_>) -> Result<i64, Broken> {
    if let Some(value) = number.plain_integer() {
        return Ok(value);
    }
    let beyond = || (RejectCode::OutOfRange, "the number is beyond a 64-bit integer".to_owned());
    match Exact::from_number(number).to_i128() {
        Ok(value) => i64::try_from(value).map_err(|_| beyond()),
        Err(NotWhole::TooLarge) => Err(beyond()),
        Err(NotWhole::Fraction) => Err(fraction()),
    }
}

fn fraction() -> Broken {
    (RejectCode::Type, "expected an integer".to_owned())
}

fn time_value(time: &Time, number: &Number<'_>) -> Result<i64, Broken> {
    let exact = Exact::from_number(number);
    if time.whole && !exact.is_whole() {
        return Err(fraction());
    }
    let micros =
        exact.scaled(time.unit.exponent()).floor().ok().and_then(|micros| i64::try_from(micros).ok());
    micros.filter(|micros| (format::TIME_MIN..=format::TIME_MAX).contains(micros)).ok_or_else(|| {
        let unit = time.unit.as_str();
        (RejectCode::OutOfRange, format!("expected a time in {unit} of the years 0000 to 9999"))
    })
}

fn decimal_value(decimal: &Decimal, exact: &Exact) -> Result<i128, Broken> {
    let (before, behind) = exact.digits_around_point();
    let scale = i64::from(decimal.scale);
    if before > i64::from(decimal.precision) - scale || behind > scale {
        let message = format!(
            "expected at most {} digits before the point and {scale} behind it",
            i64::from(decimal.precision) - scale
        );
        return Err((RejectCode::OutOfRange, message));
    }
    match exact.clone().scaled(i32::from(decimal.scale)).to_i128() {
        Ok(value) => Ok(value),
        Err(_) => unreachable!("at most 38 digits remain, none behind the point"),
    }
}
