//! What a journal is told at its start, what it found, and how it stands.

use std::{collections::HashMap, io, time::Duration};

use bytes::Bytes;
use hw_event::{Seq, StreamId, Timestamp};

use crate::Record;

/// The limits of one journal.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The size of a segment file at most. An append that is larger gets a file of its own.
    pub segment_bytes: u64,
    /// The size of the first ones, if that is less; they grow when many of them wait to be released.
    pub first_segment_bytes: u64,
    /// What unreleased appends may occupy; beyond `budget_bytes - reserve_bytes` appends are refused.
    pub budget_bytes: u64,
    /// Kept free for the snapshots and seals that the journal itself must be able to write.
    pub reserve_bytes: u64,
    /// How much one write and one sync carry at most (a larger append goes alone).
    pub group_bytes_max: usize,
    /// How much may wait for the writer; beyond it `append` waits for room.
    pub queue_bytes_max: usize,
    /// After this long without an append the tail is sealed and room is prepared.
    pub idle_seal: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        const MIB: u64 = 1024 * 1024;
        Settings {
            segment_bytes: 64 * MIB,
            first_segment_bytes: 16 * MIB,
            budget_bytes: 8 * 1024 * MIB,
            reserve_bytes: 256 * MIB,
            group_bytes_max: 4 * MIB as usize,
            queue_bytes_max: 32 * MIB as usize,
            idle_seal: Duration::from_millis(500),
        }
    }
}

/// Bytes that were durable once and cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    pub file: String,
    /// The range of bytes, half-open; `0..0` for a file that is missing.
    pub start: u64,
    pub end: u64,
    /// The first and the last append lost with it, where that is known.
    pub seqs: Option<(Seq, Seq)>,
    pub reason: String,
}

/// What a journal knew when it was opened.
#[derive(Debug, Clone)]
pub struct Recovered {
    pub journal_id: u128,
    /// Counts the openings of this journal, from 1.
    pub boot_epoch: u64,
    /// The last append; the next one gets `last.next()`.
    pub last: Seq,
    /// The first offset not given yet, by stream and partition.
    pub next_offsets: HashMap<(StreamId, i32), i64>,
    pub positions: HashMap<Bytes, Bytes>,
    /// The live Key records, oldest first.
    pub keys: Vec<(Seq, Record)>,
    /// Bytes of a torn tail that were cut off. Nothing in them was ever acknowledged as durable.
    pub cut_bytes: u64,
    pub damage: Vec<Damage>,
}

/// How the journal stands now.
#[derive(Debug, Clone)]
pub struct Usage {
    /// Segments that hold appends, the open one among them.
    pub segments: usize,
    /// Segments ready to be written again.
    pub free_segments: usize,
    /// Bytes occupied by segments with unreleased appends.
    pub used_bytes: u64,
    pub budget_bytes: u64,
    /// Bytes that wait for the writer.
    pub queued_bytes: u64,
    /// The last append that has a number.
    pub appended: Seq,
    /// The last append that survives a power cut.
    pub durable: Seq,
    pub first_kept: Seq,
    /// When the last append that is kept came.
    pub newest_received_at: Option<Timestamp>,
    /// Set while the disk refuses to be written.
    pub failed: Option<String>,
    pub damage: Vec<Damage>,
}

/// Why a journal cannot be opened. No append was changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot {action} the journal file {file}: {source}")]
    Disk { action: &'static str, file: String, source: io::Error },
    #[error("the journal file {file} belongs to journal {found:032x}, the others to {expected:032x}")]
    ForeignJournal { file: String, expected: u128, found: u128 },
    #[error(
        "the journal file {file} has format {found}, this version reads up to {known}: use a newer headwater"
    )]
    NewerFormat { file: String, found: u16, known: u16 },
    #[error(
        "the journal file {file} needs the feature bits {bits:#010x}, unknown here: use a newer headwater"
    )]
    UnknownFeature { file: String, bits: u32 },
    #[error("no journal file in the directory has a readable header; the first is {file}")]
    NoHeader { file: String },
    #[error("the journal file {file} is gone, which follows {before}: offsets would be given twice")]
    Missing { file: String, before: String },
    #[error(
        "no readable snapshot is left in the journal (the last would be in {file}): offsets would be given twice"
    )]
    NoSnapshot { file: String },
    #[error("the journal's settings cannot work: {reason}")]
    Settings { reason: &'static str },
}
