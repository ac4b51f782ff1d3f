//! Older versions of a table: which there are, and the files of one.
//! Always: a version that is handed out is all there, and while somebody holds it none of its files is removed; one of which
//! the log or a file is gone is refused, never read in part. Commits are used only if their own checksum agrees, and a
//! checkpoint only if the manifest's does. Does not keep anything: how long there is a past is for compaction, retention and
//! erasure to say.
//!
//! 1. The log from a checkpoint (or the first commit) through the version says which files it has.
//! 2. Those that the table still has are its own values; the others are taken out of the hands of whoever removes files.
//! 3. What is not on the disk any more makes the version one that is gone.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use hw_event::Timestamp;
use hw_pipeline::spawn_blocking;
use serde::Deserialize;

use crate::{
    Damage, Lake, LakeError, Table, TableSnapshot,
    checksums::differs,
    damage::place,
    delta::{Committed, DeltaHome},
    log_files::{LOG, LogFiles, Seal, check_seal, commit_file, commit_name},
    manifest::Manifest,
    replay::{AddLine, State},
    stats,
    table::PlaceColumns,
};

/// Which version is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    Version(u64),
    /// The newest one whose commit is not later than this.
    Time(Timestamp),
}

#[derive(Debug, thiserror::Error)]
pub enum VersionError {
    /// The table has had no commit, or none of this number yet.
    #[error("it has no version of this number; the newest is {}", .newest.map_or("none".to_owned(), |it| it.to_string()))]
    None { newest: Option<u64> },
    #[error("the version cannot be read any more; the oldest that can is {}", .oldest.version)]
    Gone { oldest: Version },
    #[error(transparent)]
    Lake(#[from] LakeError),
}

/// One version, as the log tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    pub version: u64,
    /// Of its commit, to the millisecond.
    pub at: Timestamp,
    /// What the commit did, in Delta's words: `WRITE`, `OPTIMIZE`, `DELETE`, `UPDATE`.
    pub operation: String,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
    /// All of its files are there.
    pub readable: bool,
}

impl Lake {
    /// The table as it was. What its hot tail held then is not in it.
    pub async fn table_as_of(&self, table: Table, as_of: AsOf) -> Result<Arc<TableSnapshot>, VersionError> {
        let (Some(committed), Some(name)) = (self.shared.committed(table), self.shared.name(table)) else {
            return Err(VersionError::None { newest: None });
        };
        let newest = committed.snapshot.version.cast_unsigned();
        let version = match as_of {
            AsOf::Version(version) => Some(version),
            AsOf::Time(time) => {
                let (directory, log_start) = (self.shared.root.join(&name), committed.log_start);
                self.blocking(&name, move || newest_before(&directory, time, log_start, newest)).await?
            }
        };
        match version {
            Some(version) if version > newest => return Err(VersionError::None { newest: Some(newest) }),
            Some(version) if version == newest => return Ok(committed.snapshot.clone()),
            _ => {}
        }
        let home = self.shared.home(table, &name)?;
        if let Some(version) = version
            && let Some(old) = home.look_at(version, committed.log_start, &self.shared.registry).await?
            && let Some(snapshot) = self.hold(table, &committed, old)
        {
            return Ok(snapshot);
        }
        let versions = self.versions(table).await?;
        match versions.into_iter().find(|version| version.readable) {
            Some(oldest) => Err(VersionError::Gone { oldest }),
            None => Err(VersionError::None { newest: Some(newest) }),
        }
    }

    /// All versions that the table's log still tells of, the oldest first.
    pub async fn versions(&self, table: Table) -> Result<Vec<Version>, LakeError> {
        let (Some(committed), Some(name)) = (self.shared.committed(table), self.shared.name(table)) else {
            return Ok(Vec::new());
        };
        let newest = committed.snapshot.version.cast_unsigned();
        let (directory, log_start) = (self.shared.root.join(&name), committed.log_start);
        let listed = directory.clone();
        let span = self.blocking(&name, move || whole_span(&listed, newest, log_start)).await?;
        let Some(span) = span else { return Ok(Vec::new()) };
        let state = match span.checkpoint {
            Some(checkpoint) => self.shared.home(table, &name)?.replay_at(checkpoint, None).await?,
            None => State::default(),
        };
        let going = self.shared.trash.going(table);
        let places = table.place_columns();
        let versions = self.blocking(&name, move || walk(&directory, state, span, newest, places, &going));
        versions.await
    }

    /// The snapshot with its files kept where they are. `None`: one of them is gone.
    fn hold(&self, table: Table, now: &Committed, old: Committed) -> Option<Arc<TableSnapshot>> {
        let mut snapshot = Arc::unwrap_or_clone(old.snapshot);
        let live: HashMap<_, _> = now.snapshot.files.iter().map(|file| (&file.path, file)).collect();
        let (mut files, mut past) = (snapshot.files, Vec::new());
        for file in &mut files {
            match live.get(&file.path) {
                Some(live) => *file = Arc::clone(live),
                None => past.push(file),
            }
        }
        if !self.shared.trash.hold(table, &mut past) {
            return None;
        }
        // Held, so what is there now stays there.
        if !past.iter().all(|file| self.shared.root.join(&file.path).is_file()) {
            return None;
        }
        snapshot.files = files;
        Some(Arc::new(snapshot))
    }

    async fn blocking<T: Send + 'static>(
        &self,
        name: &str,
        work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
    ) -> Result<T, LakeError> {
        let panicked = |_| LakeError::Panicked { directory: self.shared.root.join(name) };
        spawn_blocking(work).await.map_err(panicked)?
    }
}

/// A part of a log that says all of a table: from nothing or a checkpoint, commit by commit.
#[derive(Debug)]
pub(crate) struct Span {
    pub checkpoint: Option<u64>,
    /// The commits after it.
    pub commits: Vec<(u64, Vec<u8>)>,
}

/// What the table's log says of one version. `None`: not all of it is there any more.
pub(crate) fn span(directory: &Path, version: u64, log_start: u64) -> Result<Option<Span>, LakeError> {
    // What stands before it means nothing, even if its name is still there.
    if version < log_start {
        return Ok(None);
    }
    let files = LogFiles::list(directory)?;
    let mut checkpoints = files.checkpoints.range(log_start..=version).rev().map(|(version, _)| *version);
    let checkpoint = checkpoints.find(|checkpoint| files.has_commits(Some(*checkpoint), version));
    read_span(directory, &files, checkpoint, version)
}

/// The longest part of the log through `newest`.
fn whole_span(directory: &Path, newest: u64, log_start: u64) -> Result<Option<Span>, LakeError> {
    let files = LogFiles::list(directory)?;
    if log_start == 0 && files.has_commits(None, newest) {
        return read_span(directory, &files, None, newest);
    }
    let mut checkpoints = files.checkpoints.range(log_start..=newest).map(|(version, _)| *version);
    let checkpoint = checkpoints.find(|checkpoint| files.has_commits(Some(*checkpoint), newest));
    read_span(directory, &files, checkpoint, newest)
}

fn read_span(
    directory: &Path,
    files: &LogFiles,
    checkpoint: Option<u64>,
    version: u64,
) -> Result<Option<Span>, LakeError> {
    let first = match checkpoint {
        Some(checkpoint) => {
            check_checkpoint(directory, files, checkpoint)?;
            checkpoint + 1
        }
        None if files.has_commits(None, version) => 0,
        None => return Ok(None),
    };
    let mut commits = Vec::new();
    for version in first..=version {
        match read_commit(directory, version)? {
            Some(commit) => commits.push((version, commit)),
            // It was listed, and is removed by now.
            None => return Ok(None),
        }
    }
    Ok(Some(Span { checkpoint, commits }))
}

fn read_commit(directory: &Path, version: u64) -> Result<Option<Vec<u8>>, LakeError> {
    let path = commit_file(directory, version);
    match fs::read(&path) {
        Ok(commit) if check_seal(&commit) == Seal::Broken => {
            Err(damaged(directory, &commit_name(version), commit.len(), "its checksum does not match"))
        }
        Ok(commit) => Ok(Some(commit)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LakeError::Io { path, source }),
    }
}

/// Where the manifest knows a checkpoint, its files must be what was written.
fn check_checkpoint(directory: &Path, files: &LogFiles, version: u64) -> Result<(), LakeError> {
    let Some(Ok(state)) = Manifest::read(directory)?.map(|manifest| State::of(&manifest)) else {
        return Ok(());
    };
    let names = files.checkpoints.get(&version).into_iter().flatten();
    for name in names {
        let Some(known) = state.checkpoints.iter().find(|known| known.name == *name) else { continue };
        let path = directory.join(LOG).join(name);
        let bytes = fs::read(&path).map_err(|source| LakeError::Io { path, source })?;
        let crc32c = crc32c::crc32c(&bytes);
        if crc32c != known.crc32c {
            return Err(damaged(directory, name, bytes.len(), &differs(crc32c, known.crc32c)));
        }
    }
    Ok(())
}

pub(crate) fn damaged(directory: &Path, name: &str, bytes: usize, reason: &str) -> LakeError {
    let file = place(directory, Path::new(LOG).join(name));
    LakeError::Damaged(Damage { file, start: 0, end: bytes as u64, reason: reason.to_owned() })
}

#[derive(Deserialize)]
struct InfoLine {
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
    add: Option<AddLine>,
    remove: Option<PathLine>,
}

#[derive(Deserialize)]
struct Info {
    timestamp: Option<i64>,
    operation: Option<String>,
}

#[derive(Deserialize)]
struct PathLine {
    path: String,
}

fn lines(commit: &[u8]) -> impl Iterator<Item = Result<InfoLine, serde_json::Error>> {
    commit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(serde_json::from_slice)
}

/// The newest version whose commit is not later than `time`. `None`: none of those that the log tells of.
fn newest_before(
    directory: &Path,
    time: Timestamp,
    log_start: u64,
    newest: u64,
) -> Result<Option<u64>, LakeError> {
    for version in (log_start..=newest).rev() {
        let Some(commit) = read_commit(directory, version)? else { return Ok(None) };
        let info = lines(&commit).find_map(|line| line.ok()?.info);
        let at = info.and_then(|info| info.timestamp).unwrap_or(0);
        if at.saturating_mul(1000) <= time.0 {
            return Ok(Some(version));
        }
    }
    Ok(None)
}

/// A file of the versions that were gone through so far.
struct Past {
    added: u64,
    rows: u64,
    bytes: u64,
}

fn walk(
    directory: &Path,
    state: State,
    span: Span,
    newest: u64,
    places: PlaceColumns,
    going: &HashSet<PathBuf>,
) -> Result<Vec<Version>, LakeError> {
    let name = PathBuf::from(directory.file_name().unwrap_or_default());
    let rows_of = |add: &AddLine| {
        let stats = add.stats.as_deref().and_then(|json| stats::parse(json, places));
        stats.map_or(0, |(rows, _)| rows)
    };
    let there = |path: &str| directory.join(path).is_file() && !going.contains(&name.join(path));
    let mut files: HashMap<String, Past> = HashMap::new();
    let mut versions: Vec<Version> = Vec::new();
    let (mut rows, mut bytes) = (0, 0);
    // Of a checkpoint's own version the commit still says when it was, if it is there.
    let mut commits = Vec::new();
    if let Some(checkpoint) = span.checkpoint {
        for add in state.files() {
            let past = Past { added: checkpoint, rows: rows_of(add), bytes: add.size.max(0).cast_unsigned() };
            (rows, bytes) = (rows + past.rows, bytes + past.bytes);
            files.insert(add.path.clone(), past);
        }
        let commit = read_commit(directory, checkpoint)?.unwrap_or_default();
        commits.push((checkpoint, commit, true));
    }
    commits.extend(span.commits.into_iter().map(|(version, commit)| (version, commit, false)));
    for (version, commit, counted) in commits {
        let (mut at, mut operation) = (Timestamp(0), String::new());
        for line in lines(&commit) {
            let line = line.map_err(|error| {
                damaged(directory, &commit_name(version), commit.len(), &error.to_string())
            })?;
            if let Some(info) = line.info {
                at = Timestamp(info.timestamp.unwrap_or(0).saturating_mul(1000));
                operation = info.operation.unwrap_or_default();
            }
            if counted {
                continue;
            }
            if let Some(past) = line.remove.as_ref().and_then(|remove| files.remove(&remove.path)) {
                (rows, bytes) = (rows - past.rows, bytes - past.bytes);
                let path = line.remove.map(|remove| remove.path).unwrap_or_default();
                if !there(&path) {
                    let had = versions.iter_mut().rev().take_while(|version| version.version >= past.added);
                    had.for_each(|version| version.readable = false);
                }
            }
            if let Some(add) = line.add {
                let past =
                    Past { added: version, rows: rows_of(&add), bytes: add.size.max(0).cast_unsigned() };
                (rows, bytes) = (rows + past.rows, bytes + past.bytes);
                files.insert(add.path, past);
            }
        }
        versions.push(Version {
            version,
            at,
            operation,
            files: files.len() as u64,
            rows,
            bytes,
            readable: true,
        });
    }
    // The newest is the table itself, whatever its files are.
    for (path, past) in files.iter().filter(|(path, _)| !there(path)) {
        tracing::warn!(table = %name.display(), file = %path, "a file of the table is not there");
        let had = versions.iter_mut().filter(|version| (past.added..newest).contains(&version.version));
        had.for_each(|version| version.readable = false);
    }
    Ok(versions)
}

impl DeltaHome {
    /// The table as of an older version. `None`: its log does not say all of it any more.
    async fn look_at(
        &self,
        version: u64,
        log_start: u64,
        registry: &hw_schema::Registry,
    ) -> Result<Option<Committed>, LakeError> {
        let directory = self.directory.clone();
        let read = move || span(&directory, version, log_start);
        let Some(Span { checkpoint, commits }) = self.blocking(read.clone()).await? else { return Ok(None) };
        let mut state = match checkpoint {
            None => State::default(),
            Some(checkpoint) => match self.replay_at(checkpoint, None).await {
                Ok(state) => state,
                // The log was given up meanwhile, or it is damage.
                Err(error) => return self.blocking(read).await?.map_or(Ok(None), |_| Err(error)),
            },
        };
        for (version, commit) in commits {
            state.commit(version, &commit).map_err(|error| {
                damaged(&self.directory, &commit_name(version), commit.len(), &error.to_string())
            })?;
        }
        self.committed(&state, None, registry).map(Some)
    }
}
