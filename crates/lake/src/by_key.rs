//! Compaction by key: where a stream is state, rows that a newer one of their key has replaced leave the table.
//! Always: of each key the row with the highest offset in its partition stays, unless it is a deletion mark; nothing goes that
//! is younger than the rule says; a deletion mark goes only when no other row of its key is left, so nothing that it deleted
//! comes back. Only prepares, as compaction does; the committer commits, and the commit counts the rows. Memory is bounded
//! however many keys and rows there are. Keys are compared as they are stored, and only their keyed digests are remembered.
//! A death at any moment costs only the work: nothing of it is written down.
//!
//! 1. A window of the files that have rows old enough: as many rows as there is a bit for.
//! 2. For one part of all keys after the other, as large as fits into memory: read the keys of all files, and note the highest
//!    offset of each; read those of the window, and mark the rows that go.
//! 3. Write files anew in which enough is marked, or anything has waited long enough; offer some at a time.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
    sync::{Arc, PoisonError},
    time::Duration,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    datatypes::{Int32Type, Int64Type, Schema, TimestampMicrosecondType},
    row::{RowConverter, SortField},
};
use parquet::errors::ParquetError;

use crate::{
    LakeError, LakeFile, LetGo, Table,
    compact::{
        has_room,
        merge::{Failure, Work, arrow_error},
        spec,
    },
    data_file::{DataFile, parquet_error},
    delta::{Committed, Replacement},
    erase::{Doomed, discard, rewrite, told},
    lake::Shared,
};

mod newest;

use newest::Newest;

/// So much is rewritten before it is committed.
const OFFER_BYTES: u64 = 64 << 20;
const OFFER_FILES: usize = 64;
/// A file is written anew when one row of so many goes.
const SHARE: u64 = 10;
/// Keys that are remembered at a time, of 33 bytes each: as many as a hash table of 2^20 places takes.
const KEYS_MAX: usize = (1 << 20) / 8 * 7;
/// Rows that are marked at a time, of one bit each.
const ROWS_MAX: u64 = 1 << 27;

/// Which rows a stream does not keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByKey {
    /// The columns of the key.
    pub key: Vec<String>,
    /// A column that is `true` in rows after which their key has none.
    pub deleted: Option<String>,
    /// Younger rows stay. Those that are twice as old go, however few they are.
    pub age: Duration,
    /// In microseconds.
    pub now: i64,
}

impl ByKey {
    fn micros(&self) -> i64 {
        i64::try_from(self.age.as_micros()).unwrap_or(i64::MAX)
    }

    fn is_old(&self, received_at: i64) -> bool {
        received_at < self.now.saturating_sub(self.micros())
    }

    fn is_old_from(&self, received_at: i64) -> i64 {
        received_at.saturating_add(self.micros()).saturating_add(1)
    }

    fn is_overdue(&self, received_at: i64) -> bool {
        received_at < self.now.saturating_sub(self.micros().saturating_mul(2))
    }
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByKeyTurn {
    /// Files without so many rows are ready, and wait for the committer's next round.
    Offered { rows: u64 },
    /// Something else is offered, or the table waits for a new generation: it comes later.
    Waiting,
    /// All that is to go now is gone. From `due` on, in microseconds, there may be more, whether or not the table changes.
    Clean { due: Option<i64> },
    /// It was told to stop.
    Stopped,
}

/// Goes once through a table. All of it blocks.
pub struct ByKeyCompactor {
    lake: Arc<Shared>,
    table: Table,
    rule: ByKey,
    keys_max: usize,
    rows_max: u64,
    /// Two of 64 bits: two keys of one digest do not happen.
    hashers: [RandomState; 2],
    /// The table as it was at the first turn, and those of its files that are still to be looked at.
    begun: Option<(Vec<Arc<LakeFile>>, VecDeque<Arc<LakeFile>>)>,
    /// To be written anew.
    found: VecDeque<(Arc<LakeFile>, Marks)>,
    due: Option<i64>,
}

impl ByKeyCompactor {
    pub(crate) fn new(lake: Arc<Shared>, table: Table, rule: ByKey) -> ByKeyCompactor {
        ByKeyCompactor {
            lake,
            table,
            rule,
            keys_max: KEYS_MAX,
            rows_max: ROWS_MAX,
            hashers: [RandomState::new(), RandomState::new()],
            begun: None,
            found: VecDeque::new(),
            due: None,
        }
    }

    /// With less memory, for tests.
    #[doc(hidden)]
    pub fn with_limits(self, keys_max: usize, rows_max: u64) -> ByKeyCompactor {
        ByKeyCompactor { keys_max, rows_max, ..self }
    }

    /// `pace` is told of bytes as they are read; it may wait, and `false` ends it.
    pub fn turn(&mut self, pace: &mut dyn FnMut(u64) -> bool) -> Result<ByKeyTurn, LakeError> {
        match self.step(pace) {
            Ok(turn) => Ok(turn),
            Err(Failure::Stopped) => Ok(ByKeyTurn::Stopped),
            Err(failure) => Err(told(failure)),
        }
    }

    fn step(&mut self, pace: &mut dyn FnMut(u64) -> bool) -> Result<ByKeyTurn, Failure> {
        let lake = self.lake.clone();
        let held = lake.held.lock().unwrap_or_else(PoisonError::into_inner).contains(&self.table);
        if held || lake.offers.has(self.table) {
            return Ok(ByKeyTurn::Waiting);
        }
        let (Some(committed), Some(name)) = (lake.committed(self.table), lake.name(self.table)) else {
            return Ok(ByKeyTurn::Clean { due: None });
        };
        let mut work = Work {
            root: &lake.root,
            spec: spec(&lake, self.table, &name, &committed, &[]),
            order: None,
            target: u64::MAX,
            syncs: &*lake.syncs,
            pace,
        };
        while self.found.is_empty() {
            let window = self.window(&committed);
            if window.is_empty() {
                return Ok(ByKeyTurn::Clean { due: self.due });
            }
            self.survey(&mut work, window)?;
        }
        let rows = self.offer(&lake, &mut work, name, &committed)?;
        Ok(ByKeyTurn::Offered { rows })
    }

    /// Step 1.
    fn window(&mut self, committed: &Committed) -> Vec<Arc<LakeFile>> {
        if self.begun.is_none() {
            let files = committed.snapshot.files.clone();
            let (mut waiting, mut young) = (VecDeque::new(), None);
            for file in &files {
                match file.stats.received_at {
                    Some(at) if !self.rule.is_old(at.min) => young = earlier(young, at.min),
                    _ => waiting.push_back(file.clone()),
                }
            }
            self.due = young.map(|at| self.rule.is_old_from(at));
            self.begun = Some((files, waiting));
        }
        let (mut window, mut rows) = (Vec::new(), 0);
        if let Some((_, waiting)) = &mut self.begun {
            // One at least, however large.
            while let Some(file) = waiting.pop_front_if(|file| rows == 0 || rows + file.rows <= self.rows_max)
            {
                rows += file.rows.max(1);
                window.push(file);
            }
        }
        window
    }

    /// Step 2.
    fn survey(&mut self, work: &mut Work<'_>, window: Vec<Arc<LakeFile>>) -> Result<(), Failure> {
        let files = self.begun.as_ref().map(|(files, _)| files.clone()).unwrap_or_default();
        let mut keys = Keys::new(&self.rule, &self.hashers, work)?;
        let mut marks: Vec<Marks> = window.iter().map(|file| Marks::new(file.rows)).collect();
        let mut newest = Newest::new(self.keys_max);
        let (rule, mut too_young) = (&self.rule, None);
        loop {
            for file in &files {
                keys.scan(work, file, &mut |row| newest.note(row.key, row.offset, row.deleted))?;
            }
            for (file, marks) in window.iter().zip(&mut marks) {
                keys.scan(work, file, &mut |row| {
                    if !newest.goes(row.key, row.offset) {
                        return;
                    }
                    match rule.is_old(row.received_at) {
                        true => marks.set(row.at, row.received_at),
                        false => too_young = earlier(too_young, row.received_at),
                    }
                })?;
            }
            if !newest.next_part() {
                break;
            }
        }
        if let Some(at) = too_young {
            self.due = earlier(self.due, rule.is_old_from(at));
        }
        for (file, marks) in window.into_iter().zip(marks) {
            let Some(oldest) = marks.oldest else { continue };
            if marks.count.saturating_mul(SHARE) >= file.rows || rule.is_overdue(oldest) {
                self.found.push_back((file, marks));
            } else {
                self.due = earlier(self.due, rule.is_old_from(oldest).saturating_add(rule.micros()));
            }
        }
        Ok(())
    }

    /// Step 3.
    fn offer(
        &mut self,
        lake: &Shared,
        work: &mut Work<'_>,
        name: String,
        committed: &Committed,
    ) -> Result<u64, Failure> {
        let (mut removes, mut adds, mut superseded): (Vec<_>, Vec<DataFile>, u64) = Default::default();
        let mut bytes = 0;
        while bytes < OFFER_BYTES
            && removes.len() < OFFER_FILES
            && let Some((file, mut marks)) = self.found.pop_front()
        {
            bytes += file.bytes;
            // Of each file one, so that each keeps its range of appends and its order.
            work.spec = spec(lake, self.table, &name, committed, std::slice::from_ref(&file));
            let written = match has_room(lake, bytes) {
                true => rewrite(work, &file, &mut marks, &mut |_, _| {}),
                false => Err(Failure::Lake(parquet_error(
                    PathBuf::from(&name),
                    ParquetError::General(format!(
                        "files of {bytes} bytes are written anew only beside free space"
                    )),
                ))),
            };
            match written {
                Ok(files) => adds.extend(files),
                Err(failure) => {
                    discard(lake, &name, &adds);
                    return Err(failure);
                }
            }
            superseded += marks.count;
            removes.push(file);
        }
        let let_go = LetGo { expired: 0, superseded };
        lake.offers.put(self.table, Replacement { let_go, ..Replacement::of(name, removes, adds) });
        Ok(superseded)
    }
}

fn earlier(one: Option<i64>, other: i64) -> Option<i64> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// One row with a key.
struct Row {
    /// Its place in the file.
    at: u64,
    /// The digest of its partition and key.
    key: u128,
    offset: i64,
    received_at: i64,
    deleted: bool,
}

/// Reads rows' keys.
struct Keys<'a> {
    rule: &'a ByKey,
    hashers: &'a [RandomState; 2],
    columns: Vec<String>,
    converter: RowConverter,
}

impl<'a> Keys<'a> {
    /// The work's files have these columns alone from then on.
    fn new(rule: &'a ByKey, hashers: &'a [RandomState; 2], work: &mut Work<'_>) -> Result<Keys<'a>, Failure> {
        let of_table = work.spec.columns.clone();
        let mut fields = Vec::new();
        for name in &rule.key {
            match of_table.field_with_name(name) {
                Ok(field) => fields.push(field.clone()),
                Err(error) => return Err(Failure::Lake(arrow_error(&work.spec, error))),
            }
        }
        let sorted = fields.iter().map(|field| SortField::new(field.data_type().clone())).collect();
        let converter =
            RowConverter::new(sorted).map_err(|error| Failure::Lake(arrow_error(&work.spec, error)))?;
        // A field that became the mark only now has no column yet.
        let others = ["_partition", "_offset", "_received_at"].into_iter().chain(rule.deleted.as_deref());
        fields.extend(others.filter_map(|name| of_table.field_with_name(name).ok().cloned()));
        let columns = fields.iter().map(|field| field.name().clone()).collect();
        work.spec.columns = Arc::new(Schema::new(fields));
        Ok(Keys { rule, hashers, columns, converter })
    }

    /// Rows without a place or a part of the key are nobody's older ones: they are passed over.
    fn scan(
        &mut self,
        work: &mut Work<'_>,
        file: &Arc<LakeFile>,
        each: &mut dyn FnMut(Row),
    ) -> Result<(), Failure> {
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let mut source = work.open_columns(file, Some(&columns))?;
        let mut first = 0;
        while let Some(batch) = work.next(&mut source)? {
            self.rows(&batch, first, each)
                .map_err(|error| Failure::Unfit(file.clone(), arrow_error(&work.spec, error)))?;
            first += batch.num_rows() as u64;
        }
        Ok(())
    }

    fn rows(
        &mut self,
        batch: &RecordBatch,
        first: u64,
        each: &mut dyn FnMut(Row),
    ) -> Result<(), arrow::error::ArrowError> {
        let column = |name: &str| batch.column_by_name(name);
        let partitions = column("_partition").and_then(|it| it.as_primitive_opt::<Int32Type>());
        let offsets = column("_offset").and_then(|it| it.as_primitive_opt::<Int64Type>());
        let received =
            column("_received_at").and_then(|it| it.as_primitive_opt::<TimestampMicrosecondType>());
        let (Some(partitions), Some(offsets), Some(received)) = (partitions, offsets, received) else {
            return Ok(());
        };
        let deleted = self.rule.deleted.as_deref().and_then(column).and_then(|it| it.as_boolean_opt());
        let values: Vec<ArrayRef> = batch.columns()[..self.rule.key.len()].to_vec();
        let rows = self.converter.convert_columns(&values)?;
        for (at, row) in rows.iter().enumerate() {
            let placed = partitions.is_valid(at) && offsets.is_valid(at) && received.is_valid(at);
            if !placed || values.iter().any(|value| value.is_null(at)) {
                continue;
            }
            let digest = |hasher: &RandomState| {
                let mut hasher = hasher.build_hasher();
                hasher.write_i32(partitions.value(at));
                hasher.write(row.as_ref());
                u128::from(hasher.finish())
            };
            each(Row {
                at: first + at as u64,
                key: (digest(&self.hashers[0]) << 64) | digest(&self.hashers[1]),
                offset: offsets.value(at),
                received_at: received.value(at),
                deleted: deleted.is_some_and(|deleted| deleted.is_valid(at) && deleted.value(at)),
            });
        }
        Ok(())
    }
}

/// Rows of a file that go, by their places in it.
struct Marks {
    bits: Vec<u64>,
    count: u64,
    /// When the first of them was received.
    oldest: Option<i64>,
    /// How far the file has been written anew.
    at: u64,
}

impl Marks {
    fn new(rows: u64) -> Marks {
        Marks { bits: vec![0; rows.div_ceil(64) as usize], count: 0, oldest: None, at: 0 }
    }

    fn set(&mut self, at: u64, received_at: i64) {
        // A file with more rows than its commit says is refused when it is written anew.
        let Some(bits) = self.bits.get_mut((at / 64) as usize) else { return };
        *bits |= 1 << (at % 64);
        self.count += 1;
        self.oldest = earlier(self.oldest, received_at);
    }

    fn has(&self, at: u64) -> bool {
        self.bits.get((at / 64) as usize).is_some_and(|bits| (bits >> (at % 64)) & 1 == 1)
    }
}

impl Doomed for Marks {
    fn columns(&self) -> Vec<&str> {
        Vec::new()
    }

    /// Batches come in the order of the file.
    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        let first = self.at;
        self.at += batch.num_rows() as u64;
        (first..self.at).map(|at| Some(self.has(at))).collect()
    }
}
