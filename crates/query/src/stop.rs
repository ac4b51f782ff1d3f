//! Ends a plan from below: its leaves fail once the statement's time is over or nobody wants its answer, and so do
//! the conditions of its nested-loop joins.
//! Always: checked before each batch of each leaf and of each operator that multiplies rows, and each time such a
//! condition is tried. Without it an operator that finds nothing (a join whose condition never holds) asks for batch after
//! batch, or goes through what it holds pair by pair, and hands nothing up, so no one above it gets to stop it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use arrow::{
    array::RecordBatch,
    datatypes::{FieldRef, Schema, SchemaRef},
};
use datafusion::{
    common::{
        Statistics, internal_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    error::{DataFusionError, Result},
    execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext},
    logical_expr::ColumnarValue,
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        joins::{NestedLoopJoinExec, NestedLoopJoinExecBuilder, utils::JoinFilter},
        statistics::{ChildStats, StatisticsArgs},
    },
};
use futures::Stream;
use tokio::time::Instant;

use crate::QueryError;

/// Operators that can make very many rows of few, and so of one look at a leaf.
const MULTIPLIES: [&str; 2] = ["JoinExec", "UnnestExec"];

/// When a statement has to end.
#[derive(Debug)]
pub(crate) struct Stop {
    deadline: Instant,
    time_max: Duration,
    given_up: AtomicBool,
}

impl Stop {
    pub(crate) fn new(deadline: Instant, time_max: Duration) -> Stop {
        Stop { deadline, time_max, given_up: AtomicBool::new(false) }
    }

    /// Nobody waits for the answer any more.
    pub(crate) fn give_up(&self) {
        // Only ever set; a leaf that sees it a batch later is as good.
        self.given_up.store(true, Ordering::Relaxed);
    }

    fn check(&self) -> Result<()> {
        if self.given_up.load(Ordering::Relaxed) || Instant::now() >= self.deadline {
            return Err(DataFusionError::External(Box::new(QueryError::Time(self.time_max))));
        }
        Ok(())
    }
}

/// Puts the check over each leaf of a finished plan, and into what can loop without asking a leaf.
pub(crate) fn stoppable(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let over = |node| Arc::new(StopExec { input: node, stop: Arc::clone(stop) }) as Arc<dyn ExecutionPlan>;
    let stoppable = plan.transform_up(|node| {
        if node.children().is_empty() {
            return Ok(Transformed::yes(over(node)));
        }
        let node = match node.downcast_ref::<NestedLoopJoinExec>() {
            Some(join) => stoppable_join(join, stop)?,
            None => node,
        };
        let multiplies = MULTIPLIES.iter().any(|end| node.name().ends_with(end));
        Ok(if multiplies { Transformed::yes(over(node)) } else { Transformed::no(node) })
    })?;
    Ok(stoppable.data)
}

fn stoppable_join(join: &NestedLoopJoinExec, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    let filter = join.filter().map(|filter| {
        let condition =
            Arc::new(StopCondition { inner: Arc::clone(filter.expression()), stop: Arc::clone(stop) });
        JoinFilter::new(condition, filter.column_indices().to_vec(), Arc::clone(filter.schema()))
    });
    let stoppable =
        NestedLoopJoinExecBuilder::new(Arc::clone(join.left()), Arc::clone(join.right()), *join.join_type())
            .with_filter(filter)
            .with_projection_ref(join.projection().clone())
            .build()?;
    Ok(Arc::new(stoppable))
}

/// A condition that fails once the statement has to end. Equal to another if what it wraps is.
#[derive(Debug)]
struct StopCondition {
    inner: Arc<dyn PhysicalExpr>,
    stop: Arc<Stop>,
}

impl PartialEq for StopCondition {
    fn eq(&self, other: &StopCondition) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for StopCondition {}

impl Hash for StopCondition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for StopCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for StopCondition {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.stop.check()?;
        self.inner.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match <[Arc<dyn PhysicalExpr>; 1]>::try_from(children) {
            Ok([inner]) => Ok(Arc::new(StopCondition { inner, stop: Arc::clone(&self.stop) })),
            Err(children) => internal_err!("one condition, not {}", children.len()),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

#[derive(Debug)]
struct StopExec {
    input: Arc<dyn ExecutionPlan>,
    stop: Arc<Stop>,
}

impl DisplayAs for StopExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StopExec")
    }
}

impl ExecutionPlan for StopExec {
    fn name(&self) -> &str {
        "StopExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(StopExec { input, stop: Arc::clone(&self.stop) })),
            Err(children) => internal_err!("one input, not {}", children.len()),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.stop.check()?;
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(Stoppable { input, stop: Arc::clone(&self.stop) }))
    }

    fn statistics_from_inputs(
        &self,
        inputs: &[Arc<Statistics>],
        _: &StatisticsArgs,
    ) -> Result<Arc<Statistics>> {
        match inputs {
            [input] => Ok(Arc::clone(input)),
            _ => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }

    fn child_stats_requests(&self, partition: Option<usize>) -> Vec<ChildStats> {
        vec![ChildStats::At(partition)]
    }
}

struct Stoppable {
    input: SendableRecordBatchStream,
    stop: Arc<Stop>,
}

impl Stream for Stoppable {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = self.stop.check() {
            return Poll::Ready(Some(Err(error)));
        }
        self.input.as_mut().poll_next(context)
    }
}

impl RecordBatchStream for Stoppable {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}

#[cfg(test)]
mod tests {
    use datafusion::{physical_expr::expressions::lit, physical_plan::placeholder_row::PlaceholderRowExec};
    use futures::StreamExt;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[tokio::test]
    async fn leaves_fail_once_the_statement_has_to_end() {
        let context = Arc::new(TaskContext::default());
        let leaf = || Arc::new(PlaceholderRowExec::new(Arc::new(Schema::empty()))) as Arc<dyn ExecutionPlan>;

        let stop = Arc::new(Stop::new(Instant::now() + HOUR, HOUR));
        let plan = stoppable(leaf(), &stop).unwrap();
        let mut whole = plan.execute(0, Arc::clone(&context)).unwrap();
        assert!(whole.next().await.unwrap().is_ok());
        assert!(whole.next().await.is_none());
        let mut broken = plan.execute(0, Arc::clone(&context)).unwrap();
        stop.give_up();
        assert!(broken.next().await.unwrap().is_err());
        assert!(plan.execute(0, Arc::clone(&context)).is_err());

        let condition = StopCondition { inner: lit(true), stop };
        let batch = RecordBatch::new_empty(Arc::new(Schema::empty()));
        assert!(condition.evaluate(&batch).is_err(), "a condition too");

        let late = Arc::new(Stop::new(Instant::now(), HOUR));
        let error = stoppable(leaf(), &late).unwrap().execute(0, context).err().unwrap();
        assert_eq!(QueryError::from_engine(&error, true), QueryError::Time(HOUR));
    }
}
