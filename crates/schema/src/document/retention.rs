//! `x-retention`: how long, or up to which size, a stream's rows are kept.

use std::time::Duration;

use super::{
    Reader,
    tree::{Node, Value},
};
use crate::schema::Retention;

const HINT: &str = "write \"30d\", or {\"age\": \"30d\", \"size\": \"10GiB\"} with one of the two or both";

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
                ("age" | "size", None) => self.error(&pointer, member.value.at, "this is no text", HINT),
                _ => self.error(&pointer, member.value.at, "x-retention has no such member", HINT),
            }
        }
        retention
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
            ("\"99999999999999999999d\"", "/x-retention"),
        ] {
            let fault = retention(bad).unwrap_err();
            assert!(fault.starts_with(&format!("{at}: ")), "{bad}: {fault}");
        }
    }
}
