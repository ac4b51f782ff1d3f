//! The hot tail: what is durable in the log and not yet in a table, as batches of that table.
//! Always: rows and rejects hold their leases until the tail is dropped, so a reader that has taken its tail
//! can take its time; exactly the appends in `(after, through]` are in it.
//! Bodies are read and decoded when asked for, not when the tail is taken.

use std::sync::Arc;

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use hw_event::{
    Seq, StreamId, StreamName, Tally,
    sabotage::{Bug, armed},
};
use hw_journal::{BlockHeader, BlockKind, BlockRef, Log, ReadError, RecordKind};
use hw_schema::{
    Registry,
    rows::{self, RowsError},
};

use crate::decode::{DecodeError, decode_rejects, decode_rows, decode_tally};

/// How much of the log is held at a time while tallies are gathered.
const TALLY_READ_BYTES: usize = 4 << 20;

/// Which table's tail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hot {
    Rows(StreamId),
    Rejects,
    Ledger,
}

#[derive(Debug, thiserror::Error)]
pub enum HotError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("append {seq}: {source}")]
    Decode { seq: Seq, source: DecodeError },
    #[error(transparent)]
    Rows(#[from] RowsError),
}

pub struct HotTail {
    pub(crate) log: Arc<dyn Log>,
    pub(crate) registry: Arc<Registry>,
    pub(crate) content: Content,
    rows: usize,
}

pub(crate) enum Content {
    Rows(Vec<BlockRef>),
    Rejects(Vec<BlockRef>),
    /// Tallies are small: they are read when the tail is taken and need no lease.
    Ledger(Vec<(StreamName, Seq, Tally)>),
}

impl std::fmt::Debug for HotTail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HotTail").field("rows", &self.rows).finish_non_exhaustive()
    }
}

impl HotTail {
    /// Takes the leases. Blocking for `Hot::Ledger`, which reads the appends. `ReadError::Gone` means that
    /// a commit came between the snapshot and this call: take a newer snapshot and try again.
    pub fn take(
        log: &Arc<dyn Log>,
        registry: &Arc<Registry>,
        what: Hot,
        after: Seq,
        through: Seq,
    ) -> Result<HotTail, ReadError> {
        let after = if armed(Bug::HotCutOffByOne) { after.next() } else { after };
        let content = match what {
            Hot::Rows(stream) => Content::Rows(log.blocks(stream, BlockKind::Rows, after, through)?),
            Hot::Rejects => {
                let mut blocks = Vec::new();
                for stream in registry.all() {
                    blocks.extend(log.blocks(stream.id, BlockKind::Rejects, after, through)?);
                }
                blocks.sort_by_key(|block: &BlockRef| block.seq);
                Content::Rejects(blocks)
            }
            Hot::Ledger => Content::Ledger(tallies(&**log, registry, after, through)?),
        };
        let rows = match &content {
            Content::Rows(blocks) | Content::Rejects(blocks) => blocks.iter().map(block_rows).sum(),
            Content::Ledger(tallies) => tallies.len(),
        };
        Ok(HotTail { log: log.clone(), registry: registry.clone(), content, rows })
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The log needs the room that this tail keeps.
    pub fn wanted(&self) -> bool {
        match &self.content {
            Content::Rows(blocks) | Content::Rejects(blocks) => {
                // The oldest are wanted first.
                blocks.first().is_some_and(|block| self.log.wanted(block))
            }
            Content::Ledger(_) => false,
        }
    }

    /// Reads, decodes, and brings every batch to the columns `to`. Blocking. Damage is the caller's to
    /// show: unlike a follower, a query must not pass over rows in silence.
    pub fn batches(&self, to: &SchemaRef) -> Result<Vec<RecordBatch>, HotError> {
        let read = |block: &BlockRef| self.log.read_block(block);
        let decoded = |block: &BlockRef, result: Result<RecordBatch, DecodeError>| {
            let batch = result.map_err(|source| HotError::Decode { seq: block.seq, source })?;
            Ok(rows::adapt(batch, to)?)
        };
        match &self.content {
            Content::Rows(blocks) => blocks
                .iter()
                .map(|block| {
                    let (seq, at) = (block.seq, block.received_at);
                    let result = decode_rows(&self.registry, &block.header, seq, at, read(block)?);
                    decoded(block, result.map(|(_, batch)| batch))
                })
                .collect(),
            Content::Rejects(blocks) => blocks
                .iter()
                .map(|block| {
                    let (seq, at) = (block.seq, block.received_at);
                    decoded(block, decode_rejects(&self.registry, &block.header, seq, at, read(block)?))
                })
                .collect(),
            Content::Ledger(tallies) if tallies.is_empty() => Ok(Vec::new()),
            Content::Ledger(tallies) => Ok(vec![rows::adapt(rows::ledger_table_batch(tallies), to)?]),
        }
    }
}

fn block_rows(block: &BlockRef) -> usize {
    header_rows(&block.header)
}

pub(crate) fn header_rows(header: &BlockHeader) -> usize {
    header.runs.iter().map(|run| run.rows as usize).sum()
}

/// The tallies in `(after, through]`. Only whole appends can be read, so this costs their bodies too; the
/// window is what the lake has not committed yet.
fn tallies(
    log: &dyn Log,
    registry: &Registry,
    after: Seq,
    through: Seq,
) -> Result<Vec<(StreamName, Seq, Tally)>, ReadError> {
    let mut tallies = Vec::new();
    let mut position = after;
    while position < through {
        let appends = match log.read(position, TALLY_READ_BYTES) {
            Ok(appends) => appends,
            // What is damaged counts nothing any more; the follower reports it.
            Err(ReadError::Damaged { .. }) => {
                position = position.next();
                continue;
            }
            Err(error) => return Err(error),
        };
        if appends.is_empty() {
            break;
        }
        for append in appends {
            position = append.seq;
            if append.seq > through {
                break;
            }
            let records = append.append.records.iter().filter(|record| record.kind == RecordKind::Tally);
            for (stream, tally) in records.filter_map(|record| decode_tally(registry, &record.value).ok()) {
                tallies.push((stream.name.clone(), append.seq, tally));
            }
        }
    }
    Ok(tallies)
}
