//! From a schema document to a `Schema`: JSON Schema 2020-12 or draft-07, as far as a value has one type, and
//! Headwater's `x-` keywords.
//! Always: every fault is found in one pass and has a place; what is not built yet is refused in those words; no
//! reference leaves the document. Does not judge a change of schema (`evolve`).

mod field;
mod object;
mod pattern;
mod root;
mod scalar;
mod tree;
mod words;

use sha2::{Digest, Sha256};

use self::tree::Node;
use crate::{
    columns,
    json::write_canonical,
    schema::{Checked, Extra, Fault, Mode, Schema},
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
            reader.error("", fault.at, format!("the document is not JSON: {}", fault.message), "correct it");
            return Err(reader.into_faults());
        }
    };
    reader.tree = Some(&tree);
    let read = reader.root(&tree);
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
        protected: reader.protected,
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

/// `pointer` with one more part.
fn join(pointer: &str, part: &str) -> String {
    format!("{pointer}/{}", part.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests;
