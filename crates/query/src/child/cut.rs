//! A cut as bytes: on the server's side made from the cut that was taken, inside made into one again.
//! Always: only tables that a name in the text can mean travel whole. Reading one that did not is an error, never an empty
//! table. A list of files travels to a process once, and one that follows another as what differs.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use arrow::{array::RecordBatch, datatypes::Schema};

use super::{
    inside::HotOpener,
    wire::{self, Content, FilesSent, Hot, Piece, Table},
};
use crate::{
    Cut, CutFile, Files, HotSource, Listed, Names, NoHot, NotSeen, QueryError, TableCut,
    catalog::INFORMATION_SCHEMA, streams_schema,
};

/// Lists of files that a process keeps; both sides forget the oldest beyond it.
const LISTS_MAX: usize = 8;

/// The lists of files that a process has, as the server knows them and as the process keeps them: by number and table.
#[derive(Debug, Default)]
pub(super) struct Lists(VecDeque<Held>);

#[derive(Debug)]
struct Held {
    id: u64,
    table: String,
    files: Files,
}

impl Lists {
    fn get(&self, id: u64) -> Option<&Files> {
        self.0.iter().find(|held| held.id == id).map(|held| &held.files)
    }

    /// The newest one of a table.
    fn last(&self, table: &str) -> Option<&Held> {
        self.0.iter().rev().find(|held| held.table == table)
    }

    fn put(&mut self, id: u64, table: &str, files: Files) {
        self.0.push_back(Held { id, table: table.to_owned(), files });
        if self.0.len() > LISTS_MAX {
            self.0.pop_front();
        }
    }
}

/// Lets go of what the statement cannot read: nobody shall wait for a lease on it.
pub(super) fn let_go(cut: &mut Cut, names: &Names) {
    for table in cut.tables.iter_mut().filter(|table| !names.may_mean(&table.name, table.kind)) {
        table.hot = Arc::new(NoHot);
        table.files = Files::default();
    }
}

/// The tables for a statement in whose text these names stand, for a process that has these lists.
pub(super) fn to_tables(cut: &Cut, names: &Names, lists: &mut Lists) -> Result<Vec<Table>, QueryError> {
    let internal = |fault: String| QueryError::Internal(format!("the cut cannot be sent: {fault}"));
    // Each view of the catalog on columns stands in this schema.
    let shows_columns = names.contains(INFORMATION_SCHEMA);
    let mut tables = Vec::with_capacity(cut.tables.len());
    for table in &cut.tables {
        let columns = || wire::schema_bytes(&table.columns).map_err(|fault| internal(fault.to_string()));
        let content = match (names.may_mean(&table.name, table.kind), table.kind) {
            (true, _) => Content::Whole {
                columns: columns()?,
                lake_root: table.lake_root.clone(),
                files: to_files(table, lists).map_err(|fault| internal(fault.to_string()))?,
                hot: to_hot(&*table.hot).ok_or_else(|| internal("hot rows".to_owned()))?,
                unreadable: table.unreadable.clone(),
            },
            (false, _) if shows_columns => Content::Columns(columns()?),
            (false, _) => Content::Name,
        };
        tables.push(Table { name: table.name.clone(), kind: table.kind, content });
    }
    Ok(tables)
}

/// A list that the process has, or how this one is made of the one that it got last.
fn to_files(table: &TableCut, lists: &mut Lists) -> std::io::Result<FilesSent> {
    let TableCut { name, files, .. } = table;
    if files.is_empty() {
        return Ok(FilesSent::None);
    }
    if lists.get(files.id()).is_some() {
        return Ok(FilesSent::Known(files.id()));
    }
    let (base, had) = match lists.last(name) {
        Some(held) => (held.id, &*held.files),
        None => (0, &[][..]),
    };
    let mut pieces = Vec::new();
    // Mostly the new list is the old one and some more.
    let common = had.iter().zip(files.iter()).take_while(|(old, new)| Arc::ptr_eq(old, new)).count();
    if common > 0 {
        pieces.push(Piece::Had { from: 0, count: common as u64 });
    }
    let places: HashMap<*const Listed, usize> = match common == had.len() {
        true => HashMap::new(),
        false => had.iter().enumerate().map(|(place, file)| (Arc::as_ptr(file), place)).collect(),
    };
    for file in &files[common..] {
        match (places.get(&Arc::as_ptr(file)), pieces.last_mut()) {
            (Some(place), Some(Piece::Had { from, count })) if *from + *count == *place as u64 => *count += 1,
            (Some(place), _) => pieces.push(Piece::Had { from: *place as u64, count: 1 }),
            (None, _) => {
                let file: &CutFile = file;
                pieces.push(Piece::New(file.clone()));
            }
        }
    }
    let pieces = wire::encode(&pieces)?;
    lists.put(files.id(), name, files.clone());
    Ok(FilesSent::New { id: files.id(), base, pieces })
}

fn to_hot(hot: &dyn HotSource) -> Option<Option<Hot>> {
    match hot.rows() {
        0 => Some(None),
        rows => Some(Some(Hot { rows: rows as u64, source: hot.to_bytes()? })),
    }
}

/// The lists of files of a statement's tables. Taken before anything can fail or be cancelled: the server goes by what it has
/// sent.
pub(super) fn take_lists(tables: &mut [Table], lists: &mut Lists) -> Result<Vec<Files>, QueryError> {
    let internal = |fault: String| QueryError::Internal(format!("the cut cannot be read: {fault}"));
    let take = |table: &mut Table| match &mut table.content {
        Content::Whole { files, .. } => {
            from_files(std::mem::replace(files, FilesSent::None), &table.name, lists).map_err(internal)
        }
        Content::Name | Content::Columns(_) => Ok(Files::default()),
    };
    tables.iter_mut().map(take).collect()
}

/// The cut that was sent; `files` are those of `tables`.
pub(super) fn to_cut(
    tables: Vec<Table>,
    files: Vec<Files>,
    streams: Option<&[u8]>,
    opener: &dyn HotOpener,
) -> Result<Cut, QueryError> {
    let internal = |fault: String| QueryError::Internal(format!("the cut cannot be read: {fault}"));
    let schema_of = |bytes: &[u8]| wire::schema_of(bytes).map_err(|fault| internal(fault.to_string()));
    let mut cut = Vec::with_capacity(tables.len());
    for (Table { name, kind, content }, files) in tables.into_iter().zip(files) {
        let unread = |columns| TableCut {
            name: name.clone(),
            kind,
            columns,
            lake_root: Default::default(),
            files: Files::default(),
            hot: Arc::new(NotSeen),
            unreadable: None,
        };
        cut.push(match content {
            Content::Name => unread(Arc::new(Schema::empty())),
            Content::Columns(columns) => unread(schema_of(&columns)?),
            Content::Whole { columns, lake_root, hot, unreadable, .. } => {
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
                TableCut { name, kind, columns, lake_root, files, hot, unreadable }
            }
        });
    }
    let streams = match streams {
        Some(streams) => wire::batch_of(streams).map_err(|fault| internal(fault.to_string()))?,
        None => RecordBatch::new_empty(streams_schema()),
    };
    Ok(Cut { tables: cut, streams })
}

fn from_files(files: FilesSent, table: &str, lists: &mut Lists) -> Result<Files, String> {
    let missing = || "a list of files is not here".to_owned();
    match files {
        FilesSent::None => Ok(Files::default()),
        FilesSent::Known(id) => lists.get(id).cloned().ok_or_else(missing),
        FilesSent::New { id, base, pieces } => {
            let pieces: Vec<Piece> = wire::decode(&pieces).map_err(|fault| fault.to_string())?;
            let had = lists.get(base);
            let mut files = Vec::new();
            for piece in pieces {
                match piece {
                    Piece::Had { from, count } => {
                        let range = usize::try_from(from).ok().zip(usize::try_from(from + count).ok());
                        let range = range.map(|(from, end)| from..end);
                        let had =
                            had.zip(range).and_then(|(had, range)| had.get(range)).ok_or_else(missing)?;
                        files.extend_from_slice(had);
                    }
                    Piece::New(file) => files.push(Arc::new(Listed::from(file))),
                }
            }
            let files = Files::from(files);
            lists.put(id, table, files.clone());
            Ok(files)
        }
    }
}

#[cfg(test)]
mod tests;
