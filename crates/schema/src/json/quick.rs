//! Values as senders usually write them: a number of few digits, a string without escapes.
//! Always: what is taken here, `Scanner::number` and `Scanner::string` would take too, with the same meaning and the
//! same end. `None` says nothing about the value.

use super::{
    Scanner,
    wide::{POWERS, WINDOW, digits, padded},
};

/// The integer at the front of `text`, where it has at most 15 digits and neither fraction nor exponent, and how long
/// it is. Not −0, which is 0.
#[inline(always)]
pub(crate) fn quick_integer(text: &[u8]) -> Option<(i64, usize)> {
    match text.first_chunk() {
        Some(window) => integer(window),
        None => last_integer(text),
    }
}

#[inline(never)]
fn last_integer(text: &[u8]) -> Option<(i64, usize)> {
    integer(&padded(text))
}

#[inline(always)]
fn integer(window: &[u8; WINDOW]) -> Option<(i64, usize)> {
    let negative = window[0] == b'-';
    let (value, end) = whole(window, usize::from(negative))?;
    if matches!(window[end], b'.' | b'e' | b'E') || negative && value == 0 {
        return None;
    }
    let value = value.cast_signed();
    Some((if negative { -value } else { value }, end))
}

/// The number at the front of `text`, where it has no exponent and its digits make an exact double, and how long it
/// is.
#[inline(always)]
pub(crate) fn quick_number(text: &[u8]) -> Option<(f64, usize)> {
    match text.first_chunk() {
        Some(window) => number(window),
        None => last_number(text),
    }
}

#[inline(never)]
fn last_number(text: &[u8]) -> Option<(f64, usize)> {
    number(&padded(text))
}

#[inline(always)]
fn number(window: &[u8; WINDOW]) -> Option<(f64, usize)> {
    const EXACT_MANTISSA_MAX: u64 = 1 << 53;
    const DIGITS_MAX: usize = 18;
    let negative = window[0] == b'-';
    let first = usize::from(negative);
    let (mut mantissa, mut end) = whole(window, first)?;
    let mut fraction = 0;
    if window[end] == b'.' {
        // With more digits before the point there might be no room for those behind it.
        let (value, count) = if end < 16 { digits(window, end + 1)? } else { return None };
        if count == 0 || end - first + count > DIGITS_MAX {
            return None;
        }
        mantissa = mantissa * POWERS[count] + value;
        fraction = count;
        end += 1 + count;
    }
    // Where the window ends nobody knows what follows.
    let goes_on = window.get(end).is_none_or(|next| matches!(next, b'e' | b'E'));
    if goes_on || mantissa > EXACT_MANTISSA_MAX {
        return None;
    }
    // As `Number::to_f64`: both are exact doubles, so the one division rounds correctly.
    let value = mantissa as f64 / POWERS[fraction] as f64;
    Some((if negative { -value } else { value }, end))
}

/// One digit or more, the first no zero unless it is the only one: their value and where they end.
#[inline(always)]
fn whole(window: &[u8; WINDOW], first: usize) -> Option<(u64, usize)> {
    let (value, count) = digits(window, first)?;
    (count > 0 && (count == 1 || window[first] != b'0')).then_some((value, first + count))
}

impl<'a> Scanner<'a> {
    /// A string of plain ASCII without escapes; passes over it.
    #[inline(always)]
    pub fn quick_string(&mut self) -> Option<&'a [u8]> {
        if self.peek() != Some(b'"') {
            return None;
        }
        let start = self.at + 1;
        let end = self.plain_end(start);
        if self.bytes.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(&self.bytes[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers and what looks like them, with something behind that makes room for eight bytes at a time.
    #[test]
    fn what_is_taken_is_what_the_slow_way_takes() {
        let seed = 0x5851_f42d_4c95_7f2d_u64;
        let mut random = seed;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) as usize % bound
        };
        let (mut integers, mut numbers, mut strings) = (0, 0, 0);
        for round in 0..if cfg!(miri) { 500 } else { 300_000 } {
            let mut text = String::new();
            for _ in 0..1 + below(20) {
                let piece = match below(40) {
                    0 => "-",
                    1 => ".",
                    2 => "e",
                    3 => "E+",
                    4 => "00",
                    5 => ",",
                    6 => "\"",
                    7 => "é",
                    8 => "\\n",
                    9 => "0",
                    at => &"0123456789"[at % 10..at % 10 + 1],
                };
                text.push_str(piece);
            }
            let quoted = format!("\"{text}\",");
            text.push_str(&"},     \"next\":1  "[below(3)..below(14) + 2]);

            let told = || format!("seed {seed}, round {round}: {text}");
            let mut slow = Scanner::new(text.as_bytes(), 1);
            let number = match slow.peek() {
                Some(b'-' | b'0'..=b'9') => slow.number().ok(),
                _ => None,
            };
            if let Some(found) = quick_integer(text.as_bytes()) {
                integers += 1;
                let number = number.as_ref().unwrap_or_else(|| panic!("{}", told()));
                assert_eq!((number.plain_integer(), slow.at()), (Some(found.0), found.1), "{}", told());
            }
            if let Some(found) = quick_number(text.as_bytes()) {
                numbers += 1;
                let number = number.unwrap_or_else(|| panic!("{}", told()));
                assert_eq!(
                    (number.to_f64().to_bits(), slow.at()),
                    (found.0.to_bits(), found.1),
                    "{}",
                    told()
                );
            }
            let mut quick = Scanner::new(quoted.as_bytes(), 1);
            let mut slow = Scanner::new(quoted.as_bytes(), 1);
            match quick.quick_string() {
                Some(found) => {
                    strings += 1;
                    let text = slow.string().unwrap_or_else(|fault| panic!("{quoted}: {fault:?}"));
                    assert_eq!((text.raw, text.escaped, slow.at()), (found, false, quick.at()), "{quoted}");
                }
                None => assert_eq!(quick.at(), 0, "{quoted}"),
            }
        }
        assert!(integers > 0 && numbers > integers && strings > 0, "{integers} {numbers} {strings}");
        // Its text is not that of the value.
        assert_eq!(quick_integer(b"-0,"), None);
    }
}
