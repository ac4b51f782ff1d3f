//! What one statement sees: per table the files of one lake version and the rows of the journal behind them.
//! Always: a value; two scans of one cut see the same rows. Does not know how a cut is taken.

use std::{
    fmt,
    ops::Deref,
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use serde::{Deserialize, Serialize};

/// The tables of one moment, and the static part of the table `streams`.
#[derive(Debug, Clone)]
pub struct Cut {
    pub tables: Vec<TableCut>,
    /// Of the schema [`streams_schema`].
    pub streams: RecordBatch,
}

/// One table: lake ∪ hot, without an overlap.
#[derive(Debug, Clone)]
pub struct TableCut {
    /// The name in SQL. `rejects` and `ledger` for those kinds.
    pub name: String,
    pub kind: TableKind,
    /// The columns of the newest schema; older files and batches lack some, which read as NULL.
    pub columns: SchemaRef,
    /// The directory that the files' paths start from.
    pub lake_root: PathBuf,
    pub files: Files,
    pub hot: Arc<dyn HotSource>,
    /// Why the table cannot be read. A statement that reads it fails with this; any other runs.
    pub damage: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TableKind {
    /// Shown as it is.
    Stream,
    /// Of `hw_schema::rows::rejects_table_schema`; shown with opened payloads and their digest.
    Rejects,
    /// Of `hw_schema::rows::ledger_table_schema`; shown as sums a stream, minute and door.
    Ledger,
}

/// The files of a table at one version. Cheap to clone; made once a version, it is also sent once to each process that
/// runs statements.
#[derive(Debug, Clone, Default)]
pub struct Files(Arc<FileList>);

#[derive(Debug)]
struct FileList {
    /// Of no other list in this process.
    id: u64,
    files: Vec<CutFile>,
    encoded: OnceLock<Vec<u8>>,
}

impl Default for FileList {
    fn default() -> FileList {
        static IDS: AtomicU64 = AtomicU64::new(0);
        // A counter on its own: nothing else is ordered by it.
        FileList { id: IDS.fetch_add(1, Ordering::Relaxed), files: Vec::new(), encoded: OnceLock::new() }
    }
}

impl Files {
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// `None`: a path that is not UTF-8.
    pub(crate) fn encoded(&self) -> Option<&[u8]> {
        let encoded = self.0.encoded.get_or_init(|| postcard::to_stdvec(&self.0.files).unwrap_or_default());
        (!encoded.is_empty()).then_some(encoded)
    }
}

impl Deref for Files {
    type Target = [CutFile];

    fn deref(&self) -> &[CutFile] {
        &self.0.files
    }
}

impl From<Vec<CutFile>> for Files {
    fn from(files: Vec<CutFile>) -> Files {
        Files(Arc::new(FileList { files, ..FileList::default() }))
    }
}

/// One Parquet file, with what is known of it without opening it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CutFile {
    /// Relative to the table's `lake_root`.
    pub path: PathBuf,
    pub bytes: u64,
    /// Exactly the rows a reader finds: it answers `count(*)`.
    pub rows: u64,
    /// Smallest and largest value of a reserved column; `None` is "not known". Times are microseconds.
    pub partition: Option<Range>,
    pub offset: Option<Range>,
    pub seq: Option<Range>,
    pub time: Option<Range>,
    /// CRC-32C of the whole file. `None`, with `pieces`: nothing is known about its bytes, and they are taken as they are.
    pub crc32c: Option<u32>,
    /// Of its pieces: with them only what is read is checked. Without, all of it at its first touch.
    pub pieces: Option<Pieces>,
}

/// The CRC-32C of each piece of a file; all pieces but the last have `bytes` bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    /// Not 0.
    pub bytes: u32,
    pub crc32c: Arc<[u32]>,
}

/// Both ends are inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub min: i64,
    pub max: i64,
}

pub type HotError = Box<dyn std::error::Error + Send + Sync>;

/// Pulled one batch at a time on a thread where blocking is allowed; at most two are in memory.
pub type HotBatches = Box<dyn Iterator<Item = Result<RecordBatch, HotError>> + Send>;

/// The rows of a table that are durable in the journal and not yet in the lake.
/// Whatever keeps them readable (a lease on a segment) lives inside and ends with the value.
pub trait HotSource: Send + Sync + fmt::Debug {
    /// Exactly the rows that `batches` yields: it answers `count(*)`.
    fn rows(&self) -> usize;

    /// May be called more than once (a statement can name a table twice), each time from the first row.
    /// A batch may have the columns of an older schema; they are matched by name.
    fn batches(&self) -> Result<HotBatches, HotError>;

    /// What a process of the same binary needs to read the same rows while this value lives; a
    /// [`HotOpener`](crate::child::HotOpener) makes a source of it there. `None`: only this process can read them.
    fn to_bytes(&self) -> Option<Vec<u8>> {
        None
    }

    /// The room that the rows take is needed: whoever can do without them lets go of this value.
    fn wanted(&self) -> bool {
        false
    }
}

/// A table that is all in the lake.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHot;

impl HotSource for NoHot {
    fn rows(&self) -> usize {
        0
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(std::iter::empty()))
    }
}

/// Opens the sealed bytes of a reject. `None`: the key is gone, or the bytes are not ours.
pub trait PayloadOpener: Send + Sync {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>>;

    /// The same, for many: one after another, in their order.
    fn open_all(&self, sealed: &[&[u8]]) -> Vec<Option<Vec<u8>>> {
        sealed.iter().map(|sealed| self.open(sealed)).collect()
    }
}

/// The static part of the table `streams`, one row a stream. `schema` is the current version's number and
/// `key` the key's fields joined by `,` (a field's name holds no comma); both are null where there is none.
pub fn streams_schema() -> SchemaRef {
    let column = |name: &str, data_type, nullable| Field::new(name, data_type, nullable);
    Arc::new(Schema::new(vec![
        column("stream", DataType::Utf8, false),
        column("table_name", DataType::Utf8, false),
        column("schema", DataType::Int32, true),
        column("partitions", DataType::Int32, true),
        column("key", DataType::Utf8, true),
        column("mode", DataType::Utf8, true),
        column("journal_bytes", DataType::Int64, false),
        column("lake_bytes", DataType::Int64, false),
        column("lake_version", DataType::Int64, true),
        column("lag_events", DataType::Int64, false),
        column("lake_path", DataType::Utf8, true),
    ]))
}
