//! The formats that assert, against values that do and do not have them.

use super::*;

#[test]
fn days_and_times_come_back() {
    for (text, days) in
        [("1970-01-01", 0), ("0000-01-01", -719_528), ("2000-02-29", 11_016), ("9999-12-31", 2_932_896)]
    {
        assert_eq!(parse_date(text.as_bytes()), Some(days), "{text}");
    }
    for days in (-719_528..=2_932_896).step_by(17) {
        let mut text = Vec::new();
        write_date(days, &mut text);
        assert_eq!(parse_date(&text), Some(days));
    }
    for micros in [TIME_MIN, -1, 0, 1_999_999, TIME_MAX] {
        let mut text = Vec::new();
        write_date_time(micros, &mut text);
        assert_eq!(parse_date_time(&text), Ok(micros));
    }
}

#[test]
fn offsets_are_converted_and_digits_past_the_microsecond_cut() {
    for (text, same) in [
        ("2026-11-21t20:00:00.1234569z", "2026-11-21T20:00:00.123456Z"),
        ("2026-11-21T20:00:00.5+02:30", "2026-11-21T17:30:00.500000Z"),
        ("2026-01-01T00:30:00+01:00", "2025-12-31T23:30:00.000000Z"),
        ("2026-11-21T20:00:00-00:00", "2026-11-21T20:00:00.000000Z"),
        ("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
        // Leap seconds count as the second after them.
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000000Z"),
        ("2016-12-31T15:59:60.25-08:00", "2017-01-01T00:00:00.250000Z"),
    ] {
        let mut out = Vec::new();
        write_date_time(parse_date_time(text.as_bytes()).unwrap(), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), same, "{text}");
    }
    for text in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:60Z"] {
        assert_eq!(parse_date_time(text.as_bytes()), Err(NotTime::OutOfRange), "{text}");
    }
    for text in [
        "",
        "2026-11-21",
        "2026-11-21T20:00:00",
        "2026-11-21 20:00:00Z",
        "2026-11-21T20:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T20:60:00Z",
        "2026-11-21T20:00:60Z",
        "2026-11-21T20:00:00.Z",
        "2026-11-21T20:00:00+1:00",
        "2026-11-21T20:00:00+24:00",
        "2026-11-21T20:00:00+01:60",
        "2026-11-21T20:00:00Z ",
        "2026-13-01T00:00:00Z",
        "2025-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-11-21T20:00:00é",
        "+2026-11-21T20:00:00Z",
        "2026-11-21T20:00:00+01:00:00",
    ] {
        assert_eq!(parse_date_time(text.as_bytes()), Err(NotTime::Malformed), "{text}");
    }
}
