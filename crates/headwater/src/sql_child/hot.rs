//! Hot rows in a process that runs statements: read from the journal's segment files, which the server's leases keep, or, where
//! the server has them in memory alone, sent with the statement.
//! Always: a segment that is gone is `snapshot_gone`, not damage. Columns that were read are kept for the next statement,
//! within `KEPT_BYTES`.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use hw_pipeline::detached::{DetachedError, DetachedTail, Kept, PartRanges, Schemas};
use hw_query::{
    HotBatches, HotError, HotPart, HotScan, HotSource, QueryError, Range, Ranges, child::HotOpener,
};

use crate::reading::{TAIL, TEXTS, Texts};

/// A few columns of what 50,000 events a second make hot. Part of what an idle process may hold.
const KEPT_BYTES: usize = 12 << 20;

/// The segment files of the journal.
pub struct Segments {
    journal: PathBuf,
    schemas: Schemas,
    kept: Arc<Kept>,
}

impl Segments {
    pub fn new(journal: PathBuf) -> Segments {
        Segments { journal, schemas: Schemas::default(), kept: Arc::new(Kept::new(KEPT_BYTES)) }
    }
}

impl HotOpener for Segments {
    fn open(&self, columns: &SchemaRef, source: &[u8]) -> Result<Arc<dyn HotSource>, HotError> {
        let source = match source.split_first() {
            Some((&TAIL, source)) => source,
            Some((&TEXTS, texts)) => return Ok(Arc::new(Texts::from_bytes(texts)?)),
            _ => return Err("no such source of rows is known".into()),
        };
        let tail = DetachedTail::open(source, &self.journal, &self.schemas).map_err(told)?;
        Ok(Arc::new(Tail { tail: Arc::new(tail), columns: columns.clone(), kept: Arc::clone(&self.kept) }))
    }
}

#[derive(Debug)]
struct Tail {
    tail: Arc<DetachedTail>,
    columns: SchemaRef,
    kept: Arc<Kept>,
}

impl HotSource for Tail {
    fn rows(&self) -> usize {
        self.tail.rows()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        self.batches_of(&HotScan { columns: self.columns.clone(), parts: None })
    }

    fn parts(&self) -> Vec<HotPart> {
        self.tail.parts().into_iter().map(part).collect()
    }

    fn batches_of(&self, scan: &HotScan) -> Result<HotBatches, HotError> {
        let kept = Some(Arc::clone(&self.kept));
        let batches = Arc::clone(&self.tail).batches(scan.columns.clone(), scan.parts.clone(), kept);
        Ok(Box::new(batches.map(|batch| batch.map_err(told))))
    }
}

fn part(known: PartRanges) -> HotPart {
    let PartRanges { rows, partition, offset, seq, time, received_at } = known;
    let range = |min, max| Some(Range { min, max });
    // As the column has it.
    let seq = i64::try_from(seq).unwrap_or(i64::MAX);
    let ranges = Ranges {
        partition: range(partition.0.into(), partition.1.into()),
        offset: offset.and_then(|(min, max)| range(min, max)),
        seq: range(seq, seq),
        time: range(time.0, time.1),
        received_at: range(received_at, received_at),
    };
    HotPart { rows, ranges }
}

fn told(error: DetachedError) -> HotError {
    if error.is_gone() { Box::new(QueryError::SnapshotGone) } else { error.into() }
}
