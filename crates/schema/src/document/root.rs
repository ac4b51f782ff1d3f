//! The root of a document: an object, and what its keywords say of the stream.

use super::{
    KEY_FIELDS_MAX, PARTITIONS_MAX, Reader, Settings,
    field::{Place, short},
    join,
    tree::{Node, Value},
};
use crate::schema::{Extra, Kind, Mode, Object, Privacy};

impl<'d> Reader<'d> {
    /// `None` where something is wrong; what, has been noted.
    pub(super) fn root(&mut self, node: &'d Node) -> Option<(Object, Settings)> {
        const DIALECTS: [&str; 2] =
            ["https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema"];
        if let Some(dialect) = node.get("$schema") {
            let name = dialect.text().map(|name| name.trim_end_matches('#'));
            if !name.is_some_and(|name| DIALECTS.contains(&name)) {
                let hint = "use https://json-schema.org/draft/2020-12/schema or leave it out";
                self.error("/$schema", dialect.at, "this dialect of JSON Schema is not built yet", hint);
            }
        }
        let place = Place { pointer: "", level: 0, repeated: false, always: true };
        let root = match node.get("$ref") {
            Some(found) => {
                self.not_built("/$ref", found.at, "a $ref at the root");
                return None;
            }
            None => {
                let found = self.type_of(node, "")?;
                self.keywords(node, "", found.name, true);
                if found.name != "object" || found.nullable {
                    let at = node.get("type").map_or(node.at, |found| found.at);
                    self.error(
                        "/type",
                        at,
                        "an event is an object",
                        "write \"type\": \"object\" at the root",
                    );
                    return None;
                }
                for keyword in ["enum", "const", "x-privacy"] {
                    if let Some(found) = node.get(keyword) {
                        self.not_built(&join("", keyword), found.at, format_args!("{keyword} at the root"));
                    }
                }
                self.object(node, place)
            }
        };
        let partitions = self.partitions(node);
        let mode = self.choice(node, "x-mode", &[("dlq", Mode::Dlq), ("reject", Mode::Reject)]);
        let extra = self.choice(
            node,
            "x-extra",
            &[("keep", Extra::Keep), ("refuse", Extra::Refuse), ("drop", Extra::Drop)],
        );
        let mut root = root?;
        let key = self.key(node, &mut root);
        let event_time = self.event_time(node, &mut root);
        Some((root, Settings { key, partitions, mode: mode.unwrap_or_default(), extra, event_time }))
    }

    fn choice<T: Copy>(&mut self, node: &Node, keyword: &str, choices: &[(&str, T)]) -> Option<T> {
        let found = node.get(keyword)?;
        let chosen = choices.iter().find(|(name, _)| found.text() == Some(name));
        if chosen.is_none() {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            let hint = format!("it is one of {}", names.join(", "));
            self.error(&join("", keyword), found.at, format!("{keyword} has no such value"), &hint);
        }
        chosen.map(|(_, value)| *value)
    }

    fn partitions(&mut self, node: &Node) -> i32 {
        let Some(found) = node.get("x-partitions") else { return 1 };
        let count = match &found.value {
            Value::Number(exact) => exact.to_i128().ok().filter(|count| (1..=PARTITIONS_MAX).contains(count)),
            _ => None,
        };
        match count.and_then(|count| i32::try_from(count).ok()) {
            Some(count) => count,
            None => {
                let message = format!("x-partitions is an integer from 1 to {PARTITIONS_MAX}");
                self.error("/x-partitions", found.at, message, "it is fixed for the stream's life");
                1
            }
        }
    }

    fn key(&mut self, node: &Node, root: &mut Object) -> Vec<String> {
        let Some(found) = node.get("x-key") else { return Vec::new() };
        let Some(items) = found.items().filter(|items| (1..=KEY_FIELDS_MAX).contains(&items.len())) else {
            let message = format!("x-key is a list of 1 to {KEY_FIELDS_MAX} names");
            self.error("/x-key", found.at, message, "write [\"NAME\", …]");
            return Vec::new();
        };
        let mut key = Vec::with_capacity(items.len());
        for (slot, item) in items.iter().enumerate() {
            let pointer = join("/x-key", &slot.to_string());
            let name = item.text().unwrap_or_default();
            let Some(field) = root.fields.iter_mut().find(|field| field.name == name) else {
                let message = format!("x-key names {:?}, which is no property of the root", short(name));
                self.error(&pointer, item.at, message, "name a property");
                continue;
            };
            let reason = match () {
                () if field.key_slot.is_some() => "x-key names a field twice",
                () if !field.kind.is_scalar() => "a key's fields are single values",
                () if !field.required || field.nullable => "a key's fields are in every event",
                () => {
                    field.key_slot = Some(slot);
                    key.push(name.to_owned());
                    continue;
                }
            };
            self.error(&pointer, item.at, reason, "make it a required scalar without null, named once");
        }
        key
    }

    fn event_time(&mut self, node: &Node, root: &mut Object) -> Option<String> {
        let found = node.get("x-event-time")?;
        let name = found.text().unwrap_or_default();
        let Some(field) = root.fields.iter_mut().find(|field| field.name == name) else {
            let message = format!("x-event-time names {:?}, which is no property of the root", short(name));
            self.error("/x-event-time", found.at, message, "name a property");
            return None;
        };
        if !matches!(field.kind, Kind::DateTime(_) | Kind::Time(_)) {
            let hint = "give it \"format\": \"date-time\", or x-time on a number";
            self.error("/x-event-time", found.at, "the event's time is no time", hint);
            return None;
        }
        if matches!(field.privacy, Some(Privacy::Hash | Privacy::Drop)) {
            let hint = "its clear value would stand in _time";
            self.error("/x-event-time", found.at, "the event's time cannot be a protected field", hint);
            return None;
        }
        field.is_event_time = true;
        Some(name.to_owned())
    }
}
