//! The name of a stream, and the name its table has in SQL.
//! Always: a `StreamName` has been checked; it is safe as a file name, a URL segment and a NATS subject.

use std::{fmt, str::FromStr, sync::Arc};

/// Table names that the product itself uses; no stream may have one as its SQL name.
pub const SYSTEM_NAMES: [&str; 5] = ["rejects", "ledger", "streams", "information_schema", RESOLUTIONS];

/// The platform's own stream: what became of rejects after they were written. Nobody sends to it.
pub const RESOLUTIONS: &str = "resolutions";

const NAME_BYTES_MAX: usize = 200;

/// `[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*`, at most 200 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(Arc<str>);

impl StreamName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The table's name: dots and dashes become `_`.
    pub fn sql_name(&self) -> String {
        self.0.replace(['.', '-'], "_")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a stream name: {reason}")]
pub struct InvalidStreamName {
    pub name: String,
    pub reason: &'static str,
}

impl FromStr for StreamName {
    type Err = InvalidStreamName;

    fn from_str(text: &str) -> Result<StreamName, InvalidStreamName> {
        let refuse = |reason| Err(InvalidStreamName { name: text.chars().take(80).collect(), reason });
        if text.len() > NAME_BYTES_MAX {
            return refuse("it is longer than 200 bytes");
        }
        if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return refuse("it must start with a lower-case letter a-z");
        }
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        for part in text.split('.') {
            if part.is_empty() {
                return refuse("a dot must stand between two parts");
            }
            if !part.bytes().all(allowed) {
                return refuse("it may hold only a-z, 0-9, _, - and dots between parts");
            }
        }
        Ok(StreamName(text.into()))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "sensor.reading", "a-b_c.0.1", "launch.engine-2"] {
            assert_eq!(good.parse::<StreamName>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "a.", ".a", "a..b", "A", "1a", "a b", "a/b", "..", "é", &"a".repeat(201)] {
            assert!(bad.parse::<StreamName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_table_name_is_an_identifier() {
        assert_eq!("a-b.c".parse::<StreamName>().unwrap().sql_name(), "a_b_c");
    }
}
