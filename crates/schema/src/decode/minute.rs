//! Times as most senders write them: `2026-11-21T20:15:42.123Z`, many in one minute.
//! Always: what is read here `parse_date_time` reads as the same moment.

use crate::format;

/// The minute that was read last.
#[derive(Debug, Default)]
pub(super) struct Minute {
    /// `2026-11-21T20:15`; zero before the first.
    text: u128,
    micros: i64,
}

/// With milliseconds and quotes.
const STRING_BYTES: usize = 26;

impl Minute {
    /// The time in the string that `text` begins with, with seconds or milliseconds and in UTC, and how long the string
    /// is with its quotes. `None`: it is written in another way, or is no time.
    #[inline(always)]
    pub fn read(&mut self, text: &[u8]) -> Option<(i64, usize)> {
        let string = text.first_chunk::<STRING_BYTES>()?;
        let minute = string[1..].first_chunk::<16>()?;
        let rest = u64::from_le_bytes(*string[17..].first_chunk::<8>()?);
        if string[0] != b'"' {
            return None;
        }
        if u128::from_le_bytes(*minute) != self.text {
            self.read_minute(minute)?;
        }
        // `:42.123Z` or `:42Z"`: what must be there, and values where digits must be.
        const DIGITS: u64 = u64::from_le_bytes(*b"\0\xff\xff\0\xff\xff\xff\0");
        const SIGNS: u64 = u64::from_le_bytes(*b":00.000Z");
        const SHORT: u64 = 0xff_ffff_ffff;
        const SHORT_SIGNS: u64 = u64::from_le_bytes(*b":00Z\"\0\0\0");
        let long = rest ^ SIGNS;
        let short = (rest ^ SHORT_SIGNS) & SHORT;
        let (values, length) = if long & !DIGITS == 0 && string[25] == b'"' {
            (long, STRING_BYTES)
        } else if short & !(DIGITS & 0xff_ffff) == 0 {
            (short, 22)
        } else {
            return None;
        };
        // Tens above five are no usual second, and other places are digits. Nothing carries into another byte.
        const ABOVE: u64 = u64::from_le_bytes([0, 0x7f - 5, 0x7f - 9, 0, 0x7f - 9, 0x7f - 9, 0x7f - 9, 0]);
        if (values + ABOVE | values) & 0x8080_8080_8080_8080 != 0 {
            return None;
        }
        let value = |place: u32| (values >> (8 * place) & 0xff).cast_signed();
        let seconds = value(1) * 10 + value(2);
        let millis = value(4) * 100 + value(5) * 10 + value(6);
        Some((self.micros + seconds * 1_000_000 + millis * 1000, length))
    }

    #[cold]
    fn read_minute(&mut self, text: &[u8; 16]) -> Option<()> {
        let mut start = *b"....-..-..T..:..:00Z";
        start[..16].copy_from_slice(text);
        self.micros = format::parse_date_time(&start).ok()?;
        self.text = u128::from_le_bytes(*text);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_the_time() {
        let seed = 0x9e37_79b9_7f4a_7c15u64;
        let mut random = seed;
        let mut below = |bound: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random >> 11) as usize % bound
        };
        let starts = [
            "2026-11-21T20:15",
            "2024-02-29T23:59",
            "2023-02-29T00:00",
            "0000-01-01T00:00",
            "9999-12-31t23:59",
        ];
        let ends = [
            ":00Z",
            ":59Z",
            ":60Z",
            ":42.123Z",
            ":09.999Z",
            ":60.000Z",
            ":42.1234Z",
            ":42.12Z",
            ":42z",
            ":42+01:00",
        ];
        let mut minute = Minute::default();
        let mut read = 0;
        for round in 0..if cfg!(miri) { 500 } else { 100_000 } {
            let mut text = format!("{}{}", starts[below(starts.len())], ends[below(ends.len())]).into_bytes();
            if below(2) == 0 {
                let at = below(text.len());
                text[at] = b"0123456789:.-TZ\"/;"[below(18)];
            }
            let mut record = vec![b' ', b'"'];
            record.extend_from_slice(&text);
            record.extend_from_slice(&b"\",\"next\":1}"[..below(12)]);
            let told = || format!("seed {seed}, round {round}: {}", String::from_utf8_lossy(&record));
            if let Some((micros, length)) = minute.read(&record[1..]) {
                let end = 1 + length;
                read += 1;
                assert_eq!(record[end - 1], b'"', "{}", told());
                assert_eq!(Ok(micros), format::parse_date_time(&record[2..end - 1]), "{}", told());
            }
        }
        assert!(read > 100, "{read}");
    }
}
