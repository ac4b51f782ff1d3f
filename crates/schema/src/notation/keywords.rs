//! The annotations of all notations, and the keyword of our document that each stands for.
//! Always: an annotation means the same in every notation.

use serde_json::Value;

/// What is written behind an annotation's name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Literal {
    /// Nothing, or `true`.
    Present,
    /// `false`: as if it were not there.
    Absent,
    Text(String),
    Integer(i128),
    Float(f64),
    Other,
}

/// What the annotations of a field come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Keywords {
    pub privacy: Option<&'static str>,
    pub required: bool,
    pub key: bool,
    pub event_time: bool,
    /// Keywords of our document, as they stand there: of a list, they speak of the values in it.
    pub rules: Vec<(&'static str, Value)>,
    /// And those that speak of the field whatever it is: where the values of older rows come from.
    pub origin: Vec<(&'static str, Value)>,
}

/// What the annotations of the event's type, or of its file, come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Settings {
    /// This type is the event.
    pub event: bool,
    /// Keywords of the document's root.
    pub root: Vec<(&'static str, Value)>,
}

pub(crate) const FIELD_NAMES: &[&str] = &[
    "id",
    "subject",
    "hash",
    "hash.sha256",
    "tokenize",
    "drop",
    "key",
    "eventTime",
    "required",
    "time",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "precision",
    "scale",
    "tokenDomain",
    "tokenFormat",
    "renamedFrom",
    "from",
];
pub(crate) const TYPE_NAMES: &[&str] = &["id", "name", "event", "partitions", "mode", "extra", "retention"];

impl Keywords {
    /// Takes in one annotation. `Err`: what is wrong with it.
    pub fn add(&mut self, name: &str, value: &Literal) -> Result<(), String> {
        let protection = |name: &str| {
            Some(match name {
                "id" | "subject" => "subject",
                "hash" | "hash.sha256" => "hash",
                "tokenize" => "tokenize",
                "drop" => "drop",
                _ => return None,
            })
        };
        if let Some(protection) = protection(name) {
            if *value == Literal::Absent {
                return Ok(());
            }
            if self.privacy.is_some_and(|privacy| privacy != protection) {
                return Err("a field has one protection, here are two".to_owned());
            }
            self.privacy = Some(protection);
            return Ok(());
        }
        match (name, value) {
            ("key" | "eventTime" | "required", Literal::Absent) => {}
            ("key", Literal::Present) => self.key = true,
            ("eventTime", Literal::Present) => self.event_time = true,
            ("required", Literal::Present) => self.required = true,
            ("time", Literal::Text(text)) => self.rules.push(("x-time", Value::from(text.as_str()))),
            ("format", Literal::Text(text)) => self.rules.push(("format", Value::from(text.as_str()))),
            ("pattern", Literal::Text(text)) => self.rules.push(("pattern", Value::from(text.as_str()))),
            ("minimum", value) => self.rules.push(("minimum", number(value)?)),
            ("maximum", value) => self.rules.push(("maximum", number(value)?)),
            ("minLength", Literal::Integer(_)) => self.rules.push(("minLength", number(value)?)),
            ("maxLength", Literal::Integer(_)) => self.rules.push(("maxLength", number(value)?)),
            ("precision", Literal::Integer(_)) => self.rules.push(("x-precision", number(value)?)),
            ("scale", Literal::Integer(_)) => self.rules.push(("x-scale", number(value)?)),
            ("tokenDomain", Literal::Text(text)) => {
                self.rules.push(("x-token-domain", Value::from(text.as_str())));
            }
            ("tokenFormat", Literal::Text(text)) => {
                self.rules.push(("x-token-format", Value::from(text.as_str())));
            }
            ("renamedFrom", Literal::Text(text)) => {
                self.origin.push(("x-renamed-from", Value::from(text.as_str())));
            }
            ("from", Literal::Text(text)) => self.origin.push(("x-from", Value::from(text.as_str()))),
            _ if FIELD_NAMES.contains(&name) => return Err(format!("{name} does not take this value")),
            _ => return Err(format!("{name} says nothing about a field")),
        }
        Ok(())
    }
}

impl Settings {
    pub fn add(&mut self, name: &str, value: &Literal) -> Result<(), String> {
        match (name, value) {
            (_, Literal::Absent) => {}
            ("event" | "id", Literal::Present) => self.event = true,
            // The schema's own name; the stream's is the file's.
            ("id" | "name", Literal::Text(text)) => {
                self.event |= name == "id";
                self.root.push(("title", Value::from(text.as_str())));
            }
            ("partitions", Literal::Integer(_)) => self.root.push(("x-partitions", number(value)?)),
            ("mode", Literal::Text(text)) => self.root.push(("x-mode", Value::from(text.as_str()))),
            ("retention", Literal::Text(text)) => {
                // More than an age is the object that JSON Schema has there, as text.
                let object = Some(text).filter(|text| text.trim_start().starts_with('{'));
                let value = object.and_then(|text| serde_json::from_str(text).ok());
                self.root.push(("x-retention", value.unwrap_or_else(|| Value::from(text.as_str()))));
            }
            ("extra", Literal::Text(text)) => self.root.push(("x-extra", Value::from(text.as_str()))),
            _ if TYPE_NAMES.contains(&name) => return Err(format!("{name} does not take this value")),
            _ => return Err(format!("{name} says nothing about a whole event")),
        }
        Ok(())
    }
}

fn number(value: &Literal) -> Result<Value, String> {
    match value {
        Literal::Integer(value) => {
            i64::try_from(*value).map(Value::from).map_err(|_| "the number is beyond 64 bits".to_owned())
        }
        Literal::Float(value) => serde_json::Number::from_f64(*value)
            .map(Value::Number)
            .ok_or_else(|| "this is no number".to_owned()),
        _ => Err("a number is expected here".to_owned()),
    }
}
