//! The Arrow columns of a schema: the user's, the reserved ones, and their order.
//! Always: names of lists' and maps' inner fields are those of Delta, so that no table needs renaming.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::{
    DataType, Field as Column, Fields, Schema as Columns, SchemaRef, TimeUnit as ArrowUnit,
};

use crate::schema::{Field, Kind, Object, PRIVACY_METADATA};

pub const EXTRA: &str = "_extra";
pub const PARTITION: &str = "_partition";
pub const OFFSET: &str = "_offset";
pub const SEQ: &str = "_seq";
pub const TIME: &str = "_time";
pub const RECEIVED_AT: &str = "_received_at";
pub const SCHEMA: &str = "_schema";
pub const ID: &str = "_id";
pub const OP: &str = "_op";
pub const HEADERS: &str = "_headers";
pub const ORIGIN: &str = "_origin";

/// Microseconds, UTC: the one timestamp of journal, lake and SQL.
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(ArrowUnit::Microsecond, Some("UTC".into()))
}

/// A list as Delta names it.
pub(crate) fn list_of(element: Column) -> DataType {
    DataType::List(Arc::new(element.with_name("element")))
}

/// A map as Delta names it.
pub(crate) fn map_of(value: Column) -> DataType {
    let entries = vec![Column::new("key", DataType::Utf8, false), value.with_name("value")];
    DataType::Map(Arc::new(Column::new("key_value", DataType::Struct(entries.into()), false)), false)
}

/// `_headers`: names and values as text.
pub(crate) fn headers_type() -> DataType {
    map_of(Column::new("value", DataType::Utf8, true))
}

pub(crate) fn user_columns(root: &Object) -> SchemaRef {
    Arc::new(Columns::new(object_columns(root)))
}

/// The user's columns and `_extra`: what the decoder makes.
pub(crate) fn decoded_columns(user: &SchemaRef) -> SchemaRef {
    let mut columns: Vec<_> = user.fields().iter().cloned().collect();
    columns.push(Arc::new(Column::new(EXTRA, DataType::Utf8, true)));
    Arc::new(Columns::new(columns))
}

pub(crate) fn table_columns(user: &SchemaRef) -> SchemaRef {
    let mut columns: Vec<_> = decoded_columns(user).fields().iter().cloned().collect();
    for (name, data_type) in [
        (PARTITION, DataType::Int32),
        (OFFSET, DataType::Int64),
        (SEQ, DataType::Int64),
        (TIME, timestamp_type()),
        (RECEIVED_AT, timestamp_type()),
        (SCHEMA, DataType::Int32),
        (ID, DataType::Utf8),
        (OP, DataType::Utf8),
        (HEADERS, headers_type()),
        (ORIGIN, DataType::Utf8),
    ] {
        columns.push(Arc::new(Column::new(name, data_type, true)));
    }
    Arc::new(Columns::new(columns))
}

fn object_columns(object: &Object) -> Fields {
    object.fields.iter().filter(|field| field.column.is_some()).map(column_of).collect()
}

fn column_of(field: &Field) -> Column {
    let data_type = if field.is_replaced() { DataType::Utf8 } else { data_type_of(&field.kind) };
    let column = Column::new(&field.name, data_type, true);
    match field.privacy {
        Some(privacy) => {
            column.with_metadata(HashMap::from([(PRIVACY_METADATA.to_owned(), privacy.as_str().to_owned())]))
        }
        None => column,
    }
}

pub(crate) fn data_type_of(kind: &Kind) -> DataType {
    match kind {
        Kind::Boolean => DataType::Boolean,
        Kind::Integer(_) => DataType::Int64,
        Kind::Number(_) => DataType::Float64,
        Kind::String(_) | Kind::Json(_) => DataType::Utf8,
        Kind::DateTime(_) | Kind::Time(_) => timestamp_type(),
        Kind::Date(_) => DataType::Date32,
        Kind::Binary(_) => DataType::Binary,
        Kind::Decimal(decimal) => DataType::Decimal128(decimal.precision, decimal.scale),
        Kind::Object(object) => DataType::Struct(object_columns(object)),
        Kind::Array(array) => list_of(column_of(&array.element)),
        Kind::Map(map) => map_of(column_of(&map.value)),
    }
}
