//! One table of a cut as the engine scans it: the lake's Parquet files and the hot rows behind them.
//! Always: every row of the cut once; columns that a file or batch lacks are NULL; nothing is listed, only the cut's
//! files are opened, and each byte of them is checked. Does not filter exactly: predicates prune files, row groups and pages, the engine does the rest.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{Statistics, stats::Precision},
    datasource::{
        listing::PartitionedFile,
        physical_plan::{
            FileGroup, FileScanConfigBuilder, ParquetSource, parquet::CachedParquetFileReaderFactory,
        },
        source::DataSourceExec,
    },
    error::{DataFusionError, Result},
    execution::object_store::ObjectStoreUrl,
    logical_expr::{Expr, TableProviderFilterPushDown, TableType},
    physical_plan::{ExecutionPlan, empty::EmptyExec, union::UnionExec},
};

use crate::{
    CutFile, QueryError, TableCut,
    hot::HotExec,
    prune::prune,
    verified::{Findings, Remembered, VerifiedStore},
};

#[derive(Debug)]
pub(crate) struct LakeTable {
    cut: TableCut,
    /// Where the session finds the store that is rooted at the cut's `lake_root`.
    store: ObjectStoreUrl,
    findings: Findings,
    remembered: Remembered,
}

impl LakeTable {
    pub(crate) fn new(
        cut: TableCut,
        store: ObjectStoreUrl,
        findings: Findings,
        remembered: Remembered,
    ) -> LakeTable {
        LakeTable { cut, store, findings, remembered }
    }

    fn scan_files(
        &self,
        state: &dyn Session,
        files: &[&CutFile],
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = &self.cut.columns;
        let store = VerifiedStore::new(
            state.runtime_env().object_store(&self.store)?,
            &self.cut.lake_root,
            files.iter().copied(),
            self.findings.clone(),
            self.remembered.clone(),
        );
        let reader = CachedParquetFileReaderFactory::new(
            Arc::new(store),
            state.runtime_env().cache_manager.get_file_metadata_cache(),
        );
        let source = ParquetSource::new(Arc::clone(columns))
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let rows = |rows: u64| {
            let mut statistics = Statistics::new_unknown(columns);
            statistics.num_rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
            statistics
        };
        let partitioned = files.iter().map(|file| {
            // A path of ours: relative, in UTF-8, `/` between its parts.
            let path = file.path.to_str().ok_or_else(|| {
                DataFusionError::Internal(format!("the file name {} is not UTF-8", file.path.display()))
            })?;
            Ok(PartitionedFile::new(path, file.bytes).with_statistics(Arc::new(rows(file.rows))))
        });
        let groups = FileGroup::new(partitioned.collect::<Result<_>>()?)
            .split_files(state.config().target_partitions().max(1));
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(rows(files.iter().map(|file| file.rows).sum()))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.cut.columns)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if let Some(damage) = &self.cut.damage {
            self.findings.add(damage.clone());
            return Err(DataFusionError::External(Box::new(QueryError::Damaged(damage.clone()))));
        }
        let files = prune(state, &self.cut.columns, self.cut.kind, &self.cut.files, filters)?;
        let mut inputs = Vec::with_capacity(2);
        if !files.is_empty() {
            inputs.push(self.scan_files(state, &files, projection, limit)?);
        }
        if self.cut.hot.rows() > 0 {
            let hot = HotExec::new(Arc::clone(&self.cut.hot), &self.cut.columns, projection)?;
            inputs.push(Arc::new(hot) as Arc<dyn ExecutionPlan>);
        }
        match inputs.len() {
            0 => {
                let columns = match projection {
                    Some(indices) => Arc::new(self.cut.columns.project(indices)?),
                    None => self.schema(),
                };
                Ok(Arc::new(EmptyExec::new(columns)))
            }
            1 => Ok(inputs.swap_remove(0)),
            _ => UnionExec::try_new(inputs),
        }
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }
}
