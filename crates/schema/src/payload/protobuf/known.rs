//! Google's own messages whose JSON is not that of their fields: times, wrapped values, and JSON itself.
//! Always: what they cannot mean (a day that no calendar has) becomes a text that the decoder refuses.

use hw_event::RejectCode;

use super::walk::Walk;
use crate::{
    format::write_date_time,
    notation::protobuf::{Body, Known, Type},
    payload::PayloadFault,
};

/// The years 0001 to 9999.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
/// Some 10,000 years.
const DURATION_SECONDS_MAX: u64 = 315_576_000_000;
const NANOS_MAX: u32 = 999_999_999;

impl Walk<'_, '_> {
    /// Writes the message whose values begin at the entry `first`.
    pub(super) fn known(
        &mut self,
        known: Known,
        body: &Body,
        first: usize,
        at: usize,
    ) -> Result<(), PayloadFault> {
        match known {
            Known::Timestamp => {
                let (seconds, nanos) = (self.whole(body, first, 1)?, self.whole(body, first, 2)?);
                let text = timestamp(seconds, nanos);
                self.text.string(text.as_bytes(), at)
            }
            Known::Duration => {
                let (seconds, nanos) = (self.whole(body, first, 1)?, self.whole(body, first, 2)?);
                let text = duration(seconds, nanos);
                self.text.string(text.as_bytes(), at)
            }
            // Each has one field. Where it was not sent it is empty, and never missing.
            Known::Wrapper | Known::Struct | Known::List => {
                let values = self.run(first, 0);
                match (body.fields.first(), known) {
                    (Some(field), _) if !values.is_empty() => self.field(field, values),
                    (_, Known::Struct) => self.text.word("{}", at),
                    (_, Known::List) => self.text.word("[]", at),
                    (Some(field), _) => self.unset(&field.ty, at),
                    (None, _) => self.text.word("null", at),
                }
            }
            Known::Value => self.any(body, first, at),
        }
    }

    /// The last number of a field.
    fn whole(&self, body: &Body, first: usize, number: u32) -> Result<i64, PayloadFault> {
        let Some(slot) = body.field(number) else { return Ok(0) };
        self.last(first, slot).map_or(Ok(0), |index| self.varint_of(index))
    }

    /// `google.protobuf.Value`: the member that is set, or null.
    fn any(&mut self, body: &Body, first: usize, at: usize) -> Result<(), PayloadFault> {
        let mut next = first;
        for (slot, field) in body.fields.iter().enumerate() {
            let values = self.run(next, slot);
            next = values.end;
            if values.is_empty() {
                continue;
            }
            return match field.ty {
                Type::Enum(_) => self.text.word("null", at),
                Type::Double => {
                    let value = self.double_of(values.end - 1)?;
                    if !value.is_finite() {
                        let message = "a google.protobuf.Value holds a number that JSON does not have";
                        return Err(PayloadFault { code: RejectCode::OutOfRange, at, message });
                    }
                    self.text.float(value, at)
                }
                _ => self.field(field, values),
            };
        }
        self.text.word("null", at)
    }
}

fn timestamp(seconds: i64, nanos: i64) -> String {
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos <= NANOS_MAX);
    let Some(nanos) = nanos.filter(|_| SECONDS.contains(&seconds)) else {
        return format!("{seconds} seconds");
    };
    let mut text = Vec::with_capacity(32);
    write_date_time(seconds * 1_000_000, &mut text);
    // As far as the second.
    text.truncate("0000-00-00T00:00:00".len());
    let text = String::from_utf8_lossy(&text);
    format!("{text}{}Z", fraction(nanos))
}

fn duration(seconds: i64, nanos: i64) -> String {
    let fits = i32::try_from(nanos).is_ok_and(|nanos| nanos.unsigned_abs() <= NANOS_MAX)
        && seconds.unsigned_abs() <= DURATION_SECONDS_MAX
        && (seconds.signum() * nanos.signum() >= 0);
    if !fits {
        return format!("{seconds} seconds, {nanos} nanoseconds");
    }
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let nanos = u32::try_from(nanos.unsigned_abs()).unwrap_or(0);
    format!("{sign}{}{}s", seconds.unsigned_abs(), fraction(nanos))
}

/// None, three, six or nine digits behind a point.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos % 1_000_000 == 0 => format!(".{:03}", nanos / 1_000_000),
        _ if nanos % 1000 == 0 => format!(".{:06}", nanos / 1000),
        _ => format!(".{nanos:09}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_protobuf_has_them_in_json() {
        for (seconds, nanos, expected) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (-1, 500_000_000, "1969-12-31T23:59:59.500Z"),
            (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
            (-62_135_596_800, 1000, "0001-01-01T00:00:00.000001Z"),
            (253_402_300_800, 0, "253402300800 seconds"),
            (i64::MIN, 0, "-9223372036854775808 seconds"),
            (0, -1, "0 seconds"),
            (0, 1_000_000_000, "0 seconds"),
        ] {
            assert_eq!(timestamp(seconds, nanos), expected);
        }
        for (seconds, nanos, expected) in [
            (0, 0, "0s"),
            (1, 500_000_000, "1.500s"),
            (-1, -1, "-1.000000001s"),
            (0, -1000, "-0.000001s"),
            (315_576_000_000, 0, "315576000000s"),
            (1, -1, "1 seconds, -1 nanoseconds"),
            (i64::MIN, 0, "-9223372036854775808 seconds, 0 nanoseconds"),
        ] {
            assert_eq!(duration(seconds, nanos), expected);
        }
    }
}
