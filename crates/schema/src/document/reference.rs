//! Where the references of a document lead.
//! Always: within the document, or nowhere. What a reference may mean besides (an anchor, an embedded part with its own
//! `$id`) is answered with every part that it could mean: the library decides, this only may not overlook one.

use std::collections::HashSet;

use super::{
    Reader, join,
    tree::{Node, Value},
    words::{Holds, holds},
};

/// A part of the document that can be referred to otherwise than by a pointer from the root.
#[derive(Debug)]
pub(super) struct Landmark<'d> {
    pub node: &'d Node,
    pub pointer: String,
    /// `$id` without its fragment; empty where `$schema` alone makes the part a document of its own.
    id: Option<&'d str>,
    anchors: Vec<&'d str>,
}

/// What a reference means.
pub(super) enum Target<'d> {
    /// A pointer from the root of the document, outside of any embedded part.
    Pointer(&'d Node, String),
    /// One of these, or none of them but a meta-schema.
    Parts(Vec<(&'d Node, String)>),
    /// Nothing of this document.
    Outside,
    Nothing,
}

/// The parts with an `$id`, an anchor or a `$schema` of their own.
pub(super) fn landmarks(tree: &Node) -> Vec<Landmark<'_>> {
    let mut found = Vec::new();
    for (node, pointer) in parts_of(tree, "", Definitions::Read) {
        let text = |name: &str| node.get(name).and_then(Node::text);
        let id = text("$id").map(|id| id.split('#').next().unwrap_or_default()).filter(|id| !id.is_empty());
        let own_dialect = !pointer.is_empty() && text("$schema").is_some();
        let mut anchors: Vec<&str> =
            [text("$anchor"), text("$dynamicAnchor")].into_iter().flatten().collect();
        // Draft-07 has no $anchor: an $id that is a fragment is one.
        anchors.extend(text("$id").and_then(|id| id.strip_prefix('#')));
        if id.is_some() || own_dialect || !anchors.is_empty() {
            found.push(Landmark { node, pointer, id: id.or(own_dialect.then_some("")), anchors });
        }
    }
    found
}

impl<'d> Landmark<'d> {
    /// References below it start from here.
    pub fn is_embedded(&self) -> bool {
        self.id.is_some() && !self.pointer.is_empty()
    }
}

impl<'d> Reader<'d> {
    /// Is this part a document within the document?
    pub(super) fn is_embedded(&self, pointer: &str) -> bool {
        self.landmarks.iter().any(|mark| mark.is_embedded() && mark.pointer == pointer)
    }

    fn is_within_embedded(&self, pointer: &str) -> bool {
        self.landmarks.iter().any(|mark| {
            mark.is_embedded()
                && pointer
                    .strip_prefix(&mark.pointer)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    /// What `text` means where it stands, at `pointer`.
    pub(super) fn target(&self, text: &str, pointer: &str) -> Target<'d> {
        let Some(tree) = self.tree else { return Target::Nothing };
        let (uri, fragment) = text.split_once('#').unwrap_or((text, ""));
        let fragment = percent_decoded(fragment);
        let embedded = self.is_within_embedded(pointer);
        if uri.is_empty() && !embedded && (fragment.is_empty() || fragment.starts_with('/')) {
            return match tree.at_pointer(&fragment) {
                Some(node) => Target::Pointer(node, fragment),
                None => Target::Nothing,
            };
        }
        let last =
            |uri: &'_ str| uri.trim_end_matches('/').rsplit(['/', ':']).next().unwrap_or_default().to_owned();
        let mut bases: Vec<(&'d Node, &str)> = Vec::new();
        if uri.is_empty() {
            bases.push((tree, ""));
        }
        for mark in &self.landmarks {
            let means = |id: &str| uri.is_empty() || id == uri || last(id) == last(uri);
            if mark.id.is_some_and(means) {
                bases.push((mark.node, &mark.pointer));
            }
        }
        if bases.is_empty() {
            let meta = ["https://json-schema.org/draft/2020-12/", "http://json-schema.org/draft-07/schema"];
            let is_meta = meta.iter().any(|known| uri.starts_with(known));
            return if is_meta { Target::Parts(Vec::new()) } else { Target::Outside };
        }
        let mut parts = Vec::new();
        if fragment.is_empty() || fragment.starts_with('/') {
            for (base, pointer) in bases {
                parts.extend(base.at_pointer(&fragment).map(|node| (node, format!("{pointer}{fragment}"))));
            }
        } else {
            let anchored = self.landmarks.iter().filter(|mark| mark.anchors.contains(&fragment.as_str()));
            parts.extend(anchored.map(|mark| (mark.node, mark.pointer.clone())));
        }
        if parts.is_empty() { Target::Nothing } else { Target::Parts(parts) }
    }

    /// Notes what is wrong with a reference that leads nowhere.
    pub(super) fn check_target(&mut self, target: &Target<'d>, pointer: &str, at: usize) -> bool {
        let (message, hint) = match target {
            Target::Pointer(..) | Target::Parts(_) => return true,
            Target::Outside => (
                "a $ref leads out of this document",
                "copy what it refers to into this document, under $defs",
            ),
            Target::Nothing => (
                "a $ref points to nothing",
                "the part behind # is a JSON pointer, such as #/$defs/NAME, or an anchor",
            ),
        };
        self.error(pointer, at, message, hint);
        false
    }

    /// Does the part at `pointer` lead back to itself, or to what is being read around it?
    pub(super) fn is_recursive(&self, node: &'d Node, pointer: &str) -> bool {
        let mut seen = HashSet::new();
        let mut open = vec![(node, pointer.to_owned())];
        while let Some((node, at)) = open.pop() {
            for (reference, place) in references(node, &at) {
                let Some(text) = reference.text() else { continue };
                let targets = match self.target(text, &place) {
                    Target::Pointer(node, pointer) => vec![(node, pointer)],
                    Target::Parts(parts) => parts,
                    Target::Outside | Target::Nothing => continue,
                };
                for (node, target) in targets {
                    let around = |inner: &str, outer: &str| {
                        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                    };
                    if around(pointer, &target) {
                        return true;
                    }
                    if seen.insert(target.clone()) {
                        open.push((node, target));
                    }
                }
            }
        }
        false
    }
}

/// Every `$ref` and `$dynamicRef` at or below `node`, but for those in definitions, which apply to nothing.
fn references<'d>(node: &'d Node, pointer: &str) -> Vec<(&'d Node, String)> {
    let mut found = Vec::new();
    for (node, pointer) in parts_of(node, pointer, Definitions::Left) {
        for name in ["$ref", "$dynamicRef"] {
            found.extend(node.get(name).map(|reference| (reference, join(&pointer, name))));
        }
    }
    found
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Definitions {
    Read,
    Left,
}

/// Every object at or below `node` that may be a schema: not what stands in `enum` and the like, nor a keyword's map.
fn parts_of<'d>(node: &'d Node, pointer: &str, definitions: Definitions) -> Vec<(&'d Node, String)> {
    let mut found = Vec::new();
    let mut open = vec![(node, pointer.to_owned(), false)];
    while let Some((node, pointer, is_map)) = open.pop() {
        for (index, item) in node.items().unwrap_or_default().iter().enumerate() {
            open.push((item, join(&pointer, &index.to_string()), false));
        }
        for member in node.members() {
            let name = member.name.as_str();
            let is_definitions = !is_map && matches!(name, "$defs" | "definitions");
            let is_data = !is_map && matches!(name, "enum" | "const" | "default" | "examples");
            if is_data || is_definitions && definitions == Definitions::Left {
                continue;
            }
            let inner_map = !is_map && (is_definitions || holds(name) == Holds::Named);
            open.push((&member.value, join(&pointer, name), inner_map));
        }
        if !is_map && matches!(node.value, Value::Object(_)) {
            found.push((node, pointer));
        }
    }
    found
}

/// A fragment as a pointer or an anchor.
pub(crate) fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |index: usize| after.get(index).and_then(|&byte| char::from(byte).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
