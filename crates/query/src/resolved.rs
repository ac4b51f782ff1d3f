//! The table `rejects` with what became of each: the stored rows, and over them the newest row of the stream
//! `resolutions` for the same place.
//! Always: a statement that asks for none of the columns that can change reads the stored rows alone, however many
//! resolutions there are. Both tables are of one cut, so a reject and the row it became change at one moment.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider, view::ViewTable},
    common::JoinType,
    datasource::provider_as_source,
    error::Result,
    functions::core::expr_fn::coalesce,
    functions_aggregate::expr_fn::max,
    logical_expr::{
        Expr, LogicalPlan, LogicalPlanBuilder, TableProviderFilterPushDown, TableType, cast, ident,
    },
    physical_plan::ExecutionPlan,
};

/// What a resolution says anew of its reject, and under which name it is joined.
const CHANGED: [(&str, &str); 4] =
    [("status", "new_status"), ("code", "new_code"), ("path", "new_path"), ("message", "new_message")];
/// Where the reject is: which column of `resolutions` is which of `rejects`.
const PLACE: [(&str, &str); 3] =
    [("stream", "of_stream"), ("partition", "of_partition"), ("offset", "of_offset")];

#[derive(Debug)]
pub(crate) struct ResolvedRejects {
    stored: ViewTable,
    resolved: ViewTable,
    columns: SchemaRef,
}

impl ResolvedRejects {
    /// `shown` makes of the stored columns those of the table.
    pub(crate) fn new(
        stored: Arc<dyn TableProvider>,
        resolutions: Arc<dyn TableProvider>,
        shown: impl Fn(LogicalPlanBuilder) -> Result<LogicalPlan>,
    ) -> Result<ResolvedRejects> {
        let scan = || LogicalPlanBuilder::scan("rejects", provider_as_source(Arc::clone(&stored)), None);
        let plain = ViewTable::new(shown(scan()?)?, None);
        let columns = plain.schema();
        let names: Vec<String> = stored.schema().fields().iter().map(|field| field.name().clone()).collect();
        let over = names.iter().map(|name| match CHANGED.iter().find(|(changed, _)| changed == name) {
            Some((_, new)) => coalesce(vec![ident(*new), ident(name)]).alias(name),
            None => ident(name),
        });
        let left = PLACE.iter().map(|(of, _)| *of).collect::<Vec<_>>();
        let right = PLACE.iter().map(|(_, place)| *place).collect::<Vec<_>>();
        let resolved = scan()?
            .join(newest(resolutions)?, JoinType::Left, (left, right), None)?
            .project(over.collect::<Vec<_>>())?;
        let resolved = ViewTable::new(shown(resolved)?, None);
        Ok(ResolvedRejects { stored: plain, resolved, columns })
    }
}

/// One row a reject: the last that was said of it. The stream has one partition, so its offsets are their order.
fn newest(resolutions: Arc<dyn TableProvider>) -> Result<LogicalPlan> {
    let source = provider_as_source(resolutions);
    let last = LogicalPlanBuilder::scan("last", Arc::clone(&source), None)?
        .aggregate(PLACE.map(|(name, _)| ident(name)), [max(ident("_offset")).alias("last_offset")])?
        .project([ident("last_offset")])?
        .build()?;
    let types = [DataType::Utf8, DataType::Int32, DataType::Int64];
    let place = PLACE.iter().zip(types).map(|((name, place), kind)| cast(ident(*name), kind).alias(*place));
    let changed = CHANGED.iter().map(|(name, new)| cast(ident(*name), DataType::Utf8).alias(*new));
    LogicalPlanBuilder::scan("resolutions", source, None)?
        .join(last, JoinType::LeftSemi, (vec!["_offset"], vec!["last_offset"]), None)?
        .project(place.chain(changed).collect::<Vec<_>>())?
        .build()
}

#[async_trait]
impl TableProvider for ResolvedRejects {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let changes = |name: &str| CHANGED.iter().any(|(changed, _)| *changed == name);
        let of_filters = filters
            .iter()
            .any(|filter| filter.column_refs().into_iter().any(|column| changes(column.name.as_str())));
        let of_columns = match projection {
            Some(indices) => indices.iter().any(|&index| changes(self.columns.field(index).name())),
            None => true,
        };
        let view = if of_filters || of_columns { &self.resolved } else { &self.stored };
        view.scan(state, projection, filters, limit).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.stored.supports_filters_pushdown(filters)
    }
}
