//! What a query sees: the lake's snapshots and, behind each, the journal's hot tail, put together as one cut.
//! Always: the snapshot is taken before the tail, so that a commit in between can only make the tail start
//! too early for the journal, which says `Gone`; then both are taken again. No row is seen twice or missed. While a cut
//! lives, compaction removes no file of it. Until the swap of a generation that gives columns other names or values, statements see the
//! table as it was, and the rows that wait with it.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use arrow::{
    array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef},
    error::ArrowError,
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use hw_event::{RESOLUTIONS, SchemaNumber, Seq};
use hw_journal::{Journal, Log, ReadError};
use hw_lake::{self as lake, Bounds, Lake, LakeError, LakeFile, Table, TableSnapshot, VersionError};
use hw_pipeline::hot::{Hot, HotTail};
use hw_query::{
    AsOf, AsOfMoment, Cut, CutFile, Files, HotBatches, HotError, HotSource, Listed, Names, NoHot, NotSeen,
    PayloadOpener, Pieces, QueryError, Range, TableCut, TableKind, streams_schema,
};
use hw_schema::{Mode, Registry, Stream, rows};
use hw_vault::SealKeys;

use crate::{generation::steps::chains, output::rfc3339};

/// A commit between a snapshot and its tail is rare; this many in a row mean something else is wrong.
const TAKES_MAX: usize = 16;

const REJECTS: &str = "rejects";
const LEDGER: &str = "ledger";

#[derive(Clone)]
pub struct Tables {
    pub journal: Journal,
    pub registry: Arc<Registry>,
    pub lake: Lake,
    lists: Arc<Lists>,
}

/// By the name of a table, its last snapshot and the list of files made of it: a list is made once a version.
/// The snapshot is not kept by it: that would keep files that the table has no more.
// A std mutex: held to look up or to put back, never while a list is made.
type Lists = Mutex<HashMap<String, (Weak<TableSnapshot>, Files)>>;

#[derive(Debug, thiserror::Error)]
pub enum CutError {
    #[error("the hot tail cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("the table of streams cannot be made: {0}")]
    Streams(#[from] arrow::error::ArrowError),
}

impl Tables {
    pub fn new(journal: Journal, registry: Arc<Registry>, lake: Lake) -> Tables {
        Tables { journal, registry, lake, lists: Arc::default() }
    }

    fn files(&self, table: &str, snapshot: &Arc<TableSnapshot>) -> Files {
        let lists = || self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        let last = lists().get(table).cloned();
        if let Some((of, files)) = &last
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(snapshot))
        {
            return files.clone();
        }
        let before = last.map(|(_, files)| files).unwrap_or_default();
        let files = files_after(&before, snapshot);
        lists().insert(table.to_owned(), (Arc::downgrade(snapshot), files.clone()));
        files
    }

    /// All tables as of now. Blocking: the ledger's tail is read from the journal.
    pub fn cut(&self) -> Result<Cut, CutError> {
        self.cut_of(None)
    }

    /// As `cut`, for a statement in which these names stand: what it cannot read is not gathered. Reading it is an error.
    pub fn cut_for(&self, names: &Names) -> Result<Cut, CutError> {
        self.cut_of(Some(names))
    }

    fn cut_of(&self, names: Option<&Names>) -> Result<Cut, CutError> {
        let mut takes = 0;
        loop {
            takes += 1;
            match self.take(names) {
                Err(CutError::Read(ReadError::Gone { .. })) if takes < TAKES_MAX => {}
                taken => return taken,
            }
        }
    }

    fn take(&self, names: Option<&Names>) -> Result<Cut, CutError> {
        let log: Arc<dyn Log> = Arc::new(self.journal.clone());
        let streams = self.registry.all();
        // What the journal no longer keeps is in the lake, also of tables that had nothing to commit since.
        let in_lake = Seq(log.first_kept().0.saturating_sub(1));
        // Before the snapshots: one that comes into service meanwhile is seen with all it has, or not at all.
        let faults = self.lake.faults().into_iter().filter(|fault| fault.out_of_service);
        let out_of_service = faults.map(|fault| (fault.table, fault.error)).collect();
        // Every snapshot before the durable end: a table's position is never beyond it.
        let snapshots: Vec<_> =
            streams.iter().map(|stream| self.lake.table(Table::Stream(stream.id))).collect();
        let rejects = self.lake.table(Table::Rejects);
        let ledger = self.lake.table(Table::Ledger);
        let durable = *log.durable().borrow();
        let moment = Moment { log: &log, in_lake, durable, out_of_service };
        let may_mean = |name: &str, kind| names.is_none_or(|names| names.may_mean(name, kind));
        // The table `streams` says of each stream how many rows are hot.
        let counts = names.is_none_or(Names::may_mean_streams);

        let mut tables = Vec::with_capacity(streams.len() + 2);
        let mut hot_rows = Vec::with_capacity(streams.len());
        for (stream, snapshot) in streams.iter().zip(&snapshots) {
            let Some((_, schema)) = stream.current() else {
                hot_rows.push(0);
                continue;
            };
            let columns = schema.table_columns().clone();
            let source = TableSource { name: stream.name.sql_name(), kind: TableKind::Stream, columns };
            if !counts && !may_mean(&source.name, source.kind) {
                tables.push(self.not_seen(source));
                continue;
            }
            let id = Table::Stream(stream.id);
            // Whoever checks the rows sees all of them, by the columns that no change touches.
            let before =
                snapshot.as_ref().filter(|snapshot| names.is_some() && self.is_reshaped(stream, snapshot));
            if let Some(snapshot) = before {
                let table = self.before_the_swap(source, snapshot);
                hot_rows.push(0);
                tables.push(table);
                continue;
            }
            let table = self.table(&moment, id, source, snapshot.as_ref(), Hot::Rows(stream.id))?;
            hot_rows.push(table.hot.rows());
            tables.push(table);
        }
        let system = [
            (Table::Rejects, TableKind::Rejects, rows::rejects_table_schema(), rejects, Hot::Rejects),
            (Table::Ledger, TableKind::Ledger, rows::ledger_table_schema(), ledger, Hot::Ledger),
        ];
        for (id, kind, columns, snapshot, hot) in system {
            let name = if id == Table::Rejects { REJECTS } else { LEDGER };
            let source = TableSource { name: name.to_owned(), kind, columns };
            tables.push(match may_mean(name, kind) {
                true => self.table(&moment, id, source, snapshot.as_ref(), hot)?,
                false => self.not_seen(source),
            });
        }
        let streams = match counts {
            true => self.streams(&streams, &snapshots, &hot_rows)?,
            false => RecordBatch::new_empty(streams_schema()),
        };
        Ok(Cut { tables, streams })
    }

    /// The tables as of the versions that a statement names, held while the values live. A name that is no table's is left
    /// out: the statement says so itself.
    pub async fn as_of(&self, names: &Names) -> Vec<TableCut> {
        let mut tables = Vec::new();
        for as_of in names.as_of() {
            if let Some((table, kind, columns)) = self.table_named(&as_of.table) {
                tables.push(self.version(table, kind, columns, as_of).await);
            }
        }
        tables
    }

    fn table_named(&self, name: &str) -> Option<(Table, TableKind, SchemaRef)> {
        match name {
            REJECTS => return Some((Table::Rejects, TableKind::Rejects, rows::rejects_table_schema())),
            LEDGER => return Some((Table::Ledger, TableKind::Ledger, rows::ledger_table_schema())),
            _ => {}
        }
        let stream = self.registry.all().into_iter().find(|stream| stream.name.sql_name() == name)?;
        let columns = stream.current()?.1.table_columns().clone();
        Some((Table::Stream(stream.id), TableKind::Stream, columns))
    }

    async fn version(&self, table: Table, kind: TableKind, columns: SchemaRef, as_of: &AsOf) -> TableCut {
        let moment = match as_of.moment {
            AsOfMoment::Version(version) => lake::AsOf::Version(version),
            AsOfMoment::Time(time) => lake::AsOf::Time(time),
        };
        let faults = self.lake.faults();
        let fault = faults.into_iter().find(|fault| fault.table == table && fault.out_of_service);
        let snapshot = match fault {
            Some(fault) => Err(out_of_service(&fault.error)),
            None => {
                let found = self.lake.table_as_of(table, moment).await;
                found.map_err(|error| no_version(as_of, error))
            }
        };
        let of = |columns, files, hot: Arc<dyn HotSource>, unreadable| TableCut {
            name: as_of.name(),
            kind,
            columns,
            lake_root: self.lake.root().to_owned(),
            files,
            hot,
            unreadable,
        };
        match snapshot {
            Ok(snapshot) => {
                let files = files_after(&Files::default(), &snapshot);
                let held = Arc::new(Cold { _snapshot: Some(snapshot.clone()) });
                of(snapshot.columns.clone(), files, held, None)
            }
            Err(error) => of(columns, Files::default(), Arc::new(NoHot), Some(error)),
        }
    }

    /// Are there rows whose columns cannot be read as the stream's are now, because a rewrite gives them other names or values?
    fn is_reshaped(&self, stream: &Stream, snapshot: &TableSnapshot) -> bool {
        if !self.lake.holds(Table::Stream(stream.id)) {
            return false;
        }
        let start = stream.generation_start();
        let outdated = snapshot.files.iter().filter(|file| file.schema.is_none_or(|schema| schema < start));
        let Some(oldest) = outdated.map(|file| file.schema.unwrap_or(SchemaNumber(1))).min() else {
            return false;
        };
        let chains = chains(&stream.versions);
        let chain = usize::try_from(oldest.0 - 1).ok().and_then(|at| chains.get(at));
        chain.into_iter().flatten().flat_map(|change| &change.rewrites).any(|it| it.action.reshapes())
    }

    /// The table as the lake has it: its columns and its rows, without those that wait for the swap.
    fn before_the_swap(&self, source: TableSource, snapshot: &Arc<TableSnapshot>) -> TableCut {
        TableCut {
            files: self.files(&source.name, snapshot),
            name: source.name,
            kind: source.kind,
            columns: snapshot.columns.clone(),
            lake_root: self.lake.root().to_owned(),
            hot: Arc::new(Cold { _snapshot: Some(snapshot.clone()) }),
            unreadable: None,
        }
    }

    fn not_seen(&self, source: TableSource) -> TableCut {
        TableCut {
            name: source.name,
            kind: source.kind,
            columns: source.columns,
            lake_root: self.lake.root().to_owned(),
            files: Files::default(),
            hot: Arc::new(NotSeen),
            unreadable: None,
        }
    }

    fn table(
        &self,
        moment: &Moment<'_>,
        table: Table,
        source: TableSource,
        snapshot: Option<&Arc<TableSnapshot>>,
        hot: Hot,
    ) -> Result<TableCut, CutError> {
        if let Some(damage) = moment.out_of_service.get(&table) {
            // What the lake has of it is not known, so neither is what lies behind that.
            return Ok(TableCut {
                name: source.name,
                kind: source.kind,
                columns: source.columns,
                lake_root: self.lake.root().to_owned(),
                files: Files::default(),
                hot: Arc::new(NoHot),
                unreadable: Some(out_of_service(damage)),
            });
        }
        let after = snapshot.map_or(Seq::ZERO, |snapshot| snapshot.seq).max(moment.in_lake);
        let hot: Arc<dyn HotSource> = if after < moment.durable {
            let tail = HotTail::take(moment.log, &self.registry, hot, after, moment.durable)?;
            Arc::new(Tail { tail, columns: source.columns.clone(), _snapshot: snapshot.cloned() })
        } else {
            Arc::new(Cold { _snapshot: snapshot.cloned() })
        };
        Ok(TableCut {
            files: snapshot.map(|snapshot| self.files(&source.name, snapshot)).unwrap_or_default(),
            name: source.name,
            kind: source.kind,
            columns: source.columns,
            lake_root: self.lake.root().to_owned(),
            hot,
            unreadable: None,
        })
    }

    /// One row a declared stream.
    fn streams(
        &self,
        streams: &[Arc<Stream>],
        snapshots: &[Option<Arc<TableSnapshot>>],
        hot_rows: &[usize],
    ) -> Result<RecordBatch, CutError> {
        let journal_bytes = self.journal.bytes_by_stream();
        let all: Vec<_> = streams
            .iter()
            .zip(snapshots)
            .zip(hot_rows)
            .filter_map(|((stream, snapshot), hot)| {
                let (number, schema) = stream.current()?;
                // A table of the platform, like `rejects`, whatever carries its rows.
                let of_users = stream.name.as_str() != RESOLUTIONS;
                of_users.then_some((stream, number, schema, snapshot.as_deref(), *hot))
            })
            .collect();
        let text = |values: Vec<Option<String>>| -> ArrayRef { Arc::new(StringArray::from(values)) };
        let columns: Vec<ArrayRef> = vec![
            text(all.iter().map(|row| Some(row.0.name.to_string())).collect()),
            text(all.iter().map(|row| Some(row.0.name.sql_name())).collect()),
            Arc::new(Int32Array::from_iter_values(all.iter().map(|row| row.1.0))),
            Arc::new(Int32Array::from_iter_values(all.iter().map(|row| row.2.partitions()))),
            text(all.iter().map(|row| (!row.2.key().is_empty()).then(|| row.2.key().join(","))).collect()),
            text(all.iter().map(|row| Some(mode_name(row.2.mode()).to_owned())).collect()),
            Arc::new(Int64Array::from_iter_values(
                all.iter().map(|row| journal_bytes.get(&row.0.id).map_or(0, |bytes| bytes.cast_signed())),
            )),
            Arc::new(Int64Array::from_iter_values(
                all.iter().map(|row| row.3.map_or(0, |snapshot| snapshot.bytes.cast_signed())),
            )),
            Arc::new(Int64Array::from_iter(all.iter().map(|row| row.3.map(|snapshot| snapshot.version)))),
            Arc::new(Int64Array::from_iter_values(
                all.iter().map(|row| i64::try_from(row.4).unwrap_or(i64::MAX)),
            )),
            text(all.iter().map(|row| row.3.map(|snapshot| snapshot.location.clone())).collect()),
        ];
        Ok(RecordBatch::try_new(streams_schema(), columns)?)
    }
}

fn out_of_service(damage: &str) -> QueryError {
    QueryError::Damaged(format!("the table is out of service: {damage}"))
}

pub fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Dlq => "dlq",
        Mode::Reject => "reject",
    }
}

fn no_version(as_of: &AsOf, error: VersionError) -> QueryError {
    let AsOf { table, moment } = as_of;
    match error {
        VersionError::None { newest: None } => {
            QueryError::Plan(format!("the table {table} has no version yet: nothing was committed to it"))
        }
        VersionError::None { newest: Some(newest) } => {
            QueryError::Plan(format!("the table {table} has no such version: the newest is {newest}"))
        }
        VersionError::Gone { oldest } => {
            let asked = match moment {
                AsOfMoment::Version(version) => format!("version {version}"),
                AsOfMoment::Time(time) => format!("a version of {}", rfc3339(time.0)),
            };
            QueryError::VersionGone(format!(
                "{asked} of the table {table} cannot be read: the oldest that can is version {} of {}",
                oldest.version,
                rfc3339(oldest.at.0)
            ))
        }
        VersionError::Lake(LakeError::Damaged(damage)) => QueryError::Damaged(damage.to_string()),
        VersionError::Lake(error) => QueryError::Internal(error.to_string()),
    }
}

/// Where the log stood when the cut was taken.
struct Moment<'a> {
    log: &'a Arc<dyn Log>,
    /// Every table holds everything through here.
    in_lake: Seq,
    durable: Seq,
    /// The tables that cannot be read, and why.
    out_of_service: HashMap<Table, String>,
}

struct TableSource {
    name: String,
    kind: TableKind,
    columns: SchemaRef,
}

/// The list of a snapshot, which shares with the list before it what is in both: a file has its name for ever.
fn files_after(before: &Files, snapshot: &TableSnapshot) -> Files {
    let of = &snapshot.files;
    // Mostly some have come and none has gone.
    let same = before.iter().zip(of).take_while(|(listed, file)| listed.path == file.path).count();
    let rest = &before[same..];
    let known: HashMap<&Path, &Arc<Listed>> = rest.iter().map(|listed| (&*listed.path, listed)).collect();
    let later = of[same..].iter().map(|file| match known.get(&*file.path) {
        Some(listed) => Arc::clone(listed),
        None => Arc::new(Listed::from(cut_file(file))),
    });
    before[..same].iter().cloned().chain(later).collect::<Vec<_>>().into()
}

fn cut_file(file: &LakeFile) -> CutFile {
    let range = |bounds: Option<Bounds>| bounds.map(|bounds| Range { min: bounds.min, max: bounds.max });
    CutFile {
        path: file.path.clone(),
        bytes: file.bytes,
        rows: file.rows,
        partition: range(file.stats.partition),
        offset: range(file.stats.offset),
        seq: range(file.stats.seq),
        time: range(file.stats.time),
        received_at: range(file.stats.received_at),
        crc32c: file.crc32c,
        pieces: file
            .pieces
            .as_ref()
            .map(|pieces| Pieces { bytes: pieces.bytes, crc32c: pieces.crc32c.clone() }),
    }
}

/// What the bytes of a source are: where the rows stand in the journal, or the rows themselves.
pub const TAIL: u8 = 0;
pub const TEXTS: u8 = 1;

#[derive(Debug)]
struct Tail {
    tail: HotTail,
    columns: SchemaRef,
    /// Keeps the files that the rows follow.
    _snapshot: Option<Arc<TableSnapshot>>,
}

/// No hot rows; the files stay all the same.
#[derive(Debug)]
struct Cold {
    _snapshot: Option<Arc<TableSnapshot>>,
}

impl HotSource for Cold {
    fn rows(&self) -> usize {
        NoHot.rows()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        NoHot.batches()
    }
}

impl HotSource for Tail {
    fn rows(&self) -> usize {
        self.tail.rows()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(self.tail.batches(&self.columns)?.into_iter().map(Ok)))
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut bytes = vec![TAIL];
        bytes.append(&mut self.tail.to_bytes()?);
        Some(bytes)
    }

    fn wanted(&self) -> bool {
        self.tail.wanted()
    }
}

/// Texts that a statement reads as rows: `n`, from 0, and `event`. They are in memory, and nowhere else.
#[derive(Debug)]
pub struct Texts(RecordBatch);

impl Texts {
    pub fn new(texts: Vec<String>) -> Result<Texts, ArrowError> {
        let numbers = Int64Array::from_iter_values((0..).take(texts.len()));
        let columns = Arc::new(ArrowSchema::new(vec![
            Field::new("n", DataType::Int64, false),
            Field::new("event", DataType::Utf8, false),
        ]));
        let texts = StringArray::from(texts);
        Ok(Texts(RecordBatch::try_new(columns, vec![Arc::new(numbers), Arc::new(texts)])?))
    }

    /// What [`HotSource::to_bytes`] gave, without its first byte.
    pub fn from_bytes(bytes: &[u8]) -> Result<Texts, ArrowError> {
        let mut batches = StreamReader::try_new(bytes, None)?;
        let batch = batches.next().ok_or_else(|| ArrowError::IpcError("there is no batch".to_owned()))??;
        Ok(Texts(batch))
    }

    pub fn columns(&self) -> SchemaRef {
        self.0.schema()
    }
}

impl HotSource for Texts {
    fn rows(&self) -> usize {
        self.0.num_rows()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Ok(Box::new(std::iter::once(Ok(self.0.clone()))))
    }

    fn to_bytes(&self) -> Option<Vec<u8>> {
        let mut writer = StreamWriter::try_new(vec![TEXTS], &self.0.schema()).ok()?;
        writer.write(&self.0).ok()?;
        writer.into_inner().ok()
    }
}

/// Opens payloads of rejects for those who may see them.
pub struct Opener(pub Arc<SealKeys>);

impl PayloadOpener for Opener {
    fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        self.0.open(sealed).ok()
    }
}
