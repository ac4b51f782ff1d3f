//! Strings and doubles as JSON writes them.
//! Always: one text for one value: the shortest escapes, and for numbers the shortest digits (RFC 8785).

/// Appends what a checked string says. `raw` is what stood between its quotes.
pub(crate) fn unescape(raw: &[u8], out: &mut Vec<u8>) {
    let mut rest = raw;
    while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
        out.extend_from_slice(&rest[..at]);
        let (plain, used) = match rest.get(at + 1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => unicode_escape(&rest[at..]),
            Some(&byte) => (char::from(byte), 2),
            None => unreachable!("the reader has seen what follows the backslash"),
        };
        out.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes());
        rest = &rest[at + used..];
    }
    out.extend_from_slice(rest);
}

/// The character of a checked `\uXXXX` or pair of them, and how many bytes it took.
fn unicode_escape(raw: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = raw.get(at..at + 4).unwrap_or_default();
        digits.iter().fold(0, |value, &byte| value * 16 + char::from(byte).to_digit(16).unwrap_or(0))
    };
    let first = unit(2);
    let (code, used) = match first {
        0xd800..=0xdbff => (0x10000 + ((first - 0xd800) << 10) + (unit(8) & 0x3ff), 12),
        _ => (first, 6),
    };
    (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), used)
}

/// Appends a JSON string with its quotes; `text` is UTF-8.
pub(crate) fn write_string(text: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut plain = 0;
    for (at, &byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            0x0c => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text[plain..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            out.extend_from_slice(&[b'0', b'0', DIGITS[high], DIGITS[low]]);
        }
        plain = at + 1;
    }
    out.extend_from_slice(&text[plain..]);
    out.push(b'"');
}

/// Appends a checked JSON value without the white space between its tokens.
pub(crate) fn write_compact(value: &[u8], out: &mut Vec<u8>) {
    let mut in_string = false;
    let mut escaped = false;
    for &byte in value {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            continue;
        } else {
            in_string = byte == b'"';
        }
        out.push(byte);
    }
}

/// Appends a finite double as RFC 8785 writes it: the fewest digits that read back as the same double.
pub(crate) fn write_float(value: f64, out: &mut Vec<u8>) {
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    let scientific = format!("{:e}", value.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let digits: Vec<u8> = mantissa.bytes().filter(|&byte| byte != b'.').collect();
    let exponent: i64 = exponent.parse().unwrap_or(0);
    if value < 0.0 {
        out.push(b'-');
    }
    write_digits(&digits, exponent + 1, out);
}

/// Appends `0.DIGITS × 10^point` by the layout of RFC 8785. `digits` has no zeros at either end.
pub(super) fn write_digits(digits: &[u8], point: i64, out: &mut Vec<u8>) {
    const PLAIN_POINT_MAX: i64 = 21;
    const PLAIN_POINT_MIN: i64 = -5;
    let count = digits.len() as i64;
    match point {
        _ if point >= count && point <= PLAIN_POINT_MAX => {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', (point - count) as usize));
        }
        1..=PLAIN_POINT_MAX => {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        PLAIN_POINT_MIN..=0 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', (-point) as usize));
            out.extend_from_slice(digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            out.extend_from_slice(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            let sign = if point > 0 { "+" } else { "" };
            out.extend_from_slice(format!("e{sign}{}", point - 1).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_has_one_text() {
        // From the table of RFC 8785, appendix B.
        for (bits, text) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        ] {
            let mut out = Vec::new();
            write_float(f64::from_bits(bits), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    #[test]
    fn strings_come_back() {
        let text = "a\"\\/\u{8}\u{c}\n\r\t\u{1}é😀\u{7f}";
        let mut json = Vec::new();
        write_string(text.as_bytes(), &mut json);
        let mut back = Vec::new();
        unescape(&json[1..json.len() - 1], &mut back);
        assert_eq!(back, text.as_bytes());
        let mut out = Vec::new();
        unescape(br"\ud83d\ude00\u00e9\/", &mut out);
        assert_eq!(out, "😀é/".as_bytes());
    }
}
