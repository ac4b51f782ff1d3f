//! Where the vault rests: one file of redb, `vault.redb`, in a directory of its own.
//!
//! Tables (all bytes of a value are a sealed box, see `sealed.rs`):
//! - `meta`: `format` → 1 (u8); `root` → the id of the root key; `key` → the vault's key, sealed under the root key.
//! - `subjects`: subject id → the subject's key, sealed under a key of the vault for this id. Comes with the subject's first
//!   entry, goes with its erasure, never changes.
//! - `tokens`: (domain, token, subject id) → the value, sealed under the subject's key for this domain and token.
//! - `erased`: 16 bytes of a keyed digest of (domain, token) → nothing. The token had an entry that was destroyed.
//!
//! Always: a commit is in two phases, so that a torn one is found and never taken for an older state; what could not be
//! synced is made anew in another file; a file that was replaced is overwritten before its name goes. A file that is damaged
//! is refused by name: keys cannot be made again.

use std::{
    fs, io,
    io::Write,
    mem,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Builder, Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition,
    backends::FileBackend,
};

use crate::root::RootKey;

pub(crate) const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");
pub(crate) const SUBJECTS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("subjects");
pub(crate) const TOKENS: TableDefinition<(&str, &str, &[u8; 32]), &[u8]> = TableDefinition::new("tokens");
pub(crate) const ERASED: TableDefinition<&[u8; 16], ()> = TableDefinition::new("erased");

const FORMAT: u8 = 1;
const META_FORMAT: &str = "format";
const META_ROOT: &str = "root";
const META_KEY: &str = "key";

const FILE: &str = "vault.redb";
const PART: &str = "vault.redb.part";
const OLD: &str = "vault.redb.old";

/// What redb may keep of the file in memory.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Why the vault could not do what it was asked. Texts hold no value and no subject.
#[derive(Debug, Clone, thiserror::Error)]
pub enum VaultError {
    #[error("cannot {action} the vault {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    #[error("the vault {} is damaged: {reason}\n  restore it from a backup of the data directory; without it no token can be revealed", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error("the vault {} is sealed under the root key {needs}, and {given} was given", path.display())]
    WrongRoot { path: PathBuf, needs: String, given: String },
    #[error("the vault {} has format {found}; this version knows {FORMAT}", path.display())]
    Format { path: PathBuf, found: u8 },
    #[error("the vault {} could not be written: {reason}", path.display())]
    Broken { path: PathBuf, reason: String },
    #[error("a box sealed for {purpose:?} does not open: it is damaged, or another vault's")]
    Sealed { purpose: String },
    #[error("the vault is closed")]
    Closed,
}

enum State {
    Open(Database),
    /// A write failed. `renew`: what the file says may not be on the disk, so that all of it is copied.
    Broken {
        renew: bool,
        reason: String,
    },
    Closed,
}

pub(crate) struct Cabinet {
    directory: PathBuf,
    state: State,
}

impl Cabinet {
    pub fn file(directory: &Path) -> PathBuf {
        directory.join(FILE)
    }

    /// Opens the vault in `directory`, or makes one with `key`, which is sealed already; returns it with the sealed key.
    pub fn open(
        directory: &Path,
        root: &RootKey,
        new_key: impl FnOnce() -> Vec<u8>,
    ) -> Result<(Cabinet, Vec<u8>), VaultError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| directory.parent().map_or(Ok(()), sync_directory))
            .map_err(|error| io_error("make", directory, error))?;
        tidy_up(directory).map_err(|error| io_error("tidy up", directory, error))?;
        let path = directory.join(FILE);
        if !path.exists() {
            make(directory, root, &new_key())?;
        }
        let database = open_database(&path, true)?;
        let sealed = check_meta(&database, &path, root)?;
        Ok((Cabinet { directory: directory.to_owned(), state: State::Open(database) }, sealed))
    }

    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// The open file; one that a failed write has left behind is made good first.
    pub fn database(&mut self) -> Result<&Database, VaultError> {
        if let State::Broken { renew, .. } = self.state {
            tidy_up(&self.directory).map_err(|error| io_error("tidy up", &self.directory, error))?;
            self.state = State::Open(open_database(&self.path(), true)?);
            if renew {
                let copied = self.replace(|old, new| copy(old, new, |_| true, |_, _| [0; 16]).map(drop));
                if let Err(error) = copied {
                    self.fail(true, error.to_string());
                    return Err(error);
                }
            }
        }
        match &self.state {
            State::Open(database) => Ok(database),
            State::Broken { reason, .. } => {
                Err(VaultError::Broken { path: self.path(), reason: reason.clone() })
            }
            State::Closed => Err(VaultError::Closed),
        }
    }

    /// Notes that a write has failed, and says so.
    pub fn failed(&mut self, error: redb::Error) -> VaultError {
        // Where there was no room, nothing half-written was promised; what else failed may stand in memory alone.
        let full = matches!(&error, redb::Error::Io(error) if error.kind() == io::ErrorKind::StorageFull);
        let reason = error.to_string();
        self.fail(!full, reason.clone());
        VaultError::Broken { path: self.path(), reason }
    }

    fn fail(&mut self, renew: bool, reason: String) {
        if !matches!(self.state, State::Closed) {
            self.state = State::Broken { renew, reason };
        }
    }

    pub fn damaged(&self, reason: impl Into<String>) -> VaultError {
        VaultError::Damaged { path: self.path(), reason: reason.into() }
    }

    /// Puts another file in this one's place: 1. copy into a new file, synced; 2. keep the old one under a second name; 3. the
    /// new one takes the name, and the directory is synced; 4. the old one is overwritten with zeros and goes.
    pub fn replace<T>(
        &mut self,
        copy: impl FnOnce(&Database, &Database) -> Result<T, redb::Error>,
    ) -> Result<T, VaultError> {
        let path = self.path();
        let (part, kept) = (self.directory.join(PART), self.directory.join(OLD));
        let directory = self.directory.clone();
        wipe(&part).map_err(|error| io_error("tidy up", &part, error))?;
        let old = self.database()?;
        let copied = new_database(&part)
            .and_then(|new| {
                let copied = copy(old, &new)?;
                new.close()?;
                Ok(copied)
            })
            .map_err(|error| VaultError::Broken { path: path.clone(), reason: error.to_string() });
        let copied = match copied {
            Ok(copied) => copied,
            Err(error) => {
                let _ = wipe(&part);
                return Err(error);
            }
        };
        let reason = "it was not replaced to the end".to_owned();
        let old = mem::replace(&mut self.state, State::Broken { renew: false, reason });
        // Its last words do not matter: all of it was copied.
        drop(old);
        let swapped = fs::hard_link(&path, &kept)
            .and_then(|()| fs::rename(&part, &path))
            .and_then(|()| sync_directory(&directory))
            .and_then(|()| wipe(&kept));
        swapped.map_err(|error| io_error("replace", &path, error))?;
        self.state = State::Open(open_database(&path, false)?);
        Ok(copied)
    }

    /// Nothing may be written meanwhile, which whoever has this value sees to: then it is what a killed process leaves.
    pub fn copy_to(&self, to: &Path) -> Result<(), VaultError> {
        let path = self.path();
        let copied = fs::File::open(&path).and_then(|mut from| {
            let mut to = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()
        });
        copied.map_err(|error| io_error("copy", &path, error))
    }

    pub fn close(&mut self) {
        if let State::Open(database) = mem::replace(&mut self.state, State::Closed)
            && let Err(error) = database.close()
        {
            tracing::warn!(%error, "the vault was not closed cleanly; the next start checks it");
        }
    }
}

/// What `copy` has left out.
#[derive(Default)]
pub(crate) struct LeftOut {
    pub subjects: u64,
    pub entries: u64,
}

/// Copies all that belongs to subjects that are kept; `erased` names the tokens of the others.
pub(crate) fn copy(
    old: &Database,
    new: &Database,
    keep: impl Fn(&[u8; 32]) -> bool,
    erased: impl Fn(&str, &str) -> [u8; 16],
) -> Result<LeftOut, redb::Error> {
    let reading = old.begin_read()?;
    let mut writing = new.begin_write()?;
    writing.set_two_phase_commit(true);
    {
        let mut meta = writing.open_table(META)?;
        for item in reading.open_table(META)?.iter()? {
            let (name, value) = item?;
            meta.insert(name.value(), value.value())?;
        }
    }
    writing.commit()?;
    copy_but_meta(old, new, keep, erased)
}

/// The same without what the vault says of itself.
pub(crate) fn copy_but_meta(
    old: &Database,
    new: &Database,
    keep: impl Fn(&[u8; 32]) -> bool,
    erased: impl Fn(&str, &str) -> [u8; 16],
) -> Result<LeftOut, redb::Error> {
    let mut left_out = LeftOut::default();
    let reading = old.begin_read()?;
    let mut writing = new.begin_write()?;
    writing.set_two_phase_commit(true);
    {
        let mut subjects = writing.open_table(SUBJECTS)?;
        for item in reading.open_table(SUBJECTS)?.iter()? {
            let (id, key) = item?;
            if keep(id.value()) {
                subjects.insert(id.value(), key.value())?;
            } else {
                left_out.subjects += 1;
            }
        }
        let mut marks = writing.open_table(ERASED)?;
        for item in reading.open_table(ERASED)?.iter()? {
            marks.insert(item?.0.value(), ())?;
        }
        let mut tokens = writing.open_table(TOKENS)?;
        for item in reading.open_table(TOKENS)?.iter()? {
            let (entry, value) = item?;
            let (domain, token, subject) = entry.value();
            if keep(subject) {
                tokens.insert((domain, token, subject), value.value())?;
                continue;
            }
            left_out.entries += 1;
            marks.insert(&erased(domain, token), ())?;
        }
    }
    writing.commit()?;
    Ok(left_out)
}

/// Names another root key, under which the vault's key is `sealed` now.
pub(crate) fn write_root(database: &Database, root: &RootKey, sealed: &[u8]) -> Result<(), redb::Error> {
    let mut writing = database.begin_write()?;
    writing.set_two_phase_commit(true);
    {
        let mut meta = writing.open_table(META)?;
        meta.insert(META_FORMAT, [FORMAT].as_slice())?;
        meta.insert(META_ROOT, root.id().as_bytes())?;
        meta.insert(META_KEY, sealed)?;
        writing.open_table(SUBJECTS)?;
        writing.open_table(TOKENS)?;
        writing.open_table(ERASED)?;
    }
    writing.commit()?;
    Ok(())
}

/// How many subjects, entries and tokens without an entry there are.
pub(crate) fn counts(database: &Database) -> Result<(u64, u64, u64), redb::Error> {
    let reading = database.begin_read()?;
    let subjects = reading.open_table(SUBJECTS)?.len()?;
    let tokens = reading.open_table(TOKENS)?.len()?;
    let erased = reading.open_table(ERASED)?.len()?;
    Ok((subjects, tokens, erased))
}

/// A vault under its name is a whole one: it is made under another.
fn make(directory: &Path, root: &RootKey, sealed: &[u8]) -> Result<(), VaultError> {
    let (part, path) = (directory.join(PART), directory.join(FILE));
    let made = new_database(&part).and_then(|database| {
        write_root(&database, root, sealed)?;
        database.close()?;
        Ok(())
    });
    made.map_err(|error| VaultError::Broken { path: path.clone(), reason: error.to_string() })?;
    fs::rename(&part, &path)
        .and_then(|()| sync_directory(directory))
        .map_err(|error| io_error("make", &path, error))
}

fn new_database(path: &Path) -> Result<Database, redb::Error> {
    let file = fs::OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    Ok(Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(FileBackend::new(file)?)?)
}

fn open_database(path: &Path, check: bool) -> Result<Database, VaultError> {
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| io_error("open", path, error))?;
    let damaged = |reason: String| VaultError::Damaged { path: path.to_owned(), reason };
    // Of an empty file redb would make an empty vault.
    if file.metadata().map_err(|error| io_error("open", path, error))?.len() == 0 {
        return Err(damaged("the file is empty".to_owned()));
    }
    let opened = catch_unwind(AssertUnwindSafe(|| -> Result<Database, redb::Error> {
        let backend = FileBackend::new(file)?;
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(check);
        Ok(builder.create_with_backend(backend)?)
    }));
    match opened {
        Ok(Ok(database)) => Ok(database),
        Ok(Err(redb::Error::Io(error))) if error.kind() != io::ErrorKind::InvalidData => {
            Err(io_error("open", path, error))
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("its pages contradict one another".to_owned())),
    }
}

/// The sealed key, if this is a vault of this format under `root`.
fn check_meta(database: &Database, path: &Path, root: &RootKey) -> Result<Vec<u8>, VaultError> {
    let damaged = |reason: &str| VaultError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
    let read = || -> Result<[Option<Vec<u8>>; 3], redb::Error> {
        let reading = database.begin_read()?;
        let meta = reading.open_table(META)?;
        // Of the right types, and there.
        reading.open_table(SUBJECTS)?;
        reading.open_table(TOKENS)?;
        reading.open_table(ERASED)?;
        let value = |name| -> Result<Option<Vec<u8>>, redb::Error> {
            Ok(meta.get(name)?.map(|value| value.value().to_vec()))
        };
        Ok([value(META_FORMAT)?, value(META_ROOT)?, value(META_KEY)?])
    };
    let [format, id, key] = read().map_err(|error| damaged(&error.to_string()))?;
    match format.as_deref() {
        Some([FORMAT]) => {}
        Some([found]) => return Err(VaultError::Format { path: path.to_owned(), found: *found }),
        _ => return Err(damaged("it does not say its format")),
    }
    let id = id.and_then(|id| String::from_utf8(id).ok()).ok_or_else(|| damaged("it names no root key"))?;
    if id != root.id() {
        let given = root.id().to_owned();
        return Err(VaultError::WrongRoot { path: path.to_owned(), needs: id, given });
    }
    key.ok_or_else(|| damaged("it has no key"))
}

/// Ends what a crash has interrupted: see `Cabinet::replace`.
fn tidy_up(directory: &Path) -> io::Result<()> {
    let (path, kept) = (directory.join(FILE), directory.join(OLD));
    wipe(&directory.join(PART))?;
    match (inode(&path)?, inode(&kept)?) {
        (Some(file), Some(old)) if file == old => {
            fs::remove_file(&kept)?;
            sync_directory(directory)
        }
        (Some(_), Some(_)) => wipe(&kept),
        // Cannot come of a crash; whoever has removed the vault may want this one.
        (None, _) | (_, None) => Ok(()),
    }
}

fn inode(path: &Path) -> io::Result<Option<(u64, u64)>> {
    match fs::metadata(path) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Overwrites a file with zeros, if it is there, and removes it.
fn wipe(path: &Path) -> io::Result<()> {
    const ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
    let mut file = match fs::OpenOptions::new().write(true).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut left = file.metadata()?.len();
    while left > 0 {
        let count = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..count as usize])?;
        left -= count;
    }
    file.sync_all()?;
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), sync_directory)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    fs::File::open(path)?.sync_all()
}

fn io_error(action: &'static str, path: &Path, error: io::Error) -> VaultError {
    VaultError::Io { action, path: path.to_owned(), source: Arc::new(error) }
}
