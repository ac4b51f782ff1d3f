//! The contract of a log, as its readers see it; the embedded journal is the first to fulfil it.
//! Stated powers: atomic appends over several streams, one total order, read-ahead up to `durable`.

use std::{any::Any, io, sync::Arc};

use bytes::Bytes;
use hw_event::{Seq, StreamId, Timestamp};
use tokio::sync::watch;

use crate::{Append, Block, BlockHeader, BlockKind, BlockPlace};

/// Readers see only what is durable: nothing that was visible ever vanishes. Reads may block on the disk.
pub trait Log: Send + Sync {
    /// The highest append that survives a power cut. The receiver wakes when it grows.
    fn durable(&self) -> watch::Receiver<Seq>;

    /// The first append that is still kept.
    fn first_kept(&self) -> Seq;

    /// The tables held everything through here when somebody last said so, in this process or an earlier one.
    fn released(&self) -> Seq;

    /// Whole appends after `after`, in order, until about `bytes_max` (at least one where there is one).
    fn read(&self, after: Seq, bytes_max: usize) -> Result<Vec<StoredAppend>, ReadError>;

    /// The blocks of one stream and kind with `after < seq <= through`, in order, each with a lease: what
    /// this returned stays readable as long as the reference lives.
    /// Errs with `Gone` where appends after `after` were recycled already.
    fn blocks(
        &self,
        stream: StreamId,
        kind: BlockKind,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<BlockRef>, ReadError>;

    fn read_block(&self, block: &BlockRef) -> Result<Bytes, ReadError>;

    /// Where another process finds the body as long as the block is held. `None`: only this log can read it.
    fn place(&self, _: &BlockRef) -> Option<BlockPlace> {
        None
    }

    /// The log needs the room that this block keeps: a reader that can do without it lets go.
    fn wanted(&self, _: &BlockRef) -> bool {
        false
    }

    /// The tables hold everything through `seq`: the journal may recycle up to there.
    fn release(&self, seq: Seq);
}

/// An append as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAppend {
    pub seq: Seq,
    pub append: Append,
}

/// Where a block is, and its header. Cheap to clone.
#[derive(Clone)]
pub struct BlockRef {
    pub seq: Seq,
    pub received_at: Timestamp,
    pub header: Arc<BlockHeader>,
    pub body_bytes: usize,
    /// The log's own: where the body is and what keeps it there.
    pub place: Arc<dyn Any + Send + Sync>,
}

impl BlockRef {
    pub fn with_body(&self, body: Bytes) -> Block {
        Block { header: (*self.header).clone(), body }
    }
}

/// Why an append was not taken. Whatever the reason, it was not acknowledged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// The journal has reached its budget because the lake is behind. Retry later.
    #[error("the journal is full: {used_bytes} of {budget_bytes} bytes wait for the lake")]
    Full { used_bytes: u64, budget_bytes: u64 },
    /// The disk refused: no space, or an input/output error. The segment was given up.
    #[error("the disk failed: {0}")]
    Disk(Arc<io::Error>),
    #[error("the journal is closed")]
    Closed,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error("appends through {first_kept} are no longer in the journal")]
    Gone { first_kept: Seq },
    /// Bytes that were once durable do not match their checksum.
    #[error("{file} is damaged in bytes {start}..{end}: {reason}")]
    Damaged { file: String, start: u64, end: u64, reason: String },
    #[error("the disk failed: {0}")]
    Disk(Arc<io::Error>),
}
