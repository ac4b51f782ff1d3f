//! A checked JSON text as the library wants it, and the way to a part of it.
//! Always: integers of 64 bits stay exact; a number that is no double is a fault, never infinite.

use serde_json::{Map, Number, Value};

use crate::json::{self, DEPTH_MAX, KeySet, Scanner, unescape};

/// A number that is beyond a double, at this byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotDouble {
    pub at: usize,
}

/// `json` is one value that the strict reader has passed before.
pub(crate) fn read(json: &[u8]) -> Result<Value, NotDouble> {
    let mut scanner = Scanner::new(json, DEPTH_MAX);
    scanner.space();
    // The text has no fault, so where reading ends early a number has just been passed.
    value(&mut scanner).ok_or_else(|| {
        let is_part =
            |byte: &&u8| byte.is_ascii_digit() || matches!(**byte, b'.' | b'e' | b'E' | b'+' | b'-');
        let length = json[..scanner.at()].iter().rev().take_while(is_part).count();
        NotDouble { at: scanner.at() - length }
    })
}

fn value(scanner: &mut Scanner<'_>) -> Option<Value> {
    let start = scanner.at();
    Some(match scanner.peek()? {
        b'"' => Value::String(text(scanner.string().ok()?)),
        b'-' | b'0'..=b'9' => Value::Number(number(&scanner.number().ok()?)?),
        b'[' => {
            scanner.open().ok()?;
            let mut items = Vec::new();
            let mut more = !scanner.close_empty(b']');
            while more {
                items.push(value(scanner)?);
                more = scanner.more(b']').ok()?;
            }
            Value::Array(items)
        }
        b'{' => {
            scanner.open().ok()?;
            let mut members = Map::new();
            let mut more = !scanner.close_empty(b'}');
            while more {
                let name = text(scanner.key().ok()?);
                scanner.colon().ok()?;
                members.insert(name, value(scanner)?);
                more = scanner.more(b'}').ok()?;
            }
            Value::Object(members)
        }
        _ => {
            scanner.skip(&mut KeySet::default()).ok()?;
            match scanner.slice(start) {
                b"true" => Value::Bool(true),
                b"false" => Value::Bool(false),
                _ => Value::Null,
            }
        }
    })
}

fn text(text: json::Text<'_>) -> String {
    let mut plain = Vec::with_capacity(text.raw.len());
    unescape(text.raw, &mut plain);
    String::from_utf8_lossy(&plain).into_owned()
}

fn number(number: &json::Number<'_>) -> Option<Number> {
    if let Some(whole) = number.plain_integer() {
        return Some(Number::from(whole));
    }
    let text = str::from_utf8(number.text).ok()?;
    // Longer integers, up to what 64 bits hold; written otherwise, a whole number is told from its double.
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Number::from(whole));
    }
    if let Ok(whole) = text.parse::<u64>() {
        return Some(Number::from(whole));
    }
    Number::from_f64(number.to_f64())
}

/// Moves from a container to its part `name`: a member's value or an element.
pub(super) fn enter(scanner: &mut Scanner<'_>, name: &[u8]) -> Option<()> {
    match scanner.peek()? {
        b'{' => {
            scanner.open().ok()?;
            let mut more = !scanner.close_empty(b'}');
            while more {
                let key = scanner.key().ok()?;
                let mut plain = Vec::with_capacity(key.raw.len());
                unescape(key.raw, &mut plain);
                scanner.colon().ok()?;
                if plain == name {
                    return Some(());
                }
                scanner.skip(&mut KeySet::default()).ok()?;
                more = scanner.more(b'}').ok()?;
            }
            None
        }
        b'[' => {
            let mut left: usize = str::from_utf8(name).ok()?.parse().ok()?;
            scanner.open().ok()?;
            let mut more = !scanner.close_empty(b']');
            while more {
                if left == 0 {
                    return Some(());
                }
                left -= 1;
                scanner.skip(&mut KeySet::default()).ok()?;
                more = scanner.more(b']').ok()?;
            }
            None
        }
        _ => None,
    }
}
