//! RFC 3986, by its grammar: which bytes may stand where. Nothing is resolved or decoded.

/// Has a scheme.
pub(super) fn is_uri(text: &[u8]) -> bool {
    let Some(colon) = text.iter().position(|&byte| byte == b':') else { return false };
    let (scheme, rest) = (&text[..colon], &text[colon + 1..]);
    let scheme_fine = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    scheme_fine && is_hierarchy(rest)
}

pub(super) fn is_uri_reference(text: &[u8]) -> bool {
    if is_uri(text) {
        return true;
    }
    // The first segment of a relative path has no colon: it would be a scheme.
    let first = text.split(|byte| b"/?#".contains(byte)).next().unwrap_or_default();
    !first.contains(&b':') && is_hierarchy(text)
}

/// `[//authority] path [?query] [#fragment]`.
fn is_hierarchy(text: &[u8]) -> bool {
    let (text, fragment) = split_at_first(text, b'#');
    let (text, query) = split_at_first(text, b'?');
    let path = match text.strip_prefix(b"//") {
        None => text,
        Some(rest) => {
            let end = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
            if !is_authority(&rest[..end]) {
                return false;
            }
            &rest[end..]
        }
    };
    let extra = |text: &[u8]| is_made_of(text, b":@/?");
    is_made_of(path, b":@/") && fragment.is_none_or(extra) && query.is_none_or(extra)
}

/// `[userinfo@] host [:port]`.
fn is_authority(text: &[u8]) -> bool {
    let (user, host_port) = match text.iter().rposition(|&byte| byte == b'@') {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (&[][..], text),
    };
    let (host_fine, port) = match host_port.strip_prefix(b"[") {
        Some(rest) => {
            let Some(end) = rest.iter().position(|&byte| byte == b']') else { return false };
            (is_literal(&rest[..end]), &rest[end + 1..])
        }
        None => {
            let end = host_port.iter().position(|&byte| byte == b':').unwrap_or(host_port.len());
            (is_made_of(&host_port[..end], b""), &host_port[end..])
        }
    };
    let port_fine = match port.split_first() {
        None => true,
        Some((colon, digits)) => *colon == b':' && digits.iter().all(u8::is_ascii_digit),
    };
    is_made_of(user, b":") && host_fine && port_fine
}

/// An address in brackets: IPv6, or a future one with its version.
fn is_literal(text: &[u8]) -> bool {
    match text.strip_prefix(b"v").or_else(|| text.strip_prefix(b"V")) {
        None => super::net::is_ipv6(text),
        Some(future) => match split_at_first(future, b'.') {
            (version, Some(address)) => {
                !version.is_empty()
                    && version.iter().all(u8::is_ascii_hexdigit)
                    && !address.is_empty()
                    && !address.contains(&b'%')
                    && is_made_of(address, b":")
            }
            _ => false,
        },
    }
}

/// Only unreserved bytes, sub-delimiters, `%XX` and those of `extra`.
fn is_made_of(text: &[u8], extra: &[u8]) -> bool {
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'%' => {
                bytes.next().is_some_and(u8::is_ascii_hexdigit)
                    && bytes.next().is_some_and(u8::is_ascii_hexdigit)
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(byte) || extra.contains(byte),
        };
        if !fine {
            return false;
        }
    }
    true
}

fn split_at_first(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&other| other == byte) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    }
}
