//! Erasing rows: files that hold any that are to go are written anew without them, and what they leave behind is removed at
//! once, with the part of the log that says something of it.
//! Always: only prepares, as compaction does, on the same thread; the committer commits. A row that stays keeps every value.
//! How many rows went is counted in the table's properties, by the same commit. It may be asked for again at any time: what is
//! gone already is not found. Does not know why a row is to go.
//!
//! 1. [`Eraser::turn`] until it says that the table is clean. Files in which nothing was found are not read again.
//! 2. [`Eraser::forget`] until nothing is left: files that no statement holds any more, commits and checkpoints.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use arrow::{
    array::{AsArray, BooleanArray, RecordBatch},
    compute::{filter_record_batch, not},
};
use parquet::errors::ParquetError;

use crate::{
    LakeError, LakeFile, Table,
    compact::{
        merge::{Failure, Work, arrow_error},
        outputs::Outputs,
        remove, spec,
    },
    data_file::{DataFile, parquet_error},
    delta::Replacement,
    lake::Shared,
    log_files::{LOG, remove_log_before},
    rewritten,
};

/// So much is rewritten before it is committed.
const OFFER_BYTES: u64 = 64 << 20;
const OFFER_FILES: usize = 64;

/// What is to go.
pub trait Doomed {
    /// Top-level columns that are looked at. A file of an older schema may lack some.
    fn columns(&self) -> Vec<&str>;
    /// `true` for each row that goes; as long as the batch, without nulls.
    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray;
}

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EraseTurn {
    /// Files without so many rows are ready, and wait for the committer's next round.
    Offered { rows: u64 },
    /// Something else is offered: the committer's turn comes first.
    Waiting,
    /// No file of the table holds any.
    Clean,
    /// It was told to stop.
    Stopped,
}

/// What an erased table still has of its past.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leftovers {
    /// Files that running statements read.
    pub held_files: usize,
    /// The log is to be begun anew by the committer's next round.
    pub stale_log: bool,
}

impl Leftovers {
    pub fn is_none(self) -> bool {
        self == Leftovers::default()
    }
}

/// Works for one erasure. All of it blocks.
pub struct Eraser {
    lake: Arc<Shared>,
    /// In these nothing was found.
    clean: HashSet<PathBuf>,
    /// Tables whose log is given up, or was asked to be.
    logs: HashSet<Table>,
    files_read: u64,
    bytes_read: u64,
}

impl Eraser {
    pub(crate) fn new(lake: Arc<Shared>) -> Eraser {
        Eraser { lake, clean: HashSet::new(), logs: HashSet::new(), files_read: 0, bytes_read: 0 }
    }

    /// How many files were looked through, and their bytes.
    pub fn searched(&self) -> (u64, u64) {
        (self.files_read, self.bytes_read)
    }

    /// Step 1, for one table. `pace` is told of bytes as they are read; it may wait, and `false` ends the turn.
    pub fn turn(
        &mut self,
        table: Table,
        doomed: &mut dyn Doomed,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<EraseTurn, LakeError> {
        match self.find_and_rewrite(table, doomed, pace) {
            Ok(turn) => Ok(turn),
            Err(Failure::Stopped) => Ok(EraseTurn::Stopped),
            Err(failure) => Err(told(failure)),
        }
    }

    fn find_and_rewrite(
        &mut self,
        table: Table,
        doomed: &mut dyn Doomed,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<EraseTurn, Failure> {
        let lake = self.lake.clone();
        if lake.offers.has(table) {
            return Ok(EraseTurn::Waiting);
        }
        let (Some(committed), Some(name)) = (lake.committed(table), lake.name(table)) else {
            return Ok(EraseTurn::Clean);
        };
        // Rows that go may stand in what a rewrite that was killed has done already.
        let live: HashSet<&str> =
            committed.snapshot.files.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
        rewritten::discard(&lake.root.join(&name), &live, &*lake.syncs)?;
        let mut work = Work {
            root: &lake.root,
            spec: spec(&lake, table, &name, &committed, &[]),
            order: None,
            target: u64::MAX,
            syncs: &*lake.syncs,
            pace,
        };
        let (mut removes, mut bytes): (Vec<Arc<LakeFile>>, u64) = (Vec::new(), 0);
        for file in &committed.snapshot.files {
            if self.clean.contains(&file.path) {
                continue;
            }
            self.files_read += 1;
            self.bytes_read += file.bytes;
            if !holds_any(&mut work, file, doomed)? {
                self.clean.insert(file.path.clone());
                continue;
            }
            bytes += file.bytes;
            removes.push(file.clone());
            if bytes >= OFFER_BYTES || removes.len() >= OFFER_FILES {
                break;
            }
        }
        if removes.is_empty() {
            return Ok(EraseTurn::Clean);
        }
        let (mut adds, mut erased) = (Vec::new(), BTreeMap::new());
        for file in &removes {
            // Of each file one, so that each keeps its range of appends and its order.
            work.spec = spec(&lake, table, &name, &committed, std::slice::from_ref(file));
            let mut gone = |batch: &RecordBatch, goes: &BooleanArray| {
                count(table, &name, batch, goes, &mut erased);
            };
            match rewrite(&mut work, file, doomed, &mut gone) {
                Ok(files) => adds.extend(files),
                Err(failure) => {
                    discard(&lake, &name, &adds);
                    return Err(failure);
                }
            }
        }
        let rows = erased.values().sum();
        // What is rewritten holds none, whatever becomes of the offer.
        let of_table = |file: &DataFile| PathBuf::from(&name).join(&file.name);
        self.clean.extend(adds.iter().map(of_table));
        lake.offers.put(table, Replacement { erased, ..Replacement::of(name, removes, adds) });
        Ok(EraseTurn::Offered { rows })
    }

    /// How many rows would go.
    pub fn count(
        &mut self,
        table: Table,
        doomed: &mut dyn Doomed,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<u64, LakeError> {
        let lake = self.lake.clone();
        let (Some(committed), Some(name)) = (lake.committed(table), lake.name(table)) else { return Ok(0) };
        let spec = spec(&lake, table, &name, &committed, &[]);
        let root = &lake.root;
        let mut work = Work { root, spec, order: None, target: u64::MAX, syncs: &*lake.syncs, pace };
        let mut rows = 0;
        for file in &committed.snapshot.files {
            rows += count_rows(&mut work, file, doomed).map_err(told)?;
        }
        Ok(rows)
    }

    /// Step 2, for one table: removes what is left of old versions of it.
    pub fn forget(&mut self, table: Table) -> Result<Leftovers, LakeError> {
        let lake = self.lake.clone();
        let (Some(committed), Some(name)) = (lake.committed(table), lake.name(table)) else {
            return Ok(Leftovers::default());
        };
        let directory = lake.root.join(&name);
        let sync =
            |path: PathBuf| lake.syncs.directory(&path).map_err(|source| LakeError::Io { path, source });
        let (free, held_files) = lake.trash.unheld(table);
        if !free.is_empty() {
            let live: HashSet<&PathBuf> = committed.snapshot.files.iter().map(|file| &file.path).collect();
            for path in free.iter().filter(|path| !live.contains(path)) {
                remove(&lake.root.join(path), &*lake.syncs)?;
            }
            sync(directory.clone())?;
            lake.trash.forget(table, &free.iter().collect());
        }
        let mut stale = lake.stale_logs.lock().unwrap_or_else(PoisonError::into_inner);
        if self.logs.insert(table) {
            stale.insert(table);
        }
        let stale_log = stale.contains(&table);
        drop(stale);
        if !stale_log {
            remove_log_before(&directory, committed.log_start, usize::MAX, &*lake.syncs)?;
            sync(directory.join(LOG))?;
        }
        Ok(Leftovers { held_files, stale_log })
    }
}

pub(crate) fn told(failure: Failure) -> LakeError {
    let general = |file: PathBuf, text: &str| parquet_error(file, ParquetError::General(text.to_owned()));
    match failure {
        Failure::Unfit(_, error) | Failure::Lake(error) => error,
        Failure::Unordered(file) => general(file.path.clone(), "its rows are out of order"),
        Failure::Stopped => general(PathBuf::new(), "told to stop"),
    }
}

fn count_rows(work: &mut Work<'_>, file: &Arc<LakeFile>, doomed: &mut dyn Doomed) -> Result<u64, Failure> {
    let mut source = work.open_columns(file, Some(&doomed.columns()))?;
    let mut rows = 0;
    while let Some(batch) = work.next_as_it_is(&mut source)? {
        rows += doomed.rows(&batch).true_count() as u64;
    }
    Ok(rows)
}

fn holds_any(work: &mut Work<'_>, file: &Arc<LakeFile>, doomed: &mut dyn Doomed) -> Result<bool, Failure> {
    let mut source = work.open_columns(file, Some(&doomed.columns()))?;
    while let Some(batch) = work.next_as_it_is(&mut source)? {
        if doomed.rows(&batch).true_count() > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The rows of a file that stay, in a new one; none if none stays. `gone` is told which do not.
pub(crate) fn rewrite(
    work: &mut Work<'_>,
    file: &Arc<LakeFile>,
    doomed: &mut dyn Doomed,
    gone: &mut dyn FnMut(&RecordBatch, &BooleanArray),
) -> Result<Vec<DataFile>, Failure> {
    let mut outputs = Outputs::new(work.spec.clone(), file.rows, work.target, work.syncs);
    let mut source = work.open(file)?;
    let mut read = 0;
    while let Some(batch) = work.next(&mut source)? {
        read += batch.num_rows() as u64;
        let goes = doomed.rows(&batch);
        gone(&batch, &goes);
        let stays = not(&goes).and_then(|stays| filter_record_batch(&batch, &stays));
        let stays = stays.map_err(|error| arrow_error(&work.spec, error))?;
        if stays.num_rows() > 0 {
            outputs.push(stays)?;
        }
    }
    if read != file.rows {
        let error = ParquetError::General(format!("{read} rows were read, not {}", file.rows));
        return Err(Failure::Unfit(file.clone(), parquet_error(file.path.clone(), error)));
    }
    if outputs.rows() == 0 {
        return Ok(Vec::new());
    }
    Ok(outputs.finish()?)
}

/// Whose rows go: those of `rejects` are their streams'.
fn count(
    table: Table,
    name: &str,
    batch: &RecordBatch,
    goes: &BooleanArray,
    erased: &mut BTreeMap<String, u64>,
) {
    let streams = batch.column_by_name("stream").filter(|_| table == Table::Rejects);
    match streams.and_then(|streams| streams.as_string_opt::<i32>()) {
        Some(streams) => {
            for row in (0..goes.len()).filter(|row| goes.value(*row)) {
                *erased.entry(streams.value(row).to_owned()).or_default() += 1;
            }
        }
        None => *erased.entry(name.to_owned()).or_default() += goes.true_count() as u64,
    }
}

pub(crate) fn discard(lake: &Shared, name: &str, files: &[DataFile]) {
    for file in files {
        // What stays is an orphan, which the next open removes.
        let _ = std::fs::remove_file(lake.root.join(name).join(&file.name));
    }
}
