//! One Delta table through delta-rs: loaded from its log, committed to, checkpointed.
//! Always: a commit is one file that appears whole or not at all, at the version after the one it was made
//! for; it carries `txn` (`headwater/<journal id>`, append), so that whoever loads the table knows what is in.
//! What was committed by us is known without reading it back; another writer's commit is found by its version
//! being taken, and then the table is loaded anew. A commit stands in the manifest before the log has it, so that a
//! table is opened from there, and delta-rs replays a log only if the manifest cannot speak for it.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use deltalake::{
    DeltaTableError,
    kernel::{Action, Add, CommitInfo, Metadata, Transaction, transaction::TransactionError},
    logstore::{CommitOrBytes, LogStoreRef, StorageConfig, logstore_with},
};
use hw_event::{
    Clock, SchemaNumber, Seq, Timestamp,
    sabotage::{Bug, armed},
};
use hw_pipeline::spawn_blocking;
use hw_schema::Registry;
use serde_json::json;
use url::Url;
use uuid::Uuid;

use crate::{
    Damage, LakeError,
    data_file::{DataFile, Purpose},
    log_files::{CHECKPOINT, OWN_CRC32C, OWN_CRC32C_ZERO, PREVIOUS_CRC32C, seal},
    manifest::{self, Appended},
    replay::AddLine,
    scrub::checksums_of,
    stats,
    store::{SyncingStore, Syncs},
    table::{LakeFile, Table, TableSnapshot},
};

mod definition;
mod load;
mod replace;

pub(crate) use load::Before;
pub(crate) use replace::Replacement;

pub(crate) const FILE_CRC32C: &str = "headwater.crc32c";
pub(crate) const FILE_PIECES: &str = "headwater.pieces_crc32c";
const FILE_SCHEMA: &str = "headwater.schema";
/// On a file that compaction made; its value means nothing.
const FILE_COMPACTED: &str = "headwater.compacted";

/// A checkpoint may be so many times as large as the commits since the one before it.
const CHECKPOINT_SHARE: u64 = 4;
/// Whatever its size, it comes when so many times the usual number of commits have come.
const CHECKPOINT_LATEST: u64 = 10;
/// How often another writer may be faster before a commit is left for the next round.
const ATTEMPTS_MAX: u32 = 5;

/// A table's place and the means to get at it.
#[derive(Clone)]
pub(crate) struct DeltaHome {
    pub table: Table,
    /// The table's name, and its directory's.
    pub name: String,
    pub directory: PathBuf,
    identity: Identity,
    keeping: Keeping,
    log_store: LogStoreRef,
    syncs: Arc<dyn Syncs>,
}

/// How long what is no part of the table any more is kept for readers of older versions.
#[derive(Clone)]
pub(crate) struct Keeping {
    pub old: Duration,
    pub clock: Arc<dyn Clock>,
}

impl Keeping {
    pub(crate) fn now_millis(&self) -> i64 {
        self.clock.now().0.div_euclid(1000)
    }

    /// Was it kept long enough? A time that is yet to come (the clock was set back) counts from now on.
    pub(crate) fn is_over(&self, since_millis: i64) -> bool {
        let millis = i64::try_from(self.old.as_millis()).unwrap_or(i64::MAX);
        self.now_millis().saturating_sub(since_millis) >= millis
    }

    fn interval(&self) -> String {
        format!("interval {} seconds", self.old.as_secs().max(1))
    }
}

/// Who writes, and with which key.
#[derive(Clone)]
pub(crate) struct Identity {
    /// Whose positions the commits carry.
    pub app_id: Arc<str>,
    pub hash_key_id: Option<Arc<str>>,
}

/// A table as its log has it.
#[derive(Debug, Clone)]
pub(crate) struct Committed {
    pub snapshot: Arc<TableSnapshot>,
    pub schema: Option<SchemaNumber>,
    metadata: Metadata,
    tip_crc32c: u32,
    /// Where the manifest ends. `None`: it could not be written; the next commit tries again.
    manifest_end: Option<u64>,
    /// The newest checkpoint: its version, and the CRC-32C of its file.
    checkpoint: Option<(u64, u32)>,
    /// Commits and checkpoints before this version may be gone.
    pub log_start: u64,
    /// Of the snapshot at the manifest's beginning.
    pub snapshot_bytes: u64,
    /// It comes from the manifest or the log, not from the commit before it. What follows is then known.
    pub loaded: bool,
    /// What had to be repaired to open it.
    pub repaired: Vec<Damage>,
    /// Files that were removed from it and may still be there: their names, and since when, in milliseconds.
    pub removed: Vec<(String, i64)>,
}

/// What one commit adds.
pub(crate) struct Addition<'a> {
    pub files: &'a [DataFile],
    pub through: Seq,
    pub columns: &'a SchemaRef,
    pub schema: Option<SchemaNumber>,
    pub now: Timestamp,
}

impl Committed {
    /// Is the log long enough for a checkpoint? Its cost is that of the table's size, so it waits until the commits since
    /// the last one have come to a part of that, or are so many that other readers would feel them.
    pub(crate) fn wants_checkpoint(&self, every: u64) -> bool {
        let commits = self.snapshot.version.cast_unsigned() + 1;
        let since = self.checkpoint.map_or(commits, |(version, _)| commits - 1 - version.min(commits - 1));
        let bytes = self.manifest_end.map_or(u64::MAX, |end| end.saturating_sub(self.snapshot_bytes));
        commits.is_multiple_of(every)
            && (bytes.saturating_mul(CHECKPOINT_SHARE) >= self.snapshot_bytes
                || since >= every * CHECKPOINT_LATEST)
    }

    /// The same, with the values of `before` for the files that it has too: who holds one holds it here.
    pub(crate) fn with_files_of(self: Arc<Self>, before: &Committed) -> Arc<Committed> {
        let known: HashMap<_, _> = before.snapshot.files.iter().map(|file| (&file.path, file)).collect();
        let mut committed = Arc::unwrap_or_clone(self);
        let files = committed.snapshot.files.iter();
        let files = files.map(|file| known.get(&file.path).map_or(file, |known| *known).clone()).collect();
        committed.snapshot = Arc::new(TableSnapshot { files, ..(*committed.snapshot).clone() });
        Arc::new(committed)
    }

    /// The same under another number.
    fn at(self, version: u64) -> Committed {
        let snapshot = TableSnapshot { version: version.cast_signed(), ..(*self.snapshot).clone() };
        Committed { snapshot: Arc::new(snapshot), ..self }
    }
}

impl DeltaHome {
    pub(crate) fn new(
        table: Table,
        name: &str,
        directory: PathBuf,
        identity: Identity,
        keeping: Keeping,
        store: &SyncingStore,
        syncs: Arc<dyn Syncs>,
    ) -> Result<DeltaHome, LakeError> {
        let delta_error =
            |source| LakeError::Delta { directory: directory.clone(), source: Box::new(source) };
        let url = Url::from_directory_path(&directory).map_err(|()| {
            delta_error(DeltaTableError::InvalidTableLocation(directory.display().to_string()))
        })?;
        let log_store =
            logstore_with(Arc::new(store.clone()), &url, StorageConfig::default()).map_err(delta_error)?;
        Ok(DeltaHome { table, name: name.to_owned(), directory, identity, keeping, log_store, syncs })
    }

    fn delta_error(&self, source: DeltaTableError) -> LakeError {
        LakeError::Delta { directory: self.directory.clone(), source: Box::new(source) }
    }

    fn lake_file(&self, add: &AddLine) -> LakeFile {
        let (rows, stats) = add
            .stats
            .as_deref()
            .and_then(|json| stats::parse(json, self.table.place_columns()))
            .unwrap_or_default();
        let schema = add.tags.as_ref().and_then(|tags| tags.get(FILE_SCHEMA)?.as_deref()?.parse().ok());
        let (crc32c, pieces) = checksums_of(add);
        LakeFile {
            path: PathBuf::from(&self.name).join(&add.path),
            bytes: u64::try_from(add.size).unwrap_or(0),
            rows,
            stats,
            schema: schema.map(SchemaNumber),
            crc32c,
            pieces,
            compacted: add.tags.as_ref().is_some_and(|tags| tags.contains_key(FILE_COMPACTED)),
        }
    }

    fn snapshot(
        &self,
        version: u64,
        seq: Seq,
        files: Vec<Arc<LakeFile>>,
        columns: SchemaRef,
        metadata: &Metadata,
    ) -> Arc<TableSnapshot> {
        Arc::new(TableSnapshot {
            version: i64::try_from(version).unwrap_or(i64::MAX),
            seq,
            bytes: files.iter().map(|file| file.bytes).sum(),
            rows: files.iter().map(|file| file.rows).sum(),
            files,
            columns,
            erased: Arc::new(definition::erased(metadata)),
            let_go: definition::let_go(metadata),
            first_kept: Arc::new(definition::first_kept(metadata)),
            location: self.directory.display().to_string(),
        })
    }

    /// Commits after `base`, or after whatever came in between. The result has everything through
    /// `addition.through`; if it had already, nothing is written.
    pub(crate) async fn commit(
        &self,
        base: Option<Arc<Committed>>,
        addition: Addition<'_>,
        registry: &Registry,
    ) -> Result<Arc<Committed>, LakeError> {
        let mut base = base;
        // Only planted bugs make a version other than the one behind the base.
        let mut skipped = 0;
        for _ in 0..ATTEMPTS_MAX {
            if let Some(base) = &base
                && base.snapshot.seq >= addition.through
            {
                return Ok(base.clone());
            }
            let (mut version, mut bytes, mut next) = self.prepare(base.as_deref(), &addition)?;
            if armed(Bug::StaleSecondCommitter) {
                version += skipped;
                let entry = CommitOrBytes::LogBytes(bytes.into());
                match self.log_store.write_commit_entry(version, entry, Uuid::new_v4()).await {
                    Err(TransactionError::VersionAlreadyExists(_)) => skipped += 1,
                    Err(error) => return Err(self.delta_error(error.into())),
                    Ok(()) => return Ok(Arc::new(next.at(version))),
                }
                continue;
            }
            let mut end = match base.as_deref() {
                Some(base) => base.manifest_end.map(Some),
                None => Some(None),
            };
            if armed(Bug::TxnInItsOwnCommit)
                && let (Some(from), Some(cut)) = (end, bytes.iter().rposition(|&byte| byte == b'\n'))
            {
                let txn = bytes.split_off(cut + 1);
                bytes.pop();
                let rows = Bytes::from(std::mem::replace(&mut bytes, txn));
                if let Some(behind) = self.put_commit(from, version, rows).await? {
                    end = Some(Some(behind));
                    version += 1;
                    next = next.at(version);
                    next.tip_crc32c = crc32c::crc32c(&bytes);
                }
            }
            if let Some(end) = end
                && let Some(end) = self.put_commit(end, version, bytes.into()).await?
            {
                next.manifest_end = Some(end);
                return Ok(Arc::new(next));
            }
            // Another writer's commit stands there, or an attempt of ours whose outcome we never learned: what that one
            // noted, the load makes come true.
            base = self.load(registry).await?.map(Arc::new);
        }
        Err(LakeError::Conflict { directory: self.directory.clone(), attempts: ATTEMPTS_MAX })
    }

    /// Two steps: the commit stands in the manifest, durably; then in the log. Returns the manifest's new end. `None`: the
    /// manifest does not end at `end` (`None`: there is one already), or the log has this version.
    async fn put_commit(
        &self,
        end: Option<u64>,
        version: u64,
        commit: Bytes,
    ) -> Result<Option<u64>, LakeError> {
        let Appended::At(end) = self.note_intent(end, version, commit.clone()).await? else {
            return Ok(None);
        };
        let entry = CommitOrBytes::LogBytes(commit);
        match self.log_store.write_commit_entry(version, entry, Uuid::new_v4()).await {
            Ok(()) => Ok(Some(end)),
            Err(TransactionError::VersionAlreadyExists(_)) => Ok(None),
            Err(error) => Err(self.delta_error(error.into())),
        }
    }

    async fn note_intent(
        &self,
        end: Option<u64>,
        version: u64,
        commit: Bytes,
    ) -> Result<Appended, LakeError> {
        let (directory, syncs) = (self.directory.clone(), self.syncs.clone());
        spawn_blocking(move || manifest::append(&directory, end, version, &commit, &*syncs))
            .await
            .map_err(|_| LakeError::Panicked { directory: self.directory.clone() })?
            .map_err(|source| LakeError::Io { path: manifest::path(&self.directory), source })
    }

    /// The commit file's version and bytes, and the table as it is once they are written.
    fn prepare(
        &self,
        base: Option<&Committed>,
        addition: &Addition<'_>,
    ) -> Result<(u64, Vec<u8>, Committed), LakeError> {
        let millis = addition.now.0.div_euclid(1000);
        let mut actions = vec![Action::CommitInfo(CommitInfo {
            timestamp: Some(millis),
            operation: Some("WRITE".to_owned()),
            operation_parameters: Some(HashMap::from([("mode".to_owned(), json!("Append"))])),
            is_blind_append: Some(true),
            engine_info: Some(concat!("headwater/", env!("CARGO_PKG_VERSION")).to_owned()),
            info: checksums(base).collect(),
            ..CommitInfo::default()
        })];
        // The newer schema of the two is the table's: rows of an older one may still come.
        let keeps = base.filter(|base| base.schema >= addition.schema);
        let (metadata, columns, schema) = match (base, keeps) {
            (_, Some(base)) => {
                let metadata = self.with_keeping(&base.metadata)?;
                if metadata != base.metadata {
                    actions.push(Action::Metadata(metadata.clone()));
                }
                (metadata, base.snapshot.columns.clone(), base.schema)
            }
            (Some(base), None) => {
                let metadata = self.evolved(&base.metadata, addition.columns, addition.schema)?;
                actions.push(Action::Metadata(metadata.clone()));
                (metadata, addition.columns.clone(), addition.schema)
            }
            (None, None) => {
                let metadata = self.first_metadata(addition)?;
                actions.push(Action::Protocol(self.protocol()?));
                actions.push(Action::Metadata(metadata.clone()));
                (metadata, addition.columns.clone(), addition.schema)
            }
        };
        let mut files = base.map_or_else(Vec::new, |base| base.snapshot.files.clone());
        for added in addition.files {
            let add = add_action(added, millis);
            let file = Arc::new(self.lake_file(&add_line(&add)));
            // An earlier attempt that got through, but never came back to say so, holds the file already.
            if files.iter().rev().any(|known| known.path == file.path) {
                continue;
            }
            // Another committer was here: what the table holds through its position must not be added again. (A bug
            // that is planted for the simulation does just that.)
            if let Some(base) = base
                && !armed(Bug::StaleSecondCommitter)
            {
                let held = i64::try_from(base.snapshot.seq.0).unwrap_or(i64::MAX);
                if added.through <= base.snapshot.seq {
                    continue;
                }
                if file.stats.seq.is_some_and(|seq| seq.min <= held) {
                    return Err(LakeError::Conflict { directory: self.directory.clone(), attempts: 1 });
                }
            }
            files.push(file);
            actions.push(Action::Add(add));
        }
        actions.push(Action::Txn(Transaction::new_with_last_update(
            &self.identity.app_id,
            i64::try_from(addition.through.0 + u64::from(armed(Bug::PositionAhead))).unwrap_or(i64::MAX),
            Some(millis),
        )));
        let bytes = self.encode(&actions)?;
        let version = base.map_or(0, |base| base.snapshot.version.cast_unsigned() + 1);
        let tip_crc32c = crc32c::crc32c(&bytes);
        let snapshot = self.snapshot(version, addition.through, files, columns, &metadata);
        let next = Committed {
            snapshot,
            schema,
            metadata,
            tip_crc32c,
            manifest_end: None,
            checkpoint: base.and_then(|base| base.checkpoint),
            log_start: base.map_or(0, |base| base.log_start),
            snapshot_bytes: base.map_or(0, |base| base.snapshot_bytes),
            loaded: false,
            repaired: Vec::new(),
            removed: Vec::new(),
        };
        Ok((version, bytes, next))
    }

    /// The bytes of a commit file, with its own checksum in them.
    fn encode(&self, actions: &[Action]) -> Result<Vec<u8>, LakeError> {
        let mut bytes = Vec::new();
        for action in actions {
            if !bytes.is_empty() {
                bytes.push(b'\n');
            }
            serde_json::to_writer(&mut bytes, action)
                .map_err(|json_err| self.delta_error(DeltaTableError::SerializeLogJson { json_err }))?;
        }
        seal(&mut bytes);
        Ok(bytes)
    }
}

/// What a commit says of itself and of what came before it.
fn checksums(base: Option<&Committed>) -> impl Iterator<Item = (String, serde_json::Value)> {
    let previous = base.map(|base| (PREVIOUS_CRC32C, format!("{:08x}", base.tip_crc32c)));
    let checkpoint = base.and_then(|base| base.checkpoint);
    let checkpoint = checkpoint.map(|(version, crc32c)| (CHECKPOINT, format!("{version}:{crc32c:08x}")));
    let own = Some((OWN_CRC32C, OWN_CRC32C_ZERO.to_owned()));
    [own, previous, checkpoint].into_iter().flatten().map(|(key, value)| (key.to_owned(), json!(value)))
}

fn add_action(file: &DataFile, millis: i64) -> Add {
    let mut tags = HashMap::from([
        (FILE_CRC32C.to_owned(), Some(format!("{:08x}", file.crc32c))),
        (FILE_PIECES.to_owned(), Some(file.pieces.to_tag())),
    ]);
    if let Some(number) = file.schema {
        tags.insert(FILE_SCHEMA.to_owned(), Some(number.to_string()));
    }
    let compacted = file.purpose == Purpose::Compacted;
    if compacted {
        tags.insert(FILE_COMPACTED.to_owned(), Some("1".to_owned()));
    }
    Add {
        path: file.name.clone(),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: millis,
        // What compaction writes was there before.
        data_change: !compacted,
        stats: Some(file.stats_json.clone()),
        tags: Some(tags),
        ..Add::default()
    }
}

fn add_line(add: &Add) -> AddLine {
    AddLine { path: add.path.clone(), size: add.size, stats: add.stats.clone(), tags: add.tags.clone() }
}
