//! The catalog one statement sees: `headwater.public` with the cut's tables, `headwater.information_schema` with their
//! names and columns. Always: filled before the statement is planned and never written to afterwards, because no
//! statement that would passes. Holds no table that the cut does not name.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{Int32Array, RecordBatch, StringArray},
    datatypes::{DataType, Field, Schema},
};
use datafusion::{
    catalog::{
        CatalogProvider, MemTable, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, TableProvider,
    },
    error::Result,
    execution::object_store::ObjectStoreUrl,
};
use hw_event::Principal;

use crate::{
    Cut, PayloadOpener, TableKind,
    render::type_name,
    system::{ledger, rejects, streams},
    table::LakeTable,
    verified::{Findings, Remembered},
};

pub(crate) const CATALOG: &str = "headwater";
pub(crate) const SCHEMA: &str = "public";
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";

/// `store` names the object store of a lake's root.
pub(crate) fn catalog(
    cut: Cut,
    principal: &Principal,
    opener: &Arc<dyn PayloadOpener>,
    findings: &Findings,
    remembered: &Remembered,
    store: impl Fn(&Path) -> Result<ObjectStoreUrl>,
) -> Result<Arc<dyn CatalogProvider>> {
    let mut tables: Vec<(String, Arc<dyn TableProvider>)> = Vec::with_capacity(cut.tables.len() + 1);
    let mut tallies = None;
    for table in cut.tables {
        let (name, kind) = (table.name.clone(), table.kind);
        let url = store(&table.lake_root)?;
        let physical: Arc<dyn TableProvider> =
            Arc::new(LakeTable::new(table, url, findings.clone(), remembered.clone()));
        let shown = match kind {
            TableKind::Stream => physical,
            TableKind::Rejects => rejects(physical, principal, opener)?,
            TableKind::Ledger => {
                tallies = Some(Arc::clone(&physical));
                ledger(physical)?
            }
        };
        tables.push((name, shown));
    }
    tables.push(("streams".to_owned(), streams(cut.streams, tallies)?));
    tables.sort_by(|one, other| one.0.cmp(&other.0));

    let information = MemorySchemaProvider::new();
    information.register_table("tables".to_owned(), in_memory(table_names(&tables)?)?)?;
    information.register_table("columns".to_owned(), in_memory(column_names(&tables)?)?)?;
    let public = MemorySchemaProvider::new();
    for (name, table) in tables {
        public.register_table(name, table)?;
    }
    let catalog = MemoryCatalogProvider::new();
    catalog.register_schema(SCHEMA, Arc::new(public))?;
    catalog.register_schema(INFORMATION_SCHEMA, Arc::new(information))?;
    Ok(Arc::new(catalog))
}

fn in_memory(batch: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

type Named = [(String, Arc<dyn TableProvider>)];

fn table_names(tables: &Named) -> Result<RecordBatch> {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let columns = ["table_catalog", "table_schema", "table_name", "table_type"].map(text);
    let repeated = |value: &'static str| Arc::new(StringArray::from(vec![value; tables.len()]));
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(columns.to_vec())),
        vec![
            repeated(CATALOG),
            repeated(SCHEMA),
            Arc::new(StringArray::from_iter_values(tables.iter().map(|(name, _)| name))),
            repeated("BASE TABLE"),
        ],
    )?)
}

fn column_names(tables: &Named) -> Result<RecordBatch> {
    let mut named = Vec::new();
    for (table, provider) in tables {
        for (index, field) in provider.schema().fields().iter().enumerate() {
            let position = i32::try_from(index + 1).unwrap_or(i32::MAX);
            let nullable = if field.is_nullable() { "YES" } else { "NO" };
            named.push((table, field.name().clone(), position, nullable, type_name(field.data_type())));
        }
    }
    let text = |name| Field::new(name, DataType::Utf8, false);
    let columns = vec![
        text("table_catalog"),
        text("table_schema"),
        text("table_name"),
        text("column_name"),
        Field::new("ordinal_position", DataType::Int32, false),
        text("is_nullable"),
        text("data_type"),
    ];
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(columns)),
        vec![
            Arc::new(StringArray::from(vec![CATALOG; named.len()])),
            Arc::new(StringArray::from(vec![SCHEMA; named.len()])),
            Arc::new(StringArray::from_iter_values(named.iter().map(|column| column.0))),
            Arc::new(StringArray::from_iter_values(named.iter().map(|column| &column.1))),
            Arc::new(Int32Array::from_iter_values(named.iter().map(|column| column.2))),
            Arc::new(StringArray::from_iter_values(named.iter().map(|column| column.3))),
            Arc::new(StringArray::from_iter_values(named.iter().map(|column| &column.4))),
        ],
    )?)
}
