//! What no column follows from: which parts of a schema the slower path checks, and what in them is protected.
//! Always: every part that may apply to a value is visited once, whatever refers to it; its keywords, patterns and
//! formats are held to the same rules as those of columns. Compiles no check (`guard`).

use std::collections::HashMap;

use sha2::{Digest, Sha256};

use super::{
    FIELDS_MAX, Reader,
    field::is_protection,
    join, pattern,
    reference::Target,
    tree::{Node, Value},
    unfold::{Excess, VISITS_MAX, effort},
    words::{Holds, Word, holds, is_remark, word},
};
use crate::{
    format::TextFormat,
    guard::{self, Effort},
    json::write_string,
    marks::{Marks, Part},
    schema::{Extra, Privacy},
};

/// Parts of all values that become JSON text and of all rules beside columns, references followed for each.
const PARTS_MAX: usize = 20 * FIELDS_MAX;

/// What a walk over one part and all it applies has found.
pub(super) struct Survey {
    pub marks: Marks,
    /// SHA-256 of all that was found, but for remarks.
    pub meaning: [u8; 32],
    pub effort: Effort,
}

/// What a guarded part has its column from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Beside<'a> {
    /// From its own type, of this name.
    Column(&'a str),
    /// From what its `$ref` leads to.
    Reference,
}

struct Walk<'d> {
    parts: Vec<Part>,
    /// By pointer.
    known: HashMap<String, usize>,
    open: Vec<(&'d Node, String, usize)>,
    meaning: Sha256,
}

impl<'d> Walk<'d> {
    /// The number of the part at `pointer`.
    fn part(&mut self, node: &'d Node, pointer: String) -> usize {
        let index = match self.known.get(&pointer) {
            Some(&index) => index,
            None => {
                let index = self.parts.len();
                self.parts.push(Part::default());
                self.known.insert(pointer.clone(), index);
                self.open.push((node, pointer, index));
                index
            }
        };
        self.meaning.update(index.to_le_bytes());
        index
    }
}

impl<'d> Reader<'d> {
    /// Walks the part at `pointer` where it becomes JSON text.
    pub(super) fn survey(&mut self, node: &'d Node, pointer: &str) -> Survey {
        self.walk(node, pointer, |_| true)
    }

    /// Walks the keywords of a part with columns that the compiled decoder does not know.
    pub(super) fn survey_beside(&mut self, node: &'d Node, pointer: &str, beside: Beside<'_>) -> Survey {
        let draft_7 = self.is_draft_7();
        let undescribed = self.requires_undescribed(node);
        let library_format = self.is_library_format(node.get("format"));
        let survey = self.walk(node, pointer, |name| match beside {
            Beside::Reference => name != "$ref" && !is_protection(name),
            Beside::Column(type_name) => match (name, word(name)) {
                (_, Some(Word::Residual(_))) => true,
                ("$ref", _) => !draft_7,
                ("enum" | "const", _) => {
                    matches!(type_name, "object" | "array")
                        || node.get("enum").is_some() && node.get("const").is_some()
                }
                ("additionalProperties", _) => type_name == "object" && has_fields(node),
                ("required", _) => type_name == "object" && undescribed,
                ("format", _) => type_name == "string" && library_format,
                _ => false,
            },
        });
        if survey.marks.any() {
            self.error(
                pointer,
                node.at,
                "x-privacy inside of a rule beside the fields would protect no column",
                "describe the field under \"properties\" and put x-privacy there",
            );
        }
        survey
    }

    fn walk(&mut self, node: &'d Node, pointer: &str, at_start: impl Fn(&str) -> bool) -> Survey {
        let mut walk =
            Walk { parts: Vec::new(), known: HashMap::new(), open: Vec::new(), meaning: Sha256::new() };
        walk.part(node, pointer.to_owned());
        while let Some((node, pointer, index)) = walk.open.pop() {
            self.surveyed += 1;
            if self.surveyed > PARTS_MAX {
                let message =
                    format!("the rules beside columns have more than {PARTS_MAX} parts, references followed");
                self.error("", 0, message, "describe less of the event, or split the stream");
                break;
            }
            let part = self.part(node, &pointer, &mut walk, |name| index > 0 || at_start(name));
            walk.parts[index] = part;
        }
        // What nobody described may be what somebody wanted protected; the root's word is not read yet.
        let drop_undescribed = match self.extra {
            Some(extra) => extra == Extra::Drop,
            None => true,
        };
        let effort = effort(&walk.parts).unwrap_or_else(|excess| {
            self.excess(&walk, excess);
            Effort::NONE
        });
        let marks = Marks { parts: walk.parts, drop_undescribed };
        self.protected |= marks.any();
        Survey { marks, meaning: walk.meaning.finalize().into(), effort }
    }

    /// A part that would take too long to judge a value by.
    fn excess(&mut self, walk: &Walk<'d>, excess: Excess) {
        let (index, message) = match excess {
            Excess::Itself(index) => (
                index,
                "this part refers back to itself in several ways without going into the value".to_owned(),
            ),
            Excess::Visits(index) => {
                let message = format!(
                    "this part forks so often, with all it refers to, or lists so many values, that judging one \
                     value could take more than {VISITS_MAX} steps"
                );
                (index, message)
            }
        };
        let pointer =
            walk.known.iter().find(|(_, known)| **known == index).map(|(pointer, _)| pointer.as_str());
        let pointer = pointer.unwrap_or_default();
        let at = self.tree.and_then(|tree| tree.at_pointer(pointer)).map_or(0, |node| node.at);
        self.error(pointer, at, message, "refer to each part once, or describe less of it");
    }

    fn part(
        &mut self,
        node: &'d Node,
        pointer: &str,
        walk: &mut Walk<'d>,
        read: impl Fn(&str) -> bool,
    ) -> Part {
        let mut part = Part::default();
        match &node.value {
            Value::Boolean(allowed) => walk.meaning.update([u8::from(*allowed)]),
            Value::Object(_) => {}
            _ => self.error(pointer, node.at, "a schema is an object", "write {\"type\": …}"),
        }
        let mut members: Vec<_> = node.members().iter().filter(|member| read(&member.name)).collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        for member in &members {
            let (name, value) = (member.name.as_str(), &member.value);
            let pointer = join(pointer, name);
            self.residual_keyword(member, &pointer);
            // What is protected changes no verdict; it is compared by itself.
            if is_remark(name) || name == "x-privacy" {
                continue;
            }
            walk.meaning.update(name.as_bytes());
            walk.meaning.update([0]);
            match holds(name) {
                Holds::Schema if value.items().is_none() => {
                    let inner = walk.part(value, pointer);
                    attach(&mut part, name, inner);
                }
                Holds::Schema | Holds::List => {
                    for (place, item) in value.items().unwrap_or_default().iter().enumerate() {
                        let inner = walk.part(item, join(&pointer, &place.to_string()));
                        match name {
                            "prefixItems" | "items" => part.prefix.push(inner),
                            _ => attach(&mut part, name, inner),
                        }
                    }
                }
                Holds::Named => self.named(name, value, &pointer, walk, &mut part),
                Holds::Nothing => self.rule(name, value, &pointer, walk, &mut part),
            }
        }
        let listed = node.get("enum").filter(|_| read("enum")).and_then(Node::items);
        part.listed = listed.map_or(0, <[_]>::len);
        part.asks_again = ["unevaluatedProperties", "unevaluatedItems"]
            .iter()
            .any(|name| node.get(name).is_some() && read(name));
        part.describes = ["properties", "patternProperties", "additionalProperties"]
            .iter()
            .any(|name| node.get(name).is_some() && read(name));
        if let Some(found) = node.get("x-privacy")
            && read("x-privacy")
        {
            part.privacy = self.mark(node, found, &join(pointer, "x-privacy"));
        }
        part
    }

    fn named(&mut self, keyword: &str, value: &'d Node, pointer: &str, walk: &mut Walk<'d>, part: &mut Part) {
        let mut members: Vec<_> = value.members().iter().collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        for member in members {
            let pointer = join(pointer, &member.name);
            walk.meaning.update(member.name.as_bytes());
            walk.meaning.update([1]);
            if keyword == "dependencies" && member.value.items().is_some() {
                canonical(&member.value, &mut walk.meaning);
                continue;
            }
            let inner = walk.part(&member.value, pointer.clone());
            match keyword {
                "properties" => part.properties.push((member.name.clone(), inner)),
                "patternProperties" => match pattern::compile(&member.name) {
                    Ok(regex) => part.patterns.push((regex, inner)),
                    Err((message, hint)) => self.error(&pointer, member.at, message, hint),
                },
                _ => part.same.push(inner),
            }
        }
    }

    fn rule(&mut self, keyword: &str, value: &'d Node, pointer: &str, walk: &mut Walk<'d>, part: &mut Part) {
        match keyword {
            "$ref" | "$dynamicRef" => {
                let Some(text) = value.text() else {
                    self.error(pointer, value.at, "a $ref is a text", "write \"#/$defs/NAME\"");
                    return;
                };
                let target = self.target(text, pointer);
                if self.check_target(&target, pointer, value.at) {
                    let parts = match target {
                        Target::Pointer(node, pointer) => vec![(node, pointer)],
                        Target::Parts(parts) => parts,
                        Target::Outside | Target::Nothing => Vec::new(),
                    };
                    for (node, pointer) in parts {
                        let inner = walk.part(node, pointer);
                        part.same.push(inner);
                        part.referred.push(inner);
                    }
                }
            }
            "$defs" | "definitions" | "$schema" | "$id" => {}
            "pattern" => {
                if let Some(source) = value.text()
                    && let Err((message, hint)) = pattern::compile(source)
                {
                    self.error(pointer, value.at, message, hint);
                }
                canonical(value, &mut walk.meaning);
            }
            "format" => {
                if let Some(name) = value.text() {
                    self.residual_format(name, value.at, pointer);
                }
                canonical(value, &mut walk.meaning);
            }
            "x-time" | "x-precision" | "x-scale" | "x-token-domain" | "x-token-format" => {
                let message = format!("{keyword} has no effect on a field that becomes JSON text");
                self.error(pointer, value.at, message, "give the field one type, or take it away");
            }
            _ => canonical(value, &mut walk.meaning),
        }
    }

    fn residual_format(&mut self, name: &str, at: usize, pointer: &str) {
        if !is_compiled_format(name) && !guard::knows_format(name, self.draft) {
            self.no_format(name, at, pointer);
        }
    }

    /// A format that only the slower path asserts.
    pub(super) fn is_library_format(&self, format: Option<&Node>) -> bool {
        let name = format.and_then(Node::text);
        name.is_some_and(|name| !is_compiled_format(name) && guard::knows_format(name, self.draft))
    }

    /// Does `required` name what `properties` does not describe?
    pub(super) fn requires_undescribed(&self, node: &Node) -> bool {
        let described = |name: &str| node.get("properties").is_some_and(|found| found.get(name).is_some());
        let names = node.get("required").and_then(Node::items).unwrap_or_default();
        names.iter().filter_map(Node::text).any(|name| !described(name))
    }

    /// A mark inside of JSON text.
    fn mark(&mut self, node: &Node, found: &Node, pointer: &str) -> Option<Privacy> {
        let privacy = match found.text() {
            Some("hash") => Privacy::Hash,
            Some("drop") => Privacy::Drop,
            Some("subject") => {
                let hint = "name it under \"properties\" and \"required\" of an object with columns";
                self.error(pointer, found.at, "the subject must be in every event", hint);
                return None;
            }
            Some("tokenize") => {
                let what = "x-privacy: tokenize on a value of no one type, which becomes JSON text,";
                self.not_built(pointer, found.at, what);
                return None;
            }
            _ => {
                let hint = "it is one of subject, hash, tokenize, drop";
                self.error(pointer, found.at, "there is no such protection", hint);
                return None;
            }
        };
        if pointer.contains("/propertyNames/") {
            let hint = "describe the members under \"properties\", or drop the whole object";
            self.error(pointer, found.at, "names of fields cannot be protected", hint);
        }
        if !self.is_of_single_values(node) {
            let hint = "put x-privacy on the single values inside, beside their \"type\"";
            self.error(pointer, found.at, "only single values can be protected", hint);
        }
        Some(privacy)
    }

    /// Does `type` say that the value is a text, a number or a boolean (or null)?
    pub(super) fn is_of_single_values(&self, node: &Node) -> bool {
        let single =
            |name: Option<&str>| matches!(name, Some("string" | "integer" | "number" | "boolean" | "null"));
        match node.get("type").map(|found| &found.value) {
            Some(Value::Text(name)) => single(Some(name)),
            Some(Value::Array(names)) => names.iter().all(|name| single(name.text())),
            _ => false,
        }
    }
}

/// Does `properties` name any?
pub(super) fn has_fields(node: &Node) -> bool {
    node.get("properties").is_some_and(|found| !found.members().is_empty())
}

fn is_compiled_format(name: &str) -> bool {
    matches!(name, "date-time" | "date") || TextFormat::from_name(name).is_some()
}

/// The digest of two demands on one value.
pub(super) fn combined(one: [u8; 32], other: [u8; 32]) -> [u8; 32] {
    Sha256::new().chain_update(one).chain_update(other).finalize().into()
}

fn attach(part: &mut Part, keyword: &str, inner: usize) {
    match keyword {
        "additionalProperties" => part.others = Some(inner),
        "unevaluatedProperties" => part.any_member.push(inner),
        "items" | "additionalItems" | "unevaluatedItems" | "contains" => part.items.push(inner),
        // Judges names, not values.
        "propertyNames" => part.names.push(inner),
        _ => part.same.push(inner),
    }
}

/// Adds a value's one form to a digest.
fn canonical(value: &Node, digest: &mut Sha256) {
    match &value.value {
        Value::Null => digest.update(b"null"),
        Value::Boolean(boolean) => digest.update(if *boolean { b"true".as_slice() } else { b"false" }),
        Value::Number(exact) => {
            let mut text = Vec::new();
            exact.write(&mut text);
            digest.update(&text);
        }
        Value::Text(text) => {
            let mut written = Vec::new();
            write_string(text.as_bytes(), &mut written);
            digest.update(&written);
        }
        Value::Array(items) => {
            digest.update(b"[");
            for item in items {
                canonical(item, digest);
                digest.update(b",");
            }
            digest.update(b"]");
        }
        Value::Object(members) => {
            digest.update(b"{");
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.name.cmp(&b.name));
            for member in members {
                digest.update(member.name.as_bytes());
                digest.update([0]);
                canonical(&member.value, digest);
                digest.update(b",");
            }
            digest.update(b"}");
        }
    }
}
