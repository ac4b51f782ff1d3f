//! What a table says of itself: whose it is, with which schema's columns, and how long what is old is kept.
//! Always: needs no more than the oldest protocol, so that the oldest readers may open it.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use deltalake::{
    DeltaTableError,
    kernel::{
        Metadata, MetadataExt, Protocol, StructType, engine::arrow_conversion::TryIntoKernel, new_metadata,
    },
};
use hw_event::{SchemaNumber, StreamId};
use hw_schema::{PRIVACY_METADATA, Privacy, Registry, rows};
use serde_json::json;

use super::{Addition, DeltaHome, Replacement};
use crate::{LakeError, LetGo, table::Table};

/// In the metadata of a column of digests: which key they were made with.
const HASH_KEY_METADATA: &str = "headwater.hash_key";
/// In the table's configuration: whose table this is, and with which schema's columns.
const TABLE_STREAM: &str = "headwater.stream_id";
const TABLE_SCHEMA: &str = "headwater.schema";
/// The same: how many rows were erased, a JSON object.
const TABLE_ERASED: &str = "headwater.erased";
/// The same: how many rows were not kept, a JSON object.
const TABLE_LET_GO: &str = "headwater.let_go";
/// The same: the first offset that is kept, by partition.
const TABLE_FIRST_KEPT: &str = "headwater.first_kept";
/// In the table's configuration, as Delta names them: how long removed files and old commits stay.
const TABLE_KEEPS: [&str; 2] = ["delta.deletedFileRetentionDuration", "delta.logRetentionDuration"];

/// How many rows were erased since the table began, by whose they were.
pub(super) fn erased(metadata: &Metadata) -> BTreeMap<String, u64> {
    let text = metadata.configuration().get(TABLE_ERASED);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// How many rows were not kept since the table began. What retention let go of before there was this stands among the erased.
pub(super) fn let_go(metadata: &Metadata) -> LetGo {
    let text = metadata.configuration().get(TABLE_LET_GO);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// The first offset of each partition that retention has left; it is not below what is there.
pub(super) fn first_kept(metadata: &Metadata) -> BTreeMap<i32, i64> {
    let text = metadata.configuration().get(TABLE_FIRST_KEPT);
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

impl DeltaHome {
    /// The schema number in the metadata, once the table is known to be the right one.
    pub(super) fn check_owner(&self, metadata: &Metadata) -> Result<Option<SchemaNumber>, LakeError> {
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

    pub(super) fn columns(
        &self,
        registry: &Registry,
        schema: Option<SchemaNumber>,
    ) -> Result<SchemaRef, LakeError> {
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

    /// Nothing here needs more than the oldest protocol, so the oldest readers may open it.
    pub(super) fn protocol(&self) -> Result<Protocol, LakeError> {
        serde_json::from_value(json!({"minReaderVersion": 1, "minWriterVersion": 2}))
            .map_err(|json_err| self.delta_error(DeltaTableError::SerializeLogJson { json_err }))
    }

    pub(super) fn first_metadata(&self, addition: &Addition<'_>) -> Result<Metadata, LakeError> {
        let configuration = self.configuration(addition.schema);
        new_metadata(&self.delta_columns(addition.columns)?, Vec::<String>::new(), configuration)
            .map_err(DeltaTableError::from)
            .and_then(|metadata| metadata.with_name(self.name.clone()).map_err(DeltaTableError::from))
            .map_err(|source| self.delta_error(source))
    }

    pub(super) fn evolved(
        &self,
        old: &Metadata,
        columns: &SchemaRef,
        schema: Option<SchemaNumber>,
    ) -> Result<Metadata, LakeError> {
        let columns = self.delta_columns(columns)?;
        let mut metadata = old.clone().with_schema(&columns);
        for (key, value) in self.configuration(schema) {
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
        configuration.extend(TABLE_KEEPS.map(|key| (key.to_owned(), self.keeping.interval())));
        configuration
    }

    /// The setting may have changed, or be newer than the table.
    pub(super) fn with_keeping(&self, metadata: &Metadata) -> Result<Metadata, LakeError> {
        let interval = self.keeping.interval();
        let mut metadata = Ok(metadata.clone());
        for key in TABLE_KEEPS {
            metadata = metadata.and_then(|metadata| match metadata.configuration().get(key) {
                Some(known) if *known == interval => Ok(metadata),
                _ => metadata.add_config_key(key.to_owned(), interval.clone()),
            });
        }
        metadata.map_err(|source| self.delta_error(source.into()))
    }

    /// With the rows that the replacement lacks counted too.
    pub(super) fn with_fewer_rows(
        &self,
        metadata: &Metadata,
        replacement: &Replacement,
    ) -> Result<Metadata, LakeError> {
        let mut changed = Ok(metadata.clone());
        if !replacement.erased.is_empty() {
            let mut erased = erased(metadata);
            for (name, rows) in &replacement.erased {
                *erased.entry(name.clone()).or_default() += rows;
            }
            let text = json!(erased).to_string();
            changed = changed.and_then(|it| it.add_config_key(TABLE_ERASED.to_owned(), text));
        }
        if replacement.let_go.rows() > 0 {
            let before = let_go(metadata);
            let sum = LetGo {
                expired: before.expired + replacement.let_go.expired,
                superseded: before.superseded + replacement.let_go.superseded,
            };
            let text = json!(sum).to_string();
            changed = changed.and_then(|it| it.add_config_key(TABLE_LET_GO.to_owned(), text));
        }
        if !replacement.first_kept.is_empty() {
            let mut first_kept = first_kept(metadata);
            for (partition, offset) in &replacement.first_kept {
                let first = first_kept.entry(*partition).or_default();
                *first = (*first).max(*offset);
            }
            let text = json!(first_kept).to_string();
            changed = changed.and_then(|it| it.add_config_key(TABLE_FIRST_KEPT.to_owned(), text));
        }
        changed.map_err(|source| self.delta_error(source.into()))
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
}
