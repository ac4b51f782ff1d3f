//! Arrays for several parts at once: tuples, items, what they must contain.

use std::collections::HashSet;

use super::{DEPTH_USUAL, Demand};
use crate::{
    generate::{
        part::Part,
        tree::Tree,
        value::{COUNT_MAX, Maker, form},
    },
    rules::Count,
};

const TRIES: u64 = 12;

impl Maker<'_> {
    pub(super) fn json_array(&mut self, demand: &Demand, depth: u32) -> Option<Tree> {
        let all = self.parts;
        let parts: Vec<&Part> = demand.parts.iter().filter_map(|&index| all.get(index)).collect();
        let mut count = parts.iter().fold(Count::ANY, |count, part| count.and(part.elements));
        let mut tuple = 0;
        for part in &parts {
            tuple = tuple.max(part.prefix.len() as u64);
            if let Some((_, contained)) = part.contains {
                count.min = count.min.max(contained.min);
            }
        }
        // What is allowed nowhere ends the array.
        let end = (0..=tuple).find(|&index| self.element_parts(&parts, index).is_none());
        count.max = count.max.min(end.unwrap_or(u64::MAX));
        if count.min > count.max || count.min > COUNT_MAX {
            return None;
        }
        let len = self.json_len(count, tuple, depth);
        let mut inner: Vec<Vec<usize>> =
            (0..len).map(|index| self.element_parts(&parts, index)).collect::<Option<_>>()?;
        for part in &parts {
            if let Some((contained, Count { min, max })) = part.contains {
                let more = u64::from(len > min && max > min && self.random.one_in(3));
                let mut places: Vec<usize> = (0..inner.len()).collect();
                self.random.shuffle(&mut places);
                for place in places.into_iter().take(usize::try_from(min + more).unwrap_or(0)) {
                    inner[place].push(contained);
                }
            }
        }
        let unique = parts.iter().any(|part| part.unique);
        let mut forms = HashSet::new();
        let mut items = Vec::new();
        for parts in &inner {
            let mut made = self.json(parts, depth + 1)?;
            let mut tries = 0;
            while unique && !forms.insert(form(&made)) {
                tries += 1;
                if tries > TRIES {
                    // An array may well be shorter.
                    let enough = items.len() as u64 >= count.min;
                    return enough.then_some(Tree::Array(items));
                }
                made = self.json(parts, depth + 1)?;
            }
            items.push(made);
        }
        Some(Tree::Array(items))
    }

    fn json_len(&mut self, count: Count, tuple: u64, depth: u32) -> u64 {
        let Count { min, max } = count;
        let more = if depth > DEPTH_USUAL || self.small() { 0 } else { self.random.below(4) };
        let wanted = match () {
            () if tuple > min && depth <= DEPTH_USUAL && !self.random.one_in(4) => {
                tuple.saturating_add(more / 3)
            }
            () if max <= 64 && more > 0 && self.random.one_in(6) => max,
            () => min.saturating_add(more),
        };
        wanted.clamp(min, max).min(COUNT_MAX)
    }

    /// The parts of the element at `index`; `None`: there may be none.
    fn element_parts(&self, parts: &[&Part], index: u64) -> Option<Vec<usize>> {
        let mut inner = Vec::new();
        let mut evaluated = false;
        for part in parts {
            let own =
                usize::try_from(index).ok().and_then(|index| part.prefix.get(index)).copied().or(part.items);
            evaluated |= own.is_some();
            inner.extend(own);
        }
        if !evaluated {
            inner.extend(parts.iter().filter_map(|part| part.unevaluated_items));
        }
        let forbidden = inner.iter().any(|&index| self.parts.is_nothing(index));
        (!forbidden).then_some(inner)
    }
}
