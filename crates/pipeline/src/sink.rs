//! The contract of what a follower feeds, and what it is fed with.
//! Always: a delivery holds whole appends, in order. Replays happen: after a restart, after an error, after
//! a rewind; a sink tells by its own positions what it has already.

use std::{collections::HashMap, error::Error, sync::Arc};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use hw_event::{SchemaNumber, Seq, StreamId, StreamName, Tally};
use hw_schema::Stream;

/// The decoded content of some appends that follow one another.
#[derive(Debug)]
pub struct Delivery {
    /// The last append it covers, whether or not that append held anything for a sink.
    pub through: Seq,
    pub rows: Vec<RowsDelivery>,
    pub rejects: Vec<RejectsDelivery>,
    pub tallies: Vec<(StreamName, Seq, Tally)>,
    /// Bytes of the bodies it was decoded from.
    pub bytes: usize,
}

/// The rows of one block.
#[derive(Debug)]
pub struct RowsDelivery {
    pub stream: Arc<Stream>,
    pub seq: Seq,
    /// The schema version these rows were judged by; `batch` has its table columns.
    pub number: SchemaNumber,
    pub batch: RecordBatch,
}

/// The rejects of one block, with the columns of the `rejects` table.
#[derive(Debug)]
pub struct RejectsDelivery {
    pub seq: Seq,
    pub batch: RecordBatch,
}

/// How far a sink is, per table. What stands at or before a position is not even decoded for it.
#[derive(Debug, Clone, Default)]
pub struct Positions {
    pub rows: HashMap<StreamId, Seq>,
    pub rejects: Seq,
    pub ledger: Seq,
}

impl Positions {
    pub fn of_rows(&self, stream: StreamId) -> Seq {
        self.rows.get(&stream).copied().unwrap_or_default()
    }
}

#[async_trait]
pub trait Sink: Send {
    fn name(&self) -> &str;

    /// What it holds already, committed or in memory.
    fn positions(&self) -> Positions {
        Positions::default()
    }

    /// Takes a delivery into memory. Tolerates appends which it holds already: it passes over them. After
    /// an error the same appends are delivered again.
    async fn apply(&mut self, delivery: Delivery) -> Result<(), SinkError>;

    /// Bytes in memory that the next commit is expected to make durable.
    fn pending_bytes(&self) -> usize;

    /// Makes everything applied durable; afterwards the log may forget through the returned append. A part
    /// that fails by itself holds the number back and lets the rest go on.
    async fn commit(&mut self) -> Result<Seq, SinkError>;

    /// Asked after each commit: `Some(seq)` once a part which had to let go of deliveries for want of room
    /// can take them again; delivery then starts over behind `seq`.
    fn rewind(&mut self) -> Option<Seq> {
        None
    }
}

/// A sink could not take or keep what it was given. The follower tries again.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct SinkError(Box<dyn Error + Send + Sync>);

impl SinkError {
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> SinkError {
        SinkError(source.into())
    }
}
