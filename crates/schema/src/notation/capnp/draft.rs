//! Structs as fields of our document.
//! Always: what a payload can hold the document allows; a number has the bounds of its width.

use serde_json::{Value, json};

use super::{
    meaning::{Body, Field, Shape, Structs, Type},
    resolve::compile,
};
use crate::notation::{self, Draft, Files, Member, Place, Problems, draft::Item};

pub(crate) fn draft(
    files: &Files,
    stream: &str,
    root: Option<&str>,
    problems: &mut Problems,
) -> Option<Draft> {
    let compiled = compile(files, stream, root, problems)?;
    let Some(event) = compiled.structs.0.first() else { return None };
    let mut drafter = Drafter { structs: &compiled.structs, problems, left: MEMBERS_MAX, level: 0 };
    if event.recursive {
        let hint = "wrap it: an event that holds the tree in a field";
        drafter.problems.error(event.place, "the event's struct leads back to itself", hint);
        return None;
    }
    let members = drafter.members(event);
    let definitions = compiled
        .structs
        .0
        .iter()
        .enumerate()
        .filter(|(_, body)| body.recursive)
        .map(|(index, body)| (name_of(index, body), drafter.object(body)))
        .collect();
    Some(Draft {
        members,
        one_of: one_of(event),
        settings: compiled.settings,
        definitions,
        place: event.place,
        root: compiled.root,
    })
}

/// The structs that a stored text means. `None`: it was accepted once, and is not any more.
pub(crate) fn structs(files: &Files, root: &str) -> Option<Structs> {
    compile(files, "", Some(root), &mut Problems::default()).map(|compiled| compiled.structs)
}

/// A struct that unfolds to more is refused when the document is written; so much is drafted at most.
const MEMBERS_MAX: usize = 4000;
const LEVELS_MAX: usize = 40;

struct Drafter<'s, 'p> {
    structs: &'s Structs,
    problems: &'p mut Problems,
    left: usize,
    level: usize,
}

fn name_of(index: usize, body: &Body) -> String {
    format!("{}-{index}", body.name)
}

/// The members of a union without a name.
fn one_of(body: &Body) -> Vec<String> {
    if body.choice.is_none() {
        return Vec::new();
    }
    body.fields.iter().filter(|field| field.branch.is_some()).map(|field| field.name.text.clone()).collect()
}

/// All fields are members of one union.
fn is_choice(body: &Body) -> bool {
    body.choice.is_some() && body.fields.iter().all(|field| field.branch.is_some())
}

impl Drafter<'_, '_> {
    fn object(&mut self, body: &Body) -> notation::Shape {
        let choice = is_choice(body);
        let one_of = if choice { Vec::new() } else { one_of(body) };
        notation::Shape::Object { members: self.members(body), choice, one_of }
    }

    fn members(&mut self, body: &Body) -> Vec<Member> {
        body.fields.iter().filter_map(|field| self.member(field)).collect()
    }

    fn member(&mut self, field: &Field) -> Option<Member> {
        self.left = self.left.checked_sub(1)?;
        let shape = match &field.shape {
            Shape::Inner(body) => self.object(body),
            Shape::Slot(slot) => match &slot.ty {
                // It says that this member is the one.
                Type::Void if field.branch.is_some() => {
                    notation::Shape::Scalar(vec![("type", json!("boolean")), ("enum", json!([true]))])
                }
                Type::Void => {
                    let hint = "a Void that is no member of a union says nothing";
                    self.problems.warn(field.place, "this field becomes no column", hint);
                    return None;
                }
                ty => self.shape(ty, field.place),
            },
        };
        let is_void = matches!(&field.shape, Shape::Slot(slot) if matches!(slot.ty, Type::Void));
        let keywords = field.keywords.clone();
        let shape = shape.overruled_by(&keywords);
        Some(Member {
            name: field.name.text.clone(),
            shape,
            nullable: !is_void,
            keywords,
            place: field.place,
        })
    }

    fn shape(&mut self, ty: &Type, place: Place) -> notation::Shape {
        self.level += 1;
        // Deeper than a document may be: it is refused when it is written.
        let shape = if self.level > LEVELS_MAX {
            notation::Shape::Scalar(Vec::new())
        } else {
            self.shape_of(ty, place)
        };
        self.level -= 1;
        shape
    }

    fn shape_of(&mut self, ty: &Type, place: Place) -> notation::Shape {
        let scalar = |words: Vec<(&'static str, Value)>| notation::Shape::Scalar(words);
        match ty {
            Type::Void => scalar(vec![("type", json!("boolean")), ("enum", json!([true]))]),
            Type::Bool => scalar(vec![("type", json!("boolean"))]),
            Type::Integer { size, signed } => {
                let mut words = vec![("type", json!("integer"))];
                let bits = 1_u32 << size;
                if bits < 64 {
                    let max = (1_i64 << (bits - u32::from(*signed))) - 1;
                    words.push(("minimum", json!(if *signed { -max - 1 } else { 0 })));
                    words.push(("maximum", json!(max)));
                } else if !signed {
                    words.push(("minimum", json!(0)));
                }
                scalar(words)
            }
            Type::Float32 | Type::Float64 => scalar(vec![("type", json!("number"))]),
            Type::Text => scalar(vec![("type", json!("string"))]),
            Type::Data => scalar(vec![("type", json!("string")), ("contentEncoding", json!("base64"))]),
            Type::Enum(names) => scalar(vec![("type", json!("string")), ("enum", json!(&names[..]))]),
            Type::List(item) => {
                notation::Shape::Array(Box::new(Item { shape: self.shape(item, place), nullable: false }))
            }
            Type::Struct(index) => match self.structs.0.get(*index) {
                Some(body) if body.recursive => notation::Shape::Defined(name_of(*index, body)),
                Some(body) => self.object(body),
                None => scalar(vec![("type", json!("string"))]),
            },
        }
    }
}
