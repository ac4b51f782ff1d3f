//! Opening a table, and its checkpoints.
//! Always: what the manifest and the log agree on is taken without a replay. Where they do not, the log is checked by
//! what its commits say of one another, delta-rs replays it, and a new checkpoint and a new manifest are made.

use std::{collections::HashSet, fs, sync::Arc};

use deltalake::{
    DeltaTable, DeltaTableError, checkpoints::create_checkpoint, kernel::Action, logstore::LogStoreRef,
};
use hw_event::Seq;
use hw_pipeline::{spawn_apart, spawn_blocking};
use hw_schema::Registry;
use serde::Deserialize;

use super::{Committed, DeltaHome, Keeping, add_line};
use crate::{
    Damage, LakeError,
    damage::place,
    data_file::parse_file_name,
    log_files::{LAST_CHECKPOINT, LOG, LogFiles, Tip, check_log, names},
    manifest::{self, Manifest},
    reconcile::{Found, Known, distrust_checkpoints, reconcile},
    replay::{CheckpointFile, State},
};

#[derive(Deserialize)]
struct MetadataLine {
    #[serde(rename = "metaData")]
    metadata: deltalake::kernel::Metadata,
}

/// What becomes of the log before a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    KeptForAWhile,
    /// It says something of rows that were erased.
    GivenUp,
}

impl DeltaHome {
    /// The table as it is, repaired where that is possible. `None`: it does not exist yet.
    pub(crate) async fn load(&self, registry: &Registry) -> Result<Option<Committed>, LakeError> {
        let (directory, syncs) = (self.directory.clone(), self.syncs.clone());
        match self.blocking(move || reconcile(&directory, &*syncs)).await? {
            Found::Nothing => Ok(None),
            Found::Known(known) => {
                let Known { state, end, checkpoint_lost, repaired } = *known;
                // A commit that was found counts only once its name is known to be durable.
                self.sync_log().await?;
                tell(&repaired);
                let mut committed = self.committed(&state, Some(end), registry)?;
                if checkpoint_lost {
                    committed = self.checkpoint_or_not(committed, state, registry).await;
                }
                committed.repaired = repaired;
                Ok(Some(committed))
            }
            Found::Unknown { repaired } => self.load_log(repaired, registry).await,
        }
    }

    /// The table as its manifest has it, or else as its log has it. Changes nothing, so that nothing is repaired either.
    pub(crate) async fn look(&self, registry: &Registry) -> Result<Option<Committed>, LakeError> {
        let directory = self.directory.clone();
        let by_manifest = self.blocking(move || {
            let newest = LogFiles::list(&directory)?.commits.keys().next_back().copied();
            let state = Manifest::read(&directory)?.and_then(|manifest| State::of(&manifest).ok());
            Ok(state.filter(|state| state.version.is_some() && newest <= state.version))
        });
        if let Some(state) = by_manifest.await? {
            return self.committed(&state, None, registry).map(Some);
        }
        let directory = self.directory.clone();
        match self.blocking(move || check_log(&directory)).await? {
            Some(tip) => self.committed(&self.replay(&tip).await?, None, registry).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, LakeError> + Send + 'static,
    ) -> Result<T, LakeError> {
        let panicked = |_| LakeError::Panicked { directory: self.directory.clone() };
        spawn_blocking(work).await.map_err(panicked)?
    }

    async fn sync_log(&self) -> Result<(), LakeError> {
        let (path, syncs) = (self.directory.join(LOG), self.syncs.clone());
        self.blocking(move || syncs.directory(&path).map_err(|source| LakeError::Io { path, source })).await
    }

    /// The state as its readers see it.
    pub(crate) fn committed(
        &self,
        state: &State,
        manifest_end: Option<u64>,
        registry: &Registry,
    ) -> Result<Committed, LakeError> {
        let metadata = state.metadata.as_deref().map(serde_json::from_str::<MetadataLine>);
        let Some(Ok(MetadataLine { metadata })) = metadata else {
            let file = place(&self.directory, manifest::path("".as_ref()));
            let reason = "it has no definition of the table".to_owned();
            return Err(LakeError::Damaged(Damage {
                file,
                start: 0,
                end: manifest_end.unwrap_or(0),
                reason,
            }));
        };
        let schema = self.check_owner(&metadata)?;
        let columns = self.columns(registry, schema)?;
        let position = state.positions.get(&*self.identity.app_id);
        let seq = Seq(position.and_then(|position| u64::try_from(*position).ok()).unwrap_or(0));
        let files = state.files().map(|add| Arc::new(self.lake_file(add))).collect();
        let newest = state.checkpoint();
        let mut checkpoint = state.checkpoints.iter().filter(|file| Some(file.version) == newest);
        // Of a checkpoint in parts, as others write them, a commit cannot say the one number.
        let checkpoint = checkpoint.next().filter(|_| checkpoint.next().is_none());
        Ok(Committed {
            snapshot: self.snapshot(state.version.unwrap_or(0), seq, files, columns, &metadata),
            schema,
            metadata,
            tip_crc32c: state.tip_crc32c,
            manifest_end,
            checkpoint: checkpoint.map(|file| (file.version, file.crc32c)),
            log_start: state.log_start,
            snapshot_bytes: state.snapshot_bytes,
            loaded: true,
            repaired: Vec::new(),
            removed: state.removed.clone().into_iter().collect(),
        })
    }

    /// Reads the table from its Delta log alone.
    async fn load_log(
        &self,
        mut repaired: Vec<Damage>,
        registry: &Registry,
    ) -> Result<Option<Committed>, LakeError> {
        let (directory, syncs) = (self.directory.clone(), self.syncs.clone());
        let checked = self.blocking(move || {
            let Some(tip) = check_log(&directory)? else { return Ok(None) };
            let distrusted = distrust_checkpoints(&directory, &tip, &*syncs)?;
            Ok(Some((tip, distrusted)))
        });
        let Some((tip, distrusted)) = checked.await? else { return Ok(None) };
        self.sync_log().await?;
        repaired.extend(distrusted);
        tell(&repaired);
        let mut state = self.replay(&tip).await?;
        self.note_others(&mut state)?;
        let committed = self.committed(&state, None, registry)?;
        let mut committed = self.checkpoint_or_not(committed, state.clone(), registry).await;
        if committed.manifest_end.is_none() {
            // The log has no checkpoint to begin with then, and can still be committed to.
            match self.write_manifest(state, Before::KeptForAWhile).await {
                Ok((_, end)) => committed.manifest_end = Some(end),
                Err(error) => tracing::warn!(table = %self.name, %error, "no manifest was written"),
            }
        }
        committed.repaired = repaired;
        Ok(Some(committed))
    }

    /// Files of ours that the table once had and has no more: the log alone does not say since when.
    fn note_others(&self, state: &mut State) -> Result<(), LakeError> {
        let position = state.positions.get(&*self.identity.app_id).copied().unwrap_or(0);
        let known: HashSet<String> = state.files().map(|add| add.path.clone()).collect();
        let now = self.keeping.now_millis();
        for name in names(&self.directory)? {
            let ours =
                parse_file_name(&name).is_some_and(|(_, through)| through.0 <= position.cast_unsigned());
            if ours && !known.contains(&name) {
                state.removed.insert(name, now);
            }
        }
        Ok(())
    }

    /// What delta-rs makes of the log.
    async fn replay(&self, tip: &Tip) -> Result<State, LakeError> {
        // The newest commit is nearly always ours; only another writer's makes the log be searched for our position.
        let mut state = self.replay_at(tip.version, tip.position(&self.identity.app_id)).await?;
        state.tip_crc32c = tip.crc32c;
        Ok(state)
    }

    /// The same of one version. `position`: where it is known.
    pub(crate) async fn replay_at(&self, version: u64, position: Option<i64>) -> Result<State, LakeError> {
        let (log_store, app_id) = (self.log_store.clone(), self.identity.app_id.clone());
        self.apart(async move { replayed(log_store, version, position, &app_id).await }).await
    }

    /// delta-rs reads and writes its JSON and Parquet between two waits, a hundred milliseconds and more at a time.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, DeltaTableError>> + Send + 'static,
    ) -> Result<T, LakeError> {
        let panicked = |_| LakeError::Panicked { directory: self.directory.clone() };
        spawn_apart(work).await.map_err(panicked)?.map_err(|source| self.delta_error(source))
    }

    /// A checkpoint only makes the next open faster: without one the table is as good, and the next attempt comes.
    async fn checkpoint_or_not(&self, committed: Committed, state: State, registry: &Registry) -> Committed {
        match self.write_checkpoint(state, Before::KeptForAWhile, registry).await {
            Ok(checkpointed) => checkpointed,
            Err(error) => {
                tracing::warn!(table = %self.name, %error, "no checkpoint was written");
                committed
            }
        }
    }

    /// Writes a checkpoint of the newest version, so that others open the table quickly, and a new manifest that begins
    /// with it, so that we do. The log is held against the manifest first: damage must not get into the checkpoint.
    pub(crate) async fn checkpoint(
        &self,
        before: Before,
        registry: &Registry,
    ) -> Result<Option<Committed>, LakeError> {
        let (directory, syncs) = (self.directory.clone(), self.syncs.clone());
        match self.blocking(move || reconcile(&directory, &*syncs)).await? {
            Found::Known(known) => {
                tell(&known.repaired);
                self.write_checkpoint(known.state, before, registry).await.map(Some)
            }
            Found::Nothing => Ok(None),
            Found::Unknown { repaired } => self.load_log(repaired, registry).await,
        }
    }

    async fn write_checkpoint(
        &self,
        state: State,
        before: Before,
        registry: &Registry,
    ) -> Result<Committed, LakeError> {
        let mut delta = DeltaTable::new(self.log_store.clone());
        let version = state.version.unwrap_or(0);
        self.apart(async move {
            delta.load_version(version).await?;
            create_checkpoint(&delta, None).await
        })
        .await?;
        let (state, end) = self.write_manifest(state, before).await?;
        self.committed(&state, Some(end), registry)
    }

    /// A new manifest that begins, and ends, with this state and the checkpoints that are there.
    async fn write_manifest(&self, mut state: State, before: Before) -> Result<(State, u64), LakeError> {
        let version = state.version.unwrap_or(0);
        let (directory, syncs) = (self.directory.clone(), self.syncs.clone());
        let keeping = self.keeping.clone();
        self.blocking(move || {
            let files = LogFiles::list(&directory)?;
            // Others may have cleaned up what is old.
            state.checkpoints.retain(|file| {
                file.version != version
                    && files.checkpoints.get(&file.version).is_some_and(|names| names.contains(&file.name))
            });
            match before {
                Before::KeptForAWhile => give_up_old(&mut state, &keeping),
                Before::GivenUp => {
                    state.log_start = version;
                    state.checkpoints.clear();
                }
            }
            // A name that is gone for good needs no note.
            state.removed.retain(|name, since| !keeping.is_over(*since) || directory.join(name).exists());
            let read = |name: &str| {
                let path = directory.join(LOG).join(name);
                fs::read(&path).map_err(|source| LakeError::Io { path, source })
            };
            for name in files.checkpoints.get(&version).into_iter().flatten() {
                let bytes = read(name)?;
                state.checkpoints.push(CheckpointFile {
                    version,
                    name: name.clone(),
                    bytes: bytes.len() as u64,
                    crc32c: crc32c::crc32c(&bytes),
                    at: Some(keeping.now_millis()),
                });
            }
            let hint = directory.join(LOG).join(LAST_CHECKPOINT);
            state.last_checkpoint = match state.checkpoints.is_empty() || !hint.exists() {
                true => None,
                false => String::from_utf8(read(LAST_CHECKPOINT)?).ok(),
            };
            state.snapshot_tip = Some((version, state.tip_crc32c));
            let path = manifest::path(&directory);
            let snapshot = state.to_snapshot();
            state.snapshot_bytes = snapshot.len() as u64;
            let end = manifest::replace(&directory, version, &snapshot, &*syncs)
                .map_err(|source| LakeError::Io { path, source })?;
            Ok((state, end))
        })
        .await
    }
}

async fn replayed(
    log_store: LogStoreRef,
    version: u64,
    position: Option<i64>,
    app_id: &str,
) -> Result<State, DeltaTableError> {
    let mut delta = DeltaTable::new(log_store.clone());
    // Of that version and no other: somebody may commit in between.
    delta.load_version(version).await?;
    let table = delta.snapshot()?;
    let line = |action: Action| {
        serde_json::to_string(&action).map_err(|json_err| DeltaTableError::SerializeLogJson { json_err })
    };
    let position = match position {
        Some(position) => Some(position),
        None => table.snapshot().transaction_version(&*log_store, app_id).await?,
    };
    let mut state = State::default();
    state.version = Some(version);
    state.metadata = Some(line(Action::Metadata(table.metadata().clone()))?);
    state.positions.extend(position.map(|position| (app_id.to_owned(), position)));
    for file in table.log_data().iter() {
        // The view gives no other access to a file's tags.
        #[allow(deprecated)]
        let add = file.add_action();
        state.add(add_line(&add), line(Action::Add(add))?);
    }
    Ok(state)
}

/// Which part of the log nobody needs any more: what stands before the newest checkpoint that has been there long enough,
/// but never the last checkpoint: with the one before it, a damaged one can be made again.
fn give_up_old(state: &mut State, keeping: &Keeping) {
    let now = keeping.now_millis();
    for file in &mut state.checkpoints {
        file.at = Some(file.at.map_or(now, |at| at.min(now)));
    }
    let old = state.checkpoints.iter().filter(|file| file.at.is_some_and(|at| keeping.is_over(at)));
    state.log_start = old.map(|file| file.version).max().unwrap_or(0).max(state.log_start);
    let log_start = state.log_start;
    state.checkpoints.retain(|file| file.version >= log_start);
}

fn tell(repaired: &[Damage]) {
    for damage in repaired {
        tracing::warn!(file = %damage.file.display(), start = damage.start, end = damage.end, reason = %damage.reason, "repaired a file of the lake");
    }
    metrics::counter!("headwater_lake_repairs_total").increment(repaired.len() as u64);
}
