//! JSON values proposed from parts of a schema document.
//! Always: bounded in depth, size and effort, whatever the document repeats; the same numbers give the same value. What
//! is proposed is meant to pass every part it is made for: forks are tried out here, all else is left to the decoder.

mod array;
mod demand;
mod object;
mod single;

use serde_json::Value;

use self::demand::Demand;
use super::{
    random::Random,
    tree::Tree,
    types::Types,
    value::{Maker, VALUES_MAX},
};
use crate::guard::read_value;

/// Values nest no deeper …
const DEPTH_MAX: u32 = 24;
/// … and beyond this depth only what must be there is made.
const DEPTH_USUAL: u32 = 4;

/// Whether values are to pass, or to fail at a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Intent {
    Pass,
    /// Somewhere what is shut out is wanted, or one of two conditions is left unmet.
    Fail,
    /// It was.
    Failed,
}

impl<'a> Maker<'a> {
    /// A value for all of these parts.
    pub(super) fn json(&mut self, parts: &[usize], depth: u32) -> Option<Tree> {
        let tries = if depth == 0 { 8 } else { 4 };
        let mut last = None;
        for _ in 0..tries {
            self.values += 1;
            if self.values > VALUES_MAX || depth > DEPTH_MAX {
                return None;
            }
            let Some(demand) = self.demand(parts, depth) else { continue };
            let Some(made) = self.json_of(&demand, depth) else { continue };
            if self.intent != Intent::Pass || self.holds(&demand, &made) {
                return Some(made);
            }
            last = Some(made);
        }
        last
    }

    fn json_of(&mut self, demand: &Demand<'a>, depth: u32) -> Option<Tree> {
        if let Some(listed) = &demand.listed {
            return (!listed.is_empty())
                .then(|| Tree::of(listed[self.random.index(listed.len())], &mut self.random));
        }
        let shown = demand.parts.iter().filter_map(|&index| self.parts.get(index));
        let shown: Vec<&Value> = shown.flat_map(|part| &part.shown).collect();
        if !shown.is_empty() && self.random.one_in(12) {
            return Some(Tree::of(shown[self.random.index(shown.len())], &mut self.random));
        }
        let kind = self.type_for(demand, depth)?;
        match () {
            () if kind == Types::NULL => Some(Tree::raw("null")),
            () if kind == Types::BOOLEAN => Some(Tree::raw(self.random.pick(&["true", "false"]))),
            () if kind.meets(Types::NUMBER) => self.json_number(demand, kind),
            () if kind == Types::STRING => {
                let text = self.json_text(demand)?;
                Some(Tree::string(&text, &mut self.random))
            }
            () if kind == Types::ARRAY => self.json_array(demand, depth),
            () => self.json_object(demand, depth),
        }
    }

    /// One of the types that are left.
    fn type_for(&mut self, demand: &Demand, depth: u32) -> Option<Types> {
        let mut types = demand.types;
        if !demand.typed && demand.hints.meets(types) && !self.random.one_in(10) {
            types = types.and(demand.hints);
        }
        // Without any rule, mostly single values.
        let bare = !demand.typed && demand.hints.is_none();
        let deep = depth > DEPTH_USUAL || self.small();
        if types.meets(Types::SINGLE) && (deep || bare && !self.random.one_in(4)) {
            types = types.and(Types::SINGLE);
        }
        let mut each = types.each();
        // A null says little.
        if each.len() > 1 && each.first() == Some(&Types::NULL) && !self.random.one_in(3) {
            each.remove(0);
        }
        (!each.is_empty()).then(|| each[self.random.index(each.len())])
    }

    /// Do the forks among the parts take the value?
    fn holds(&self, demand: &Demand, made: &Tree) -> bool {
        let forks = |index: &&usize| self.parts.get(**index).is_some_and(super::part::Part::branches);
        let forks: Vec<usize> = demand.parts.iter().filter(forks).copied().collect();
        if forks.is_empty() {
            return true;
        }
        match read_value(&made.write(&mut Random::of(&[0]))) {
            Ok(value) => forks.iter().all(|&fork| self.parts.passes(fork, &value) != Some(false)),
            Err(_) => false,
        }
    }

    /// How likely a member or element that may be left out is made at this depth: once in so many times it is not.
    fn spared(&mut self, depth: u32) -> bool {
        match depth {
            _ if self.small() => true,
            0 | 1 => self.random.one_in(6),
            2 => self.random.one_in(3),
            3 => self.random.one_in(2),
            4 => !self.random.one_in(3),
            _ => true,
        }
    }
}

impl Tree {
    /// A value of the document.
    pub(super) fn of(value: &Value, random: &mut Random) -> Tree {
        match value {
            Value::Array(items) => Tree::Array(items.iter().map(|item| Tree::of(item, random)).collect()),
            Value::Object(members) => {
                let tree =
                    |(name, value): (&String, &Value)| (name.clone().into_bytes(), Tree::of(value, random));
                Tree::Object(members.iter().map(tree).collect())
            }
            Value::String(text) => Tree::string(text.as_bytes(), random),
            single => Tree::raw(single.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
