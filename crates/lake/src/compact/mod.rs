//! Compaction: many small files of a table become few large ones, and what they leave behind goes in its time.
//! Always: the compactor only prepares; the committer commits what it is offered, in its rounds, so the two never meet at a
//! table. What is prepared is synced with its name before it is offered. A file is removed only when it has been no part of
//! the table for as long as is promised, no snapshot that somebody holds has it, and no commit of the table names it any more.
//! A death at any moment costs only the work: new files without a commit are removed at the next start.
//!
//! A turn:
//! 1. Remove, of each table, files that are old enough, and the part of its log that was given up.
//! 2. For one table: plan, read, merge, write, offer.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use hw_event::Seq;

use crate::{
    LakeError, LakeFile, Table,
    buffer::{rejects_without_statistics, without_statistics},
    data_file::{DataFileSpec, Form, Purpose},
    delta::{Committed, Keeping, Replacement},
    lake::Shared,
    log_files::{LOG, remove_log_before},
};

mod checked;
pub(crate) mod merge;
pub(crate) mod outputs;
mod plan;
mod splice;

use merge::{Failure, Work};
use plan::{Plan, Situation, plan};

/// A table that had no commit for so long is quiet.
const QUIET_MILLIS: i64 = 30_000;
/// A piece of work needs so many times its bytes of free disk.
const ROOM: u64 = 4;
/// Old commits that are removed in one turn.
const LOG_FILES_MAX: usize = 2000;

/// What came of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Files are ready, and wait for the committer's next round.
    Offered(Table),
    /// There is nothing to do now, or it was told to stop.
    Nothing,
    /// Something could not be done, and will be tried again.
    Failed,
}

/// What compaction has made ready: at most one replacement a table, until it is committed or it is too late for it.
#[derive(Debug, Default)]
pub(crate) struct Offers(Mutex<BTreeMap<Table, Arc<Replacement>>>);

impl Offers {
    pub(crate) fn all(&self) -> Vec<(Table, Arc<Replacement>)> {
        lock(&self.0).iter().map(|(table, offer)| (*table, offer.clone())).collect()
    }

    pub(crate) fn take(&self, table: Table) {
        lock(&self.0).remove(&table);
    }

    pub(crate) fn has(&self, table: Table) -> bool {
        lock(&self.0).contains_key(&table)
    }

    pub(crate) fn put(&self, table: Table, offer: Replacement) {
        lock(&self.0).insert(table, Arc::new(offer));
    }
}

/// A file that is no part of its table any more.
#[derive(Debug)]
pub(crate) struct Removed {
    /// Relative to the lake's root.
    path: PathBuf,
    /// Since when, in milliseconds.
    since: i64,
    /// Alive while a snapshot has it.
    held: Weak<LakeFile>,
    /// Somebody is about to remove it.
    going: bool,
}

impl Removed {
    pub(crate) fn file(file: &Arc<LakeFile>, since: i64) -> Removed {
        Removed { path: file.path.clone(), since, held: Arc::downgrade(file), going: false }
    }

    /// One that no snapshot of this process has.
    pub(crate) fn name(table: &str, file: &str, since: i64) -> Removed {
        Removed { path: Path::new(table).join(file), since, held: Weak::new(), going: false }
    }
}

/// What is to be removed, by table.
#[derive(Debug, Default)]
pub(crate) struct Trash(Mutex<BTreeMap<Table, Vec<Removed>>>);

impl Trash {
    pub(crate) fn add(&self, table: Table, files: impl Iterator<Item = Removed>) {
        lock(&self.0).entry(table).or_default().extend(files);
    }

    /// What may go now.
    fn due(&self, table: Table, keeping: &Keeping) -> Vec<PathBuf> {
        let now = keeping.now_millis();
        let mut trash = lock(&self.0);
        let files = trash.get_mut(&table).into_iter().flatten();
        files
            .filter_map(|file| {
                // The clock was set back: it counts from now on.
                file.since = file.since.min(now);
                let due = keeping.is_over(file.since) && file.held.strong_count() == 0;
                file.going |= due;
                due.then(|| file.path.clone())
            })
            .collect()
    }

    /// Keeps files of an older version from being removed while the values live. Of a file that another reader holds they
    /// become that reader's value. `false`: one of them is not to be had any more.
    pub(crate) fn hold(&self, table: Table, files: &mut [&mut Arc<LakeFile>]) -> bool {
        let mut trash = lock(&self.0);
        // A name may stand there twice, if the table was opened twice.
        let mut known: HashMap<PathBuf, Vec<&mut Removed>> = HashMap::new();
        for removed in trash.get_mut(&table).into_iter().flatten() {
            known.entry(removed.path.clone()).or_default().push(removed);
        }
        files.iter_mut().all(|file| {
            let Some(removed) = known.get_mut(&file.path) else { return false };
            if let Some(held) = removed.iter().find_map(|removed| removed.held.upgrade()) {
                **file = held;
            }
            removed.iter_mut().for_each(|removed| removed.held = Arc::downgrade(file));
            removed.iter().all(|removed| !removed.going)
        })
    }

    /// What is about to be removed.
    pub(crate) fn going(&self, table: Table) -> HashSet<PathBuf> {
        let trash = lock(&self.0);
        let files = trash.get(&table).into_iter().flatten();
        files.filter(|file| file.going).map(|file| file.path.clone()).collect()
    }

    /// What nobody holds, however short a time it has been there, and how much somebody holds.
    pub(crate) fn unheld(&self, table: Table) -> (Vec<PathBuf>, usize) {
        let mut trash = lock(&self.0);
        let (mut free, mut held) = (Vec::new(), 0);
        for file in trash.get_mut(&table).into_iter().flatten() {
            match file.held.strong_count() {
                0 => {
                    file.going = true;
                    free.push(file.path.clone());
                }
                _ => held += 1,
            }
        }
        (free, held)
    }

    pub(crate) fn forget(&self, table: Table, paths: &HashSet<&PathBuf>) {
        if let Some(files) = lock(&self.0).get_mut(&table) {
            files.retain(|file| !paths.contains(&file.path));
        }
    }
}

// Held for a look-up or a swap, never during a file operation.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps a lake's tables compact. All of it blocks.
pub struct Compactor {
    lake: Arc<Shared>,
    /// By table: its version, since when it has it, and whether there is nothing to do while it has.
    seen: HashMap<Table, Seen>,
    /// Up to which version the log was removed.
    log_gone: HashMap<Table, u64>,
    /// Files that cannot be used, and those whose rows are not in the order that was expected.
    unfit: HashSet<PathBuf>,
    unordered: HashSet<PathBuf>,
    /// Which table comes first in the next turn.
    next: usize,
}

#[derive(Clone, Copy)]
struct Seen {
    version: i64,
    since_millis: i64,
    /// Nothing was to be done, the table being quiet or not and others busy or not.
    done: Option<(bool, bool)>,
}

impl Compactor {
    pub(crate) fn new(lake: Arc<Shared>) -> Compactor {
        Compactor {
            lake,
            seen: HashMap::new(),
            log_gone: HashMap::new(),
            unfit: HashSet::new(),
            unordered: HashSet::new(),
            next: 0,
        }
    }

    /// `busy`: others need the processors, so only what cannot wait is done. `pace` is told of bytes as they are read; it may
    /// wait, and `false` ends the turn.
    pub fn turn(&mut self, busy: bool, pace: &mut dyn FnMut(u64) -> bool) -> Turn {
        let tables = self.lake.all_tables();
        let mut failed = false;
        for (table, name) in &tables {
            if !pace(0) {
                return Turn::Nothing;
            }
            let Some(committed) = self.lake.committed(*table) else { continue };
            if let Err(error) = self.clean(*table, name, &committed) {
                tracing::warn!(table = %name, %error, "old files could not be removed");
                failed = true;
            }
        }
        let first = self.next;
        for step in 0..tables.len() {
            let at = (first + step) % tables.len();
            let (table, name) = &tables[at];
            self.next = at + 1;
            match self.compact(*table, name, busy, pace) {
                Ok(true) => return Turn::Offered(*table),
                Ok(false) => {}
                Err(Failure::Stopped) => return Turn::Nothing,
                Err(Failure::Unordered(file)) => drop(self.unordered.insert(file.path.clone())),
                Err(Failure::Unfit(file, error)) => {
                    tracing::error!(file = %file.path.display(), %error, "a file cannot be compacted");
                    self.unfit.insert(file.path.clone());
                }
                Err(Failure::Lake(error)) => {
                    tracing::warn!(table = %name, %error, "a table could not be compacted");
                    failed = true;
                }
            }
        }
        if failed { Turn::Failed } else { Turn::Nothing }
    }

    /// Step 1.
    fn clean(&mut self, table: Table, name: &str, committed: &Committed) -> Result<(), LakeError> {
        let directory = self.lake.root.join(name);
        let syncs = &*self.lake.syncs;
        let sync = |path: PathBuf| syncs.directory(&path).map_err(|source| LakeError::Io { path, source });
        let due = self.lake.trash.due(table, &self.lake.keeping());
        if !due.is_empty() {
            let live: HashSet<&PathBuf> = committed.snapshot.files.iter().map(|file| &file.path).collect();
            for path in due.iter().filter(|path| !live.contains(path)) {
                remove(&self.lake.root.join(path), syncs)?;
            }
            // Only then is it forgotten: a name that comes back would belong to nobody.
            sync(directory.clone())?;
            self.lake.trash.forget(table, &due.iter().collect());
            metrics::counter!("headwater_lake_files_removed_total").increment(due.len() as u64);
        }
        let log_start = committed.log_start;
        if self.log_gone.get(&table).is_none_or(|gone| *gone < log_start) {
            let removed = remove_log_before(&directory, log_start, LOG_FILES_MAX, syncs)?;
            if removed > 0 {
                sync(directory.join(LOG))?;
            }
            if removed < LOG_FILES_MAX {
                self.log_gone.insert(table, log_start);
            }
        }
        Ok(())
    }

    /// Step 2, for one table. Returns whether there is a new offer.
    fn compact(
        &mut self,
        table: Table,
        name: &str,
        busy: bool,
        pace: &mut dyn FnMut(u64) -> bool,
    ) -> Result<bool, Failure> {
        let Some(committed) = self.lake.committed(table).filter(|_| !self.lake.offers.has(table)) else {
            return Ok(false);
        };
        if lock(&self.lake.held).contains(&table) {
            // All of it is about to be rewritten, and what is done of that counts by its old files.
            return Ok(false);
        }
        let version = committed.snapshot.version;
        let now = self.lake.keeping().now_millis();
        let seen = self.seen.entry(table).or_insert(Seen { version, since_millis: now, done: None });
        if seen.version != version {
            *seen = Seen { version, since_millis: now, done: None };
        }
        seen.since_millis = seen.since_millis.min(now);
        let quiet = now - seen.since_millis >= QUIET_MILLIS && !busy;
        if seen.done == Some((quiet, busy)) {
            return Ok(false);
        }
        let situation = Situation {
            table,
            target: self.lake.settings.compact_to,
            quiet,
            busy,
            unfit: &self.unfit,
            unordered: &self.unordered,
        };
        let Some(plan) = plan(&committed.snapshot.files, &situation) else {
            seen.done = Some((quiet, busy));
            return Ok(false);
        };
        let bytes = |files: &[Arc<LakeFile>]| files.iter().map(|file| file.bytes).sum::<u64>();
        let (Plan::Join(files) | Plan::Sort(files)) = &plan;
        if !has_room(&self.lake, bytes(files)) {
            return Ok(false);
        }
        let lake = self.lake.clone();
        let mut work = Work {
            root: &lake.root,
            spec: spec(&lake, table, name, &committed, files),
            order: match table {
                Table::Stream(_) => Some(("_partition", "_offset")),
                // Rows of all streams: their appends are their order.
                Table::Rejects | Table::Ledger => None,
            },
            target: lake.settings.compact_to,
            syncs: &*lake.syncs,
            pace,
        };
        let adds = work.run(&plan, lake.settings.dense.group_rows_min(busy))?;
        let (Plan::Join(removes) | Plan::Sort(removes)) = plan;
        let written: u64 = adds.iter().map(|file| file.bytes).sum();
        tracing::debug!(
            table = %name, files = removes.len(), bytes = bytes(&removes), into = adds.len(), written,
            "compacted"
        );
        metrics::counter!("headwater_lake_compacted_files_total").increment(removes.len() as u64);
        metrics::counter!("headwater_lake_compacted_bytes_total").increment(bytes(&removes));
        self.lake.offers.put(table, Replacement::of(name.to_owned(), removes, adds));
        Ok(true)
    }
}

/// The old files and the new are there together for a while; the last of the disk belongs to those who cannot wait.
pub(crate) fn has_room(lake: &Shared, bytes: u64) -> bool {
    let free = rustix::fs::statvfs(&lake.root).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
    free.is_ok_and(|free| free / ROOM >= bytes)
}

/// Of a file that takes the place of these.
pub(crate) fn spec(
    lake: &Shared,
    table: Table,
    name: &str,
    committed: &Committed,
    files: &[Arc<LakeFile>],
) -> DataFileSpec {
    let through = files.iter().filter_map(|file| file.stats.seq).map(|seq| seq.max).max().unwrap_or(0);
    let hidden = match table {
        Table::Stream(id) => {
            // Whatever was protected in any version stays out of the statistics.
            let stream = lake.registry.by_id(id);
            let versions = stream.iter().flat_map(|stream| &stream.versions);
            Arc::new(versions.flat_map(|schema| (*without_statistics(schema)).clone()).collect())
        }
        Table::Rejects => rejects_without_statistics(),
        Table::Ledger => Arc::default(),
    };
    DataFileSpec {
        purpose: Purpose::Compacted,
        form: Form::Dense,
        directory: lake.root.join(name),
        through: Seq(through.cast_unsigned()),
        columns: committed.snapshot.columns.clone(),
        schema: committed.schema,
        without_statistics: hidden,
    }
}

pub(crate) fn remove(path: &Path, syncs: &dyn crate::Syncs) -> Result<(), LakeError> {
    match syncs.write(path).and_then(|()| fs::remove_file(path)) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(LakeError::Io { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
