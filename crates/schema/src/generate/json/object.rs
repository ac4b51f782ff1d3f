//! Objects for several parts at once: which members there are, and what each must meet.
//! Always: no name twice. What depends on another member, or may not stand beside it, is settled before any is made.

use std::collections::HashSet;

use serde_json::Value;

use super::{DEPTH_USUAL, Demand};
use crate::{
    generate::{
        part::Part,
        pattern::{self, Stretch},
        text,
        tree::Tree,
        value::{COUNT_MAX, Maker, UNKNOWN_NAMES},
    },
    rules::Count,
};

const TRIES: u64 = 8;

/// A member that the parts name.
struct Named<'p> {
    name: &'p str,
    present: bool,
    /// Stays as it is.
    fixed: bool,
}

impl<'a> Maker<'a> {
    pub(super) fn json_object(&mut self, demand: &Demand<'a>, depth: u32) -> Option<Tree> {
        let all = self.parts;
        let parts: Vec<&'a Part> = demand.parts.iter().filter_map(|&index| all.get(index)).collect();
        let count = parts.iter().fold(Count::ANY, |count, part| count.and(part.members));
        if count.min > count.max || count.min > COUNT_MAX {
            return None;
        }
        let mut named = self.named(demand, &parts, depth);
        self.leave_out(demand, &mut named);
        self.settle(&parts, &mut named, count);
        let mut taken = HashSet::new();
        let mut made = Vec::new();
        for Named { name, fixed, .. } in named.into_iter().filter(|named| named.present) {
            let inner = self.member_parts(&parts, name);
            match inner.and_then(|(inner, _)| self.json(&inner, depth + 1)) {
                Some(value) => {
                    taken.insert(name.to_owned());
                    made.push((name.to_owned().into_bytes(), value));
                }
                None if fixed => return None,
                None => {}
            }
        }
        let room = count.max.saturating_sub(made.len() as u64);
        let missing = count.min.saturating_sub(made.len() as u64);
        let extras = self.extras(&parts, depth).min(room).max(missing);
        for number in 0..extras {
            match self.extra(demand, &parts, depth, &taken) {
                Some((name, value)) => {
                    taken.insert(name.clone());
                    made.push((name.into_bytes(), value));
                }
                None if number < missing => return None,
                None => break,
            }
        }
        if self.random.one_in(3) {
            self.random.shuffle(&mut made);
        }
        Some(Tree::Object(made))
    }

    fn named(&mut self, demand: &Demand<'a>, parts: &[&'a Part], depth: u32) -> Vec<Named<'a>> {
        let required: HashSet<&str> =
            parts.iter().flat_map(|part| &part.required).map(String::as_str).collect();
        let mut seen = HashSet::new();
        let mut named = Vec::new();
        let described = parts.iter().flat_map(|part| &part.properties).map(|(name, _)| (name.as_str(), true));
        let mentioned = parts.iter().flat_map(|part| {
            let dependent = part.dependent.iter().flat_map(|(name, names)| names.iter().chain([name]));
            let triggers = part.dependent_parts.iter().map(|(name, _)| name);
            part.required.iter().chain(triggers).chain(dependent).map(|name| (name.as_str(), false))
        });
        for (name, described) in described.chain(mentioned) {
            if !seen.insert(name) {
                continue;
            }
            let must = required.contains(name) || demand.present.contains(name);
            let must_not = !must && (demand.absent.contains(name) || self.is_bad_name(parts, name));
            // What is only mentioned is seldom there without need.
            let spared = if described { self.spared(depth) } else { !self.random.one_in(4) };
            let forbidden = self.member_parts(parts, name).is_none();
            let present = must || !must_not && !forbidden && !spared;
            named.push(Named { name, present, fixed: must || must_not || forbidden });
        }
        named
    }

    /// Some parts that may not hold demand members: one of them is left out.
    fn leave_out(&mut self, demand: &Demand<'a>, named: &mut [Named<'a>]) {
        let all = self.parts;
        for part in demand.shut_out.iter().filter_map(|&index| all.get(index)) {
            let is_there = |name: &String| named.iter().any(|other| other.name == name && other.present);
            if part.required.is_empty() || !part.required.iter().all(is_there) {
                continue;
            }
            let free: Vec<usize> = (0..named.len())
                .filter(|&at| !named[at].fixed && part.required.iter().any(|name| name == named[at].name))
                .collect();
            let only = part.properties.is_empty() && !part.branches();
            if !free.is_empty() && (only || self.random.one_in(2)) {
                let at = free[self.random.index(free.len())];
                named[at].present = false;
                named[at].fixed = true;
            }
        }
    }

    /// Adds what depends on what is there, and keeps the number of members.
    fn settle(&mut self, parts: &[&'a Part], named: &mut [Named<'a>], count: Count) {
        const ROUNDS_MAX: usize = 64;
        for _ in 0..ROUNDS_MAX {
            let find = |named: &[Named<'_>], name: &str| named.iter().position(|member| member.name == name);
            let mut changed = false;
            for (trigger, due) in parts.iter().flat_map(|part| &part.dependent) {
                let Some(trigger) = find(named, trigger).filter(|&at| named[at].present) else { continue };
                for due in due {
                    let Some(due) = find(named, due).filter(|&at| !named[at].present) else { continue };
                    changed = true;
                    // Where it may not be there, nothing may that depends on it.
                    let gives_way = named[due].fixed && !named[trigger].fixed;
                    let member = &mut named[if gives_way { trigger } else { due }];
                    member.present = !gives_way;
                    member.fixed = true;
                    if gives_way {
                        break;
                    }
                }
            }
            if !changed {
                break;
            }
        }
        let mut present = named.iter().filter(|member| member.present).count() as u64;
        let mut order: Vec<usize> = (0..named.len()).filter(|&at| !named[at].fixed).collect();
        self.random.shuffle(&mut order);
        for at in order {
            if present > count.max && named[at].present || present < count.min && !named[at].present {
                named[at].present = !named[at].present;
                present = if named[at].present { present + 1 } else { present - 1 };
            }
        }
    }

    /// The parts of the member `name`, and whether any part describes it; `None`: it may not be there.
    fn member_parts(&self, parts: &[&Part], name: &str) -> Option<(Vec<usize>, bool)> {
        let mut inner = Vec::new();
        let mut evaluated = false;
        for part in parts {
            let before = inner.len();
            inner.extend(part.property(name));
            let matching = part.patterns.iter().filter(|(regex, _)| regex.is_match(name.as_bytes()));
            inner.extend(matching.map(|(_, index)| *index));
            if inner.len() == before {
                inner.extend(part.others);
            }
            evaluated |= inner.len() > before;
        }
        if !evaluated {
            inner.extend(parts.iter().filter_map(|part| part.unevaluated));
        }
        let forbidden = inner.iter().any(|&index| self.parts.is_nothing(index));
        (!forbidden).then_some((inner, evaluated))
    }

    fn is_bad_name(&self, parts: &[&Part], name: &str) -> bool {
        let value = Value::String(name.to_owned());
        let mut judges = parts.iter().filter_map(|part| part.names);
        judges.any(|judge| self.parts.passes(judge, &value) == Some(false))
    }

    /// How many members shall be there that the parts do not name.
    fn extras(&mut self, parts: &[&Part], depth: u32) -> u64 {
        if depth > DEPTH_USUAL || self.small() {
            return 0;
        }
        let others = parts.iter().filter_map(|part| part.others.or(part.unevaluated));
        let others: Vec<bool> = others.map(|index| self.parts.is_nothing(index)).collect();
        let patterns = parts.iter().any(|part| !part.patterns.is_empty());
        let described = patterns || others.contains(&false);
        let nameless = parts.iter().all(|part| part.properties.is_empty());
        match (described && !others.contains(&true)) || patterns {
            true => self.random.below(if nameless { 4 } else { 3 }),
            false if nameless => self.random.below(3),
            false => u64::from(self.random.one_in(12)),
        }
    }

    fn extra(
        &mut self,
        demand: &Demand<'a>,
        parts: &[&'a Part],
        depth: u32,
        taken: &HashSet<String>,
    ) -> Option<(String, Tree)> {
        let patterns: Vec<&regex::bytes::Regex> =
            parts.iter().flat_map(|part| &part.patterns).map(|(regex, _)| regex).collect();
        let judges: Vec<usize> = parts.iter().filter_map(|part| part.names).collect();
        for attempt in 0..TRIES {
            let name = match () {
                () if !patterns.is_empty() && (attempt % 2 == 0 || self.random.one_in(2)) => {
                    let regex = patterns[self.random.index(patterns.len())];
                    let stretch = Stretch(u32::try_from(self.random.below(6)).unwrap_or(0));
                    let text = pattern::text(regex.as_str(), stretch, &mut self.random);
                    text.filter(|text| regex.is_match(text)).and_then(|text| String::from_utf8(text).ok())
                }
                () if !judges.is_empty() => self.json_name(&judges, depth + 1),
                () if attempt < 2 => Some((*self.random.pick(UNKNOWN_NAMES)).to_owned()),
                () => Some(text::free(1, 10, &mut self.random)),
            };
            let Some(name) = name else { continue };
            let named = parts.iter().any(|part| part.property(&name).is_some());
            if named
                || taken.contains(&name)
                || demand.absent.contains(name.as_str())
                || self.is_bad_name(parts, &name)
            {
                continue;
            }
            let Some((inner, described)) = self.member_parts(parts, &name) else { continue };
            if self.bare && !described {
                continue;
            }
            if let Some(value) = self.json(&inner, depth + 1) {
                return Some((name, value));
            }
        }
        None
    }
}
