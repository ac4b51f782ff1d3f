//! What a schema demands of a value besides its type: bounds, lengths, patterns, formats, lists of values.
//! Always: a rule says which code a value that breaks it gets, and what to tell its sender. Knows no JSON.

use std::ops::{Range, RangeInclusive};

use hw_event::RejectCode;
use regex::bytes::Regex;

use crate::{
    format::TextFormat,
    json::{Exact, Number},
    schema::number_text,
};

/// A broken rule: the code and what was expected, without the value.
pub(crate) type Broken = (RejectCode, String);

/// How many items, or properties, there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    pub min: u64,
    pub max: u64,
}

impl Count {
    pub const ANY: Count = Count { min: 0, max: u64::MAX };

    /// What both allow; nothing where its minimum is above its maximum.
    pub fn and(self, other: Count) -> Count {
        Count { min: self.min.max(other.min), max: self.max.min(other.max) }
    }

    pub fn check(self, count: u64, noun: &str) -> Result<(), Broken> {
        let expected = match () {
            () if count < self.min => format!("expected at least {} {noun}, found {count}", self.min),
            () if count > self.max => format!("expected at most {} {noun}, found {count}", self.max),
            () => return Ok(()),
        };
        Err((RejectCode::Items, expected))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bound {
    pub limit: Exact,
    pub exclusive: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NumberRules {
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<Exact>,
    /// Integers that are sure to pass; empty where the bounds do not say so at once.
    pub(crate) whole: RangeInclusive<i64>,
    /// Doubles strictly between these are sure to pass: rounding never changes the order of two numbers.
    pub(crate) between: Range<f64>,
}

impl NumberRules {
    pub(crate) fn new(
        minimum: Option<Bound>,
        maximum: Option<Bound>,
        multiple_of: Option<Exact>,
    ) -> Option<NumberRules> {
        if minimum.is_none() && maximum.is_none() && multiple_of.is_none() {
            return None;
        }
        let lowest = match &minimum {
            None => Some(i64::MIN),
            Some(Bound { limit, exclusive }) => whole_floor(limit).and_then(|floor| {
                if limit.is_whole() && !exclusive { Some(floor) } else { floor.checked_add(1) }
            }),
        };
        let highest = match &maximum {
            None => Some(i64::MAX),
            Some(Bound { limit, exclusive }) => whole_floor(limit).and_then(|floor| {
                if limit.is_whole() && *exclusive { floor.checked_sub(1) } else { Some(floor) }
            }),
        };
        #[expect(
            clippy::reversed_empty_ranges,
            reason = "an empty range sends every value to the exact check"
        )]
        let whole = match (lowest, highest, &multiple_of) {
            (Some(lowest), Some(highest), None) => lowest..=highest,
            _ => 1..=0,
        };
        let rounded =
            |bound: &Option<Bound>, open: f64| bound.as_ref().map_or(open, |bound| bound.limit.to_f64());
        let between = match &multiple_of {
            None => rounded(&minimum, f64::NEG_INFINITY)..rounded(&maximum, f64::INFINITY),
            Some(_) => 0.0..0.0,
        };
        Some(NumberRules { minimum, maximum, multiple_of, whole, between })
    }

    #[inline]
    pub(crate) fn check_integer(&self, value: i64) -> Result<(), Broken> {
        if self.whole.contains(&value) { Ok(()) } else { self.check_exact(&Exact::from(value)) }
    }

    /// `value` is the double nearest to `number`.
    #[inline]
    pub(crate) fn check_float(&self, number: &Number<'_>, value: f64) -> Result<(), Broken> {
        if value > self.between.start && value < self.between.end {
            return Ok(());
        }
        self.check_exact(&Exact::from_number(number))
    }

    pub(crate) fn check_exact(&self, value: &Exact) -> Result<(), Broken> {
        if let Some(Bound { limit, exclusive }) = &self.minimum
            && (value < limit || *exclusive && value == limit)
        {
            let words = if *exclusive { "more than" } else { "at least" };
            return Err((RejectCode::Minimum, format!("expected {words} {}", number_text(limit))));
        }
        if let Some(Bound { limit, exclusive }) = &self.maximum
            && (value > limit || *exclusive && value == limit)
        {
            let words = if *exclusive { "less than" } else { "at most" };
            return Err((RejectCode::Maximum, format!("expected {words} {}", number_text(limit))));
        }
        match &self.multiple_of {
            Some(divisor) if !value.is_multiple_of(divisor) => {
                Err((RejectCode::MultipleOf, format!("expected a multiple of {}", number_text(divisor))))
            }
            _ => Ok(()),
        }
    }
}

/// The floor of a bound, where it is an int64.
fn whole_floor(limit: &Exact) -> Option<i64> {
    limit.floor().ok().and_then(|floor| i64::try_from(floor).ok())
}

/// A regular expression of the schema, searched for anywhere in the text.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// As the schema has it.
    pub source: String,
    pub regex: Regex,
}

#[derive(Debug, Clone)]
pub struct TextRules {
    pub(crate) chars: Count,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) format: Option<TextFormat>,
}

impl TextRules {
    /// `text` is valid UTF-8.
    #[inline]
    pub(crate) fn check(&self, text: &[u8]) -> Result<(), Broken> {
        // A character has one to four bytes: mostly their number says enough.
        let bytes = text.len() as u64;
        let fits = bytes.div_ceil(4) >= self.chars.min && bytes <= self.chars.max;
        if fits && self.pattern.is_none() && self.format.is_none() {
            return Ok(());
        }
        self.check_all(text, fits)
    }

    fn check_all(&self, text: &[u8], fits: bool) -> Result<(), Broken> {
        if !fits {
            // Bytes that continue a character begin with the bits 10.
            let chars = text.iter().filter(|&&byte| byte & 0xc0 != 0x80).count() as u64;
            self.chars.check(chars, "characters").map_err(|(_, expected)| (RejectCode::Length, expected))?;
        }
        if let Some(pattern) = &self.pattern
            && !pattern.regex.is_match(text)
        {
            let source: String = pattern.source.chars().take(80).collect();
            return Err((RejectCode::Pattern, format!("the text does not match the pattern {source}")));
        }
        match self.format {
            Some(format) if !format.matches(text) => {
                Err((RejectCode::Format, format!("expected {}", format.noun())))
            }
            _ => Ok(()),
        }
    }
}

/// The values of `enum` or `const`, apart by type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OneOf {
    /// Sorted.
    Texts(Vec<Vec<u8>>),
    /// Sorted.
    Numbers(Vec<Exact>),
    Booleans(Vec<bool>),
}

impl OneOf {
    const BROKEN: &str = "the value is none of those that the schema lists";

    /// Are texts not listed, or is this one?
    pub fn has_text(&self, text: &[u8]) -> bool {
        let OneOf::Texts(texts) = self else { return true };
        texts.binary_search_by(|listed| listed.as_slice().cmp(text)).is_ok()
    }

    pub fn check_text(&self, text: &[u8]) -> Result<(), Broken> {
        Self::verdict(self.has_text(text))
    }

    pub fn check_number(&self, value: &Exact) -> Result<(), Broken> {
        let OneOf::Numbers(numbers) = self else { return Ok(()) };
        Self::verdict(numbers.binary_search(value).is_ok())
    }

    pub fn check_boolean(&self, value: bool) -> Result<(), Broken> {
        let OneOf::Booleans(booleans) = self else { return Ok(()) };
        Self::verdict(booleans.contains(&value))
    }

    fn verdict(listed: bool) -> Result<(), Broken> {
        if listed { Ok(()) } else { Err((RejectCode::Enum, Self::BROKEN.to_owned())) }
    }

    /// Does this list hold all of `other`'s values?
    pub fn includes(&self, other: &OneOf) -> bool {
        match (self, other) {
            (OneOf::Texts(wide), OneOf::Texts(narrow)) => narrow.iter().all(|v| wide.contains(v)),
            (OneOf::Numbers(wide), OneOf::Numbers(narrow)) => narrow.iter().all(|v| wide.contains(v)),
            (OneOf::Booleans(wide), OneOf::Booleans(narrow)) => narrow.iter().all(|v| wide.contains(v)),
            _ => false,
        }
    }
}
