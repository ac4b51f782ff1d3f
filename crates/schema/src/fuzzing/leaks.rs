//! Looks for protected values in what the decoder gave out, by a reader that is not the decoder's.
//! Always: a value counts only where it cannot have come from anywhere else in its event.

use serde_json::Value;

/// The protected texts of one event that must be seen nowhere.
pub(super) fn secrets(event: &[u8], protected: &[&str]) -> Vec<String> {
    let Ok(value) = serde_json::from_slice::<Value>(event) else { return Vec::new() };
    let (mut secret, mut open) = (Vec::new(), Vec::new());
    collect(&value, &mut Vec::new(), protected, &mut secret, &mut open);
    let texts = open;
    secret.retain(|text| {
        let is_telling = text.len() >= 8
            && text.bytes().any(|byte| byte.is_ascii_digit())
            && !text.bytes().all(|byte| byte == b'0' || byte == b'*' || byte == b'/');
        is_telling && !texts.iter().any(|other| other.contains(text.as_str()))
    });
    secret
}

/// Parts a value's texts by whether the schema protects them.
fn collect<'v>(
    value: &'v Value,
    path: &mut Vec<&'v str>,
    protected: &[&str],
    secret: &mut Vec<String>,
    open: &mut Vec<String>,
) {
    let mut leaf = |text: String| {
        let is_secret = protected.iter().any(|pointer| {
            let pattern: Vec<&str> = pointer.split('/').skip(1).collect();
            fits(&pattern, path)
        });
        if is_secret { secret.push(text) } else { open.push(text) }
    };
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => leaf(number.to_string()),
        Value::String(text) => leaf(text.clone()),
        Value::Array(items) => {
            for item in items {
                path.push("0");
                collect(item, path, protected, secret, open);
                path.pop();
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                open.push(name.clone());
                path.push(name);
                collect(member, path, protected, secret, open);
                path.pop();
            }
        }
    }
}

fn fits(pattern: &[&str], path: &[&str]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((&"**", rest)), _) => {
            fits(rest, path) || path.split_first().is_some_and(|(_, path)| fits(pattern, path))
        }
        (Some((&part, pattern)), Some((name, path))) => (part == "*" || part == *name) && fits(pattern, path),
        _ => false,
    }
}

pub(super) fn shows(bytes: &[u8], secret: &[u8]) -> bool {
    bytes.windows(secret.len()).any(|window| window == secret)
}

/// The event with each letter and digit of the secret moved on by one, and the secret that it has then.
pub(super) fn with_another(event: &[u8], secret: &str) -> (Vec<u8>, Vec<u8>) {
    let next = |byte: &u8| match byte {
        b'z' | b'Z' => byte - 25,
        b'9' => b'1',
        b'a'..b'z' | b'A'..b'Z' | b'0'..b'9' => byte + 1,
        other => *other,
    };
    let other: Vec<u8> = secret.bytes().map(|byte| next(&byte)).collect();
    let mut changed = event.to_vec();
    let mut at = 0;
    while at + secret.len() <= changed.len() {
        if changed[at..].starts_with(secret.as_bytes()) {
            changed[at..at + secret.len()].copy_from_slice(&other);
            at += secret.len();
        } else {
            at += 1;
        }
    }
    (changed, other)
}
