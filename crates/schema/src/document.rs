//! From a schema document to a `Schema`: JSON Schema 2020-12 or draft-07, and Headwater's `x-` keywords.
//! Always: every fault is found in one pass and has a place; what is not built yet is refused in those words; no
//! reference leaves the document. A value with one type gets a column and compiled rules; any other becomes JSON text,
//! and what no compiled rule says is left to a guard. Does not judge a change of schema (`evolve`).

mod field;
mod keyword;
mod object;
mod origin;
mod pattern;
mod reference;
mod residual;
mod retention;
mod root;
mod scalar;
mod token;
pub(crate) mod tree;
mod unfold;
mod words;

use std::{
    collections::{BTreeSet, HashSet},
    mem,
    sync::{Arc, OnceLock},
};

use hw_event::RejectCode;
use jsonschema::Draft;
use serde_json::Value;
use sha2::{Digest, Sha256};

pub(crate) use self::{pattern::compile as compile_pattern, reference::percent_decoded};
use self::{
    reference::{Landmark, landmarks},
    tree::Node,
};
use crate::{
    columns,
    guard::{self, Checks, Guard},
    json::{JsonFault, write_canonical},
    notation::NotationText,
    schema::{Checked, Extra, Fault, Mode, Retention, Schema},
};

const DOCUMENT_BYTES_MAX: usize = 1 << 20;
const DOCUMENT_DEPTH_MAX: usize = 256;
/// Fields of all levels together.
const FIELDS_MAX: usize = 2000;
/// Objects, arrays and maps within one another.
const LEVELS_MAX: usize = 32;
const NAME_BYTES_MAX: usize = 255;
const ENUM_VALUES_MAX: usize = 10_000;
const KEY_FIELDS_MAX: usize = 16;
/// More faults than this help nobody.
const FAULTS_MAX: usize = 500;
const PARTITIONS_MAX: i128 = 10_000;

pub(crate) fn parse(document: &str) -> Result<Checked, Vec<Fault>> {
    let mut reader = Reader::new(document);
    if document.len() > DOCUMENT_BYTES_MAX {
        reader.error(
            "",
            0,
            format!("the document is longer than {DOCUMENT_BYTES_MAX} bytes"),
            "split the stream",
        );
        return Err(reader.into_faults());
    }
    let tree = match Node::parse(document) {
        Ok(tree) => tree,
        Err(fault) => {
            let (message, hint) = json_fault(document, fault);
            reader.error("", fault.at, message, hint);
            return Err(reader.into_faults());
        }
    };
    reader.tree = Some(&tree);
    reader.landmarks = landmarks(&tree);
    reader.checks = Arc::new(Checks::new(names_of(&tree)));
    let read = reader.root(&tree);
    reader.origins(&tree);
    let subject = read.as_ref().and_then(|(root, _)| reader.subject_of_tokens(root));
    reader.slower_path();
    let (Some((root, settings)), true) = (read, reader.faults.is_empty()) else {
        return Err(reader.into_faults());
    };
    let user_columns = columns::user_columns(&root);
    let mut canonical = Vec::with_capacity(document.len());
    write_canonical(document.as_bytes(), &mut canonical);
    let schema = Schema {
        document: document.to_owned(),
        fingerprint: Sha256::digest(&canonical).into(),
        root,
        key: settings.key,
        partitions: settings.partitions,
        mode: settings.mode,
        extra: match settings.extra {
            Some(extra) => extra,
            // What nobody described may be what somebody wanted protected.
            None if reader.protected => Extra::Drop,
            None => Extra::Keep,
        },
        event_time: settings.event_time,
        retention: settings.retention,
        guard: settings.guard,
        notation: settings.notation,
        payload: OnceLock::new(),
        protected: reader.protected,
        subject,
        token_domains: mem::take(&mut reader.domains),
        table_columns: columns::table_columns(&user_columns),
        user_columns,
    };
    reader.sort();
    Ok(Checked { schema, warnings: reader.warnings.into_iter().map(|(_, fault)| fault).collect() })
}

/// What the root's keywords say of the stream.
#[derive(Debug)]
struct Settings {
    key: Vec<String>,
    partitions: i32,
    mode: Mode,
    extra: Option<Extra>,
    event_time: Option<String>,
    retention: Retention,
    /// The check of the whole event.
    guard: Option<Box<Guard>>,
    notation: Option<NotationText>,
}

/// Reads one document and collects what is wrong with it.
struct Reader<'d> {
    document: &'d str,
    tree: Option<&'d Node>,
    /// With the byte at which each stands.
    faults: Vec<(usize, Fault)>,
    warnings: Vec<(usize, Fault)>,
    fields: usize,
    /// The pointers of the references that are being followed.
    following: Vec<String>,
    /// Somewhere a field is protected.
    protected: bool,
    /// The pointer of the field that is the subject.
    subject: Option<String>,
    /// Those of tokens.
    domains: Vec<Arc<str>>,
    /// What the root says of unnamed fields.
    extra: Option<Extra>,
    draft: Draft,
    landmarks: Vec<Landmark<'d>>,
    checks: Arc<Checks>,
    /// Parts that the slower path was prepared for.
    surveyed: usize,
    /// The pointers of the guarded parts.
    guarded: BTreeSet<String>,
}

impl<'d> Reader<'d> {
    fn new(document: &'d str) -> Reader<'d> {
        Reader {
            document,
            tree: None,
            faults: Vec::new(),
            warnings: Vec::new(),
            fields: 0,
            following: Vec::new(),
            protected: false,
            subject: None,
            domains: Vec::new(),
            extra: None,
            draft: Draft::Draft202012,
            landmarks: Vec::new(),
            checks: Arc::default(),
            surveyed: 0,
            guarded: BTreeSet::new(),
        }
    }

    fn is_draft_7(&self) -> bool {
        self.draft == Draft::Draft7
    }

    /// Has the whole document judged by its dialect, and its guards compiled.
    fn slower_path(&mut self) {
        let Ok(mut document) = guard::read_value(self.document.as_bytes()) else {
            self.error("", 0, "a number of the document is beyond a 64-bit float", "write a smaller one");
            return;
        };
        for mark in self.landmarks.iter().filter(|mark| mark.is_embedded()) {
            name_part(&mut document, &mark.pointer);
        }
        for (pointer, message) in guard::faults_of_document(&document, self.draft) {
            // Where we have found something ourselves, we have said more of it.
            let within = |inner: &str, outer: &str| {
                inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if self
                .faults
                .iter()
                .any(|(_, fault)| within(&fault.pointer, &pointer) || within(&pointer, &fault.pointer))
            {
                continue;
            }
            let at = self.tree.and_then(|tree| tree.at_pointer(&pointer)).map_or(0, |node| node.at);
            self.error(&pointer, at, message, "see the specification of JSON Schema for this keyword");
        }
        if !self.faults.is_empty() || self.guarded.is_empty() {
            return;
        }
        let compiled = self.checks.compile(&document, self.draft, self.guarded.iter().map(String::as_str));
        if let Err((pointer, message)) = compiled {
            let at = self.tree.and_then(|tree| tree.at_pointer(&pointer)).map_or(0, |node| node.at);
            let hint = "simplify this part of the schema";
            self.error(&pointer, at, format!("the rules of this part cannot be compiled: {message}"), hint);
        }
    }

    fn error(&mut self, pointer: &str, at: usize, message: impl Into<String>, hint: &str) {
        if self.faults.len() >= FAULTS_MAX {
            return;
        }
        let fault = self.fault(pointer, at, message.into(), hint);
        // What two references share is wrong once.
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    fn not_built(&mut self, pointer: &str, at: usize, what: impl std::fmt::Display) {
        self.error(pointer, at, format!("{what} is not built yet"), "leave it out for now");
    }

    fn warn(&mut self, pointer: &str, at: usize, message: String, hint: &str) {
        if self.warnings.len() >= FAULTS_MAX {
            return;
        }
        let fault = self.fault(pointer, at, message, hint);
        if !self.warnings.contains(&fault) {
            self.warnings.push(fault);
        }
    }

    fn fault(&self, pointer: &str, at: usize, message: String, hint: &str) -> (usize, Fault) {
        let before = &self.document[..self.document.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let line = count(before.matches('\n').count() + 1);
        let column = count(before[line_start..].chars().count() + 1);
        (at, Fault { pointer: pointer.to_owned(), line, column, message, hint: hint.to_owned() })
    }

    fn sort(&mut self) {
        self.faults.sort_by_key(|(at, _)| *at);
        self.warnings.sort_by_key(|(at, _)| *at);
    }

    fn into_faults(mut self) -> Vec<Fault> {
        self.sort();
        self.faults.into_iter().map(|(_, fault)| fault).collect()
    }
}

/// The line and column of the part of a checked document at `pointer`; the start where there is no such part.
pub(crate) fn place(document: &str, pointer: &str) -> (u32, u32) {
    let at = Node::parse(document).ok().and_then(|tree| tree.at_pointer(pointer).map(|node| node.at));
    let (_, fault) = Reader::new(document).fault(pointer, at.unwrap_or(0), String::new(), "");
    (fault.line, fault.column)
}

/// What is wrong with a text that is no document, and what to do.
fn json_fault(document: &str, fault: JsonFault) -> (String, &'static str) {
    let found = document.as_bytes().get(fault.at);
    match fault.message {
        _ if document.trim().is_empty() => {
            ("the file is empty".to_owned(), "write {\"type\": \"object\", \"properties\": {…}}")
        }
        _ if fault.code == RejectCode::JsonRepeatedKey => (
            "the document names a key twice in one object".to_owned(),
            "take one of the two away, or rename it",
        ),
        message => {
            let hint = match (message, found) {
                _ if message.contains("comments") => "delete the comment, or put it into \"description\"",
                _ if message.contains("no comma stands before") => "delete the comma",
                (_, Some(b'\'')) => "write double quotes",
                (_, Some(b'/' | b'#')) => "JSON has no comments: delete it, or put it into \"description\"",
                (_, None) => "the file ends too early: look for a bracket that is not closed",
                _ => "look at what stands just before: a comma, a quote or a bracket is missing or too many",
            };
            (format!("the document is not JSON: {message}"), hint)
        }
    }
}

/// Every name that some part of the document gives to a property.
fn names_of(tree: &Node) -> HashSet<String> {
    let mut names = HashSet::new();
    let mut open = vec![tree];
    while let Some(node) = open.pop() {
        for member in node.members() {
            if member.name == "properties" {
                names.extend(member.value.members().iter().map(|property| property.name.clone()));
            }
            open.push(&member.value);
        }
        open.extend(node.items().unwrap_or_default());
    }
    names
}

/// Gives an embedded part that has only a `$schema` a name, so that `#` means it inside.
fn name_part(document: &mut Value, pointer: &str) {
    let Some(Value::Object(part)) = document.pointer_mut(pointer) else { return };
    let name = format!("urn:headwater:part:{}", pointer.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
    part.entry("$id").or_insert(Value::String(name));
}

/// `pointer` with one more part.
fn join(pointer: &str, part: &str) -> String {
    format!("{pointer}/{}", part.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
