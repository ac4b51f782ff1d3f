//! What judging a value by a part of the schema costs, told from the schema alone.
//! Always: finite, or refused. The library remembers how it judged an object or array by a part that refers back to
//! itself, and nothing else: a part that two references lead to is looked at twice, so that a row of such parts would
//! take two to the power of its length. Finding the place of a fault remembers nothing at all.
//!
//! 1. What refers back to itself before it goes into the value, in more than one way, is refused. One way round is
//!    walked once: the library knows where it has been.
//! 2. `at_place`: how often the parts that apply to one place are looked at, if nothing is remembered.
//! 3. `visits`: the same for a place and what is inside of it, where one place inside leads to one member or item. A
//!    reference back into a circle counts as `at_place`: beyond that it is remembered.
//! 4. What one place may cost is the visits of the first part and of each part that is remembered.

use std::collections::HashMap;

use crate::{guard::Effort, marks::Part};

/// Visits of one place of a value.
pub(super) const VISITS_MAX: u64 = 10_000;
/// As many comparisons with listed values take as long as a visit.
const LISTED_PER_VISIT: u64 = 2;

/// Why a part may not judge values; with its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Excess {
    /// It refers to itself in several ways without going into the value.
    Itself(usize),
    /// One place would be visited more than `VISITS_MAX` times.
    Visits(usize),
}

/// What it costs to judge by the first part.
pub(super) fn effort(parts: &[Part]) -> Result<Effort, Excess> {
    let inside: Vec<Vec<usize>> = parts.iter().map(edges).collect();
    let circle = circles(&inside);
    let is_back = |from: usize, to: usize| circle[from].is_some() && circle[from] == circle[to];

    let mut at_place = vec![0u64; parts.len()];
    let same: Vec<Vec<usize>> = parts.iter().map(|part| part.same.clone()).collect();
    let ring = circles(&same);
    let forks = |index: &usize| {
        same[*index].iter().filter(|to| ring[*index].is_some() && ring[*index] == ring[**to]).count() > 1
    };
    if let Some(index) = (0..parts.len()).find(forks) {
        return Err(Excess::Itself(index));
    }
    for index in inner_first(&same) {
        at_place[index] = sum(&at_place, &parts[index].same).saturating_add(alone(&parts[index]));
        if at_place[index] > VISITS_MAX {
            return Err(Excess::Visits(index));
        }
    }

    let remembers = |from: usize, to: usize| is_back(from, to) && parts[from].referred.contains(&to);
    let open: Vec<Vec<usize>> = inside
        .iter()
        .enumerate()
        .map(|(from, targets)| targets.iter().copied().filter(|to| !remembers(from, *to)).collect())
        .collect();
    let mut visits = vec![0u64; parts.len()];
    // Of asking the rules beside which of them have judged a member or item.
    let mut asking = vec![0u64; parts.len()];
    // Every circle goes through a reference, so there are none without those that are remembered.
    for index in inner_first(&open) {
        let part = &parts[index];
        let of = |to: &usize| if remembers(index, *to) { at_place[*to] } else { visits[*to] };
        let total = |targets: &[usize]| targets.iter().map(of).fold(0, u64::saturating_add);
        let most = |targets: &mut dyn Iterator<Item = &usize>| targets.map(of).max().unwrap_or(0);
        let here = total(&part.same);
        let members = [
            most(&mut part.properties.iter().map(|(_, to)| to)),
            total(&part.patterns.iter().map(|(_, to)| *to).collect::<Vec<_>>()),
            part.others.as_ref().map_or(0, of),
            total(&part.any_member),
            total(&part.names),
        ];
        let items = most(&mut part.prefix.iter()).saturating_add(total(&part.items));
        let members = members.into_iter().fold(0, u64::saturating_add);
        let asked = part.same.iter().filter(|to| !remembers(index, **to)).map(|to| asking[*to]);
        asking[index] = asked
            .fold(here, u64::saturating_add)
            .saturating_add(total(&part.any_member))
            .saturating_add(total(&part.items));
        let again = if part.asks_again { asking[index] } else { 0 };
        // A place is an object or an array.
        visits[index] =
            alone(part).saturating_add(here).saturating_add(members.max(items)).saturating_add(again);
        if visits[index] > VISITS_MAX {
            return Err(Excess::Visits(index));
        }
    }
    let mut remembered: Vec<usize> = Vec::new();
    for (from, part) in parts.iter().enumerate() {
        remembered.extend(part.referred.iter().copied().filter(|to| is_back(from, *to)));
    }
    remembered.sort_unstable();
    remembered.dedup();
    let first = visits.first().copied().unwrap_or(0);
    let visits = remembered.iter().map(|index| visits[*index]).fold(first, u64::saturating_add);
    Ok(Effort { unfolded: unfolded(parts, &inside, &circle), visits })
}

/// What a part costs without those that it leads to.
fn alone(part: &Part) -> u64 {
    1 + part.listed as u64 / LISTED_PER_VISIT
}

fn sum(of: &[u64], targets: &[usize]) -> u64 {
    targets.iter().map(|target| of[*target]).fold(0, u64::saturating_add)
}

/// How large a part is once its references are written out: the parts that a value may meet, all ways counted.
/// `None` where a circle forks.
fn unfolded(parts: &[Part], inside: &[Vec<usize>], circle: &[Option<usize>]) -> Option<u64> {
    for (index, part) in parts.iter().enumerate() {
        let back = |target: &usize| circle[index].is_some() && circle[index] == circle[*target];
        let ways = part.same.iter().filter(|target| back(target)).count()
            + usize::from(part.properties.iter().any(|(_, target)| back(target)))
            + part.patterns.iter().filter(|(_, target)| back(target)).count()
            + part
                .others
                .iter()
                .chain(&part.any_member)
                .chain(&part.items)
                .filter(|target| back(target))
                .count()
            + usize::from(part.prefix.iter().any(back));
        if ways > 1 {
            return None;
        }
    }
    // From the leaves on; what leads back into a circle was counted where the circle began.
    let mut size: Vec<Option<u64>> = vec![None; parts.len()];
    let mut open = vec![(0, false)];
    while let Some((index, counted)) = open.pop() {
        if counted {
            let inner = inside[index].iter().filter_map(|&target| size[target]);
            size[index] = Some(inner.fold(1, u64::saturating_add));
        } else if size[index].is_none() {
            // A placeholder ends the way round a circle.
            size[index] = Some(0);
            open.push((index, true));
            open.extend(
                inside[index].iter().filter(|&&target| size[target].is_none()).map(|&target| (target, false)),
            );
        }
    }
    size.first().copied().flatten()
}

fn edges(part: &Part) -> Vec<usize> {
    let mut edges = part.same.clone();
    edges.extend(part.properties.iter().map(|(_, target)| *target));
    edges.extend(part.patterns.iter().map(|(_, target)| *target));
    edges.extend(part.others.iter().chain(&part.any_member).chain(&part.prefix).chain(&part.items).copied());
    edges.extend_from_slice(&part.names);
    edges
}

/// All indexes, each behind those that it leads to; in a circle, behind all but the one where it was entered.
fn inner_first(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut order = Vec::with_capacity(edges.len());
    let mut seen = vec![false; edges.len()];
    let mut open: Vec<(usize, bool)> = (0..edges.len()).rev().map(|index| (index, false)).collect();
    while let Some((index, is_done)) = open.pop() {
        if is_done {
            order.push(index);
        } else if !std::mem::replace(&mut seen[index], true) {
            open.push((index, true));
            open.extend(edges[index].iter().filter(|target| !seen[**target]).map(|target| (*target, false)));
        }
    }
    order
}

/// For each part the number of the circle it is in: those that lead to one another.
fn circles(edges: &[Vec<usize>]) -> Vec<Option<usize>> {
    let mut back: Vec<Vec<usize>> = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        targets.iter().for_each(|to| back[*to].push(from));
    }
    let mut circle: Vec<Option<usize>> = vec![None; edges.len()];
    for first in inner_first(edges).into_iter().rev() {
        let mut open = vec![first];
        while let Some(index) = open.pop() {
            if circle[index].is_none() {
                circle[index] = Some(first);
                open.extend(back[index].iter().filter(|before| circle[**before].is_none()));
            }
        }
    }
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    circle.iter().flatten().for_each(|first| *sizes.entry(*first).or_default() += 1);
    let is_circle = |index: usize, first: usize| sizes[&first] > 1 || edges[index].contains(&index);
    circle.iter().enumerate().map(|(index, first)| first.filter(|first| is_circle(index, *first))).collect()
}
