//! The types a setting can have, and how each is read from text or from TOML.
//! Always: what has been read is valid by itself. Knows no setting by name.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use hw_event::{Ack, StreamName};
use toml::de::DeValue;

/// Why a value cannot be taken, and what would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    pub message: String,
    pub hint: String,
}

impl Unfit {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Unfit {
        Unfit { message: message.into(), hint: hint.into() }
    }
}

pub trait Value: Sized {
    /// What the reference calls this type, with an example.
    const TYPE: &'static str;

    /// From an environment variable or `--set`, or from a TOML string.
    fn from_text(text: &str) -> Result<Self, Unfit>;

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Unfit> {
        match value {
            DeValue::String(text) => Self::from_text(text),
            other => Err(wrong_type::<Self>(other)),
        }
    }

    /// Whether a setting of this type may be absent without a default.
    const OPTIONAL: bool = false;

    /// The value of a setting that is absent without a default; `None`: it must be given.
    fn absent() -> Option<Self> {
        None
    }
}

fn wrong_type<T: Value>(found: &DeValue<'_>) -> Unfit {
    Unfit::new(format!("expected {}, found {}", T::TYPE, found.type_str()), "")
}

impl<T: Value> Value for Option<T> {
    const TYPE: &'static str = T::TYPE;
    const OPTIONAL: bool = true;

    fn from_text(text: &str) -> Result<Self, Unfit> {
        T::from_text(text).map(Some)
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Self, Unfit> {
        T::from_toml(value).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl Value for bool {
    const TYPE: &'static str = "true or false";

    fn from_text(text: &str) -> Result<bool, Unfit> {
        text.parse().map_err(|_| Unfit::new(format!("expected true or false, found {text:?}"), ""))
    }

    fn from_toml(value: &DeValue<'_>) -> Result<bool, Unfit> {
        value.as_bool().ok_or_else(|| wrong_type::<bool>(value))
    }
}

/// A whole number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count(u32);

impl Count {
    pub fn get(self) -> usize {
        self.0 as usize
    }
}

impl Value for Count {
    const TYPE: &'static str = "a whole number";

    fn from_text(text: &str) -> Result<Count, Unfit> {
        match text.replace('_', "").parse::<u32>() {
            Ok(count) if count > 0 => Ok(Count(count)),
            _ => {
                Err(Unfit::new(format!("expected a whole number from 1 to {}, found {text:?}", u32::MAX), ""))
            }
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<Count, Unfit> {
        match value {
            DeValue::Integer(number) if number.radix() == 10 => Count::from_text(number.as_str()),
            other => Err(wrong_type::<Count>(other)),
        }
    }
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(u64);

impl ByteSize {
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// For buffers; saturates where a size does not fit the machine.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

const SIZE_UNITS: &[(&str, u64)] = &[
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// Larger sizes are a slip of the keyboard.
const SIZE_MAX: u64 = 1 << 50;

impl Value for ByteSize {
    const TYPE: &'static str = "a size such as \"64MiB\"";

    fn from_text(text: &str) -> Result<ByteSize, Unfit> {
        let hint = "write a number and one of B, KiB, MiB, GiB, TiB, kB, MB, GB, TB, for example \"64MiB\"";
        let (number, unit) = split_unit(text);
        let unit = SIZE_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, bytes)| *bytes);
        match (number.parse::<u64>(), unit) {
            (Ok(number), Some(unit)) => match number.checked_mul(unit) {
                Some(0) => Err(Unfit::new("a size must be at least 1 byte", "")),
                Some(bytes) if bytes <= SIZE_MAX => Ok(ByteSize(bytes)),
                _ => Err(Unfit::new(format!("the size {text:?} is over 1024TiB"), "")),
            },
            _ => Err(Unfit::new(format!("{text:?} is not a size"), hint)),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<ByteSize, Unfit> {
        match value {
            DeValue::Integer(number) if number.radix() == 10 => ByteSize::from_text(number.as_str()),
            DeValue::String(text) => ByteSize::from_text(text),
            other => Err(wrong_type::<ByteSize>(other)),
        }
    }
}

const DURATION_UNITS: &[(&str, u64)] =
    &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A hundred years: larger durations are a slip of the keyboard.
const DURATION_MILLIS_MAX: u64 = 100 * 366 * 86_400_000;

impl Value for Duration {
    const TYPE: &'static str = "a duration such as \"2s\"";

    fn from_text(text: &str) -> Result<Duration, Unfit> {
        let hint = "write a whole number and one of ms, s, m, h, d, for example \"2s\"";
        let (number, unit) = split_unit(text);
        let unit = DURATION_UNITS.iter().find(|(name, _)| *name == unit).map(|(_, millis)| *millis);
        match (number.parse::<u64>(), unit) {
            (Ok(number), Some(unit)) => match number.checked_mul(unit) {
                Some(0) => Err(Unfit::new("a duration must be at least 1ms", "")),
                Some(millis) if millis <= DURATION_MILLIS_MAX => Ok(Duration::from_millis(millis)),
                _ => Err(Unfit::new(format!("the duration {text:?} is over a hundred years"), "")),
            },
            _ => Err(Unfit::new(format!("{text:?} is not a duration"), hint)),
        }
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (&text[..digits], text[digits..].trim_start())
}

/// An address on this machine's loopback interface. Port 0 takes any free port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopbackAddress(SocketAddr);

impl LoopbackAddress {
    pub fn socket(self) -> SocketAddr {
        self.0
    }
}

impl Value for LoopbackAddress {
    const TYPE: &'static str = "an address such as \"127.0.0.1:8080\"";

    fn from_text(text: &str) -> Result<LoopbackAddress, Unfit> {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse::<u16>().ok());
        let address = match local {
            Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            None => text.parse::<SocketAddr>().map_err(|_| {
                Unfit::new(
                    format!("{text:?} is not an address"),
                    "write an IP address and a port, for example \"127.0.0.1:8080\"; port 0 takes any free port",
                )
            })?,
        };
        let loopback = match address.ip() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        if !loopback {
            return Err(Unfit::new(
                format!("{address} is not a loopback address"),
                "there is no authentication yet, so whoever reaches the port could write and read everything; \
                 bind to 127.0.0.1 or [::1] and put a proxy that authenticates in front",
            ));
        }
        Ok(LoopbackAddress(address))
    }
}

impl Value for PathBuf {
    const TYPE: &'static str = "a path";

    fn from_text(text: &str) -> Result<PathBuf, Unfit> {
        if text.is_empty() || text.contains('\0') {
            return Err(Unfit::new(format!("{text:?} is not a path"), ""));
        }
        Ok(PathBuf::from(text))
    }
}

impl Value for StreamName {
    const TYPE: &'static str = "a stream's name";

    fn from_text(text: &str) -> Result<StreamName, Unfit> {
        text.parse().map_err(|error: hw_event::InvalidStreamName| {
            Unfit::new(error.to_string(), "a stream is named as its schema's file, without the extension")
        })
    }
}

impl Value for Ack {
    const TYPE: &'static str = "\"disk\", \"os\" or \"memory\"";

    fn from_text(text: &str) -> Result<Ack, Unfit> {
        text.parse().map_err(|error: hw_event::UnknownAck| Unfit::new(error.to_string(), ""))
    }
}

/// How the records of a TCP listener are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpFormat {
    /// `id=…&tp=…&ts=…`
    Kv,
    /// One JSON object a line.
    Ndjson,
}

impl Value for TcpFormat {
    const TYPE: &'static str = "\"kv\" or \"ndjson\"";

    fn from_text(text: &str) -> Result<TcpFormat, Unfit> {
        match text {
            "kv" => Ok(TcpFormat::Kv),
            "ndjson" => Ok(TcpFormat::Ndjson),
            _ => Err(Unfit::new(format!("unknown format {text:?}"), "it is one of \"kv\" and \"ndjson\"")),
        }
    }
}

/// How many digits the `ts` that ends a kv record has: 10 are seconds, 13 milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TsDigits(u8);

impl TsDigits {
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

impl Value for TsDigits {
    const TYPE: &'static str = "10 or 13";

    fn from_text(text: &str) -> Result<TsDigits, Unfit> {
        match text {
            "10" => Ok(TsDigits(10)),
            "13" => Ok(TsDigits(13)),
            _ => Err(Unfit::new(
                format!("{text:?} digits are neither seconds nor milliseconds"),
                "10 digits are seconds since 1970, 13 are milliseconds",
            )),
        }
    }

    fn from_toml(value: &DeValue<'_>) -> Result<TsDigits, Unfit> {
        match value {
            DeValue::Integer(number) if number.radix() == 10 => TsDigits::from_text(number.as_str()),
            other => Err(wrong_type::<TsDigits>(other)),
        }
    }
}

/// Keys of kv records and the fields of the schema they stand for. No two keys name one field.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldMap(pub BTreeMap<String, String>);

impl Value for FieldMap {
    const TYPE: &'static str = "a table such as {tp=\"type\"}";

    fn from_text(text: &str) -> Result<FieldMap, Unfit> {
        if text.trim().is_empty() {
            return Ok(FieldMap::default());
        }
        let value = DeValue::parse(text)
            .map_err(|error| Unfit::new(format!("not a TOML table: {}", error.message()), ""))?;
        FieldMap::from_toml(value.get_ref())
    }

    fn from_toml(value: &DeValue<'_>) -> Result<FieldMap, Unfit> {
        let table = value.as_table().ok_or_else(|| wrong_type::<FieldMap>(value))?;
        let mut map = BTreeMap::new();
        for (key, field) in table {
            let key = key.get_ref();
            let Some(field) = field.get_ref().as_str() else {
                return Err(Unfit::new(format!("the field of {key:?} must be a string"), ""));
            };
            if key.is_empty() || field.is_empty() {
                return Err(Unfit::new("a key and its field must not be empty", ""));
            }
            if let Some((other, _)) = map.iter().find(|(_, known)| *known == field) {
                return Err(Unfit::new(format!("{other:?} and {key:?} both name the field {field:?}"), ""));
            }
            map.insert(key.to_string(), field.to_owned());
        }
        Ok(FieldMap(map))
    }
}

/// What the log holds: a level, or directives such as `info,hw_lake=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(pub String);

impl Value for LogFilter {
    const TYPE: &'static str = "a level such as \"info\"";

    fn from_text(text: &str) -> Result<LogFilter, Unfit> {
        match text.parse::<tracing_subscriber::filter::Targets>() {
            Ok(_) => Ok(LogFilter(text.to_owned())),
            Err(_) => Err(Unfit::new(
                format!("{text:?} is not a log level"),
                "it is one of off, error, warn, info, debug, trace, or directives such as \"info,hw_lake=debug\"",
            )),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Value for LogFormat {
    const TYPE: &'static str = "\"text\" or \"json\"";

    fn from_text(text: &str) -> Result<LogFormat, Unfit> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(Unfit::new(format!("unknown format {text:?}"), "it is one of \"text\" and \"json\"")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_exact() {
        let size = |text| ByteSize::from_text(text).map(ByteSize::bytes).map_err(|_| ());
        assert_eq!(size("64MiB"), Ok(64 << 20));
        assert_eq!(size("1 GB"), Ok(1_000_000_000));
        assert_eq!(size("17"), Ok(17));
        for bad in ["", "MiB", "-1B", "1.5GiB", "64mib", "0", "99999999TiB", "1e3"] {
            assert_eq!(size(bad), Err(()), "{bad:?}");
        }
        let duration = |text| Duration::from_text(text).map_err(|_| ());
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30d"), Ok(Duration::from_secs(30 * 86_400)));
        for bad in ["", "2", "s", "0s", "-1s", "2sec", "99999999999d"] {
            assert_eq!(duration(bad), Err(()), "{bad:?}");
        }
    }

    #[test]
    fn only_loopback_is_taken() {
        for good in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:8080", "localhost:9"] {
            assert!(LoopbackAddress::from_text(good).is_ok(), "{good}");
        }
        for bad in
            ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "8080", ":8080", "example.org:80", "[::ffff:127.0.0.1]:1"]
        {
            assert!(LoopbackAddress::from_text(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_field_is_named_once() {
        assert!(FieldMap::from_text(r#"{tp="type",un="unit"}"#).is_ok());
        assert!(FieldMap::from_text(r#"{a="x",b="x"}"#).is_err());
        assert!(FieldMap::from_text("[1]").is_err());
        assert!(FieldMap::from_text("{a=1}").is_err());
    }
}
