//! Leaves out files that cannot hold a row a statement asks for, by what the lake knows of the reserved columns.
//! Always: a file is left out only if its smallest and largest values prove it; an unknown value proves nothing.

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

use crate::{CutFile, Range, TableKind};

pub(crate) fn prune<'a>(
    state: &dyn Session,
    columns: &SchemaRef,
    kind: TableKind,
    files: &'a [CutFile],
    filters: &[Expr],
) -> Result<Vec<&'a CutFile>> {
    let all = || files.iter().collect();
    let Some(filter) = conjunction(filters.iter().cloned()) else { return Ok(all()) };
    let schema = DFSchema::try_from(Arc::clone(columns))?;
    let predicate = state.create_physical_expr(filter, &schema)?;
    // A predicate that cannot be turned into one over ranges prunes nothing.
    let builder = PruningPredicateBuilder::new().with_file_schema(Arc::clone(columns));
    let Ok(predicate) = builder.try_build(predicate) else { return Ok(all()) };
    let keep = predicate.prune(&FileRanges { kind, files })?;
    Ok(files.iter().zip(keep).filter_map(|(file, keep)| keep.then_some(file)).collect())
}

struct FileRanges<'a> {
    kind: TableKind,
    files: &'a [CutFile],
}

impl FileRanges<'_> {
    fn column(&self, column: &Column, end: fn(Range) -> i64) -> Option<ArrayRef> {
        use TableKind::{Ledger, Rejects, Stream};
        let files = self.files.iter();
        // A user's field may be called `offset` too: only a table's own reserved names are looked up.
        Some(match (self.kind, column.name.as_str()) {
            (Stream, "_partition") | (Rejects, "partition") => {
                let value = |range| i32::try_from(end(range)).ok();
                Arc::new(files.map(|file| file.partition.and_then(value)).collect::<Int32Array>())
            }
            (Stream, "_offset") | (Rejects, "offset") => {
                Arc::new(files.map(|file| file.offset.map(end)).collect::<Int64Array>())
            }
            (Stream | Ledger, "_seq") | (Rejects, "seq") => {
                Arc::new(files.map(|file| file.seq.map(end)).collect::<Int64Array>())
            }
            (Stream, "_time") => Arc::new(
                files
                    .map(|file| file.time.map(end))
                    .collect::<TimestampMicrosecondArray>()
                    .with_timezone("UTC"),
            ),
            _ => return None,
        })
    }
}

impl PruningStatistics for FileRanges<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column, |range| range.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.column(column, |range| range.max)
    }

    fn num_containers(&self) -> usize {
        self.files.len()
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
