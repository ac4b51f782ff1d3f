//! The attributes of a CloudEvent in a request's headers: `ce-` and the attribute's name, percent-encoded.
//! Always: one round of decoding, after quotes are taken off; what does not come out as UTF-8 is refused.

use http::{HeaderMap, header};

use super::draft::Draft;
use crate::EventAttributes;

const PREFIX: &str = "ce-";

pub(super) fn read(headers: &HeaderMap) -> Result<EventAttributes, String> {
    let mut draft = Draft::default();
    for (header, value) in headers {
        // Names of headers are in lower case here, however they were sent.
        let Some(name) = header.as_str().strip_prefix(PREFIX) else { continue };
        let text = decode(value.as_bytes())
            .ok_or_else(|| format!("the header {header} is not percent-encoded UTF-8"))?;
        draft.set(name, &text)?;
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    // A form is what clients say that were told nothing.
    if let Some(value) = content_type.filter(|value| !value.is_empty() && !value.contains("form-urlencoded"))
    {
        draft.set("datacontenttype", value)?;
    }
    draft.finish()
}

fn decode(value: &[u8]) -> Option<String> {
    let unquoted = match value {
        [b'"', quoted @ .., b'"'] => unescape(quoted)?,
        _ => value.to_vec(),
    };
    let mut decoded = Vec::with_capacity(unquoted.len());
    let mut bytes = unquoted.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|&digit| char::from(digit).to_digit(16));
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// What a quoted string of RFC 9110 says.
fn unescape(quoted: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(quoted.len());
    let mut bytes = quoted.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => plain.push(*bytes.next()?),
            _ => plain.push(byte),
        }
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_decoded_once() {
        for (value, says) in [
            ("plain/text", Some("plain/text")),
            ("Euro%20%E2%82%AC%20%f0%9f%98%80", Some("Euro € 😀")),
            ("100%25%20", Some("100% ")),
            ("%2525", Some("%25")),
            (r#""a \"b\" \\ %22""#, Some(r#"a "b" \ ""#)),
            ("\"", Some("\"")),
            ("é", Some("é")),
            ("100%", None),
            ("%4", None),
            ("%zz", None),
            ("%C0%A0", None),
            (r#""a"b""#, None),
            (r#""a\""#, None),
        ] {
            assert_eq!(decode(value.as_bytes()).as_deref(), says, "{value}");
        }
        assert_eq!(decode(b"\xe9"), None);
    }
}
