//! How large a schema is once its references are written out: what finding a fault in a value may cost.
//! Always: finite. Judging a value remembers what it has judged; naming every fault of it does not, so that a schema
//! which forks at each level of a deep value could ask for more memory than there is.

use crate::marks::Part;

/// Circles are only looked for among this many parts.
const CIRCLE_PARTS_MAX: usize = 500;

/// The parts that one place of a value may meet, all ways counted; `None` where a circle forks.
pub(super) fn unfolded(parts: &[Part]) -> Option<u64> {
    let edges: Vec<Vec<usize>> = parts.iter().map(edges).collect();
    let circle = circles(&edges)?;
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
            let inner = edges[index].iter().filter_map(|&target| size[target]);
            size[index] = Some(inner.fold(1, u64::saturating_add));
        } else if size[index].is_none() {
            // A placeholder ends the way round a circle.
            size[index] = Some(0);
            open.push((index, true));
            open.extend(
                edges[index].iter().filter(|&&target| size[target].is_none()).map(|&target| (target, false)),
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
    edges
}

/// For each part the number of the circle it is in. `None`: too many parts to tell.
fn circles(edges: &[Vec<usize>]) -> Option<Vec<Option<usize>>> {
    let is_forward =
        edges.iter().enumerate().all(|(index, targets)| targets.iter().all(|target| *target > index));
    if is_forward {
        return Some(vec![None; edges.len()]);
    }
    if edges.len() > CIRCLE_PARTS_MAX {
        return None;
    }
    let reached: Vec<Vec<bool>> = (0..edges.len())
        .map(|start| {
            let mut seen = vec![false; edges.len()];
            let mut open = edges[start].clone();
            while let Some(index) = open.pop() {
                if !std::mem::replace(&mut seen[index], true) {
                    open.extend(&edges[index]);
                }
            }
            seen
        })
        .collect();
    // A circle is called by its first part.
    let first = |index: usize| (0..edges.len()).find(|&other| reached[index][other] && reached[other][index]);
    Some((0..edges.len()).map(first).collect())
}
