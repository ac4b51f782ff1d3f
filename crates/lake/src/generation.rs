//! A new generation: every file of a table whose rows mean something else by now is written anew, and all of them are swapped in
//! one commit, with the table's new columns.
//! Always: a reader of the table sees the rows of before or those of after, never some of each: while it goes on, the committer
//! holds the table's new rows back. What is to be done is seen in the files' schemas, what is done already stands in a list (`rewritten`):
//! a restart goes on from it. Does not know what is done to a row.

use std::{
    collections::{HashMap, HashSet},
    ffi::OsStr,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use hw_event::SchemaNumber;
use hw_schema::rows;
use parquet::errors::ParquetError;

use crate::{
    LakeError, LakeFile, Table,
    compact::{
        merge::{Failure, Work},
        outputs::Outputs,
        spec,
    },
    data_file::{DataFile, parquet_error},
    delta::Replacement,
    erase::told,
    lake::Shared,
    rewritten::{self, Entry},
};

/// The old files and the new are there together for a while; this part of the free disk is left to others.
const ROOM: u64 = 2;

/// What is done to rows.
pub trait Rewriting {
    /// A batch of a file of this schema, with the columns of that schema; `None`: it is not known.
    fn rows(&mut self, batch: RecordBatch, of: Option<SchemaNumber>) -> Result<RecordBatch, rows::RowsError>;
}

/// What a table has of older generations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outdated {
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RewriteTurn {
    /// All is ready, and waits for the committer's next round.
    Offered,
    /// Something else is offered: the committer's turn comes first.
    Waiting,
    /// Every file is of this generation.
    Current,
    Stopped,
}

/// All of it blocks.
pub struct Rewriter {
    lake: Arc<Shared>,
}

impl Rewriter {
    pub(crate) fn new(lake: Arc<Shared>) -> Rewriter {
        Rewriter { lake }
    }

    /// The files of schemas before `start`.
    pub fn outdated(&self, table: Table, start: SchemaNumber) -> Outdated {
        let Some(committed) = self.lake.committed(table) else { return Outdated::default() };
        let files = committed.snapshot.files.iter().filter(|file| is_outdated(file, start));
        files.fold(Outdated::default(), |sum, file| Outdated {
            files: sum.files + 1,
            rows: sum.rows + file.rows,
            bytes: sum.bytes + file.bytes,
        })
    }

    /// Reads rows of `files`, which are a snapshot's of `table`: of their top-level columns those in `columns`; `None`: all.
    /// `pace` is told of bytes as they are read; it may wait, and `false` ends it.
    pub fn survey(
        &self,
        table: Table,
        files: &[Arc<LakeFile>],
        columns: Option<&[&str]>,
        seen: &mut dyn FnMut(RecordBatch, Option<SchemaNumber>) -> Result<(), rows::RowsError>,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<RewriteTurn, LakeError> {
        let lake = &self.lake;
        let (Some(committed), Some(name)) = (lake.committed(table), lake.name(table)) else {
            return Ok(RewriteTurn::Current);
        };
        let spec = spec(lake, table, &name, &committed, &[]);
        let directory = spec.directory.clone();
        let mut work =
            Work { root: &lake.root, spec, order: None, target: u64::MAX, syncs: &*lake.syncs, pace };
        let mut read = |file: &Arc<LakeFile>| -> Result<(), Failure> {
            let mut source = work.open_columns(file, columns)?;
            while let Some(batch) = work.next_as_it_is(&mut source)? {
                let directory = directory.clone();
                seen(batch, file.schema).map_err(|source| LakeError::Rows { directory, source })?;
            }
            Ok(())
        };
        for file in files {
            match read(file) {
                Ok(()) => {}
                Err(Failure::Stopped) => return Ok(RewriteTurn::Stopped),
                Err(failure) => return Err(told(failure)),
            }
        }
        Ok(RewriteTurn::Current)
    }

    /// From now on the table gets no rows, until its old ones are of the new generation.
    pub fn hold(&self, table: Table) {
        self.lake.held.lock().unwrap_or_else(PoisonError::into_inner).insert(table);
    }

    /// Writes every file of a schema before `start` anew, with the columns of schema `number`, and offers the swap. `pace` is
    /// told of bytes as they are read; it may wait, and `false` ends it.
    pub fn turn(
        &mut self,
        table: Table,
        start: SchemaNumber,
        (number, columns): (SchemaNumber, &SchemaRef),
        rewriting: &mut dyn Rewriting,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<RewriteTurn, LakeError> {
        let lake = self.lake.clone();
        if lake.offers.has(table) {
            return Ok(RewriteTurn::Waiting);
        }
        let (Some(committed), Some(name)) = (lake.committed(table), lake.name(table)) else {
            return Ok(RewriteTurn::Current);
        };
        let files = committed.snapshot.files.iter();
        let removes: Vec<Arc<LakeFile>> = files.filter(|file| is_outdated(file, start)).cloned().collect();
        let directory = lake.root.join(&name);
        let live = names_of(&committed.snapshot.files);
        if removes.is_empty() {
            rewritten::discard(&directory, &live, &*lake.syncs)?;
            lake.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&table);
            return Ok(RewriteTurn::Current);
        }
        let entries = rewritten::begin(&directory, &names_of(&removes), &live, number, &*lake.syncs)?;
        let mut done: HashMap<PathBuf, DataFile> = HashMap::new();
        for file in &removes {
            let entry = entries
                .iter()
                .rev()
                .find(|entry| file.path.file_name().is_some_and(|name| name == &*entry.old));
            if let Some(new) = entry.and_then(|entry| entry.file(&directory, number)) {
                if !pace(file.bytes) {
                    return Ok(RewriteTurn::Stopped);
                }
                done.insert(file.path.clone(), new);
            }
        }
        let left = removes.iter().filter(|file| !done.contains_key(&file.path));
        let bytes: u64 = left.map(|file| file.bytes).sum();
        if !done.is_empty() {
            tracing::info!(table = %name, files = done.len(), of = removes.len(), "a rewrite goes on where it was");
        }
        let disk = rustix::fs::statvfs(&lake.root);
        let free = disk.map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)).unwrap_or(0);
        if free / ROOM < bytes {
            let text = format!("a new generation needs {bytes} bytes beside the old one, {free} are free");
            return Err(parquet_error(PathBuf::from(&name), ParquetError::General(text)));
        }
        let mut work = Work {
            root: &lake.root,
            spec: spec(&lake, table, &name, &committed, &[]),
            order: None,
            target: u64::MAX,
            syncs: &*lake.syncs,
            pace,
        };
        let mut adds: Vec<DataFile> = Vec::new();
        for file in &removes {
            if let Some(new) = done.remove(&file.path) {
                adds.push(new);
                continue;
            }
            work.spec = spec(&lake, table, &name, &committed, std::slice::from_ref(file));
            (work.spec.columns, work.spec.schema) = (columns.clone(), Some(number));
            let files = match rewrite(&mut work, file, rewriting) {
                Ok(files) => files,
                // What is listed is there for the next start.
                Err(Failure::Stopped) => return Ok(RewriteTurn::Stopped),
                Err(failure) => {
                    // It may be the disk that is full.
                    rewritten::discard(&directory, &live, &*lake.syncs)?;
                    return Err(told(failure));
                }
            };
            if let (Some(old), [new]) = (file.path.file_name().and_then(OsStr::to_str), files.as_slice())
                && let Some(entry) = Entry::new(old, new)
            {
                rewritten::add(&directory, &entry, &*lake.syncs)?;
            }
            adds.extend(files);
        }
        let schema = Some((number, columns.clone()));
        lake.offers.put(table, Replacement { schema, ..Replacement::of(name, removes, adds) });
        Ok(RewriteTurn::Offered)
    }
}

fn names_of(files: &[Arc<LakeFile>]) -> HashSet<&str> {
    files.iter().filter_map(|file| file.path.file_name()?.to_str()).collect()
}

/// Before there was a second generation no file can be of an older one, whoever wrote it.
fn is_outdated(file: &LakeFile, start: SchemaNumber) -> bool {
    start.0 > 1 && file.schema.is_none_or(|schema| schema < start)
}

/// Of each file one, so that each keeps its range of appends and its order.
fn rewrite(
    work: &mut Work<'_>,
    file: &Arc<LakeFile>,
    rewriting: &mut dyn Rewriting,
) -> Result<Vec<DataFile>, Failure> {
    let mut outputs = Outputs::new(work.spec.clone(), file.rows, work.target, work.syncs);
    let mut source = work.open(file)?;
    while let Some(batch) = work.next_as_it_is(&mut source)? {
        let rewritten = rewriting.rows(batch, file.schema);
        let rewritten = rewritten.and_then(|batch| rows::adapt(batch, &work.spec.columns));
        let directory = work.spec.directory.clone();
        outputs.push(rewritten.map_err(|source| LakeError::Rows { directory, source })?)?;
    }
    if outputs.rows() != file.rows {
        let error = ParquetError::General(format!("{} rows were read, not {}", outputs.rows(), file.rows));
        return Err(Failure::Unfit(file.clone(), parquet_error(file.path.clone(), error)));
    }
    Ok(outputs.finish()?)
}
