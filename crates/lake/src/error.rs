//! What can go wrong in the lake, naming the table or file.

use std::{io, path::PathBuf};

use deltalake::DeltaTableError;
use hw_event::StreamId;
use hw_schema::rows::RowsError;
use parquet::errors::ParquetError;

use crate::Damage;

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// A part of the table's log that cannot be read, or is not what was written.
    #[error("{0}")]
    Damaged(Damage),
    #[error("{file} has format {found}, this version reads up to {known}: use a newer headwater")]
    NewerFormat { file: PathBuf, found: u16, known: u16 },
    #[error("{file} needs the feature bits {bits:#010x}, unknown here: use a newer headwater")]
    UnknownFeature { file: PathBuf, bits: u32 },
    /// The directory belongs to something else: a stream that was removed, or a table of another make.
    #[error("{directory} holds a table that is not stream {stream}'s: {reason}")]
    Foreign { directory: PathBuf, stream: StreamId, reason: String },
    #[error("{directory} was written with schema {number}, which is not in the registry")]
    UnknownSchema { directory: PathBuf, number: i32 },
    #[error("{directory}: {source}")]
    Delta { directory: PathBuf, source: Box<DeltaTableError> },
    #[error("{directory}: other writers were faster, {attempts} times")]
    Conflict { directory: PathBuf, attempts: u32 },
    #[error("{file}: {source}")]
    Parquet { file: PathBuf, source: ParquetError },
    #[error("{directory}: {source}")]
    Rows { directory: PathBuf, source: RowsError },
    #[error("a writer for {directory} panicked")]
    Panicked { directory: PathBuf },
}
