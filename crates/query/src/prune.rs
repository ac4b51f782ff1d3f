//! Leaves out files, and parts of the hot rows, that cannot hold a row a statement asks for, by what is known of their
//! reserved columns. Always: left out only if the bounds of the values prove it; an unknown bound proves nothing.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, Int32Array, Int64Array, TimestampMicrosecondArray},
    datatypes::SchemaRef,
};
use datafusion::{
    catalog::Session,
    common::{Column, DFSchema, ScalarValue, pruning::PruningStatistics},
    error::Result,
    logical_expr::{Expr, utils::conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
};

use crate::{Range, Ranges, TableKind, known::Of};

/// What of these can hold a row that passes the filters, as places among them. `None`: all of them.
pub(crate) fn prune(
    state: &dyn Session,
    columns: &SchemaRef,
    kind: TableKind,
    ranges: &dyn Fn() -> Vec<Ranges>,
    filters: &[Expr],
) -> Result<Option<Vec<usize>>> {
    // Most statements say nothing of a reserved column, and a list can be long.
    let said =
        |filter: &Expr| filter.column_refs().iter().any(|column| Of::column(kind, &column.name).is_some());
    let filters = filters.iter().filter(|filter| said(filter)).cloned();
    let Some(filter) = conjunction(filters) else { return Ok(None) };
    let schema = DFSchema::try_from(Arc::clone(columns))?;
    let predicate = state.create_physical_expr(filter, &schema)?;
    // A predicate that cannot be turned into one over ranges prunes nothing.
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(columns));
    let Ok(predicate) = builder.try_build(predicate) else { return Ok(None) };
    let ranges = ranges();
    let keep = predicate.prune(&Bounds { kind, ranges: &ranges })?;
    Ok(Some(keep.into_iter().enumerate().filter_map(|(place, keep)| keep.then_some(place)).collect()))
}

struct Bounds<'a> {
    kind: TableKind,
    ranges: &'a [Ranges],
}

impl Bounds<'_> {
    fn column(&self, column: &Column, end: fn(Range) -> i64) -> Option<ArrayRef> {
        let of = Of::column(self.kind, &column.name)?;
        let values = self.ranges.iter().map(|ranges| of.range(ranges).map(end));
        Some(match of {
            Of::Partition => Arc::new(
                values.map(|value| value.and_then(|value| i32::try_from(value).ok())).collect::<Int32Array>(),
            ),
            Of::Offset | Of::Seq => Arc::new(values.collect::<Int64Array>()),
            Of::Time | Of::ReceivedAt => {
                Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
        })
    }
}

impl PruningStatistics for Bounds<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column, |range| range.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column, |range| range.max)
    }

    fn num_containers(&self) -> usize {
        self.ranges.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        None
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
