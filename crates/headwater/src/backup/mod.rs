//! A backup of a running server: its data directory as of one moment, staged in `D/backup` for as long as it is copied.
//! Always: lake, journal and keys of it belong together: every event acknowledged before it began is in it once, and each token
//! in it has its entry. Files that never change are linked, the others copied. What an erasure or a new generation works on is
//! not backed up meanwhile; an erasure that begins takes away what is staged. Does not write outside of the data directory: the
//! copy is made by whoever asks, with his own rights.
//!
//! 1. Compaction, retention and erasure rest; the lake is brought up to date, and the committer waits.
//! 2. Tables: their files and logs are linked, their manifests copied. Then the journal, up to what is durable: it is never
//!    behind the lake, and has all that the lake lacks.
//! 3. The committer goes on. What must know more than the journal, never less, is copied last: catalog, keys, vault, lists of
//!    directories, records of erasures.

pub mod manifest;
pub mod restore;

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use hw_journal::{Journal, JournalCopy};
use hw_lake::{Lake, TableSnapshot};
use hw_pipeline::FollowerHandle;
use hw_serve::BackupRefused;
use hw_vault::Vault;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{erasure::Erasures, generation::Generations};

/// How long a backup waits for a rewrite of files to end.
const HOUSE_TIME: Duration = Duration::from_secs(30);
/// The lake need not be up to date; the less it lacks, the less of the journal is copied.
const CATCH_UP: Duration = Duration::from_secs(30);
/// Whoever copies hears so often that it is still there; that he has died is noticed as late.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Directories of the data directory that are copied as they are, last.
const COPIED: [&str; 6] = ["catalog", "keys", "directories", "erasures", "generations", "audit"];

/// Clones are the same service.
#[derive(Clone)]
pub struct Backups {
    shared: Arc<Shared>,
}

pub struct Parts {
    /// The data directory.
    pub data: PathBuf,
    pub journal: Journal,
    pub lake: Lake,
    pub follower: FollowerHandle,
    pub vault: Vault,
    pub erasures: Erasures,
    pub generations: Generations,
    /// Held by whoever rewrites files of the lake.
    pub housekeeping: Arc<tokio::sync::Mutex<()>>,
    pub staging: Staging,
    /// What the configuration keeps elsewhere: settings, by name.
    pub outside: Vec<String>,
    pub stop: CancellationToken,
}

struct Shared {
    parts: Parts,
    /// One backup at a time.
    permit: Arc<Semaphore>,
    /// The one that is staged, and what ends it. A std mutex: held for a look or a swap.
    staged: Mutex<Option<(String, CancellationToken)>>,
}

/// Where a backup is staged. Clones are the same place.
#[derive(Clone)]
pub struct Staging {
    path: PathBuf,
    // Held while it is being made: what is taken away then comes back in no part.
    making: Arc<tokio::sync::Mutex<()>>,
}

impl Staging {
    /// Whatever an earlier process left there goes: it holds what may have been erased since.
    pub fn clear(path: PathBuf) -> io::Result<Staging> {
        let staging = Staging { path, making: Arc::default() };
        staging.remove()?;
        Ok(staging)
    }

    /// What is staged goes; whoever copies it finds out.
    pub async fn take_away(&self) -> Result<(), String> {
        let _made = self.making.lock().await;
        let staging = self.clone();
        let removed = tokio::task::spawn_blocking(move || staging.remove()).await;
        removed
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("cannot take away a backup, {}: {error}", self.path.display()))
    }

    fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

impl Backups {
    pub fn new(parts: Parts) -> Backups {
        let (permit, staged) = (Arc::new(Semaphore::new(1)), Mutex::default());
        Backups { shared: Arc::new(Shared { parts, permit, staged }) }
    }

    /// Stages it. The first line says where and what; it stays until the receiver is dropped, or until `end`.
    pub async fn begin(&self) -> Result<mpsc::Receiver<Value>, BackupRefused> {
        let permit = self.shared.permit.clone().try_acquire_owned().map_err(|_| BackupRefused::Running)?;
        let shared = self.shared.clone();
        // A task of its own: one that is begun is ended or taken away, whoever has gone.
        let made = tokio::spawn(async move {
            let plan = shared.make().await;
            if plan.is_err()
                && let Err(error) = shared.parts.staging.take_away().await
            {
                tracing::error!(%error, "a backup was given up");
            }
            plan.map(|plan| (plan, permit))
        });
        let made = made.await.map_err(|error| BackupRefused::Failed(error.to_string()))?;
        let (plan, permit) = made.inspect_err(|refused| {
            if let BackupRefused::Failed(error) = refused {
                tracing::error!(%error, "no backup could be made");
            }
        })?;
        let (sender, lines) = mpsc::channel(1);
        let (id, end) = (plan["id"].as_str().unwrap_or_default().to_owned(), CancellationToken::new());
        *self.shared.staged() = Some((id, end.clone()));
        tokio::spawn(self.shared.clone().hold(plan, sender, end, permit));
        Ok(lines)
    }

    /// It was copied. Returns once it is gone; `false`: it was not there.
    pub async fn end(&self, id: &str) -> bool {
        let staged = self.shared.staged().as_ref().filter(|(of, _)| of == id).map(|(_, end)| end.clone());
        let Some(end) = staged else { return false };
        end.cancel();
        // It is never closed.
        let _ = self.shared.permit.acquire().await;
        true
    }
}

impl Shared {
    /// Until nobody copies it any more.
    async fn hold(
        self: Arc<Self>,
        plan: Value,
        sender: mpsc::Sender<Value>,
        end: CancellationToken,
        _permit: OwnedSemaphorePermit,
    ) {
        let tell = async {
            let mut line = plan;
            while sender.send(line).await.is_ok() {
                tokio::time::sleep(TELL_EVERY).await;
                line = json!({ "staged": self.parts.staging.path.is_dir() });
            }
        };
        tokio::select! {
            () = tell => {}
            () = sender.closed() => {}
            () = end.cancelled() => {}
            () = self.parts.stop.cancelled() => {}
        }
        if let Err(error) = self.parts.staging.take_away().await {
            tracing::error!(%error, "a backup stays; the next start removes it");
        }
        self.staged().take();
    }

    fn staged(&self) -> MutexGuard<'_, Option<(String, CancellationToken)>> {
        self.staged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn make(self: &Arc<Self>) -> Result<Value, BackupRefused> {
        let parts = &self.parts;
        let busy = |what: &str| BackupRefused::Busy(what.to_owned());
        let _made = parts.staging.making.lock().await;
        // It may take long, so it is not waited for.
        if !parts.erasures.is_idle() {
            return Err(busy("an erasure is being carried out"));
        }
        let housekeeping = tokio::time::timeout(HOUSE_TIME, parts.housekeeping.lock()).await;
        let _housekeeping = housekeeping.map_err(|_| busy("files of the lake are being rewritten"))?;
        // Only now: what begins from here on waits for one of the two.
        if !parts.erasures.is_idle() {
            return Err(busy("an erasure is being carried out"));
        }
        if !parts.generations.told().is_empty() {
            return Err(busy("a table is brought to a new generation"));
        }
        // A table that cannot commit is no reason not to have a backup: the journal has its rows.
        let _ = tokio::time::timeout(CATCH_UP, parts.follower.commit_now()).await;
        let paused = parts.lake.pause().await;
        if let Some(fault) = parts.lake.faults().into_iter().find(|fault| fault.out_of_service) {
            let what = format!("a table is out of service, so a backup would not be whole: {}", fault.error);
            return Err(BackupRefused::Failed(what));
        }
        let tables = parts.lake.tables().into_iter();
        let tables: Vec<(String, Arc<TableSnapshot>)> =
            tables.filter_map(|(table, name)| Some((name, parts.lake.table(table)?))).collect();
        self.blocking(move |shared| shared.link_tables(&tables)).await?;
        // After the tables: what they lack is still in it, and it is held from here on.
        let journal = parts.journal.copy().await;
        let journal = journal.map_err(|error| BackupRefused::Failed(format!("the journal: {error}")))?;
        drop(paused);
        let through = journal.through;
        let counted = self.blocking(move |shared| shared.copy_rest(&journal)).await?;
        let Counted { files, bytes } = counted;
        tracing::info!(%through, files, bytes, "a backup is staged");
        Ok(json!({
            "id": uuid::Uuid::new_v4().to_string(), "directory": parts.staging.path, "through": through.0, "files": files, "bytes": bytes,
            "version": env!("CARGO_PKG_VERSION"), "outside": parts.outside,
        }))
    }

    async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Shared) -> io::Result<T> + Send + 'static,
    ) -> Result<T, BackupRefused> {
        let shared = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&shared)).await;
        let failed = |error: String| BackupRefused::Failed(error);
        done.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    fn link_tables(&self, tables: &[(String, Arc<TableSnapshot>)]) -> io::Result<()> {
        let Parts { staging, lake, .. } = &self.parts;
        staging.remove()?;
        make_directory(&staging.path)?;
        let to = staging.path.join("lake");
        make_directory(&to)?;
        for (name, snapshot) in tables {
            let (from, to_table) = (lake.root().join(name), to.join(name));
            make_directory(&to_table)?;
            for file in &snapshot.files {
                let path = to.join(&file.path);
                link(&lake.root().join(&file.path), &path)?;
            }
            // Commits and checkpoints are written once, under another name before they have theirs.
            link_all(&from.join("_delta_log"), &to_table.join("_delta_log"))?;
            // A manifest grows in its place.
            copy_all(&from.join("_headwater"), &to_table.join("_headwater"))?;
        }
        Ok(())
    }

    fn copy_rest(&self, journal: &JournalCopy) -> io::Result<Counted> {
        let Parts { staging, data, vault, .. } = &self.parts;
        let to = staging.path.join("journal");
        make_directory(&to)?;
        for file in &journal.files {
            let path = to.join(&file.name);
            let mut copy = create(&path, 0o600)?;
            file.read(&mut |piece| copy.write_all(piece)).map_err(|error| told(&path, &error))?;
            // What stands behind it was not durable, and counts as never written.
            copy.set_len(file.size)?;
        }
        let directory = staging.path.join("vault");
        make_directory(&directory)?;
        vault.copy_to(&directory.join("vault.redb")).map_err(io::Error::other)?;
        for name in COPIED {
            copy_all(&data.join(name), &staging.path.join(name))?;
        }
        // It makes a directory one of data.
        create(&staging.path.join("lock"), 0o600)?;
        count(&staging.path)
    }
}

/// A name that is still being written, of whoever.
fn is_unfinished(name: &str) -> bool {
    name.starts_with('.') || name.ends_with(".part") || name.contains('#')
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // The lake may lie on another disk.
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => fs::copy(from, to).map(drop),
        linked => linked,
    }
    .map_err(|error| told(from, &error))
}

fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    make_directory(to)?;
    for (name, path) in files_of(from)? {
        link(&path, &to.join(name))?;
    }
    Ok(())
}

/// With all that is below; no directory is one without files.
fn copy_all(from: &Path, to: &Path) -> io::Result<()> {
    make_directory(to)?;
    for (name, path) in files_of(from)? {
        let target = to.join(name);
        // One that is replaced meanwhile is the new one or the old one, both whole.
        fs::copy(&path, &target).map_err(|error| told(&path, &error))?;
    }
    for entry in entries(from)? {
        if entry.file_type()?.is_dir() {
            copy_all(&entry.path(), &to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

fn files_of(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    for entry in entries(directory)? {
        // A name that is not UTF-8 is none of ours.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_file() && !is_unfinished(&name) {
            files.push((name, entry.path()));
        }
    }
    Ok(files)
}

fn entries(directory: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(told(directory, &error)),
    }
}

fn make_directory(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| told(path, &error))
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let file = File::options().write(true).create_new(true).mode(mode).open(path);
    file.map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

struct Counted {
    files: u64,
    bytes: u64,
}

fn count(directory: &Path) -> io::Result<Counted> {
    let mut counted = Counted { files: 0, bytes: 0 };
    for file in manifest::walk(directory)? {
        counted.files += 1;
        counted.bytes += fs::metadata(directory.join(&file))?.len();
    }
    Ok(counted)
}
