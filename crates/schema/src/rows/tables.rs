//! From a block's rows to a table's: the reserved columns, the tables `rejects` and `ledger`, and older schemas.
//! Always: a batch that comes out has exactly the columns of the schema function beside it.

use std::sync::Arc;

use arrow::{
    array::{
        ArrayRef, Int32Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray, StructArray,
        TimestampMicrosecondArray, new_null_array,
    },
    datatypes::{DataType, Field, Schema as Columns, SchemaRef},
};
use hw_event::{SchemaNumber, Seq, StreamName, Tally, Timestamp};

use super::RowsError;
use crate::{
    Schema,
    columns::{self, timestamp_type},
};

/// Which columns a block carries besides the schema's own; extension 1 of its header. Bits never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Optional(u32);

impl Optional {
    pub const NONE: Optional = Optional(0);
    pub const EXTRA: Optional = Optional(1);
    pub const ID: Optional = Optional(2);
    pub const OP: Optional = Optional(4);
    pub const HEADERS: Optional = Optional(8);
    pub const ORIGIN: Optional = Optional(16);
    const ALL: u32 = 31;

    /// `None` where a bit is set that this version does not know.
    pub fn from_bits(bits: u32) -> Option<Optional> {
        (bits & !Optional::ALL == 0).then_some(Optional(bits))
    }

    pub fn bits(self) -> u32 {
        self.0
    }

    pub fn contains(self, other: Optional) -> bool {
        self.0 & other.0 == other.0
    }

    fn count(self) -> usize {
        self.0.count_ones() as usize
    }

    #[must_use]
    pub const fn with(self, other: Optional) -> Optional {
        Optional(self.0 | other.0)
    }

    /// In the order in which they stand in a body.
    fn columns() -> [(Optional, &'static str, DataType); 5] {
        [
            (Optional::EXTRA, columns::EXTRA, DataType::Utf8),
            (Optional::ID, columns::ID, DataType::Utf8),
            (Optional::OP, columns::OP, DataType::Utf8),
            (Optional::HEADERS, columns::HEADERS, columns::headers_type()),
            (Optional::ORIGIN, columns::ORIGIN, DataType::Utf8),
        ]
    }
}

/// The columns of a rows block's body: the user's, the optional ones, `_offset`, `_time`.
pub fn body_schema(schema: &Schema, optional: Optional) -> SchemaRef {
    let mut fields: Vec<_> = schema.user_columns().fields().iter().cloned().collect();
    for (bit, name, data_type) in Optional::columns() {
        if optional.contains(bit) {
            fields.push(Arc::new(Field::new(name, data_type, true)));
        }
    }
    fields.push(Arc::new(Field::new(columns::OFFSET, DataType::Int64, false)));
    fields.push(Arc::new(Field::new(columns::TIME, timestamp_type(), false)));
    Arc::new(Columns::new(fields))
}

/// The columns of a rejects block's body.
pub fn rejects_body_schema() -> SchemaRef {
    Arc::new(Columns::new(vec![
        Field::new("offset", DataType::Int64, false),
        Field::new("door", DataType::Utf8, false),
        Field::new("principal", DataType::Utf8, false),
        Field::new("request_id", DataType::Utf8, true),
        Field::new("index", DataType::Int32, false),
        Field::new("byte_offset", DataType::Int64, false),
        Field::new("code", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("message", DataType::Utf8, false),
        Field::new("payload", DataType::Binary, false),
        Field::new("origin", DataType::Utf8, true),
    ]))
}

/// A rows block as its table has it. `header_runs` are (partition, rows) in the order in which the rows stand.
pub fn table_batch(
    schema: &Schema,
    number: SchemaNumber,
    header_runs: &[(i32, u32)],
    optional: Optional,
    seq: Seq,
    received_at: Timestamp,
    body: RecordBatch,
) -> Result<RecordBatch, RowsError> {
    let rows = body.num_rows();
    let expected = schema.user_columns().fields().len() + optional.count() + 2;
    if body.num_columns() != expected {
        return Err(RowsError::Mismatch("it has other columns than its header says".to_owned()));
    }
    let target = schema.table_columns();
    let partitions = partition_column(header_runs, rows)?;
    let mut arrays = Vec::with_capacity(target.fields().len());
    for field in target.fields() {
        let array: ArrayRef = match field.name().as_str() {
            columns::PARTITION => Arc::clone(&partitions),
            columns::SEQ => Arc::new(Int64Array::from_value(seq_column(seq), rows)),
            columns::RECEIVED_AT => timestamps(vec![received_at.0; rows]),
            columns::SCHEMA => Arc::new(Int32Array::from_value(number.0, rows)),
            // Not `index_of`: one that is not there, as in every append, would be an error with all names in its text.
            name => match body.schema_ref().fields().find(name) {
                Some((index, _)) => Arc::clone(body.column(index)),
                None => new_null_array(field.data_type(), rows),
            },
        };
        arrays.push(array);
    }
    batch(target, arrays, rows)
}

/// What `table_batch` and then `adapt` make, of the columns `to` alone: `found` gives a column of the body by its name, and
/// is asked for no other. `rows` is what the runs count.
pub fn table_columns_of(
    to: &SchemaRef,
    number: SchemaNumber,
    header_runs: &[(i32, u32)],
    seq: Seq,
    received_at: Timestamp,
    found: impl Fn(&str) -> Option<ArrayRef>,
) -> Result<RecordBatch, RowsError> {
    let rows = header_runs.iter().map(|&(_, rows)| rows as usize).sum();
    let mut arrays = Vec::with_capacity(to.fields().len());
    for field in to.fields() {
        arrays.push(match field.name().as_str() {
            columns::PARTITION => partition_column(header_runs, rows)?,
            columns::SEQ => Arc::new(Int64Array::from_value(seq_column(seq), rows)),
            columns::RECEIVED_AT => timestamps(vec![received_at.0; rows]),
            columns::SCHEMA => Arc::new(Int32Array::from_value(number.0, rows)),
            name => match found(name) {
                Some(array) => adapt_array(&array, field.data_type(), name)?,
                None => new_null_array(field.data_type(), rows),
            },
        });
    }
    batch(to, arrays, rows)
}

/// Rewrites a batch of an older schema version to the columns of a newer one: added columns, at any depth, are null.
pub fn adapt(batch: RecordBatch, to: &SchemaRef) -> Result<RecordBatch, RowsError> {
    if batch.schema_ref() == to {
        return Ok(batch);
    }
    let rows = batch.num_rows();
    let mut arrays = Vec::with_capacity(to.fields().len());
    for field in to.fields() {
        arrays.push(match batch.column_by_name(field.name()) {
            Some(array) => adapt_array(array, field.data_type(), field.name())?,
            None => new_null_array(field.data_type(), rows),
        });
    }
    self::batch(to, arrays, rows)
}

fn adapt_array(array: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef, RowsError> {
    use arrow::array::{Array, AsArray, ListArray, MapArray};
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    match (array.data_type(), to) {
        (DataType::Struct(_), DataType::Struct(fields)) => {
            Ok(Arc::new(adapt_struct(array.as_struct(), fields, name)?))
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = adapt_array(list.values(), element.data_type(), name)?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls)?))
        }
        (DataType::Map(_, _), DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let DataType::Struct(fields) = entries.data_type() else {
                return Err(RowsError::Mismatch(format!("column {name:?} is no map")));
            };
            let values = adapt_struct(map.entries(), fields, name)?;
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Ok(Arc::new(MapArray::try_new(Arc::clone(entries), offsets, values, nulls, *sorted)?))
        }
        (from, to) => Err(RowsError::Mismatch(format!("column {name:?} is {from} and cannot become {to}"))),
    }
}

fn adapt_struct(
    array: &StructArray,
    fields: &arrow::datatypes::Fields,
    name: &str,
) -> Result<StructArray, RowsError> {
    use arrow::array::Array;
    let mut children = Vec::with_capacity(fields.len());
    for field in fields {
        children.push(match array.column_by_name(field.name()) {
            Some(child) => adapt_array(child, field.data_type(), name)?,
            None => new_null_array(field.data_type(), array.len()),
        });
    }
    Ok(StructArray::try_new(fields.clone(), children, array.nulls().cloned())?)
}

/// The table `rejects`; `payload` is sealed, and its digest is computed by whoever may open it.
pub fn rejects_table_schema() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, true);
    let time = |name| Field::new(name, timestamp_type(), true);
    let number = |name, data_type| Field::new(name, data_type, true);
    Arc::new(Columns::new(vec![
        text("stream"),
        number("partition", DataType::Int32),
        number("offset", DataType::Int64),
        number("seq", DataType::Int64),
        time("received_at"),
        text("door"),
        text("principal"),
        text("request_id"),
        number("index", DataType::Int32),
        number("byte_offset", DataType::Int64),
        text("code"),
        text("path"),
        text("message"),
        number("schema", DataType::Int32),
        Field::new("payload", DataType::Binary, true),
        text("status"),
        text("origin"),
    ]))
}

/// A rejects block as the table `rejects` has it; `schema` is 0 where there was none.
pub fn rejects_table_batch(
    stream: &StreamName,
    schema: i32,
    header_runs: &[(i32, u32)],
    seq: Seq,
    received_at: Timestamp,
    body: RecordBatch,
) -> Result<RecordBatch, RowsError> {
    let rows = body.num_rows();
    let target = rejects_table_schema();
    let partitions = partition_column(header_runs, rows)?;
    let mut arrays = Vec::with_capacity(target.fields().len());
    for field in target.fields() {
        let array: ArrayRef = match field.name().as_str() {
            "stream" => repeated(stream.as_str(), rows),
            "partition" => Arc::clone(&partitions),
            "seq" => Arc::new(Int64Array::from_value(seq_column(seq), rows)),
            "received_at" => timestamps(vec![received_at.0; rows]),
            "schema" if schema == 0 => new_null_array(&DataType::Int32, rows),
            "schema" => Arc::new(Int32Array::from_value(schema, rows)),
            "status" => repeated("open", rows),
            name => body
                .column_by_name(name)
                .cloned()
                .ok_or_else(|| RowsError::Mismatch(format!("the body of rejects has no column {name:?}")))?,
        };
        arrays.push(array);
    }
    batch(&target, arrays, rows)
}

/// The table `ledger`: one row a tally; readers sum them up by stream, minute and door.
pub fn ledger_table_schema() -> SchemaRef {
    let number = |name| Field::new(name, DataType::Int64, true);
    let time = |name| Field::new(name, timestamp_type(), true);
    Arc::new(Columns::new(vec![
        Field::new("stream", DataType::Utf8, true),
        number("stream_id"),
        time("minute"),
        Field::new("door", DataType::Utf8, true),
        number("received"),
        number("stored"),
        number("rejected"),
        number("duplicates"),
        number("refused"),
        number("replayed"),
        number("bytes"),
        time("first_at"),
        time("last_at"),
        number("_seq"),
    ]))
}

pub fn ledger_table_batch(entries: &[(StreamName, Seq, Tally)]) -> RecordBatch {
    let count = |of: fn(&Tally) -> u64| -> ArrayRef {
        let values = entries.iter().map(|(_, _, tally)| i64::try_from(of(tally)).unwrap_or(i64::MAX));
        Arc::new(Int64Array::from_iter_values(values))
    };
    let time = |of: fn(&Tally) -> Timestamp| -> ArrayRef {
        timestamps(entries.iter().map(|(_, _, tally)| of(tally).0).collect())
    };
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(entries.iter().map(|(stream, _, _)| stream.as_str()))),
        count(|tally| tally.stream.0),
        time(|tally| tally.first_at.minute()),
        Arc::new(StringArray::from_iter_values(entries.iter().map(|(_, _, tally)| tally.door.as_str()))),
        count(|tally| tally.received),
        count(|tally| tally.stored),
        count(|tally| tally.rejected),
        count(|tally| tally.duplicates),
        count(|tally| tally.refused),
        count(|tally| tally.replayed),
        count(|tally| tally.bytes),
        time(|tally| tally.first_at),
        time(|tally| tally.last_at),
        Arc::new(Int64Array::from_iter_values(entries.iter().map(|(_, seq, _)| seq_column(*seq)))),
    ];
    match batch(&ledger_table_schema(), arrays, entries.len()) {
        Ok(batch) => batch,
        Err(error) => unreachable!("the ledger's columns are those of its schema: {error}"),
    }
}

fn batch(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, RowsError> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

fn seq_column(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn timestamps(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
}

fn repeated(text: &str, rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows)))
}

fn partition_column(runs: &[(i32, u32)], rows: usize) -> Result<ArrayRef, RowsError> {
    let total: u64 = runs.iter().map(|&(_, rows)| u64::from(rows)).sum();
    if total != rows as u64 {
        return Err(RowsError::Mismatch(format!("its runs count {total} rows, it has {rows}")));
    }
    let mut partitions = Vec::with_capacity(rows);
    for &(partition, rows) in runs {
        partitions.resize(partitions.len() + rows as usize, partition);
    }
    Ok(Arc::new(Int32Array::from(partitions)))
}
