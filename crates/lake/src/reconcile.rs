//! Holds a table's Delta log against its manifest, and repairs the log where the two differ.
//! Always: what is repaired is written durably before the table is used; another writer's commit is never overwritten;
//! where the manifest cannot speak for the whole log, it says so and changes nothing about that part.
//!
//! 1. Each commit that the manifest has as a record is compared byte for byte. One that is missing, empty, torn or
//!    otherwise not the same is written again from its record. The last record may be the intent of a commit that never
//!    came to be: making it now is as good, since its files were durable before it, and it carries its position.
//! 2. The newest checkpoint and `_last_checkpoint` are held against their checksums. A bad checkpoint is removed, and its
//!    caller makes a new one; a bad `_last_checkpoint` is written again.
//! 3. A checkpoint that the manifest does not know was cut off from its record by a crash. It is removed, unless the
//!    commits before it are gone, so that it is all there is.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use object_store::PutMode;

use crate::{
    Damage, LakeError,
    checksums::differs,
    damage::place,
    log_files::{LAST_CHECKPOINT, LOG, LogFiles, Tip, commit_name, is_of_another_writer},
    manifest::{self, Kind, Manifest},
    replay::State,
    store::{Syncs, put_file},
};

#[derive(Debug)]
pub(crate) enum Found {
    /// There is no table.
    Nothing,
    Known(Box<Known>),
    /// The log has to be read: there is no manifest, it is damaged, or it lacks what another writer did.
    Unknown {
        repaired: Vec<Damage>,
    },
}

/// The manifest speaks for the table, and the log agrees with it.
#[derive(Debug)]
pub(crate) struct Known {
    pub state: State,
    /// Where the manifest ends.
    pub end: u64,
    /// There was a checkpoint, and it had to be removed.
    pub checkpoint_lost: bool,
    pub repaired: Vec<Damage>,
}

/// Blocking.
pub(crate) fn reconcile(directory: &Path, syncs: &dyn Syncs) -> Result<Found, LakeError> {
    let files = LogFiles::list(directory)?;
    let Some(manifest) = Manifest::read(directory)? else {
        let nothing = files.commits.is_empty() && files.checkpoints.is_empty();
        return Ok(if nothing { Found::Nothing } else { Found::Unknown { repaired: Vec::new() } });
    };
    let mut log = Log { directory, syncs, repaired: Vec::new() };
    let newest = files.commits.keys().next_back().copied();
    let state = State::of(&manifest).map_err(|error| {
        let file = place(directory, manifest::path(Path::new("")));
        LakeError::Damaged(Damage { file, start: 0, end: manifest.end, reason: error.to_string() })
    })?;
    let Some(version) = state.version else {
        // Nothing but the beginning of a first intent, or a manifest that is damaged from its start.
        if newest.is_none() && files.checkpoints.is_empty() {
            log.remove(&manifest::path(directory))?;
            return Ok(Found::Nothing);
        }
        log.repaired.extend(manifest.rest);
        return Ok(Found::Unknown { repaired: log.repaired });
    };
    for frame in manifest.frames.iter().filter(|frame| frame.kind == Kind::Commit) {
        if !log.repair_commit(frame.version, manifest.payload(frame))? {
            return Ok(Found::Unknown { repaired: log.repaired });
        }
    }
    if newest > Some(version) {
        log.repaired.extend(manifest.rest);
        return Ok(Found::Unknown { repaired: log.repaired });
    }
    if let Some(rest) = manifest.rest {
        let path = manifest::path(directory);
        manifest::cut(directory, manifest.end, syncs).map_err(|source| LakeError::Io { path, source })?;
        tracing::info!(%rest, "cut off the end of a manifest: the commit it was to note was never made");
    }
    let (state, checkpoint_lost) = log.repair_checkpoints(state, &files, version)?;
    let (end, repaired) = (manifest.end, log.repaired);
    Ok(Found::Known(Box::new(Known { state, end, checkpoint_lost, repaired })))
}

/// Without a manifest's word, checkpoints that no commit vouches for are removed, and so is one that is not as vouched
/// for; the log is then read without them. A log of before commits did so is taken as it is.
pub(crate) fn distrust_checkpoints(
    directory: &Path,
    tip: &Tip,
    syncs: &dyn Syncs,
) -> Result<Vec<Damage>, LakeError> {
    let mut log = Log { directory, syncs, repaired: Vec::new() };
    if !tip.sealed {
        return Ok(log.repaired);
    }
    let files = LogFiles::list(directory)?;
    let vouched = tip.vouched.map(|(version, _)| version);
    for (&version, names) in files.checkpoints.range(vouched.unwrap_or(0)..) {
        for name in names {
            let path = directory.join(LOG).join(name);
            if Some(version) == vouched {
                let bytes = log.read(&path)?.unwrap_or_default();
                let (found, named) = (crc32c::crc32c(&bytes), tip.vouched.map_or(0, |(_, crc32c)| crc32c));
                if found != named {
                    log.note(name, bytes.len() as u64, differs(found, named));
                    log.remove(&path)?;
                }
            } else if files.has_commits(vouched, tip.version) {
                log.remove(&path)?;
            }
        }
    }
    // It is only a hint, and nothing says that it is whole.
    log.remove(&directory.join(LOG).join(LAST_CHECKPOINT))?;
    log.sync()?;
    Ok(log.repaired)
}

struct Log<'a> {
    directory: &'a Path,
    syncs: &'a dyn Syncs,
    repaired: Vec<Damage>,
}

impl Log<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(LOG).join(name)
    }

    fn note(&mut self, name: &str, end: u64, reason: String) {
        let file = place(self.directory, Path::new(LOG).join(name));
        self.repaired.push(Damage { file, start: 0, end, reason });
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, LakeError> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LakeError::Io { path: path.to_owned(), source }),
        }
    }

    fn put(&self, name: &str, bytes: &[u8], mode: &PutMode) -> Result<(), LakeError> {
        let path = self.path(name);
        put_file(self.syncs, &path, [bytes].into_iter(), mode)
            .map_err(|source| LakeError::Io { path, source })
    }

    fn remove(&self, path: &Path) -> Result<(), LakeError> {
        match self.syncs.write(path).and_then(|()| fs::remove_file(path)) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(LakeError::Io { path: path.to_owned(), source })
            }
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), LakeError> {
        let path = self.directory.join(LOG);
        self.syncs.directory(&path).map_err(|source| LakeError::Io { path, source })
    }

    /// Returns `false` if another writer's commit stands in this one's place.
    fn repair_commit(&mut self, version: u64, record: &[u8]) -> Result<bool, LakeError> {
        let name = commit_name(version);
        match self.read(&self.path(&name))? {
            Some(bytes) if bytes == record => {}
            Some(bytes) if is_of_another_writer(&bytes) => return Ok(false),
            Some(bytes) => {
                let reason = difference(&bytes, record);
                self.put(&name, record, &PutMode::Overwrite)?;
                self.note(&name, bytes.len().max(record.len()) as u64, reason);
            }
            None => {
                // A link, not a rename: whoever was faster keeps the version.
                match self.put(&name, record, &PutMode::Create) {
                    Ok(()) => self.note(&name, record.len() as u64, "the commit file is missing".to_owned()),
                    Err(LakeError::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                        return Ok(false);
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(true)
    }

    fn repair_checkpoints(
        &mut self,
        mut state: State,
        files: &LogFiles,
        version: u64,
    ) -> Result<(State, bool), LakeError> {
        let newest = state.checkpoint();
        let mut lost = false;
        for checkpoint in state.checkpoints.iter().filter(|file| Some(file.version) == newest) {
            let path = self.path(&checkpoint.name);
            let bytes = self.read(&path)?.unwrap_or_default();
            let crc32c = crc32c::crc32c(&bytes);
            let reason = match bytes.len() as u64 {
                0 => "the checkpoint is missing or empty".to_owned(),
                length if length != checkpoint.bytes => {
                    format!("it has {length} bytes, not {}", checkpoint.bytes)
                }
                _ if crc32c != checkpoint.crc32c => differs(crc32c, checkpoint.crc32c),
                _ => continue,
            };
            self.note(&checkpoint.name, checkpoint.bytes, reason);
            self.remove(&path)?;
            lost = true;
        }
        if lost {
            state.checkpoints.retain(|file| Some(file.version) != newest);
            state.last_checkpoint = None;
        }
        let after = newest.map_or(0, |version| version + 1);
        let unknown = files.checkpoints.range(after..).filter(|_| files.has_commits(newest, version));
        for name in unknown.flat_map(|(_, names)| names) {
            self.remove(&self.path(name))?;
        }
        let hint = self.read(&self.path(LAST_CHECKPOINT))?;
        match &state.last_checkpoint {
            Some(text) if hint.as_deref() != Some(text.as_bytes()) => {
                self.put(LAST_CHECKPOINT, text.as_bytes(), &PutMode::Overwrite)?;
                let reason = difference(&hint.unwrap_or_default(), text.as_bytes());
                self.note(LAST_CHECKPOINT, text.len() as u64, reason);
            }
            None if hint.is_some() => {
                self.remove(&self.path(LAST_CHECKPOINT))?;
                self.sync()?;
            }
            _ => {}
        }
        Ok((state, lost))
    }
}

/// Says where two contents begin to differ.
fn difference(found: &[u8], written: &[u8]) -> String {
    if found.len() != written.len() {
        return format!("it has {} bytes, not {}", found.len(), written.len());
    }
    let at = found.iter().zip(written).position(|(found, written)| found != written).unwrap_or(0);
    format!("it differs from what was written, first at byte {at}")
}
