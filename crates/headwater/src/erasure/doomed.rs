//! Which rows are a subject's: those that say so, and rejects in whose bytes the subject is named.
//! Always: subjects are compared as keyed digests, so that what is written down of a request does not name anyone; only
//! rows that were received before the request are theirs.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::{DataType, TimestampMicrosecondType},
};
use hw_event::Timestamp;
use hw_lake::Doomed;
use hw_schema::{Field, Kind, Privacy, Stream};
use hw_vault::{HashKey, SealKeys};

use super::words::words;

pub type Digest = [u8; 32];

const RECEIVED_AT: &str = "_received_at";

pub fn digest(key: &HashKey, subject: &str) -> Digest {
    key.keyed("erasure subject", subject.as_bytes())
}

/// Whose rows go.
#[derive(Clone)]
pub struct Subjects {
    pub digests: Arc<HashSet<Digest>>,
    pub key: HashKey,
    pub before: Timestamp,
}

impl Subjects {
    fn holds(&self, text: &[u8]) -> bool {
        self.digests.contains(&self.key.keyed("erasure subject", text))
    }
}

/// Where a stream's events say whose they are, in any version of its schema. Empty: they do not.
pub fn subject_paths(stream: &Stream) -> BTreeSet<Vec<String>> {
    fn search(fields: &[Field], path: &mut Vec<String>, found: &mut BTreeSet<Vec<String>>) {
        for field in fields {
            path.push(field.name().to_owned());
            if field.privacy() == Some(Privacy::Subject) {
                found.insert(path.clone());
            }
            if let Kind::Object(object) = field.kind() {
                search(object.fields(), path, found);
            }
            path.pop();
        }
    }
    let mut found = BTreeSet::new();
    for version in &stream.versions {
        search(version.fields(), &mut Vec::new(), &mut found);
    }
    found
}

/// Rows of a stream's table.
pub struct Rows {
    subjects: Subjects,
    paths: Vec<Vec<String>>,
    columns: Vec<String>,
}

impl Rows {
    pub fn new(subjects: Subjects, paths: BTreeSet<Vec<String>>) -> Rows {
        let mut columns: BTreeSet<String> = paths.iter().filter_map(|path| path.first().cloned()).collect();
        columns.insert(RECEIVED_AT.to_owned());
        Rows { subjects, paths: paths.into_iter().collect(), columns: columns.into_iter().collect() }
    }
}

impl Doomed for Rows {
    fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(String::as_str).collect()
    }

    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        let received = received_at(batch, RECEIVED_AT);
        let mut goes = vec![false; batch.num_rows()];
        for path in &self.paths {
            let Some(texts) = texts(batch, path) else { continue };
            // Neighbours are often one person's.
            let mut last: Option<(&str, bool)> = None;
            for (row, goes) in goes.iter_mut().enumerate() {
                if texts.is_null(row) || received.as_ref().is_some_and(|at| at[row] > self.subjects.before.0)
                {
                    continue;
                }
                let text = texts.value(row);
                let holds = match last {
                    Some((known, holds)) if known == text => holds,
                    _ => self.subjects.holds(text.as_bytes()),
                };
                last = Some((text, holds));
                *goes |= holds;
            }
        }
        BooleanArray::from(goes)
    }
}

/// When rows were received, in microseconds.
fn received_at(batch: &RecordBatch, column: &str) -> Option<Vec<i64>> {
    let column = batch.column_by_name(column)?;
    Some(column.as_primitive_opt::<TimestampMicrosecondType>()?.values().to_vec())
}

/// The text of a scalar that may lie within structs, as a producer writes it: numbers in decimal.
fn texts(batch: &RecordBatch, path: &[String]) -> Option<StringArray> {
    let (first, rest) = path.split_first()?;
    let mut array: ArrayRef = batch.column_by_name(first)?.clone();
    for name in rest {
        let inner = array.as_struct_opt()?.column_by_name(name)?.clone();
        array = inner;
    }
    let array = match array.data_type() {
        DataType::Utf8 => array,
        _ => cast(&array, &DataType::Utf8).ok()?,
    };
    Some(array.as_string_opt::<i32>()?.clone())
}

/// Rows of `rejects`: of streams that have subjects, and of names that had no schema.
pub struct Rejects {
    pub subjects: Subjects,
    /// Streams that are known and have no subject: their rejects are nobody's.
    pub without: HashSet<String>,
    pub seal_keys: Arc<SealKeys>,
}

impl Doomed for Rejects {
    fn columns(&self) -> Vec<&str> {
        vec!["stream", "received_at", "payload"]
    }

    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        let streams = batch.column_by_name("stream").and_then(|column| column.as_string_opt::<i32>());
        let payloads = batch.column_by_name("payload").and_then(|column| column.as_binary_opt::<i32>());
        let received = received_at(batch, "received_at");
        let goes = (0..batch.num_rows()).map(|row| {
            if received.as_ref().is_some_and(|at| at[row] > self.subjects.before.0)
                || streams.is_some_and(|streams| self.without.contains(streams.value(row)))
            {
                return false;
            }
            let Some(payloads) = payloads.filter(|payloads| payloads.is_valid(row)) else { return false };
            // One that cannot be opened any more names nobody any more.
            let Ok(payload) = self.seal_keys.open(payloads.value(row)) else { return false };
            words(&payload).any(|word| self.subjects.holds(&word))
        });
        BooleanArray::from(goes.collect::<Vec<_>>())
    }
}
