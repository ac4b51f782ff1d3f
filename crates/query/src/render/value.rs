//! One value as text.
//! Always: integers and decimals keep every digit; a time has six digits after the point and is UTC; what JSON cannot
//! say (NaN, infinity) is null there and a word in CSV. Values of types that no table has are written as the engine
//! prints them.

use std::fmt::Write as _;

use arrow::{
    array::{Array, ArrayRef, AsArray, cast::as_primitive_array},
    datatypes::{
        ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
        Decimal256Type, DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};

use super::decoded;

/// A value that is no container.
enum Scalar<'a> {
    Boolean(bool),
    /// Digits, ready to stand in JSON and CSV alike.
    Integer(i128),
    Float(f64),
    Text(&'a str),
    /// Text that needs no escaping in JSON.
    Plain(String),
    /// Text that may.
    Printed(String),
}

pub(super) fn write_json(array: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    let Some((array, row)) = decoded(array, row) else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    match array.data_type() {
        DataType::List(_) => write_list(&array.as_list::<i32>().value(row), out),
        DataType::LargeList(_) => write_list(&array.as_list::<i64>().value(row), out),
        DataType::ListView(_) => write_list(&array.as_list_view::<i32>().value(row), out),
        DataType::LargeListView(_) => write_list(&array.as_list_view::<i64>().value(row), out),
        DataType::FixedSizeList(..) => write_list(&array.as_fixed_size_list().value(row), out),
        DataType::Struct(fields) => {
            out.push(b'{');
            for (index, (field, column)) in fields.iter().zip(array.as_struct().columns()).enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json_string(field.name(), out);
                out.push(b':');
                write_json(column, row, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let [keys, values] = entries.columns() else {
                return Err(ArrowError::InvalidArgumentError("a map has keys and values".to_owned()));
            };
            out.push(b'{');
            for index in 0..entries.len() {
                if index > 0 {
                    out.push(b',');
                }
                write_json_string(&text_of(keys, index)?, out);
                out.push(b':');
                write_json(values, index, out)?;
            }
            out.push(b'}');
            Ok(())
        }
        _ => {
            match scalar(array, row)? {
                Scalar::Boolean(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
                Scalar::Integer(value) => out.extend_from_slice(value.to_string().as_bytes()),
                Scalar::Float(value) => match serde_json::Number::from_f64(value) {
                    Some(number) => out.extend_from_slice(number.to_string().as_bytes()),
                    None => out.extend_from_slice(b"null"),
                },
                Scalar::Text(text) => write_json_string(text, out),
                Scalar::Plain(text) => {
                    out.push(b'"');
                    out.extend_from_slice(text.as_bytes());
                    out.push(b'"');
                }
                Scalar::Printed(text) => write_json_string(&text, out),
            }
            Ok(())
        }
    }
}

fn write_list(items: &ArrayRef, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    out.push(b'[');
    for index in 0..items.len() {
        if index > 0 {
            out.push(b',');
        }
        write_json(items, index, out)?;
    }
    out.push(b']');
    Ok(())
}

pub(super) fn write_json_string(text: &str, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut start = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[start..index]);
        start = index + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.extend([DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[start..]);
    out.push(b'"');
}

pub(super) fn write_csv(array: &ArrayRef, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
    // NULL is nothing at all; the empty text is two quotes.
    if decoded(array, row).is_some() {
        write_csv_text(&text_of(array, row)?, out);
    }
    Ok(())
}

pub(super) fn write_csv_text(text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() && !text.contains(['"', ',', '\n', '\r']) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

/// The value as it stands in a CSV field or as a key in JSON; a container is its JSON.
fn text_of(array: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    let Some((array, row)) = decoded(array, row) else { return Ok("null".to_owned()) };
    if array.data_type().is_nested() {
        let mut json = Vec::new();
        write_json(array, row, &mut json)?;
        return String::from_utf8(json).map_err(|fault| ArrowError::InvalidArgumentError(fault.to_string()));
    }
    Ok(match scalar(array, row)? {
        Scalar::Boolean(value) => value.to_string(),
        Scalar::Integer(value) => value.to_string(),
        Scalar::Float(value) if value.is_nan() => "NaN".to_owned(),
        Scalar::Float(value) if value.is_infinite() => {
            if value > 0.0 {
                "Infinity".to_owned()
            } else {
                "-Infinity".to_owned()
            }
        }
        Scalar::Float(value) => {
            serde_json::Number::from_f64(value).map(|n| n.to_string()).unwrap_or_default()
        }
        Scalar::Text(text) => text.to_owned(),
        Scalar::Plain(text) | Scalar::Printed(text) => text,
    })
}

fn scalar(array: &ArrayRef, row: usize) -> Result<Scalar<'_>, ArrowError> {
    fn of<T: ArrowPrimitiveType>(array: &ArrayRef, row: usize) -> T::Native {
        as_primitive_array::<T>(array).value(row)
    }
    fn decimal<T: DecimalType>(array: &ArrayRef, row: usize) -> Scalar<'_> {
        Scalar::Plain(as_primitive_array::<T>(array).value_as_string(row))
    }
    let binary = |bytes: &[u8]| Scalar::Plain(BASE64.encode(bytes));
    Ok(match array.data_type() {
        DataType::Boolean => Scalar::Boolean(array.as_boolean().value(row)),
        DataType::Int8 => Scalar::Integer(of::<Int8Type>(array, row).into()),
        DataType::Int16 => Scalar::Integer(of::<Int16Type>(array, row).into()),
        DataType::Int32 => Scalar::Integer(of::<Int32Type>(array, row).into()),
        DataType::Int64 => Scalar::Integer(of::<Int64Type>(array, row).into()),
        DataType::UInt8 => Scalar::Integer(of::<UInt8Type>(array, row).into()),
        DataType::UInt16 => Scalar::Integer(of::<UInt16Type>(array, row).into()),
        DataType::UInt32 => Scalar::Integer(of::<UInt32Type>(array, row).into()),
        DataType::UInt64 => Scalar::Integer(of::<UInt64Type>(array, row).into()),
        DataType::Float16 => Scalar::Float(of::<Float16Type>(array, row).to_f64()),
        // Through its own shortest text: 0.1 of 32 bits is 0.1, not 0.10000000149011612.
        DataType::Float32 => {
            let value = of::<Float32Type>(array, row);
            Scalar::Float(value.to_string().parse().unwrap_or_else(|_| value.into()))
        }
        DataType::Float64 => Scalar::Float(of::<Float64Type>(array, row)),
        DataType::Utf8 => Scalar::Text(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => Scalar::Text(array.as_string::<i64>().value(row)),
        DataType::Utf8View => Scalar::Text(array.as_string_view().value(row)),
        DataType::Binary => binary(array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => binary(array.as_binary::<i64>().value(row)),
        DataType::BinaryView => binary(array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => binary(array.as_fixed_size_binary().value(row)),
        DataType::Decimal32(..) => decimal::<Decimal32Type>(array, row),
        DataType::Decimal64(..) => decimal::<Decimal64Type>(array, row),
        DataType::Decimal128(..) => decimal::<Decimal128Type>(array, row),
        DataType::Decimal256(..) => decimal::<Decimal256Type>(array, row),
        DataType::Date32 => Scalar::Plain(date(of::<Date32Type>(array, row).into())),
        DataType::Date64 => Scalar::Plain(date(of::<Date64Type>(array, row).div_euclid(86_400_000))),
        DataType::Timestamp(unit, _) => Scalar::Plain(timestamp(match unit {
            TimeUnit::Second => i128::from(of::<TimestampSecondType>(array, row)) * 1_000_000,
            TimeUnit::Millisecond => i128::from(of::<TimestampMillisecondType>(array, row)) * 1_000,
            TimeUnit::Microsecond => of::<TimestampMicrosecondType>(array, row).into(),
            TimeUnit::Nanosecond => of::<TimestampNanosecondType>(array, row).div_euclid(1_000).into(),
        })),
        DataType::Time32(TimeUnit::Second) => {
            Scalar::Plain(time(i64::from(of::<Time32SecondType>(array, row)) * 1_000_000))
        }
        DataType::Time32(_) => {
            Scalar::Plain(time(i64::from(of::<Time32MillisecondType>(array, row)) * 1_000))
        }
        DataType::Time64(TimeUnit::Nanosecond) => {
            Scalar::Plain(time(of::<Time64NanosecondType>(array, row).div_euclid(1_000)))
        }
        DataType::Time64(_) => Scalar::Plain(time(of::<Time64MicrosecondType>(array, row))),
        _ => {
            let options = FormatOptions::default();
            Scalar::Printed(ArrayFormatter::try_new(array, &options)?.value(row).to_string())
        }
    })
}

const MICROS_PER_DAY: i128 = 86_400_000_000;

/// RFC 3339 in UTC, always with six digits after the point.
fn timestamp(micros: i128) -> String {
    // Fits: the largest argument is i64::MAX seconds in microseconds, 2^83.
    let days = i64::try_from(micros.div_euclid(MICROS_PER_DAY)).unwrap_or(i64::MAX / 1_000);
    let of_day = i64::try_from(micros.rem_euclid(MICROS_PER_DAY)).unwrap_or_default();
    format!("{}T{}Z", date(days), time(of_day))
}

fn time(micros: i64) -> String {
    let seconds = micros.div_euclid(1_000_000);
    let fraction = micros.rem_euclid(1_000_000);
    format!("{:02}:{:02}:{:02}.{fraction:06}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar. A year beyond four digits carries its sign.
fn date(days: i64) -> String {
    // Years start in March, so the day that is sometimes missing is the last one; eras are 400 years.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut text = String::with_capacity(10);
    let written = match year {
        0..=9_999 => write!(text, "{year:04}-{month:02}-{day:02}"),
        _ => write!(text, "{year:+05}-{month:02}-{day:02}"),
    };
    debug_assert!(written.is_ok(), "a String takes all");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (days, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (11_016, "2000-02-29"),
            (19_782, "2024-02-29"),
            (19_783, "2024-03-01"),
            (-719_468, "0000-03-01"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+10000-01-01"),
            (-719_529, "-0001-12-31"),
        ] {
            assert_eq!(date(days), text, "{days}");
        }
    }

    #[test]
    fn times_have_six_digits() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(timestamp(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(timestamp(1_718_000_000_123_456), "2024-06-10T06:13:20.123456Z");
        assert!(timestamp(i64::MAX.into()).starts_with("+294247-01-10T04:00:54.775807"));
    }
}
