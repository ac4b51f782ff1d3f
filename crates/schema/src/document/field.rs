//! One field's schema: its type, whether it may be null, its privacy, and which rules apply at all.

use std::sync::Arc;

use super::{
    FIELDS_MAX, LEVELS_MAX, Reader, join,
    keyword::type_hint,
    reference::Target,
    residual::{Beside, Survey, combined, has_fields},
    tree::{Node, Value},
    words::{Word, is_remark, word},
};
use crate::{
    guard::{Effort, Guard},
    schema::{Field, Kind, Privacy},
};

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

/// What a part of a schema becomes.
enum Shape<'d> {
    Column(Type<'d>),
    /// JSON text: the values have no one type.
    Json,
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
        let Place { pointer, .. } = place;
        if place.level > LEVELS_MAX {
            let message = format!("objects, arrays and maps are nested more than {LEVELS_MAX} deep");
            self.error(pointer, node.at, message, "flatten the event");
            return None;
        }
        if self.is_embedded(pointer) {
            return self.json_field(node, name, required, place);
        }
        if let Some((inner, inner_pointer)) = self.or_null(node, pointer) {
            self.keywords(node, pointer, "", false);
            let mut field = self.field(inner, name, required, Place { pointer: &inner_pointer, ..place })?;
            field.nullable = true;
            if let Some(guard) = &mut field.guard {
                guard.null_passes = true;
            }
            self.privacy_beside(node, &mut field, required, place);
            return Some(field);
        }
        if node.get("$ref").is_some() {
            return self.referred(node, name, required, place);
        }
        match self.shape(node, pointer)? {
            Shape::Json => self.json_field(node, name, required, place),
            Shape::Column(found) => self.column_field(node, found, name, required, place),
        }
    }

    fn count_field(&mut self, node: &Node, pointer: &str) -> Option<()> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            let message = format!("there are more than {FIELDS_MAX} fields");
            self.error(pointer, node.at, message, "split the stream");
            return None;
        }
        Some(())
    }

    fn column_field(
        &mut self,
        node: &'d Node,
        found: Type<'d>,
        name: &str,
        required: bool,
        place: Place<'_>,
    ) -> Option<Field> {
        let Place { pointer, .. } = place;
        self.count_field(node, pointer)?;
        self.keywords(node, pointer, found.name, false);
        let kind = match found.name {
            "object" => self.object_or_map(node, place)?,
            "array" => Kind::Array(self.array(node, place)?),
            _ => self.scalar(node, found.name, pointer)?,
        };
        let privacy = self.privacy(node, &kind, found.nullable, required, place);
        let token = self.token(node, name, &kind, privacy, place);
        let (one_of, nullable) = match kind.is_scalar() {
            true => self.one_of(node, found, pointer)?,
            false => (None, found.nullable),
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
            token,
            one_of: one_of.map(Box::new),
            guard: self.guard_beside(node, found.name, pointer),
            key_slot: None,
            is_event_time: false,
            origin: None,
        })
    }

    /// A field whose values have no one type.
    fn json_field(&mut self, node: &'d Node, name: &str, required: bool, place: Place<'_>) -> Option<Field> {
        let Place { pointer, .. } = place;
        self.count_field(node, pointer)?;
        let Survey { mut marks, meaning, effort } = self.survey(node, pointer);
        // Said of the whole value, which then is a single one.
        let privacy = marks.parts.first_mut().and_then(|part| part.privacy.take());
        let marks = marks.any().then(|| Box::new(marks));
        let remarks = || node.members().iter().all(|member| word(&member.name) == Some(Word::Annotation));
        let anything = match &node.value {
            Value::Boolean(allowed) => *allowed,
            _ => remarks(),
        };
        if anything && !node.members().is_empty() {
            let message =
                "the field has no type, so that any value passes and is kept as JSON text".to_owned();
            self.warn(
                pointer,
                node.at,
                message,
                "add \"type\": string, integer, number, boolean, object or array",
            );
        }
        Some(Field {
            name: name.to_owned(),
            column: (privacy != Some(Privacy::Drop)).then_some(0),
            kind: Kind::Json(marks),
            required,
            nullable: true,
            privacy,
            token: None,
            one_of: None,
            guard: (!anything).then(|| self.guard(pointer, meaning, effort)),
            key_slot: None,
            is_event_time: false,
            origin: None,
        })
    }

    /// The check of what no compiled rule says of this part.
    pub(super) fn guard_beside(
        &mut self,
        node: &'d Node,
        type_name: &str,
        pointer: &str,
    ) -> Option<Box<Guard>> {
        let draft_7 = self.is_draft_7();
        let undescribed = type_name == "object" && self.requires_undescribed(node);
        let residual = undescribed
            || node.members().iter().any(|member| match (member.name.as_str(), word(&member.name)) {
                (_, Some(Word::Residual(types))) => types.is_empty() || types.contains(&type_name),
                ("$ref", _) => !draft_7,
                ("enum" | "const", _) if matches!(type_name, "object" | "array") => true,
                ("const", _) => node.get("enum").is_some(),
                ("format", _) => type_name == "string" && self.is_library_format(Some(&member.value)),
                ("additionalProperties", _) => {
                    type_name == "object" && has_fields(node) && !member.value.members().is_empty()
                }
                _ => false,
            });
        if !residual {
            return None;
        }
        let Survey { meaning, effort, .. } = self.survey_beside(node, pointer, Beside::Column(type_name));
        Some(self.guard(pointer, meaning, effort))
    }

    pub(super) fn guard(&mut self, pointer: &str, meaning: [u8; 32], effort: Effort) -> Box<Guard> {
        self.guarded.insert(pointer.to_owned());
        let checks = Arc::clone(&self.checks);
        Box::new(Guard { pointer: pointer.to_owned(), checks, meaning, effort, null_passes: false })
    }

    /// `anyOf` or `oneOf` of one schema and null, and nothing else: the schema, which may be null.
    fn or_null(&self, node: &'d Node, pointer: &str) -> Option<(&'d Node, String)> {
        let keyword = ["anyOf", "oneOf"].into_iter().find(|keyword| node.get(keyword).is_some())?;
        let rest =
            |name: &str| name == keyword || is_protection(name) || word(name) == Some(Word::Annotation);
        let [first, second] = node.get(keyword)?.items()? else { return None };
        let is_null = |node: &Node| {
            node.get("type").and_then(Node::text) == Some("null")
                && node.members().iter().all(|member| member.name == "type" || is_remark(&member.name))
        };
        let (inner, index) = match (is_null(first), is_null(second)) {
            (false, true) => (first, 0),
            (true, false) => (second, 1),
            _ => return None,
        };
        // Two branches that take null would be one too many.
        let typed = matches!(inner.get("type").map(|found| &found.value), Some(Value::Text(_)));
        let plain = typed || keyword == "anyOf" && inner.get("$ref").is_some();
        let alone = node.members().iter().all(|member| rest(&member.name));
        (plain && alone).then(|| (inner, join(&join(pointer, keyword), &index.to_string())))
    }

    /// Follows a `$ref` within the document; where the way leads in a circle, the value becomes JSON text.
    fn referred(&mut self, node: &'d Node, name: &str, required: bool, place: Place<'_>) -> Option<Field> {
        let pointer = join(place.pointer, "$ref");
        let reference = node.get("$ref")?;
        let Some(text) = reference.text() else {
            self.error(&pointer, reference.at, "a $ref is a text", "write \"#/$defs/NAME\"");
            return None;
        };
        let target = self.target(text, &pointer);
        if !self.check_target(&target, &pointer, reference.at) {
            return None;
        }
        let found = match target {
            Target::Pointer(found, target) => (found, target),
            _ => return self.json_field(node, name, required, place),
        };
        let (found, target) = found;
        let beside =
            |name: &str| name != "$ref" && !is_protection(name) && word(name) != Some(Word::Annotation);
        let siblings = node.members().iter().any(|member| beside(&member.name));
        let around = self.following.iter().any(|followed| *followed == target);
        // Its own type and rules say enough of the column.
        let own_column = siblings && !self.is_draft_7() && node.get("type").is_some();
        if around || own_column || self.is_embedded(&target) || self.is_recursive(found, &target) {
            return match self.shape(node, place.pointer)? {
                Shape::Column(found) if own_column => self.column_field(node, found, name, required, place),
                _ => self.json_field(node, name, required, place),
            };
        }
        if self.following.len() >= LEVELS_MAX {
            let message = "too many references follow one another";
            self.error(&pointer, reference.at, message, "refer to the last one");
            return None;
        }
        self.following.push(target.clone());
        let read = self.field(found, name, required, Place { pointer: &target, ..place });
        self.following.pop();
        let mut field = read?;
        if siblings && self.is_draft_7() {
            let message = "what stands beside a $ref has no effect in draft-07";
            self.warn(place.pointer, node.at, message.to_owned(), "move it into what the $ref leads to");
        } else if siblings {
            let Survey { meaning, effort, .. } = self.survey_beside(node, place.pointer, Beside::Reference);
            let meaning = field.guard.iter().fold(meaning, |all, guard| combined(all, guard.meaning));
            field.guard = Some(self.guard(place.pointer, meaning, effort));
        }
        self.privacy_beside(node, &mut field, required, place);
        Some(field)
    }

    /// `x-privacy` beside a reference to what it protects.
    fn privacy_beside(&mut self, node: &Node, field: &mut Field, required: bool, place: Place<'_>) {
        let Some(found) = node.get("x-privacy") else {
            self.token(node, &field.name, &field.kind, None, place);
            return;
        };
        if field.privacy.is_some() {
            let pointer = join(place.pointer, "x-privacy");
            self.error(&pointer, found.at, "x-privacy is said twice of this field", "say it once");
            return;
        }
        field.privacy = self.privacy(node, &field.kind, field.nullable, required, place);
        field.token = self.token(node, &field.name, &field.kind, field.privacy, place);
        if field.privacy == Some(Privacy::Drop) {
            field.column = None;
        }
    }

    fn shape(&mut self, node: &'d Node, pointer: &str) -> Option<Shape<'d>> {
        if let Value::Boolean(_) = node.value {
            return Some(Shape::Json);
        }
        if !matches!(node.value, Value::Object(_)) {
            self.error(pointer, node.at, "a schema is an object", "write {\"type\": …}");
            return None;
        }
        if node.get("type").is_none() {
            return Some(Shape::Json);
        }
        let Some(found) = self.type_of(node, pointer)? else { return Some(Shape::Json) };
        let column = match found.name {
            "object" if has_fields(node) => true,
            "object" => {
                let values = node.get("additionalProperties");
                values.is_some_and(|values| !values.members().is_empty())
                    && node.get("patternProperties").is_none()
            }
            "array" => {
                node.get("items").is_some_and(|items| !items.members().is_empty())
                    && node.get("prefixItems").is_none()
            }
            _ => true,
        };
        Some(if column { Shape::Column(found) } else { Shape::Json })
    }

    /// The one type of a part's values; the inner `None` where they have several.
    pub(super) fn type_of(&mut self, node: &'d Node, pointer: &str) -> Option<Option<Type<'d>>> {
        const TYPES: [&str; 6] = ["string", "integer", "number", "boolean", "object", "array"];
        let Some(found) = node.get("type") else { return Some(None) };
        let pointer = join(pointer, "type");
        let names: Vec<Option<&str>> = match &found.value {
            Value::Text(name) => vec![Some(name)],
            Value::Array(items) => items.iter().map(Node::text).collect(),
            _ => vec![None],
        };
        let mut nullable = false;
        let mut types: Vec<&str> = Vec::new();
        for name in names {
            match name {
                Some("null") => nullable = true,
                Some(name) if TYPES.contains(&name) => types.push(name),
                name => {
                    let message = match name {
                        Some(name) => format!("there is no type {:?}", short(name)),
                        None => "a type is a text".to_owned(),
                    };
                    self.error(&pointer, found.at, message, &type_hint(name.unwrap_or_default()));
                    return None;
                }
            }
        }
        // Every integer is a number.
        if types.contains(&"number") {
            types.retain(|name| *name != "integer");
        }
        types.dedup();
        Some(match types.as_slice() {
            [name] => Some(Type { name, nullable }),
            _ => None,
        })
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
            Some("tokenize") => Privacy::Tokenize,
            _ => {
                let hint = "it is one of subject, hash, tokenize, drop";
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
            Privacy::Hash | Privacy::Tokenize | Privacy::Drop => {}
        }
        self.protected = true;
        Some(privacy)
    }
}

/// A keyword that may stand beside a reference to what it protects.
pub(super) fn is_protection(name: &str) -> bool {
    matches!(name, "x-privacy" | "x-token-domain" | "x-token-format")
}

/// A name short enough for a message.
pub(super) fn short(name: &str) -> String {
    const CHARS_MAX: usize = 60;
    name.chars().take(CHARS_MAX).collect()
}
