//! A strict JSON reader over bytes: it checks, names the byte of each fault, and copies nothing.
//! Always: strings it passes are valid UTF-8 without lone surrogates; `depth` counts every open container.
//! Repeated keys are found by whoever reads the object, with a `KeySet` or a schema's own bits.

use hw_event::RejectCode;

use super::{KeySet, wide};

/// Why bytes are not the JSON that we accept, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonFault {
    pub code: RejectCode,
    pub at: usize,
    pub message: &'static str,
}

/// The bytes of a string between its quotes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    pub raw: &'a [u8],
    /// There are escapes: `unescape` gives what it says.
    pub escaped: bool,
}

/// A number as it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<'a> {
    pub text: &'a [u8],
    /// The digits before and after the point as one number, where they are no more than 18 and there is no exponent.
    pub mantissa: Option<u64>,
    pub negative: bool,
    /// How many digits stand after the point.
    pub fraction_digits: u32,
}

impl<'a> Number<'a> {
    /// A text that is a number from its first byte to its last.
    pub fn parse(text: &'a [u8]) -> Option<Number<'a>> {
        let mut scanner = Scanner::new(text, 0);
        let number = scanner.number().ok()?;
        (number.text.len() == text.len()).then_some(number)
    }

    /// The value, where it is written as a plain integer of at most 18 digits.
    pub fn plain_integer(&self) -> Option<i64> {
        let mantissa = self.mantissa.filter(|_| self.fraction_digits == 0)?.cast_signed();
        Some(if self.negative { -mantissa } else { mantissa })
    }

    /// The nearest double; infinite where the number is too large for one.
    pub fn to_f64(self) -> f64 {
        // Both operands are exact doubles, so the one division rounds correctly.
        const EXACT_POWERS: [f64; 19] = [
            1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
            1e18,
        ];
        const EXACT_MANTISSA_MAX: u64 = 1 << 53;
        if let Some(mantissa) = self.mantissa
            && mantissa <= EXACT_MANTISSA_MAX
            && let Some(power) = EXACT_POWERS.get(self.fraction_digits as usize)
        {
            let value = mantissa as f64 / power;
            return if self.negative { -value } else { value };
        }
        match std::str::from_utf8(self.text).map(str::parse) {
            Ok(Ok(value)) => value,
            _ => unreachable!("a number of the reader is one of the standard library"),
        }
    }
}

/// Reads one document from front to back.
#[derive(Debug)]
pub(crate) struct Scanner<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    depth: usize,
    depth_max: usize,
}

impl<'a> Scanner<'a> {
    pub fn new(bytes: &'a [u8], depth_max: usize) -> Scanner<'a> {
        Scanner { bytes, at: 0, depth: 0, depth_max: depth_max.min(super::DEPTH_MAX) }
    }

    /// The index of the next byte.
    #[inline]
    pub fn at(&self) -> usize {
        self.at
    }

    /// Goes to a byte that was found to be where a token begins or ends.
    #[inline]
    pub fn go_to(&mut self, at: usize) {
        self.at = at;
    }

    #[inline]
    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub fn slice(&self, start: usize) -> &'a [u8] {
        &self.bytes[start..self.at]
    }

    /// What is left of the document.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Passes over white space.
    #[inline]
    pub fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Passes over `expected` if it comes next, byte for byte.
    #[inline]
    pub fn take(&mut self, expected: &[u8]) -> bool {
        let next = self.bytes.get(self.at..self.at + expected.len());
        let taken = next == Some(expected);
        if taken {
            self.at += expected.len();
        }
        taken
    }

    /// Passes over the `{` or `[` that comes next.
    #[inline]
    pub fn open(&mut self) -> Result<(), JsonFault> {
        if self.depth >= self.depth_max {
            return Err(self.fault(RejectCode::JsonDepth, self.at, "the document is nested too deeply"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// After an opening bracket: is the container empty? Then it is passed.
    #[inline]
    pub fn close_empty(&mut self, close: u8) -> bool {
        self.space();
        let empty = self.peek() == Some(close);
        if empty {
            self.at += 1;
            self.depth -= 1;
        }
        empty
    }

    /// After a value in a container: passes over `,` and returns true, or over the closing bracket and returns false.
    #[inline(always)]
    pub fn more(&mut self, close: u8) -> Result<bool, JsonFault> {
        self.space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                Ok(false)
            }
            _ => Err(self.no_more(close)),
        }
    }

    #[cold]
    fn no_more(&self, close: u8) -> JsonFault {
        match close {
            b'}' => self.unexpected("expected a comma or the end of the object"),
            _ => self.unexpected("expected a comma or the end of the array"),
        }
    }

    /// The key that comes next, without its colon.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Text<'a>, JsonFault> {
        match self.quick_string() {
            Some(raw) => Ok(Text { raw, escaped: false }),
            None => self.key_slow(),
        }
    }

    #[cold]
    fn key_slow(&mut self) -> Result<Text<'a>, JsonFault> {
        if self.peek() != Some(b'"') {
            return Err(self.unexpected(match self.peek() {
                // An empty object has been passed before: here stood a comma.
                Some(b'}') => "expected a key: no comma stands before }",
                None => "the document ends inside of an object",
                Some(_) => "expected a key in double quotes",
            }));
        }
        self.string_slow()
    }

    /// Passes over a colon and the white space around it.
    #[inline(always)]
    pub fn colon(&mut self) -> Result<(), JsonFault> {
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.unexpected("expected a colon"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Nothing but white space may follow the document.
    pub fn end(&mut self) -> Result<(), JsonFault> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.unexpected("expected the end of the document")),
        }
    }

    /// The string that comes next, at its opening quote.
    #[inline]
    pub fn string(&mut self) -> Result<Text<'a>, JsonFault> {
        match self.quick_string() {
            Some(raw) => Ok(Text { raw, escaped: false }),
            None => self.string_slow(),
        }
    }

    /// The first byte from `at` on that does not stand for itself in a string; the text's end where all do.
    #[inline(always)]
    pub(super) fn plain_end(&self, mut at: usize) -> usize {
        while let Some(chunk) = self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            let plain = wide::plain(chunk, 0);
            at += plain;
            if plain < wide::CHUNK {
                return at;
            }
        }
        // The last few bytes, with some before them that were seen already.
        match self.bytes.last_chunk() {
            Some(chunk) if at < self.bytes.len() => {
                at + wide::plain(chunk, wide::CHUNK - (self.bytes.len() - at))
            }
            _ => {
                let rest = self.bytes.get(at..).unwrap_or_default();
                at + rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20 | 0x80..)).count()
            }
        }
    }

    /// A string with escapes, bytes beyond ASCII, or a fault.
    fn string_slow(&mut self) -> Result<Text<'a>, JsonFault> {
        let start = self.at + 1;
        let mut at = start;
        let mut escaped = false;
        loop {
            at = self.plain_end(at);
            match self.bytes.get(at) {
                None => {
                    let message = "the document ends inside of a string";
                    return Err(self.fault(RejectCode::JsonSyntax, at, message));
                }
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(Text { raw: &self.bytes[start..at], escaped });
                }
                Some(b'\\') => {
                    escaped = true;
                    at = self.escape(at)?;
                }
                Some(0..0x20) => {
                    let message = "a control character in a string must be escaped";
                    return Err(self.fault(RejectCode::JsonSyntax, at, message));
                }
                Some(0x80..) => at = self.beyond_ascii(at)?,
                Some(_) => unreachable!("a byte that stands for itself was passed"),
            }
        }
    }

    /// Checks the run of bytes beyond ASCII at `at`; returns the index behind it.
    fn beyond_ascii(&self, at: usize) -> Result<usize, JsonFault> {
        let run = self.bytes[at..].iter().take_while(|&&byte| byte >= 0x80).count();
        match std::str::from_utf8(&self.bytes[at..at + run]) {
            Ok(_) => Ok(at + run),
            Err(error) => {
                let message = "the bytes are not valid UTF-8";
                Err(self.fault(RejectCode::JsonUnicode, at + error.valid_up_to(), message))
            }
        }
    }

    /// Checks the escape at `at`; returns the index behind it.
    fn escape(&self, at: usize) -> Result<usize, JsonFault> {
        const LONE: &str = "a surrogate stands without its other half";
        match self.bytes.get(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => match self.hex4(at + 2)? {
                0xdc00..=0xdfff => Err(self.fault(RejectCode::JsonUnicode, at, LONE)),
                0xd800..=0xdbff => {
                    if self.bytes.get(at + 6..at + 8) != Some(b"\\u") {
                        return Err(self.fault(RejectCode::JsonUnicode, at, LONE));
                    }
                    match self.hex4(at + 8)? {
                        0xdc00..=0xdfff => Ok(at + 12),
                        _ => Err(self.fault(RejectCode::JsonUnicode, at, LONE)),
                    }
                }
                _ => Ok(at + 6),
            },
            None => Err(self.fault(RejectCode::JsonSyntax, at + 1, "the document ends inside of a string")),
            Some(_) => Err(self.fault(RejectCode::JsonSyntax, at, "there is no such escape")),
        }
    }

    fn hex4(&self, at: usize) -> Result<u32, JsonFault> {
        let mut value = 0;
        for index in at..at + 4 {
            let digit = self.bytes.get(index).and_then(|&byte| char::from(byte).to_digit(16));
            let Some(digit) = digit else {
                let message = "a \\u escape needs four hexadecimal digits";
                return Err(self.fault(RejectCode::JsonSyntax, index.min(self.bytes.len()), message));
            };
            value = value * 16 + digit;
        }
        Ok(value)
    }

    /// The number that comes next, at its first digit or its minus.
    #[inline]
    pub fn number(&mut self) -> Result<Number<'a>, JsonFault> {
        const MANTISSA_DIGITS_MAX: usize = 18;
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let mut mantissa = 0u64;
        let first = self.at;
        self.digits(&mut mantissa, "expected a digit")?;
        if self.bytes[first] == b'0' && self.at > first + 1 {
            let message = "a number must not start with a zero";
            return Err(self.fault(RejectCode::JsonSyntax, first, message));
        }
        let mut digits = self.at - first;
        let mut fraction_digits = 0;
        if self.peek() == Some(b'.') {
            self.at += 1;
            let point = self.at;
            self.digits(&mut mantissa, "expected a digit behind the point")?;
            fraction_digits = self.at - point;
            digits += fraction_digits;
        }
        let mut exponent = false;
        if let Some(b'e' | b'E') = self.peek() {
            exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits(&mut 0, "expected a digit in the exponent")?;
        }
        Ok(Number {
            text: self.slice(start),
            mantissa: (digits <= MANTISSA_DIGITS_MAX && !exponent).then_some(mantissa),
            negative,
            fraction_digits: u32::try_from(fraction_digits).unwrap_or(u32::MAX),
        })
    }

    /// One digit or more, added to `mantissa` (which may wrap: then it is not used).
    #[inline]
    fn digits(&mut self, mantissa: &mut u64, message: &'static str) -> Result<(), JsonFault> {
        let start = self.at;
        while let Some(byte @ b'0'..=b'9') = self.peek() {
            *mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(byte - b'0'));
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected(message)) } else { Ok(()) }
    }

    /// Passes over `true`, `false` or `null`, whose first letter comes next.
    #[inline]
    pub fn literal(&mut self, word: &'static [u8]) -> Result<(), JsonFault> {
        if self.take(word) {
            return Ok(());
        }
        let same = self.bytes[self.at..].iter().zip(word).take_while(|(a, b)| a == b).count();
        self.at += same;
        Err(self.unexpected("expected true, false or null"))
    }

    /// Passes over the value that comes next, checking all of it.
    pub fn skip(&mut self, keys: &mut KeySet) -> Result<(), JsonFault> {
        match self.peek() {
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            Some(b't') => self.literal(b"true"),
            Some(b'f') => self.literal(b"false"),
            Some(b'n') => self.literal(b"null"),
            Some(b'[') => {
                self.open()?;
                if self.close_empty(b']') {
                    return Ok(());
                }
                loop {
                    self.skip(keys)?;
                    if !self.more(b']')? {
                        return Ok(());
                    }
                }
            }
            Some(b'{') => {
                self.open()?;
                if self.close_empty(b'}') {
                    return Ok(());
                }
                let object = keys.object();
                loop {
                    let at = self.at;
                    let key = self.key()?;
                    keys.insert(object, key, at)?;
                    self.colon()?;
                    self.skip(keys)?;
                    if !self.more(b'}')? {
                        return Ok(());
                    }
                }
            }
            _ => Err(self.unexpected("expected a value")),
        }
    }

    /// Passes over the value that comes next, found by brackets and quotes alone: nothing in it is checked.
    pub fn pass_enclosed(&mut self) -> Result<(), JsonFault> {
        let start = self.at;
        let no_end = self.fault(RejectCode::JsonSyntax, start, "the value has no end");
        // What closes each open container; bounded by the document.
        let mut open: Vec<u8> = Vec::new();
        loop {
            match self.peek().ok_or(no_end)? {
                b'"' => {
                    self.at += 1;
                    loop {
                        match self.peek().ok_or(no_end)? {
                            b'"' => break,
                            b'\\' => self.at += 2,
                            _ => self.at += 1,
                        }
                    }
                }
                b'{' => open.push(b'}'),
                b'[' => open.push(b']'),
                b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r' if open.is_empty() => {
                    // A word or a number ends before what follows it.
                    let empty = self.at == start;
                    return if empty { Err(self.unexpected("expected a value")) } else { Ok(()) };
                }
                close @ (b'}' | b']') => {
                    if open.pop() != Some(close) {
                        return Err(no_end);
                    }
                }
                _ => {}
            }
            let container_ended = open.is_empty() && matches!(self.peek(), Some(b'"' | b'}' | b']'));
            self.at += 1;
            if container_ended {
                return Ok(());
            }
        }
    }

    /// What stands at the next byte is not what must.
    pub fn unexpected(&self, message: &'static str) -> JsonFault {
        match self.peek() {
            Some(b'/') => self.fault(RejectCode::JsonSyntax, self.at, "JSON has no comments"),
            Some(0x80..) => match self.beyond_ascii(self.at) {
                Ok(_) => self.fault(RejectCode::JsonSyntax, self.at, message),
                Err(fault) => fault,
            },
            _ => self.fault(RejectCode::JsonSyntax, self.at, message),
        }
    }

    fn fault(&self, code: RejectCode, at: usize, message: &'static str) -> JsonFault {
        JsonFault { code, at, message }
    }
}
