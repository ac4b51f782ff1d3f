//! One SQL expression over the columns of rows that are at hand, as a schema gives it for a new generation.
//! Always: it is immutable (no clock, no chance) and reads the row alone, so that a rewrite that is begun anew makes the same
//! values; its type is that of the column or widens to it without loss; a row of which no value can be made is counted, and
//! nothing of it is quoted. Runs in the caller's process: whoever writes schemas declares the project. What a call may make is
//! bounded as in statements.

use std::{sync::Arc, thread};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array},
    compute::{CastOptions, cast_with_options, concat, nullif},
    datatypes::{DataType, Float64Type, SchemaRef, TimeUnit},
};
use datafusion::{
    common::{
        DFSchema,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::DataFusionError,
    execution::runtime_env::RuntimeEnv,
    logical_expr::{
        EmptyRelation, Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Volatility,
        physical_planning_context::PhysicalPlanningContext,
    },
    physical_expr::{PhysicalExpr, create_physical_expr},
};

use crate::{
    QueryError, SqlSettings,
    functions::Functions,
    runner::session,
    statement::{self, Limits},
    threads::STACK_BYTES,
};

const LIMITS: Limits = Limits { text_bytes_max: 8 * 1024, depth_max: 64 };
/// The name of the rows, which no expression has to write.
const ROWS: &str = "event";

/// An expression that was planned for rows with certain columns.
#[derive(Debug, Clone)]
pub struct Expression {
    physical: Arc<dyn PhysicalExpr>,
    to: DataType,
}

impl Expression {
    /// `columns` are those of the rows, `to` is what the values become.
    pub fn new(text: &str, columns: &SchemaRef, to: &DataType) -> Result<Expression, QueryError> {
        // The planner recurses, in statements on stacks of this size.
        let planned = thread::scope(|scope| {
            let plan = || plan(text, columns, to);
            let planner = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, plan);
            planner.map(|planner| planner.join())
        });
        match planned {
            Ok(Ok(planned)) => planned,
            Ok(Err(_)) => Err(QueryError::Internal("planning an expression panicked".to_owned())),
            Err(error) => Err(QueryError::Internal(format!("no thread for an expression: {error}"))),
        }
    }

    /// Of each row the value, or null; and of how many none could be made.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<(ArrayRef, u64), QueryError> {
        let mut parts: Vec<ArrayRef> = Vec::new();
        let mut failed = 0;
        // From the first row to the last: ranges that are still to be computed.
        let mut open = vec![(0, rows.num_rows())];
        while let Some((start, length)) = open.pop() {
            match self.values(&rows.slice(start, length)) {
                Ok(values) => parts.push(values),
                Err(_) if length > 1 => {
                    // One row of them, or more: it is looked for.
                    let half = length / 2;
                    open.push((start + half, length - half));
                    open.push((start, half));
                }
                Err(_) => {
                    failed += length as u64;
                    parts.push(new_null_array(&self.to, length));
                }
            }
        }
        let internal = |error: arrow::error::ArrowError| QueryError::Internal(error.to_string());
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        let mut values = concat(&parts).map_err(internal)?;
        if let Some(floats) = values.as_primitive_opt::<Float64Type>() {
            // No number that an event could have brought.
            let strange: arrow::array::BooleanArray =
                floats.iter().map(|value| Some(value.is_some_and(|value| !value.is_finite()))).collect();
            failed += strange.true_count() as u64;
            values = nullif(&values, &strange).map_err(internal)?;
        }
        Ok((values, failed))
    }

    fn values(&self, rows: &RecordBatch) -> Result<ArrayRef, DataFusionError> {
        let values = self.physical.evaluate(rows)?.into_array(rows.num_rows())?;
        if *values.data_type() == self.to {
            return Ok(values);
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        Ok(cast_with_options(&values, &self.to, &strict)?)
    }
}

fn plan(text: &str, columns: &SchemaRef, to: &DataType) -> Result<Expression, QueryError> {
    statement::check_embeddable(text)?;
    let checked = statement::check(&format!("SELECT (\n{text}\n) AS value FROM {ROWS}"), LIMITS)?;
    if checked.tables.iter().any(|table| table != ROWS) {
        return Err(QueryError::Plan("an expression reads no table, only the columns of its row".to_owned()));
    }
    let memory = SqlSettings::default().memory;
    let functions = Functions::new(memory);
    let state = session(&functions, Arc::new(RuntimeEnv::default()));
    let engine = |error: DataFusionError| QueryError::from_engine(&error, false);
    let schema = Arc::new(DFSchema::try_from(columns.as_ref().clone()).map_err(engine)?);
    let expression = state.create_logical_expr(text, &schema).map_err(engine)?;
    refuse_others(&expression)?;
    let rows = LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: false, schema });
    let plan = LogicalPlanBuilder::from(rows).project([expression.alias("value")]);
    let plan = plan.and_then(LogicalPlanBuilder::build).map_err(engine)?;
    let options = state.config_options();
    let plan = state.analyzer().execute_and_check(plan, options, |_, _| {}).map_err(engine)?;
    let LogicalPlan::Projection(projection) = &plan else { return Err(not_of_a_row()) };
    let [expression] = projection.expr.as_slice() else { return Err(not_of_a_row()) };
    let schema = projection.input.schema();
    let from = expression.get_type(schema).map_err(engine)?;
    if !widens(&from, to) {
        return Err(QueryError::Plan(format!(
            "the expression gives {from}, the column is {to}: write CAST(… AS …)"
        )));
    }
    let physical = create_physical_expr(
        expression,
        schema,
        state.execution_props(),
        &PhysicalPlanningContext::default(),
    )
    .map_err(engine)?;
    Ok(Expression { physical, to: to.clone() })
}

fn not_of_a_row() -> QueryError {
    QueryError::Plan("an expression gives one value of one row: no aggregate, window or query".to_owned())
}

fn refuse_others(expression: &Expr) -> Result<(), QueryError> {
    let mut refused = None;
    let walked = expression.apply(|part| {
        let fault = match part {
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => Some(not_of_a_row()),
            Expr::AggregateFunction(_) | Expr::WindowFunction(_) | Expr::Unnest(_) => Some(not_of_a_row()),
            Expr::Placeholder(_) | Expr::ScalarVariable(..) => Some(not_of_a_row()),
            Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
                let name = call.func.name();
                Some(QueryError::Plan(format!(
                    "{name}() gives another value each time, so no stored value can be made by it"
                )))
            }
            _ => None,
        };
        refused = refused.take().or(fault);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (refused, walked) {
        (Some(refused), _) => Err(refused),
        (None, Err(error)) => Err(QueryError::from_engine(&error, false)),
        (None, Ok(_)) => Ok(()),
    }
}

/// Without loss; one of too many digits is told when it comes.
fn widens(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Decimal128, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeUtf8,
        Null, Timestamp, UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    match (from, to) {
        (from, to) if from == to => true,
        (Null, _) => true,
        (Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32, Int64 | Float64 | Decimal128(..)) => true,
        (Float32, Float64) => true,
        (Int64, Decimal128(..)) => true,
        (Decimal128(_, from), Decimal128(_, to)) => from <= to,
        (Utf8View | LargeUtf8, Utf8) => true,
        (BinaryView | LargeBinary, Binary) => true,
        (Timestamp(unit, _), Timestamp(TimeUnit::Microsecond, _)) => *unit != TimeUnit::Nanosecond,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use arrow::{
        array::{Float64Array, Int64Array, StringArray},
        datatypes::{Field, Int64Type, Schema},
    };

    use super::*;

    fn rows() -> RecordBatch {
        let columns = Schema::new(vec![
            Field::new("price", DataType::Float64, true),
            Field::new("text", DataType::Utf8, true),
        ]);
        let prices = Float64Array::from(vec![Some(1.5), None, Some(-2.0), Some(0.0)]);
        let texts = StringArray::from(vec![Some("7"), Some("geheim"), None, Some("9")]);
        RecordBatch::try_new(Arc::new(columns), vec![Arc::new(prices), Arc::new(texts)]).unwrap()
    }

    fn compute(text: &str, to: DataType) -> Result<(ArrayRef, u64), QueryError> {
        let rows = rows();
        Expression::new(text, &rows.schema(), &to)?.evaluate(&rows)
    }

    #[test]
    fn rows_without_a_value_are_counted_and_the_others_have_theirs() {
        let (values, failed) = compute("CAST(price * 100 AS BIGINT)", DataType::Int64).unwrap();
        let expected = Int64Array::from(vec![Some(150), None, Some(-200), Some(0)]);
        assert_eq!((values.as_primitive::<Int64Type>(), failed), (&expected, 0));
        let (values, failed) = compute("CAST(text AS BIGINT)", DataType::Int64).unwrap();
        let expected = Int64Array::from(vec![Some(7), None, None, Some(9)]);
        assert_eq!((values.as_primitive::<Int64Type>(), failed), (&expected, 1));
        // A value that a user lets be null is no failure.
        assert_eq!(compute("TRY_CAST(text AS BIGINT)", DataType::Int64).unwrap().1, 0);
        assert_eq!(compute("1 / price", DataType::Float64).unwrap().1, 1, "infinite");
        assert_eq!(compute("'x' || text", DataType::Utf8).unwrap().0.len(), 4);
    }

    #[test]
    fn what_is_no_expression_of_a_row_is_refused() {
        for (text, why) in [
            ("price * 100", "CAST"),
            ("CAST(random() AS BIGINT)", "another value"),
            ("CAST(to_unixtime(now()) AS BIGINT)", "another value"),
            ("(SELECT 1)", ""),
            ("(SELECT max(a) FROM other)", "no table"),
            ("CAST(sum(price) AS BIGINT)", "one value of one row"),
            ("1) FROM event; SELECT (2", "own end"),
            ("nothing", "nothing"),
            ("CAST(price AS", ""),
        ] {
            match compute(text, DataType::Int64) {
                Err(error) => assert!(error.to_string().contains(why), "{text}: {error}"),
                Ok(_) => panic!("{text} was taken"),
            }
        }
        let deep = format!("{}1{}", "(".repeat(300), ")".repeat(300));
        assert!(compute(&deep, DataType::Int64).is_err());
        let long = vec!["1"; 1500].join("+");
        assert!(compute(&long, DataType::Int64).is_err());
    }
}
