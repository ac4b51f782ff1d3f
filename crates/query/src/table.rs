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
    object_store::ObjectMeta,
    physical_plan::{ExecutionPlan, empty::EmptyExec, union::UnionExec},
};

use crate::{
    Listed, QueryError, Ranges, TableCut, TableKind,
    footers::{self, Footer},
    hot::HotExec,
    known::{self, Known},
    prune::prune,
    verified::{Findings, Remembered, VerifiedStore},
    views,
};

/// What is known of single files is told to the engine, which can then leave some out while it runs (the rows of a
/// `LIMIT` are found, a `max` cannot grow); but only so many values, since each takes some hundred bytes.
const TOLD_MAX: usize = 50_000;

#[derive(Debug)]
pub(crate) struct LakeTable {
    cut: TableCut,
    /// As statements compute with them.
    columns: SchemaRef,
    /// Where the session finds the store that is rooted at the cut's `lake_root`.
    store: ObjectStoreUrl,
    findings: Findings,
    remembered: Remembered,
    /// The statement has other tables too, whose rows this one's may be held against.
    is_joined: bool,
}

impl LakeTable {
    pub(crate) fn new(
        cut: TableCut,
        store: ObjectStoreUrl,
        findings: Findings,
        remembered: Remembered,
        is_joined: bool,
    ) -> LakeTable {
        let columns = match cut.kind {
            TableKind::Stream => views::with(&cut.columns),
            _ => Arc::clone(&cut.columns),
        };
        LakeTable { cut, columns, store, findings, remembered, is_joined }
    }

    async fn scan_files(
        &self,
        state: &dyn Session,
        mut files: Vec<Arc<Listed>>,
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns = &self.columns;
        let known = Known::of(self.cut.kind, columns, projection);
        let tells = !known.is_empty() && files.len() * columns.fields().len() <= TOLD_MAX;
        if tells {
            // The newest values first: whoever looks for the largest or latest has them at once. The others in their order.
            files.rotate_right(1);
        }
        let store = VerifiedStore::new(
            state.runtime_env().object_store(&self.store)?,
            &self.cut.lake_root,
            &files,
            self.findings.clone(),
            self.remembered.clone(),
        );
        let store = Arc::new(store);
        let footers = state.runtime_env().cache_manager.get_file_metadata_cache();
        let reader = CachedParquetFileReaderFactory::new(store.clone(), footers.clone());
        let source = ParquetSource::new(Arc::clone(columns))
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let partitioned = files.iter().map(|file| {
            let partitioned = PartitionedFile::new_from_meta(meta(file)?);
            Ok(match tells {
                true => {
                    let mut statistics = rows(columns, file.rows);
                    known.tell(&mut statistics, &file.ranges(), Precision::Inexact);
                    partitioned.with_statistics(Arc::new(statistics))
                }
                false => partitioned,
            })
        });
        let mut partitioned: Vec<PartitionedFile> = partitioned.collect::<Result<_>>()?;
        // Not `FileGroup::split_files`: that sorts them by name.
        let each = partitioned.len().div_ceil(state.config().target_partitions().max(1));
        let mut groups = Vec::new();
        while !partitioned.is_empty() {
            let rest = partitioned.split_off(each.min(partitioned.len()));
            groups.push(FileGroup::new(std::mem::replace(&mut partitioned, rest)));
        }
        let mut statistics = rows(columns, files.iter().map(|file| file.rows).sum());
        if self.is_joined {
            let footer = |file: &Arc<Listed>| Ok(Footer { meta: meta(file)?, rows: file.rows });
            let of_files = files.iter().map(footer).collect::<Result<_>>()?;
            if let Some(told) = footers::told(&*store, footers, columns, of_files).await {
                statistics = Statistics { num_rows: statistics.num_rows, ..told };
            }
        }
        known::tell_all(&known, &mut statistics, &files);
        let config = FileScanConfigBuilder::new(self.store.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}

fn meta(file: &Listed) -> Result<ObjectMeta> {
    // A path of ours: relative, in UTF-8, `/` between its parts.
    let location = file.location().cloned().ok_or_else(|| {
        DataFusionError::Internal(format!("the file name {} is not UTF-8", file.path.display()))
    })?;
    Ok(ObjectMeta {
        location,
        last_modified: Default::default(),
        size: file.bytes,
        e_tag: None,
        version: None,
    })
}

fn rows(columns: &SchemaRef, rows: u64) -> Statistics {
    let mut statistics = Statistics::new_unknown(columns);
    statistics.num_rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
    statistics
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.columns)
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
        if let Some(error) = &self.cut.unreadable {
            if let QueryError::Damaged(damage) = error {
                self.findings.add(damage.clone());
            }
            return Err(DataFusionError::External(Box::new(error.clone())));
        }
        let TableCut { kind, files, hot, .. } = &self.cut;
        let columns = &self.columns;
        let pruned = |ranges: &dyn Fn() -> Vec<Ranges>| prune(state, columns, *kind, ranges, filters);
        let mut inputs = Vec::with_capacity(2);
        let left = match pruned(&|| files.iter().map(|file| file.ranges()).collect())? {
            Some(left) => left.into_iter().map(|place| Arc::clone(&files[place])).collect(),
            None => files.to_vec(),
        };
        if !left.is_empty() {
            inputs.push(self.scan_files(state, left, projection, limit).await?);
        }
        if hot.rows() > 0 {
            let parts = hot.parts();
            let left = match parts.is_empty() {
                true => None,
                false => pruned(&|| parts.iter().map(|part| part.ranges).collect())?,
            };
            if left.as_ref().is_none_or(|left| !left.is_empty()) {
                let known = Known::of(*kind, columns, projection);
                let stored = &self.cut.columns;
                let hot = HotExec::new(Arc::clone(hot), stored, columns, projection, &parts, left, &known)?;
                inputs.push(Arc::new(hot) as Arc<dyn ExecutionPlan>);
            }
        }
        match inputs.len() {
            0 => {
                let columns = match projection {
                    Some(indices) => Arc::new(self.columns.project(indices)?),
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
