//! The formats that assert: each says whether a text is one. All work on bytes of valid UTF-8 and in linear time.
//! Formats are those of JSON Schema 2020-12; where it points to an RFC, the RFC decides.

mod net;
mod time;
mod uri;

use hw_event::Timestamp;

pub(crate) use time::{
    NotTime, TIME_MAX, TIME_MIN, parse_date, parse_date_time, write_date, write_date_time,
};

/// An RFC 3339 date-time as fields of that format are read: digits behind the microsecond are cut. `None` also where
/// it lies outside of the years 0000 to 9999.
pub fn date_time(text: &str) -> Option<Timestamp> {
    parse_date_time(text.as_bytes()).ok().map(Timestamp)
}

/// A format of a string that stays a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TextFormat {
    Time,
    Email,
    Hostname,
    Ipv4,
    Ipv6,
    Uri,
    UriReference,
    Uuid,
    JsonPointer,
}

impl TextFormat {
    /// Each by the name that a schema gives it.
    pub const ALL: [(&str, TextFormat); 9] = [
        ("time", TextFormat::Time),
        ("email", TextFormat::Email),
        ("hostname", TextFormat::Hostname),
        ("ipv4", TextFormat::Ipv4),
        ("ipv6", TextFormat::Ipv6),
        ("uri", TextFormat::Uri),
        ("uri-reference", TextFormat::UriReference),
        ("uuid", TextFormat::Uuid),
        ("json-pointer", TextFormat::JsonPointer),
    ];

    pub fn from_name(name: &str) -> Option<TextFormat> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format)
    }

    /// What a message calls such a text.
    pub fn noun(self) -> &'static str {
        match self {
            TextFormat::Time => "a time such as 12:30:00Z",
            TextFormat::Email => "an e-mail address",
            TextFormat::Hostname => "a host name",
            TextFormat::Ipv4 => "an IPv4 address",
            TextFormat::Ipv6 => "an IPv6 address",
            TextFormat::Uri => "a URI with its scheme",
            TextFormat::UriReference => "a URI or a relative reference",
            TextFormat::Uuid => "a UUID",
            TextFormat::JsonPointer => "a JSON pointer",
        }
    }

    pub fn matches(self, text: &[u8]) -> bool {
        match self {
            TextFormat::Time => time::is_time(text),
            TextFormat::Email => net::is_email(text),
            TextFormat::Hostname => net::is_hostname(text),
            TextFormat::Ipv4 => net::is_ipv4(text),
            TextFormat::Ipv6 => net::is_ipv6(text),
            TextFormat::Uri => uri::is_uri(text),
            TextFormat::UriReference => uri::is_uri_reference(text),
            TextFormat::Uuid => is_uuid(text),
            TextFormat::JsonPointer => is_json_pointer(text),
        }
    }
}

/// RFC 4122 in either case, with its four dashes.
fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// RFC 6901: empty, or `/` before each part, with `~` only as `~0` and `~1`.
fn is_json_pointer(text: &[u8]) -> bool {
    let escapes_fine =
        text.split(|&byte| byte == b'~').skip(1).all(|rest| matches!(rest.first(), Some(b'0' | b'1')));
    (text.is_empty() || text[0] == b'/') && escapes_fine
}

#[cfg(test)]
mod tests;
