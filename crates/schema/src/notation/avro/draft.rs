//! Avro types as fields of our document.
//! Always: a field without a default that cannot be null is required, as it is for Avro's own readers.

use serde_json::{Value, json};

use super::{Field, Kind, Type, Types, branches, read::read};
use crate::notation::{Draft, Files, Member, Place, Problems, Settings, Shape, draft::Item};

/// A record that unfolds to more is refused when the document is written; so much is drafted at most.
const MEMBERS_MAX: usize = 4000;
const LEVELS_MAX: usize = 40;

pub(crate) fn draft(files: &Files, problems: &mut Problems) -> Option<Draft> {
    let types = match read(files.text(0)) {
        Ok(types) => types,
        Err(wrong) => {
            problems.wrong(0, wrong);
            return None;
        }
    };
    let Type::Named(root) = &types.root else {
        problems.error(Place::default(), "an event is a record", "write \"type\": \"record\" at the root");
        return None;
    };
    let named = types.named(*root)?;
    let Kind::Record { fields, settings } = &named.kind else {
        problems.error(Place::default(), "an event is a record", "write \"type\": \"record\" at the root");
        return None;
    };
    let recursive = recursive(&types);
    if recursive[*root] {
        let place = Place { file: 0, at: named.at };
        problems.error(place, "the event's record leads back to itself", "wrap it in another record");
        return None;
    }
    let mut drafter = Drafter { types: &types, recursive: &recursive, problems, left: MEMBERS_MAX, level: 0 };
    let members = drafter.members(fields);
    let definitions = (0..types.named.len())
        .filter(|index| recursive[*index])
        .filter_map(|index| match &types.named(index)?.kind {
            Kind::Record { fields, .. } => {
                let members = drafter.members(fields);
                Some((name_of(&types, index), Shape::Object { members, choice: false, one_of: Vec::new() }))
            }
            _ => None,
        })
        .collect();
    Some(Draft {
        members,
        one_of: Vec::new(),
        settings: Settings { event: true, root: settings.clone() },
        definitions,
        place: Place { file: 0, at: named.at },
        root: named.name.clone(),
    })
}

struct Drafter<'t, 'p> {
    types: &'t Types,
    recursive: &'t [bool],
    problems: &'p mut Problems,
    left: usize,
    level: usize,
}

fn name_of(types: &Types, index: usize) -> String {
    format!("{}-{index}", types.named(index).map_or("", |named| &named.name))
}

impl Drafter<'_, '_> {
    fn members(&mut self, fields: &[Field]) -> Vec<Member> {
        fields.iter().filter_map(|field| self.member(field)).collect()
    }

    fn member(&mut self, field: &Field) -> Option<Member> {
        self.left = self.left.checked_sub(1)?;
        let place = Place { file: 0, at: field.at };
        let (shape, nullable) = self.nullable(&field.ty, place)?;
        let mut keywords = field.keywords.clone();
        let nullable = nullable || field.default.is_some();
        keywords.required = !nullable;
        Some(Member { name: field.name.clone(), shape, nullable, keywords, place })
    }

    /// The shape of a type, and whether it may be null. `None`: there is nothing to store.
    fn nullable(&mut self, ty: &Type, place: Place) -> Option<(Shape, bool)> {
        let Type::Union(union) = ty else {
            if *ty == Type::Null {
                self.problems.warn(place, "this field becomes no column", "its type is null alone");
                return None;
            }
            return Some((self.shape(ty, place), false));
        };
        let (branches, nullable) = branches(union);
        match &branches[..] {
            [] => {
                self.problems.warn(place, "this field becomes no column", "its type is null alone");
                None
            }
            [one] => Some((self.shape(one, place), nullable)),
            several => {
                let members = several
                    .iter()
                    .map(|branch| Member {
                        name: self.types.branch_name(branch).to_owned(),
                        shape: self.shape(branch, place),
                        nullable: true,
                        keywords: crate::notation::Keywords::default(),
                        place,
                    })
                    .collect();
                Some((Shape::Object { members, choice: true, one_of: Vec::new() }, nullable))
            }
        }
    }

    fn item(&mut self, ty: &Type, place: Place) -> Box<Item> {
        let (shape, nullable) =
            self.nullable(ty, place).unwrap_or((Shape::Scalar(vec![("type", json!("boolean"))]), true));
        Box::new(Item { shape, nullable })
    }

    fn shape(&mut self, ty: &Type, place: Place) -> Shape {
        self.level += 1;
        // Deeper than a document may be: it is refused when it is written.
        let shape =
            if self.level > LEVELS_MAX { Shape::Scalar(Vec::new()) } else { self.shape_of(ty, place) };
        self.level -= 1;
        shape
    }

    fn shape_of(&mut self, ty: &Type, place: Place) -> Shape {
        let scalar = |name: &str, rest: &[(&'static str, Value)]| {
            let mut words = vec![("type", json!(name))];
            words.extend(rest.iter().cloned());
            Shape::Scalar(words)
        };
        match ty {
            Type::Null | Type::Boolean => scalar("boolean", &[]),
            Type::Int => scalar("integer", &[("minimum", json!(i32::MIN)), ("maximum", json!(i32::MAX))]),
            Type::Long => scalar("integer", &[]),
            Type::Float | Type::Double => scalar("number", &[]),
            Type::Bytes => scalar("string", &[("contentEncoding", json!("base64"))]),
            Type::String => scalar("string", &[]),
            Type::Date => scalar("string", &[("format", json!("date"))]),
            Type::TimestampMillis => scalar("integer", &[("x-time", json!("ms"))]),
            Type::TimestampMicros => scalar("integer", &[("x-time", json!("us"))]),
            Type::Uuid => scalar("string", &[("format", json!("uuid"))]),
            Type::Decimal { precision, scale } => {
                let rest = [
                    ("format", json!("decimal")),
                    ("x-precision", json!(precision)),
                    ("x-scale", json!(scale)),
                ];
                scalar("string", &rest)
            }
            Type::Array(item) => Shape::Array(self.item(item, place)),
            Type::Map(item) => Shape::Map(self.item(item, place)),
            Type::Union(_) => match self.nullable(ty, place) {
                Some((shape, _)) => shape,
                None => scalar("boolean", &[]),
            },
            Type::Named(index) => match self.types.named(*index).map(|named| &named.kind) {
                Some(Kind::Record { .. }) if self.recursive[*index] => {
                    Shape::Defined(name_of(self.types, *index))
                }
                Some(Kind::Record { fields, .. }) => {
                    Shape::Object { members: self.members(fields), choice: false, one_of: Vec::new() }
                }
                Some(Kind::Enum { symbols, .. }) => scalar("string", &[("enum", json!(symbols))]),
                Some(Kind::Fixed { meaning, .. }) => self.shape(meaning, place),
                Some(Kind::Open) | None => scalar("string", &[]),
            },
        }
    }
}

/// Which named types lead back to themselves.
fn recursive(types: &Types) -> Vec<bool> {
    fn leads(ty: &Type, to: &mut Vec<usize>) {
        match ty {
            Type::Named(index) => to.push(*index),
            Type::Array(item) | Type::Map(item) => leads(item, to),
            Type::Union(branches) => branches.iter().for_each(|branch| leads(branch, to)),
            _ => {}
        }
    }
    let next: Vec<Vec<usize>> = types
        .named
        .iter()
        .map(|named| {
            let mut to = Vec::new();
            if let Kind::Record { fields, .. } = &named.kind {
                fields.iter().for_each(|field| leads(&field.ty, &mut to));
            }
            to
        })
        .collect();
    (0..next.len())
        .map(|start| {
            let (mut open, mut seen) = (next[start].clone(), vec![false; next.len()]);
            while let Some(index) = open.pop() {
                if !std::mem::replace(&mut seen[index], true) {
                    open.extend(&next[index]);
                }
            }
            seen[start]
        })
        .collect()
}
