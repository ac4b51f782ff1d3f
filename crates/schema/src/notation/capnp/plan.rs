//! What a struct is made of before its fields have places: the order in which places are given, and which structs lead
//! back to themselves.
//! Always: members of a union are numbered in the order of their fields' numbers.

use super::{
    layout::{Layout, Scope},
    meaning::{Body, Shape, Structs, Type},
    tree::{Annotation, FieldTree, MemberTree, Name},
};

/// What a struct is made of, with places still to come.
pub(super) struct Plan<'t> {
    pub layout: Layout,
    pub entries: Vec<(u16, Entry<'t>)>,
}

pub(super) enum Entry<'t> {
    Field { scope: Scope, tree: &'t FieldTree },
    Union { union: usize, at: usize },
}

pub(super) struct Part<'t> {
    pub kind: PartKind<'t>,
    pub branch: Option<u16>,
    /// The lowest number of its fields.
    first: u16,
}

pub(super) enum PartKind<'t> {
    Field(&'t FieldTree),
    Group {
        name: &'t Name,
        parts: Vec<Part<'t>>,
        annotations: &'t [Annotation],
    },
    Union {
        name: Option<&'t Name>,
        at: usize,
        union: usize,
        parts: Vec<Part<'t>>,
        annotations: &'t [Annotation],
    },
}

impl<'t> Plan<'t> {
    pub fn members(
        &mut self,
        members: &'t [MemberTree],
        scope: Scope,
        union: Option<usize>,
    ) -> Vec<Part<'t>> {
        let mut parts: Vec<Part<'t>> = Vec::with_capacity(members.len());
        let lowest = |parts: &[Part<'_>]| parts.iter().map(|part| part.first).min().unwrap_or(u16::MAX);
        for member in members {
            let scope = match union {
                Some(union) => self.layout.branch(union),
                None => scope,
            };
            let (kind, first) = match member {
                MemberTree::Field(tree) => {
                    self.entries.push((tree.ordinal, Entry::Field { scope, tree }));
                    (PartKind::Field(tree), tree.ordinal)
                }
                MemberTree::Group { name, members, annotations } => {
                    let parts = self.members(members, scope, None);
                    let first = lowest(&parts);
                    (PartKind::Group { name, parts, annotations }, first)
                }
                MemberTree::Union { name, ordinal, at, members, annotations } => {
                    let union = self.layout.union(scope);
                    if let Some(ordinal) = ordinal {
                        self.entries.push((*ordinal, Entry::Union { union, at: *at }));
                    }
                    let parts = self.members(members, scope, Some(union));
                    let first = lowest(&parts).min(ordinal.unwrap_or(u16::MAX));
                    (PartKind::Union { name: name.as_ref(), at: *at, union, parts, annotations }, first)
                }
            };
            parts.push(Part { kind, branch: None, first });
        }
        if union.is_some() {
            // Members of a union are numbered in the order of their fields' numbers.
            let mut order: Vec<usize> = (0..parts.len()).collect();
            order.sort_by_key(|&index| parts[index].first);
            for (number, index) in (0..).zip(order) {
                parts[index].branch = Some(number);
            }
        }
        parts
    }
}

/// Says of each struct whether it leads back to itself.
pub(super) fn mark_recursive(structs: &mut Structs) {
    fn leads(body: &Body, to: &mut Vec<usize>) {
        for field in &body.fields {
            match &field.shape {
                Shape::Inner(inner) => leads(inner, to),
                Shape::Slot(slot) => {
                    let mut ty = &slot.ty;
                    while let Type::List(item) = ty {
                        ty = item;
                    }
                    if let Type::Struct(index) = ty {
                        to.push(*index);
                    }
                }
            }
        }
    }
    let next: Vec<Vec<usize>> = structs
        .0
        .iter()
        .map(|body| {
            let mut to = Vec::new();
            leads(body, &mut to);
            to
        })
        .collect();
    for start in 0..structs.0.len() {
        let (mut open, mut seen) = (next[start].clone(), vec![false; next.len()]);
        while let Some(index) = open.pop() {
            if !std::mem::replace(&mut seen[index], true) {
                open.extend(&next[index]);
            }
        }
        structs.0[start].recursive = seen[start];
    }
}
