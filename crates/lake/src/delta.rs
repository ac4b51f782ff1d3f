//! One Delta table through delta-rs: loaded from its log, committed to, checkpointed.
//! Always: a commit is one file that appears whole or not at all, at the version after the one it was made
//! for; it carries `txn` (`headwater/<journal id>`, append), so that whoever loads the table knows what is in.
//! What was committed by us is known without reading it back; another writer's commit is found by its version
//! being taken, and then the table is loaded anew.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use deltalake::{
    DeltaTable, DeltaTableError,
    checkpoints::create_checkpoint,
    kernel::{
        Action, Add, CommitInfo, Metadata, MetadataExt, Protocol, StructType, Transaction,
        engine::arrow_conversion::TryIntoKernel, new_metadata, transaction::TransactionError,
    },
    logstore::{CommitOrBytes, LogStoreRef, StorageConfig, logstore_with},
};
use hw_event::{SchemaNumber, Seq, StreamId, Timestamp};
use hw_schema::{PRIVACY_METADATA, Privacy, Registry, rows};
use serde_json::json;
use tokio::task::spawn_blocking;
use url::Url;
use uuid::Uuid;

use crate::{
    LakeError,
    hot_file::HotFile,
    log_files::{PREVIOUS_CRC32C, Tip, check_log},
    stats,
    store::SyncingStore,
    table::{LakeFile, Table, TableSnapshot},
};

const FILE_CRC32C: &str = "headwater.crc32c";
const FILE_SCHEMA: &str = "headwater.schema";
/// In the metadata of a column of digests: which key they were made with.
const HASH_KEY_METADATA: &str = "headwater.hash_key";
/// In the table's configuration: whose table this is, and with which schema's columns.
const TABLE_STREAM: &str = "headwater.stream_id";
const TABLE_SCHEMA: &str = "headwater.schema";

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
    log_store: LogStoreRef,
}

/// Who writes, and with which key.
#[derive(Clone)]
pub(crate) struct Identity {
    /// Whose positions the commits carry.
    pub app_id: Arc<str>,
    pub hash_key_id: Option<Arc<str>>,
}

/// A table as its log has it.
#[derive(Debug)]
pub(crate) struct Committed {
    pub snapshot: Arc<TableSnapshot>,
    pub schema: Option<SchemaNumber>,
    metadata: Metadata,
    tip_crc32c: u32,
}

/// What one commit adds.
pub(crate) struct Addition<'a> {
    pub files: &'a [HotFile],
    pub through: Seq,
    pub columns: &'a SchemaRef,
    pub schema: Option<SchemaNumber>,
    pub now: Timestamp,
}

impl DeltaHome {
    pub(crate) fn new(
        table: Table,
        name: &str,
        directory: PathBuf,
        identity: Identity,
        store: &SyncingStore,
    ) -> Result<DeltaHome, LakeError> {
        let delta_error =
            |source| LakeError::Delta { directory: directory.clone(), source: Box::new(source) };
        let url = Url::from_directory_path(&directory).map_err(|()| {
            delta_error(DeltaTableError::InvalidTableLocation(directory.display().to_string()))
        })?;
        let log_store =
            logstore_with(Arc::new(store.clone()), &url, StorageConfig::default()).map_err(delta_error)?;
        Ok(DeltaHome { table, name: name.to_owned(), directory, identity, log_store })
    }

    fn delta_error(&self, source: DeltaTableError) -> LakeError {
        LakeError::Delta { directory: self.directory.clone(), source: Box::new(source) }
    }

    /// Reads the table from its log. `None`: it does not exist yet.
    pub(crate) async fn load(&self, registry: &Registry) -> Result<Option<Committed>, LakeError> {
        let directory = self.directory.clone();
        let tip = spawn_blocking(move || check_log(&directory))
            .await
            .map_err(|_| LakeError::Panicked { directory: self.directory.clone() })??;
        let Some(tip) = tip else { return Ok(None) };
        let mut delta = DeltaTable::new(self.log_store.clone());
        // Of that version and no other: somebody may commit in between.
        delta.load_version(tip.version).await.map_err(|source| self.delta_error(source))?;
        let state = delta.snapshot().map_err(|source| self.delta_error(source))?;
        let metadata = state.metadata().clone();
        let schema = self.check_owner(&metadata)?;
        let columns = self.columns(registry, schema)?;
        let seq = self.position(&tip, state.snapshot()).await?;
        let files: Vec<_> = state
            .log_data()
            .iter()
            .map(|file| {
                // The view gives no other access to a file's tags.
                #[allow(deprecated)]
                let add = file.add_action();
                Arc::new(self.lake_file(&add))
            })
            .collect();
        let snapshot = self.snapshot(tip.version, seq, files, columns);
        Ok(Some(Committed { snapshot, schema, metadata, tip_crc32c: tip.crc32c }))
    }

    async fn position(
        &self,
        tip: &Tip,
        snapshot: &deltalake::kernel::EagerSnapshot,
    ) -> Result<Seq, LakeError> {
        // The newest commit is nearly always ours; only another writer's makes the log be searched.
        let position = match tip.position(&self.identity.app_id) {
            Some(position) => Some(position),
            None => snapshot
                .transaction_version(&*self.log_store, &self.identity.app_id)
                .await
                .map_err(|source| self.delta_error(source))?,
        };
        Ok(Seq(position.and_then(|position| u64::try_from(position).ok()).unwrap_or(0)))
    }

    /// The schema number in the metadata, once the table is known to be the right one.
    fn check_owner(&self, metadata: &Metadata) -> Result<Option<SchemaNumber>, LakeError> {
        let Table::Stream(stream) = self.table else { return Ok(None) };
        let foreign = |reason| LakeError::Foreign { directory: self.directory.clone(), stream, reason };
        let number = |key: &str| metadata.configuration().get(key).and_then(|text| text.parse().ok());
        match number(TABLE_STREAM).map(StreamId) {
            Some(owner) if owner == stream => {}
            Some(owner) => return Err(foreign(format!("it is stream {owner}'s"))),
            None => return Err(foreign(format!("its properties lack {TABLE_STREAM}"))),
        }
        let schema = metadata.configuration().get(TABLE_SCHEMA).and_then(|text| text.parse().ok());
        Ok(Some(SchemaNumber(schema.ok_or_else(|| foreign(format!("its properties lack {TABLE_SCHEMA}")))?)))
    }

    fn columns(&self, registry: &Registry, schema: Option<SchemaNumber>) -> Result<SchemaRef, LakeError> {
        match (self.table, schema) {
            (Table::Stream(stream), Some(number)) => registry
                .by_id(stream)
                .and_then(|stream| stream.version(number).map(|schema| schema.table_columns().clone()))
                .ok_or_else(|| LakeError::UnknownSchema {
                    directory: self.directory.clone(),
                    number: number.0,
                }),
            (Table::Ledger, _) => Ok(rows::ledger_table_schema()),
            (Table::Rejects | Table::Stream(_), _) => Ok(rows::rejects_table_schema()),
        }
    }

    fn lake_file(&self, add: &Add) -> LakeFile {
        let tag = |key| add.tags.as_ref()?.get(key)?.as_deref();
        let (rows, stats) = add
            .stats
            .as_deref()
            .and_then(|json| stats::parse(json, self.table.place_columns()))
            .unwrap_or_default();
        LakeFile {
            path: PathBuf::from(&self.name).join(&add.path),
            bytes: u64::try_from(add.size).unwrap_or(0),
            rows,
            stats,
            schema: tag(FILE_SCHEMA).and_then(|text| text.parse().ok()).map(SchemaNumber),
            crc32c: tag(FILE_CRC32C).and_then(|text| u32::from_str_radix(text, 16).ok()),
        }
    }

    fn snapshot(
        &self,
        version: u64,
        seq: Seq,
        files: Vec<Arc<LakeFile>>,
        columns: SchemaRef,
    ) -> Arc<TableSnapshot> {
        Arc::new(TableSnapshot {
            version: i64::try_from(version).unwrap_or(i64::MAX),
            seq,
            bytes: files.iter().map(|file| file.bytes).sum(),
            rows: files.iter().map(|file| file.rows).sum(),
            files,
            columns,
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
        for _ in 0..ATTEMPTS_MAX {
            if let Some(base) = &base
                && base.snapshot.seq >= addition.through
            {
                return Ok(base.clone());
            }
            let (version, bytes, next) = self.prepare(base.as_deref(), &addition)?;
            let entry = CommitOrBytes::LogBytes(bytes.into());
            match self.log_store.write_commit_entry(version, entry, Uuid::new_v4()).await {
                Ok(()) => return Ok(Arc::new(next)),
                // Another writer's commit, or an attempt of ours whose outcome we never learned.
                Err(TransactionError::VersionAlreadyExists(_)) => {
                    self.sync_log().await?;
                    base = self.load(registry).await?.map(Arc::new);
                }
                Err(error) => return Err(self.delta_error(error.into())),
            }
        }
        Err(LakeError::Conflict { directory: self.directory.clone(), attempts: ATTEMPTS_MAX })
    }

    /// A commit found in the log counts only once its name is known to be durable.
    async fn sync_log(&self) -> Result<(), LakeError> {
        let path = self.directory.join(crate::log_files::LOG);
        let sync = spawn_blocking({
            let path = path.clone();
            move || std::fs::File::open(path)?.sync_all()
        });
        sync.await
            .map_err(|_| LakeError::Panicked { directory: self.directory.clone() })?
            .map_err(|source| LakeError::Io { path, source })
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
            info: base
                .map(|base| (PREVIOUS_CRC32C.to_owned(), json!(format!("{:08x}", base.tip_crc32c))))
                .into_iter()
                .collect(),
            ..CommitInfo::default()
        })];
        // The newer schema of the two is the table's: rows of an older one may still come.
        let keeps = base.filter(|base| base.schema >= addition.schema);
        let (metadata, columns, schema) = match (base, keeps) {
            (_, Some(base)) => (base.metadata.clone(), base.snapshot.columns.clone(), base.schema),
            (Some(base), None) => {
                let metadata = self.evolved(&base.metadata, addition)?;
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
        for file in addition.files {
            let add = add_action(file, millis);
            let file = Arc::new(self.lake_file(&add));
            // An earlier attempt that got through, but never came back to say so, holds the file already.
            if files.iter().rev().any(|known| known.path == file.path) {
                continue;
            }
            files.push(file);
            actions.push(Action::Add(add));
        }
        actions.push(Action::Txn(Transaction::new_with_last_update(
            &self.identity.app_id,
            i64::try_from(addition.through.0).unwrap_or(i64::MAX),
            Some(millis),
        )));
        let mut bytes = Vec::new();
        for action in &actions {
            if !bytes.is_empty() {
                bytes.push(b'\n');
            }
            serde_json::to_writer(&mut bytes, action)
                .map_err(|json_err| self.delta_error(DeltaTableError::SerializeLogJson { json_err }))?;
        }
        let version = base.map_or(0, |base| base.snapshot.version.cast_unsigned() + 1);
        let tip_crc32c = crc32c::crc32c(&bytes);
        let snapshot = self.snapshot(version, addition.through, files, columns);
        Ok((version, bytes, Committed { snapshot, schema, metadata, tip_crc32c }))
    }

    /// Nothing here needs more than the oldest protocol, so the oldest readers may open it.
    fn protocol(&self) -> Result<Protocol, LakeError> {
        serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
            .map_err(|json_err| self.delta_error(DeltaTableError::SerializeLogJson { json_err }))
    }

    fn first_metadata(&self, addition: &Addition<'_>) -> Result<Metadata, LakeError> {
        let configuration = self.configuration(addition.schema);
        new_metadata(&self.delta_columns(addition.columns)?, Vec::<String>::new(), configuration)
            .map_err(DeltaTableError::from)
            .and_then(|metadata| metadata.with_name(self.name.clone()).map_err(DeltaTableError::from))
            .map_err(|source| self.delta_error(source))
    }

    fn evolved(&self, old: &Metadata, addition: &Addition<'_>) -> Result<Metadata, LakeError> {
        let columns = self.delta_columns(addition.columns)?;
        let mut metadata = old.clone().with_schema(&columns);
        for (key, value) in self.configuration(addition.schema) {
            metadata = metadata.and_then(|metadata| metadata.add_config_key(key, value));
        }
        metadata.map_err(|source| self.delta_error(source.into()))
    }

    fn configuration(&self, schema: Option<SchemaNumber>) -> Vec<(String, String)> {
        let mut configuration = Vec::new();
        if let Table::Stream(stream) = self.table {
            configuration.push((TABLE_STREAM.to_owned(), stream.to_string()));
        }
        if let Some(number) = schema {
            configuration.push((TABLE_SCHEMA.to_owned(), number.to_string()));
        }
        configuration
    }

    fn delta_columns(&self, columns: &SchemaRef) -> Result<StructType, LakeError> {
        let named = columns.fields().iter().map(|column| self.with_key_id(column)).collect::<Fields>();
        (&Schema::new(named)).try_into_kernel().map_err(|error: arrow::error::ArrowError| {
            self.delta_error(DeltaTableError::Arrow { source: error })
        })
    }

    /// The column, and all within it, with the id of the key wherever values are digests.
    fn with_key_id(&self, column: &Arc<Field>) -> Arc<Field> {
        let Some(id) = &self.identity.hash_key_id else { return column.clone() };
        let within = |columns: &Fields| columns.iter().map(|column| self.with_key_id(column)).collect();
        let data_type = match column.data_type() {
            DataType::Struct(columns) => DataType::Struct(within(columns)),
            DataType::List(element) => DataType::List(self.with_key_id(element)),
            DataType::Map(entries, sorted) => DataType::Map(self.with_key_id(entries), *sorted),
            other => other.clone(),
        };
        let mut metadata = column.metadata().clone();
        if metadata.get(PRIVACY_METADATA).is_some_and(|privacy| privacy == Privacy::Hash.as_str()) {
            metadata.insert(HASH_KEY_METADATA.to_owned(), id.to_string());
        }
        let named = Field::new(column.name(), data_type, column.is_nullable());
        Arc::new(named.with_metadata(metadata))
    }

    /// Writes a checkpoint of the newest version, so that the next open reads a few commits and not all.
    pub(crate) async fn checkpoint(&self) -> Result<(), LakeError> {
        let mut delta = DeltaTable::new(self.log_store.clone());
        delta.load().await.map_err(|source| self.delta_error(source))?;
        create_checkpoint(&delta, None).await.map_err(|source| self.delta_error(source))
    }
}

fn add_action(file: &HotFile, millis: i64) -> Add {
    let mut tags = HashMap::from([(FILE_CRC32C.to_owned(), Some(format!("{:08x}", file.crc32c)))]);
    if let Some(number) = file.schema {
        tags.insert(FILE_SCHEMA.to_owned(), Some(number.to_string()));
    }
    Add {
        path: file.name.clone(),
        size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
        modification_time: millis,
        data_change: true,
        stats: Some(file.stats_json.clone()),
        tags: Some(tags),
        ..Add::default()
    }
}
