//! The lake as a whole: its tables as their readers see them, opened once, swapped after each commit.
//! Always: a snapshot that a reader holds stays as it is; what `table` returns is never older than what it
//! returned before.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use futures::{StreamExt, TryStreamExt, stream};
use hw_event::{Clock, SystemClock};
use hw_schema::Registry;
use tokio::task::spawn_blocking;

use crate::{
    LakeError, LakeSink, Table, TableSnapshot,
    delta::{Committed, DeltaHome, Identity},
    log_files::remove_orphans,
    store::{OsSyncs, SyncingStore, Syncs, create_directories},
};

/// Tables that are opened, written or committed at a time.
pub(crate) const TABLES_IN_FLIGHT: usize = 8;

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
}

impl Default for LakeSettings {
    fn default() -> LakeSettings {
        LakeSettings {
            hash_key_id: None,
            clock: Arc::new(SystemClock),
            stuck_bytes_max: 64 << 20,
            checkpoint_every: 50,
        }
    }
}

/// A table that cannot commit, and why. Its rows wait; it is tried again in every round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableFault {
    pub table: Table,
    pub error: String,
}

/// Clones are the same lake.
#[derive(Clone)]
pub struct Lake {
    shared: Arc<Shared>,
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
}

impl Lake {
    /// Opens every table that exists, checks the end of its log, and removes what a crash left over.
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
        for (table, name) in shared.names() {
            let loaded = match shared.home(table, &name) {
                Ok(home) => home.load(&shared.registry).await,
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

    async fn open_with(
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
        stream::iter(shared.names())
            .map(|(table, name)| shared.open_table(table, name))
            .buffer_unordered(TABLES_IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        Ok(Lake { shared })
    }

    /// The committer. One at a time: two would only get in each other's way.
    pub fn sink(&self) -> LakeSink {
        LakeSink::new(self.shared.clone())
    }

    /// The newest committed state; `None` while the table has never had a commit.
    pub fn table(&self, table: Table) -> Option<Arc<TableSnapshot>> {
        self.shared.committed(table).map(|committed| committed.snapshot.clone())
    }

    /// The tables that could not commit in the last round.
    pub fn faults(&self) -> Vec<TableFault> {
        let faults = self.shared.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().map(|(&table, error)| TableFault { table, error: error.clone() }).collect()
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
        }
    }

    /// Every table that may exist, and its directory's name.
    fn names(&self) -> Vec<(Table, String)> {
        let streams = self.registry.all().into_iter().filter(|stream| !stream.versions.is_empty());
        let mut tables: Vec<_> =
            streams.map(|stream| (Table::Stream(stream.id), stream.name.to_string())).collect();
        tables.push((Table::Rejects, "rejects".to_owned()));
        tables.push((Table::Ledger, "ledger".to_owned()));
        tables
    }

    pub(crate) fn home(&self, table: Table, name: &str) -> Result<DeltaHome, LakeError> {
        let identity =
            Identity { app_id: self.app_id.clone(), hash_key_id: self.settings.hash_key_id.clone() };
        DeltaHome::new(table, name, self.root.join(name), identity, &self.store)
    }

    async fn open_table(&self, table: Table, name: String) -> Result<(), LakeError> {
        let home = self.home(table, &name)?;
        let committed = home.load(&self.registry).await?;
        let (live, position) = match &committed {
            Some(committed) => (committed.snapshot.files.clone(), committed.snapshot.seq.0),
            None => (Vec::new(), 0),
        };
        let directory = home.directory.clone();
        spawn_blocking(move || {
            let live: HashSet<&str> =
                live.iter().filter_map(|file| file.path.file_name()?.to_str()).collect();
            remove_orphans(&directory, &live, position)
        })
        .await
        .map_err(|_| LakeError::Panicked { directory: home.directory.clone() })??;
        if let Some(committed) = committed {
            self.publish(table, Arc::new(committed));
        }
        Ok(())
    }

    pub(crate) fn committed(&self, table: Table) -> Option<Arc<Committed>> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner).get(&table).cloned()
    }

    pub(crate) fn publish(&self, table: Table, committed: Arc<Committed>) {
        self.tables.write().unwrap_or_else(PoisonError::into_inner).insert(table, committed);
    }

    /// Notes how a table fared; returns whether that is news.
    pub(crate) fn set_fault(&self, table: Table, error: Option<String>) -> bool {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => faults.insert(table, error.clone()) != Some(error),
            None => faults.remove(&table).is_some(),
        }
    }
}

#[cfg(test)]
mod tests;
