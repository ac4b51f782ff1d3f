//! Statistics of a data file, in the JSON of a Delta `add` action and back.
//! Always: of protected columns there is nothing, neither bounds nor counts; a bound encloses every value, so
//! a time is rounded outwards to milliseconds, the precision that Delta's readers agree on.
//! Only integers, dates and times get bounds: text is cut and floats have NaN, and neither prunes well.

use std::collections::HashSet;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::{kernels::cast_utils::string_to_timestamp_nanos, max, min},
    datatypes::{DataType, Date32Type, Int32Type, Int64Type, SchemaRef, TimeUnit, TimestampMicrosecondType},
    temporal_conversions::{date32_to_datetime, timestamp_us_to_datetime},
};
use parquet::file::{
    metadata::{ColumnChunkMetaData, RowGroupMetaData},
    statistics::Statistics,
};
use serde_json::{Map, Value, json};

use crate::table::{Bounds, FileStats, PlaceColumns};

/// Of a stream's table; the system tables have none of this name.
const RECEIVED_AT: &str = "_received_at";
/// Of the user's columns only the first ones get statistics, as Delta's writers have it; the reserved ones do.
const USER_COLUMNS_MAX: usize = 32;

/// Gathers while batches are written.
pub(crate) struct Gather {
    columns: Vec<Column>,
    rows: u64,
}

struct Column {
    index: usize,
    name: String,
    kind: Kind,
    nulls: u64,
    bounds: Option<Bounds>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Int32,
    Int64,
    Date,
    Time,
    /// Only its nulls are counted.
    Other,
}

impl Column {
    fn widen(&mut self, found: Option<Bounds>) {
        self.bounds = match (self.bounds, found) {
            (Some(a), Some(b)) => Some(Bounds { min: a.min.min(b.min), max: a.max.max(b.max) }),
            (bounds, found) => bounds.or(found),
        };
    }
}

impl Gather {
    pub(crate) fn new(columns: &SchemaRef, without: &HashSet<String>) -> Gather {
        let mut user_columns = 0;
        let columns = columns.fields().iter().enumerate().filter_map(|(index, field)| {
            let kind = match field.data_type() {
                DataType::Int32 => Kind::Int32,
                DataType::Int64 => Kind::Int64,
                DataType::Date32 => Kind::Date,
                DataType::Timestamp(TimeUnit::Microsecond, _) => Kind::Time,
                data_type if data_type.is_nested() => return None,
                _ => Kind::Other,
            };
            if without.contains(field.name()) {
                return None;
            }
            if !field.name().starts_with('_') {
                user_columns += 1;
                if user_columns > USER_COLUMNS_MAX {
                    return None;
                }
            }
            Some(Column { index, name: field.name().clone(), kind, nulls: 0, bounds: None })
        });
        Gather { columns: columns.collect(), rows: 0 }
    }

    pub(crate) fn add(&mut self, batch: &RecordBatch) {
        self.rows += batch.num_rows() as u64;
        for column in &mut self.columns {
            let array = batch.column(column.index);
            column.nulls += array.null_count() as u64;
            let found = match column.kind {
                Kind::Int32 => bounds_of(array.as_primitive::<Int32Type>(), i64::from),
                Kind::Int64 => bounds_of(array.as_primitive::<Int64Type>(), |value| value),
                Kind::Date => bounds_of(array.as_primitive::<Date32Type>(), i64::from),
                Kind::Time => bounds_of(array.as_primitive::<TimestampMicrosecondType>(), |value| value),
                Kind::Other => None,
            };
            column.widen(found);
        }
    }

    /// The same from what a row group says of itself; `None`: it leaves something out.
    fn look(&self, group: &RowGroupMetaData) -> Option<Vec<(u64, Option<Bounds>)>> {
        let found = self.columns.iter().map(|column| {
            let is_it = |chunk: &&ColumnChunkMetaData| matches!(chunk.column_path().parts(), [name] if *name == column.name);
            let statistics = group.columns().iter().find(is_it)?.statistics()?;
            let bounds = match (column.kind, statistics) {
                (Kind::Int32 | Kind::Date, Statistics::Int32(values)) => {
                    values.min_opt().zip(values.max_opt()).map(|(min, max)| (i64::from(*min), i64::from(*max)))
                }
                (Kind::Int64 | Kind::Time, Statistics::Int64(values)) => {
                    values.min_opt().zip(values.max_opt()).map(|(min, max)| (*min, *max))
                }
                (Kind::Other, _) => None,
                _ => return None,
            };
            let nulls = statistics.null_count_opt()?;
            let complete = column.kind == Kind::Other || bounds.is_some() || nulls == group.num_rows() as u64;
            complete.then_some((nulls, bounds.map(|(min, max)| Bounds { min, max })))
        });
        found.collect()
    }

    /// Does a row group say of itself all that is gathered here?
    pub(crate) fn knows(&self, group: &RowGroupMetaData) -> bool {
        self.look(group).is_some()
    }

    /// Adds one that this [`Gather::knows`].
    pub(crate) fn add_group(&mut self, group: &RowGroupMetaData) {
        let Some(found) = self.look(group) else { return };
        self.rows += group.num_rows() as u64;
        for (column, (nulls, bounds)) in self.columns.iter_mut().zip(found) {
            column.nulls += nulls;
            column.widen(bounds);
        }
    }

    pub(crate) fn to_json(&self) -> String {
        let (mut minima, mut maxima, mut nulls) = (Map::new(), Map::new(), Map::new());
        for column in &self.columns {
            nulls.insert(column.name.clone(), column.nulls.into());
            let Some(bounds) = column.bounds else { continue };
            let Some((min, max)) = column.kind.to_json(bounds) else { continue };
            minima.insert(column.name.clone(), min);
            maxima.insert(column.name.clone(), max);
        }
        json!({"numRecords": self.rows, "minValues": minima, "maxValues": maxima, "nullCount": nulls})
            .to_string()
    }
}

fn bounds_of<T: arrow::array::ArrowNumericType>(
    array: &arrow::array::PrimitiveArray<T>,
    widen: impl Fn(T::Native) -> i64,
) -> Option<Bounds> {
    Some(Bounds { min: widen(min(array)?), max: widen(max(array)?) })
}

impl Kind {
    /// `None` where a bound has no form in the years that every reader knows.
    fn to_json(self, bounds: Bounds) -> Option<(Value, Value)> {
        match self {
            Kind::Int32 | Kind::Int64 => Some((bounds.min.into(), bounds.max.into())),
            Kind::Date => {
                let text = |days| {
                    let date = date32_to_datetime(i32::try_from(days).ok()?)?;
                    four_digit_year(date.format("%Y-%m-%d").to_string())
                };
                Some((text(bounds.min)?.into(), text(bounds.max)?.into()))
            }
            Kind::Time => {
                let bounds = outwards(bounds)?;
                let text = |micros| {
                    let time = timestamp_us_to_datetime(micros)?;
                    four_digit_year(time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
                };
                Some((text(bounds.min)?.into(), text(bounds.max)?.into()))
            }
            Kind::Other => None,
        }
    }
}

fn four_digit_year(text: String) -> Option<String> {
    let year = text.split('-').next()?;
    (year.len() == 4).then_some(text)
}

/// To whole milliseconds, the lower one down and the upper one up.
fn outwards(bounds: Bounds) -> Option<Bounds> {
    let min = bounds.min.checked_sub(bounds.min.rem_euclid(1000))?;
    let max = bounds.max.checked_add(999)?;
    Some(Bounds { min, max: max - max.rem_euclid(1000) })
}

/// The number of rows, and the bounds that our own readers use, from an `add` action's statistics.
pub(crate) fn parse(stats: &str, columns: PlaceColumns) -> Option<(u64, FileStats)> {
    let stats: Value = serde_json::from_str(stats).ok()?;
    let rows = stats.get("numRecords")?.as_u64()?;
    let bounds = |name: &str| {
        let (min, max) = (stats.get("minValues")?.get(name)?, stats.get("maxValues")?.get(name)?);
        Some(Bounds { min: number(min)?, max: number(max)? })
    };
    let stats = FileStats {
        partition: bounds(columns.partition),
        offset: bounds(columns.offset),
        seq: bounds(columns.seq),
        time: bounds(columns.time),
        received_at: bounds(RECEIVED_AT),
    };
    Some((rows, stats))
}

/// An integer, or a time as microseconds.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => string_to_timestamp_nanos(text).ok().map(|nanos| nanos.div_euclid(1000)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Int64Array, StringArray, TimestampMicrosecondArray},
        datatypes::{Field, Schema},
    };
    use hw_event::StreamId;

    use super::*;
    use crate::Table;

    fn batch() -> RecordBatch {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let schema = Schema::new(vec![
            Field::new("secret", DataType::Int64, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("_offset", DataType::Int64, true),
            Field::new("_time", time.clone(), true),
            Field::new("_received_at", time, true),
        ]);
        let times = vec![Some(-1_500), Some(1_700_000_000_123_456), None];
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from(vec![424242, 2, 3])),
                Arc::new(StringArray::from(vec![Some("a"), None, None])),
                Arc::new(Int64Array::from(vec![9, 7, 8])),
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
                Arc::new(TimestampMicrosecondArray::from(vec![5_000, 7_001, 6_000]).with_timezone("UTC")),
            ],
        )
        .unwrap()
    }

    #[test]
    fn bounds_enclose_and_protected_columns_are_absent() {
        let batch = batch();
        let mut gather = Gather::new(batch.schema_ref(), &HashSet::from(["secret".to_owned()]));
        gather.add(&batch);
        let json: Value = serde_json::from_str(&gather.to_json()).unwrap();
        let expected = json!({
            "numRecords": 3,
            "minValues": {"_offset": 7, "_time": "1969-12-31T23:59:59.998Z", "_received_at": "1970-01-01T00:00:00.005Z"},
            "maxValues": {"_offset": 9, "_time": "2023-11-14T22:13:20.124Z", "_received_at": "1970-01-01T00:00:00.008Z"},
            "nullCount": {"name": 2, "_offset": 0, "_time": 1, "_received_at": 0},
        });
        assert_eq!(json, expected);

        let (rows, stats) = parse(&json.to_string(), Table::Stream(StreamId(1)).place_columns()).unwrap();
        assert_eq!(rows, 3);
        assert_eq!(stats.offset, Some(Bounds { min: 7, max: 9 }));
        assert_eq!(stats.time, Some(Bounds { min: -2_000, max: 1_700_000_000_124_000 }));
        assert_eq!(stats.seq, None);
        assert_eq!(stats.received_at, Some(Bounds { min: 5_000, max: 8_000 }));
    }

    #[test]
    fn a_time_beyond_four_digit_years_has_no_bounds() {
        for value in [i64::MAX, i64::MIN, 300_000_000_000_000_000] {
            assert_eq!(Kind::Time.to_json(Bounds { min: value, max: value }), None, "{value}");
        }
    }
}
