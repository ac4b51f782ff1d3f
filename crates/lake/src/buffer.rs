//! What one table has been given and has not committed: rows in memory, and files that only lack their commit.
//! Always: everything in `(committed, held]` is here; small batches are joined, so that a thousand requests of
//! one row do not cost a thousand batches. Larger ones stay where they were read, with the bytes of the log around them;
//! not so while the table cannot commit, since nobody knows for how long.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Int32Type, SchemaRef},
};
use hw_event::{SchemaNumber, Seq};
use hw_schema::{
    Schema, Stream, columns,
    rows::{self, RowsError},
};

use crate::{
    LakeError, Table,
    data_file::{self, DataFile, DataFileSpec, Form, Purpose},
    encoding::Choice,
};

/// A batch of this many rows is left as it is: to copy it costs more than to write one batch more.
const BATCH_ROWS_MIN: usize = 512;
/// Smaller ones are joined until they have as many.
const JOINED_ROWS: usize = 8192;
/// And this many batches are joined whatever they have.
const SMALL_BATCHES_MAX: usize = 1024;
/// So many files are encoded alike before the rows are looked at again: that costs as much as writing some thousands.
const ENCODINGS_FILES_MAX: u32 = 16;

pub(crate) struct Buffer {
    pub table: Table,
    /// The table's name, and its directory's.
    pub name: String,
    pub columns: SchemaRef,
    pub schema: Option<SchemaNumber>,
    without_statistics: Arc<HashSet<String>>,
    /// Of the last file.
    encodings: Option<Encodings>,
    batches: Vec<RecordBatch>,
    small: Vec<RecordBatch>,
    small_rows: usize,
    /// Of the rows in memory.
    pub bytes: usize,
    /// Everything through here was taken.
    pub held: Seq,
    /// The first append with a row that is not committed.
    pub first: Option<Seq>,
    /// Synced files that wait for their commit.
    pub written: Vec<DataFile>,
    /// The last attempt to write or commit failed.
    stuck: bool,
    /// It holds as much as it may and takes no more; `held` stands still.
    pub overflowed: bool,
}

impl Buffer {
    pub(crate) fn of_stream(stream: &Stream, number: SchemaNumber, schema: &Schema, held: Seq) -> Buffer {
        let name = stream.name.to_string();
        let mut buffer = Buffer::new(Table::Stream(stream.id), name, schema.table_columns().clone(), held);
        buffer.schema = Some(number);
        buffer.without_statistics = without_statistics(schema);
        buffer
    }

    pub(crate) fn of_rejects(held: Seq) -> Buffer {
        let mut buffer =
            Buffer::new(Table::Rejects, "rejects".to_owned(), rows::rejects_table_schema(), held);
        buffer.without_statistics = rejects_without_statistics();
        buffer
    }

    pub(crate) fn of_ledger(held: Seq) -> Buffer {
        Buffer::new(Table::Ledger, "ledger".to_owned(), rows::ledger_table_schema(), held)
    }

    fn new(table: Table, name: String, columns: SchemaRef, held: Seq) -> Buffer {
        Buffer {
            table,
            name,
            columns,
            schema: None,
            without_statistics: Arc::default(),
            encodings: None,
            batches: Vec::new(),
            small: Vec::new(),
            small_rows: 0,
            bytes: 0,
            held,
            first: None,
            written: Vec::new(),
            stuck: false,
            overflowed: false,
        }
    }

    /// From now on the table has the columns of a newer schema; rows of an older one are adapted.
    pub(crate) fn raise_schema(&mut self, number: SchemaNumber, schema: &Schema) {
        if self.schema < Some(number) {
            self.schema = Some(number);
            self.columns = schema.table_columns().clone();
            self.without_statistics = without_statistics(schema);
            self.encodings = None;
        }
    }

    /// Is this append new to the table?
    pub(crate) fn wants(&self, seq: Seq) -> bool {
        seq > self.held && !self.overflowed
    }

    pub(crate) fn take(&mut self, seq: Seq, batch: RecordBatch) {
        if self.wants(seq) && batch.num_rows() > 0 {
            self.first.get_or_insert(seq);
            self.push(batch);
        }
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) {
        self.bytes += batch_bytes(&batch);
        if batch.num_rows() >= BATCH_ROWS_MIN && !self.stuck {
            self.join_small();
            self.batches.push(batch);
            return;
        }
        self.small_rows += batch.num_rows();
        self.small.push(batch);
        if self.small_rows >= JOINED_ROWS || self.small.len() >= SMALL_BATCHES_MAX {
            self.join_small();
        }
    }

    /// Batches of one schema that follow one another become one; their order stays.
    fn join_small(&mut self) {
        self.small_rows = 0;
        for batches in self.small.chunk_by(|a, b| a.schema_ref() == b.schema_ref()) {
            match concat_batches(batches[0].schema_ref(), batches) {
                Ok(batch) => self.batches.push(batch),
                // Too much text for one array: they stay apart.
                Err(_) => self.batches.extend_from_slice(batches),
            }
        }
        self.small.clear();
    }

    /// The last attempt to commit failed, or did not. What waits for longer than a round must not hold more than itself.
    pub(crate) fn set_stuck(&mut self, stuck: bool) {
        if stuck && !self.stuck {
            self.join_small();
            self.small = std::mem::take(&mut self.batches);
            self.join_small();
        }
        self.stuck = stuck;
    }

    pub(crate) fn has_rows(&self) -> bool {
        !self.batches.is_empty() || !self.small.is_empty()
    }

    /// A copy of what is to be written; the buffer keeps its own until [`Buffer::wrote`].
    pub(crate) fn to_write(&mut self) -> ToWrite {
        self.join_small();
        ToWrite {
            through: self.held,
            columns: self.columns.clone(),
            schema: self.schema,
            without_statistics: self.without_statistics.clone(),
            encodings: self.encodings.clone(),
            batches: self.batches.clone(),
        }
    }

    pub(crate) fn wrote(&mut self, file: DataFile, encodings: Encodings) {
        self.encodings = Some(encodings);
        self.batches.clear();
        self.bytes = 0;
        self.written.push(file);
    }

    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck
    }

    pub(crate) fn committed(&mut self) {
        self.written.clear();
        if !self.has_rows() {
            self.first = None;
        }
    }
}

/// How a table's files are encoded, as chosen by the rows of one of them.
#[derive(Clone)]
pub(crate) struct Encodings {
    pub choices: Arc<[Choice]>,
    /// The rows of the file that they were chosen by, and the files that have them.
    rows: u64,
    files: u32,
    form: Form,
}

/// One file's rows, on their way to the disk.
pub(crate) struct ToWrite {
    through: Seq,
    columns: SchemaRef,
    schema: Option<SchemaNumber>,
    without_statistics: Arc<HashSet<String>>,
    encodings: Option<Encodings>,
    batches: Vec<RecordBatch>,
}

impl ToWrite {
    /// All with the table's present columns.
    pub(crate) fn batches(&self) -> Result<Vec<RecordBatch>, RowsError> {
        self.batches.iter().map(|batch| rows::adapt(batch.clone(), &self.columns)).collect()
    }

    /// Those of the file before, if it was about as long; chosen anew now and then.
    pub(crate) fn encodings(
        &self,
        spec: &DataFileSpec,
        batches: &[RecordBatch],
    ) -> Result<Encodings, LakeError> {
        let rows: u64 = batches.iter().map(|batch| batch.num_rows() as u64).sum();
        let known = self.encodings.as_ref().filter(|known| {
            known.form == spec.form
                && known.files < ENCODINGS_FILES_MAX
                && rows / 4 <= known.rows
                && known.rows / 4 <= rows
        });
        Ok(match known {
            Some(known) => Encodings { files: known.files + 1, ..known.clone() },
            None => {
                let choices = data_file::choose(spec, batches, rows)?.into();
                Encodings { choices, rows, files: 1, form: spec.form }
            }
        })
    }

    /// So many rows, if they are in order, are written densely; `None`: however many there are, they are not.
    pub(crate) fn spec(
        &self,
        directory: PathBuf,
        batches: &[RecordBatch],
        dense_rows: Option<usize>,
    ) -> DataFileSpec {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let dense = dense_rows.is_some_and(|least| rows >= least) && of_one_partition(batches);
        let form = if dense { Form::Dense } else { Form::Quick };
        DataFileSpec {
            purpose: Purpose::Hot,
            form,
            directory,
            through: self.through,
            columns: self.columns.clone(),
            schema: self.schema,
            without_statistics: self.without_statistics.clone(),
        }
    }
}

/// Rows of several partitions have to be put into order, so compaction writes them again whatever they are like.
fn of_one_partition(batches: &[RecordBatch]) -> bool {
    let mut first = None;
    batches.iter().all(|batch| {
        let Some(partitions) = batch.column_by_name(columns::PARTITION) else { return true };
        let Some(partitions) = partitions.as_primitive_opt::<Int32Type>() else { return false };
        let mut values = partitions.values().iter();
        values.all(|partition| *first.get_or_insert(*partition) == *partition)
    })
}

pub(crate) fn rejects_without_statistics() -> Arc<HashSet<String>> {
    Arc::new(HashSet::from(["payload".to_owned()]))
}

/// The protected columns, and those that hold whatever a producer sent beside its schema.
pub(crate) fn without_statistics(schema: &Schema) -> Arc<HashSet<String>> {
    let mut names: HashSet<_> = schema.protected_columns().into_iter().collect();
    names.extend([columns::EXTRA.to_owned(), columns::HEADERS.to_owned()]);
    Arc::new(names)
}

/// What the rows themselves take; the buffers they lie in may be shared with others.
fn batch_bytes(batch: &RecordBatch) -> usize {
    let array_bytes = |array: &Arc<dyn Array>| {
        array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
    };
    batch.columns().iter().map(array_bytes).sum()
}
