//! Rows of an older generation as rows of a newer one: what has become protected is protected, what has gone is gone.
//! Always: the text that is hashed is the one that the decoder would have hashed, so that a value has one digest whenever it
//! came; null stays null. Columns that are not named keep their values.

use std::sync::Arc;

use arrow::{
    array::{
        Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StringArray, StringBuilder, StructArray,
        new_null_array,
    },
    datatypes::{DataType, Date32Type, Field, Fields, Float64Type, Int64Type, Schema as Columns},
    temporal_conversions::date32_to_datetime,
};
use hw_vault::{HashKey, TokenFormat, Tokens};

use super::RowsError;
use crate::{Rewrite, RewriteAction, Step, json::write_float};

/// What values are protected with.
pub struct Protection {
    pub key: HashKey,
    pub tokens: Tokens,
    /// The domains that `tokens` was made for, in their order.
    pub domains: Vec<Arc<str>>,
    /// Where a row says whose it is, if it does.
    pub subject: Option<Vec<String>>,
}

/// One rewrite of one batch.
struct Rewriting<'a> {
    action: RewriteAction,
    token: Option<(usize, TokenFormat)>,
    protection: &'a mut Protection,
    /// By row; null where nobody is named.
    subjects: Option<StringArray>,
}

/// In the order in which the generations followed each other. What the vault has to keep is in `protection.tokens`.
pub fn rewrite(
    batch: &RecordBatch,
    rewrites: &[Rewrite],
    protection: &mut Protection,
) -> Result<RecordBatch, RowsError> {
    let rows = batch.num_rows();
    let subjects = protection.subject.as_ref().and_then(|path| texts(batch, path));
    let mut row = StructArray::from(batch.clone());
    for Rewrite { path, action, token, .. } in rewrites {
        let slot = |domain: &Arc<str>| protection.domains.iter().position(|known| known == domain);
        let token = token.as_ref().and_then(|(domain, format)| Some((slot(domain)?, *format)));
        let subjects = subjects.clone();
        row = members(&row, path, &mut Rewriting { action: *action, token, protection, subjects })?;
    }
    let (fields, arrays, _) = row.into_parts();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::new(Columns::new(fields)), arrays, &options)?)
}

/// The text of a single value that may lie within structs.
fn texts(batch: &RecordBatch, path: &[String]) -> Option<StringArray> {
    let (first, rest) = path.split_first()?;
    let mut array = batch.column_by_name(first)?.clone();
    for name in rest {
        let inner = array.as_struct_opt()?.column_by_name(name)?.clone();
        array = inner;
    }
    let mut found = StringBuilder::new();
    let mut text = Vec::new();
    for row in 0..array.len() {
        text.clear();
        let known = !array.is_null(row) && text_of(&array, row, &mut text);
        found.append_option(str::from_utf8(&text).ok().filter(|_| known));
    }
    Some(found.finish())
}

fn members(
    row: &StructArray,
    path: &[Step],
    rewriting: &mut Rewriting<'_>,
) -> Result<StructArray, RowsError> {
    let action = rewriting.action;
    let Some((Step::Member(name), rest)) = path.split_first() else { return Ok(row.clone()) };
    let goes = matches!(action, RewriteAction::Drop | RewriteAction::Remove);
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in row.fields().iter().zip(row.columns()) {
        if field.name() != name {
            fields.push(field.clone());
            arrays.push(array.clone());
        } else if !(rest.is_empty() && goes) {
            let array = value(array, rest, rewriting)?;
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

fn value(array: &ArrayRef, path: &[Step], rewriting: &mut Rewriting<'_>) -> Result<ArrayRef, RowsError> {
    let Some((step, rest)) = path.split_first() else { return Ok(leaf(array, rewriting)) };
    Ok(match (step, array.data_type()) {
        (Step::Member(_), DataType::Struct(_)) => Arc::new(members(array.as_struct(), path, rewriting)?),
        (Step::Items, DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = value(list.values(), rest, rewriting)?;
            let element = retyped(element, values.data_type());
            Arc::new(ListArray::try_new(element, list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (Step::Values, DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            let values = value(map.values(), rest, rewriting)?;
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

fn leaf(array: &ArrayRef, rewriting: &mut Rewriting<'_>) -> ArrayRef {
    match rewriting.action {
        RewriteAction::Hide | RewriteAction::Drop | RewriteAction::Remove => array.clone(),
        RewriteAction::Clear => new_null_array(array.data_type(), array.len()),
        RewriteAction::Tokenize => tokens(array, rewriting),
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
                    _ => rewriting.protection.key.digest(&text),
                };
                // Hexadecimal digits.
                digests.append_value(str::from_utf8(&digest).unwrap_or_default());
                last = Some((std::mem::take(&mut text), digest));
            }
            Arc::new(digests.finish())
        }
    }
}

/// Each row's value as a token of its domain; the rows are those of the batch.
fn tokens(array: &ArrayRef, rewriting: &mut Rewriting<'_>) -> ArrayRef {
    let Rewriting { token, protection, subjects, .. } = rewriting;
    let Some((slot, format)) = *token else { return new_null_array(&DataType::Utf8, array.len()) };
    let (mut found, mut text) = (StringBuilder::new(), Vec::new());
    for row in 0..array.len() {
        text.clear();
        if array.is_null(row) || !text_of(array, row, &mut text) {
            found.append_null();
            continue;
        }
        // A value that has no token of this form gets one of the usual: nothing is lost.
        let token = protection
            .tokens
            .token(slot, format, &text)
            .or_else(|| protection.tokens.token(slot, TokenFormat::Text, &text));
        let subject = subjects.as_ref().filter(|subjects| subjects.is_valid(row));
        protection.tokens.end_row(subject.map(|subjects| subjects.value(row).as_bytes()));
        found.append_option(token.as_ref().map(|token| token.as_str()));
    }
    Arc::new(found.finish())
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
