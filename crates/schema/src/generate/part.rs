//! One part of a schema document, as far as values can be made from it.
//! Always: what is read here is meant to be proposed; a keyword that is not known leaves the part without a demand.
//! Judges nothing, and knows other parts by their numbers only.

use std::collections::HashMap;

use regex::bytes::Regex;
use serde_json::Value;

use super::types::Types;
use crate::{
    document::compile_pattern,
    json::{Exact, Number},
    rules::{Bound, Count},
    schema::TimeUnit,
};

/// All numbers are those of parts.
#[derive(Debug)]
pub(super) struct Part {
    pub pointer: String,
    /// `false`: no value passes.
    pub nothing: bool,
    pub types: Option<Types>,
    /// The types that its keywords speak of.
    pub hints: Types,
    /// `enum` and `const`.
    pub listed: Option<Vec<Value>>,
    /// `examples` and `default`.
    pub shown: Vec<Value>,
    pub minimum: Option<Bound>,
    pub maximum: Option<Bound>,
    pub multiple_of: Option<Exact>,
    pub time: Option<TimeUnit>,
    /// Precision and scale.
    pub decimal: Option<(u8, i8)>,
    pub chars: Count,
    pub pattern: Option<Regex>,
    pub format: Option<String>,
    pub base64: bool,
    pub properties: Vec<(String, usize)>,
    by_name: HashMap<String, usize>,
    pub patterns: Vec<(Regex, usize)>,
    pub others: Option<usize>,
    pub unevaluated: Option<usize>,
    pub names: Option<usize>,
    pub required: Vec<String>,
    pub dependent: Vec<(String, Vec<String>)>,
    pub dependent_parts: Vec<(String, usize)>,
    pub members: Count,
    pub prefix: Vec<usize>,
    pub items: Option<usize>,
    pub unevaluated_items: Option<usize>,
    pub contains: Option<(usize, Count)>,
    pub unique: bool,
    pub elements: Count,
    /// `$ref` and `allOf`: they hold for the same value.
    pub all: Vec<usize>,
    pub any: Vec<usize>,
    pub one: Vec<usize>,
    pub not: Option<usize>,
    /// `if`, `then`, `else`.
    pub condition: Option<(usize, Option<usize>, Option<usize>)>,
}

impl Part {
    /// A part that any value passes.
    pub fn open(pointer: String) -> Part {
        Part {
            pointer,
            nothing: false,
            types: None,
            hints: Types::NONE,
            listed: None,
            shown: Vec::new(),
            minimum: None,
            maximum: None,
            multiple_of: None,
            time: None,
            decimal: None,
            chars: Count::ANY,
            pattern: None,
            format: None,
            base64: false,
            properties: Vec::new(),
            by_name: HashMap::new(),
            patterns: Vec::new(),
            others: None,
            unevaluated: None,
            names: None,
            required: Vec::new(),
            dependent: Vec::new(),
            dependent_parts: Vec::new(),
            members: Count::ANY,
            prefix: Vec::new(),
            items: None,
            unevaluated_items: None,
            contains: None,
            unique: false,
            elements: Count::ANY,
            all: Vec::new(),
            any: Vec::new(),
            one: Vec::new(),
            not: None,
            condition: None,
        }
    }

    pub fn property(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Is a value judged by which of several parts it passes?
    pub fn branches(&self) -> bool {
        !self.one.is_empty() || self.not.is_some() || self.condition.is_some()
    }

    /// `part` gives the number of the part below this one, at the pointer's rest; `refer` that of a reference's target.
    pub fn read(
        value: &Value,
        pointer: &str,
        draft_7: bool,
        mut part: impl FnMut(&[&str]) -> usize,
        refer: impl Fn(&str) -> Option<String>,
        mut at: impl FnMut(String) -> usize,
    ) -> Part {
        let mut read = Part::open(pointer.to_owned());
        let members = match value {
            Value::Bool(allowed) => {
                read.nothing = !allowed;
                return read;
            }
            Value::Object(members) => members,
            _ => return read,
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        for name in ["$ref", "$dynamicRef"] {
            if let Some(target) = text(name).and_then(&refer) {
                read.all.push(at(target));
            }
        }
        // There, what stands beside a reference has no effect.
        if draft_7 && members.contains_key("$ref") {
            return read;
        }
        read.types = members.get("type").map(|types| match types {
            Value::String(name) => Types::named(name),
            Value::Array(names) => {
                let named = names.iter().filter_map(Value::as_str).map(Types::named);
                named.fold(Types::NONE, Types::or)
            }
            _ => Types::ANY,
        });
        read.read_single(members);
        let mut list = |name: &str| -> Vec<usize> {
            let len = members.get(name).and_then(Value::as_array).map_or(0, Vec::len);
            (0..len).map(|index| part(&[name, &index.to_string()])).collect()
        };
        read.all.extend(list("allOf"));
        read.any = list("anyOf");
        read.one = list("oneOf");
        read.prefix = list("prefixItems");
        let tuple = members.get("items").is_some_and(Value::is_array);
        if tuple {
            read.prefix = list("items");
        }
        let mut one = |name: &str| members.contains_key(name).then(|| part(&[name]));
        read.items = one(if tuple { "additionalItems" } else { "items" });
        read.unevaluated_items = one("unevaluatedItems");
        read.not = one("not");
        read.condition = one("if").map(|condition| (condition, one("then"), one("else")));
        read.others = one("additionalProperties");
        read.unevaluated = one("unevaluatedProperties");
        read.names = one("propertyNames");
        let contained = Count { min: count(members, "minContains").unwrap_or(1), ..Count::ANY };
        let contained = Count { max: count(members, "maxContains").unwrap_or(u64::MAX), ..contained };
        read.contains = one("contains").map(|contains| (contains, contained));
        let mut named = |keyword: &str| -> Vec<(String, usize)> {
            let below = members.get(keyword).and_then(Value::as_object);
            let schemas = below.into_iter().flatten().filter(|(_, value)| !value.is_array());
            schemas.map(|(name, _)| (name.clone(), part(&[keyword, name]))).collect()
        };
        read.properties = named("properties");
        read.by_name = read.properties.iter().cloned().collect();
        let patterns = named("patternProperties").into_iter();
        read.patterns =
            patterns.filter_map(|(source, part)| Some((compile_pattern(&source).ok()?, part))).collect();
        read.dependent_parts = named("dependentSchemas");
        read.dependent_parts.extend(named("dependencies"));
        read.hints = read.hinted();
        read
    }

    /// The keywords that hold no part.
    fn read_single(&mut self, members: &serde_json::Map<String, Value>) {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let mut listed = members.get("enum").and_then(Value::as_array).cloned();
        if let Some(constant) = members.get("const") {
            listed = Some(vec![constant.clone()]);
        }
        self.listed = listed;
        self.shown = members.get("examples").and_then(Value::as_array).cloned().unwrap_or_default();
        self.shown.extend(members.get("default").cloned());
        let bound =
            |name: &str, exclusive| members.get(name).and_then(exact).map(|limit| Bound { limit, exclusive });
        self.minimum = tighter(bound("minimum", false), bound("exclusiveMinimum", true), Side::Low);
        self.maximum = tighter(bound("maximum", false), bound("exclusiveMaximum", true), Side::High);
        let divisor = members.get("multipleOf").and_then(exact);
        self.multiple_of = divisor.filter(|divisor| divisor.digit_count() <= Exact::DIVISOR_DIGITS_MAX);
        self.time = text("x-time").and_then(|unit| match unit {
            "s" => Some(TimeUnit::Second),
            "ms" => Some(TimeUnit::Millisecond),
            "us" => Some(TimeUnit::Microsecond),
            "ns" => Some(TimeUnit::Nanosecond),
            _ => None,
        });
        let digits = |name: &str| members.get(name).and_then(Value::as_u64);
        self.decimal = digits("x-precision")
            .zip(digits("x-scale"))
            .and_then(|(precision, scale)| Some((u8::try_from(precision).ok()?, i8::try_from(scale).ok()?)));
        self.chars = counts(members, "minLength", "maxLength");
        self.pattern = text("pattern").and_then(|source| compile_pattern(source).ok());
        self.format = text("format").map(ToOwned::to_owned);
        self.base64 = text("contentEncoding") == Some("base64");
        let texts = |value: &Value| -> Vec<String> {
            let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
            texts.map(ToOwned::to_owned).collect()
        };
        self.required = members.get("required").map(texts).unwrap_or_default();
        for keyword in ["dependentRequired", "dependencies"] {
            let entries = members.get(keyword).and_then(Value::as_object).into_iter().flatten();
            let lists = entries.filter(|(_, value)| value.is_array());
            self.dependent.extend(lists.map(|(name, value)| (name.clone(), texts(value))));
        }
        self.members = counts(members, "minProperties", "maxProperties");
        self.unique = members.get("uniqueItems") == Some(&Value::Bool(true));
        self.elements = counts(members, "minItems", "maxItems");
    }

    fn hinted(&self) -> Types {
        let bounded = self.minimum.is_some() || self.maximum.is_some() || self.multiple_of.is_some();
        let text = self.chars != Count::ANY || self.pattern.is_some() || self.format.is_some();
        let array = !self.prefix.is_empty()
            || self.items.is_some()
            || self.contains.is_some()
            || self.unique
            || self.elements != Count::ANY;
        let object = !self.properties.is_empty()
            || !self.patterns.is_empty()
            || self.others.is_some()
            || self.names.is_some()
            || !self.required.is_empty()
            || !self.dependent.is_empty()
            || !self.dependent_parts.is_empty()
            || self.members != Count::ANY;
        [(bounded, Types::NUMBER), (text, Types::STRING), (array, Types::ARRAY), (object, Types::OBJECT)]
            .into_iter()
            .filter(|(there, _)| *there)
            .fold(Types::NONE, |hints, (_, types)| hints.or(types))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Low,
    High,
}

/// The one of two bounds that shuts out more.
pub(super) fn tighter(one: Option<Bound>, other: Option<Bound>, side: Side) -> Option<Bound> {
    let (Some(one), Some(other)) = (&one, &other) else { return one.or(other) };
    let further = match side {
        Side::Low => other.limit > one.limit,
        Side::High => other.limit < one.limit,
    };
    Some(if further || other.limit == one.limit && other.exclusive { other.clone() } else { one.clone() })
}

fn exact(value: &Value) -> Option<Exact> {
    let text = value.as_number()?.to_string();
    Some(Exact::from_number(&Number::parse(text.as_bytes())?))
}

/// A count may be written as a number with a fraction of zero.
fn count(members: &serde_json::Map<String, Value>, name: &str) -> Option<u64> {
    let exact = members.get(name).and_then(exact)?;
    u64::try_from(exact.to_i128().ok()?).ok()
}

fn counts(members: &serde_json::Map<String, Value>, min: &str, max: &str) -> Count {
    Count { min: count(members, min).unwrap_or(0), max: count(members, max).unwrap_or(u64::MAX) }
}
