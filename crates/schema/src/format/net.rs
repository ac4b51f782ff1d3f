//! Names and addresses of the internet.

/// RFC 2673's dotted quad: four numbers of 0 to 255 without leading zeros.
pub(super) fn is_ipv4(text: &[u8]) -> bool {
    let mut parts = 0;
    let fine = text.split(|&byte| byte == b'.').all(|part| {
        parts += 1;
        let plain = (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
        let value = || part.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
        plain && (part.len() == 1 || part[0] != b'0') && value() <= 255
    });
    fine && parts == 4
}

/// RFC 4291, without a zone.
pub(super) fn is_ipv6(text: &[u8]) -> bool {
    // The standard library reads exactly this notation; its zone syntax needs brackets, which it does not take.
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::Ipv6Addr>().is_ok())
}

/// RFC 1123: labels of letters, digits and inner dashes, at most 63 each and 253 in all. A label that is encoded
/// (`xn--`) is refused unless its rest is plausible ASCII; labels with dashes in third and fourth place are reserved.
pub(super) fn is_hostname(text: &[u8]) -> bool {
    const NAME_BYTES_MAX: usize = 253;
    text.len() <= NAME_BYTES_MAX && text.split(|&byte| byte == b'.').all(is_label)
}

fn is_label(label: &[u8]) -> bool {
    const LABEL_BYTES_MAX: usize = 63;
    let reserved = label.get(2..4) == Some(b"--");
    let encoded = label.len() > 4 && label[..4].eq_ignore_ascii_case(b"xn--");
    (1..=LABEL_BYTES_MAX).contains(&label.len())
        && label.iter().all(|&byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && label.first() != Some(&b'-')
        && label.last() != Some(&b'-')
        && (!reserved || encoded)
}

/// RFC 5321's mailbox: a dot-string or a quoted string, `@`, and a host name or an address in brackets.
pub(super) fn is_email(text: &[u8]) -> bool {
    const LOCAL_BYTES_MAX: usize = 64;
    let Some(at) = text.iter().rposition(|&byte| byte == b'@') else { return false };
    let (local, domain) = (&text[..at], &text[at + 1..]);
    let local_fine = match local {
        [b'"', inner @ .., b'"'] => is_quoted(inner),
        _ => local.split(|&byte| byte == b'.').all(|atom| !atom.is_empty() && atom.iter().all(is_atom_byte)),
    };
    let domain_fine = match domain {
        [b'[', address @ .., b']'] => match address.strip_prefix(b"IPv6:") {
            Some(address) => is_ipv6(address),
            None => is_ipv4(address),
        },
        _ => is_hostname(domain),
    };
    local.len() <= LOCAL_BYTES_MAX && local_fine && domain_fine
}

fn is_atom_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(byte)
}

fn is_quoted(inner: &[u8]) -> bool {
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        let fine = match byte {
            b'\\' => bytes.next().is_some_and(|escaped| (b' '..=b'~').contains(escaped)),
            b'"' => false,
            _ => (b' '..=b'~').contains(byte),
        };
        if !fine {
            return false;
        }
    }
    true
}
