//! Rows of an older generation as rows of a newer one: what has become protected is protected, what has gone is gone.
//! Always: the text that is hashed is the one that the decoder would have hashed, so that a value has one digest whenever it
//! came; null stays null. Columns that are not named keep their values.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StringBuilder, StructArray,
        new_null_array,
    },
    datatypes::{DataType, Date32Type, Field, Fields, Float64Type, Int64Type, Schema as Columns},
    temporal_conversions::date32_to_datetime,
};
use hw_vault::HashKey;

use super::RowsError;
use crate::{Rewrite, RewriteAction, Step, json::write_float};

/// In the order in which the generations followed each other.
pub fn rewrite(batch: &RecordBatch, rewrites: &[Rewrite], key: &HashKey) -> Result<RecordBatch, RowsError> {
    let rows = batch.num_rows();
    let mut row = StructArray::from(batch.clone());
    for rewrite in rewrites {
        row = members(&row, &rewrite.path, rewrite.action, key)?;
    }
    let (fields, arrays, _) = row.into_parts();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Columns::new(fields)), arrays, &options)?)
}

fn members(
    row: &StructArray,
    path: &[Step],
    action: RewriteAction,
    key: &HashKey,
) -> Result<StructArray, RowsError> {
    let Some((Step::Member(name), rest)) = path.split_first() else { return Ok(row.clone()) };
    let goes = matches!(action, RewriteAction::Drop | RewriteAction::Remove);
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in row.fields().iter().zip(row.columns()) {
        if field.name() != name {
            fields.push(field.clone());
            arrays.push(array.clone());
        } else if !(rest.is_empty() && goes) {
            let array = value(array, rest, action, key)?;
            fields.push(retyped(field, array.data_type()));
            arrays.push(array);
        }
    }
    let nulls = row.nulls().cloned();
    if fields.is_empty() {
        return Ok(StructArray::new_empty_fields(row.len(), nulls));
    }
    Ok(StructArray::try_new(Fields::from(fields), arrays, nulls)?)
}

fn value(
    array: &ArrayRef,
    path: &[Step],
    action: RewriteAction,
    key: &HashKey,
) -> Result<ArrayRef, RowsError> {
    let Some((step, rest)) = path.split_first() else { return Ok(leaf(array, action, key)) };
    Ok(match (step, array.data_type()) {
        (Step::Member(_), DataType::Struct(_)) => Arc::new(members(array.as_struct(), path, action, key)?),
        (Step::Items, DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = value(list.values(), rest, action, key)?;
            let element = retyped(element, values.data_type());
            Arc::new(ListArray::try_new(element, list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (Step::Values, DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let values = value(map.values(), rest, action, key)?;
            let DataType::Struct(fields) = entries.data_type() else { return Ok(array.clone()) };
            let fields = Fields::from(vec![fields[0].clone(), retyped(&fields[1], values.data_type())]);
            let columns = vec![map.keys().clone(), values];
            let inner = StructArray::try_new(fields.clone(), columns, None)?;
            let entries = Arc::new(entries.as_ref().clone().with_data_type(DataType::Struct(fields)));
            let (offsets, nulls) = (map.offsets().clone(), map.nulls().cloned());
            Arc::new(MapArray::try_new(entries, offsets, inner, nulls, *sorted)?)
        }
        // A file of a version in which this was not there yet.
        _ => array.clone(),
    })
}

fn retyped(field: &Arc<Field>, data_type: &DataType) -> Arc<Field> {
    if field.data_type() == data_type {
        return field.clone();
    }
    Arc::new(field.as_ref().clone().with_data_type(data_type.clone()))
}

fn leaf(array: &ArrayRef, action: RewriteAction, key: &HashKey) -> ArrayRef {
    match action {
        RewriteAction::Hide | RewriteAction::Drop | RewriteAction::Remove => array.clone(),
        RewriteAction::Clear => new_null_array(array.data_type(), array.len()),
        RewriteAction::Hash => {
            let mut digests = StringBuilder::with_capacity(array.len(), array.len() * 64);
            let mut text = Vec::new();
            // Neighbours are often equal.
            let mut last: Option<(Vec<u8>, [u8; 64])> = None;
            for row in 0..array.len() {
                text.clear();
                if array.is_null(row) || !text_of(array, row, &mut text) {
                    digests.append_null();
                    continue;
                }
                let digest = match &last {
                    Some((known, digest)) if *known == text => *digest,
                    _ => key.digest(&text),
                };
                // Hexadecimal digits.
                digests.append_value(str::from_utf8(&digest).unwrap_or_default());
                last = Some((std::mem::take(&mut text), digest));
            }
            Arc::new(digests.finish())
        }
    }
}

/// As the decoder hashes it.
fn text_of(array: &ArrayRef, row: usize, text: &mut Vec<u8>) -> bool {
    match array.data_type() {
        DataType::Utf8 => text.extend_from_slice(array.as_string::<i32>().value(row).as_bytes()),
        DataType::Int64 => {
            text.extend_from_slice(array.as_primitive::<Int64Type>().value(row).to_string().as_bytes());
        }
        DataType::Float64 => write_float(array.as_primitive::<Float64Type>().value(row), text),
        DataType::Boolean => {
            text.extend_from_slice(if array.as_boolean().value(row) { b"true" } else { b"false" });
        }
        DataType::Date32 => {
            let date = date32_to_datetime(array.as_primitive::<Date32Type>().value(row));
            let Some(date) = date else { return false };
            text.extend_from_slice(date.format("%Y-%m-%d").to_string().as_bytes());
        }
        _ => return false,
    }
    true
}
