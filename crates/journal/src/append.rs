//! The append: the unit of atomicity and of total order. Recovery keeps all of one or nothing of it.
//! These types say what is persisted; `docs/reference/formats.md` says how each becomes bytes.

use bytes::Bytes;
use hw_event::{StreamId, Timestamp};

/// What one frame carries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Append {
    pub received_at: Timestamp,
    pub blocks: Vec<Block>,
    pub records: Vec<Record>,
}

/// Rows (or rejects, opaque batches, control) of one stream and one schema in one encoding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    pub header: BlockHeader,
    pub body: Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BlockKind {
    /// Governed rows: one Arrow IPC record batch without its schema message.
    Rows = 1,
    /// Rejected events of one stream, payloads sealed.
    Rejects = 2,
    /// A foreign record batch, verbatim (Kafka v2).
    Opaque = 3,
    /// For the platform itself.
    Control = 4,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    pub kind: BlockKind,
    pub stream: StreamId,
    /// The schema's number in its stream, 0 where there is none.
    pub schema: i32,
    /// The first eight bytes of the schema's SHA-256, 0 where there is none: a number that lies is found out.
    pub fingerprint: u64,
    /// How the body is written; its meaning belongs to the kind.
    pub encoding: u8,
    /// The smallest and the greatest event time in the block.
    pub min_time: Timestamp,
    pub max_time: Timestamp,
    /// Tagged extra fields; an unknown tag is kept and passed over.
    pub extensions: Vec<Extension>,
    pub runs: Vec<Run>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    pub tag: u16,
    pub value: Bytes,
}

impl Extension {
    /// u32 LE: which optional columns a body of rows has.
    pub const OPTIONAL_COLUMNS: u16 = 1;
    /// u64 LE: the append that first held a block which was carried forward.
    pub const CARRIED_SEQ: u16 = 2;
}

/// Rows of one partition that stand together in a block, and the offsets they have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    pub partition: i32,
    /// The first offset of the run.
    pub base: i64,
    /// Offsets covered, `base..base + span`; more than `rows` where offsets in between went elsewhere.
    pub span: u32,
    pub rows: u32,
    /// -1 where there is no producer.
    pub producer_id: i64,
    pub epoch: i16,
    pub first_sequence: i32,
    /// Of the foreign batch: bit 0 transactional, bit 1 control batch.
    pub flags: u16,
    pub received: u32,
    pub duplicates: u32,
}

impl Run {
    pub const TRANSACTIONAL: u16 = 1;
    pub const CONTROL: u16 = 2;

    /// A run without a producer.
    pub fn new(partition: i32, base: i64, span: u32, rows: u32) -> Run {
        Run {
            partition,
            base,
            span,
            rows,
            producer_id: -1,
            epoch: -1,
            first_sequence: -1,
            flags: 0,
            received: rows,
            duplicates: 0,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RecordKind {
    /// Who has come how far: the newest value of an owner counts, an empty value ends it. Lives in the snapshot.
    Position = 1,
    /// An entry of the dedupe window: owner = stream and key digest, value = what was answered.
    Key = 2,
    /// A line of the ledger (`hw_event::Tally`).
    Tally = 3,
}

/// A small thing that must be true exactly if the blocks beside it are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub kind: RecordKind,
    pub owner: Bytes,
    pub value: Bytes,
}
