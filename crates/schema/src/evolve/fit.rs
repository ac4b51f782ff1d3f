//! Does a value that was stored pass rules that are narrower than those it was judged by?
//! Always: the answer is the decoder's for the same value, or the change was refused: of times, of bytes and of protected
//! values the text that a producer sent is not known any more. Never quotes a value.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{DataType, Decimal128Type, Float64Type, Int64Type},
};

use crate::{
    guard::Guard,
    json::{Exact, Number, write_float, write_string},
    rules::{Count, NumberRules, OneOf, TextRules},
    schema::{Field, Kind},
};

/// The rules that stored values are held against.
#[derive(Debug, Clone, Default)]
pub struct Fit {
    pub(super) numbers: Option<NumberRules>,
    pub(super) texts: Option<TextRules>,
    pub(super) one_of: Option<OneOf>,
    pub(super) guard: Option<Guard>,
    /// Of a list's items, or of a map's.
    pub(super) count: Option<Count>,
    /// There was none in some rows, and there must be one.
    pub(super) needs_value: bool,
    /// A value that does not pass may become null.
    pub(super) nulls: bool,
    /// Texts are JSON.
    pub(super) json: bool,
}

impl Fit {
    /// All that is demanded of a field.
    pub(super) fn whole(field: &Field, needs_value: bool) -> Fit {
        Fit {
            numbers: field.kind.number_rules().cloned(),
            texts: field.kind.text_rules().cloned(),
            one_of: field.one_of.as_deref().cloned(),
            guard: field.guard.as_deref().cloned(),
            count: None,
            needs_value,
            nulls: !needs_value,
            json: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_empty_but_null() && !self.needs_value
    }

    /// Can the rules be held against what is stored of such values?
    pub(super) fn is_judged(&self, kind: &Kind) -> bool {
        match kind {
            Kind::Boolean | Kind::Integer(_) | Kind::Number(_) | Kind::String(_) | Kind::Json(None) => true,
            // The number, not how it was written.
            Kind::Decimal(_) => self.guard.is_none(),
            Kind::Array(_) | Kind::Map(_) => self.guard.is_none(),
            _ => self.is_empty_but_null(),
        }
    }

    /// Only that there must be a value is demanded.
    fn is_empty_but_null(&self) -> bool {
        self.numbers.is_none()
            && self.texts.is_none()
            && self.one_of.is_none()
            && self.guard.is_none()
            && self.count.is_none()
    }

    /// May a value that does not pass become null?
    pub fn may_be_null(&self) -> bool {
        self.nulls
    }

    /// Must there be a value where there was none?
    pub(crate) fn needs_value(&self) -> bool {
        self.needs_value
    }

    /// Whether the value of this row, which is not null, passes.
    pub(crate) fn passes(&self, array: &ArrayRef, row: usize) -> bool {
        match array.data_type() {
            DataType::Int64 => {
                let value = array.as_primitive::<Int64Type>().value(row);
                let rules = self.numbers.as_ref().is_none_or(|rules| rules.check_integer(value).is_ok());
                rules && self.number_passes(&Exact::from(value))
            }
            DataType::Float64 => {
                let value = array.as_primitive::<Float64Type>().value(row);
                let mut text = Vec::new();
                write_float(value, &mut text);
                // Not finite: no number of JSON, which only an expression can have made.
                Number::parse(&text).filter(|_| value.is_finite()).is_some_and(|number| {
                    let rules = self.numbers.as_ref();
                    rules.is_none_or(|rules| rules.check_float(&number, value).is_ok())
                        && self.number_passes(&Exact::from_number(&number))
                })
            }
            DataType::Decimal128(_, scale) => {
                let value = array.as_primitive::<Decimal128Type>().value(row).to_string();
                Number::parse(value.as_bytes()).is_some_and(|number| {
                    let value = Exact::from_number(&number).scaled(-i64::from(*scale) as i32);
                    let rules = self.numbers.as_ref();
                    rules.is_none_or(|rules| rules.check_exact(&value).is_ok()) && self.number_passes(&value)
                })
            }
            DataType::Boolean => {
                let value = array.as_boolean().value(row);
                let listed = self.one_of.as_ref().is_none_or(|it| it.check_boolean(value).is_ok());
                listed && self.guard_passes(if value { b"true" } else { b"false" })
            }
            DataType::Utf8 => self.text_passes(array.as_string::<i32>().value(row).as_bytes()),
            DataType::List(_) => self.count_passes(array.as_list::<i32>().value_length(row)),
            DataType::Map(..) => self.count_passes(array.as_map().value_length(row)),
            _ => true,
        }
    }

    fn number_passes(&self, value: &Exact) -> bool {
        if !self.one_of.as_ref().is_none_or(|it| it.check_number(value).is_ok()) {
            return false;
        }
        let mut json = Vec::new();
        if self.guard.is_some() {
            value.write(&mut json);
        }
        self.guard_passes(&json)
    }

    fn text_passes(&self, text: &[u8]) -> bool {
        self.texts.as_ref().is_none_or(|rules| rules.check(text).is_ok())
            && self.one_of.as_ref().is_none_or(|it| it.has_text(text))
            && self.guard.as_ref().is_none_or(|guard| match self.json {
                true => guard.check(text).is_ok(),
                false => {
                    let mut json = Vec::with_capacity(text.len() + 2);
                    write_string(text, &mut json);
                    guard.check(&json).is_ok()
                }
            })
    }

    fn guard_passes(&self, json: &[u8]) -> bool {
        self.guard.as_ref().is_none_or(|guard| guard.check(json).is_ok())
    }

    fn count_passes(&self, count: i32) -> bool {
        let count = u64::try_from(count).unwrap_or(0);
        self.count.is_none_or(|rule| rule.check(count, "").is_ok())
    }
}
