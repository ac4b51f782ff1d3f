//! The functions that SQL may call.
//! Always: one call makes at most `bytes_max` bytes, asked before it is made, because the engine's memory pool sees
//! what operators hold and not what a function allocates: `repeat('x', 2000000000)` would end the process.
//! No function here reads a file, the environment or the session's settings.

mod bounded;
mod growth;

use std::sync::Arc;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    config::ConfigOptions,
    error::{DataFusionError, Result},
    execution::{SessionStateBuilder, SessionStateDefaults},
    logical_expr::{
        AggregateUDF, BinaryExpr, Expr, LogicalPlan, Operator, ScalarUDF, WindowUDF, expr::ScalarFunction,
        expr_rewriter::NamePreserver, planner::ExprPlanner,
    },
    optimizer::{Analyzer, AnalyzerRule},
};

use bounded::{Bounded, Concatenate};
use growth::growth_of;

/// The largest result of one call, for one batch of rows.
const CALL_BYTES_MAX: usize = 64 * 1024 * 1024;
/// … and never more than this part of what all statements share.
const CALL_PART_OF_MEMORY: usize = 8;
/// The largest result of a call whose arguments are all constants. The planner makes it, copies it and prints it
/// many times over, and it stands in memory once a row: 10 MB of it take half a minute to plan.
const CONSTANT_BYTES_MAX: usize = 1024 * 1024;
/// A constant is repeated for each row of a batch; the rows are so few that this part of a call's result is enough.
const CONSTANT_PART_OF_CALL: usize = 4;
/// The separator of `string_agg` stands between all values of a group.
const SEPARATOR_BYTES_MAX: usize = 1024;

/// `arrow_cast` makes types of any width (one value of 2 GB); the others speak of files, of which users know nothing.
const LEFT_OUT: [&str; 7] = [
    "arrow_cast",
    "arrow_try_cast",
    "cast_to_type",
    "try_cast_to_type",
    "input_file_name",
    "file_row_index",
    "with_metadata",
];

/// Made once, registered in every session.
pub(crate) struct Functions {
    scalar: Vec<Arc<ScalarUDF>>,
    aggregate: Vec<Arc<AggregateUDF>>,
    window: Vec<Arc<WindowUDF>>,
    planners: Vec<Arc<dyn ExprPlanner>>,
    bound: Arc<BoundGrowth>,
}

impl Functions {
    pub(crate) fn new(memory: usize) -> Functions {
        let bytes_max = CALL_BYTES_MAX.min(memory / CALL_PART_OF_MEMORY);
        let known = SessionStateDefaults::default_scalar_functions().into_iter();
        let scalar = known
            .filter(|function| !LEFT_OUT.contains(&function.name()))
            .map(|function| Bounded::wrap(function, bytes_max))
            .collect();
        Functions {
            scalar,
            aggregate: SessionStateDefaults::default_aggregate_functions(),
            window: SessionStateDefaults::default_window_functions(),
            planners: SessionStateDefaults::default_expr_planners(),
            bound: Arc::new(BoundGrowth { bytes_max }),
        }
    }

    pub(crate) fn register(&self, builder: SessionStateBuilder) -> SessionStateBuilder {
        let mut rules = Analyzer::new().rules;
        rules.push(Arc::clone(&self.bound) as _);
        let tables = SessionStateDefaults::default_table_functions();
        builder
            .with_scalar_functions(self.scalar.clone())
            .with_aggregate_functions(self.aggregate.clone())
            .with_window_functions(self.window.clone())
            .with_expr_planners(self.planners.clone())
            // generate_series and range make their rows as they are asked for.
            .with_table_functions(tables.into_iter().map(|table| (table.name().to_owned(), table)).collect())
            .with_analyzer_rules(rules)
    }

    /// The rows a batch may have, at most `rows`, so that the plan's constants do not make it too large.
    pub(crate) fn batch_rows(&self, plan: &LogicalPlan, rows: usize) -> Result<usize> {
        let mut largest = 1;
        plan.apply_with_subqueries(|plan| {
            plan.apply_expressions(|expr| {
                expr.apply(|expr| {
                    match expr {
                        Expr::Literal(value, _) => largest = largest.max(value.size()),
                        Expr::AggregateFunction(call) => {
                            refuse_separator(call.func.name(), &call.params.args)?
                        }
                        Expr::WindowFunction(call) => refuse_separator(call.fun.name(), &call.params.args)?,
                        _ => {}
                    }
                    Ok(TreeNodeRecursion::Continue)
                })
            })
        })?;
        Ok(rows.min(self.bound.bytes_max / CONSTANT_PART_OF_CALL / largest).max(1))
    }
}

/// Bounds the calls that the planner made by itself: `[a, b]`, `a || b`. Runs after types are settled and before
/// anything is computed.
#[derive(Debug)]
struct BoundGrowth {
    bytes_max: usize,
}

impl BoundGrowth {
    fn rewrite(&self, expr: Expr) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::ScalarFunction(ScalarFunction { func, args })
                if growth_of(func.name()).is_some() && !Bounded::is(&func) =>
            {
                let func = Bounded::wrap(func, self.bytes_max);
                Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args }))
            }
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                let func = Bounded::wrap(Arc::new(ScalarUDF::from(Concatenate::new())), self.bytes_max);
                Transformed::yes(Expr::ScalarFunction(ScalarFunction { func, args: vec![*left, *right] }))
            }
            expr => Transformed::no(expr),
        })
    }
}

impl AnalyzerRule for BoundGrowth {
    fn name(&self) -> &str {
        "bound_growth"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        let bounded = plan.transform_up_with_subqueries(|plan| {
            let names = NamePreserver::new(&plan);
            let plan = plan.map_expressions(|expr| {
                let name = names.save(&expr);
                Ok(expr.transform_up(|expr| self.rewrite(expr))?.update_data(|expr| name.restore(expr)))
            })?;
            plan.map_data(LogicalPlan::recompute_schema)
        })?;
        Ok(bounded.data)
    }
}

fn refuse_separator(function: &str, args: &[Expr]) -> Result<()> {
    let Some(Expr::Literal(separator, _)) = args.get(1) else { return Ok(()) };
    if function == "string_agg"
        && separator.try_as_str().flatten().is_some_and(|text| text.len() > SEPARATOR_BYTES_MAX)
    {
        return Err(DataFusionError::Plan(format!(
            "the separator of string_agg has more than {SEPARATOR_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}
