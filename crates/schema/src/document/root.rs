//! The root of a document: an object, and what its keywords say of the stream.

use std::collections::BTreeMap;

use jsonschema::Draft;

use super::{
    KEY_FIELDS_MAX, PARTITIONS_MAX, Reader, Settings,
    field::{Place, short},
    join,
    keyword::did_you_mean,
    reference::Target,
    residual::{Beside, combined},
    tree::{Node, Value},
    words::{Word, word},
};
use crate::{
    decode::names::FieldNames,
    guard::Guard,
    notation::{Notation, NotationText},
    schema::{Extra, Field, Kind, Mode, Object, Privacy},
};

impl<'d> Reader<'d> {
    /// `None` where something is wrong; what, has been noted.
    pub(super) fn root(&mut self, node: &'d Node) -> Option<(Object, Settings)> {
        if let Some(dialect) = node.get("$schema") {
            match dialect.text().map(|name| name.trim_end_matches('#')) {
                Some("https://json-schema.org/draft/2020-12/schema") => {}
                Some("http://json-schema.org/draft-07/schema") => self.draft = Draft::Draft7,
                _ => {
                    let hint = "use https://json-schema.org/draft/2020-12/schema or \
                                http://json-schema.org/draft-07/schema, or leave it out";
                    self.error("/$schema", dialect.at, "we do not read this dialect of JSON Schema", hint);
                }
            }
        }
        let extra = self.choice(
            node,
            "x-extra",
            &[("keep", Extra::Keep), ("refuse", Extra::Refuse), ("drop", Extra::Drop)],
        );
        self.extra = extra;
        let root = self.root_object(node);
        let partitions = self.partitions(node);
        let mode = self.choice(node, "x-mode", &[("dlq", Mode::Dlq), ("reject", Mode::Reject)]);
        let retention = self.retention(node);
        let (mut root, guard) = root?;
        let key = self.key(node, &mut root);
        self.check_retention(node, &root, &key);
        let event_time = self.event_time(node, &mut root);
        // What the fields are to the stream is known only now.
        root.names = FieldNames::new(&root.fields);
        let notation = self.notation(node);
        let mode = mode.unwrap_or_default();
        Some((root, Settings { key, partitions, mode, extra, event_time, retention, guard, notation }))
    }

    /// The event itself, which may be described elsewhere in the document.
    fn root_object(&mut self, node: &'d Node) -> Option<(Object, Option<Box<Guard>>)> {
        let (mut described, mut pointer) = (node, String::new());
        // Each step leads to another part, so that a circle ends.
        while let (Some(reference), None) = (described.get("$ref"), described.get("type")) {
            self.keywords(described, &pointer, "object", pointer.is_empty());
            let at = join(&pointer, "$ref");
            let target = self.target(reference.text().unwrap_or_default(), &at);
            if !self.check_target(&target, &at, reference.at) {
                return None;
            }
            let Target::Pointer(found, target) = target else {
                let hint = "refer to the event's description by a pointer, such as #/$defs/NAME";
                self.error(&at, reference.at, "the root's $ref leads to no one place", hint);
                return None;
            };
            if target.is_empty() || self.following.contains(&target) {
                self.error(&at, reference.at, "the root's $ref leads in a circle", "describe the event");
                return None;
            }
            self.following.push(target.clone());
            (described, pointer) = (found, target);
        }
        let found = self.type_of(described, &pointer)?;
        let is_object = found.is_some_and(|found| found.name == "object" && !found.nullable);
        self.keywords(described, &pointer, "object", pointer.is_empty());
        if !is_object {
            let at = described.get("type").map_or(described.at, |found| found.at);
            let hint = "write \"type\": \"object\" at the root";
            self.error(&join(&pointer, "type"), at, "an event is an object", hint);
            return None;
        }
        if let Some(found) = described.get("x-privacy") {
            let hint = "put x-privacy on the single values inside";
            self.error(&join(&pointer, "x-privacy"), found.at, "only single values can be protected", hint);
        }
        let place = Place { pointer: &pointer, level: 0, repeated: false, always: true };
        let object = self.object(described, place)?;
        let mut guard = self.guard_beside(described, "object", &pointer);
        // Rules beside the root's reference judge the event too; the check of the root sees them all.
        if !pointer.is_empty() && self.has_rules_beside_reference(node) {
            let survey = self.survey_beside(node, "", Beside::Reference);
            let meaning = guard.iter().fold(survey.meaning, |all, guard| combined(all, guard.meaning));
            guard = Some(self.guard("", meaning, survey.effort));
        }
        self.following.clear();
        Some((object, guard))
    }

    /// Besides remarks and what is said of the stream.
    fn has_rules_beside_reference(&self, node: &Node) -> bool {
        let rule =
            |name: &str| matches!(word(name), Some(Word::Rule(_) | Word::Residual(_))) && name != "$ref";
        !self.is_draft_7() && node.members().iter().any(|member| rule(&member.name))
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

    /// What was translated into this document.
    fn notation(&mut self, node: &Node) -> Option<NotationText> {
        let found = node.get("x-notation")?;
        match read_notation(found) {
            Ok(text) => Some(text),
            Err(message) => {
                let hint =
                    "Headwater writes this by itself: leave it out, and write the schema in its own notation";
                self.error("/x-notation", found.at, format!("x-notation: {message}"), hint);
                None
            }
        }
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
                let hint = did_you_mean(name, root.fields.iter().map(Field::name));
                self.error(&pointer, item.at, message, hint.as_deref().unwrap_or("name a property"));
                continue;
            };
            let (reason, hint) = match () {
                () if field.key_slot.is_some() => ("x-key names {} twice", "name it once"),
                () if !field.kind.is_scalar() => {
                    ("x-key names {}, which is no single value", "name a text, a number or a boolean")
                }
                () if !field.required => {
                    ("x-key names {}, which need not be in every event", "add it to \"required\"")
                }
                () if field.nullable => {
                    ("x-key names {}, which may be null", "take \"null\" out of its type")
                }
                () => {
                    field.key_slot = Some(slot);
                    key.push(name.to_owned());
                    continue;
                }
            };
            self.error(&pointer, item.at, reason.replace("{}", &format!("{:?}", short(name))), hint);
        }
        key
    }

    fn event_time(&mut self, node: &Node, root: &mut Object) -> Option<String> {
        let found = node.get("x-event-time")?;
        let name = found.text().unwrap_or_default();
        let Some(field) = root.fields.iter_mut().find(|field| field.name == name) else {
            let message = format!("x-event-time names {:?}, which is no property of the root", short(name));
            let hint = did_you_mean(name, root.fields.iter().map(Field::name));
            self.error("/x-event-time", found.at, message, hint.as_deref().unwrap_or("name a property"));
            return None;
        };
        if !matches!(field.kind, Kind::DateTime(_) | Kind::Time(_)) {
            let hint = "give it \"format\": \"date-time\", or x-time on a number";
            self.error("/x-event-time", found.at, "the event's time is no time", hint);
            return None;
        }
        if matches!(field.privacy, Some(Privacy::Hash | Privacy::Tokenize | Privacy::Drop)) {
            let hint = "its clear value would stand in _time";
            self.error("/x-event-time", found.at, "the event's time cannot be a protected field", hint);
            return None;
        }
        field.is_event_time = true;
        Some(name.to_owned())
    }
}

/// Checks what stands under `x-notation`.
fn read_notation(found: &Node) -> Result<NotationText, String> {
    let text = |name: &str| {
        found.get(name).and_then(Node::text).map(str::to_owned).ok_or_else(|| format!("it names no {name}"))
    };
    let kind = text("kind")?;
    let notation = Notation::of_extension(&kind)
        .filter(|notation| *notation != Notation::Json)
        .ok_or_else(|| format!("this build does not know the notation {:?}", short(&kind)))?;
    let files = found.get("files").ok_or("it holds no files")?.members();
    let files: BTreeMap<String, String> = files
        .iter()
        .map(|file| file.value.text().map(|text| (file.name.clone(), text.to_owned())))
        .collect::<Option<_>>()
        .ok_or("a file of it is no text")?;
    let main = text("main")?;
    if !files.contains_key(&main) {
        return Err("its main file is not among its files".to_owned());
    }
    Ok(NotationText { notation, root: text("root")?, main, files })
}
