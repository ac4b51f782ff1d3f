//! Why a statement has no answer: one variant for each thing the caller can do about it.

use std::time::Duration;

use datafusion::{error::DataFusionError, sql::sqlparser::parser::ParserError};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum QueryError {
    #[error("the statement is not SQL: {0}")]
    Text(String),
    #[error("the statement cannot be planned: {0}")]
    Plan(String),
    /// The data did not go with the statement: a division by zero, a cast that fails.
    #[error("the statement failed: {0}")]
    Execution(String),
    #[error("the statement is too large: {0}")]
    Size(String),
    #[error(
        "the statement is nested too deeply: at most {depth_max} levels, where each term of a chain such as a OR b OR c is one"
    )]
    Depth { depth_max: usize },
    #[error("{0} is not allowed here")]
    Kind(String),
    #[error("the statement needs more memory than it may have: {0}")]
    Memory(String),
    #[error("the answer has more than {rows_max} rows")]
    Rows { rows_max: usize },
    #[error("the statement took longer than {} s", .0.as_secs_f64())]
    Time(Duration),
    /// Bytes at rest that are not what was written, named by file and range; or a table that cannot be read for them.
    #[error("{0}")]
    Damaged(String),
    /// A version of a table that has been cleaned up: which one, and the oldest that can be read.
    #[error("{0}")]
    VersionGone(String),
    /// The journal took back the room that hot rows of the statement stood in.
    #[error("the rows that the statement was reading are no longer in the journal")]
    SnapshotGone,
    /// The process that ran it has died, by itself or by a signal.
    #[error("the statement's process ended before the statement did: {0}")]
    Crashed(String),
    /// A fault of ours or of the disk. The text is for the operator's log.
    #[error("internal fault: {0}")]
    Internal(String),
}

impl QueryError {
    /// Part of the public surface.
    pub fn code(&self) -> &'static str {
        match self {
            QueryError::Text(_) => "sql_text",
            QueryError::Plan(_) => "sql_plan",
            QueryError::Execution(_) => "sql_execution",
            QueryError::Size(_) => "sql_size",
            QueryError::Depth { .. } => "sql_depth",
            QueryError::Kind(_) => "sql_kind",
            QueryError::Memory(_) => "sql_memory",
            QueryError::Rows { .. } => "sql_rows",
            QueryError::Time(_) => "sql_time",
            QueryError::Damaged(_) => "damaged",
            QueryError::VersionGone(_) => "version_gone",
            QueryError::SnapshotGone => "snapshot_gone",
            QueryError::Crashed(_) => "sql_crashed",
            QueryError::Internal(_) => "internal",
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            QueryError::Text(_) => {
                "names with upper-case letters or dots need double quotes; text takes single quotes"
            }
            QueryError::Plan(_) => {
                "SHOW TABLES lists the tables, DESCRIBE <table> its columns; names are case-sensitive, and a stream's dots \
                 and dashes are _ in its table's name"
            }
            QueryError::Execution(_) => "TRY_CAST and NULLIF turn such values into NULL",
            QueryError::Size(_) => "make it shorter; an IN list or a join replaces long texts",
            QueryError::Depth { .. } => "x IN (1, 2, 3) replaces x = 1 OR x = 2 OR x = 3",
            QueryError::Kind(_) => {
                "one of SELECT, WITH, VALUES, EXPLAIN, SHOW TABLES, DESCRIBE; nothing here changes data or settings"
            }
            QueryError::Memory(_) => "select fewer columns or rows, aggregate, or raise sql.memory",
            QueryError::Rows { .. } => "add LIMIT, aggregate, or raise sql.rows",
            QueryError::Time(_) => "narrow it with WHERE, or raise sql.time",
            QueryError::Damaged(_) => {
                "the rest is served; `headwater doctor` says what to do, and a WHERE that leaves the file out still answers"
            }
            QueryError::VersionGone(_) => {
                "`headwater ls TABLE --versions` shows what can be read; lake.keep_old says how long old files stay"
            }
            QueryError::SnapshotGone => "send it again: by now the rows are in the lake",
            QueryError::Crashed(_) => {
                "nothing else was hurt; if it happens again, select fewer columns or rows, or take the statement apart"
            }
            QueryError::Internal(_) => "see the server's log",
        }
    }

    pub(crate) fn from_parser(error: ParserError, depth_max: usize) -> QueryError {
        match error {
            ParserError::RecursionLimitExceeded => QueryError::Depth { depth_max },
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => {
                QueryError::Text(short(&text))
            }
        }
    }

    /// `planned`: the fault came after planning, so it is the data's and no longer the statement's.
    pub(crate) fn from_engine(error: &DataFusionError, planned: bool) -> QueryError {
        match error.find_root() {
            DataFusionError::External(inner) => match inner.downcast_ref::<QueryError>() {
                Some(ours) => ours.clone(),
                None => QueryError::Internal(error.to_string()),
            },
            DataFusionError::ResourcesExhausted(text) => QueryError::Memory(memory(text)),
            DataFusionError::SQL(inner, _) => QueryError::Text(short(&inner.to_string())),
            DataFusionError::Plan(text) | DataFusionError::NotImplemented(text) => {
                QueryError::Plan(short(text))
            }
            DataFusionError::SchemaError(inner, _) => QueryError::Plan(short(&inner.to_string())),
            DataFusionError::Configuration(text) => QueryError::Plan(short(text)),
            DataFusionError::Execution(text) if planned => QueryError::Execution(short(text)),
            DataFusionError::Execution(text) => QueryError::Plan(short(text)),
            DataFusionError::ArrowError(inner, _) => match &**inner {
                arrow::error::ArrowError::ExternalError(_)
                | arrow::error::ArrowError::IoError(..)
                | arrow::error::ArrowError::ParquetError(_)
                | arrow::error::ArrowError::IpcError(_) => QueryError::Internal(error.to_string()),
                arrow::error::ArrowError::OffsetOverflowError(_) => {
                    QueryError::Memory("one column of one batch is larger than 2 GiB".to_owned())
                }
                fault => QueryError::Execution(short(&fault.to_string())),
            },
            _ => QueryError::Internal(error.to_string()),
        }
    }
}

/// The engine tells that it may not spill in the words of its own settings.
fn memory(text: &str) -> String {
    match text.contains("DiskManager") {
        true => {
            "sorting, joining or grouping wants more memory than it may have, and nothing goes to the disk for it".to_owned()
        }
        false => short(text),
    }
}

/// The engine's texts can quote the whole statement; the first line says what is wrong.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 500;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_words_of_the_user() {
        let told = |text: &str| {
            let error = DataFusionError::ResourcesExhausted(text.to_owned());
            QueryError::from_engine(&error, true).to_string()
        };
        let spill = "Memory Exhausted while SpillPool (DiskManager is disabled)";
        assert!(
            !told(spill).contains("Spill") && told(spill).contains("more memory than it may have"),
            "{}",
            told(spill)
        );
        assert!(told("Failed to allocate additional 7 B for HashJoinInput").contains("HashJoinInput"));
    }
}
