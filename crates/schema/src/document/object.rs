//! Objects, maps and arrays.

use std::collections::{HashMap, HashSet};

use super::{
    NAME_BYTES_MAX, Reader,
    field::{Place, short},
    join,
    origin::origin,
    pattern,
    residual::has_fields,
    tree::{Member, Node, Value},
};
use crate::{
    decode::names::FieldNames,
    schema::{Array, Described, Field, Kind, Map, Object},
};

/// What `additionalProperties` says.
enum Additional<'d> {
    Open,
    Closed,
    Schema(&'d Node),
}

impl<'d> Reader<'d> {
    /// An object with `properties`, or a map; whoever calls has seen that it is one of the two.
    pub(super) fn object_or_map(&mut self, node: &'d Node, place: Place<'_>) -> Option<Kind> {
        match additional(node) {
            Additional::Schema(value) if !has_fields(node) => {
                let pointer = join(place.pointer, "additionalProperties");
                let place =
                    Place { pointer: &pointer, level: place.level + 1, repeated: true, always: false };
                let count = self.count(node, "minProperties", "maxProperties", place.pointer);
                let value = self.element(value, "value", place)?;
                Some(Kind::Map(Map { value: Box::new(value), count }))
            }
            _ => self.object(node, place).map(Kind::Object),
        }
    }

    /// An object with `properties`; at the root there may be none.
    pub(super) fn object(&mut self, node: &'d Node, place: Place<'_>) -> Option<Object> {
        let Place { pointer, .. } = place;
        let additional = additional(node);
        // One that does not compile is noted where the slower path is prepared.
        let patterns = node.get("patternProperties").map_or(&[][..], Node::members);
        let patterns: Vec<_> =
            patterns.iter().filter_map(|member| pattern::compile(&member.name).ok()).collect();
        let members: &[Member] = match node.get("properties").map(|found| (&found.value, found.at)) {
            None => &[],
            Some((Value::Object(members), _)) => members,
            Some((_, at)) => {
                let pointer = join(pointer, "properties");
                self.error(&pointer, at, "properties is an object", "write {NAME: SCHEMA, …}");
                return None;
            }
        };
        let required = self.required(node, pointer);
        let faults_before = self.faults.len();
        let mut folded: HashMap<String, &str> = HashMap::new();
        let mut fields: Vec<Field> = Vec::with_capacity(members.len());
        let mut columns = 0;
        for member in members {
            let name = member.name.as_str();
            let pointer = join(&join(pointer, "properties"), name);
            self.check_name(name, &pointer, member.at);
            if let Some(twin) = folded.insert(name.to_lowercase(), name) {
                let message = format!("{:?} and {:?} differ only in case", short(twin), short(name));
                self.error(
                    &pointer,
                    member.at,
                    message,
                    "rename one: table engines take them for one column",
                );
            }
            let required = required.contains(name);
            let place = Place {
                pointer: &pointer,
                level: place.level + 1,
                repeated: place.repeated,
                always: place.always && required,
            };
            let Some(mut field) = self.field(&member.value, name, required, place) else { continue };
            field.origin = origin(&member.value);
            if field.column.is_some() {
                field.column = Some(columns);
                columns += 1;
            }
            fields.push(field);
        }
        for name in &required {
            if !members.iter().any(|member| member.name == *name) {
                let pointer = join(pointer, "required");
                let at = node.get("required").map_or(node.at, |found| found.at);
                let message = format!("required names {:?}, which properties does not describe", short(name));
                let matched = patterns.iter().any(|pattern| pattern.is_match(name.as_bytes()));
                if matches!(additional, Additional::Closed) && !matched {
                    self.error(&pointer, at, message, "describe it: no other field is allowed here");
                } else {
                    self.warn(&pointer, at, message, "describe it, so that it gets a column");
                }
            }
        }
        let count = self.count(node, "minProperties", "maxProperties", pointer);
        if self.faults.len() > faults_before || fields.len() < members.len() {
            return None;
        }
        Some(Object {
            names: FieldNames::new(&fields),
            fields,
            // With patterns, the slower path knows what is allowed.
            closed: matches!(additional, Additional::Closed) && patterns.is_empty(),
            described: match additional {
                Additional::Schema(_) => Described::All,
                _ => Described::Matching(patterns),
            },
            count,
        })
    }

    fn required(&mut self, node: &'d Node, pointer: &str) -> HashSet<&'d str> {
        let Some(found) = node.get("required") else { return HashSet::new() };
        let names: Option<HashSet<&str>> =
            found.items().and_then(|items| items.iter().map(Node::text).collect());
        names.unwrap_or_else(|| {
            let hint = "write [\"NAME\", …]";
            self.error(&join(pointer, "required"), found.at, "required is a list of names", hint);
            HashSet::new()
        })
    }

    fn check_name(&mut self, name: &str, pointer: &str, at: usize) {
        let (reason, hint) = match name {
            "" => ("a field needs a name", "give it one"),
            _ if name.starts_with('_') => (
                "a field's name must not start with _",
                "rename it: such names belong to Headwater's own columns",
            ),
            _ if name.len() > NAME_BYTES_MAX => ("a field's name is longer than 255 bytes", "shorten it"),
            _ if name.contains(|c: char| " ,;{}()=".contains(c) || c.is_control()) => {
                let reason = "a field's name holds a space, a control character or one of ,;{}()=";
                (reason, "rename it: a lake's columns cannot have such names")
            }
            _ => return,
        };
        self.error(pointer, at, reason, hint);
    }

    pub(super) fn array(&mut self, node: &'d Node, place: Place<'_>) -> Option<Array> {
        let Place { pointer, .. } = place;
        let items_pointer = join(pointer, "items");
        let items = node.get("items")?;
        let unique = match node.get("uniqueItems").map(|found| (&found.value, found.at)) {
            None => false,
            Some((Value::Boolean(unique), _)) => *unique,
            Some((_, at)) => {
                let pointer = join(pointer, "uniqueItems");
                self.error(&pointer, at, "uniqueItems is true or false", "write true or false");
                false
            }
        };
        let count = self.count(node, "minItems", "maxItems", pointer);
        let place = Place { pointer: &items_pointer, level: place.level + 1, repeated: true, always: false };
        let element = self.element(items, "element", place)?;
        Some(Array { element: Box::new(element), count, unique })
    }

    /// What an array or a map holds many of: it always has a column.
    fn element(&mut self, node: &'d Node, name: &str, place: Place<'_>) -> Option<Field> {
        let element = self.field(node, name, false, place)?;
        if element.column.is_none() {
            let hint = "hash a value instead, or leave the array or map out of the event";
            self.error(place.pointer, node.at, "nothing of the elements would be stored", hint);
            return None;
        }
        Some(element)
    }
}

fn additional(node: &Node) -> Additional<'_> {
    match node.get("additionalProperties") {
        Some(Node { value: Value::Boolean(false), .. }) => Additional::Closed,
        None | Some(Node { value: Value::Boolean(true), .. }) => Additional::Open,
        Some(schema) if matches!(&schema.value, Value::Object(members) if members.is_empty()) => {
            Additional::Open
        }
        Some(schema) => Additional::Schema(schema),
    }
}
