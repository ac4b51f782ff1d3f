//! What is written down of an erasure: `ID.json`, a line of JSON and its checksum.
//! Always: written by rename and synced before it counts; a damaged one is refused by name, never passed over: it may be the
//! only trace of a promise.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use hw_event::Timestamp;
use hw_vault::SubjectId;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::doomed::Digest;
use crate::output::rfc3339;

const FORMAT: u32 = 1;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Requested,
    Draining,
    Rewriting,
    Wiping,
    Forgetting,
    Done,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    pub id: String,
    /// Microseconds since the epoch.
    pub requested_at: i64,
    /// Keyed digests, in hexadecimal.
    digests: Vec<String>,
    /// As the vault names their keys.
    #[serde(default)]
    vault_subjects: Vec<String>,
    pub reason: Option<String>,
    pub principal: String,
    pub phase: Phase,
    /// What its tables had lost before it began, by table: so that its own part is known after any number of restarts.
    #[serde(default)]
    pub before: Option<BTreeMap<String, BTreeMap<String, u64>>>,
    /// Rows removed, by stream.
    pub rows: BTreeMap<String, u64>,
    /// Rejects removed, by stream.
    pub rejects: BTreeMap<String, u64>,
    /// Keys of the vault that were destroyed, and entries of tokens.
    #[serde(default)]
    pub keys: u64,
    #[serde(default)]
    pub entries: u64,
    /// With its signature, once it is done.
    pub receipt: Option<Value>,
    /// Receipts of other data directories on which it was carried out: those before a backup was restored.
    #[serde(default)]
    pub earlier_receipts: Vec<Value>,
    #[serde(skip)]
    pub progress: Progress,
}

/// How far it has come; begins anew with the process.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    pub table: Option<String>,
    pub files: u64,
    pub bytes: u64,
    pub segments: usize,
    /// What it waits for, or what went wrong and is tried again.
    pub waiting_for: Option<String>,
}

impl Record {
    pub fn new(
        requested_at: Timestamp,
        digests: Vec<Digest>,
        vault_subjects: Vec<SubjectId>,
        reason: Option<String>,
        principal: String,
    ) -> Record {
        Record {
            format: FORMAT,
            id: uuid::Uuid::new_v4().to_string(),
            requested_at: requested_at.0,
            digests: digests.iter().map(|digest| hex(digest)).collect(),
            vault_subjects: vault_subjects.iter().map(|subject| hex(subject.as_bytes())).collect(),
            reason,
            principal,
            phase: Phase::Requested,
            before: None,
            rows: BTreeMap::new(),
            rejects: BTreeMap::new(),
            keys: 0,
            entries: 0,
            receipt: None,
            earlier_receipts: Vec::new(),
            progress: Progress::default(),
        }
    }

    /// It is to be carried out once more, on another data directory: what it did elsewhere does not count here.
    pub fn begin_again(&mut self) {
        self.earlier_receipts.extend(self.receipt.take());
        self.phase = Phase::Requested;
        self.before = None;
        (self.rows, self.rejects) = (BTreeMap::new(), BTreeMap::new());
        (self.keys, self.entries) = (0, 0);
    }

    pub fn digests(&self) -> anyhow::Result<Vec<Digest>> {
        self.digests.iter().map(|text| unhex(text).context("a digest is no digest")).collect()
    }

    pub fn vault_subjects(&self) -> anyhow::Result<Vec<SubjectId>> {
        let read = |text: &String| unhex(text).map(SubjectId).context("a vault's subject is none");
        self.vault_subjects.iter().map(read).collect()
    }

    pub fn hex_digests(&self) -> &[String] {
        &self.digests
    }

    /// As it is told over HTTP.
    pub fn told(&self) -> Value {
        let mut told = json!({
            "id": self.id,
            "requested_at": rfc3339(self.requested_at),
            "subjects": self.digests.len(),
            "reason": self.reason,
            "phase": self.phase,
            "rows": self.rows,
            "rejects": self.rejects,
            "keys": self.keys,
            "token_entries": self.entries,
        });
        match &self.receipt {
            Some(receipt) => told["receipt"] = receipt.clone(),
            None => {
                let Progress { table, files, bytes, segments, waiting_for } = &self.progress;
                told["progress"] = json!({
                    "table": table, "files_read": files, "bytes_read": bytes, "segments_wiped": segments,
                    "waiting_for": waiting_for,
                });
            }
        }
        told
    }
}

/// Where requests are written down, and where it is marked that they were carried out here.
pub struct Store {
    directory: PathBuf,
    applied: PathBuf,
}

impl Store {
    pub fn open(directory: &Path, applied: &Path) -> anyhow::Result<Store> {
        for path in [directory, applied] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .and_then(|()| path.parent().map_or(Ok(()), sync_directory))
                .with_context(|| format!("cannot make the directory {}", path.display()))?;
        }
        Ok(Store { directory: directory.to_owned(), applied: applied.to_owned() })
    }

    pub fn read_all(&self) -> anyhow::Result<Vec<Record>> {
        let listed = fs::read_dir(&self.directory);
        let listed = listed.with_context(|| format!("cannot read {}", self.directory.display()))?;
        let mut records = Vec::new();
        for entry in listed {
            let path = entry?.path();
            if path.extension().is_some_and(|end| end == "json") {
                records.push(read(&path).with_context(|| {
                    format!("the erasure {} cannot be read: restore this file from a backup", path.display())
                })?);
            }
        }
        Ok(records)
    }

    /// Survives a power cut once it has returned.
    pub fn write(&self, record: &Record) -> io::Result<()> {
        let line = serde_json::to_vec(record)?;
        let mut text = line.clone();
        text.extend_from_slice(format!("\n{:08x}\n", crc32c::crc32c(&line)).as_bytes());
        write_file(&self.directory, &format!("{}.json", record.id), &text)
    }

    /// Notes that it was carried out on this data directory.
    pub fn mark_applied(&self, id: &str) -> io::Result<()> {
        write_file(&self.applied, id, b"")
    }

    pub fn is_applied(&self, id: &str) -> bool {
        self.applied.join(id).exists()
    }
}

fn write_file(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = directory.join(format!(".{name}.part"));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&part, directory.join(name))?;
    sync_directory(directory)
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

fn read(path: &Path) -> anyhow::Result<Record> {
    let text = fs::read_to_string(path)?;
    let (line, sum) = text.trim_end().rsplit_once('\n').context("it has no checksum")?;
    if u32::from_str_radix(sum, 16).ok() != Some(crc32c::crc32c(line.as_bytes())) {
        bail!("its checksum does not match");
    }
    let record: Record = serde_json::from_str(line)?;
    if record.format > FORMAT {
        bail!("it is of format {}, this version knows {FORMAT}", record.format);
    }
    Ok(record)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Digest> {
    let mut digest = Digest::default();
    if text.len() != 2 * digest.len() || !text.is_ascii() {
        return None;
    }
    for (at, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_again_and_damage_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (records, applied) =
            (directory.path().join("erasures"), directory.path().join("erasures/applied"));
        let store = Store::open(&records, &applied).unwrap();
        let mut record = Record::new(
            Timestamp(5),
            vec![[7; 32]],
            vec![SubjectId([8; 32])],
            Some("asked".to_owned()),
            "local".to_owned(),
        );
        store.write(&record).unwrap();
        record.phase = Phase::Done;
        store.write(&record).unwrap();
        assert!(!store.is_applied(&record.id));
        store.mark_applied(&record.id).unwrap();
        assert!(store.is_applied(&record.id));
        let read = store.read_all().unwrap();
        assert_eq!(read[0].vault_subjects().unwrap(), vec![SubjectId([8; 32])]);
        assert_eq!((read.len(), read[0].phase, read[0].digests().unwrap()), (1, Phase::Done, vec![[7; 32]]));

        let path = records.join(format!("{}.json", record.id));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() - 1 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1;
            fs::write(&path, flipped).unwrap();
            let error = format!("{:#}", store.read_all().unwrap_err());
            assert!(error.contains(&record.id), "byte {at}: {error}");
        }
    }
}
