//! The catalog one statement sees: `headwater.public` with the cut's tables, `headwater.information_schema` with their
//! names and columns. Always: filled before the statement is planned and never written to afterwards, because no
//! statement that would passes. Holds no table that the cut does not name, and of those the ones that the statement can mean.

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
use hw_event::{Principal, RESOLUTIONS};

use crate::{
    Cut, PayloadOpener, TableKind,
    render::type_name,
    statement::{Ask, Checked},
    system::{ledger, rejects, streams},
    table::LakeTable,
    verified::{Findings, Remembered},
};

pub(crate) const CATALOG: &str = "headwater";
pub(crate) const SCHEMA: &str = "public";
pub(crate) const INFORMATION_SCHEMA: &str = "information_schema";
const STREAMS: &str = "streams";

/// `store` names the object store of a lake's root.
pub(crate) fn catalog(
    cut: Cut,
    checked: &Checked,
    principal: &Principal,
    opener: &Arc<dyn PayloadOpener>,
    findings: &Findings,
    remembered: &Remembered,
    store: impl Fn(&Path) -> Result<ObjectStoreUrl>,
) -> Result<Arc<dyn CatalogProvider>> {
    let shows = shows(checked);
    // A table takes its time to be made: only those are that the statement can name, or shows the columns of.
    let made = |name: &str, kind| shows == Shows::Columns || checked.names.may_mean(name, kind);
    // A version of a table is a table of one statement.
    let named = cut.tables.iter().filter(|table| !table.is_as_of());
    let mut names: Vec<String> = named.map(|table| table.name.clone()).collect();
    names.push(STREAMS.to_owned());
    names.sort_unstable();

    let is_joined = checked.tables.len() > 1;
    let mut tables: Vec<(String, Arc<dyn TableProvider>)> = Vec::new();
    let mut tallies = None;
    let mut resolutions = None;
    // The streams come before the platform's own tables, which are made of some of them.
    for table in cut.tables {
        let (name, kind, as_of) = (table.name.clone(), table.kind, table.is_as_of());
        if !made(&name, kind) {
            continue;
        }
        let url = store(&table.lake_root)?;
        let physical: Arc<dyn TableProvider> =
            Arc::new(LakeTable::new(table, url, findings.clone(), remembered.clone(), is_joined));
        let shown = match kind {
            TableKind::Stream => {
                if name == RESOLUTIONS {
                    resolutions = Some(Arc::clone(&physical));
                }
                physical
            }
            // What became of them is no part of a version.
            TableKind::Rejects if as_of => rejects(physical, None, principal, opener)?,
            TableKind::Ledger if as_of => ledger(physical)?,
            TableKind::Rejects => rejects(physical, resolutions.take(), principal, opener)?,
            TableKind::Ledger => {
                tallies = Some(Arc::clone(&physical));
                ledger(physical)?
            }
        };
        tables.push((name, shown));
    }
    if shows == Shows::Columns || checked.names.may_mean_streams() {
        tables.push((STREAMS.to_owned(), streams(cut.streams, tallies)?));
    }
    tables.sort_by(|one, other| one.0.cmp(&other.0));

    let catalog = MemoryCatalogProvider::new();
    if shows != Shows::Nothing {
        let information = MemorySchemaProvider::new();
        information.register_table("tables".to_owned(), in_memory(table_names(&names)?)?)?;
        information.register_table(
            "columns".to_owned(),
            in_memory(column_names(tables.iter().filter(|(name, _)| names.binary_search(name).is_ok()))?)?,
        )?;
        catalog.register_schema(INFORMATION_SCHEMA, Arc::new(information))?;
    }
    let public = MemorySchemaProvider::new();
    for (name, table) in tables {
        public.register_table(name, table)?;
    }
    catalog.register_schema(SCHEMA, Arc::new(public))?;
    Ok(Arc::new(catalog))
}

/// What a statement shows of the catalog itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    /// The names of all tables, and the columns of those that it names.
    Names,
    /// The columns of all.
    Columns,
}

fn shows(checked: &Checked) -> Shows {
    match checked.ask {
        // Each view on columns stands in this schema.
        _ if checked.names.contains(INFORMATION_SCHEMA) => Shows::Columns,
        Ask::ShowTables | Ask::Describe(_) => Shows::Names,
        Ask::Plan(_) => Shows::Nothing,
    }
}

fn in_memory(batch: RecordBatch) -> Result<Arc<dyn TableProvider>> {
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

type Named = (String, Arc<dyn TableProvider>);

fn table_names(names: &[String]) -> Result<RecordBatch> {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let columns = ["table_catalog", "table_schema", "table_name", "table_type"].map(text);
    let repeated = |value: &'static str| Arc::new(StringArray::from(vec![value; names.len()]));
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(columns.to_vec())),
        vec![
            repeated(CATALOG),
            repeated(SCHEMA),
            Arc::new(StringArray::from_iter_values(names)),
            repeated("BASE TABLE"),
        ],
    )?)
}

fn column_names<'a>(tables: impl Iterator<Item = &'a Named>) -> Result<RecordBatch> {
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
