//! Values changed in one place, as a sender's mistake would change them.
//! Always: one change, small; the value stays JSON without a repeated key. Whether anything is wrong now is not asked.

use serde_json::Value;

use super::{
    parts::Parts,
    pattern::{self, Stretch},
    random::Random,
    text,
    tree::Tree,
    value::UNKNOWN_NAMES,
};

/// `freely`: a value may become one of another type.
pub(super) fn mutated(tree: Tree, parts: &Parts, freely: bool, random: &mut Random) -> Tree {
    match tree {
        Tree::Object(members) => object(members, parts, freely, random),
        Tree::Array(items) => array(items, parts, freely, random),
        Tree::Raw(text) => match freely && random.one_in(3) {
            true => any(parts, random),
            false => Tree::Raw(single(text, parts, random)),
        },
    }
}

fn object(mut members: Vec<(Vec<u8>, Tree)>, parts: &Parts, freely: bool, random: &mut Random) -> Tree {
    let at = random.index(members.len());
    match random.below(8) {
        // A member goes.
        0 | 1 if !members.is_empty() => {
            members.remove(at);
        }
        // One comes.
        2 | 3 => {
            let name = match random.below(6) {
                0..=2 if !parts.names.is_empty() => parts.names[random.index(parts.names.len())].clone(),
                3 if !parts.patterns.is_empty() => patterned(parts, random).unwrap_or_default(),
                4 => text::free(5, 30, random),
                _ => (*random.pick(UNKNOWN_NAMES)).to_owned(),
            };
            if members.iter().all(|(known, _)| known != name.as_bytes()) {
                members.push((name.into_bytes(), any(parts, random)));
            }
        }
        // One is named otherwise.
        4 if !members.is_empty() => {
            let mut name = members[at].0.clone();
            name.extend_from_slice(random.pick::<[u8]>(&[b"_", b"2", b"s", b" "]));
            if members.iter().all(|(known, _)| *known != name) {
                members[at].0 = name;
            }
        }
        _ if members.is_empty() && freely => return any(parts, random),
        7 if freely => return any(parts, random),
        _ if members.is_empty() => members.push((b"note".to_vec(), any(parts, random))),
        _ => {
            let inner = std::mem::replace(&mut members[at].1, Tree::raw("null"));
            members[at].1 = mutated(inner, parts, freely, random);
        }
    }
    Tree::Object(members)
}

/// A name of those that the document describes by a pattern.
fn patterned(parts: &Parts, random: &mut Random) -> Option<String> {
    let regex = &parts.patterns[random.index(parts.patterns.len())];
    let stretch = Stretch(u32::try_from(random.below(6)).unwrap_or(0));
    String::from_utf8(pattern::text(regex.as_str(), stretch, random)?).ok()
}

fn array(mut items: Vec<Tree>, parts: &Parts, freely: bool, random: &mut Random) -> Tree {
    let at = random.index(items.len());
    match random.below(8) {
        0 if !items.is_empty() => {
            items.remove(at);
        }
        1 | 2 if !items.is_empty() => items.insert(random.index(items.len() + 1), items[at].clone()),
        3 if freely => items.push(any(parts, random)),
        4 if items.len() > 1 => items.swap(0, at.max(1)),
        5 => items.clear(),
        7 if freely => return any(parts, random),
        _ if items.is_empty() && freely => items.push(any(parts, random)),
        _ if items.is_empty() => {}
        _ => {
            let inner = std::mem::replace(&mut items[at], Tree::raw("null"));
            items[at] = mutated(inner, parts, freely, random);
        }
    }
    Tree::Array(items)
}

/// A single value of the same type.
fn single(spelled: Vec<u8>, parts: &Parts, random: &mut Random) -> Vec<u8> {
    let of_type = |value: &&Value| match spelled.first() {
        Some(b'"') => value.is_string(),
        Some(b't' | b'f') => value.is_boolean(),
        Some(b'n') => value.is_null(),
        _ => value.is_number(),
    };
    let mentioned: Vec<&Value> = parts.values.iter().filter(of_type).collect();
    if !mentioned.is_empty() && random.one_in(2) {
        let value = mentioned[random.index(mentioned.len())];
        if let Some(number) = value.as_i64().filter(|_| random.one_in(3)) {
            // Right beside it.
            let beside = if random.one_in(2) { number.checked_add(1) } else { number.checked_sub(1) };
            return beside.unwrap_or(0).to_string().into_bytes();
        }
        return Tree::of(value, random).write(random);
    }
    match spelled.first() {
        Some(b'"') => {
            let inner = String::from_utf8_lossy(&spelled[1..spelled.len() - 1]).into_owned();
            match random.below(4) {
                0 => format!("\"{inner}s\""),
                1 => format!("\"x{inner}\""),
                2 => return Tree::string(text::free(0, 40, random).as_bytes(), random).write(random),
                _ => "\"\"".to_owned(),
            }
            .into_bytes()
        }
        Some(b't') => b"false".to_vec(),
        Some(b'f') => b"true".to_vec(),
        Some(b'n') => spelled,
        _ => random
            .pick(&["0", "1", "-1", "2", "3", "10", "100", "-1000", "1000000", "7", "8"])
            .as_bytes()
            .to_vec(),
    }
}

/// A value of any type, of those that the document mentions or not.
fn any(parts: &Parts, random: &mut Random) -> Tree {
    if !parts.values.is_empty() && random.one_in(3) {
        return Tree::of(&parts.values[random.index(parts.values.len())], random);
    }
    let values = [
        "null",
        "true",
        "false",
        "0",
        "1",
        "-1",
        "2.5",
        "1000000",
        "\"\"",
        "\"text\"",
        "\"1\"",
        "[]",
        "[1]",
        "[\"a\",\"a\"]",
        "{}",
        "{\"a\":1}",
        "{\"unknown\":true}",
    ];
    Tree::raw(random.pick(&values))
}
