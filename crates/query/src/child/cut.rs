//! A cut as bytes: on the server's side made from the cut that was taken, inside made into one again.
//! Always: only tables that a name in the text can mean travel whole. Reading one that did not is an error, never an empty
//! table. A list of files travels to a process once.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use arrow::datatypes::Schema;

use super::{
    inside::HotOpener,
    wire::{self, Content, FilesSent, Hot, Table},
};
use crate::{
    Cut, CutFile, Files, HotBatches, HotError, HotSource, NoHot, QueryError, TableCut, TableKind,
    catalog::INFORMATION_SCHEMA,
};

/// Lists of files that a process keeps; both sides forget the oldest beyond it.
const LISTS_MAX: usize = 8;

/// The lists of files that a process has, as the server knows them and as the process keeps them.
#[derive(Debug)]
pub(super) struct Lists<T>(VecDeque<(u64, T)>);

impl<T> Default for Lists<T> {
    fn default() -> Lists<T> {
        Lists(VecDeque::new())
    }
}

impl<T> Lists<T> {
    fn get(&self, id: u64) -> Option<&T> {
        self.0.iter().find(|(known, _)| *known == id).map(|(_, list)| list)
    }

    fn put(&mut self, id: u64, list: T) {
        self.0.push_back((id, list));
        if self.0.len() > LISTS_MAX {
            self.0.pop_front();
        }
    }
}

/// May a statement in whose text these names stand read the table's rows?
fn is_meant(table: &TableCut, names: &HashSet<String>) -> bool {
    // The table `streams` is a view on the ledger's.
    names.contains(&table.name) || table.kind == TableKind::Ledger && names.contains("streams")
}

/// Lets go of what the statement cannot read: nobody shall wait for a lease on it.
pub(super) fn let_go(cut: &mut Cut, names: &HashSet<String>) {
    for table in cut.tables.iter_mut().filter(|table| !is_meant(table, names)) {
        table.hot = Arc::new(NoHot);
        table.files = Files::default();
    }
}

/// The tables for a statement in whose text these names stand, for a process that has these lists.
pub(super) fn to_tables(
    cut: &Cut,
    names: &HashSet<String>,
    lists: &mut Lists<()>,
) -> Result<Vec<Table>, QueryError> {
    let internal = |fault: String| QueryError::Internal(format!("the cut cannot be sent: {fault}"));
    // Each view of the catalog on columns stands in this schema.
    let shows_columns = names.contains(INFORMATION_SCHEMA);
    let mut tables = Vec::with_capacity(cut.tables.len());
    for table in &cut.tables {
        let columns = || wire::schema_bytes(&table.columns).map_err(|fault| internal(fault.to_string()));
        let content = match (is_meant(table, names), table.kind) {
            (true, _) => Content::Whole {
                columns: columns()?,
                lake_root: table.lake_root.clone(),
                files: to_files(&table.files, lists).ok_or_else(|| internal("a file's name".to_owned()))?,
                hot: to_hot(&*table.hot).ok_or_else(|| internal("hot rows".to_owned()))?,
                damage: table.damage.clone(),
            },
            // The views on these are made whether or not they are read.
            (false, TableKind::Rejects | TableKind::Ledger) => Content::Columns(columns()?),
            (false, TableKind::Stream) if shows_columns => Content::Columns(columns()?),
            (false, TableKind::Stream) => Content::Name,
        };
        tables.push(Table { name: table.name.clone(), kind: table.kind, content });
    }
    Ok(tables)
}

fn to_files(files: &Files, lists: &mut Lists<()>) -> Option<FilesSent> {
    if files.is_empty() {
        return Some(FilesSent::None);
    }
    if lists.get(files.id()).is_some() {
        return Some(FilesSent::Known(files.id()));
    }
    let encoded = files.encoded()?.to_vec();
    lists.put(files.id(), ());
    Some(FilesSent::New(files.id(), encoded))
}

fn to_hot(hot: &dyn HotSource) -> Option<Option<Hot>> {
    match hot.rows() {
        0 => Some(None),
        rows => Some(Some(Hot { rows: rows as u64, source: hot.to_bytes()? })),
    }
}

/// The cut that was sent.
pub(super) fn to_cut(
    tables: Vec<Table>,
    streams: &[u8],
    lists: &mut Lists<Files>,
    opener: &dyn HotOpener,
) -> Result<Cut, QueryError> {
    let internal = |fault: String| QueryError::Internal(format!("the cut cannot be read: {fault}"));
    let schema_of = |bytes: &[u8]| wire::schema_of(bytes).map_err(|fault| internal(fault.to_string()));
    let mut cut = Vec::with_capacity(tables.len());
    for Table { name, kind, content } in tables {
        let unread = |columns| TableCut {
            name: name.clone(),
            kind,
            columns,
            lake_root: Default::default(),
            files: Files::default(),
            hot: Arc::new(Unread),
            damage: None,
        };
        cut.push(match content {
            Content::Name => unread(Arc::new(Schema::empty())),
            Content::Columns(columns) => unread(schema_of(&columns)?),
            Content::Whole { columns, lake_root, files, hot, damage } => {
                let columns = schema_of(&columns)?;
                let hot = match hot {
                    None => Arc::new(NoHot),
                    Some(Hot { source, .. }) => opener.open(&columns, &source).map_err(|fault| {
                        match fault.downcast::<QueryError>() {
                            Ok(ours) => *ours,
                            Err(fault) => internal(fault.to_string()),
                        }
                    })?,
                };
                let files = from_files(files, lists).map_err(internal)?;
                TableCut { name, kind, columns, lake_root, files, hot, damage }
            }
        });
    }
    let streams = wire::batch_of(streams).map_err(|fault| internal(fault.to_string()))?;
    Ok(Cut { tables: cut, streams })
}

fn from_files(files: FilesSent, lists: &mut Lists<Files>) -> Result<Files, String> {
    match files {
        FilesSent::None => Ok(Files::default()),
        FilesSent::Known(id) => {
            lists.get(id).cloned().ok_or_else(|| "a list of files is not here".to_owned())
        }
        FilesSent::New(id, encoded) => {
            let files: Vec<CutFile> = wire::decode(&encoded).map_err(|fault| fault.to_string())?;
            let files = Files::from(files);
            lists.put(id, files.clone());
            Ok(files)
        }
    }
}

/// The rows of a table that did not travel.
#[derive(Debug)]
struct Unread;

impl HotSource for Unread {
    fn rows(&self) -> usize {
        // Not none: nothing may take the table for empty.
        1
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        Err("the table's rows were not sent, because its name does not stand in the statement".into())
    }
}

#[cfg(test)]
mod tests;
