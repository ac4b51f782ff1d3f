//! What all the parts that hold for one value demand of it together, with a branch taken at each fork.
//! Always: finite, however parts refer to one another; a part that is met again adds nothing.

use std::collections::HashSet;

use serde_json::Value;

use super::{DEPTH_USUAL, Intent};
use crate::generate::{types::Types, value::Maker};

/// Parts of one value.
const PARTS_MAX: usize = 400;
/// Ways to choose the branches.
const CHOICES_MAX: u64 = 8;

#[derive(Debug, Default)]
pub(super) struct Demand<'p> {
    /// All of them hold.
    pub parts: Vec<usize>,
    /// None of them may.
    pub shut_out: Vec<usize>,
    /// Members that a branch was taken for.
    pub present: HashSet<&'p str>,
    pub absent: HashSet<&'p str>,
    pub types: Types,
    /// Some part names types.
    pub typed: bool,
    pub hints: Types,
    pub listed: Option<Vec<&'p Value>>,
}

impl<'a> Maker<'a> {
    /// `None`: nothing can meet it, whichever branches are tried.
    pub(super) fn demand(&mut self, parts: &[usize], depth: u32) -> Option<Demand<'a>> {
        (0..CHOICES_MAX).find_map(|_| {
            let demand = self.choose(parts, depth);
            let possible =
                !demand.types.is_none() && demand.listed.as_ref().is_none_or(|list| !list.is_empty());
            possible.then_some(demand)
        })
    }

    fn choose(&mut self, parts: &[usize], depth: u32) -> Demand<'a> {
        let all = self.parts;
        let mut demand = Demand { hints: Types::NONE, ..Demand::default() };
        let mut open = parts.to_vec();
        let mut at = 0;
        while let Some(&index) = open.get(at) {
            at += 1;
            if demand.parts.contains(&index) || demand.parts.len() >= PARTS_MAX {
                continue;
            }
            let Some(part) = all.get(index) else { continue };
            demand.parts.push(index);
            demand.types = demand.types.and(all.types(index));
            demand.typed |= part.types.is_some();
            demand.hints = demand.hints.or(part.hints);
            open.extend_from_slice(&part.all);
            if !part.any.is_empty() {
                open.extend(self.branch(&part.any, demand.types, depth));
                if self.random.one_in(8) {
                    open.extend(self.branch(&part.any, demand.types, depth));
                }
            }
            if let Some(chosen) = self.branch(&part.one, demand.types, depth) {
                open.push(chosen);
                if self.fails() {
                    open.extend(self.branch(&part.one, demand.types, depth));
                } else {
                    demand.shut_out.extend(part.one.iter().filter(|other| **other != chosen));
                }
            }
            if let Some(not) = part.not {
                if self.fails() { open.push(not) } else { demand.shut_out.push(not) }
            }
            if let Some((condition, then, other)) = part.condition {
                let met = self.random.one_in(2) && !all.is_nothing(condition);
                let side = if met { then } else { other };
                if met {
                    open.push(condition)
                } else {
                    demand.shut_out.push(condition)
                }
                match side {
                    Some(side) if self.fails() => demand.shut_out.push(side),
                    side => open.extend(side),
                }
            }
            for (name, inner) in &part.dependent_parts {
                if !all.is_nothing(*inner) && self.random.one_in(2) {
                    demand.present.insert(name);
                    open.push(*inner);
                } else if !demand.present.contains(name.as_str()) {
                    demand.absent.insert(name);
                }
            }
        }
        self.narrow(&mut demand);
        demand
    }

    /// Takes away what the parts list and shut out by their types and lists alone.
    fn narrow(&self, demand: &mut Demand<'a>) {
        let all = self.parts;
        for part in demand.parts.iter().filter_map(|&index| all.get(index)) {
            let Some(listed) = &part.listed else { continue };
            demand.listed = Some(match demand.listed.take() {
                None => listed.iter().filter(|value| Types::of(value).meets(demand.types)).collect(),
                Some(mut known) => {
                    known.retain(|value| listed.iter().any(|other| equal(value, other)));
                    known
                }
            });
        }
        for part in demand.shut_out.iter().filter_map(|&index| all.get(index)) {
            match (&part.listed, &mut demand.listed, part.types) {
                (Some(shut_out), Some(listed), None) => {
                    listed.retain(|value| !shut_out.iter().any(|other| equal(value, other)));
                }
                (None, _, Some(types)) if part.hints.is_none() && !part.branches() && part.all.is_empty() => {
                    demand.types = demand.types.without(types);
                }
                _ => {}
            }
        }
        if let Some(listed) = &mut demand.listed {
            listed.retain(|value| Types::of(value).meets(demand.types));
        }
    }

    /// One that the types leave; in the depth one that ends it.
    fn branch(&mut self, branches: &[usize], types: Types, depth: u32) -> Option<usize> {
        let within = |wanted: Types| -> Vec<usize> {
            let fits = |index: &&usize| self.parts.types(**index).and(wanted).meets(types);
            branches.iter().filter(fits).copied().collect()
        };
        let deep = depth > DEPTH_USUAL || self.small();
        let mut fit = within(if deep { Types::SINGLE } else { Types::ANY });
        if fit.is_empty() {
            fit = within(Types::ANY);
        }
        (!fit.is_empty()).then(|| fit[self.random.index(fit.len())])
    }

    /// Is this the fork to fail at?
    fn fails(&mut self) -> bool {
        let fails = self.intent == Intent::Fail && self.random.one_in(2);
        if fails {
            self.intent = Intent::Failed;
        }
        fails
    }
}

pub(super) fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}
