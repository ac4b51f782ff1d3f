//! What a manifest's frames add up to: the table as of its last commit, out of the same lines of JSON that Delta has.
//! Always: a file that was added and not removed is there once, in the order of adding; a newer table definition or
//! position replaces the older.
//!
//! The payload of a snapshot is lines of JSON. The first is ours:
//! `{"snapshot":{"tip_crc32c":…,"checkpoints":[{"version":…,"name":…,"bytes":…,"crc32c":…,"at":…}],"last_checkpoint":…,
//! "log_start":…,"removed":{"…":…}}}`, where `last_checkpoint` is the text of that file, `at` the time of a checkpoint in
//! milliseconds, the log before version `log_start` is given up, and `removed` are the files that are no part of the table any
//! more and may still be there, and since when. The others are Delta's actions, as a checkpoint would have them: `metaData`,
//! `txn`, `add`.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::manifest::{Kind, Manifest};

/// A table as of one version.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// `None`: there was no commit yet.
    pub version: Option<u64>,
    /// Of the commit file of that version.
    pub tip_crc32c: u32,
    /// Of the snapshot that this began with: its version, and the CRC-32C of that commit's file.
    pub snapshot_tip: Option<(u64, u32)>,
    /// The line of the `metaData` action.
    pub metadata: Option<String>,
    /// By application.
    pub positions: BTreeMap<String, i64>,
    pub checkpoints: Vec<CheckpointFile>,
    /// The text of `_last_checkpoint`.
    pub last_checkpoint: Option<String>,
    /// Commits and checkpoints before this version may be gone.
    pub log_start: u64,
    /// Of the payload of the snapshot that this began with.
    pub snapshot_bytes: u64,
    /// Files that are no part of the table any more, and since when, in milliseconds; they may still be there, for whoever
    /// reads an older version.
    pub removed: BTreeMap<String, i64>,
    files: Vec<Option<FileLine>>,
    by_path: HashMap<String, usize>,
}

/// A file of a checkpoint, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckpointFile {
    pub version: u64,
    pub name: String,
    pub bytes: u64,
    pub crc32c: u32,
    /// When it was written, in milliseconds. `None`: before that was noted.
    #[serde(default)]
    pub at: Option<i64>,
}

#[derive(Debug, Clone)]
struct FileLine {
    add: AddLine,
    /// With all that Delta's readers may want to know of it.
    line: String,
}

/// Of an `add` action, what our readers need.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct AddLine {
    pub path: String,
    pub size: i64,
    pub stats: Option<String>,
    #[serde(default)]
    pub tags: Option<HashMap<String, Option<String>>>,
}

#[derive(Deserialize)]
struct Line {
    add: Option<AddLine>,
    remove: Option<RemoveLine>,
    #[serde(rename = "metaData")]
    metadata: Option<serde::de::IgnoredAny>,
    txn: Option<TxnLine>,
    snapshot: Option<SnapshotLine>,
}

#[derive(Deserialize)]
struct RemoveLine {
    path: String,
    #[serde(rename = "deletionTimestamp")]
    deletion_timestamp: Option<i64>,
}

#[derive(Deserialize)]
struct TxnLine {
    #[serde(rename = "appId")]
    app_id: String,
    version: i64,
}

#[derive(Serialize, Deserialize)]
struct SnapshotLine {
    tip_crc32c: u32,
    checkpoints: Vec<CheckpointFile>,
    last_checkpoint: Option<String>,
    #[serde(default)]
    log_start: u64,
    #[serde(default)]
    removed: BTreeMap<String, i64>,
}

impl State {
    /// Of a manifest that is whole. An error is a bug of whoever wrote it, not damage: the checksums are right.
    pub(crate) fn of(manifest: &Manifest) -> Result<State, serde_json::Error> {
        let mut state = State::default();
        for frame in &manifest.frames {
            let payload = manifest.payload(frame);
            if frame.kind == Kind::Snapshot {
                state.apply(payload)?;
                state.snapshot_tip = Some((frame.version, state.tip_crc32c));
                state.snapshot_bytes = payload.len() as u64;
                state.version = Some(frame.version);
            } else {
                state.commit(frame.version, payload)?;
            }
        }
        Ok(state)
    }

    pub(crate) fn commit(&mut self, version: u64, commit: &[u8]) -> Result<(), serde_json::Error> {
        self.apply(commit)?;
        self.version = Some(version);
        self.tip_crc32c = crc32c::crc32c(commit);
        Ok(())
    }

    fn apply(&mut self, lines: &[u8]) -> Result<(), serde_json::Error> {
        for bytes in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line: Line = serde_json::from_slice(bytes)?;
            let text = || String::from_utf8_lossy(bytes).into_owned();
            if let Some(snapshot) = line.snapshot {
                self.tip_crc32c = snapshot.tip_crc32c;
                self.checkpoints = snapshot.checkpoints;
                self.last_checkpoint = snapshot.last_checkpoint;
                self.log_start = snapshot.log_start;
                self.removed = snapshot.removed;
            }
            if line.metadata.is_some() {
                self.metadata = Some(text());
            }
            if let Some(txn) = line.txn {
                self.positions.insert(txn.app_id, txn.version);
            }
            if let Some(remove) = line.remove {
                if let Some(at) = self.by_path.remove(&remove.path) {
                    self.files[at] = None;
                }
                self.removed.insert(remove.path, remove.deletion_timestamp.unwrap_or(0));
            }
            if let Some(add) = line.add {
                self.add(add, text());
            }
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, add: AddLine, line: String) {
        self.removed.remove(&add.path);
        let at = *self.by_path.entry(add.path.clone()).or_insert(self.files.len());
        let file = Some(FileLine { add, line });
        if at == self.files.len() {
            self.files.push(file);
        } else {
            self.files[at] = file;
        }
    }

    pub(crate) fn files(&self) -> impl Iterator<Item = &AddLine> {
        self.files.iter().flatten().map(|file| &file.add)
    }

    /// The newest checkpoint's version.
    pub(crate) fn checkpoint(&self) -> Option<u64> {
        self.checkpoints.iter().map(|file| file.version).max()
    }

    pub(crate) fn to_snapshot(&self) -> Vec<u8> {
        let first = SnapshotLine {
            tip_crc32c: self.tip_crc32c,
            checkpoints: self.checkpoints.clone(),
            last_checkpoint: self.last_checkpoint.clone(),
            log_start: self.log_start,
            removed: self.removed.clone(),
        };
        let mut lines = vec![json!({"snapshot": first}).to_string()];
        lines.extend(self.metadata.clone());
        lines.extend(
            self.positions
                .iter()
                .map(|(app_id, version)| json!({"txn": {"appId": app_id, "version": version}}).to_string()),
        );
        lines.extend(self.files.iter().flatten().map(|file| file.line.clone()));
        lines.join("\n").into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_says_what_the_commits_before_it_said() {
        let mut state = State::default();
        let first = concat!(
            "{\"commitInfo\":{\"x\":1}}\n{\"protocol\":{\"minReaderVersion\":1}}\n{\"metaData\":{\"id\":\"m\"}}\n",
            "{\"add\":{\"path\":\"a\",\"size\":3,\"stats\":\"{}\",\"other\":[1]}}\n{\"add\":{\"path\":\"b\",\"size\":4}}\n",
            "{\"txn\":{\"appId\":\"h\",\"version\":7}}"
        );
        state.commit(0, first.as_bytes()).unwrap();
        let second = "{\"remove\":{\"path\":\"a\",\"deletionTimestamp\":77}}\n{\"add\":{\"path\":\"c\",\"size\":5,\"tags\":{\"k\":\"v\",\"n\":null}}}";
        state.commit(1, second.as_bytes()).unwrap();
        state.last_checkpoint = Some("{\"version\":1}\n".to_owned());
        state.checkpoints = vec![CheckpointFile {
            version: 1,
            name: "x".to_owned(),
            bytes: 9,
            crc32c: u32::MAX,
            at: Some(5),
        }];
        state.log_start = 1;
        state.removed.insert("d".to_owned(), 78);

        let mut again = State::default();
        again.apply(&state.to_snapshot()).unwrap();
        for state in [&state, &again] {
            let files: Vec<_> = state.files().map(|add| (add.path.as_str(), add.size)).collect();
            assert_eq!(files, [("b", 4), ("c", 5)]);
            assert_eq!(state.positions["h"], 7);
            let removed: Vec<_> =
                state.removed.iter().map(|(path, millis)| (path.as_str(), *millis)).collect();
            assert_eq!((removed, state.log_start), (vec![("a", 77), ("d", 78)], 1));
            assert_eq!(state.metadata.as_deref(), Some("{\"metaData\":{\"id\":\"m\"}}"));
            assert_eq!((state.tip_crc32c, state.checkpoint()), (crc32c::crc32c(second.as_bytes()), Some(1)));
        }
        assert_eq!(again.to_snapshot(), state.to_snapshot());
    }
}
