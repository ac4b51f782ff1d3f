//! Answers as bytes: JSON, NDJSON, CSV and Arrow.
//! Always: one rule a type, the same in all three texts; pieces come out as they are ready, none much larger than
//! `PIECE_BYTES`. An error after the first piece is an error of the stream, never an end that looks complete.
//! Does not know HTTP.

mod types;
mod value;

use std::{collections::HashSet, mem};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Field, SchemaRef},
    error::ArrowError,
    ipc::writer::StreamWriter,
};
use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};

use crate::{Answer, QueryError};
pub use types::type_name;
use value::{write_csv, write_json, write_json_string};

/// A piece is handed on once it has this size.
const PIECE_BYTES: usize = 64 * 1024;
/// Rows of one Arrow message.
const ARROW_ROWS: usize = 8_192;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"columns":[{"name","type"}],"rows":[[…]],"row_count":n}`
    Json,
    /// One object a line. Of columns with one name the second is called `name_2`.
    Ndjson,
    /// RFC 4180 with a header line. NULL is empty, the empty text is `""`.
    Csv,
    /// The Arrow IPC stream format.
    Arrow,
}

/// The whole answer, piece by piece.
pub fn pieces(answer: Answer, format: Format) -> impl Stream<Item = Result<Bytes, QueryError>> + Send {
    struct Run {
        answer: Answer,
        renderer: Renderer,
        batch: Option<(RecordBatch, usize)>,
        ended: bool,
    }
    let renderer = Renderer::new(format, answer.schema());
    let run = Run { answer, renderer, batch: None, ended: false };
    stream::try_unfold(run, |mut run| async move {
        let mut piece = Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4);
        while piece.len() < PIECE_BYTES && !run.ended {
            let (batch, row) = match run.batch.take() {
                Some(at) => at,
                None => match run.answer.try_next().await? {
                    Some(batch) => (batch, 0),
                    None => {
                        run.renderer.finish(&mut piece).map_err(internal)?;
                        run.ended = true;
                        break;
                    }
                },
            };
            let next = run.renderer.rows(&batch, row, &mut piece).map_err(internal)?;
            if next < batch.num_rows() {
                run.batch = Some((batch, next));
            }
        }
        Ok((!piece.is_empty()).then(|| (Bytes::from(piece), run)))
    })
}

fn internal(error: ArrowError) -> QueryError {
    QueryError::Internal(error.to_string())
}

/// Writes one answer; the beginning comes out with the first rows or the end, whichever is first.
pub struct Renderer {
    format: Format,
    schema: SchemaRef,
    /// The columns' names as JSON strings with a colon, unique.
    keys: Vec<Vec<u8>>,
    rows: usize,
    begun: bool,
    arrow: Option<StreamWriter<Vec<u8>>>,
}

impl Renderer {
    pub fn new(format: Format, schema: &SchemaRef) -> Renderer {
        let mut used = HashSet::new();
        let keys = schema.fields().iter().map(|field| key(field, &mut used)).collect();
        Renderer { format, schema: SchemaRef::clone(schema), keys, rows: 0, begun: false, arrow: None }
    }

    /// Rows written so far.
    pub fn row_count(&self) -> usize {
        self.rows
    }

    /// Appends the batch's rows from `row` on until a piece is full. Returns the first row that is left.
    pub fn rows(&mut self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<usize, ArrowError> {
        self.begin(out)?;
        if let Some(writer) = &mut self.arrow {
            let rows = ARROW_ROWS.min(batch.num_rows() - row);
            writer.write(&compact(&batch.slice(row, rows))?)?;
            out.append(&mut mem::take(writer.get_mut()));
            self.rows += rows;
            return Ok(row + rows);
        }
        for row in row..batch.num_rows() {
            self.row(batch, row, out)?;
            self.rows += 1;
            if out.len() >= PIECE_BYTES {
                return Ok(row + 1);
            }
        }
        Ok(batch.num_rows())
    }

    /// Appends the end. Nothing may follow.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        self.begin(out)?;
        match self.format {
            Format::Json => out.extend_from_slice(format!("],\"row_count\":{}}}\n", self.rows).as_bytes()),
            Format::Ndjson | Format::Csv => {}
            Format::Arrow => {
                if let Some(writer) = &mut self.arrow {
                    writer.finish()?;
                    out.append(&mut mem::take(writer.get_mut()));
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        if mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        match self.format {
            Format::Json => {
                out.extend_from_slice(b"{\"columns\":[");
                for (index, field) in self.schema.fields().iter().enumerate() {
                    out.extend_from_slice(if index == 0 { b"{\"name\":" } else { b",{\"name\":" });
                    write_json_string(field.name(), out);
                    out.extend_from_slice(b",\"type\":");
                    write_json_string(&type_name(field.data_type()), out);
                    out.push(b'}');
                }
                out.extend_from_slice(b"],\"rows\":[");
            }
            Format::Ndjson => {}
            Format::Csv => {
                for (index, field) in self.schema.fields().iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    value::write_csv_text(field.name(), out);
                }
                out.extend_from_slice(b"\r\n");
            }
            Format::Arrow => {
                let mut writer = StreamWriter::try_new(Vec::new(), &compact_schema(&self.schema))?;
                out.append(&mut mem::take(writer.get_mut()));
                self.arrow = Some(writer);
            }
        }
        Ok(())
    }

    fn row(&self, batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<(), ArrowError> {
        let between = |index: usize, out: &mut Vec<u8>| {
            if index > 0 {
                out.push(b',');
            }
        };
        match self.format {
            Format::Json => {
                out.extend_from_slice(if self.rows > 0 { b",\n[" } else { b"\n[" });
                for (index, column) in batch.columns().iter().enumerate() {
                    between(index, out);
                    write_json(column, row, out)?;
                }
                out.push(b']');
            }
            Format::Ndjson => {
                out.push(b'{');
                for (index, (key, column)) in self.keys.iter().zip(batch.columns()).enumerate() {
                    between(index, out);
                    out.extend_from_slice(key);
                    write_json(column, row, out)?;
                }
                out.extend_from_slice(b"}\n");
            }
            Format::Csv => {
                for (index, column) in batch.columns().iter().enumerate() {
                    between(index, out);
                    write_csv(column, row, out)?;
                }
                out.extend_from_slice(b"\r\n");
            }
            Format::Arrow => {}
        }
        Ok(())
    }
}

fn key(field: &Field, used: &mut HashSet<String>) -> Vec<u8> {
    let mut name = field.name().clone();
    let mut count = 1;
    while !used.insert(name.clone()) {
        count += 1;
        name = format!("{}_{count}", field.name());
    }
    let mut key = Vec::with_capacity(name.len() + 3);
    write_json_string(&name, &mut key);
    key.push(b':');
    key
}

/// IPC writes the buffers of a view whole, with rows that are not in the answer: views become plain columns.
fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = compact_schema(&batch.schema());
    if schema == batch.schema() {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().zip(schema.fields());
    let columns = columns
        .map(|(column, field)| arrow::compute::cast(column, field.data_type()))
        .collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns)
}

fn compact_schema(schema: &SchemaRef) -> SchemaRef {
    let plain = |field: &Field| match field.data_type() {
        DataType::Utf8View => field.clone().with_data_type(DataType::LargeUtf8),
        DataType::BinaryView => field.clone().with_data_type(DataType::LargeBinary),
        _ => field.clone(),
    };
    let fields: Vec<Field> = schema.fields().iter().map(|field| plain(field)).collect();
    SchemaRef::new(arrow::datatypes::Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The column's value itself, behind any encoding of it.
fn decoded(array: &ArrayRef, row: usize) -> Option<(&ArrayRef, usize)> {
    if array.is_null(row) {
        return None;
    }
    match array.data_type() {
        // Has no bitmap that could say so.
        DataType::Null => None,
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let key = *dictionary.normalized_keys().get(row)?;
            decoded(dictionary.values(), key)
        }
        _ => Some((array, row)),
    }
}

#[cfg(test)]
mod tests;
