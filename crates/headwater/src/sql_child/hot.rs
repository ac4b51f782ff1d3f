//! Hot rows in a process that runs statements: read from the journal's segment files, which the server's leases keep.
//! Always: a segment that is gone is `snapshot_gone`, not damage.

use std::{path::PathBuf, sync::Arc};

use arrow::datatypes::SchemaRef;
use hw_pipeline::detached::{DetachedError, DetachedTail, Schemas};
use hw_query::{HotBatches, HotError, HotSource, QueryError, child::HotOpener};

/// The segment files of the journal.
pub struct Segments {
    journal: PathBuf,
    schemas: Schemas,
}

impl Segments {
    pub fn new(journal: PathBuf) -> Segments {
        Segments { journal, schemas: Schemas::default() }
    }
}

impl HotOpener for Segments {
    fn open(&self, columns: &SchemaRef, source: &[u8]) -> Result<Arc<dyn HotSource>, HotError> {
        let tail = DetachedTail::open(source, &self.journal, &self.schemas).map_err(told)?;
        Ok(Arc::new(Tail { tail: Arc::new(tail), columns: columns.clone() }))
    }
}

#[derive(Debug)]
struct Tail {
    tail: Arc<DetachedTail>,
    columns: SchemaRef,
}

impl HotSource for Tail {
    fn rows(&self) -> usize {
        self.tail.rows()
    }

    fn batches(&self) -> Result<HotBatches, HotError> {
        let batches = Arc::clone(&self.tail).batches(self.columns.clone());
        Ok(Box::new(batches.map(|batch| batch.map_err(told))))
    }
}

fn told(error: DetachedError) -> HotError {
    if error.is_gone() { Box::new(QueryError::SnapshotGone) } else { error.into() }
}
