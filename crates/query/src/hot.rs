//! Scans the rows of a table that are durable in the journal and not yet in the lake.
//! Always: pulled a few batches at a time, only when the plan runs, off the threads that compute. Columns are matched by
//! name; the ones a batch lacks are NULL. Does not decode anything: that is the source's work.
//!
//! Small batches are put together: a producer that waits for each of its requests makes a block of one row each time, and
//! what an operator does once a batch would be most of its work.

use std::{collections::VecDeque, fmt, sync::Arc};

use arrow::{
    array::{Array, RecordBatch, RecordBatchOptions, new_null_array},
    compute::{CastOptions, concat_batches},
    datatypes::SchemaRef,
};
use datafusion::{
    common::{
        Statistics, internal_err, nested_struct::cast_column, stats::Precision, tree_node::TreeNodeRecursion,
    },
    error::{DataFusionError, Result},
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{EquivalenceProperties, PhysicalExpr},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
        coop::make_cooperative,
        execution_plan::{Boundedness, EmissionType, SchedulingType},
        statistics::StatisticsArgs,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::stream;

use crate::{
    HotBatches, HotPart, HotScan, HotSource,
    known::{Known, tell_hot},
};

/// A batch with less than this part of the rows that one may hold, and less than so many bytes, is put together with others …
const SMALL_PART: usize = 4;
const SMALL_BYTES: usize = 256 * 1024;
/// … until they have half of the rows, or so many bytes.
const TOGETHER_BYTES: usize = 2 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct HotExec {
    source: Arc<dyn HotSource>,
    scan: HotScan,
    /// What it yields: the table's columns after the projection.
    columns: SchemaRef,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
}

impl HotExec {
    /// `stored`: the table's columns as the source has them; `table`: as the statement computes with them. `left`: of the
    /// source's parts, those that can hold a row that is asked for.
    pub(crate) fn new(
        source: Arc<dyn HotSource>,
        stored: &SchemaRef,
        table: &SchemaRef,
        projection: Option<&Vec<usize>>,
        parts: &[HotPart],
        left: Option<Vec<usize>>,
        known: &Known,
    ) -> Result<HotExec> {
        let projected = |columns: &SchemaRef| match projection {
            Some(indices) => columns.project(indices).map(Arc::new),
            None => Ok(Arc::clone(columns)),
        };
        let columns = projected(table)?;
        let mut statistics = Statistics::new_unknown(table);
        statistics.num_rows = match &left {
            None => Precision::Exact(source.rows()),
            Some(left) => {
                let rows: u64 = left.iter().filter_map(|part| parts.get(*part)).map(|part| part.rows).sum();
                usize::try_from(rows).map_or(Precision::Absent, Precision::Inexact)
            }
        };
        if left.is_none() {
            tell_hot(known, &mut statistics, parts);
        }
        let statistics = Arc::new(statistics.project(projection));
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&columns)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let scan = HotScan { columns: projected(stored)?, parts: left };
        Ok(HotExec { source, scan, columns, statistics, properties: Arc::new(properties) })
    }
}

impl DisplayAs for HotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotExec: rows={}", self.source.rows())?;
        match &self.scan.parts {
            Some(parts) => write!(f, ", parts={}", parts.len()),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for HotExec {
    fn name(&self) -> &str {
        "HotExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("the hot rows are one partition, not {partition}");
        }
        let pull = Pull {
            source: Arc::clone(&self.source),
            batches: None,
            ready: VecDeque::new(),
            scan: self.scan.clone(),
            columns: Arc::clone(&self.columns),
            begun: false,
            rows_max: context.session_config().batch_size().max(1),
        };
        let batches = stream::try_unfold(pull, |pull| async move {
            // A thread is held for one pull at a time: a scan that waits for its reader holds none.
            tokio::task::spawn_blocking(move || pull.next())
                .await
                .map_err(|fault| DataFusionError::ExecutionJoin(Box::new(fault)))?
        });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.columns), batches))))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::clone(&self.statistics))
    }
}

/// A scan under way.
struct Pull {
    source: Arc<dyn HotSource>,
    batches: Option<HotBatches>,
    /// Parts of the last batch that are still to be handed out.
    ready: VecDeque<RecordBatch>,
    scan: HotScan,
    columns: SchemaRef,
    begun: bool,
    rows_max: usize,
}

impl Pull {
    fn next(mut self) -> Result<Option<(RecordBatch, Pull)>> {
        if let Some(batch) = self.ready.pop_front() {
            return Ok(Some((batch, self)));
        }
        let (mut small, mut rows, mut bytes) = (Vec::new(), 0, 0);
        let columns = Arc::clone(&self.columns);
        loop {
            let batches = match &mut self.batches {
                Some(batches) => batches,
                none => none.insert(self.source.batches_of(&self.scan).map_err(DataFusionError::External)?),
            };
            let Some(batch) = batches.next().transpose().map_err(DataFusionError::External)? else { break };
            let batch = fit(&batch, &columns)?;
            let batch_bytes = bytes_of(&batch)?;
            if batch.num_rows() >= self.rows_max / SMALL_PART || batch_bytes >= SMALL_BYTES {
                self.ready.extend(
                    (0..batch.num_rows())
                        .step_by(self.rows_max)
                        .map(|start| batch.slice(start, self.rows_max.min(batch.num_rows() - start))),
                );
                break;
            }
            rows += batch.num_rows();
            bytes += batch_bytes;
            if batch.num_rows() > 0 {
                small.push(batch);
            }
            // The first rows wait for no others: whoever reads them may want no more.
            let first = !std::mem::replace(&mut self.begun, true);
            if first || rows >= self.rows_max / 2 || bytes >= TOGETHER_BYTES {
                break;
            }
        }
        if let [_, _, ..] = small[..] {
            small = vec![concat_batches(&columns, &small)?];
        }
        for batch in small {
            self.ready.push_front(batch);
        }
        Ok(self.ready.pop_front().map(|batch| (batch, self)))
    }
}

/// Of its rows alone: its columns may stand in the memory of a whole block.
fn bytes_of(batch: &RecordBatch) -> Result<usize> {
    let columns = batch.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    Ok(columns.sum::<Result<usize, _>>()?)
}

/// The batch with just these columns. A struct of an older schema gets its newer fields as NULL, the same way the
/// Parquet scan does it.
fn fit(batch: &RecordBatch, columns: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let fitted = columns.fields().iter().map(|field| match batch.column_by_name(field.name()) {
        Some(column) if column.data_type() == field.data_type() => Ok(Arc::clone(column)),
        Some(column) => cast_column(column, field.data_type(), &options),
        None => Ok(new_null_array(field.data_type(), batch.num_rows())),
    });
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(columns), fitted.collect::<Result<_>>()?, &rows)?)
}
