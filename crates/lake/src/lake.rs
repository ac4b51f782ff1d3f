//! The lake as a whole: its tables as their readers see them, opened once, swapped after each commit.
//! Always: a snapshot that a reader holds stays as it is; what `table` returns is never older than what it
//! returned before.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures::{StreamExt, stream};
use hw_event::{Clock, SystemClock};
use hw_pipeline::spawn_blocking;
use hw_schema::Registry;

use crate::{
    ByKey, ByKeyCompactor, Compactor, Damage, Eraser, Keeper, LakeError, LakeSink, Rewriter, Table,
    TableSnapshot,
    compact::{Offers, Removed, Trash},
    delta::{Committed, DeltaHome, Identity, Keeping},
    log_files::remove_orphans,
    rewritten,
    scrub::check_through,
    store::{OsSyncs, SyncingStore, Syncs, create_directories},
};

#[derive(Clone)]
pub struct LakeSettings {
    /// Names the key of hashed columns in their metadata, so that digests of two keys can be told apart.
    pub hash_key_id: Option<Arc<str>>,
    pub clock: Arc<dyn Clock>,
    /// Rows in memory of all tables that cannot commit, together. Beyond it they let go of what comes, and
    /// have it delivered again when they are well.
    pub stuck_bytes_max: usize,
    /// A table's log gets a checkpoint after so many commits.
    pub checkpoint_every: u64,
    /// Tables that are opened, written or committed at a time.
    pub tables_in_flight: usize,
    /// The size of the files that compaction makes, at most about.
    pub compact_to: u64,
    pub dense: Dense,
    /// For so long files that compaction replaced stay where they are, and commits that stand before a checkpoint.
    pub keep_old: Duration,
}

/// When fresh files are written as compaction leaves them, and compaction copies them instead of writing their rows again.
#[derive(Debug, Clone, Copy)]
pub struct Dense {
    /// The fresh files of a table have come to so many large files: it has grown for longer than a burst, and nobody finds
    /// the time to compact it.
    pub behind: u64,
    /// The rows of such a file, at least.
    pub rows: usize,
    /// The rows of a row group that is copied while others need the processors, in the mean; sixteen times as many when
    /// nobody does: larger ones take less room.
    pub group_rows: u64,
}

impl Default for Dense {
    fn default() -> Dense {
        Dense { behind: 8, rows: 64 << 10, group_rows: 32 << 10 }
    }
}

impl Dense {
    pub(crate) fn group_rows_min(&self, busy: bool) -> u64 {
        if busy { self.group_rows } else { self.group_rows * 16 }
    }
}

impl Default for LakeSettings {
    fn default() -> LakeSettings {
        LakeSettings {
            hash_key_id: None,
            clock: Arc::new(SystemClock),
            stuck_bytes_max: 64 << 20,
            checkpoint_every: 50,
            tables_in_flight: 8,
            compact_to: 128 << 20,
            dense: Dense::default(),
            keep_old: Duration::from_secs(3600),
        }
    }
}

/// A table that cannot commit, and why. Its rows wait; it is tried again in every round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFault {
    pub table: Table,
    pub error: String,
    /// It could not be opened: nobody knows what it holds, so it cannot be read either.
    pub out_of_service: bool,
}

/// The committer waits.
pub struct Paused {
    _round: tokio::sync::OwnedMutexGuard<()>,
}

/// Clones are the same lake.
#[derive(Clone)]
pub struct Lake {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub root: PathBuf,
    pub app_id: Arc<str>,
    pub registry: Arc<Registry>,
    pub settings: LakeSettings,
    pub syncs: Arc<dyn Syncs>,
    pub store: SyncingStore,
    // Both are held for a look or a swap, never across an await or a file operation.
    tables: RwLock<HashMap<Table, Arc<Committed>>>,
    faults: Mutex<BTreeMap<Table, String>>,
    out_of_service: Mutex<BTreeSet<Table>>,
    damage: Mutex<BTreeMap<Table, Vec<Damage>>>,
    repaired: Mutex<Vec<Damage>>,
    /// What compaction has made ready, for the committer.
    pub offers: Offers,
    /// Files that are no part of their table any more.
    pub trash: Trash,
    /// Tables whose log says something of erased rows: the committer begins it anew.
    pub stale_logs: Mutex<BTreeSet<Table>>,
    /// Tables that get no rows until their old ones are of the new generation.
    pub held: Mutex<BTreeSet<Table>>,
    /// Held through each of the committer's rounds, and by whoever needs the tables to stand still.
    pub rounds: Arc<tokio::sync::Mutex<()>>,
}

impl Lake {
    /// Opens every table that exists, repairs its log where that is possible, and removes what a crash left over. A
    /// table that cannot be opened is out of service by itself, see [`Lake::faults`]; an error is the lake's as a whole.
    /// Tables of streams that come later are made at their first commit.
    pub async fn open(
        root: &Path,
        journal_id: u128,
        registry: Arc<Registry>,
        settings: LakeSettings,
    ) -> Result<Lake, LakeError> {
        Lake::open_with(root, journal_id, registry, settings, Arc::new(OsSyncs)).await
    }

    /// The tables as they are, to read and not to write: nothing is made or removed. A table that cannot be
    /// opened is a fault of that table.
    pub async fn inspect(
        root: &Path,
        journal_id: u128,
        registry: Arc<Registry>,
        settings: LakeSettings,
    ) -> Result<Lake, LakeError> {
        let path = root.to_owned();
        let root = spawn_blocking(move || {
            let path = std::path::absolute(&path)?;
            // Without the directory there are no tables, which is no fault of a place that has had no events.
            if path.exists() { path.canonicalize() } else { Ok(path) }
        })
        .await
        .map_err(|_| LakeError::Panicked { directory: root.to_owned() })?
        .map_err(|source| LakeError::Io { path: root.to_owned(), source })?;
        let shared = Arc::new(Shared::new(root, journal_id, registry, settings, Arc::new(OsSyncs)));
        for (table, name) in shared.all_tables() {
            let loaded = match shared.home(table, &name) {
                Ok(home) => home.look(&shared.registry).await,
                Err(error) => Err(error),
            };
            match loaded {
                Ok(Some(committed)) => shared.publish(table, Arc::new(committed)),
                Ok(None) => {}
                Err(error) => {
                    shared.set_fault(table, Some(error.to_string()));
                }
            }
        }
        Ok(Lake { shared })
    }

    /// Over a disk whose calls a test makes fail.
    #[doc(hidden)]
    pub async fn open_with(
        root: &Path,
        journal_id: u128,
        registry: Arc<Registry>,
        settings: LakeSettings,
        syncs: Arc<dyn Syncs>,
    ) -> Result<Lake, LakeError> {
        let (path, making) = (root.to_owned(), syncs.clone());
        let root = spawn_blocking(move || {
            // The kernel compares paths as text, so the root is made plain once.
            let path = std::path::absolute(&path)?;
            create_directories(&*making, &path)?;
            making.directory(&path)?;
            path.canonicalize()
        })
        .await
        .map_err(|_| LakeError::Panicked { directory: root.to_owned() })?
        .map_err(|source| LakeError::Io { path: root.to_owned(), source })?;

        let shared = Arc::new(Shared::new(root, journal_id, registry, settings, syncs));
        let in_flight = shared.settings.tables_in_flight;
        stream::iter(shared.all_tables())
            .for_each_concurrent(in_flight, |(table, name)| {
                let shared = shared.clone();
                async move {
                    if let Err(error) = shared.open_table(table, name.clone()).await {
                        tracing::error!(table = %name, %error, "a table is out of service");
                        shared.set_out_of_service(table, Some(error));
                    }
                }
            })
            .await;
        Ok(Lake { shared })
    }

    /// The committer. One at a time: two would only get in each other's way.
    pub fn sink(&self) -> LakeSink {
        LakeSink::new(self.shared.clone())
    }

    /// What keeps the tables' files few and their logs short. One at a time.
    pub fn compactor(&self) -> Compactor {
        Compactor::new(self.shared.clone())
    }

    /// What lets go of rows that need not be kept. One at a time, and never while the compactor has its turn.
    pub fn keeper(&self) -> Keeper {
        Keeper::new(self.shared.clone())
    }

    /// What lets go of rows that a newer one of their key has replaced. One at a time, and never while the compactor has
    /// its turn; whoever holds it keeps the other rewriters from theirs until it has said [`ByKeyTurn::Clean`].
    ///
    /// [`ByKeyTurn::Clean`]: crate::ByKeyTurn::Clean
    pub fn by_key(&self, table: Table, rule: ByKey) -> ByKeyCompactor {
        ByKeyCompactor::new(self.shared.clone(), table, rule)
    }

    /// Does the table get no rows, until its old ones are of the new generation?
    pub fn holds(&self, table: Table) -> bool {
        lock(&self.shared.held).contains(&table)
    }

    /// What brings tables to a new generation. One at a time, and never while the compactor has its turn.
    pub fn rewriter(&self) -> Rewriter {
        Rewriter::new(self.shared.clone())
    }

    /// What makes rows go. One at a time, and never while the compactor has its turn.
    pub fn eraser(&self) -> Eraser {
        Eraser::new(self.shared.clone())
    }

    /// No commit, no checkpoint and no new file of the committer's while the value lives. Rows wait.
    pub async fn pause(&self) -> Paused {
        Paused { _round: self.shared.rounds.clone().lock_owned().await }
    }

    /// The newest committed state; `None` while the table has never had a commit.
    pub fn table(&self, table: Table) -> Option<Arc<TableSnapshot>> {
        self.shared.committed(table).map(|committed| committed.snapshot.clone())
    }

    /// The tables that could not commit in the last round, or not be opened.
    pub fn faults(&self) -> Vec<TableFault> {
        let out_of_service = lock(&self.shared.out_of_service).clone();
        let fault = |(&table, error): (&Table, &String)| {
            let out_of_service = out_of_service.contains(&table);
            TableFault { table, error: error.clone(), out_of_service }
        };
        lock(&self.shared.faults).iter().map(fault).collect()
    }

    /// All tables that may exist, and the names of their directories.
    pub fn tables(&self) -> Vec<(Table, String)> {
        self.shared.all_tables()
    }

    /// Reads all of a table that is at rest and says what is damaged. `pace` is told of the bytes as they are read, and
    /// may wait. What is found is kept for [`Lake::damage`] until the next check. Blocking; disturbs nobody.
    pub fn check(&self, table: Table, name: &str, pace: &mut dyn FnMut(u64)) -> Vec<Damage> {
        let directory = self.shared.root.join(name);
        let mut check = || {
            let committed = self.shared.committed(table);
            let through = committed.map_or(u64::MAX, |committed| committed.snapshot.version.cast_unsigned());
            check_through(&directory, through, pace)
        };
        let mut found = check();
        if !found.is_empty() {
            // A commit or a checkpoint that was just being made is not damage: that stays.
            let again = check();
            found.retain(|damage| again.contains(damage));
        }
        lock(&self.shared.damage).insert(table, found.clone());
        found
    }

    /// What the last check of each table found.
    pub fn damage(&self) -> Vec<Damage> {
        lock(&self.shared.damage).values().flatten().cloned().collect()
    }

    /// What was repaired since the lake was opened.
    pub fn repaired(&self) -> Vec<Damage> {
        lock(&self.shared.repaired).clone()
    }

    pub fn root(&self) -> &Path {
        &self.shared.root
    }
}

impl Shared {
    fn new(
        root: PathBuf,
        journal_id: u128,
        registry: Arc<Registry>,
        settings: LakeSettings,
        syncs: Arc<dyn Syncs>,
    ) -> Shared {
        Shared {
            root,
            app_id: format!("headwater/{journal_id:032x}").into(),
            store: SyncingStore::new(syncs.clone()),
            registry,
            settings,
            syncs,
            tables: RwLock::default(),
            faults: Mutex::default(),
            out_of_service: Mutex::default(),
            damage: Mutex::default(),
            repaired: Mutex::default(),
            offers: Offers::default(),
            trash: Trash::default(),
            stale_logs: Mutex::default(),
            held: Mutex::default(),
            rounds: Arc::default(),
        }
    }

    pub(crate) fn home(&self, table: Table, name: &str) -> Result<DeltaHome, LakeError> {
        let identity =
            Identity { app_id: self.app_id.clone(), hash_key_id: self.settings.hash_key_id.clone() };
        let directory = self.root.join(name);
        DeltaHome::new(table, name, directory, identity, self.keeping(), &self.store, self.syncs.clone())
    }

    pub(crate) fn keeping(&self) -> Keeping {
        Keeping { old: self.settings.keep_old, clock: self.settings.clock.clone() }
    }

    /// The table's name, and its directory's.
    pub(crate) fn name(&self, table: Table) -> Option<String> {
        match table {
            Table::Stream(id) => Some(self.registry.by_id(id)?.name.to_string()),
            Table::Rejects => Some("rejects".to_owned()),
            Table::Ledger => Some("ledger".to_owned()),
        }
    }

    pub(crate) fn all_tables(&self) -> Vec<(Table, String)> {
        let streams = self.registry.all().into_iter().filter(|stream| !stream.versions.is_empty());
        let streams = streams.map(|stream| (Table::Stream(stream.id), stream.name.to_string()));
        let system = [(Table::Rejects, "rejects".to_owned()), (Table::Ledger, "ledger".to_owned())];
        streams.chain(system).collect()
    }

    /// Opens a table that nothing was written to yet in this process.
    pub(crate) async fn open_table(self: &Arc<Self>, table: Table, name: String) -> Result<(), LakeError> {
        let (shared, directory) = (self.clone(), self.root.join(&name));
        // In a task of its own: what a damaged log does to a library must not end the others.
        let opening = tokio::spawn(async move { shared.open_here(table, &name).await });
        opening.await.map_err(|_| LakeError::Panicked { directory })?
    }

    async fn open_here(&self, table: Table, name: &str) -> Result<(), LakeError> {
        let home = self.home(table, name)?;
        let committed = home.load(&self.registry).await?;
        if let Some(committed) = &committed {
            self.note_repaired(&committed.repaired);
        }
        let (live, removed, position) = match &committed {
            Some(it) => (it.snapshot.files.clone(), it.removed.clone(), it.snapshot.seq.0),
            None => (Vec::new(), Vec::new(), 0),
        };
        self.trash.add(table, removed.iter().map(|(file, since)| Removed::name(name, file, *since)));
        let (directory, syncs) = (home.directory.clone(), self.syncs.clone());
        let old = spawn_blocking(move || {
            let mut known: HashSet<&str> =
                live.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
            // A rewrite that was killed goes on from these.
            let rewritten = rewritten::of_use(&directory, &known);
            if rewritten.is_empty() {
                rewritten::discard(&directory, &known, &*syncs)?;
            }
            known.extend(rewritten.iter().map(String::as_str));
            known.extend(removed.iter().map(|(file, _)| file.as_str()));
            remove_orphans(&directory, &known, position)
        })
        .await
        .map_err(|_| LakeError::Panicked { directory: home.directory.clone() })??;
        let now = self.keeping().now_millis();
        self.trash.add(table, old.iter().map(|file| Removed::name(name, file, now)));
        if let Some(committed) = committed {
            self.publish(table, Arc::new(committed));
        }
        Ok(())
    }

    pub(crate) fn committed(&self, table: Table) -> Option<Arc<Committed>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(&table).cloned()
    }

    /// From so many rows on a fresh file of this table is dense; `None`: it is not.
    pub(crate) fn dense_rows(&self, table: Table) -> Option<usize> {
        let LakeSettings { dense, compact_to, .. } = &self.settings;
        let committed = self.committed(table);
        let files = committed.iter().flat_map(|committed| &committed.snapshot.files);
        let fresh: u64 = files.filter(|file| !file.compacted).map(|file| file.bytes).sum();
        (fresh >= dense.behind.saturating_mul(*compact_to)).then_some(dense.rows)
    }

    pub(crate) fn publish(&self, table: Table, committed: Arc<Committed>) {
        let before = self.committed(table);
        let committed = match before.filter(|before| committed.loaded && !Arc::ptr_eq(before, &committed)) {
            Some(before) => committed.with_files_of(&before),
            None => committed,
        };
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(table, committed);
    }

    pub(crate) fn note_repaired(&self, repaired: &[Damage]) {
        lock(&self.repaired).extend_from_slice(repaired);
    }

    /// `None`: it is in service again.
    pub(crate) fn set_out_of_service(&self, table: Table, error: Option<LakeError>) {
        match &error {
            Some(LakeError::Damaged(damage)) => {
                lock(&self.damage).insert(table, vec![damage.clone()]);
            }
            Some(_) => {}
            None => {
                lock(&self.damage).remove(&table);
            }
        }
        self.set_fault(table, error.as_ref().map(ToString::to_string));
        let mut out_of_service = lock(&self.out_of_service);
        if error.is_some() {
            out_of_service.insert(table)
        } else {
            out_of_service.remove(&table)
        };
    }

    pub(crate) fn tables_out_of_service(&self) -> BTreeSet<Table> {
        lock(&self.out_of_service).clone()
    }

    /// Notes how a table fared; returns whether that is news.
    pub(crate) fn set_fault(&self, table: Table, error: Option<String>) -> bool {
        let mut faults = lock(&self.faults);
        match error {
            Some(error) => faults.insert(table, error.clone()) != Some(error),
            None => faults.remove(&table).is_some(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
