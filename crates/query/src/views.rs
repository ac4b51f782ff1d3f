//! Texts of streams' tables as views while a statement computes, and as plain texts in what it answers.
//! Always: an answer has the types of the schema; a view never leaves a statement, since it would take with it all of the memory
//! that it looks into.
//!
//! A view is 16 bytes that hold a short text or point to a long one: comparing, grouping, sorting and filtering copy and
//! touch less.

use std::sync::Arc;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use datafusion::error::Result;

/// The columns of a table as a statement computes with them. Inside of lists, maps and objects nothing changes.
pub(crate) fn with(columns: &SchemaRef) -> SchemaRef {
    let field = |field: &FieldRef| match field.data_type() {
        DataType::Utf8 => Arc::new(Field::clone(field).with_data_type(DataType::Utf8View)),
        _ => Arc::clone(field),
    };
    let fields: Vec<FieldRef> = columns.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, columns.metadata().clone()))
}

/// The columns of an answer, wherever in them a view stands.
pub(crate) fn without(columns: &SchemaRef) -> SchemaRef {
    let fields: Vec<FieldRef> = columns.fields().iter().map(plain).collect();
    if *columns.fields() == fields.as_slice().into() {
        return Arc::clone(columns);
    }
    Arc::new(Schema::new_with_metadata(fields, columns.metadata().clone()))
}

fn plain(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(element) => DataType::List(plain(element)),
        DataType::LargeList(element) => DataType::LargeList(plain(element)),
        DataType::FixedSizeList(element, length) => DataType::FixedSizeList(plain(element), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        DataType::Map(entries, sorted) => DataType::Map(plain(entries), *sorted),
        _ => return Arc::clone(field),
    };
    if data_type == *field.data_type() {
        return Arc::clone(field);
    }
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// The batch with these columns, which `without` made of its own.
pub(crate) fn copied(batch: RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == columns {
        return Ok(batch);
    }
    let arrays = batch.columns().iter().zip(columns.fields());
    let arrays = arrays.map(|(array, field)| cast(array, field.data_type())).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(columns), arrays, &options)?)
}
