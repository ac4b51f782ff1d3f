//! Numbers and texts for several parts at once.
//! Always: the rules of all parts are merged where they can be; where not, one is made for and the others tried.

use regex::bytes::Regex;

use super::Demand;
use crate::{
    format::TextFormat,
    generate::{
        number::{Grid, respelled},
        part::{Part, Side, tighter},
        text,
        tree::Tree,
        types::Types,
        value::{Maker, limit},
    },
    json::{Exact, Number},
    rules::{Count, NumberRules, Pattern, TextRules},
    schema::{Decimal, Kind, Time},
};

const TRIES: u64 = 12;

impl<'a> Maker<'a> {
    fn parts_of(&self, demand: &Demand) -> Vec<&'a Part> {
        let all = self.parts;
        demand.parts.iter().filter_map(|&index| all.get(index)).collect()
    }

    fn number_rules(&mut self, parts: &[&Part]) -> Option<Box<NumberRules>> {
        let low = parts.iter().fold(None, |low, part| tighter(low, part.minimum.clone(), Side::Low));
        let high = parts.iter().fold(None, |high, part| tighter(high, part.maximum.clone(), Side::High));
        let divisors: Vec<&Exact> = parts.iter().filter_map(|part| part.multiple_of.as_ref()).collect();
        let divisor = (!divisors.is_empty()).then(|| divisors[self.random.index(divisors.len())].clone());
        NumberRules::new(low, high, divisor).map(Box::new)
    }

    pub(super) fn json_number(&mut self, demand: &Demand, kind: Types) -> Option<Tree> {
        let parts = self.parts_of(demand);
        // An enum of other numbers is shut out by its values alone.
        for _ in 0..TRIES {
            let rules = self.number_rules(&parts);
            let time = parts.iter().find_map(|part| part.time);
            let decimal = parts.iter().find_map(|part| part.decimal);
            let grid = match (time, decimal) {
                (Some(unit), _) => Grid::time(&Time { unit, whole: kind == Types::INTEGER, rules }),
                (_, Some((precision, scale))) => {
                    Grid::decimal(&Decimal { precision, scale, text: false, rules })
                }
                _ if kind == Types::INTEGER => Grid::integer(rules.as_deref()),
                _ => match (Grid::number(rules.as_deref()), rules) {
                    (None, Some(rules)) => return limit(&rules),
                    (grid, _) => grid,
                },
            };
            let Some(text) = grid.and_then(|grid| grid.good(&mut self.random)) else { continue };
            let multiple = Number::parse(text.as_bytes()).map(|number| Exact::from_number(&number));
            let fits =
                |divisor: &Exact| multiple.as_ref().is_some_and(|number| number.is_multiple_of(divisor));
            if parts.iter().filter_map(|part| part.multiple_of.as_ref()).all(fits) {
                return Some(Tree::raw(respelled(text, &mut self.random)));
            }
        }
        None
    }

    /// A text, without quotes.
    pub(super) fn json_text(&mut self, demand: &Demand) -> Option<Vec<u8>> {
        let parts = self.parts_of(demand);
        if let Some((precision, scale)) = parts.iter().find_map(|part| part.decimal) {
            let rules = self.number_rules(&parts);
            let grid = Grid::decimal(&Decimal { precision, scale, text: true, rules })?;
            return grid.good(&mut self.random).map(String::into_bytes);
        }
        let chars = parts.iter().fold(Count::ANY, |all, part| all.and(part.chars));
        let patterns: Vec<&Regex> = parts.iter().filter_map(|part| part.pattern.as_ref()).collect();
        let formats: Vec<&str> = parts.iter().filter_map(|part| part.format.as_deref()).collect();
        let base64 = parts.iter().any(|part| part.base64);
        for attempt in 0..TRIES {
            let pattern = (!patterns.is_empty()).then(|| patterns[self.random.index(patterns.len())]);
            // By the format and by the pattern in turn: one of them has to be hit by chance.
            let by_format = pattern.is_none() || attempt % 2 == 0;
            let format = formats.first().copied().filter(|_| by_format);
            let rules = TextRules {
                chars,
                pattern: pattern.map(|regex| Pattern { source: String::new(), regex: regex.clone() }),
                format: format.and_then(TextFormat::from_name),
            };
            let kind = match format {
                Some("date-time") => Kind::DateTime(None),
                Some("date") => Kind::Date(None),
                _ if base64 => Kind::Binary(None),
                _ => Kind::String(None),
            };
            let made = match format {
                Some(name) if matches!(kind, Kind::String(_)) && rules.format.is_none() => {
                    text::other_format(name, &mut self.random).map(String::into_bytes)
                }
                _ => self.text(&kind, Some(&rules)),
            };
            let known = |made: &[u8]| {
                let mut formats = formats.iter().filter_map(|name| TextFormat::from_name(name));
                formats.all(|format| format.matches(made))
            };
            match made {
                Some(made) if patterns.iter().all(|regex| regex.is_match(&made)) && known(&made) => {
                    return Some(made);
                }
                _ => {}
            }
        }
        None
    }

    /// The name of a member, of which these parts judge.
    pub(super) fn json_name(&mut self, parts: &[usize], depth: u32) -> Option<String> {
        let demand = self.demand(parts, depth)?;
        let listed = demand.listed.as_ref().map(|listed| {
            let texts: Vec<&str> = listed.iter().filter_map(|value| value.as_str()).collect();
            (!texts.is_empty()).then(|| texts[self.random.index(texts.len())].to_owned())
        });
        match listed {
            Some(listed) => listed,
            None => String::from_utf8(self.json_text(&demand)?).ok(),
        }
    }
}
