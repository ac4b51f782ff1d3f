//! Scans the rows of a table that are durable in the journal and not yet in the lake.
//! Always: pulled one batch at a time, only when the plan runs, off the threads that compute. Columns are matched by
//! name; the ones a batch lacks are NULL. Does not decode anything: that is the source's work.

use std::{collections::VecDeque, fmt, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions, new_null_array},
    compute::CastOptions,
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

use crate::{HotBatches, HotSource};

#[derive(Debug)]
pub(crate) struct HotExec {
    source: Arc<dyn HotSource>,
    /// What it yields: the table's columns after the projection.
    columns: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl HotExec {
    pub(crate) fn new(
        source: Arc<dyn HotSource>,
        table: &SchemaRef,
        projection: Option<&Vec<usize>>,
    ) -> Result<HotExec> {
        let columns = match projection {
            Some(indices) => Arc::new(table.project(indices)?),
            None => Arc::clone(table),
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&columns)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(HotExec { source, columns, properties: Arc::new(properties) })
    }
}

impl DisplayAs for HotExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HotExec: rows={}", self.source.rows())
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
            columns: Arc::clone(&self.columns),
            rows_max: context.session_config().batch_size().max(1),
        };
        let batches = stream::try_unfold(pull, |pull| async move {
            // A thread is held for one batch at a time: a scan that waits for its reader holds none.
            tokio::task::spawn_blocking(move || pull.next())
                .await
                .map_err(|fault| DataFusionError::ExecutionJoin(Box::new(fault)))?
        });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.columns), batches))))
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], _: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let mut statistics = Statistics::new_unknown(&self.columns);
        statistics.num_rows = Precision::Exact(self.source.rows());
        Ok(Arc::new(statistics))
    }
}

/// A scan under way.
struct Pull {
    source: Arc<dyn HotSource>,
    batches: Option<HotBatches>,
    /// Parts of the last batch that are still to be handed out.
    ready: VecDeque<RecordBatch>,
    columns: SchemaRef,
    rows_max: usize,
}

impl Pull {
    fn next(mut self) -> Result<Option<(RecordBatch, Pull)>> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some((batch, self)));
            }
            let batches = match &mut self.batches {
                Some(batches) => batches,
                none => none.insert(self.source.batches().map_err(DataFusionError::External)?),
            };
            let Some(batch) = batches.next().transpose().map_err(DataFusionError::External)? else {
                return Ok(None);
            };
            let batch = fit(&batch, &self.columns)?;
            for start in (0..batch.num_rows()).step_by(self.rows_max) {
                self.ready.push_back(batch.slice(start, self.rows_max.min(batch.num_rows() - start)));
            }
        }
    }
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
