//! Messages as fields of our document.
//! Always: what a payload can hold the document allows; a number has the bounds of its width.

use serde_json::{Value, json};

use super::{
    compile::compile,
    load::Loaded,
    meaning::{Body, Field, Known, Label, Messages, Type},
};
use crate::notation::{self, Draft, Member, Problems, draft::Item};

/// As Protobuf writes one in JSON: seconds with up to nine digits behind the point.
const DURATION: &str = r"^-?[0-9]{1,12}(\.[0-9]{1,9})?s$";
/// A message that unfolds to more is refused when the document is written; so much is drafted at most.
const MEMBERS_MAX: usize = 4000;
const LEVELS_MAX: usize = 40;

pub(crate) fn draft(loaded: &Loaded, stream: &str, problems: &mut Problems) -> Option<Draft> {
    let compiled = compile(loaded, stream, None, problems)?;
    let event = compiled.messages.0.first()?;
    if event.recursive {
        let hint = "wrap it: an event that holds the tree in a field";
        problems.error(event.place, "the event's message leads back to itself", hint);
        return None;
    }
    let mut drafter = Drafter { messages: &compiled.messages, left: MEMBERS_MAX, level: 0 };
    let members = drafter.members(event);
    let bodies = compiled.messages.0.iter().enumerate();
    let definitions = bodies
        .filter(|(_, body)| body.recursive)
        .map(|(index, body)| (name_of(index, body), drafter.object(body)))
        .collect();
    Some(Draft {
        members,
        one_of: Vec::new(),
        place: event.place,
        settings: compiled.settings,
        definitions,
        root: compiled.root,
    })
}

/// The messages that a stored text means. `None`: it was accepted once, and is not any more.
pub(crate) fn messages(loaded: &Loaded, root: &str) -> Option<Messages> {
    compile(loaded, "", Some(root), &mut Problems::default()).map(|compiled| compiled.messages)
}

struct Drafter<'m> {
    messages: &'m Messages,
    left: usize,
    level: usize,
}

fn name_of(index: usize, body: &Body) -> String {
    format!("{}-{index}", body.name)
}

fn scalar(words: Vec<(&'static str, Value)>) -> notation::Shape {
    notation::Shape::Scalar(words)
}

fn integer(min: i64, max: i64) -> notation::Shape {
    scalar(vec![("type", json!("integer")), ("minimum", json!(min)), ("maximum", json!(max))])
}

impl Drafter<'_> {
    fn object(&mut self, body: &Body) -> notation::Shape {
        notation::Shape::Object { members: self.members(body), choice: false, one_of: Vec::new() }
    }

    fn members(&mut self, body: &Body) -> Vec<Member> {
        body.fields.iter().filter_map(|field| self.member(field)).collect()
    }

    fn member(&mut self, field: &Field) -> Option<Member> {
        self.left = self.left.checked_sub(1)?;
        let item = |shape| Box::new(Item { shape, nullable: false });
        let shape = match &field.label {
            Label::One(_) | Label::Required => self.shape(&field.ty).overruled_by(&field.keywords),
            // What is said of a list is said of the values in it.
            Label::Repeated => {
                notation::Shape::Array(item(self.shape(&field.ty).overruled_by(&field.keywords)))
            }
            Label::Map(_) => notation::Shape::Map(item(self.shape(&field.ty).overruled_by(&field.keywords))),
        };
        Some(Member {
            name: field.name.clone(),
            shape,
            nullable: !field.keywords.required,
            keywords: field.keywords.clone(),
            place: field.place,
        })
    }

    fn shape(&mut self, ty: &Type) -> notation::Shape {
        self.level += 1;
        // Deeper than a document may be: it is refused when it is written.
        let shape = if self.level > LEVELS_MAX { scalar(Vec::new()) } else { self.shape_of(ty) };
        self.level -= 1;
        shape
    }

    fn shape_of(&mut self, ty: &Type) -> notation::Shape {
        match ty {
            Type::Bool => scalar(vec![("type", json!("boolean"))]),
            Type::Int32 | Type::Sint32 | Type::Sfixed32 => integer(i64::from(i32::MIN), i64::from(i32::MAX)),
            Type::Uint32 | Type::Fixed32 => integer(0, i64::from(u32::MAX)),
            Type::Int64 | Type::Sint64 | Type::Sfixed64 => scalar(vec![("type", json!("integer"))]),
            Type::Uint64 | Type::Fixed64 => scalar(vec![("type", json!("integer")), ("minimum", json!(0))]),
            Type::Float | Type::Double => scalar(vec![("type", json!("number"))]),
            Type::String => scalar(vec![("type", json!("string"))]),
            Type::Bytes => scalar(vec![("type", json!("string")), ("contentEncoding", json!("base64"))]),
            Type::Enum(names) => scalar(vec![("type", json!("string")), ("enum", json!(names.all))]),
            Type::Message(index) | Type::Group(index) => match self.messages.0.get(*index) {
                Some(body) => self.message(*index, body),
                None => scalar(Vec::new()),
            },
        }
    }

    fn message(&mut self, index: usize, body: &Body) -> notation::Shape {
        match body.known {
            Some(Known::Timestamp) => scalar(vec![("type", json!("string")), ("format", json!("date-time"))]),
            Some(Known::Duration) => scalar(vec![("type", json!("string")), ("pattern", json!(DURATION))]),
            Some(Known::Wrapper) => match body.fields.first() {
                Some(value) => self.shape(&value.ty),
                None => scalar(Vec::new()),
            },
            // Without properties: JSON text.
            Some(Known::Struct) => scalar(vec![("type", json!("object"))]),
            Some(Known::List) => scalar(vec![("type", json!("array"))]),
            Some(Known::Value) => scalar(Vec::new()),
            None if body.recursive => notation::Shape::Defined(name_of(index, body)),
            None if body.fields.is_empty() => scalar(vec![("type", json!("object"))]),
            None => self.object(body),
        }
    }
}
