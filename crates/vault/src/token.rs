//! The text of a token: what stands in a column instead of the value.
//! Always: the same value in the same domain has the same token, and without the domain's key no token leads to its value
//! and no value to its token.
//!
//! `text`: `tok_` and 32 hexadecimal digits, the first 16 bytes of HMAC-SHA-256 of the value under the domain's key.
//! `digits`: as many digits as the value has, FF1 (NIST SP 800-38G) with AES-256 under a second key of the domain.

use aes::Aes256;
use fpe::ff1::{FF1, FlexibleNumeralString};

use crate::{Digests, HashKey, sealed::derive};

/// What a `text` token begins with.
pub const TOKEN_PREFIX: &str = "tok_";
const TEXT_DIGITS: usize = 32;
/// FF1 wants a million values at least.
pub const DIGITS_MIN: usize = 6;
pub const DIGITS_MAX: usize = 64;
/// No token is longer.
pub const TOKEN_BYTES_MAX: usize = 64;

/// How a domain's tokens look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenFormat {
    Text,
    Digits,
}

impl TokenFormat {
    pub fn as_str(self) -> &'static str {
        match self {
            TokenFormat::Text => "text",
            TokenFormat::Digits => "digits",
        }
    }
}

/// A token; at most `TOKEN_BYTES_MAX` characters of ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenText {
    bytes: [u8; TOKEN_BYTES_MAX],
    length: u8,
}

impl TokenText {
    /// `None`: too long, or not of ASCII, so that it is no token.
    pub fn new(text: &str) -> Option<TokenText> {
        if text.len() > TOKEN_BYTES_MAX || !text.is_ascii() {
            return None;
        }
        let mut bytes = [0; TOKEN_BYTES_MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(TokenText { bytes, length: text.len() as u8 })
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

impl std::fmt::Debug for TokenText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Makes the tokens of one domain, for one thread at a time.
pub(crate) struct Domain {
    pub name: std::sync::Arc<str>,
    texts: Digests,
    digits: FF1<Aes256>,
}

impl Domain {
    pub fn new(vault_key: &[u8; 32], name: &std::sync::Arc<str>) -> Domain {
        let key = derive(vault_key, "token domain", name.as_bytes());
        let digits = derive(&key, "ff1", b"");
        let digits =
            FF1::new(digits.as_slice(), 10).unwrap_or_else(|_| unreachable!("ten is a radix of FF1"));
        Domain { name: name.clone(), texts: Digests::new(HashKey::from_bytes(&key)), digits }
    }

    /// `None`: `value` has no token of this format.
    pub fn token(&mut self, format: TokenFormat, value: &[u8]) -> Option<TokenText> {
        let mut token = TokenText { bytes: [0; TOKEN_BYTES_MAX], length: 0 };
        match format {
            TokenFormat::Text => {
                let prefix = TOKEN_PREFIX.len();
                token.bytes[..prefix].copy_from_slice(TOKEN_PREFIX.as_bytes());
                token.bytes[prefix..prefix + TEXT_DIGITS]
                    .copy_from_slice(&self.texts.digest(value)[..TEXT_DIGITS]);
                token.length = (prefix + TEXT_DIGITS) as u8;
            }
            TokenFormat::Digits => {
                if !(DIGITS_MIN..=DIGITS_MAX).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit)
                {
                    return None;
                }
                let numerals: Vec<u16> = value.iter().map(|digit| u16::from(digit - b'0')).collect();
                let made = self.digits.encrypt(b"", &FlexibleNumeralString::from(numerals)).ok()?;
                for (at, numeral) in Vec::<u16>::from(made).into_iter().enumerate() {
                    token.bytes[at] = b'0' + numeral as u8;
                }
                token.length = value.len() as u8;
            }
        }
        Some(token)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn domain(name: &str) -> Domain {
        Domain::new(&[7; 32], &name.into())
    }

    #[test]
    fn a_text_token_is_the_begin_of_the_keyed_digest() {
        let key = derive(&[7; 32], "token domain", b"name");
        let digest = HashKey::from_bytes(&key).digest(b"Ada");
        let token = domain("name").token(TokenFormat::Text, b"Ada").unwrap();
        assert_eq!(token.as_str(), format!("tok_{}", std::str::from_utf8(&digest[..32]).unwrap()));
        assert_ne!(token, domain("other").token(TokenFormat::Text, b"Ada").unwrap());
        assert_eq!(TokenText::new(token.as_str()), Some(token));
    }

    #[test]
    fn digits_keep_their_number_and_never_collide() {
        let mut domain = domain("card");
        let mut seen = HashSet::new();
        for value in 0..2000u32 {
            let value = format!("{value:06}");
            let token = domain.token(TokenFormat::Digits, value.as_bytes()).unwrap();
            assert_eq!(token.as_bytes().len(), 6);
            assert!(token.as_bytes().iter().all(u8::is_ascii_digit), "{token:?}");
            assert!(seen.insert(token.as_str().to_owned()), "{value} and another have {token:?}");
        }
        for length in [DIGITS_MIN, 16, DIGITS_MAX] {
            let token = domain.token(TokenFormat::Digits, "9".repeat(length).as_bytes()).unwrap();
            assert_eq!(token.as_bytes().len(), length);
        }
        for bad in ["12345", "", "12345a", "１２３４５６", &"1".repeat(65)] {
            assert_eq!(domain.token(TokenFormat::Digits, bad.as_bytes()), None, "{bad}");
        }
    }
}
