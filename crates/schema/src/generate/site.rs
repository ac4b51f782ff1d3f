//! Where in a schema an event can go wrong, and with which code.
//! Always: every code that the rules of some field name has a site there. Whether an event can really be made to break
//! the rule there (it may be hidden behind another rule) is found out by trying.

use hw_event::RejectCode;

use super::{guarded::is_of_guard, parts::Parts};
use crate::{
    Schema,
    guard::Guard,
    rules::Count,
    schema::{Extra, Field, Kind, Object},
};

/// One step from a value to one inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// By its index in the object.
    Field(usize),
    Element,
    Value,
}

/// One rule of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Site {
    /// From the root; a missing field's path leads to the field.
    pub path: Vec<Step>,
    pub code: RejectCode,
}

/// The sites of all fields. What can be wrong with any text (`json_*`, …) has none.
pub(super) fn sites(schema: &Schema, parts: &Parts) -> Vec<Site> {
    let mut walk = Walk { parts, refuse: schema.extra == Extra::Refuse, path: Vec::new(), sites: Vec::new() };
    if schema.guard.is_some() {
        walk.add(RejectCode::Keyword);
        walk.beyond_a_double(&schema.root);
    }
    walk.object(&schema.root);
    walk.sites
}

struct Walk<'p> {
    parts: &'p Parts,
    refuse: bool,
    path: Vec<Step>,
    sites: Vec<Site>,
}

impl Walk<'_> {
    fn add(&mut self, code: RejectCode) {
        self.sites.push(Site { path: self.path.clone(), code });
    }

    fn object(&mut self, object: &Object) {
        if object.count != Count::ANY {
            self.add(RejectCode::Items);
        }
        if object.closed || self.refuse {
            self.add(RejectCode::UnknownField);
        }
        for (index, field) in object.fields.iter().enumerate() {
            self.path.push(Step::Field(index));
            if field.required {
                self.add(RejectCode::Required);
            }
            self.field(field);
            self.path.pop();
        }
    }

    fn inside(&mut self, step: Step, field: &Field) {
        self.path.push(step);
        self.field(field);
        self.path.pop();
    }

    /// What is kept of an open object without a column is read once more by its guard.
    fn beyond_a_double(&mut self, object: &Object) {
        if !object.closed && !self.refuse {
            self.add(RejectCode::OutOfRange);
        }
    }

    fn guard(&mut self, field: &Field, guard: &Guard) {
        self.add(RejectCode::Keyword);
        match &field.kind {
            Kind::Json(_) => self.add(RejectCode::OutOfRange),
            Kind::Object(object) => self.beyond_a_double(object),
            _ => {}
        }
        let part = self.parts.of(guard).and_then(|index| self.parts.get(index));
        if is_of_guard(field, RejectCode::Format) && part.is_some_and(|part| part.format.is_some()) {
            self.add(RejectCode::Format);
        }
    }

    fn field(&mut self, field: &Field) {
        if let Some(guard) = &field.guard {
            self.guard(field, guard);
        }
        if matches!(field.kind, Kind::Json(_)) {
            return;
        }
        self.add(RejectCode::Type);
        if field.one_of.is_some() {
            self.add(RejectCode::Enum);
        }
        if let Some(rules) = field.kind.number_rules() {
            let codes = [
                (rules.minimum.is_some(), RejectCode::Minimum),
                (rules.maximum.is_some(), RejectCode::Maximum),
                (rules.multiple_of.is_some(), RejectCode::MultipleOf),
            ];
            for (_, code) in codes.into_iter().filter(|(there, _)| *there) {
                self.add(code);
            }
        }
        if let Some(rules) = field.kind.text_rules() {
            let codes = [
                (rules.chars != Count::ANY, RejectCode::Length),
                (rules.pattern.is_some(), RejectCode::Pattern),
                (rules.format.is_some(), RejectCode::Format),
            ];
            for (_, code) in codes.into_iter().filter(|(there, _)| *there) {
                self.add(code);
            }
        }
        match &field.kind {
            Kind::Boolean | Kind::String(_) | Kind::Json(_) => {}
            Kind::Integer(_) | Kind::Number(_) | Kind::Time(_) => self.add(RejectCode::OutOfRange),
            Kind::DateTime(_) => {
                self.add(RejectCode::OutOfRange);
                self.add(RejectCode::Format);
            }
            Kind::Decimal(decimal) => {
                self.add(RejectCode::OutOfRange);
                if decimal.text {
                    self.add(RejectCode::Format);
                }
            }
            Kind::Date(_) | Kind::Binary(_) => self.add(RejectCode::Format),
            Kind::Object(object) => self.object(object),
            Kind::Array(array) => {
                if array.count != Count::ANY || array.unique {
                    self.add(RejectCode::Items);
                }
                self.inside(Step::Element, &array.element);
            }
            Kind::Map(map) => {
                if map.count != Count::ANY {
                    self.add(RejectCode::Items);
                }
                self.inside(Step::Value, &map.value);
            }
        }
    }
}
