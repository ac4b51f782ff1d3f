//! How large the result of a call can get, from its arguments, before it is made.
//! Always: an upper bound, or close to it; only functions whose result can be many times their arguments are listed.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Int64Array},
    compute::{cast, kernels::length::length},
    datatypes::{DataType, IntervalMonthDayNanoType, TimeUnit},
};
use datafusion::{error::Result, logical_expr::ColumnarValue};

/// Bytes of one value of a list that has no bytes of its own to go by.
const ELEMENT_BYTES: u64 = 16;
/// A character in UTF-8.
const CHARACTER_BYTES: u64 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// All arguments one after the other, each repeated for each row.
    Sum,
    /// As `Sum`, twice: hexadecimal.
    Double,
    /// The first, as often as the second says.
    Times,
    /// A text of as many characters as the second says.
    Pad,
    /// A list of as many elements as the second says.
    Resize,
    /// The numbers from the first to the second.
    Series,
    /// Of the first, each second becomes a third.
    Replace,
    /// Of the first, each place between two characters may become a third, with parts of the first in it.
    ReplacePattern,
    /// The elements of the first with the second between them.
    Join,
    /// The second says how each value is written.
    Format,
    /// No memory, but the product of both texts in time.
    Product,
}

pub(super) fn growth_of(function: &str) -> Option<Growth> {
    Some(match function {
        "repeat" | "array_repeat" => Growth::Times,
        "lpad" | "rpad" => Growth::Pad,
        "array_resize" => Growth::Resize,
        "generate_series" | "range" => Growth::Series,
        "replace" => Growth::Replace,
        "regexp_replace" => Growth::ReplacePattern,
        "array_to_string" => Growth::Join,
        "to_char" => Growth::Format,
        "levenshtein" => Growth::Product,
        "encode" => Growth::Double,
        "concat" | "concat_ws" | "overlay" | "||" | "make_array" | "array_append" | "array_prepend"
        | "array_concat" | "array_replace" | "array_replace_n" | "array_replace_all" | "array_union"
        | "map" | "string_to_array" | "arrays_zip" => Growth::Sum,
        _ => return None,
    })
}

impl Growth {
    /// Bytes of the result over all rows.
    pub(super) fn bytes(self, args: &[ColumnarValue], rows: usize) -> Result<u64> {
        let args = args.iter().map(Argument::new).collect::<Result<Vec<_>>>()?;
        let none = Argument::none();
        let arg = |index: usize| args.get(index).unwrap_or(&none);
        let per_row = |of: &dyn Fn(usize) -> u64| (0..rows).map(of).fold(0, u64::saturating_add);
        Ok(match self {
            Growth::Sum => args.iter().map(|arg| arg.bytes_of_all(rows)).fold(0, u64::saturating_add),
            Growth::Double => arg(0).bytes_of_all(rows).saturating_mul(2),
            // array_repeat has the element first, repeat the text: both repeat argument 0 by argument 1.
            Growth::Times => per_row(&|row| arg(0).bytes(row).max(1).saturating_mul(arg(1).number(row))),
            Growth::Pad => per_row(&|row| arg(1).number(row).saturating_mul(CHARACTER_BYTES)),
            Growth::Resize => {
                let element = arg(2).bytes_each(rows).max(arg(0).bytes_each(rows)).max(ELEMENT_BYTES);
                per_row(&|row| arg(1).number(row).saturating_mul(element))
            }
            Growth::Series => per_row(&|row| series(&args, row).saturating_mul(ELEMENT_BYTES)),
            Growth::Replace => per_row(&|row| {
                let found = arg(0).bytes(row) / arg(1).bytes(row).max(1) + 1;
                arg(0).bytes(row).saturating_add(found.saturating_mul(arg(2).bytes(row)))
            }),
            Growth::ReplacePattern => per_row(&|row| {
                // `$0` in the replacement stands for what was found: counted as if each character of it did.
                let text = arg(0).bytes(row);
                let found = text + 1;
                let references = arg(2).dollars(row).saturating_mul(text);
                text.saturating_add(found.saturating_mul(arg(2).bytes(row))).saturating_add(references)
            }),
            Growth::Join => {
                let separators = per_row(&|row| arg(0).elements(row).saturating_mul(arg(1).bytes(row)));
                // Elements that are no text are written out: 8 bytes of a number can become 24 characters.
                arg(0).bytes_of_all(rows).saturating_mul(4).saturating_add(separators)
            }
            // `%c` writes 24 characters.
            Growth::Format => per_row(&|row| arg(1).bytes(row).saturating_mul(12)),
            Growth::Product => per_row(&|row| arg(0).bytes(row).saturating_mul(arg(1).bytes(row))) / 16,
        })
    }
}

/// Elements from the first argument to the second in steps of the third; of one argument, from 0. Numbers, days and
/// times alike, those in microseconds.
fn series(args: &[Argument], row: usize) -> u64 {
    let at = |index: usize| args.get(index).and_then(|arg| arg.integer(row));
    let (start, stop) = match args.len() {
        0 => return 0,
        1 => (Some(0), at(0)),
        _ => (at(0), at(1)),
    };
    let (Some(start), Some(stop)) = (start, stop) else { return 0 };
    let step = args.get(2).map_or(1.0, |arg| arg.step(row));
    // Rounding does not matter at a bound; beyond u64 the conversion saturates.
    (stop.abs_diff(start) as f64 / step) as u64 + 1
}

/// What is asked of an argument; a constant is the same in each row.
struct Argument {
    array: Option<ArrayRef>,
    constant: bool,
    /// Bytes of a text, elements of a list.
    lengths: Option<Int64Array>,
    integers: Option<Int64Array>,
}

impl Argument {
    fn none() -> Argument {
        Argument { array: None, constant: true, lengths: None, integers: None }
    }

    fn new(value: &ColumnarValue) -> Result<Argument> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(value) => (value.to_array()?, true),
        };
        let numbers = |array: &dyn Array| -> Result<Option<Int64Array>> {
            let numbers = cast(array, &DataType::Int64)?;
            Ok(numbers.as_any().downcast_ref::<Int64Array>().cloned())
        };
        let lengths = match array.data_type() {
            DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::List(_)
            | DataType::LargeList(_)
            | DataType::FixedSizeList(..) => numbers(&length(&array)?)?,
            _ => None,
        };
        let integers = match array.data_type() {
            data_type if data_type.is_integer() => numbers(&array)?,
            DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => {
                numbers(&cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, None))?)?
            }
            _ => None,
        };
        Ok(Argument { array: Some(array), constant, lengths, integers })
    }

    fn at(&self, values: Option<&Int64Array>, row: usize) -> Option<i64> {
        let values = values?;
        let row = if self.constant { 0 } else { row };
        (row < values.len() && values.is_valid(row)).then(|| values.value(row))
    }

    fn integer(&self, row: usize) -> Option<i64> {
        self.at(self.integers.as_ref(), row)
    }

    /// How far one element of a series is from the next.
    fn step(&self, row: usize) -> f64 {
        if let Some(step) = self.integer(row) {
            return (step.unsigned_abs() as f64).max(1.0);
        }
        let row = if self.constant { 0 } else { row };
        let interval =
            self.array.as_ref().and_then(|array| array.as_primitive_opt::<IntervalMonthDayNanoType>());
        match interval.filter(|interval| row < interval.len() && interval.is_valid(row)) {
            Some(interval) => {
                let interval = interval.value(row);
                let days = f64::from(interval.months) * 28.0 + f64::from(interval.days);
                let micros = days * 86_400e6 + interval.nanoseconds as f64 / 1e3;
                micros.abs().max(1e-3)
            }
            // The smallest step there is: what is not known is not small.
            None => 1e-3,
        }
    }

    /// Zero if it is none, NULL or negative.
    fn number(&self, row: usize) -> u64 {
        self.integer(row).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
    }

    fn is_list(&self) -> bool {
        self.array.as_ref().is_some_and(|array| array.data_type().is_list())
    }

    fn elements(&self, row: usize) -> u64 {
        self.at(self.lengths.as_ref(), row).and_then(|value| u64::try_from(value).ok()).unwrap_or(0)
    }

    /// Of a text exactly; of anything else what a row takes on average.
    fn bytes(&self, row: usize) -> u64 {
        if self.lengths.is_some() && !self.is_list() { self.elements(row) } else { self.bytes_each(1) }
    }

    fn bytes_each(&self, rows: usize) -> u64 {
        let rows = if self.constant { 1 } else { rows.max(1) as u64 };
        self.bytes_in_memory() / rows
    }

    fn bytes_of_all(&self, rows: usize) -> u64 {
        if self.constant {
            self.bytes_in_memory().saturating_mul(rows as u64)
        } else {
            self.bytes_in_memory()
        }
    }

    /// Only the part that this slice of it uses.
    fn bytes_in_memory(&self) -> u64 {
        let Some(array) = &self.array else { return 0 };
        if let (Some(lengths), false) = (&self.lengths, self.is_list()) {
            let texts: u64 = lengths.iter().flatten().map(i64::unsigned_abs).fold(0, u64::saturating_add);
            return texts + array.len() as u64;
        }
        // Of a view inside a container the slice's size counts only the pointers: there the whole buffers count.
        let bytes = match has_views(array.data_type()) {
            false => {
                array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size())
            }
            true => array.get_array_memory_size(),
        };
        bytes as u64
    }

    fn dollars(&self, row: usize) -> u64 {
        let Some(array) = &self.array else { return 0 };
        let row = if self.constant { 0 } else { row };
        let count = |text: &str| text.bytes().filter(|byte| matches!(byte, b'$' | b'\\')).count() as u64;
        match array.data_type() {
            _ if row >= array.len() || array.is_null(row) => 0,
            DataType::Utf8 => count(array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => count(array.as_string::<i64>().value(row)),
            DataType::Utf8View => count(array.as_string_view().value(row)),
            _ => 0,
        }
    }
}

fn has_views(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8View | DataType::BinaryView => true,
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => has_views(item.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| has_views(field.data_type())),
        DataType::Dictionary(_, values) => has_views(values),
        _ => false,
    }
}
