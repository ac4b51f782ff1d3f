//! Reads everything of one table that is at rest and says what is not as it was written.
//! Always: reads only; works beside a server and without one. Only what another writer made has no checksum to be held
//! against: its commits behind a checkpoint, and its data files.

use std::{collections::HashSet, fs, io, path::Path};

use crate::{
    Damage,
    checksums::{self, Expected, Pieces, differs},
    damage::place,
    delta::{FILE_CRC32C, FILE_PIECES},
    log_files::{
        LAST_CHECKPOINT, LOG, LogFiles, PREVIOUS_CRC32C, check_log, commit_file, commit_name, info,
        parse_crc32c,
    },
    manifest::{self, Kind, Manifest},
    replay::{AddLine, State},
};

/// What is damaged in the table in `directory`. `pace` is told of all bytes as they are read, and may wait. Blocking.
pub fn check_table(directory: &Path, pace: &mut dyn FnMut(u64)) -> Vec<Damage> {
    check_through(directory, u64::MAX, pace)
}

/// As above, of a table that is being written: commits after `through` are under way, and left out.
pub(crate) fn check_through(directory: &Path, through: u64, pace: &mut dyn FnMut(u64)) -> Vec<Damage> {
    let mut check = Check { directory, pace, found: Vec::new(), live: None };
    match Manifest::read(directory) {
        Ok(Some(manifest)) => check.by_manifest(&manifest, through),
        Ok(None) => check.by_log(),
        Err(error) => check.found(Path::new(&manifest::path(Path::new(""))), 0, 0, error.to_string()),
    }
    check.found
}

struct Check<'a> {
    directory: &'a Path,
    pace: &'a mut dyn FnMut(u64),
    found: Vec<Damage>,
    /// The table's files as of the last look: compaction may have replaced one while others were read.
    live: Option<HashSet<String>>,
}

impl Check<'_> {
    fn found(&mut self, file: &Path, start: u64, end: u64, reason: String) {
        self.found.push(Damage { file: place(self.directory, file), start, end, reason });
    }

    fn found_in_log(&mut self, name: &str, end: u64, reason: String) {
        self.found(&Path::new(LOG).join(name), 0, end, reason);
    }

    fn read_log(&mut self, name: &str) -> Option<Vec<u8>> {
        match fs::read(self.directory.join(LOG).join(name)) {
            Ok(bytes) => {
                (self.pace)(bytes.len() as u64);
                Some(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.found_in_log(name, 0, format!("it cannot be read: {error}"));
                None
            }
        }
    }

    fn by_manifest(&mut self, manifest: &Manifest, through: u64) {
        (self.pace)(manifest.end);
        let state = match State::of(manifest) {
            Ok(state) if state.version.is_some() => state,
            _ => {
                self.found.extend(manifest.rest.clone());
                return self.by_log();
            }
        };
        // Behind what is being appended at this moment, a reader finds half a frame.
        if through == u64::MAX {
            self.found.extend(manifest.rest.clone());
        }
        let commits = manifest.frames.iter().filter(|frame| frame.kind == Kind::Commit);
        for frame in commits.filter(|frame| frame.version <= through) {
            let (name, record) = (commit_name(frame.version), manifest.payload(frame));
            match self.read_log(&name) {
                Some(bytes) if bytes == record => {}
                Some(bytes) => {
                    self.found_in_log(&name, bytes.len() as u64, "it is not what was written".to_owned())
                }
                None => {
                    self.found_in_log(&name, record.len() as u64, "the commit file is missing".to_owned())
                }
            }
        }
        for checkpoint in &state.checkpoints {
            let file = Path::new(LOG).join(&checkpoint.name);
            let expected = Expected {
                file: place(self.directory, &file),
                bytes: checkpoint.bytes,
                crc32c: Some(checkpoint.crc32c),
                pieces: None,
            };
            self.found.extend(checksums::check_file(&self.directory.join(file), &expected, self.pace));
        }
        if let Some(text) = &state.last_checkpoint
            && self.read_log(LAST_CHECKPOINT).as_deref() != Some(text.as_bytes())
        {
            self.found_in_log(LAST_CHECKPOINT, text.len() as u64, "it is not what was written".to_owned());
        }
        if let Some((version, crc32c)) = state.snapshot_tip {
            self.history(state.log_start, version, crc32c);
        }
        if let Some(state) = self.with_newer_commits(state) {
            self.files(&state);
        }
    }

    /// What another writer committed since: it may have removed files. `None`: one of its commits cannot be read.
    fn with_newer_commits(&mut self, mut state: State) -> Option<State> {
        let files = LogFiles::list(self.directory).ok()?;
        let known = state.version?;
        for (&version, name) in files.commits.range(known + 1..) {
            let bytes = self.read_log(name)?;
            if let Err(error) = state.commit(version, &bytes) {
                self.found_in_log(name, bytes.len() as u64, error.to_string());
                return None;
            }
        }
        Some(state)
    }

    /// The commits behind the snapshot, each by what the one after it says. Nobody needs them to read the table.
    fn history(&mut self, log_start: u64, version: u64, crc32c: u32) {
        let Ok(files) = LogFiles::list(self.directory) else { return };
        let mut after = Some((version + 1, Some(crc32c)));
        for (&version, name) in files.commits.range(log_start..=version).rev() {
            if let Some((next, _)) = after.filter(|(next, _)| *next != version + 1) {
                self.found_in_log(&commit_name(next - 1), 0, "the commit file is missing".to_owned());
                after = None;
            }
            let Some(bytes) = self.read_log(name) else { continue };
            let found = crc32c::crc32c(&bytes);
            let named = after.and_then(|(_, named)| named);
            let whole = named.is_none_or(|named| named == found);
            let previous = if whole {
                let actions =
                    serde_json::Deserializer::from_slice(&bytes).into_iter().flatten().collect::<Vec<_>>();
                info(&actions, PREVIOUS_CRC32C).and_then(parse_crc32c)
            } else {
                self.found_in_log(name, bytes.len() as u64, differs(found, named.unwrap_or(0)));
                None
            };
            after = Some((version, previous));
        }
    }

    fn files(&mut self, state: &State) {
        for add in state.files() {
            let (crc32c, pieces) = checksums_of(add);
            let expected = Expected {
                file: place(self.directory, &add.path),
                bytes: u64::try_from(add.size).unwrap_or(0),
                crc32c,
                pieces: pieces.as_ref(),
            };
            let found = checksums::check_file(&self.directory.join(&add.path), &expected, self.pace);
            if !found.is_empty() && self.is_live(&add.path) {
                self.found.extend(found);
            }
        }
    }

    fn is_live(&mut self, path: &str) -> bool {
        if self.live.as_ref().is_some_and(|live| !live.contains(path)) {
            return false;
        }
        let manifest = Manifest::read(self.directory).ok().flatten();
        match manifest.and_then(|manifest| State::of(&manifest).ok()) {
            Some(state) if state.version.is_some() => {
                let live = self.live.insert(state.files().map(|add| add.path.clone()).collect());
                live.contains(path)
            }
            _ => true,
        }
    }

    /// Of a table without a manifest that could be read.
    fn by_log(&mut self) {
        match check_log(self.directory) {
            Ok(Some(tip)) => {
                if tip.sealed && self.found.is_empty() {
                    let file = manifest::path(Path::new(""));
                    self.found(&file, 0, 0, "the manifest is missing".to_owned());
                }
                let mut state = State::default();
                for version in 0..=tip.version {
                    let Ok(bytes) = fs::read(commit_file(self.directory, version)) else { return };
                    (self.pace)(bytes.len() as u64);
                    if state.commit(version, &bytes).is_err() {
                        return;
                    }
                }
                self.files(&state);
            }
            Ok(None) => {}
            Err(crate::LakeError::Damaged(damage)) => self.found.push(damage),
            Err(error) => self.found(Path::new(LOG), 0, 0, error.to_string()),
        }
    }
}

/// The checksums that an `add` action has in its tags.
pub(crate) fn checksums_of(add: &AddLine) -> (Option<u32>, Option<Pieces>) {
    let tag = |key| add.tags.as_ref()?.get(key)?.as_deref();
    let bytes = u64::try_from(add.size).unwrap_or(0);
    (tag(FILE_CRC32C).and_then(parse_crc32c), tag(FILE_PIECES).and_then(|tag| Pieces::from_tag(tag, bytes)))
}
