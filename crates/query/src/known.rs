//! What is known of a table's reserved columns without reading, as the engine's statistics.
//! Always: nothing is said of a column that the statement does not read, and nothing exact that is not: bounds of times are
//! rounded outwards, and another writer's bounds are only bounds.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{ScalarValue, Statistics, stats::Precision};

use crate::{HotPart, Listed, Range, Ranges, TableKind};

/// Where the reserved columns stand that a scan reads. A user's field may be called `offset` too: only a table's own
/// reserved names count.
pub(crate) struct Known(Vec<(usize, Of)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    Partition,
    Offset,
    Seq,
    Time,
    ReceivedAt,
}

impl Of {
    pub(crate) fn column(kind: TableKind, name: &str) -> Option<Of> {
        use TableKind::{Ledger, Rejects, Stream};
        Some(match (kind, name) {
            (Stream, "_partition") | (Rejects, "partition") => Of::Partition,
            (Stream, "_offset") | (Rejects, "offset") => Of::Offset,
            (Stream | Ledger, "_seq") | (Rejects, "seq") => Of::Seq,
            (Stream, "_time") | (Rejects, "received_at") | (Ledger, "minute") => Of::Time,
            (Stream, "_received_at") => Of::ReceivedAt,
            _ => return None,
        })
    }

    pub(crate) fn range(self, ranges: &Ranges) -> Option<Range> {
        match self {
            Of::Partition => ranges.partition,
            Of::Offset => ranges.offset,
            Of::Seq => ranges.seq,
            Of::Time => ranges.time,
            Of::ReceivedAt => ranges.received_at,
        }
    }

    /// `None`: no value of the column's type.
    pub(crate) fn value(self, value: i64) -> Option<ScalarValue> {
        Some(match self {
            Of::Partition => ScalarValue::Int32(Some(i32::try_from(value).ok()?)),
            Of::Offset | Of::Seq => ScalarValue::Int64(Some(value)),
            Of::Time | Of::ReceivedAt => ScalarValue::TimestampMicrosecond(Some(value), Some("UTC".into())),
        })
    }
}

impl Of {
    /// Bounds of times are those of whole milliseconds.
    fn is_exact(self) -> bool {
        !matches!(self, Of::Time | Of::ReceivedAt)
    }
}

type As = fn(ScalarValue) -> Precision<ScalarValue>;

impl Known {
    /// `projection`: of these columns, or all.
    pub(crate) fn of(kind: TableKind, columns: &SchemaRef, projection: Option<&Vec<usize>>) -> Known {
        let read = |index: &usize| projection.is_none_or(|projection| projection.contains(index));
        let fields = columns.fields().iter().enumerate().filter(|(index, _)| read(index));
        Known(fields.filter_map(|(index, field)| Some((index, Of::column(kind, field.name())?))).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `statistics` are of all the table's columns.
    pub(crate) fn tell(&self, statistics: &mut Statistics, ranges: &Ranges, precision: As) {
        for (index, of) in &self.0 {
            if let Some(range) = of.range(ranges) {
                tell(statistics, *index, *of, range, precision);
            }
        }
    }
}

fn tell(statistics: &mut Statistics, index: usize, of: Of, range: Range, precision: As) {
    if let (Some(column), Some(min), Some(max)) =
        (statistics.column_statistics.get_mut(index), of.value(range.min), of.value(range.max))
    {
        column.min_value = precision(min);
        column.max_value = precision(max);
    }
}

/// Of all files together: exact, if each has its bounds and we wrote it.
pub(crate) fn tell_all(known: &Known, statistics: &mut Statistics, files: &[Arc<Listed>]) {
    let ours = files.iter().all(|file| file.crc32c.is_some());
    for (index, of) in &known.0 {
        if let Some(range) = around(files.iter().map(|file| of.range(&file.ranges()))) {
            let exact = ours && of.is_exact();
            tell(statistics, *index, *of, range, if exact { Precision::Exact } else { Precision::Inexact });
        }
    }
}

/// Of these parts of the hot rows: a block's runs begin and end with a row.
pub(crate) fn tell_hot(known: &Known, statistics: &mut Statistics, parts: &[HotPart]) {
    for (index, of) in &known.0 {
        if let Some(range) = around(parts.iter().map(|part| of.range(&part.ranges))) {
            let precision = if of.is_exact() { Precision::Exact } else { Precision::Inexact };
            tell(statistics, *index, *of, range, precision);
        }
    }
}

/// `None`: one of them is not known, or there is none.
fn around(mut ranges: impl Iterator<Item = Option<Range>>) -> Option<Range> {
    let first = ranges.next()??;
    ranges.try_fold(first, |all, range| {
        let range = range?;
        Some(Range { min: all.min.min(range.min), max: all.max.max(range.max) })
    })
}
