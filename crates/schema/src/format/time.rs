//! RFC 3339 dates and times, exact and without allocation.
//! Policy: a leap second (`:60`) is one only where it is 23:59:60 in UTC; it counts as the second after it. Digits
//! behind the microsecond are cut. Lower-case `t` and `z` are as good as upper-case ones; a space is no `T`.

const MICROS_PER_SECOND: i64 = 1_000_000;
/// 0000-01-01T00:00:00Z and the last microsecond of the year 9999: what every reader of a lake can show.
pub(crate) const TIME_MIN: i64 = -62_167_219_200 * MICROS_PER_SECOND;
pub(crate) const TIME_MAX: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

/// Why a text is no date-time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTime {
    /// It is not RFC 3339.
    Malformed,
    /// It is, but its offset carries it out of the years 0000 to 9999.
    OutOfRange,
}

/// Days since 1970-01-01 of a full-date.
pub(crate) fn parse_date(text: &[u8]) -> Option<i32> {
    let text: &[u8; 10] = text.try_into().ok()?;
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = i32::from(two(text, 0)?) * 100 + i32::from(two(text, 2)?);
    let (month, day) = (i32::from(two(text, 5)?), i32::from(two(text, 8)?));
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=last).contains(&day) {
        return None;
    }
    // Years begin in March here, so that the leap day is the last of its year.
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// Microseconds since the epoch of a date-time.
pub(crate) fn parse_date_time(text: &[u8]) -> Result<i64, NotTime> {
    let parsed = || {
        let days = parse_date(text.get(..10)?)?;
        if !matches!(text.get(10)?, b'T' | b't') {
            return None;
        }
        let time = parse_time(text.get(11..)?)?;
        Some(i64::from(days) * 86_400 * MICROS_PER_SECOND + time)
    };
    let micros = parsed().ok_or(NotTime::Malformed)?;
    if (TIME_MIN..=TIME_MAX).contains(&micros) { Ok(micros) } else { Err(NotTime::OutOfRange) }
}

/// RFC 3339's full-time: it has an offset.
pub(crate) fn is_time(text: &[u8]) -> bool {
    parse_time(text).is_some()
}

/// Microseconds of a full-time since midnight UTC; its offset may carry it beyond the day at either end.
fn parse_time(text: &[u8]) -> Option<i64> {
    if text.get(2)? != &b':' || text.get(5)? != &b':' {
        return None;
    }
    let (hour, minute, second) = (two(text, 0)?, two(text, 3)?, two(text, 6)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(8..)?;
    let mut micros = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 {
            return None;
        }
        // Six digits count; those that are not written are zeros.
        let padded = fraction[..digits].iter().chain(std::iter::repeat(&b'0')).take(6);
        micros = padded.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0'));
        rest = &fraction[digits..];
    }
    let offset_minutes = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(rest, 1)?, two(rest, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = i64::from(hours) * 60 + i64::from(minutes);
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let minutes = i64::from(hour) * 60 + i64::from(minute) - offset_minutes;
    if second == 60 && minutes.rem_euclid(24 * 60) != 24 * 60 - 1 {
        return None;
    }
    Some((minutes * 60 + i64::from(second)) * MICROS_PER_SECOND + micros)
}

/// Appends the full-date of a day since 1970-01-01, in the years 0000 to 9999.
pub(crate) fn write_date(days: i32, out: &mut Vec<u8>) {
    // The inverse of `parse_date`, with years that begin in March.
    let days = i64::from(days) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}").as_bytes());
}

/// Appends RFC 3339 in UTC with six digits behind the second.
pub(crate) fn write_date_time(micros: i64, out: &mut Vec<u8>) {
    let (seconds, micros) = (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    write_date(i32::try_from(days).unwrap_or(i32::MAX), out);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    out.extend_from_slice(format!("T{hour:02}:{minute:02}:{second:02}.{micros:06}Z").as_bytes());
}

/// The two digits at `at`.
fn two(text: &[u8], at: usize) -> Option<u8> {
    match text.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some((a - b'0') * 10 + (b - b'0')),
        _ => None,
    }
}
