//! Our document in the making: what every notation is translated into.
//! Always: one draft gives one text, whatever notation it came from; each part remembers where it was written.
//!
//! - Every field may be missing and may be null unless it is `required`; so a notation's field can be added later.
//! - A *choice* (a union, a oneof) is an object with exactly one member.
//! - A type that leads back to itself stands under `$defs` and is referred to: it becomes JSON text.

use serde_json::{Map, Value, json};

use super::{Keywords, Place, Problems, Settings};

/// As many as a document may have; a draft that would unfold further is stopped before it is large.
const MEMBERS_MAX: usize = 2000;
const LEVELS_MAX: usize = 32;

#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub members: Vec<Member>,
    /// Of these members exactly one is there.
    pub one_of: Vec<String>,
    pub settings: Settings,
    /// Types that lead back to themselves, by name.
    pub definitions: Vec<(String, Shape)>,
    pub place: Place,
    /// The name of the type that is the event.
    pub root: String,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    pub shape: Shape,
    pub nullable: bool,
    pub keywords: Keywords,
    pub place: Place,
}

#[derive(Debug)]
pub(crate) enum Shape {
    /// Keywords, `type` first.
    Scalar(Vec<(&'static str, Value)>),
    Object {
        members: Vec<Member>,
        /// Of all members exactly one is there.
        choice: bool,
        /// Of these members exactly one is there.
        one_of: Vec<String>,
    },
    /// Its items, which are null only where they say so.
    Array(Box<Item>),
    Map(Box<Item>),
    /// A type under `$defs`.
    Defined(String),
}

impl Shape {
    /// Without what the field's own annotations say otherwise. A number that is a time has no bounds of its width: its
    /// range is that of times.
    pub fn overruled_by(self, keywords: &Keywords) -> Shape {
        match self {
            Shape::Scalar(mut words) => {
                let overrules = |name: &str| keywords.rules.iter().any(|(rule, _)| *rule == name);
                words.retain(|(name, _)| !overrules(name));
                if overrules("x-time") {
                    words.retain(|(name, _)| !matches!(*name, "minimum" | "maximum"));
                }
                Shape::Scalar(words)
            }
            other => other,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Item {
    pub shape: Shape,
    pub nullable: bool,
}

/// The text of a document, and the place of each of its parts.
pub(crate) struct Written {
    pub document: Map<String, Value>,
    pub places: Vec<(String, Place)>,
}

pub(crate) fn write(draft: Draft, problems: &mut Problems) -> Written {
    let mut writer = Writer { places: vec![(String::new(), draft.place)], members: 0, level: 0, problems };
    let mut document = Map::new();
    let key: Vec<Value> =
        draft.members.iter().filter(|member| member.keywords.key).map(|member| json!(member.name)).collect();
    let event_time: Vec<&Member> = draft.members.iter().filter(|member| member.keywords.event_time).collect();
    if let Some(second) = event_time.get(1) {
        writer.problems.error(second.place, "an event has one time, here is a second", "mark one field");
    }
    let event_time = event_time.first().map(|member| json!(member.name));
    for (name, value) in draft.settings.root {
        document.insert(name.to_owned(), value);
    }
    if !key.is_empty() {
        document.insert("x-key".to_owned(), Value::Array(key));
    }
    if let Some(name) = event_time {
        document.insert("x-event-time".to_owned(), name);
    }
    document.insert("type".to_owned(), json!("object"));
    writer.object(&mut document, &draft.members, false, &draft.one_of, "", true);
    let mut definitions = Map::new();
    for (name, shape) in &draft.definitions {
        let pointer = format!("/$defs/{}", escaped(name));
        writer.places.push((pointer.clone(), draft.place));
        let (part, _) = writer.shape(shape, false, &Keywords::default(), &pointer, false);
        definitions.insert(name.clone(), Value::Object(part));
    }
    if !definitions.is_empty() {
        document.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Written { document, places: writer.places }
}

struct Writer<'a> {
    places: Vec<(String, Place)>,
    members: usize,
    level: usize,
    problems: &'a mut Problems,
}

impl Writer<'_> {
    /// Says whether the subject is inside: then everything around it is required.
    fn object(
        &mut self,
        into: &mut Map<String, Value>,
        members: &[Member],
        choice: bool,
        one_of: &[String],
        pointer: &str,
        is_root: bool,
    ) -> bool {
        let (mut properties, mut required, mut subject) = (Map::new(), Vec::new(), false);
        for member in members {
            self.members += 1;
            if self.members > MEMBERS_MAX {
                let message = format!("this type unfolds to more than {MEMBERS_MAX} fields");
                self.problems.error(member.place, message, "split the stream");
                break;
            }
            let pointer = format!("{pointer}/properties/{}", escaped(&member.name));
            self.places.push((pointer.clone(), member.place));
            for (marked, name) in [(member.keywords.key, "key"), (member.keywords.event_time, "eventTime")] {
                if marked && !is_root {
                    let message =
                        format!("{name} stands on a field of the event itself, not of a part of it");
                    self.problems.error(member.place, message, "mark a field of the event's own type");
                }
            }
            let demanded =
                member.keywords.required || member.keywords.key || member.keywords.privacy == Some("subject");
            let nullable = member.nullable && !demanded;
            let (mut part, inside) =
                self.shape(&member.shape, nullable, &member.keywords, &pointer, demanded);
            part.extend(
                member.keywords.origin.iter().map(|(name, value)| ((*name).to_owned(), value.clone())),
            );
            properties.insert(member.name.clone(), Value::Object(part));
            if (demanded || inside) && !choice {
                required.push(json!(member.name));
            }
            subject |= inside || member.keywords.privacy == Some("subject");
        }
        into.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            into.insert("required".to_owned(), Value::Array(required));
        }
        if choice {
            into.insert("minProperties".to_owned(), json!(1));
            into.insert("maxProperties".to_owned(), json!(1));
        }
        if !one_of.is_empty() {
            let branches = one_of.iter().map(|name| json!({"required": [name]})).collect();
            into.insert("oneOf".to_owned(), Value::Array(branches));
        }
        subject
    }

    fn shape(
        &mut self,
        shape: &Shape,
        nullable: bool,
        keywords: &Keywords,
        pointer: &str,
        demanded: bool,
    ) -> (Map<String, Value>, bool) {
        let mut part = Map::new();
        let mut subject = false;
        let named = |part: &mut Map<String, Value>, name: &str, nullable: bool| {
            let value = if nullable { json!([name, "null"]) } else { json!(name) };
            part.insert("type".to_owned(), value);
        };
        self.level += 1;
        if self.level > LEVELS_MAX + 2 {
            self.level -= 1;
            named(&mut part, "string", true);
            return (part, false);
        }
        match shape {
            Shape::Scalar(words) => {
                for (name, value) in words {
                    match (*name, value) {
                        ("type", Value::String(name)) => named(&mut part, name, nullable),
                        ("enum", Value::Array(values)) => {
                            let mut values = values.clone();
                            values.extend(nullable.then_some(Value::Null));
                            part.insert("enum".to_owned(), Value::Array(values));
                        }
                        _ => _ = part.insert((*name).to_owned(), value.clone()),
                    }
                }
            }
            Shape::Object { members, choice, one_of } => {
                let mut inner = Map::new();
                subject = self.object(&mut inner, members, *choice, one_of, pointer, false);
                named(&mut part, "object", nullable && !subject);
                part.extend(inner);
            }
            Shape::Array(item) => {
                named(&mut part, "array", nullable);
                let pointer = format!("{pointer}/items");
                let (inner, _) = self.shape(&item.shape, item.nullable, keywords, &pointer, false);
                part.insert("items".to_owned(), Value::Object(inner));
            }
            Shape::Map(item) => {
                named(&mut part, "object", nullable);
                let pointer = format!("{pointer}/additionalProperties");
                let (inner, _) = self.shape(&item.shape, item.nullable, keywords, &pointer, false);
                part.insert("additionalProperties".to_owned(), Value::Object(inner));
            }
            Shape::Defined(name) => {
                let target = json!({"$ref": format!("#/$defs/{}", escaped(name))});
                if demanded || !nullable {
                    part.insert("$ref".to_owned(), target["$ref"].clone());
                } else {
                    part.insert("anyOf".to_owned(), json!([target, {"type": "null"}]));
                }
            }
        }
        self.level -= 1;
        // What is said of a list is said of the values in it.
        if matches!(shape, Shape::Array(_) | Shape::Map(_)) {
            return (part, subject);
        }
        for (name, value) in &keywords.rules {
            part.insert((*name).to_owned(), value.clone());
        }
        if let Some(privacy) = keywords.privacy {
            part.insert("x-privacy".to_owned(), json!(privacy));
        }
        (part, subject)
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
