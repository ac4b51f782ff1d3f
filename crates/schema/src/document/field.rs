//! One field's schema: its type, whether it may be null, its privacy, and which rules apply at all.

use super::{
    FIELDS_MAX, LEVELS_MAX, Reader, join,
    tree::{Node, Value},
    words::{Word, word},
};
use crate::schema::{Field, Kind, Privacy};

/// Where a field stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub pointer: &'a str,
    pub level: usize,
    /// Inside of an array or a map.
    pub repeated: bool,
    /// It and every object around it must be there.
    pub always: bool,
}

/// The one type of a value, besides null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Type<'d> {
    pub name: &'d str,
    pub nullable: bool,
}

impl<'d> Reader<'d> {
    /// `None` where something is wrong; what, has been noted.
    pub(super) fn field(
        &mut self,
        node: &'d Node,
        name: &str,
        required: bool,
        place: Place<'_>,
    ) -> Option<Field> {
        if node.get("$ref").is_some() {
            return self
                .referred(node, place, |reader, target, place| reader.field(target, name, required, place));
        }
        let Place { pointer, .. } = place;
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            self.error(
                pointer,
                node.at,
                format!("there are more than {FIELDS_MAX} fields"),
                "split the stream",
            );
            return None;
        }
        if place.level > LEVELS_MAX {
            let message = format!("objects, arrays and maps are nested more than {LEVELS_MAX} deep");
            self.error(pointer, node.at, message, "flatten the event");
            return None;
        }
        let found = self.type_of(node, pointer)?;
        self.keywords(node, pointer, found.name, false);
        let kind = match found.name {
            "object" => self.object_or_map(node, place)?,
            "array" => Kind::Array(self.array(node, place)?),
            _ => self.scalar(node, found.name, pointer)?,
        };
        let privacy = self.privacy(node, &kind, found.nullable, required, place);
        let (one_of, nullable) = match kind.is_scalar() {
            true => self.one_of(node, found, pointer)?,
            false => {
                for keyword in ["enum", "const"] {
                    if let Some(list) = node.get(keyword) {
                        let what = format!("{keyword} of objects and arrays");
                        self.not_built(&join(pointer, keyword), list.at, what);
                    }
                }
                (None, found.nullable)
            }
        };
        Some(Field {
            name: name.to_owned(),
            column: match (&kind, privacy) {
                (_, Some(Privacy::Drop)) => None,
                (Kind::Object(object), _) if object.fields.iter().all(|field| field.column.is_none()) => None,
                _ => Some(0),
            },
            kind,
            required,
            nullable,
            privacy,
            one_of: one_of.map(Box::new),
            key_slot: None,
            is_event_time: false,
        })
    }

    /// Follows a `$ref` within the document.
    pub(super) fn referred<T>(
        &mut self,
        node: &'d Node,
        place: Place<'_>,
        read: impl FnOnce(&mut Self, &'d Node, Place<'_>) -> Option<T>,
    ) -> Option<T> {
        let pointer = join(place.pointer, "$ref");
        for member in node.members() {
            if member.name != "$ref" && word(&member.name) != Some(Word::Annotation) {
                let what = format!("the keyword {:?} beside a $ref", member.name);
                self.not_built(&join(place.pointer, &member.name), member.at, what);
            }
        }
        let reference = node.get("$ref")?;
        let Some(text) = reference.text() else {
            self.error(&pointer, reference.at, "a $ref is a text", "write \"#/$defs/NAME\"");
            return None;
        };
        let Some(target) = text.strip_prefix('#') else {
            let hint = "copy what it refers to into this document, under $defs";
            self.error(&pointer, reference.at, "a $ref leads out of this document", hint);
            return None;
        };
        if !target.is_empty() && !target.starts_with('/') {
            self.not_built(&pointer, reference.at, "a $ref to an anchor");
            return None;
        }
        if target.is_empty() || self.following.iter().any(|followed| followed == target) {
            self.not_built(&pointer, reference.at, "a recursive schema");
            return None;
        }
        let Some(found) = self.tree.and_then(|tree| tree.at_pointer(target)) else {
            let hint = "the part behind # is a JSON pointer, such as #/$defs/NAME";
            self.error(&pointer, reference.at, "a $ref points to nothing", hint);
            return None;
        };
        if self.following.len() >= LEVELS_MAX {
            self.error(
                &pointer,
                reference.at,
                "too many references follow one another",
                "refer to the last one",
            );
            return None;
        }
        self.following.push(target.to_owned());
        let read = read(self, found, Place { pointer: target, ..place });
        self.following.pop();
        read
    }

    pub(super) fn type_of(&mut self, node: &'d Node, pointer: &str) -> Option<Type<'d>> {
        const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "object", "array"];
        if !matches!(node.value, Value::Object(_)) {
            match node.value {
                Value::Boolean(_) => self.not_built(pointer, node.at, "a field without one type"),
                _ => self.error(pointer, node.at, "a schema is an object", "write {\"type\": …}"),
            }
            return None;
        }
        let Some(found) = node.get("type") else {
            self.keywords(node, pointer, "", false);
            self.error(
                pointer,
                node.at,
                "a field without one type is not built yet",
                "add \"type\": string, integer, number, boolean, object or array",
            );
            return None;
        };
        let pointer = join(pointer, "type");
        let names: Vec<Option<&str>> = match &found.value {
            Value::Text(name) => vec![Some(name)],
            Value::Array(items) => items.iter().map(Node::text).collect(),
            _ => vec![None],
        };
        let mut nullable = false;
        let mut one = None;
        let mut others = 0;
        for name in names {
            match name {
                Some("null") => nullable = true,
                Some(name) if TYPES.contains(&name) => {
                    one = Some(name);
                    others += 1;
                }
                _ => {
                    let hint = "the types are string, integer, number, boolean, object, array and null";
                    self.error(&pointer, found.at, "there is no such type", hint);
                    return None;
                }
            }
        }
        match (one, others) {
            (Some(name), 1) => Some(Type { name, nullable }),
            _ => {
                let hint = "name one type, or [TYPE, \"null\"]";
                self.error(&pointer, found.at, "a field without one type is not built yet", hint);
                None
            }
        }
    }

    /// Judges each keyword by its name; `type_name` is empty where it is not known.
    pub(super) fn keywords(&mut self, node: &Node, pointer: &str, type_name: &str, at_root: bool) {
        for member in node.members() {
            let (name, at) = (member.name.as_str(), member.at);
            let pointer = join(pointer, name);
            match word(name) {
                Some(Word::Annotation) => {}
                Some(Word::NotBuilt) => self.not_built(&pointer, at, format_args!("the keyword {name:?}")),
                Some(Word::Root) if at_root => {}
                Some(Word::Root) => {
                    let message = format!("{name:?} says something about the stream");
                    self.error(&pointer, at, message, "move it to the root of the document");
                }
                Some(Word::Rule(types)) => {
                    if !types.is_empty() && !type_name.is_empty() && !types.contains(&type_name) {
                        let message = format!("{name:?} has no effect on the type {type_name}");
                        if name.starts_with("x-") {
                            self.error(&pointer, at, message, "take it away");
                        } else {
                            self.warn(&pointer, at, message, "take it away");
                        }
                    }
                }
                None if name.starts_with("x-") => {
                    let message = format!("there is no keyword {:?}", short(name));
                    self.error(&pointer, at, message, "see the reference of schemas for the x- keywords");
                }
                None => {
                    let message = format!("the keyword {:?} is not known and has no effect", short(name));
                    self.warn(&pointer, at, message, "take it away, or correct its name");
                }
            }
        }
    }

    fn privacy(
        &mut self,
        node: &Node,
        kind: &Kind,
        nullable: bool,
        required: bool,
        place: Place<'_>,
    ) -> Option<Privacy> {
        let found = node.get("x-privacy")?;
        let pointer = &join(place.pointer, "x-privacy");
        let privacy = match found.text() {
            Some("subject") => Privacy::Subject,
            Some("hash") => Privacy::Hash,
            Some("drop") => Privacy::Drop,
            Some("tokenize") => {
                self.not_built(pointer, found.at, "x-privacy: tokenize");
                return None;
            }
            _ => {
                let hint = "it is one of subject, hash, drop";
                self.error(pointer, found.at, "there is no such protection", hint);
                return None;
            }
        };
        if !kind.is_scalar() {
            let hint = "put x-privacy on the single values inside";
            self.error(pointer, found.at, "only single values can be protected", hint);
            return None;
        }
        match privacy {
            Privacy::Subject if !required || nullable || !place.always || place.repeated => {
                let hint = "name it under \"required\", without null, and so every object around it";
                self.error(pointer, found.at, "the subject must be in every event", hint);
            }
            Privacy::Subject => match &self.subject {
                None => self.subject = Some(place.pointer.to_owned()),
                Some(first) => {
                    let message = format!("there is a second subject; the first is {first}");
                    self.error(
                        pointer,
                        found.at,
                        message,
                        "an event is about one person; hash the other field",
                    );
                }
            },
            Privacy::Hash | Privacy::Drop => {}
        }
        self.protected = true;
        Some(privacy)
    }
}

/// A name short enough for a message.
pub(super) fn short(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    name.chars().take(CHARS_MAX).collect()
}
