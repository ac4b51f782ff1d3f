//! A table as its readers see it: which files, which rows, as of which commit.
//! Always: a `TableSnapshot` never changes; a newer one replaces it whole.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use hw_event::{SchemaNumber, Seq, StreamId};
use serde::{Deserialize, Serialize};

use crate::Pieces;

/// Which table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    Stream(StreamId),
    Rejects,
    Ledger,
}

/// The columns that say where a row came from; each table has its own names for them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlaceColumns {
    pub partition: &'static str,
    pub offset: &'static str,
    pub seq: &'static str,
    pub time: &'static str,
}

impl Table {
    pub(crate) fn place_columns(self) -> PlaceColumns {
        match self {
            Table::Stream(_) => {
                PlaceColumns { partition: "_partition", offset: "_offset", seq: "_seq", time: "_time" }
            }
            Table::Rejects => {
                PlaceColumns { partition: "partition", offset: "offset", seq: "seq", time: "received_at" }
            }
            Table::Ledger => {
                PlaceColumns { partition: "_partition", offset: "_offset", seq: "_seq", time: "minute" }
            }
        }
    }
}

/// One table as of one commit.
#[derive(Debug, Clone)]
pub struct TableSnapshot {
    /// Delta's number of the commit.
    pub version: i64,
    /// Everything through this append is in. A table that had nothing to commit keeps its number, however far
    /// the log has been released meanwhile: what the log has forgotten is in every table.
    pub seq: Seq,
    pub files: Vec<Arc<LakeFile>>,
    /// What the table's columns are now. A file of an older schema lacks the newer ones.
    pub columns: SchemaRef,
    pub bytes: u64,
    pub rows: u64,
    /// Rows that were erased since the table began; of `rejects`, by stream, else under the table's name.
    pub erased: Arc<BTreeMap<String, u64>>,
    /// Rows that were not kept since then.
    pub let_go: LetGo,
    /// By partition, the first offset that retention has left.
    pub first_kept: Arc<BTreeMap<i32, i64>>,
    /// The table's directory, absolute.
    pub location: String,
}

/// How many rows have left a table because its stream says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LetGo {
    /// Older than is kept, or beyond the table's size.
    pub expired: u64,
    /// A newer row of their key was there, or they said that their key has none.
    pub superseded: u64,
}

impl LetGo {
    pub fn rows(self) -> u64 {
        self.expired + self.superseded
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeFile {
    /// Relative to the lake's root.
    pub path: PathBuf,
    pub bytes: u64,
    pub rows: u64,
    pub stats: FileStats,
    /// The newest schema of its rows; the file has that schema's columns.
    pub schema: Option<SchemaNumber>,
    /// Of the whole file, as it was written. `None`: another writer's file.
    pub crc32c: Option<u32>,
    /// Of its pieces. `None`: it was written before pieces had checksums, or by another writer.
    pub pieces: Option<Pieces>,
    /// Compaction made it: its rows are in the order of (`_partition`, `_offset`), in the system tables in that of `_seq`.
    pub compacted: bool,
}

/// What is known about a file's rows without opening it. A bound that is missing says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileStats {
    pub partition: Option<Bounds>,
    pub offset: Option<Bounds>,
    pub seq: Option<Bounds>,
    /// Event time in a stream's table, `received_at` in `rejects`, `minute` in `ledger`; microseconds, to
    /// the enclosing milliseconds.
    pub time: Option<Bounds>,
    /// `_received_at` of a stream's table.
    pub received_at: Option<Bounds>,
}

/// Both inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub min: i64,
    pub max: i64,
}

impl Bounds {
    pub fn contains(&self, value: i64) -> bool {
        (self.min..=self.max).contains(&value)
    }
}
