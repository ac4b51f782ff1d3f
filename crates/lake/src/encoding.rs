//! How each column of a data file is encoded: a dictionary only where it pays, by a sample of what is to be written.
//! Always: decides by sizes alone, never changes a value. Integers and times are otherwise packed as differences of 1 to
//! 64 bits; text and floating point numbers stay plain and are left to the compression.
//!
//! 1. Some runs of consecutive values are taken, spread over the sample: how many distinct ones, how long, how far apart?
//! 2. From the distinct values among those looked at follow those in a row group, taking all to be equally frequent.
//! 3. A dictionary pays if it fits its page, and it and its codes together are smaller than the other way.

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{
        DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type, TimeUnit,
        TimestampMicrosecondType,
    },
};
use parquet::{
    basic::{Encoding, Type},
    file::{metadata::RowGroupMetaData, properties::WriterPropertiesBuilder},
    schema::types::{ColumnPath, SchemaDescriptor},
};

/// Values of a column that are looked at, in runs of this many consecutive ones.
const LOOK_VALUES: usize = 8192;
const RUN_VALUES: usize = 64;
/// The size of a dictionary's page; beyond it the writer would give the dictionary up halfway. Large enough for the digests of
/// some ten thousand persons, whose random digits nothing else makes smaller.
const DICTIONARY_BYTES_MAX: usize = 4 << 20;
/// About what the compression leaves of text, and of a floating point number.
const TEXT_LEFT: f64 = 0.35;
const FLOAT_LEFT: f64 = 0.8;

/// The encoding of one leaf.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    path: ColumnPath,
    dictionary: bool,
    /// `None`: plain, or whatever the writer has for the type.
    encoding: Option<Encoding>,
}

/// For each leaf of `leaves`; `rows` is about how many a row group will have. A dictionary has to bring the column to
/// `win` of its size without one: to look each value up takes its time.
pub(crate) fn choose(leaves: &SchemaDescriptor, sample: &[RecordBatch], rows: u64, win: f64) -> Vec<Choice> {
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); leaves.num_columns()];
    for batch in sample {
        let mut found = Vec::with_capacity(leaves.num_columns());
        batch.columns().iter().for_each(|column| flatten(column, &mut found));
        for (part, leaf) in parts.iter_mut().zip(found) {
            part.push(leaf);
        }
    }
    let sampled: usize = sample.iter().map(RecordBatch::num_rows).sum();
    let grow = if sampled == 0 { 0.0 } else { rows as f64 / sampled as f64 };
    let columns = leaves.columns().iter().zip(&parts);
    columns
        .map(|(leaf, parts)| {
            let values: usize = parts.iter().map(|part| part.len() - part.null_count()).sum();
            let integers = matches!(leaf.physical_type(), Type::INT32 | Type::INT64);
            let looked = Looked::at(parts);
            let dictionary = looked.is_some_and(|looked| looked.pays(values as f64 * grow, integers, win));
            // With a dictionary: what is taken where it is given up after all.
            let encoding = integers.then_some(Encoding::DELTA_BINARY_PACKED);
            Choice { path: leaf.path().clone(), dictionary, encoding }
        })
        .collect()
}

/// As a row group is encoded that others are to follow.
pub(crate) fn like(group: &RowGroupMetaData) -> Vec<Choice> {
    let columns = group.columns().iter();
    columns
        .map(|chunk| {
            let integers = matches!(chunk.column_type(), Type::INT32 | Type::INT64);
            let encoding = integers.then_some(Encoding::DELTA_BINARY_PACKED);
            let dictionary = chunk.dictionary_page_offset().is_some();
            Choice { path: chunk.column_path().clone(), dictionary, encoding }
        })
        .collect()
}

pub(crate) fn apply(choices: &[Choice], mut properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
    properties = properties.set_dictionary_page_size_limit(DICTIONARY_BYTES_MAX);
    for Choice { path, dictionary, encoding } in choices {
        properties = properties.set_column_dictionary_enabled(path.clone(), *dictionary);
        if let Some(encoding) = encoding {
            properties = properties.set_column_encoding(path.clone(), *encoding);
        }
    }
    properties
}

/// The leaves of a column in Parquet's order, each with only the values that belong to the rows.
fn flatten(column: &ArrayRef, leaves: &mut Vec<ArrayRef>) {
    let within = |offsets: &[i32], values: &dyn Array| {
        let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
        values.slice(first as usize, (last - first) as usize)
    };
    match column.data_type() {
        DataType::Struct(_) => {
            column.as_struct().columns().iter().for_each(|column| flatten(column, leaves));
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            flatten(&within(list.offsets(), list.values()), leaves);
        }
        DataType::Map(..) => {
            let map = column.as_map();
            for values in map.entries().columns() {
                flatten(&within(map.offsets(), values), leaves);
            }
        }
        _ => leaves.push(column.clone()),
    }
}

/// What the values that were looked at say.
struct Looked {
    values: f64,
    distinct: f64,
    /// The mean size of one, as a dictionary holds it.
    value_bytes: f64,
    /// About what one takes without a dictionary.
    plain_bytes: f64,
}

impl Looked {
    /// `None`: there are none, or their type has no dictionary.
    fn at(parts: &[ArrayRef]) -> Option<Looked> {
        let of = |bytes: f64, left: f64| move |keys: Vec<Vec<i64>>| Looked::of_fixed(keys, bytes, left);
        match parts.first()?.data_type() {
            DataType::Int32 => {
                of(4.0, 0.0)(keys(parts, |part, at| i64::from(part.as_primitive::<Int32Type>().value(at))))
            }
            DataType::Date32 => {
                of(4.0, 0.0)(keys(parts, |part, at| i64::from(part.as_primitive::<Date32Type>().value(at))))
            }
            DataType::Int64 => {
                of(8.0, 0.0)(keys(parts, |part, at| part.as_primitive::<Int64Type>().value(at)))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => {
                let value = |part: &ArrayRef, at| part.as_primitive::<TimestampMicrosecondType>().value(at);
                of(8.0, 0.0)(keys(parts, value))
            }
            // Of more digits than fit, the low ones tell values apart well enough.
            DataType::Decimal128(..) => {
                of(8.0, 0.0)(keys(parts, |part, at| part.as_primitive::<Decimal128Type>().value(at) as i64))
            }
            DataType::Float32 => {
                let bits =
                    |part: &ArrayRef, at| i64::from(part.as_primitive::<Float32Type>().value(at).to_bits());
                of(4.0, FLOAT_LEFT)(keys(parts, bits))
            }
            DataType::Float64 => {
                let bits = |part: &ArrayRef, at| {
                    part.as_primitive::<Float64Type>().value(at).to_bits().cast_signed()
                };
                of(8.0, FLOAT_LEFT)(keys(parts, bits))
            }
            DataType::Utf8 => {
                Looked::of_bytes(parts, |part, at| part.as_string::<i32>().value(at).as_bytes())
            }
            DataType::Binary => Looked::of_bytes(parts, |part, at| part.as_binary::<i32>().value(at)),
            _ => None,
        }
    }

    /// `left` is what the compression leaves of a plain value; 0: it is packed as differences.
    fn of_fixed(runs: Vec<Vec<i64>>, value_bytes: f64, left: f64) -> Option<Looked> {
        let plain_bytes = if left > 0.0 { value_bytes * left } else { packed_bytes(&runs) };
        let mut all: Vec<i64> = runs.into_iter().flatten().collect();
        let values = all.len();
        all.sort_unstable();
        all.dedup();
        (values > 0).then_some(Looked {
            values: values as f64,
            distinct: all.len() as f64,
            value_bytes,
            plain_bytes,
        })
    }

    fn of_bytes<'a>(
        parts: &'a [ArrayRef],
        value: impl Fn(&'a ArrayRef, usize) -> &'a [u8],
    ) -> Option<Looked> {
        let mut all = Vec::new();
        look(parts, |part, at| all.push(value(part, at)), || ());
        let values = all.len() as f64;
        let bytes: usize = all.iter().map(|value| value.len() + 4).sum();
        all.sort_unstable();
        all.dedup();
        let value_bytes = bytes as f64 / values;
        let (distinct, plain_bytes) = (all.len() as f64, value_bytes * TEXT_LEFT);
        (values > 0.0).then_some(Looked { values, distinct, value_bytes, plain_bytes })
    }

    /// Steps 2 and 3, for a row group with so many values.
    fn pays(&self, values: f64, integers: bool, win: f64) -> bool {
        let all = self.distinct_in_all();
        let distinct = (all * -(-values / all).exp_m1()).max(1.0).min(values);
        let dictionary = distinct * self.value_bytes;
        if dictionary > DICTIONARY_BYTES_MAX as f64 {
            return false;
        }
        let kept = if integers { dictionary } else { dictionary * self.plain_bytes / self.value_bytes };
        let codes = values * distinct.log2().ceil() / 8.0;
        kept + codes < values * self.plain_bytes * win
    }

    /// How many there are, if that many distinct ones were drawn from them: `d = D (1 - e^(-n/D))`, solved for `D`.
    fn distinct_in_all(&self) -> f64 {
        let (mut low, mut high) = (self.distinct, 1e15);
        for _ in 0..80 {
            let middle = (low * high).sqrt();
            let drawn = middle * -(-self.values / middle).exp_m1();
            if drawn < self.distinct { low = middle } else { high = middle }
        }
        low
    }
}

/// Calls `value` with the place of each value that is not null, in runs that are spread evenly; `end` after each run.
fn look<'a>(parts: &'a [ArrayRef], mut value: impl FnMut(&'a ArrayRef, usize), mut end: impl FnMut()) {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let runs = (LOOK_VALUES / RUN_VALUES).min(length.div_ceil(RUN_VALUES)).max(1);
    let step = (length / runs).max(RUN_VALUES);
    let mut start = 0;
    for part in parts {
        // Runs that begin in this part end with it.
        let mut at = start % step;
        at = if at == 0 { 0 } else { step - at };
        while at < part.len() {
            for at in at..part.len().min(at + RUN_VALUES) {
                if part.is_valid(at) {
                    value(part, at);
                }
            }
            end();
            at += step;
        }
        start += part.len();
    }
}

fn keys(parts: &[ArrayRef], value: impl Fn(&ArrayRef, usize) -> i64) -> Vec<Vec<i64>> {
    let mut runs = Vec::new();
    let run = std::cell::RefCell::new(Vec::new());
    look(parts, |part, at| run.borrow_mut().push(value(part, at)), || runs.push(run.take()));
    runs
}

/// What a value takes as a difference to the one before it, less the smallest difference, at the width that the widest
/// of 32 needs.
fn packed_bytes(runs: &[Vec<i64>]) -> f64 {
    let (mut bits, mut values) = (0u64, 0u64);
    for run in runs {
        let differences: Vec<i64> = run.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).collect();
        for few in differences.chunks(32) {
            let least = few.iter().copied().min().unwrap_or(0);
            let widest = few.iter().map(|difference| difference.wrapping_sub(least).cast_unsigned()).max();
            bits += u64::from(64 - widest.unwrap_or(0).leading_zeros()) * few.len() as u64;
            values += few.len() as u64;
        }
    }
    // Beside them a byte for the width of 32 and some for each block of 128.
    if values == 0 { 1.0 } else { bits as f64 / values as f64 / 8.0 + 0.06 }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Float64Array, Int64Array, StringArray},
        datatypes::{Field, Schema},
    };
    use hw_testkit::{Random, seed_from_env};
    use parquet::arrow::ArrowSchemaConverter;

    use super::*;

    fn decide(column: ArrayRef, rows: u64) -> (bool, Option<Encoding>) {
        let schema = Schema::new(vec![Field::new("a", column.data_type().clone(), true)]);
        let leaves = ArrowSchemaConverter::new().convert(&schema).unwrap();
        let batch = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
        // In pieces, as it comes.
        let pieces: Vec<_> = (0..batch.num_rows().div_ceil(1000))
            .map(|at| batch.slice(at * 1000, (batch.num_rows() - at * 1000).min(1000)))
            .collect();
        let choice = choose(&leaves, &pieces, rows, 0.9).remove(0);
        (choice.dictionary, choice.encoding)
    }

    #[test]
    fn a_dictionary_is_taken_where_it_pays() {
        let mut random = Random::new(seed_from_env(1));
        let delta = Some(Encoding::DELTA_BINARY_PACKED);
        let mut integers = |below: u64, spread: i64| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values((0..30_000).map(|_| random.below(below) as i64 * spread)))
        };
        // Few values far apart; few values close to one another; nearly all different.
        assert_eq!(decide(integers(50, 1 << 40), 300_000), (true, delta));
        assert_eq!(decide(integers(20_000, 1), 300_000), (false, delta));
        assert_eq!(decide(integers(10_000_000, 1), 300_000), (false, delta));
        let ordered: ArrayRef = Arc::new(Int64Array::from_iter_values(0..30_000));
        assert_eq!(decide(ordered, 300_000), (false, delta));

        let mut text = |below: u64| -> ArrayRef {
            let value = |_| Some(format!("https://www.example.org/{:x}", random.below(below)));
            Arc::new((0..30_000).map(value).collect::<StringArray>())
        };
        assert_eq!(decide(text(600), 300_000), (true, None));
        assert_eq!(decide(text(1 << 40), 300_000), (false, None));
        // Some values come again, but the dictionary would not fit.
        assert_eq!(decide(text(400_000), 4_000_000), (false, None));

        let mut float = |below: u64| -> ArrayRef {
            let value = |_| random.below(below) as f64 / 100.0 - 200.0;
            Arc::new(Float64Array::from_iter_values((0..30_000).map(value)))
        };
        assert_eq!(decide(float(100_000), 1_000_000), (true, None));
        assert_eq!(decide(float(100_000), 30_000), (false, None), "too few rows for so many values");
        assert_eq!(decide(float(1 << 40), 1_000_000), (false, None));
    }

    #[test]
    fn nothing_to_look_at_is_no_dictionary() {
        for rows in [0usize, 1, 5] {
            let column: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>; rows]));
            assert_eq!(decide(column, 100), (false, None));
        }
    }
}
