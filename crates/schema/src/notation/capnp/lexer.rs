//! The words of a Cap'n Proto schema, each with the byte at which it stands.
//! Always: every byte of the text is in one token, in a comment or white space, or named as a fault.

use crate::notation::{At, Wrong};

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    /// Digits as they stand, `0x…` included.
    Integer(u64),
    Float(f64),
    Text(String),
    /// `0x"…"`.
    Bytes(Vec<u8>),
    /// One of `@:;{}()[]$=,.*-!`, or `>` of an arrow.
    Mark(char),
}

#[derive(Debug, Clone)]
pub(super) struct Word {
    pub token: Token,
    pub at: usize,
}

pub(super) fn words(text: &str) -> Result<Vec<Word>, Wrong> {
    let mut lexer = Lexer { bytes: text.as_bytes(), text, at: 0 };
    let mut words = Vec::new();
    while let Some(word) = lexer.word()? {
        words.push(word);
    }
    Ok(words)
}

struct Lexer<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
}

impl Lexer<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn take(&mut self, keep: impl Fn(u8) -> bool) -> &str {
        let start = self.at;
        while self.peek().is_some_and(&keep) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self) -> Result<Option<Word>, Wrong> {
        loop {
            self.take(|byte| byte.is_ascii_whitespace());
            match self.peek() {
                Some(b'#') => _ = self.take(|byte| byte != b'\n'),
                // A byte order mark at the start says nothing.
                Some(0xef) if self.at == 0 && self.text.starts_with('\u{feff}') => self.at = 3,
                _ => break,
            }
        }
        let at = self.at;
        let Some(byte) = self.peek() else { return Ok(None) };
        let token = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                Token::Name(self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'_').to_owned())
            }
            b'0'..=b'9' => self.number()?,
            b'"' => Token::Text(self.string()?),
            b'@' | b':' | b';' | b'{' | b'}' | b'(' | b')' | b'[' | b']' | b'$' | b'=' | b',' | b'.'
            | b'*' | b'-' | b'>' | b'!' => {
                self.at += 1;
                Token::Mark(char::from(byte))
            }
            _ => {
                let found = self.text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or('?');
                return Err(wrong(at, format!("{found:?} has no meaning here"), "remove it"));
            }
        };
        Ok(Some(Word { token, at }))
    }

    fn number(&mut self) -> Result<Token, Wrong> {
        let at = self.at;
        let bad = || wrong(at, "this is no number", "write digits, 0x and hexadecimal digits, or 1.5e3");
        if self.bytes[at..].starts_with(b"0x\"") {
            self.at += 3;
            let digits: Vec<u8> = self
                .take(|byte| byte.is_ascii_hexdigit() || byte.is_ascii_whitespace())
                .bytes()
                .filter(u8::is_ascii_hexdigit)
                .collect();
            if self.peek() != Some(b'"') || digits.len() % 2 == 1 {
                return Err(wrong(at, "these bytes are not whole", "write two hexadecimal digits a byte"));
            }
            self.at += 1;
            let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap_or(0)).unwrap_or(0);
            return Ok(Token::Bytes(
                digits.chunks(2).map(|two| digit(two[0]) << 4 | digit(two[1])).collect(),
            ));
        }
        let text = self.take(|byte| byte.is_ascii_alphanumeric() || byte == b'_').to_owned();
        if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            return u64::from_str_radix(digits, 16).map(Token::Integer).map_err(|_| bad());
        }
        let is_fraction =
            self.peek() == Some(b'.') && self.bytes.get(self.at + 1).is_some_and(u8::is_ascii_digit);
        let ends_in_exponent = text.ends_with(['e', 'E']) && matches!(self.peek(), Some(b'+' | b'-'));
        if is_fraction || ends_in_exponent || text.contains(['e', 'E']) {
            let mut whole = text;
            while let Some(byte @ (b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) = self.peek() {
                if matches!(byte, b'+' | b'-') && !whole.ends_with(['e', 'E']) {
                    break;
                }
                whole.push(char::from(byte));
                self.at += 1;
            }
            return whole.parse().map(Token::Float).map_err(|_| bad());
        }
        // As in C: a leading zero means octal.
        let parsed = match text.strip_prefix('0') {
            Some(digits) if !digits.is_empty() => u64::from_str_radix(digits, 8),
            _ => text.parse(),
        };
        parsed.map(Token::Integer).map_err(|_| bad())
    }

    fn string(&mut self) -> Result<String, Wrong> {
        let start = self.at;
        let open = || wrong(start, "this text has no end", "close it with a double quote on the same line");
        let mut value = Vec::new();
        self.at += 1;
        loop {
            let byte = self.peek().ok_or_else(open)?;
            self.at += 1;
            match byte {
                b'"' => break,
                b'\n' => return Err(open()),
                b'\\' => {
                    let escape = self.peek().ok_or_else(open)?;
                    self.at += 1;
                    value.push(match escape {
                        b'n' => b'\n',
                        b't' => b'\t',
                        b'r' => b'\r',
                        b'a' => 7,
                        b'b' => 8,
                        b'f' => 12,
                        b'v' => 11,
                        b'x' => {
                            let digits = self.text.get(self.at..self.at + 2);
                            self.at += 2;
                            digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()).ok_or_else(
                                || wrong(start, "an escape of this text is broken", "write \\x41"),
                            )?
                        }
                        b'0'..=b'7' => {
                            let mut code = u32::from(escape - b'0');
                            for _ in 0..2 {
                                if let Some(digit @ b'0'..=b'7') = self.peek() {
                                    code = code * 8 + u32::from(digit - b'0');
                                    self.at += 1;
                                }
                            }
                            u8::try_from(code).map_err(|_| {
                                wrong(start, "an escape of this text is broken", "write \\101")
                            })?
                        }
                        other => other,
                    });
                }
                _ => value.push(byte),
            }
        }
        String::from_utf8(value).map_err(|_| wrong(start, "this text is not UTF-8", "write it without \\x"))
    }
}

fn wrong(at: usize, message: impl Into<String>, hint: &str) -> Wrong {
    Wrong::new(At(at), message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_every_kind() {
        let tokens =
            |text: &str| -> Vec<Token> { words(text).unwrap().into_iter().map(|word| word.token).collect() };
        assert_eq!(
            tokens("a1 @0x1F # x\n 017 1.5e3 2e-1 0x\"0a ff\" \"q\\\"\\x41\\101\" ->"),
            [
                Token::Name("a1".into()),
                Token::Mark('@'),
                Token::Integer(31),
                Token::Integer(15),
                Token::Float(1500.0),
                Token::Float(0.2),
                Token::Bytes(vec![10, 255]),
                Token::Text("q\"AA".into()),
                Token::Mark('-'),
                Token::Mark('>'),
            ]
        );
        for bad in ["\"a", "\"a\nb\"", "0x\"a\"", "%", "09", "é", "\"\\xff\"", "18446744073709551616"] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }
}
