//! Numbers as they are written: decimal digits of any length, compared and divided without rounding.

use std::cmp::Ordering;

use super::{scan::Number, text::write_digits};

/// `±0.DIGITS × 10^point`. Always: no zeros at either end of the digits; zero has none and is positive.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Exact {
    negative: bool,
    /// ASCII.
    digits: Vec<u8>,
    point: i64,
}

/// Why an exact number is no integer of 128 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotWhole {
    Fraction,
    TooLarge,
}

impl Exact {
    /// Divisors may have this many digits, so that a remainder times ten stays below 2^128.
    pub const DIVISOR_DIGITS_MAX: usize = 30;

    pub fn from_number(number: &Number<'_>) -> Exact {
        let text = number.text.strip_prefix(b"-").unwrap_or(number.text);
        let exponent_at = text.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(text.len());
        let (mantissa, exponent) = text.split_at(exponent_at);
        let whole = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
        let mut digits: Vec<u8> = mantissa.iter().copied().filter(|&byte| byte != b'.').collect();
        let mut point = (whole as i64).saturating_add(parse_exponent(exponent));
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
        digits.drain(..zeros);
        point = point.saturating_sub(zeros as i64);
        if digits.is_empty() {
            return Exact::default();
        }
        Exact { negative: number.negative, digits, point }
    }

    pub fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    pub fn is_positive(&self) -> bool {
        !self.negative && !self.is_zero()
    }

    pub fn is_whole(&self) -> bool {
        self.point >= self.digits.len() as i64 || self.is_zero()
    }

    pub fn digit_count(&self) -> usize {
        self.digits.len()
    }

    /// How many digits stand before the point, and how many behind it.
    pub fn digits_around_point(&self) -> (i64, i64) {
        if self.is_zero() {
            return (0, 0);
        }
        (self.point.max(0), (self.digits.len() as i64).saturating_sub(self.point).max(0))
    }

    /// Ten to the power of `exponent` times as much.
    pub fn scaled(mut self, exponent: i32) -> Exact {
        if !self.is_zero() {
            self.point = self.point.saturating_add(i64::from(exponent));
        }
        self
    }

    /// The greatest integer that is not above this number.
    pub fn floor(&self) -> Result<i128, NotWhole> {
        let whole_digits = usize::try_from(self.point).unwrap_or(0).min(self.digits.len());
        let mut whole = self.clone();
        whole.digits.truncate(whole_digits);
        let truncated = if whole.digits.is_empty() { 0 } else { whole.to_i128()? };
        let cut = whole_digits < self.digits.len();
        Ok(if cut && self.negative { truncated - 1 } else { truncated })
    }

    pub fn to_i128(&self) -> Result<i128, NotWhole> {
        const DIGITS_MAX: i64 = 38;
        if self.is_zero() {
            return Ok(0);
        }
        if !self.is_whole() {
            return Err(NotWhole::Fraction);
        }
        if self.point > DIGITS_MAX {
            return Err(NotWhole::TooLarge);
        }
        let zeros = std::iter::repeat_n(&b'0', self.point as usize - self.digits.len());
        let value =
            self.digits.iter().chain(zeros).fold(0i128, |value, digit| value * 10 + i128::from(digit - b'0'));
        Ok(if self.negative { -value } else { value })
    }

    /// Is this number `divisor` times an integer? `divisor` is positive and has at most `DIVISOR_DIGITS_MAX` digits.
    pub fn is_multiple_of(&self, divisor: &Exact) -> bool {
        if self.is_zero() {
            return true;
        }
        // As integers times powers of ten; the last digit of each integer is no zero.
        let exponent = self.point - self.digits.len() as i64;
        let divisor_exponent = divisor.point - divisor.digits.len() as i64;
        let Ok(zeros) = u64::try_from(exponent.saturating_sub(divisor_exponent)) else {
            return false; // The divisor is divisible by more tens than we are.
        };
        let modulus = divisor.digits.iter().fold(0u128, |value, digit| value * 10 + u128::from(digit - b'0'));
        let mut rest = 0u128;
        for digit in &self.digits {
            rest = (rest * 10 + u128::from(digit - b'0')) % modulus;
        }
        // The factors 2 and 5 of a modulus below 10^30 are used up after a hundred tens.
        const TENS_MAX: u64 = 100;
        for _ in 0..zeros.min(TENS_MAX) {
            rest = rest * 10 % modulus;
        }
        rest == 0
    }

    /// The nearest double.
    pub fn to_f64(&self) -> f64 {
        let mut text = Vec::new();
        self.write(&mut text);
        String::from_utf8_lossy(&text).parse().unwrap_or(f64::NAN)
    }

    /// Appends the number as RFC 8785 lays one out.
    pub fn write(&self, out: &mut Vec<u8>) {
        if self.is_zero() {
            out.push(b'0');
            return;
        }
        if self.negative {
            out.push(b'-');
        }
        write_digits(&self.digits, self.point, out);
    }
}

impl Ord for Exact {
    fn cmp(&self, other: &Exact) -> Ordering {
        let sign = |exact: &Exact| match (exact.is_zero(), exact.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        sign(self).cmp(&sign(other)).then_with(|| {
            let size = self.point.cmp(&other.point).then_with(|| self.digits.cmp(&other.digits));
            if self.negative { size.reverse() } else { size }
        })
    }
}

impl PartialOrd for Exact {
    fn partial_cmp(&self, other: &Exact) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i64> for Exact {
    fn from(value: i64) -> Exact {
        let digits = value.unsigned_abs().to_string();
        let point = digits.len() as i64;
        if value == 0 {
            return Exact::default();
        }
        let digits = digits.trim_end_matches('0').as_bytes().to_vec();
        Exact { negative: value < 0, digits, point }
    }
}

/// `e±DIGITS` or nothing; far beyond any double it saturates.
fn parse_exponent(text: &[u8]) -> i64 {
    const EXPONENT_MAX: i64 = 1 << 40;
    let Some((_, text)) = text.split_first() else { return 0 };
    let negative = text.first() == Some(&b'-');
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let value = digits.fold(0i64, |value, digit| (value * 10 + i64::from(digit - b'0')).min(EXPONENT_MAX));
    if negative { -value } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Scanner;

    fn exact(text: &str) -> Exact {
        Exact::from_number(&Scanner::new(text.as_bytes(), 1).number().unwrap())
    }

    fn text(exact: &Exact) -> String {
        let mut out = Vec::new();
        exact.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_value_has_one_form() {
        for (forms, canonical) in [
            (&["0", "-0", "0.000", "0e999999999999999999999"][..], "0"),
            (&["1", "1.0", "10e-1", "0.01e2", "1e0", "1E+00"], "1"),
            (&["-120", "-1.2e2", "-12000e-2"], "-120"),
            (&["9223372036854775807", "9.223372036854775807e18"], "9223372036854775807"),
            (&["0.1", "1e-1", "0.10000"], "0.1"),
            (&["1e400"], "1e+400"),
        ] {
            for form in forms {
                assert_eq!(exact(form), exact(canonical), "{form}");
                assert_eq!(text(&exact(form)), canonical);
            }
        }
        assert_eq!(Exact::from(-1200), exact("-1200"));
        assert_eq!(Exact::from(i64::MIN), exact("-9223372036854775808"));
    }

    #[test]
    fn order_is_that_of_numbers() {
        let ordered = [
            "-1e300",
            "-11",
            "-2",
            "-1.5",
            "-1e-9",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000001",
            "2",
            "11",
        ];
        for pair in ordered.windows(2) {
            assert!(exact(pair[0]) < exact(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn integers_are_exact() {
        assert_eq!(exact("-9223372036854775808").to_i128(), Ok(i128::from(i64::MIN)));
        assert_eq!(exact("1.5").to_i128(), Err(NotWhole::Fraction));
        assert_eq!(exact("1e39").to_i128(), Err(NotWhole::TooLarge));
        for (number, floor) in
            [("1.9", 1), ("-1.1", -2), ("-1", -1), ("0.9", 0), ("-0.9", -1), ("120.5", 120)]
        {
            assert_eq!(exact(number).floor(), Ok(floor), "{number}");
        }
    }

    #[test]
    fn multiples_are_exact() {
        for (number, divisor, is) in [
            ("0.3", "0.1", true),
            ("19.99", "0.01", true),
            ("19.995", "0.01", false),
            ("4.35", "0.05", true),
            ("1e300", "7", false),
            ("1e300", "0.0000123", false),
            ("1e300", "1e-300", true),
            ("7e300", "7", true),
            ("0.5", "1e300", false),
            ("-6", "3", true),
            ("0", "3", true),
            ("10", "4", false),
            ("100", "8", false),
            ("1000", "8", true),
        ] {
            assert_eq!(exact(number).is_multiple_of(&exact(divisor)), is, "{number} {divisor}");
        }
    }
}
