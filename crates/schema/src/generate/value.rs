//! Values that a schema accepts, and events that lead to one that it does not.
//! Always: bounded in size, whatever the schema nests. A value is meant to pass or to fail; the caller asks the decoder.

use hw_event::RejectCode;

use super::{
    guarded::{Guarded, is_of_guard},
    json::Intent,
    number::{Grid, respelled},
    parts::Parts,
    pattern::{self, Stretch},
    random::Random,
    site::{Site, Step},
    text,
    tree::Tree,
};
use crate::{
    Schema, format,
    json::write_canonical,
    rules::{Count, OneOf, TextRules},
    schema::{Array, Extra, Field, Kind, Map, Object},
};

/// Beyond this many values an event is kept as small as its schema lets it be …
const VALUES_USUAL: u32 = 2_000;
/// … and beyond this many it is given up.
pub(super) const VALUES_MAX: u32 = 25_000;
/// Elements of an array, or members of a map, that are made to be too many.
pub(super) const COUNT_MAX: u64 = 20_000;
const TRIES: u64 = 40;

/// Names of properties that a schema does not name.
pub(super) const UNKNOWN_NAMES: &[&str] =
    &["note", "trace_id", "source.host", "x/y~z", "größe", "debug", "v2", "Extra Field", "🛰"];

/// The rule that is to be broken, seen from some value on the way to it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Aim<'a> {
    pub path: &'a [Step],
    pub code: RejectCode,
}

/// Which of the listed values will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// One that keeps the field's other rules.
    Passes,
    /// One that breaks another rule of the field.
    Fails,
}

impl<'a> Aim<'a> {
    pub fn at(site: &'a Site) -> Aim<'a> {
        Aim { path: &site.path, code: site.code }
    }

    /// What is left of it inside, if the way leads there.
    fn inside(self, step: Step) -> Option<Aim<'a>> {
        let (first, rest) = self.path.split_first()?;
        (*first == step).then_some(Aim { path: rest, code: self.code })
    }
}

/// Makes one event.
pub(super) struct Maker<'a> {
    pub schema: &'a Schema,
    pub random: Random,
    /// Lists of values are gone through by it, so that none is left out for long.
    pub turn: u64,
    /// Values made.
    pub values: u32,
    /// What values are proposed from where the compiled rules do not say enough.
    pub parts: &'a Parts,
    /// What such values are meant for.
    pub intent: Intent,
    /// No member may be proposed that nothing describes.
    pub bare: bool,
}

impl<'a> Maker<'a> {
    pub fn new(schema: &'a Schema, parts: &'a Parts, random: Random, turn: u64) -> Maker<'a> {
        Maker { schema, random, turn, values: 0, parts, intent: Intent::Pass, bare: false }
    }
}

impl Maker<'_> {
    pub fn root(&mut self, aim: Option<Aim<'_>>) -> Option<Tree> {
        let schema = self.schema;
        let event = Guarded::Event(&schema.root);
        match (schema.guard.as_deref(), aim) {
            (Some(guard), None) => self.passing(event, guard),
            (
                Some(guard),
                Some(Aim { path: [], code: code @ (RejectCode::Keyword | RejectCode::OutOfRange) }),
            ) => self.failing(event, guard, code),
            _ => self.object(&schema.root, aim),
        }
    }

    pub(super) fn small(&self) -> bool {
        self.values > VALUES_USUAL
    }

    pub(super) fn object(&mut self, object: &Object, aim: Option<Aim<'_>>) -> Option<Tree> {
        let here = aim.filter(|aim| aim.path.is_empty()).map(|aim| aim.code);
        let omitted = aim.and_then(|aim| match (aim.path, aim.code) {
            ([Step::Field(index)], RejectCode::Required) => Some(*index),
            _ => None,
        });
        let open = !object.closed && self.schema.extra != Extra::Refuse;
        let mut members = Members {
            present: Vec::with_capacity(object.fields.len()),
            fixed: Vec::with_capacity(object.fields.len()),
            unknown: u64::from(open && !self.small() && self.random.one_in(40)),
            open,
        };
        for (index, field) in object.fields.iter().enumerate() {
            let aimed = aim.is_some_and(|aim| aim.inside(Step::Field(index)).is_some());
            let present = field.required || aimed || !self.small() && !self.random.one_in(6);
            members.present.push(present && omitted != Some(index));
            members.fixed.push(field.required || aimed);
        }
        let Count { min, max } = object.count;
        match here {
            Some(RejectCode::Items) if min > 0 && (max == u64::MAX || self.random.one_in(2)) => {
                members.resize(0, min - 1, &mut self.random)?;
            }
            Some(RejectCode::Items) => {
                members.resize(max.checked_add(1)?, u64::MAX, &mut self.random)?;
            }
            // What is wrong inside comes before the number of properties, which then need not be possible.
            _ => members.resize(min, max, &mut self.random).or(aim.map(|_| ()))?,
        }
        let unknown = members.unknown + u64::from(here == Some(RejectCode::UnknownField));
        let mut made = Vec::new();
        for (index, field) in object.fields.iter().enumerate().filter(|(index, _)| members.present[*index]) {
            let inner = aim.and_then(|aim| aim.inside(Step::Field(index)));
            match self.value(field, inner) {
                Some(value) => made.push((field.name.clone().into_bytes(), value)),
                // A neighbour that cannot be made is not what the aim is about.
                None if inner.is_none() && (aim.is_some() || !field.required) => {}
                None => return None,
            }
        }
        for number in 0..unknown {
            let name = self.unknown_name(object, number);
            let value = self.anything();
            made.push((name, value));
        }
        if self.random.one_in(3) {
            self.random.shuffle(&mut made);
        }
        Some(Tree::Object(made))
    }

    fn unknown_name(&mut self, object: &Object, number: u64) -> Vec<u8> {
        let mut name = (*self.random.pick(UNKNOWN_NAMES)).to_owned();
        if number > 0 {
            name.push_str(&number.to_string());
        }
        while object.fields.iter().any(|field| field.name == name) {
            name.push('~');
        }
        name.into_bytes()
    }

    /// A value that no rule is meant for.
    pub fn anything(&mut self) -> Tree {
        match self.random.below(6) {
            0 => Tree::raw("null"),
            1 => Tree::raw(self.random.below(1000).to_string()),
            2 => Tree::raw("{\"nested\":[1,true,{\"deep\":null}]}"),
            3 => Tree::raw("[]"),
            _ => self.string(0, 40),
        }
    }

    fn string(&mut self, min: u64, max: u64) -> Tree {
        let text = text::free(min, max, &mut self.random);
        Tree::string(text.as_bytes(), &mut self.random)
    }

    pub fn value(&mut self, field: &Field, aim: Option<Aim<'_>>) -> Option<Tree> {
        self.values += 1;
        if self.values > VALUES_MAX {
            return None;
        }
        match (&field.guard, aim) {
            (Some(guard), None) => self.passing(Guarded::Field(field), guard),
            (Some(guard), Some(Aim { path: [], code })) if is_of_guard(field, code) => {
                self.failing(Guarded::Field(field), guard, code)
            }
            _ => self.unguarded(field, aim),
        }
    }

    /// By the compiled rules alone.
    pub(super) fn unguarded(&mut self, field: &Field, aim: Option<Aim<'_>>) -> Option<Tree> {
        let container = !field.kind.is_scalar();
        match aim {
            Some(Aim { path: [], code }) if !container || code == RejectCode::Type => {
                return self.broken(field, code);
            }
            None if field.nullable && self.random.one_in(8) => return Some(Tree::raw("null")),
            _ => {}
        }
        match &field.kind {
            Kind::Object(object) => self.object(object, aim),
            Kind::Array(array) => self.array(array, aim),
            Kind::Map(map) => self.map(map, aim),
            Kind::Json(_) => Some(self.anything()),
            _ => self.scalar(field),
        }
        .or((aim.is_none() && field.nullable).then(|| Tree::raw("null")))
    }

    /// How many items there shall be: within `count`, at least `least`; or out of it.
    fn count(&mut self, count: Count, breaks: bool, least: u64) -> Option<u64> {
        let Count { min, max } = count;
        if breaks {
            return match min > 0 && (max == u64::MAX || self.random.one_in(2)) {
                true => Some(self.random.below(min).max(min.saturating_sub(1 + self.random.below(2)))),
                false => max
                    .checked_add(1)
                    .map(|over| over + self.random.below(2))
                    .filter(|&over| over <= COUNT_MAX),
            };
        }
        let low = min.max(least);
        let usual = if self.small() { 0 } else { self.random.below(5) };
        let edge = self.random.one_in(5) && max <= 64 && !self.small();
        let wanted = if edge { max } else { low.saturating_add(usual).min(max) };
        (wanted >= low && wanted <= COUNT_MAX.max(min)).then_some(wanted)
    }

    fn array(&mut self, array: &Array, aim: Option<Aim<'_>>) -> Option<Tree> {
        let breaks = aim.is_some_and(|aim| aim.path.is_empty());
        let inner = aim.and_then(|aim| aim.inside(Step::Element));
        // Of a broken array of distinct items either the number or the items are wrong.
        let twin = breaks && array.unique && (array.count == Count::ANY || self.random.one_in(2));
        let least = if twin { 2 } else { u64::from(inner.is_some()) };
        let count = self.count(array.count, breaks && !twin, least)?;
        let aimed = inner.map(|inner| (self.random.below(count), inner));
        let mut items: Vec<Tree> = Vec::new();
        let mut forms: Vec<Vec<u8>> = Vec::new();
        'items: for index in 0..count {
            let aim = aimed.filter(|(at, _)| *at == index).map(|(_, aim)| aim);
            let mut item = match self.value(&array.element, aim) {
                Some(item) => item,
                None if inner.is_some() && aim.is_none() => continue,
                None => return None,
            };
            if array.unique && aim.is_none() {
                let mut tries = 0;
                while forms.contains(&form(&item)) {
                    tries += 1;
                    if tries > TRIES && twin {
                        break 'items;
                    }
                    if tries > TRIES {
                        return None;
                    }
                    item = self.value(&array.element, None)?;
                }
                forms.push(form(&item));
            }
            items.push(item);
        }
        if let (true, [only]) = (twin, items.as_slice()) {
            items.push(only.clone());
        } else if twin {
            let last = items.len().checked_sub(1)?;
            items[last] = items[self.random.index(last)].clone();
        }
        Some(Tree::Array(items))
    }

    fn map(&mut self, map: &Map, aim: Option<Aim<'_>>) -> Option<Tree> {
        let breaks = aim.is_some_and(|aim| aim.path.is_empty());
        let inner = aim.and_then(|aim| aim.inside(Step::Value));
        let count = self.count(map.count, breaks, u64::from(inner.is_some()))?;
        let aimed = inner.map(|inner| (self.random.below(count), inner));
        let mut members = Vec::new();
        for index in 0..count {
            let aim = aimed.filter(|(at, _)| *at == index).map(|(_, aim)| aim);
            let mut name = text::free(0, 12, &mut self.random);
            // Never one name twice, whatever the texts are.
            name.push_str(&format!(".{index}"));
            match self.value(&map.value, aim) {
                Some(value) => members.push((name.into_bytes(), value)),
                None if inner.is_some() && aim.is_none() => {}
                None => return None,
            }
        }
        Some(Tree::Object(members))
    }

    pub fn scalar(&mut self, field: &Field) -> Option<Tree> {
        if let Some(one_of) = &field.one_of {
            return self.listed(one_of, &field.kind, Listed::Passes);
        }
        match &field.kind {
            Kind::Boolean => Some(Tree::raw(self.random.pick(&["true", "false"]))),
            Kind::Integer(rules) => self.number(Grid::integer(rules.as_deref())),
            Kind::Number(None) if self.random.one_in(30) => {
                let edges =
                    ["1.7976931348623157e308", "-1.7976931348623157E+308", "5e-324", "-0.0", "1e-7", "0.1e1"];
                Some(Tree::raw(self.random.pick(&edges)))
            }
            Kind::Number(rules) => {
                let made = self.number(Grid::number(rules.as_deref()));
                made.or_else(|| rules.as_deref().and_then(limit))
            }
            Kind::Time(time) => self.number(Grid::time(time)),
            Kind::Decimal(decimal) if decimal.text => {
                let number = respelled(Grid::decimal(decimal)?.good(&mut self.random)?, &mut self.random);
                Some(Tree::string(number.as_bytes(), &mut self.random))
            }
            Kind::Decimal(decimal) => self.number(Grid::decimal(decimal)),
            Kind::String(rules) | Kind::DateTime(rules) | Kind::Date(rules) | Kind::Binary(rules) => {
                let text = self.text(&field.kind, rules.as_deref())?;
                Some(Tree::string(&text, &mut self.random))
            }
            Kind::Object(_) | Kind::Array(_) | Kind::Map(_) | Kind::Json(_) => None,
        }
    }

    fn number(&mut self, grid: Option<Grid>) -> Option<Tree> {
        Some(Tree::raw(respelled(grid?.good(&mut self.random)?, &mut self.random)))
    }

    /// One of the listed values; every second one in its turn.
    pub fn listed(&mut self, one_of: &OneOf, kind: &Kind, wanted: Listed) -> Option<Tree> {
        let len = match one_of {
            OneOf::Texts(texts) => texts.len(),
            OneOf::Numbers(numbers) => numbers.len(),
            OneOf::Booleans(booleans) => booleans.len(),
        };
        let turn = usize::try_from(self.turn % (len.max(1) as u64)).unwrap_or(0);
        let index = if self.random.one_in(2) { turn } else { self.random.index(len) };
        let index = match wanted {
            Listed::Fails => (index..len).chain(0..index).find(|index| !keeps(one_of, *index, kind))?,
            Listed::Passes => (index..len).chain(0..index).find(|index| keeps(one_of, *index, kind))?,
        };
        match one_of {
            OneOf::Texts(texts) => Some(Tree::string(texts.get(index)?, &mut self.random)),
            OneOf::Numbers(numbers) => {
                let mut text = Vec::new();
                numbers.get(index)?.write(&mut text);
                let text = String::from_utf8_lossy(&text).into_owned();
                let quoted = matches!(kind, Kind::Decimal(decimal) if decimal.text);
                let text = respelled(text, &mut self.random);
                Some(Tree::raw(if quoted { format!("\"{text}\"") } else { text }))
            }
            OneOf::Booleans(booleans) => Some(Tree::raw(booleans.get(index)?.to_string())),
        }
    }

    /// A text of this kind that keeps the rules, if there is one within a few tries.
    pub fn text(&mut self, kind: &Kind, rules: Option<&TextRules>) -> Option<Vec<u8>> {
        let Count { min, max } = rules.map_or(Count::ANY, |rules| rules.chars);
        for attempt in 0..TRIES {
            let text = match (kind, rules) {
                (Kind::DateTime(_), _) => text::date_time(&mut self.random).into_bytes(),
                (Kind::Date(_), _) => text::date(&mut self.random).into_bytes(),
                (Kind::Binary(_), _) => {
                    // Four characters for three bytes.
                    let low = min.div_ceil(4) * 3;
                    let bytes =
                        low + self.random.below(if max == u64::MAX { 40 } else { (max - min).min(40) + 1 });
                    text::base64(bytes, &mut self.random).into_bytes()
                }
                (_, Some(TextRules { format: Some(format), .. })) => {
                    text::format(*format, &mut self.random).into_bytes()
                }
                (_, Some(TextRules { pattern: Some(pattern), .. })) => {
                    let grown = self.random.below(13) + attempt % 5 * (min / 2);
                    let stretch = Stretch(u32::try_from(grown.min(4000)).unwrap_or(0));
                    let Some(mut text) = pattern::text(pattern.regex.as_str(), stretch, &mut self.random)
                    else {
                        continue;
                    };
                    // Where the pattern lets it, something stands around what matches.
                    if attempt % 2 == 1 {
                        text.extend_from_slice(text::free(0, min.max(8), &mut self.random).as_bytes());
                    }
                    text
                }
                _ => text::free(min, max, &mut self.random).into_bytes(),
            };
            if rules.is_none_or(|rules| rules.check(&text).is_ok()) {
                return Some(text);
            }
        }
        None
    }
}

/// Does a listed value keep the other rules of its field?
fn keeps(one_of: &OneOf, index: usize, kind: &Kind) -> bool {
    match one_of {
        OneOf::Texts(texts) => texts.get(index).is_some_and(|text| {
            let parsed = match kind {
                Kind::DateTime(_) => format::parse_date_time(text).is_ok(),
                Kind::Date(_) => format::parse_date(text).is_some(),
                _ => true,
            };
            parsed && kind.text_rules().is_none_or(|rules| rules.check(text).is_ok())
        }),
        OneOf::Numbers(numbers) => numbers
            .get(index)
            .is_some_and(|number| kind.number_rules().is_none_or(|rules| rules.check_exact(number).is_ok())),
        OneOf::Booleans(_) => true,
    }
}

/// A bound that belongs to what it bounds, where the numbers are too long to calculate with.
pub(super) fn limit(rules: &crate::rules::NumberRules) -> Option<Tree> {
    let bounds = [&rules.minimum, &rules.maximum].into_iter().flatten();
    let bound =
        bounds.filter(|bound| !bound.exclusive).find(|bound| rules.check_exact(&bound.limit).is_ok())?;
    let mut text = Vec::new();
    bound.limit.write(&mut text);
    Some(Tree::Raw(text))
}

/// What makes two items equal.
pub(super) fn form(item: &Tree) -> Vec<u8> {
    let mut form = Vec::new();
    write_canonical(&item.write(&mut Random::of(&[0])), &mut form);
    form
}

/// Which properties an object has.
struct Members {
    present: Vec<bool>,
    /// Stays as it is.
    fixed: Vec<bool>,
    unknown: u64,
    /// There may be properties that the schema does not name.
    open: bool,
}

impl Members {
    /// Takes properties away or adds some until there are `min` to `max`; `None` where that cannot be.
    fn resize(&mut self, min: u64, max: u64, random: &mut Random) -> Option<()> {
        let mut count = self.present.iter().filter(|present| **present).count() as u64 + self.unknown;
        while count > max && self.unknown > 0 {
            self.unknown -= 1;
            count -= 1;
        }
        while count > max {
            let at = self.any(true, random)?;
            self.present[at] = false;
            count -= 1;
        }
        while count < min {
            match self.any(false, random) {
                Some(at) => self.present[at] = true,
                None if self.open && min - count <= COUNT_MAX => {
                    self.unknown += min - count;
                    return Some(());
                }
                None => return None,
            }
            count += 1;
        }
        Some(())
    }

    /// A property that may change and is there, or is not.
    fn any(&self, present: bool, random: &mut Random) -> Option<usize> {
        let fit = |index: &usize| self.present[*index] == present && !self.fixed[*index];
        let candidates: Vec<usize> = (0..self.present.len()).filter(fit).collect();
        (!candidates.is_empty()).then(|| candidates[random.index(candidates.len())])
    }
}
