//! `x-retention`: how long, or up to which size, a stream's rows are kept, and whether only the last of each key is.

use std::time::Duration;

use super::{
    Reader,
    tree::{Node, Value},
};
use crate::schema::{Kind, Object, Privacy, Retention};

const HINT: &str =
    "write \"30d\", or {\"age\": \"30d\", \"size\": \"10GiB\", \"compact\": \"1h\"} with any of them";

impl<'d> Reader<'d> {
    pub(super) fn retention(&mut self, node: &'d Node) -> Retention {
        let Some(found) = node.get("x-retention") else { return Retention::default() };
        let mut retention = Retention::default();
        if let Some(text) = found.text() {
            retention.age = self.age("/x-retention", found.at, text);
            return retention;
        }
        if !matches!(found.value, Value::Object(_)) || found.members().is_empty() {
            self.error("/x-retention", found.at, "x-retention is a duration or an object", HINT);
            return retention;
        }
        for member in found.members() {
            let (pointer, text) = (format!("/x-retention/{}", member.name), member.value.text());
            match (member.name.as_str(), text) {
                ("age", Some(text)) => retention.age = self.age(&pointer, member.value.at, text),
                ("size", Some(text)) => match size(text) {
                    Some(bytes) => retention.bytes = Some(bytes),
                    None => self.error(&pointer, member.value.at, "this is no size", "write \"10GiB\""),
                },
                ("compact", Some(text)) => retention.compact = self.age(&pointer, member.value.at, text),
                ("deleted", Some(text)) => retention.deleted = Some(text.to_owned()),
                ("age" | "size" | "compact" | "deleted", None) => {
                    self.error(&pointer, member.value.at, "this is no text", HINT)
                }
                _ => self.error(&pointer, member.value.at, "x-retention has no such member", HINT),
            }
        }
        retention
    }

    /// Whether what it says of keys fits the event; known once the fields and the key are.
    pub(super) fn check_retention(&mut self, node: &'d Node, root: &Object, key: &[String]) {
        let Some(found) = node.get("x-retention") else { return };
        if let Some(compact) = found.get("compact") {
            let pointer = "/x-retention/compact";
            let dropped = |name: &&String| {
                let field = root.fields.iter().find(|field| field.name == **name);
                field.is_some_and(|field| field.privacy == Some(Privacy::Drop))
            };
            if node.get("x-key").is_none() {
                let hint = "name the fields that say what an event is about in x-key";
                self.error(
                    pointer,
                    compact.at,
                    "only a stream with x-key has a last event of each key",
                    hint,
                );
            } else if let Some(name) = key.iter().find(dropped) {
                let message = format!("{name:?} of x-key is not stored, so events of one key cannot be told");
                self.error(pointer, compact.at, message, "protect it with \"hash\" or \"tokenize\"");
            }
        }
        let Some(deleted) = found.get("deleted") else { return };
        let (pointer, name) = ("/x-retention/deleted", deleted.text().unwrap_or_default());
        let field = root.fields.iter().find(|field| field.name == name);
        if found.get("compact").is_none() {
            let hint = "add \"compact\": \"1h\", or leave it out";
            self.error(pointer, deleted.at, "without compact no event is a deletion mark", hint);
        } else if !field.is_some_and(|field| matches!(field.kind, Kind::Boolean) && field.privacy.is_none()) {
            let hint = "name a property of the root with \"type\": \"boolean\" and without x-privacy";
            self.error(pointer, deleted.at, "the deletion mark is no boolean of the event", hint);
        }
    }

    fn age(&mut self, pointer: &str, at: usize, text: &str) -> Option<Duration> {
        let age = age(text);
        if age.is_none() {
            self.error(pointer, at, "this is no duration", "write \"30d\", \"12h\", \"90m\" or \"45s\"");
        }
        age
    }
}

fn number(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|sign: char| !sign.is_ascii_digit()).unwrap_or(text.len());
    let (count, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    count.parse::<u64>().ok()?.checked_mul(*factor).filter(|value| *value > 0)
}

/// Nothing is kept for more than ten thousand years.
fn age(text: &str) -> Option<Duration> {
    let seconds = number(text, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)])?;
    (seconds <= 3_652_500 * 86_400).then(|| Duration::from_secs(seconds))
}

fn size(text: &str) -> Option<u64> {
    number(text, &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::Schema;

    fn retention(text: &str) -> Result<(Option<Duration>, Option<u64>), String> {
        match Schema::parse(&format!("{{\"type\":\"object\",\"x-retention\":{text}}}")) {
            Ok(checked) => {
                let retention = checked.schema.retention();
                Ok((retention.age, retention.bytes))
            }
            Err(faults) => Err(format!("{}: {}", faults[0].pointer, faults[0].message)),
        }
    }

    #[test]
    fn an_age_a_size_or_both() {
        assert_eq!(retention("\"30d\""), Ok((Some(Duration::from_secs(30 * 86_400)), None)));
        assert_eq!(retention("{\"size\":\"2MiB\"}"), Ok((None, Some(2 << 20))));
        let both = Ok((Some(Duration::from_secs(45)), Some(1)));
        assert_eq!(retention("{\"age\":\"45s\",\"size\":\"1B\"}"), both);
        for (bad, at) in [
            ("\"\"", "/x-retention"),
            ("\"0d\"", "/x-retention"),
            ("\"7 days\"", "/x-retention"),
            ("7", "/x-retention"),
            ("{}", "/x-retention"),
            ("{\"size\":\"2MB\"}", "/x-retention/size"),
            ("{\"age\":7}", "/x-retention/age"),
            ("{\"rows\":\"7\"}", "/x-retention/rows"),
            ("{\"compact\":\"1h\"}", "/x-retention/compact"),
            ("\"99999999999999999999d\"", "/x-retention"),
        ] {
            let fault = retention(bad).unwrap_err();
            assert!(fault.starts_with(&format!("{at}: ")), "{bad}: {fault}");
        }
    }
    #[test]
    fn the_last_of_each_key() {
        let parse = |key: &str, retention: &str| {
            Schema::parse(&format!(
                r#"{{"type":"object","required":["id","pin","name"],"x-key":{key},"x-retention":{retention},
                "properties":{{"id":{{"type":"integer"}},"pin":{{"type":"string","x-privacy":"drop"}},
                "name":{{"type":"string","x-privacy":"hash"}},"gone":{{"type":"boolean"}},
                "hidden":{{"type":"boolean","x-privacy":"hash"}}}}}}"#
            ))
        };
        let retention = parse("[\"id\",\"name\"]", r#"{"compact":"1h","age":"2d","deleted":"gone"}"#);
        let retention = retention.unwrap().schema.retention().clone();
        assert_eq!(retention.compact, Some(Duration::from_secs(3600)));
        assert_eq!(retention.age, Some(Duration::from_secs(2 * 86_400)));
        assert_eq!(retention.deleted.as_deref(), Some("gone"));
        for (key, bad, at) in [
            ("[\"pin\"]", r#"{"compact":"1h"}"#, "/x-retention/compact"),
            ("[\"id\"]", r#"{"compact":true}"#, "/x-retention/compact"),
            ("[\"id\"]", r#"{"age":"1h","deleted":"gone"}"#, "/x-retention/deleted"),
            ("[\"id\"]", r#"{"compact":"1h","deleted":"id"}"#, "/x-retention/deleted"),
            ("[\"id\"]", r#"{"compact":"1h","deleted":"hidden"}"#, "/x-retention/deleted"),
            ("[\"id\"]", r#"{"compact":"1h","deleted":"nobody"}"#, "/x-retention/deleted"),
        ] {
            let faults = parse(key, bad).unwrap_err();
            assert!(faults.iter().any(|fault| fault.pointer == at), "{bad}: {faults:?}");
        }
    }
}
