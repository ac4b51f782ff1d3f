//! The commit that puts new files in the place of those they were made of.
//! Always: all of the old files leave and all of the new ones come in one commit, or none; its `txn` repeats the position.
//! Compaction neither adds nor loses a row, so its actions say that the data did not change; an erasure loses rows, and the
//! commit counts them in the table's properties. If an old file is no part of the table any more, nothing is committed.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use arrow::datatypes::SchemaRef;
use deltalake::kernel::{Action, Add, CommitInfo, Remove, Transaction};
use hw_event::{SchemaNumber, Timestamp};
use hw_schema::Registry;

use super::{ATTEMPTS_MAX, Committed, DeltaHome, add_action, add_line, checksums};
use crate::{LakeError, LetGo, data_file::DataFile, table::LakeFile};

/// Files of one table that are to be replaced, and those that take their place, which are durable with their names.
#[derive(Debug)]
pub(crate) struct Replacement {
    /// The table's name.
    pub name: String,
    pub removes: Vec<Arc<LakeFile>>,
    pub adds: Vec<DataFile>,
    /// Rows that the new files lack because they were erased, by whose they were.
    pub erased: BTreeMap<String, u64>,
    /// Rows that they lack because they are not kept.
    pub let_go: LetGo,
    /// By partition, the first offset that is kept from now on.
    pub first_kept: BTreeMap<i32, i64>,
    /// The new files are of this schema, whose columns are the table's from now on.
    pub schema: Option<(SchemaNumber, SchemaRef)>,
}

impl Replacement {
    /// New files with the rows of the old.
    pub(crate) fn of(name: String, removes: Vec<Arc<LakeFile>>, adds: Vec<DataFile>) -> Replacement {
        let (erased, let_go, first_kept) = (BTreeMap::new(), LetGo::default(), BTreeMap::new());
        Replacement { name, removes, adds, erased, let_go, first_kept, schema: None }
    }
}

impl DeltaHome {
    /// Commits after `base`, or after whatever came in between. `None`: it is too late for it.
    pub(crate) async fn replace(
        &self,
        base: Arc<Committed>,
        replacement: &Replacement,
        now: Timestamp,
        registry: &Registry,
    ) -> Result<Option<Arc<Committed>>, LakeError> {
        let mut base = base;
        for _ in 0..ATTEMPTS_MAX {
            let live: HashSet<&PathBuf> = base.snapshot.files.iter().map(|file| &file.path).collect();
            let stays = |file: &DataFile| live.contains(&PathBuf::from(&self.name).join(&file.name));
            let gone = replacement.removes.iter().filter(|file| !live.contains(&file.path)).count();
            // An earlier attempt got through and never came back to say so.
            if gone == replacement.removes.len() && replacement.adds.iter().all(stays) {
                return Ok(Some(base));
            }
            if gone > 0 {
                return Ok(None);
            }
            let (version, bytes, mut next) = self.prepare_replace(&base, replacement, now)?;
            if let Some(end) = base.manifest_end
                && let Some(end) = self.put_commit(Some(end), version, bytes.into()).await?
            {
                next.manifest_end = Some(end);
                return Ok(Some(Arc::new(next)));
            }
            match self.load(registry).await? {
                Some(loaded) => base = Arc::new(loaded).with_files_of(&base),
                None => return Ok(None),
            }
        }
        Err(LakeError::Conflict { directory: self.directory.clone(), attempts: ATTEMPTS_MAX })
    }

    fn prepare_replace(
        &self,
        base: &Committed,
        replacement: &Replacement,
        now: Timestamp,
    ) -> Result<(u64, Vec<u8>, Committed), LakeError> {
        let millis = now.0.div_euclid(1000);
        let erases = !replacement.erased.is_empty() || replacement.let_go.rows() > 0;
        let changes = erases || replacement.schema.is_some();
        let operation = match (erases, changes) {
            (true, _) => "DELETE",
            (false, true) => "UPDATE",
            (false, false) => "OPTIMIZE",
        };
        let mut actions = vec![Action::CommitInfo(CommitInfo {
            timestamp: Some(millis),
            operation: Some(operation.to_owned()),
            operation_parameters: Some(HashMap::new()),
            is_blind_append: Some(false),
            engine_info: Some(concat!("headwater/", env!("CARGO_PKG_VERSION")).to_owned()),
            info: checksums(Some(base)).collect(),
            ..CommitInfo::default()
        })];
        let mut metadata = base.metadata.clone();
        if erases {
            metadata = self.with_fewer_rows(&metadata, replacement)?;
        }
        if let Some((number, columns)) = &replacement.schema {
            metadata = self.evolved(&metadata, columns, Some(*number))?;
        }
        if changes {
            actions.push(Action::Metadata(metadata.clone()));
        }
        let gone: HashSet<&PathBuf> = replacement.removes.iter().map(|file| &file.path).collect();
        for file in &replacement.removes {
            let name = file.path.strip_prefix(&self.name).unwrap_or(&file.path);
            actions.push(Action::Remove(Remove {
                path: name.display().to_string(),
                data_change: changes,
                deletion_timestamp: Some(millis),
                extended_file_metadata: Some(true),
                partition_values: Some(HashMap::new()),
                size: i64::try_from(file.bytes).ok(),
                ..Remove::default()
            }));
        }
        let files = base.snapshot.files.iter().filter(|file| !gone.contains(&file.path));
        let mut files: Vec<_> = files.cloned().collect();
        for file in &replacement.adds {
            let add = Add { data_change: changes, ..add_action(file, millis) };
            files.push(Arc::new(self.lake_file(&add_line(&add))));
            actions.push(Action::Add(add));
        }
        actions.push(Action::Txn(Transaction::new_with_last_update(
            &self.identity.app_id,
            i64::try_from(base.snapshot.seq.0).unwrap_or(i64::MAX),
            Some(millis),
        )));
        let bytes = self.encode(&actions)?;
        let version = base.snapshot.version.cast_unsigned() + 1;
        let (schema, columns) = match &replacement.schema {
            Some((number, columns)) => (Some(*number), columns.clone()),
            None => (base.schema, base.snapshot.columns.clone()),
        };
        let next = Committed {
            snapshot: self.snapshot(version, base.snapshot.seq, files, columns, &metadata),
            schema,
            metadata,
            tip_crc32c: crc32c::crc32c(&bytes),
            manifest_end: None,
            checkpoint: base.checkpoint,
            log_start: base.log_start,
            snapshot_bytes: base.snapshot_bytes,
            loaded: false,
            repaired: Vec::new(),
            removed: Vec::new(),
        };
        Ok((version, bytes, next))
    }
}
