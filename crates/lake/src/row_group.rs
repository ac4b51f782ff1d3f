//! The rows of one row group, encoded one column after the other: what a column needs stays near the processor. Columns are
//! taken by whoever is free, the caller and at most one helper.
//! Always: the chunks come back in the order of the columns, whoever made them. The caller never waits for a helper that has
//! not begun: it takes every column that nobody else has.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::arrow_writer::{ArrowColumnChunk, ArrowColumnWriter, compute_leaves},
    errors::ParquetError,
    schema::types::SchemaDescriptor,
};
use tokio::runtime::Handle;

/// Fewer rows are encoded before a helper would have begun.
const HELPED_ROWS_MIN: usize = 16 << 10;

type Chunks = Result<Vec<ArrowColumnChunk>, ParquetError>;

struct Group {
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    // One lock a column, held for a move: each is taken once.
    writers: Vec<Mutex<Vec<ArrowColumnWriter>>>,
    /// The first column that nobody has taken.
    next: AtomicUsize,
    // Held for a move.
    done: Mutex<Done>,
    ended: Condvar,
}

struct Done {
    chunks: Vec<Option<Chunks>>,
    left: usize,
}

/// Encodes all `batches` as one row group; `leaves` and `writers` are those of the file. `helper` has the threads for a helper.
pub(crate) fn encode(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    leaves: &SchemaDescriptor,
    writers: Vec<ArrowColumnWriter>,
    helper: Option<&Handle>,
) -> Chunks {
    let mut writers = writers.into_iter();
    let of_column: Vec<_> = leaves
        .columns()
        .chunk_by(|a, b| a.path().parts().first() == b.path().parts().first())
        .map(|leaves| Mutex::new(writers.by_ref().take(leaves.len()).collect()))
        .collect();
    let columns = of_column.len();
    if columns != schema.fields().len() {
        let reason = format!("{columns} columns, not {}", schema.fields().len());
        return Err(ParquetError::General(reason));
    }
    let group = Arc::new(Group {
        schema: schema.clone(),
        batches: batches.to_vec(),
        writers: of_column,
        next: AtomicUsize::new(0),
        done: Mutex::new(Done { chunks: (0..columns).map(|_| None).collect(), left: columns }),
        ended: Condvar::new(),
    });
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if let Some(helper) = helper.filter(|_| rows >= HELPED_ROWS_MIN) {
        // One that begins too late must not have held the rows until then.
        let group = Arc::downgrade(&group);
        let help = move || group.upgrade().into_iter().for_each(|group| group.work());
        drop(helper.spawn_blocking(help));
    }
    group.work();
    let mut done = group.done();
    while done.left > 0 {
        done = group.ended.wait(done).unwrap_or_else(PoisonError::into_inner);
    }
    let mut all = Vec::with_capacity(leaves.num_columns());
    for chunks in std::mem::take(&mut done.chunks).into_iter().flatten() {
        all.extend(chunks?);
    }
    Ok(all)
}

impl Group {
    /// Takes columns until there are none.
    fn work(&self) {
        loop {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            if at >= self.writers.len() {
                return;
            }
            let encoded = catch_unwind(AssertUnwindSafe(|| self.column(at)));
            let panicked = || Err(ParquetError::General(format!("encoding column {at} panicked")));
            let mut done = self.done();
            done.chunks[at] = Some(encoded.unwrap_or_else(|_| panicked()));
            done.left -= 1;
            self.ended.notify_one();
        }
    }

    fn column(&self, at: usize) -> Chunks {
        let mut leaves =
            std::mem::take(&mut *self.writers[at].lock().unwrap_or_else(PoisonError::into_inner));
        let field = self.schema.field(at);
        for batch in &self.batches {
            let values = compute_leaves(field, batch.column(at))?;
            for (leaf, values) in leaves.iter_mut().zip(&values) {
                leaf.write(values)?;
            }
        }
        leaves.into_iter().map(ArrowColumnWriter::close).collect()
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{ArrayRef, Int64Array, StringArray, StructArray},
        datatypes::{DataType, Field, Fields, Schema},
    };
    use bytes::Bytes;
    use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

    use super::*;

    fn batches(count: usize, rows: usize) -> (SchemaRef, Vec<RecordBatch>) {
        let inner =
            Fields::from(vec![Field::new("x", DataType::Int64, true), Field::new("y", DataType::Utf8, true)]);
        let schema = Arc::new(Schema::new(vec![
            Field::new("a", DataType::Int64, false),
            Field::new("b", DataType::Struct(inner.clone()), false),
            Field::new("c", DataType::Utf8, false),
        ]));
        let batch = |at: usize| {
            let numbers: ArrayRef =
                Arc::new(Int64Array::from_iter_values((0..rows).map(|row| (at * rows + row) as i64)));
            let texts: ArrayRef =
                Arc::new((0..rows).map(|row| Some(format!("{at}-{row}"))).collect::<StringArray>());
            let both = StructArray::new(inner.clone(), vec![numbers.clone(), texts.clone()], None);
            RecordBatch::try_new(schema.clone(), vec![numbers, Arc::new(both), texts]).unwrap()
        };
        (schema.clone(), (0..count).map(batch).collect())
    }

    fn written(schema: &SchemaRef, batches: &[RecordBatch], helper: Option<&Handle>) -> Vec<RecordBatch> {
        let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), None).unwrap();
        let (mut file, groups) = writer.into_serialized_writer().unwrap();
        let writers = groups.create_column_writers(0).unwrap();
        let chunks = encode(schema, batches, file.schema_descr(), writers, helper).unwrap();
        let mut group = file.next_row_group().unwrap();
        chunks.into_iter().for_each(|chunk| chunk.append_to_row_group(&mut group).unwrap());
        group.close().unwrap();
        let bytes = Bytes::from(file.into_inner().unwrap());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().with_batch_size(1 << 20);
        reader.build().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn rows_come_back_with_a_helper_without_one_and_with_one_that_never_begins() {
        let (schema, batches) = batches(8, 4000);
        let expected = arrow::compute::concat_batches(&schema, &batches).unwrap();
        assert_eq!(written(&schema, &batches, None), [expected.clone()]);
        let threads = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        assert_eq!(written(&schema, &batches, Some(threads.handle())), [expected.clone()]);
        // Its only thread has other work.
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let busy = threads.spawn_blocking(move || wait.recv());
        assert_eq!(written(&schema, &batches, Some(threads.handle())), [expected]);
        drop(go);
        drop(busy);
    }
}
