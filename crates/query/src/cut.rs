//! What one statement sees: per table the files of one lake version and the rows of the journal behind them.
//! Always: a value; two scans of one cut see the same rows. Does not know how a cut is taken.

use std::{
    collections::HashSet,
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
use datafusion::object_store::path::Path as Location;
use hw_event::{RESOLUTIONS, Timestamp};
use serde::{Deserialize, Serialize};

use crate::QueryError;

const REJECTS: &str = "rejects";

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
    /// The name in SQL. `rejects` and `ledger` for those kinds. Of a table as of a version that of [`AsOf::name`].
    pub name: String,
    pub kind: TableKind,
    /// The columns of the newest schema; older files and batches lack some, which read as NULL.
    pub columns: SchemaRef,
    /// The directory that the files' paths start from.
    pub lake_root: PathBuf,
    pub files: Files,
    pub hot: Arc<dyn HotSource>,
    /// Why the table cannot be read. A statement that reads it fails with this; any other runs.
    pub unreadable: Option<QueryError>,
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

/// The files of a table at one version. Cheap to clone. Versions that follow one another share their files, and what a
/// process that runs statements is sent of a version is how it differs from one that it has.
#[derive(Debug, Clone, Default)]
pub struct Files(Arc<FileList>);

#[derive(Debug)]
struct FileList {
    /// Of no other list in this process.
    id: u64,
    files: Vec<Arc<Listed>>,
}

impl Default for FileList {
    fn default() -> FileList {
        static IDS: AtomicU64 = AtomicU64::new(0);
        // A counter on its own: nothing else is ordered by it.
        FileList { id: IDS.fetch_add(1, Ordering::Relaxed), files: Vec::new() }
    }
}

impl Files {
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }
}

impl Deref for Files {
    type Target = [Arc<Listed>];

    fn deref(&self) -> &[Arc<Listed>] {
        &self.0.files
    }
}

impl From<Vec<Arc<Listed>>> for Files {
    fn from(files: Vec<Arc<Listed>>) -> Files {
        Files(Arc::new(FileList { files, ..FileList::default() }))
    }
}

impl From<Vec<CutFile>> for Files {
    fn from(files: Vec<CutFile>) -> Files {
        Files::from(files.into_iter().map(|file| Arc::new(Listed::from(file))).collect::<Vec<_>>())
    }
}

/// A file in lists, with what is made of it once.
#[derive(Debug)]
pub struct Listed {
    file: CutFile,
    location: OnceLock<Location>,
}

impl Listed {
    /// Its name in an object store that is rooted at the lake. `None`: it is not UTF-8.
    pub(crate) fn location(&self) -> Option<&Location> {
        let path = self.file.path.to_str()?;
        Some(self.location.get_or_init(|| Location::from(path)))
    }
}

impl From<CutFile> for Listed {
    fn from(file: CutFile) -> Listed {
        Listed { file, location: OnceLock::new() }
    }
}

impl Deref for Listed {
    type Target = CutFile;

    fn deref(&self) -> &CutFile {
        &self.file
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
    /// Bounds of the values of a reserved column; `None` is "not known". Times are microseconds. `time` is `_time` in a
    /// stream's table, `received_at` in `rejects`, `minute` in the ledger's.
    pub partition: Option<Range>,
    pub offset: Option<Range>,
    pub seq: Option<Range>,
    pub time: Option<Range>,
    pub received_at: Option<Range>,
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

/// What is known of some rows before they are read: bounds of their reserved columns, as [`CutFile`] has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ranges {
    pub partition: Option<Range>,
    pub offset: Option<Range>,
    pub seq: Option<Range>,
    pub time: Option<Range>,
    pub received_at: Option<Range>,
}

impl CutFile {
    pub(crate) fn ranges(&self) -> Ranges {
        let CutFile { partition, offset, seq, time, received_at, .. } = *self;
        Ranges { partition, offset, seq, time, received_at }
    }
}

/// What a scan needs of the hot rows of a table. More may come: the engine filters, and takes columns by name.
#[derive(Debug, Clone)]
pub struct HotScan {
    /// Of the table's columns; may be none at all.
    pub columns: SchemaRef,
    /// The parts in which a row can be that the statement asks for, in order. `None`: all.
    pub parts: Option<Vec<usize>>,
}

/// A piece of the hot rows that can be read by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HotPart {
    pub rows: u64,
    pub ranges: Ranges,
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

    /// The parts that `batches_of` can be asked for, in the order of their rows. Empty: only all of them together.
    fn parts(&self) -> Vec<HotPart> {
        Vec::new()
    }

    /// As `batches`, of what a scan needs.
    fn batches_of(&self, _: &HotScan) -> Result<HotBatches, HotError> {
        self.batches()
    }

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

/// A table whose rows were not asked for when the cut was taken. Reading them is an error, never an empty table.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotSeen;

impl HotSource for NotSeen {
    fn rows(&self) -> usize {
        // Not none: nothing may take the table for empty.
        1
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Err("the table's rows were not sent, because its name does not stand in the statement".into())
    }
}

/// A table as of a version, as a statement names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsOf {
    /// The name in SQL.
    pub table: String,
    pub moment: AsOfMoment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOfMoment {
    Version(u64),
    /// The newest version that was committed by then.
    Time(Timestamp),
}

/// Stands in the name of a table as of a version, and in no other.
const VERSION_MARK: char = '@';

impl AsOf {
    /// What the table is called in the statement's cut.
    pub fn name(&self) -> String {
        let AsOf { table, moment } = self;
        match moment {
            AsOfMoment::Version(version) => format!("{table}{VERSION_MARK}{version}"),
            AsOfMoment::Time(time) => format!("{table}{VERSION_MARK}{time}"),
        }
    }
}

impl TableCut {
    pub(crate) fn is_as_of(&self) -> bool {
        self.name.contains(VERSION_MARK)
    }
}

/// Every name that stands in a statement's text, which are all that can mean a table.
#[derive(Debug, Clone, Default)]
pub struct Names {
    words: HashSet<String>,
    as_of: Vec<AsOf>,
}

impl Names {
    pub(crate) fn new(words: impl Iterator<Item = String>, as_of: Vec<AsOf>) -> Names {
        let words = words.chain(as_of.iter().map(AsOf::name)).collect();
        Names { words, as_of }
    }

    /// The versions of tables that it names.
    pub fn as_of(&self) -> &[AsOf] {
        &self.as_of
    }

    /// Can the statement read rows of this table?
    pub fn may_mean(&self, table: &str, kind: TableKind) -> bool {
        // The table `streams` is a view on the ledger's, and `rejects` one on the resolutions too.
        self.words.contains(table)
            || kind == TableKind::Ledger && self.may_mean_streams()
            || table == RESOLUTIONS && self.contains(REJECTS)
    }

    /// Can it read the table `streams`?
    pub fn may_mean_streams(&self) -> bool {
        self.words.contains("streams")
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.words.contains(name)
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
