//! A column while it is being filled.
//! Always: `truncate` takes back whatever a refused event has pushed, at any level; what `finish` gives is exactly as
//! long as its rows and holds nothing else, nor does the memory behind it.

use std::{mem, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array,
        ListArray, MapArray, StringArray, StructArray, TimestampMicrosecondArray,
    },
    buffer::{NullBuffer, OffsetBuffer, ScalarBuffer},
    datatypes::DataType,
    error::ArrowError,
};

use super::{
    bits::Bits,
    texts::{Full, Texts},
};

pub(super) struct Column {
    values: Values,
    /// A bit for each null; values that are there push none.
    nulls: Bits,
    data_type: DataType,
}

enum Values {
    Boolean {
        rows: usize,
        trues: Bits,
    },
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Timestamp(Vec<i64>),
    Date(Vec<i32>),
    Decimal(Vec<i128>),
    /// Text or binary.
    Bytes(Texts),
    Struct {
        rows: usize,
        children: Vec<Column>,
    },
    List {
        offsets: Vec<i32>,
        element: Box<Column>,
    },
    Map {
        offsets: Vec<i32>,
        keys: Box<Column>,
        values: Box<Column>,
    },
}

/// The rules of the schema and its columns come from one description; they cannot disagree.
macro_rules! foreign {
    () => {
        unreachable!("a field's column is of the field's kind")
    };
}

impl Column {
    pub fn new(data_type: &DataType) -> Column {
        let values = match data_type {
            DataType::Boolean => Values::Boolean { rows: 0, trues: Bits::default() },
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Timestamp(_, _) => Values::Timestamp(Vec::new()),
            DataType::Date32 => Values::Date(Vec::new()),
            DataType::Decimal128(_, _) => Values::Decimal(Vec::new()),
            DataType::Utf8 | DataType::Binary => Values::Bytes(Texts::default()),
            DataType::Struct(fields) => Values::Struct {
                rows: 0,
                children: fields.iter().map(|field| Column::new(field.data_type())).collect(),
            },
            DataType::List(element) => {
                Values::List { offsets: vec![0], element: Box::new(Column::new(element.data_type())) }
            }
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => Values::Map {
                    offsets: vec![0],
                    keys: Box::new(Column::new(fields[0].data_type())),
                    values: Box::new(Column::new(fields[1].data_type())),
                },
                _ => foreign!(),
            },
            _ => foreign!(),
        };
        Column { values, nulls: Bits::default(), data_type: data_type.clone() }
    }

    #[inline]
    pub fn len(&self) -> usize {
        match &self.values {
            Values::Boolean { rows, .. } | Values::Struct { rows, .. } => *rows,
            Values::Int64(values) | Values::Timestamp(values) => values.len(),
            Values::Float64(values) => values.len(),
            Values::Date(values) => values.len(),
            Values::Decimal(values) => values.len(),
            Values::Bytes(texts) => texts.len(),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => offsets.len() - 1,
        }
    }

    /// Makes room for `rows` more, whose events have `bytes`.
    pub fn reserve(&mut self, rows: usize, bytes: usize) {
        match &mut self.values {
            Values::Boolean { .. } => {}
            Values::Int64(values) | Values::Timestamp(values) => values.reserve(rows),
            Values::Float64(values) => values.reserve(rows),
            Values::Date(values) => values.reserve(rows),
            Values::Decimal(values) => values.reserve(rows),
            Values::Bytes(texts) => texts.reserve(rows, bytes),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => offsets.reserve(rows),
            Values::Struct { children, .. } => {
                children.iter_mut().for_each(|child| child.reserve(rows, bytes));
            }
        }
    }

    pub fn push_boolean(&mut self, value: bool) {
        let Values::Boolean { rows, trues } = &mut self.values else { foreign!() };
        if value {
            trues.set(*rows);
        }
        *rows += 1;
    }

    #[inline(always)]
    pub fn push_int64(&mut self, value: i64) {
        match &mut self.values {
            Values::Int64(values) | Values::Timestamp(values) => values.push(value),
            _ => foreign!(),
        }
    }

    #[inline(always)]
    pub fn push_float64(&mut self, value: f64) {
        let Values::Float64(values) = &mut self.values else { foreign!() };
        values.push(value);
    }

    pub fn push_date(&mut self, days: i32) {
        let Values::Date(values) = &mut self.values else { foreign!() };
        values.push(days);
    }

    pub fn push_decimal(&mut self, value: i128) {
        let Values::Decimal(values) = &mut self.values else { foreign!() };
        values.push(value);
    }

    #[inline]
    pub fn push_bytes(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let Values::Bytes(texts) = &mut self.values else { foreign!() };
        texts.push(bytes)
    }

    /// Pushes the first `length` bytes of `from`.
    #[inline(always)]
    pub fn push_start(&mut self, from: &[u8], length: usize) -> Result<(), Full> {
        let Values::Bytes(texts) = &mut self.values else { foreign!() };
        texts.push_start(from, length)
    }

    /// Pushes the string that `text` begins with, behind its opening quote, if all of it stands for itself; returns its
    /// length.
    #[inline(always)]
    pub fn push_string(&mut self, text: &[u8]) -> Option<usize> {
        let Values::Bytes(texts) = &mut self.values else { foreign!() };
        texts.push_string(text)
    }

    pub fn push_null(&mut self) {
        self.nulls.set(self.len());
        match &mut self.values {
            Values::Boolean { rows, .. } => *rows += 1,
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Date(values) => values.push(0),
            Values::Decimal(values) => values.push(0),
            Values::Bytes(texts) => texts.push_none(),
            Values::List { offsets, .. } | Values::Map { offsets, .. } => {
                offsets.push(offsets.last().copied().unwrap_or(0));
            }
            Values::Struct { rows, children } => {
                *rows += 1;
                children.iter_mut().for_each(Column::push_null);
            }
        }
    }

    /// The columns of a struct; when each has its value, `end_struct`.
    pub fn children(&mut self) -> &mut [Column] {
        let Values::Struct { children, .. } = &mut self.values else { foreign!() };
        children
    }

    pub fn end_struct(&mut self) {
        let Values::Struct { rows, .. } = &mut self.values else { foreign!() };
        *rows += 1;
    }

    /// The column of a list's elements; when all are there, `end_list`.
    pub fn element(&mut self) -> &mut Column {
        let Values::List { element, .. } = &mut self.values else { foreign!() };
        element
    }

    pub fn end_list(&mut self) -> Result<(), Full> {
        let (offsets, end) = match &mut self.values {
            Values::List { offsets, element } => (offsets, element.len()),
            Values::Map { offsets, keys, .. } => (offsets, keys.len()),
            _ => foreign!(),
        };
        offsets.push(i32::try_from(end).map_err(|_| Full)?);
        Ok(())
    }

    /// The columns of a map's keys and values; when all are there, `end_list`.
    pub fn entries(&mut self) -> (&mut Column, &mut Column) {
        let Values::Map { keys, values, .. } = &mut self.values else { foreign!() };
        (keys, values)
    }

    /// Appends the text of the newest row; of one that is null, or neither text nor integer, there is none.
    pub fn last_text(&self, path: &[usize], out: &mut Vec<u8>) -> Option<()> {
        let newest = self.len().checked_sub(1)?;
        if self.nulls.get(newest) {
            return None;
        }
        match (&self.values, path.split_first()) {
            (Values::Struct { children, .. }, Some((&child, rest))) => {
                children.get(child)?.last_text(rest, out)
            }
            (Values::Bytes(texts), None) => {
                out.extend_from_slice(texts.last()?);
                Some(())
            }
            (Values::Int64(values), None) => {
                out.extend_from_slice(values.last()?.to_string().as_bytes());
                Some(())
            }
            _ => None,
        }
    }

    /// Takes back everything behind the first `rows`.
    pub fn truncate(&mut self, rows: usize) {
        let end = |offsets: &mut Vec<i32>| {
            offsets.truncate(rows + 1);
            offsets.last().map_or(0, |&end| end as usize)
        };
        match &mut self.values {
            Values::Boolean { rows: pushed, trues } => {
                *pushed = rows.min(*pushed);
                trues.truncate(rows);
            }
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(rows),
            Values::Float64(values) => values.truncate(rows),
            Values::Date(values) => values.truncate(rows),
            Values::Decimal(values) => values.truncate(rows),
            Values::Bytes(texts) => texts.truncate(rows),
            Values::Struct { rows: pushed, children } => {
                *pushed = rows.min(*pushed);
                children.iter_mut().for_each(|child| child.truncate(rows));
            }
            Values::List { offsets, element } => element.truncate(end(offsets)),
            Values::Map { offsets, keys, values } => {
                let end = end(offsets);
                keys.truncate(end);
                values.truncate(end);
            }
        }
        self.nulls.truncate(rows);
    }

    /// Gives the array and starts anew.
    pub fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish_inverted(self.len()).map(NullBuffer::new);
        let rows = |offsets: &mut Vec<i32>| -> OffsetBuffer<i32> {
            OffsetBuffer::new(ScalarBuffer::from(mem::replace(offsets, vec![0])))
        };
        Ok(match &mut self.values {
            Values::Boolean { rows, trues } => {
                Arc::new(BooleanArray::new(trues.finish(mem::take(rows)), nulls))
            }
            Values::Int64(values) => Arc::new(Int64Array::new(mem::take(values).into(), nulls)),
            Values::Float64(values) => Arc::new(Float64Array::new(mem::take(values).into(), nulls)),
            Values::Timestamp(values) => Arc::new(
                TimestampMicrosecondArray::new(mem::take(values).into(), nulls)
                    .with_data_type(self.data_type.clone()),
            ),
            Values::Date(values) => Arc::new(Date32Array::new(mem::take(values).into(), nulls)),
            Values::Decimal(values) => Arc::new(
                Decimal128Array::new(mem::take(values).into(), nulls).with_data_type(self.data_type.clone()),
            ),
            Values::Bytes(texts) => {
                let (offsets, data) = texts.finish();
                let (offsets, data) = (OffsetBuffer::new(offsets.into()), data.into());
                match self.data_type {
                    DataType::Utf8 => Arc::new(StringArray::try_new(offsets, data, nulls)?),
                    _ => Arc::new(BinaryArray::try_new(offsets, data, nulls)?),
                }
            }
            Values::Struct { rows, children } => {
                *rows = 0;
                let DataType::Struct(fields) = &self.data_type else { foreign!() };
                let children = children.iter_mut().map(Column::finish).collect::<Result<_, _>>()?;
                Arc::new(StructArray::try_new(fields.clone(), children, nulls)?)
            }
            Values::List { offsets, element } => {
                let DataType::List(field) = &self.data_type else { foreign!() };
                Arc::new(ListArray::try_new(Arc::clone(field), rows(offsets), element.finish()?, nulls)?)
            }
            Values::Map { offsets, keys, values } => {
                let DataType::Map(field, sorted) = &self.data_type else { foreign!() };
                let DataType::Struct(fields) = field.data_type() else { foreign!() };
                let none: Option<NullBuffer> = None;
                let entries =
                    StructArray::try_new(fields.clone(), vec![keys.finish()?, values.finish()?], none)?;
                Arc::new(MapArray::try_new(Arc::clone(field), rows(offsets), entries, nulls, *sorted)?)
            }
        })
    }
}
