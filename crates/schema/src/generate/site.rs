//! Where in a schema an event can go wrong, and with which code.
//! Always: every code that the rules of some field name has a site there. Whether an event can really be made to break
//! the rule there (it may be hidden behind another rule) is found out by trying.

use hw_event::RejectCode;

use crate::{
    Schema,
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
pub(super) fn sites(schema: &Schema) -> Vec<Site> {
    let mut walk = Walk { refuse: schema.extra == Extra::Refuse, path: Vec::new(), sites: Vec::new() };
    walk.object(&schema.root);
    walk.sites
}

struct Walk {
    refuse: bool,
    path: Vec<Step>,
    sites: Vec<Site>,
}

impl Walk {
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

    fn field(&mut self, field: &Field) {
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
        // Sites of `keyword` belong here, once fields have rules that only the slower path checks.
        #[allow(unreachable_patterns, reason = "a kind that is not known here has no site but its type")]
        match &field.kind {
            Kind::Boolean | Kind::String(_) => {}
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
            _ => {}
        }
    }
}
