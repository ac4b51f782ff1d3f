//! The parts of a schema document that its guards judge by, with every reference resolved to a part.
//! Always: each part is read once, so that circles end; their number is bounded; their order is the document's. Where a
//! reference may mean several parts the likeliest is taken: the decoder has the last word on what is made.

use std::collections::{HashMap, HashSet};

use jsonschema::Draft;
use regex::bytes::Regex;
use serde_json::Value;

use super::{part::Part, types::Types};
use crate::{
    Schema,
    document::percent_decoded,
    guard::{Checks, Guard, read_value},
    schema::{Field, Kind, Object},
};

/// A document with more parts is not made events from beyond these.
const PARTS_MAX: usize = 50_000;
/// Parts that forks are tried out on while a value is made.
const CHECKED_MAX: usize = 100;
/// Names and values that the document mentions.
const MENTIONED_MAX: usize = 500;

#[derive(Default)]
pub(super) struct Parts {
    parts: Vec<Part>,
    known: HashMap<String, usize>,
    /// The types that a part and what it refers to leave.
    types: Vec<Types>,
    checks: Checks,
    checked: HashSet<usize>,
    /// Names of properties that the document mentions.
    pub names: Vec<String>,
    /// Patterns of such names.
    pub patterns: Vec<Regex>,
    /// Values that the document mentions.
    pub values: Vec<Value>,
}

impl Parts {
    pub fn new(schema: &Schema) -> Parts {
        let mut guards = Vec::new();
        guards.extend(schema.guard.as_deref());
        guards_of(&schema.root, &mut guards);
        let document = match guards.is_empty() {
            true => return Parts::default(),
            false => read_value(schema.document().as_bytes()),
        };
        let Ok(document) = document else { return Parts::default() };
        let dialect = document.get("$schema").and_then(Value::as_str).unwrap_or_default();
        let draft_7 = dialect.starts_with("http://json-schema.org/draft-07/schema");
        let mut walk = Walk::new(&document);
        for guard in guards {
            walk.part(guard.pointer.clone());
        }
        let mut parts = Vec::new();
        while let Some(pointer) = walk.order.get(parts.len()).cloned() {
            let part = match document.pointer(&pointer).filter(|_| parts.len() < PARTS_MAX) {
                Some(value) => walk.read(value, &pointer, draft_7),
                None => Part::open(pointer),
            };
            parts.push(part);
        }
        let mut made = Parts { parts, known: walk.known, ..Parts::default() };
        made.types = (0..made.parts.len()).map(|index| made.types_of(index, 0)).collect();
        made.compile(&document, if draft_7 { Draft::Draft7 } else { Draft::Draft202012 });
        made.mention();
        made
    }

    pub fn get(&self, index: usize) -> Option<&Part> {
        self.parts.get(index)
    }

    pub fn of(&self, guard: &Guard) -> Option<usize> {
        self.known.get(&guard.pointer).copied()
    }

    pub fn types(&self, index: usize) -> Types {
        self.types.get(index).copied().unwrap_or(Types::ANY)
    }

    /// Is no value allowed here?
    pub fn is_nothing(&self, index: usize) -> bool {
        self.types(index).is_none()
    }

    /// `None`: this part is not tried out.
    pub fn passes(&self, index: usize, value: &Value) -> Option<bool> {
        if !self.checked.contains(&index) {
            return None;
        }
        self.checks.passes(&self.parts.get(index)?.pointer, value)
    }

    fn types_of(&self, index: usize, depth: u32) -> Types {
        const DEPTH_MAX: u32 = 8;
        let Some(part) = self.parts.get(index) else { return Types::ANY };
        if part.nothing {
            return Types::NONE;
        }
        let mut types = part.types.unwrap_or(Types::ANY);
        if let Some(listed) = &part.listed {
            types = types.and(listed.iter().map(Types::of).fold(Types::NONE, Types::or));
        }
        if depth >= DEPTH_MAX {
            return types;
        }
        for &inner in &part.all {
            types = types.and(self.types_of(inner, depth + 1));
        }
        // Forks are looked into once: many of them, one in another, would cost too much.
        for branches in [&part.any, &part.one] {
            if !branches.is_empty() && depth == 0 {
                let each = branches.iter().map(|&inner| self.types_of(inner, depth + 1));
                types = types.and(each.fold(Types::NONE, Types::or));
            }
        }
        types
    }

    /// Has the library compile the parts that fork, and those that judge names.
    fn compile(&mut self, document: &Value, draft: Draft) {
        let forks = (0..self.parts.len()).filter(|&index| self.parts[index].branches());
        let names = self.parts.iter().filter_map(|part| part.names);
        self.checked = forks.chain(names).take(CHECKED_MAX).collect();
        let pointers = self.checked.iter().map(|&index| self.parts[index].pointer.as_str());
        if self.checks.compile(document, draft, pointers).is_err() {
            self.checked.clear();
        }
    }

    fn mention(&mut self) {
        let mut seen = HashSet::new();
        for part in &self.parts {
            let dependent = part.dependent.iter().flat_map(|(name, names)| names.iter().chain([name]));
            let named = part.properties.iter().map(|(name, _)| name);
            for name in named.chain(&part.required).chain(dependent) {
                if self.names.len() < MENTIONED_MAX && seen.insert(name.clone()) {
                    self.names.push(name.clone());
                }
            }
            let room = MENTIONED_MAX - self.patterns.len();
            self.patterns.extend(part.patterns.iter().map(|(regex, _)| regex.clone()).take(room));
            let bounds = [&part.minimum, &part.maximum].into_iter().flatten().filter_map(|bound| {
                let mut text = Vec::new();
                bound.limit.write(&mut text);
                read_value(&text).ok()
            });
            let mentioned = part.listed.iter().flatten().chain(&part.shown).cloned().chain(bounds);
            for value in mentioned {
                if self.values.len() < MENTIONED_MAX && !self.values.contains(&value) {
                    self.values.push(value);
                }
            }
        }
    }
}

fn guards_of<'s>(object: &'s Object, guards: &mut Vec<&'s Guard>) {
    fn of_field<'s>(field: &'s Field, guards: &mut Vec<&'s Guard>) {
        guards.extend(field.guard.as_deref());
        match &field.kind {
            Kind::Object(object) => guards_of(object, guards),
            Kind::Array(array) => of_field(&array.element, guards),
            Kind::Map(map) => of_field(&map.value, guards),
            _ => {}
        }
    }
    object.fields.iter().for_each(|field| of_field(field, guards));
}

/// A part that can be referred to by its own name.
struct Landmark {
    pointer: String,
    /// Without a fragment; it begins a document within the document.
    id: Option<String>,
    anchors: Vec<String>,
}

struct Walk {
    landmarks: Vec<Landmark>,
    known: HashMap<String, usize>,
    order: Vec<String>,
}

impl Walk {
    fn new(document: &Value) -> Walk {
        let mut landmarks = Vec::new();
        landmarks_of(document, String::new(), &mut landmarks);
        // The outermost first.
        landmarks.sort_by_key(|mark| mark.pointer.len());
        Walk { landmarks, known: HashMap::new(), order: Vec::new() }
    }

    fn part(&mut self, pointer: String) -> usize {
        if let Some(&index) = self.known.get(&pointer) {
            return index;
        }
        let index = self.order.len();
        self.known.insert(pointer.clone(), index);
        self.order.push(pointer);
        index
    }

    fn read(&mut self, value: &Value, pointer: &str, draft_7: bool) -> Part {
        let Walk { landmarks, known, order } = self;
        let numbers = std::cell::RefCell::new((known, order));
        let number = |pointer: String| {
            let (known, order) = &mut *numbers.borrow_mut();
            let next = order.len();
            *known.entry(pointer.clone()).or_insert_with(|| {
                order.push(pointer);
                next
            })
        };
        let below = |names: &[&str]| {
            let rest: String = names.iter().map(|name| format!("/{}", escaped(name))).collect();
            number(format!("{pointer}{rest}"))
        };
        let refer = |text: &str| target(landmarks, text, pointer);
        Part::read(value, pointer, draft_7, below, refer, number)
    }
}

/// Where a reference leads that stands in the part at `pointer`.
fn target(landmarks: &[Landmark], text: &str, pointer: &str) -> Option<String> {
    let (uri, fragment) = text.split_once('#').unwrap_or((text, ""));
    let fragment = percent_decoded(fragment);
    let around = |mark: &&Landmark| {
        mark.id.is_some()
            && pointer
                .strip_prefix(&mark.pointer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let own = landmarks.iter().rev().find(around).map_or("", |mark| mark.pointer.as_str());
    let last = |uri: &str| uri.rsplit(['/', ':']).next().unwrap_or_default().to_owned();
    let base = match uri.is_empty() {
        true => own,
        false => {
            let means = |id: &String| id == uri || last(id) == last(uri);
            &landmarks.iter().find(|mark| mark.id.as_ref().is_some_and(means))?.pointer
        }
    };
    if fragment.is_empty() || fragment.starts_with('/') {
        return Some(format!("{base}{fragment}"));
    }
    let anchored = |mark: &&Landmark| mark.anchors.contains(&fragment);
    let inside = landmarks.iter().filter(anchored).find(|mark| mark.pointer.starts_with(base));
    inside.or_else(|| landmarks.iter().find(anchored)).map(|mark| mark.pointer.clone())
}

fn landmarks_of(value: &Value, pointer: String, found: &mut Vec<Landmark>) {
    match value {
        Value::Object(members) => {
            let text = |name: &str| members.get(name).and_then(Value::as_str);
            let id = text("$id").map(|id| id.split('#').next().unwrap_or_default());
            let own_dialect = !pointer.is_empty() && text("$schema").is_some();
            let id = id.filter(|id| !id.is_empty()).or(own_dialect.then_some(""));
            let fragment = text("$id").and_then(|id| id.strip_prefix('#'));
            let anchors: Vec<String> = [text("$anchor"), text("$dynamicAnchor"), fragment]
                .into_iter()
                .flatten()
                .map(ToOwned::to_owned)
                .collect();
            if id.is_some() || !anchors.is_empty() {
                let id = id.map(ToOwned::to_owned);
                found.push(Landmark { pointer: pointer.clone(), id, anchors });
            }
            for (name, member) in members {
                if !matches!(name.as_str(), "enum" | "const" | "default" | "examples") {
                    landmarks_of(member, format!("{pointer}/{}", escaped(name)), found);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                landmarks_of(item, format!("{pointer}/{index}"), found);
            }
        }
        _ => {}
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
