//! Rows back to events: the canonical JSON of a governed stream.
//! Always: fields in schema order, then what `_extra` holds, at the places it came from; null columns are left out,
//! hashed fields are their digests, dropped ones are absent. A column that the batch lacks counts as null.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    Schema, columns,
    format::{write_date, write_date_time},
    json::{Exact, KeySet, Scanner, unescape, write_float, write_string},
    schema::{Decimal, Field, Kind, Object, Time},
};

/// One JSON object a row.
pub fn to_json(schema: &Schema, batch: &RecordBatch) -> Vec<String> {
    let fields: Vec<(&Field, Option<&ArrayRef>)> =
        schema.root.fields.iter().map(|field| (field, batch.column_by_name(&field.name))).collect();
    let extra = batch.column_by_name(columns::EXTRA).and_then(|array| array.as_string_opt::<i32>());
    let mut events = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let extra = extra.filter(|extra| extra.is_valid(row)).map_or("", |extra| extra.value(row));
        let mut writer =
            Writer { extra: extra_members(extra.as_bytes()), pointer: Vec::new(), out: Vec::new() };
        writer.members(fields.iter().copied(), row);
        // Columns of text are UTF-8, and so is all that is written between them.
        events.push(String::from_utf8_lossy(&writer.out).into_owned());
    }
    events
}

/// Members of `_extra` by the pointer of the object they belong to: each key and its value, as JSON.
type Extra<'a> = HashMap<Vec<u8>, Vec<(Vec<u8>, &'a [u8])>>;

fn extra_members(json: &[u8]) -> Extra<'_> {
    let mut members = Extra::new();
    let mut scanner = Scanner::new(json, crate::json::DEPTH_MAX);
    let mut read = || -> Result<(), crate::json::JsonFault> {
        scanner.open()?;
        let mut more = !scanner.close_empty(b'}');
        while more {
            let mut pointer = Vec::new();
            unescape(scanner.key()?.raw, &mut pointer);
            scanner.colon()?;
            let start = scanner.at();
            scanner.skip(&mut KeySet::default())?;
            if let Some(slash) = pointer.iter().rposition(|&byte| byte == b'/') {
                let name =
                    String::from_utf8_lossy(&pointer[slash + 1..]).replace("~1", "/").replace("~0", "~");
                pointer.truncate(slash);
                members.entry(pointer).or_default().push((name.into_bytes(), scanner.slice(start)));
            }
            more = scanner.more(b'}')?;
        }
        Ok(())
    };
    if json.first() == Some(&b'{') {
        // Our own decoder has written it; where somebody else has, the members before the first fault are shown.
        let _ = read();
    }
    members
}

struct Writer<'a> {
    extra: Extra<'a>,
    pointer: Vec<u8>,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn members<'f>(&mut self, fields: impl Iterator<Item = (&'f Field, Option<&'f ArrayRef>)>, row: usize) {
        self.out.push(b'{');
        let start = self.out.len();
        for (field, array) in fields {
            let Some(array) = array.filter(|array| array.is_valid(row)) else { continue };
            self.name(field.name.as_bytes(), start);
            let length = self.enter(field.name.as_bytes());
            self.value(field, array, row);
            self.pointer.truncate(length);
        }
        if let Some(members) = self.extra.remove(&self.pointer) {
            for (name, value) in members {
                self.name(&name, start);
                self.out.extend_from_slice(value);
            }
        }
        self.out.push(b'}');
    }

    fn name(&mut self, name: &[u8], start: usize) {
        if self.out.len() > start {
            self.out.push(b',');
        }
        write_string(name, &mut self.out);
        self.out.push(b':');
    }

    /// Follows one part, where pointers matter at all; returns the length to go back to.
    fn enter(&mut self, part: &[u8]) -> usize {
        let length = self.pointer.len();
        if !self.extra.is_empty() {
            let part = String::from_utf8_lossy(part).replace('~', "~0").replace('/', "~1");
            self.pointer.push(b'/');
            self.pointer.extend_from_slice(part.as_bytes());
        }
        length
    }

    /// A null, or an array of another type than the field's, is written as null.
    fn value(&mut self, field: &Field, array: &ArrayRef, row: usize) {
        if array.is_null(row) || self.present(field, array, row).is_none() {
            self.out.extend_from_slice(b"null");
        }
    }

    /// `None` before anything was written: the array is of another type.
    fn present(&mut self, field: &Field, array: &ArrayRef, row: usize) -> Option<()> {
        let out = &mut self.out;
        match &field.kind {
            _ if field.is_replaced() => {
                write_string(array.as_string_opt::<i32>()?.value(row).as_bytes(), out);
            }
            Kind::Boolean => {
                let value = array.as_boolean_opt()?.value(row);
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            Kind::Integer(_) => {
                let value = array.as_primitive_opt::<Int64Type>()?.value(row);
                out.extend_from_slice(value.to_string().as_bytes());
            }
            Kind::Number(_) => write_float(array.as_primitive_opt::<Float64Type>()?.value(row), out),
            Kind::String(_) => write_string(array.as_string_opt::<i32>()?.value(row).as_bytes(), out),
            Kind::DateTime(_) => {
                let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
                out.push(b'"');
                write_date_time(micros, out);
                out.push(b'"');
            }
            Kind::Time(Time { unit, .. }) => {
                let micros = array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row);
                Exact::from(micros).scaled(-unit.exponent()).write(out);
            }
            Kind::Date(_) => {
                let days = array.as_primitive_opt::<Date32Type>()?.value(row);
                out.push(b'"');
                write_date(days, out);
                out.push(b'"');
            }
            Kind::Binary(_) => {
                let text = STANDARD.encode(array.as_binary_opt::<i32>()?.value(row));
                write_string(text.as_bytes(), out);
            }
            Kind::Decimal(decimal) => {
                let value = array.as_primitive_opt::<Decimal128Type>()?.value(row);
                write_decimal(decimal, value, out);
            }
            // The decoder has written it as JSON.
            Kind::Json(_) => out.extend_from_slice(array.as_string_opt::<i32>()?.value(row).as_bytes()),
            Kind::Object(object) => {
                let array = array.as_struct_opt()?;
                self.members(struct_fields(object, array), row);
            }
            Kind::Array(kind) => {
                let items = array.as_list_opt::<i32>()?.value(row);
                self.out.push(b'[');
                for index in 0..items.len() {
                    if index > 0 {
                        self.out.push(b',');
                    }
                    let length = self.enter(index.to_string().as_bytes());
                    self.value(&kind.element, &items, index);
                    self.pointer.truncate(length);
                }
                self.out.push(b']');
            }
            Kind::Map(kind) => {
                let entries = array.as_map_opt()?.value(row);
                let keys = entries.column(0).as_string_opt::<i32>()?;
                self.out.push(b'{');
                let start = self.out.len();
                for index in 0..keys.len() {
                    let key = keys.value(index).as_bytes();
                    self.name(key, start);
                    let length = self.enter(key);
                    self.value(&kind.value, entries.column(1), index);
                    self.pointer.truncate(length);
                }
                self.out.push(b'}');
            }
        }
        Some(())
    }
}

fn struct_fields<'f>(
    object: &'f Object,
    array: &'f arrow::array::StructArray,
) -> impl Iterator<Item = (&'f Field, Option<&'f ArrayRef>)> {
    object.fields.iter().map(|field| (field, array.column_by_name(&field.name)))
}

fn write_decimal(decimal: &Decimal, value: i128, out: &mut Vec<u8>) {
    let scale = usize::try_from(decimal.scale).unwrap_or(0);
    // At least one digit stands before the point.
    let digits = format!("{:0width$}", value.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let quote: &[u8] = if decimal.text { b"\"" } else { b"" };
    out.extend_from_slice(quote);
    if value < 0 {
        out.push(b'-');
    }
    out.extend_from_slice(whole.as_bytes());
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
    out.extend_from_slice(quote);
}
