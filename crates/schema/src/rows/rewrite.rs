//! Rows of an older generation as rows of a newer one: what has become protected is protected, what has gone is gone, what has
//! another name, other values or narrower rules has them.
//! Always: the text that is hashed is the one that the decoder would have hashed, so that a value has one digest whenever it
//! came; null stays null; what does not pass a rule, or cannot be computed, is counted and becomes null. Columns that are not
//! named keep their values. Knows no SQL: an expression's values are somebody else's to give.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{
        Array, ArrayRef, AsArray, ListArray, MapArray, RecordBatch, StringArray, StringBuilder, StructArray,
        UInt64Array, new_null_array,
    },
    buffer::{NullBuffer, OffsetBuffer},
    compute::take,
    datatypes::{DataType, Date32Type, Field, Fields, Float64Type, Int64Type, Schema as Columns, SchemaRef},
    temporal_conversions::date32_to_datetime,
};
use hw_vault::{HashKey, TokenFormat, Tokens};

use super::{RowsError, adapt};
use crate::{
    Expression, Fit, Protecting, Rewrite, RewriteAction, Step, json::write_float, marks::digest_text,
};

/// What values are protected with.
pub struct Protection {
    pub key: HashKey,
    pub tokens: Tokens,
    /// The domains that `tokens` was made for, in their order.
    pub domains: Vec<Arc<str>>,
    /// Where a row may say whose it is: by any of its stream's versions.
    pub subjects: Vec<Vec<String>>,
}

/// Who evaluates expressions.
pub trait Computing {
    /// Of each row the value, as the expression's type has it; null where it has none.
    fn compute(&mut self, expression: &Expression, rows: &RecordBatch) -> Result<Computed, RowsError>;
}

pub struct Computed {
    pub values: ArrayRef,
    /// Rows of which no value could be made.
    pub failed: u64,
}

/// What rows are rewritten with.
pub struct Means<'a> {
    /// `None`: nobody keeps what comes out, so nothing has to be protected.
    pub protection: Option<&'a mut Protection>,
    pub computing: &'a mut dyn Computing,
    pub misfits: &'a mut Misfits,
}

/// Values that did not fit, by the field's place in the schema document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Misfits(pub BTreeMap<String, Misfit>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Misfit {
    pub values: u64,
    /// A value must be there, so these cannot become null.
    pub needed: bool,
}

impl Misfits {
    fn add(&mut self, pointer: &str, values: u64, needed: bool) {
        if values > 0 {
            let misfit = self.0.entry(pointer.to_owned()).or_default();
            misfit.values += values;
            misfit.needed |= needed;
        }
    }
}

/// One rewrite of one batch.
struct Rewriting<'a, 'm> {
    pointer: &'a str,
    action: &'a RewriteAction,
    means: &'a mut Means<'m>,
    /// By row; null where nobody is named.
    subjects: Option<StringArray>,
    /// The row of each value, below a list or a map.
    rows: Option<Vec<usize>>,
    /// Where there is an object that the values are of.
    within: Option<NullBuffer>,
}

/// From one version of a schema to the next.
#[derive(Debug, Clone)]
pub struct Change {
    /// The table's columns before it.
    pub before: SchemaRef,
    pub rewrites: Vec<Rewrite>,
}

/// `changes` followed each other. What the vault has to keep is in `protection.tokens`.
pub fn rewrite(
    batch: &RecordBatch,
    changes: &[Change],
    means: &mut Means<'_>,
) -> Result<RecordBatch, RowsError> {
    let rows = batch.num_rows();
    let mut batch = batch.clone();
    for Change { before, rewrites: step } in changes {
        // All of them see the row as it was.
        let mut computed = Vec::new();
        if step.iter().any(|it| it.action.loses()) {
            // A file of a version that lacked a column has null in it.
            batch = adapt(batch, before)?;
        }
        for Rewrite { pointer, action, .. } in step {
            if let RewriteAction::Compute(expression) = action {
                let Computed { values, failed } = means.computing.compute(expression, &batch)?;
                if values.len() != rows || *values.data_type() != expression.data_type {
                    return Err(RowsError::Mismatch(format!(
                        "what was computed for {pointer} is no column of it"
                    )));
                }
                // What must be there and is not, is counted where that is asked.
                let asked = step.iter().any(|it| {
                    it.pointer == *pointer
                        && matches!(&it.action, RewriteAction::Narrow(fit) if fit.needs_value())
                });
                means.misfits.add(pointer, if asked { 0 } else { failed }, false);
                computed.push(values);
            }
        }
        let mut computed = computed.into_iter();
        let paths =
            means.protection.as_ref().map(|protection| protection.subjects.clone()).unwrap_or_default();
        let whose = |row: &StructArray| paths.iter().find_map(|path| texts(row, path));
        let mut row = StructArray::from(batch);
        let mut subjects = whose(&row);
        for Rewrite { pointer, path, action } in step {
            // Renames come first: by now whoever is named has the name that the new version knows.
            if subjects.is_none() && matches!(action, RewriteAction::Tokenize(..)) {
                subjects = whose(&row);
            }
            if let (RewriteAction::Compute(_), [Step::Member(name)]) = (action, path.as_slice()) {
                let Some(values) = computed.next() else { continue };
                row = with(&row, name, values)?;
                continue;
            }
            let subjects = subjects.clone();
            let mut rewriting = Rewriting { pointer, action, means, subjects, rows: None, within: None };
            row = members(&row, path, &mut rewriting)?;
        }
        let (fields, arrays, _) = row.into_parts();
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        batch = RecordBatch::try_new_with_options(Arc::new(Columns::new(fields)), arrays, &options)?;
    }
    Ok(batch)
}

/// `row` with this column, in the place of one of its name.
fn with(row: &StructArray, name: &str, values: ArrayRef) -> Result<StructArray, RowsError> {
    let kept = row.fields().iter().zip(row.columns()).filter(|(field, _)| field.name() != name);
    let (mut fields, mut arrays): (Vec<_>, Vec<_>) =
        kept.map(|(field, array)| (field.clone(), array.clone())).unzip();
    fields.push(Arc::new(Field::new(name, values.data_type().clone(), true)));
    arrays.push(values);
    Ok(StructArray::try_new(Fields::from(fields), arrays, None)?)
}

/// The text of a single value that may lie within structs.
fn texts(row: &StructArray, path: &[String]) -> Option<StringArray> {
    let (first, rest) = path.split_first()?;
    let mut array = row.column_by_name(first)?.clone();
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
    rewriting: &mut Rewriting<'_, '_>,
) -> Result<StructArray, RowsError> {
    let action = rewriting.action;
    let Some((Step::Member(name), rest)) = path.split_first() else { return Ok(row.clone()) };
    let nulls = row.nulls().cloned();
    rewriting.within = NullBuffer::union(rewriting.within.as_ref(), nulls.as_ref());
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in row.fields().iter().zip(row.columns()) {
        if field.name() != name {
            fields.push(field.clone());
            arrays.push(array.clone());
            continue;
        }
        match action {
            RewriteAction::Drop | RewriteAction::Remove if rest.is_empty() => {}
            RewriteAction::Rename(to) if rest.is_empty() => {
                fields.push(Arc::new(field.as_ref().clone().with_name(to)));
                arrays.push(array.clone());
            }
            _ => {
                let array = value(array, rest, rewriting)?;
                fields.push(retyped(field, array.data_type()));
                arrays.push(array);
            }
        }
    }
    if fields.is_empty() {
        return Ok(StructArray::new_empty_fields(row.len(), nulls));
    }
    Ok(StructArray::try_new(Fields::from(fields), arrays, nulls)?)
}

fn value(array: &ArrayRef, path: &[Step], rewriting: &mut Rewriting<'_, '_>) -> Result<ArrayRef, RowsError> {
    let Some((step, rest)) = path.split_first() else { return leaf(array, rewriting) };
    Ok(match (step, array.data_type()) {
        (Step::Member(_), DataType::Struct(_)) => Arc::new(members(array.as_struct(), path, rewriting)?),
        (Step::Items, DataType::List(element)) => {
            let list = array.as_list::<i32>();
            rewriting.descend(list.offsets(), list.nulls(), list.values().len());
            let values = value(list.values(), rest, rewriting)?;
            let element = retyped(element, values.data_type());
            Arc::new(ListArray::try_new(element, list.offsets().clone(), values, list.nulls().cloned())?)
        }
        (Step::Values, DataType::Map(entries, sorted)) => {
            let map = array.as_map();
            rewriting.descend(map.offsets(), map.nulls(), map.values().len());
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

impl Rewriting<'_, '_> {
    /// From lists, or maps, to the values in them.
    fn descend(&mut self, offsets: &OffsetBuffer<i32>, nulls: Option<&NullBuffer>, values: usize) {
        let within = NullBuffer::union(self.within.as_ref(), nulls);
        let mut rows = vec![0; values];
        // What no list has, or one that is null, is no value.
        let mut valid = vec![false; values];
        for (at, ends) in offsets.windows(2).enumerate() {
            let range = ends[0].max(0) as usize..(ends[1].max(0) as usize).min(values);
            let row = self.rows.as_ref().map_or(at, |rows| rows.get(at).copied().unwrap_or(0));
            let held = within.as_ref().is_none_or(|within| within.is_valid(at));
            for place in range {
                (rows[place], valid[place]) = (row, held);
            }
        }
        self.rows = Some(rows);
        self.within = Some(NullBuffer::from(valid));
    }
}

fn retyped(field: &Arc<Field>, data_type: &DataType) -> Arc<Field> {
    if field.data_type() == data_type {
        return field.clone();
    }
    Arc::new(field.as_ref().clone().with_data_type(data_type.clone()))
}

fn leaf(array: &ArrayRef, rewriting: &mut Rewriting<'_, '_>) -> Result<ArrayRef, RowsError> {
    Ok(match rewriting.action {
        RewriteAction::Hide
        | RewriteAction::Drop
        | RewriteAction::Remove
        | RewriteAction::Rename(_)
        | RewriteAction::Compute(_) => array.clone(),
        RewriteAction::Clear => new_null_array(array.data_type(), array.len()),
        RewriteAction::Tokenize(domain, format) => tokens(array, domain, *format, rewriting),
        RewriteAction::Protect(protecting) => protected(array, protecting, rewriting),
        RewriteAction::Narrow(fit) => fitting(array, fit, rewriting)?,
        RewriteAction::Hash { json } => digests(array, *json, rewriting),
    })
}

fn digests(array: &ArrayRef, json: bool, rewriting: &mut Rewriting<'_, '_>) -> ArrayRef {
    let Some(protection) = &rewriting.means.protection else { return array.clone() };
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
        if json {
            text = digest_text(&text);
        }
        let digest = match &last {
            Some((known, digest)) if *known == text => *digest,
            _ => protection.key.digest(&text),
        };
        // Hexadecimal digits.
        digests.append_value(str::from_utf8(&digest).unwrap_or_default());
        last = Some((std::mem::take(&mut text), digest));
    }
    Arc::new(digests.finish())
}

/// Each row's value as a token of its domain.
fn tokens(
    array: &ArrayRef,
    domain: &Arc<str>,
    format: TokenFormat,
    rewriting: &mut Rewriting<'_, '_>,
) -> ArrayRef {
    let Rewriting { means, subjects, rows, .. } = rewriting;
    let Some(protection) = &mut means.protection else { return array.clone() };
    let Some(slot) = protection.domains.iter().position(|known| known == domain) else {
        return new_null_array(&DataType::Utf8, array.len());
    };
    let (mut found, mut text) = (StringBuilder::new(), Vec::new());
    for place in 0..array.len() {
        text.clear();
        if array.is_null(place) || !text_of(array, place, &mut text) {
            found.append_null();
            continue;
        }
        // A value that has no token of this form gets one of the usual: nothing is lost.
        let token = protection
            .tokens
            .token(slot, format, &text)
            .or_else(|| protection.tokens.token(slot, TokenFormat::Text, &text));
        let row = rows.as_ref().map_or(place, |rows| rows[place]);
        let subject = subjects.as_ref().filter(|subjects| subjects.is_valid(row));
        protection.tokens.end_row(subject.map(|subjects| subjects.value(row).as_bytes()));
        found.append_option(token.as_ref().map(|token| token.as_str()));
    }
    Arc::new(found.finish())
}

/// Texts of JSON with what is marked in them protected.
fn protected(array: &ArrayRef, protecting: &Protecting, rewriting: &mut Rewriting<'_, '_>) -> ArrayRef {
    let (Some(protection), Some(texts)) = (&rewriting.means.protection, array.as_string_opt::<i32>()) else {
        return array.clone();
    };
    let (mut found, mut text) = (StringBuilder::new(), Vec::new());
    for json in texts {
        text.clear();
        if let Some(json) = json {
            let before = protecting.before.as_ref();
            protecting.next.protect_further(before, json.as_bytes(), &protection.key, &mut text);
        }
        // Nothing at all came of it: no JSON, which was never stored.
        found.append_option(json.and_then(|_| str::from_utf8(&text).ok()).filter(|text| !text.is_empty()));
    }
    Arc::new(found.finish())
}

/// The values that pass; the others are counted.
fn fitting(array: &ArrayRef, fit: &Fit, rewriting: &mut Rewriting<'_, '_>) -> Result<ArrayRef, RowsError> {
    let (mut misfits, mut missing) = (0, 0);
    let places = (0..array.len()).map(|place| {
        if array.is_null(place) {
            let there = rewriting.within.as_ref().is_none_or(|within| within.is_valid(place));
            missing += u64::from(there && fit.needs_value());
            return None;
        }
        let passes = fit.passes(array, place);
        misfits += u64::from(!passes);
        passes.then_some(place as u64)
    });
    let places: UInt64Array = places.collect();
    rewriting.means.misfits.add(rewriting.pointer, misfits, !fit.may_be_null());
    rewriting.means.misfits.add(rewriting.pointer, missing, true);
    if misfits == 0 {
        return Ok(array.clone());
    }
    Ok(take(array, &places, None)?)
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
