//! Keeping: files whose rows are all older than is wanted, or that a table's size does not allow any more, leave it.
//! Always: only whole files go, the oldest appends first, so nothing is rewritten; the commit counts the rows, and notes from
//! which offset on each partition is kept. What left the table is removed from the disk in its time, as after compaction.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use arrow::{
    array::{Array, AsArray},
    datatypes::{Int32Type, Int64Type},
};

use crate::{
    LakeError, LakeFile, LetGo, Table,
    compact::{
        merge::{Failure, Work},
        spec,
    },
    delta::Replacement,
    erase::told,
    lake::Shared,
};

const PLACES: &[&str] = &["_partition", "_offset"];

/// What of a table is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Keep {
    /// Rows received before this moment, in microseconds, need not be kept.
    pub since: Option<i64>,
    /// Live files may have so many bytes.
    pub bytes: Option<u64>,
}

/// Drives what is kept. One at a time, and never while the compactor has its turn.
pub struct Keeper {
    lake: Arc<Shared>,
}

impl Keeper {
    pub(crate) fn new(lake: Arc<Shared>) -> Keeper {
        Keeper { lake }
    }

    /// Offers the commit that lets go of what need not be kept; returns its rows. 0: there is nothing to do, or something
    /// else is offered. Blocking.
    pub fn turn(&mut self, table: Table, keep: Keep) -> Result<u64, LakeError> {
        let lake = self.lake.clone();
        let busy = lake.offers.has(table)
            || lake.held.lock().unwrap_or_else(PoisonError::into_inner).contains(&table);
        let (Some(committed), Some(name), false) = (lake.committed(table), lake.name(table), busy) else {
            return Ok(0);
        };
        let removes = beyond(&committed.snapshot.files, keep);
        if removes.is_empty() {
            return Ok(0);
        }
        let mut work = Work {
            root: &lake.root,
            spec: spec(&lake, table, &name, &committed, &[]),
            order: None,
            target: u64::MAX,
            syncs: &*lake.syncs,
            pace: &mut |_| true,
        };
        let mut first_kept = BTreeMap::new();
        for file in &removes {
            note_places(&mut work, file, &mut first_kept).map_err(told)?;
        }
        let rows = removes.iter().map(|file| file.rows).sum();
        let let_go = LetGo { expired: rows, superseded: 0 };
        let nothing = Replacement::of(name, removes, Vec::new());
        lake.offers.put(table, Replacement { let_go, first_kept, ..nothing });
        Ok(rows)
    }
}

/// The files that go.
fn beyond(files: &[Arc<LakeFile>], keep: Keep) -> Vec<Arc<LakeFile>> {
    let mut files: Vec<&Arc<LakeFile>> = files.iter().filter(|file| file.stats.seq.is_some()).collect();
    files.sort_by_key(|file| file.stats.seq.map_or(0, |seq| seq.min));
    let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
    let goes = |file: &&&Arc<LakeFile>| {
        let old = keep.since.zip(file.stats.received_at).is_some_and(|(since, at)| at.max < since);
        let much = keep.bytes.is_some_and(|most| bytes > most);
        bytes -= file.bytes;
        old || much
    };
    // The oldest first: what stands behind one that stays, stays.
    let mut goes = goes;
    files.iter().take_while(|file| goes(file)).map(|file| Arc::clone(file)).collect()
}

/// The first offset of each partition that a file does not have.
fn note_places(
    work: &mut Work<'_>,
    file: &Arc<LakeFile>,
    first_kept: &mut BTreeMap<i32, i64>,
) -> Result<(), Failure> {
    let mut source = work.open_columns(file, Some(PLACES))?;
    while let Some(batch) = work.next_as_it_is(&mut source)? {
        let partitions = batch.column_by_name(PLACES[0]).and_then(|it| it.as_primitive_opt::<Int32Type>());
        let offsets = batch.column_by_name(PLACES[1]).and_then(|it| it.as_primitive_opt::<Int64Type>());
        let (Some(partitions), Some(offsets)) = (partitions, offsets) else { continue };
        for row in (0..batch.num_rows()).filter(|row| partitions.is_valid(*row) && offsets.is_valid(*row)) {
            let first = first_kept.entry(partitions.value(row)).or_insert(0);
            *first = (*first).max(offsets.value(row).saturating_add(1));
        }
    }
    Ok(())
}
