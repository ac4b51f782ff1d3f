//! Runs statements, each in a session of its own, all within one set of limits.
//! Always: a statement is checked before it is planned; it never takes a thread or a stack of its caller. Memory is one
//! pool for all statements; nothing spills to disk. Does not decide who may ask, only what they may see.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    num::NonZeroUsize,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use datafusion::{
    catalog::{CatalogProviderList, MemoryCatalogProviderList},
    error::{DataFusionError, Result as EngineResult},
    execution::{
        SendableRecordBatchStream, SessionState, SessionStateBuilder,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{GreedyMemoryPool, MemoryPool, TrackConsumersPool},
        object_store::ObjectStoreUrl,
        runtime_env::{RuntimeEnv, RuntimeEnvBuilder},
    },
    logical_expr::LogicalPlan,
    object_store::local::LocalFileSystem,
    physical_plan::execute_stream,
    prelude::SessionConfig,
    sql::{parser::Statement as EngineStatement, sqlparser::ast::ObjectName},
};
use futures::StreamExt;
use hw_event::Principal;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::Instant,
};

use crate::{
    Answer, Cut, PayloadOpener, QueryError, TableKind,
    answer::Item,
    catalog::{CATALOG, INFORMATION_SCHEMA, SCHEMA, catalog},
    functions::Functions,
    statement::{self, Ask, Checked, Limits},
    stop::{Stop, stoppable},
    streams_schema,
    threads::{self, cores},
    verified::{Findings, Remembered},
    views,
};

/// Statements that run at one time; more wait, within their own time.
pub(crate) const STATEMENTS_MAX: usize = 16;
/// Batches made ahead of the reader.
pub(crate) const BATCHES_AHEAD: usize = 2;
/// A configured depth above this is as good as this.
const DEPTH_MAX: usize = 1_000;
/// Footers of Parquet files that stay in memory between statements.
const FOOTER_CACHE_BYTES: usize = 32 * 1024 * 1024;
/// One batch of rows of a table aims at this size, whatever the table's rows are like.
const BATCH_BYTES: u64 = 16 * 1024 * 1024;
const BATCH_ROWS_MAX: u64 = 8_192;
const BATCH_ROWS_MIN: u64 = 64;
/// How much larger a row is in memory than in its Parquet file, guessed high.
const EXPANSION: u64 = 8;

/// Goes through parser, planner and some operators, over rows that are made for it.
const WARM_UP: &str =
    "SELECT count(*), max(value) FROM generate_series(1, 10) WHERE value > 1 GROUP BY value % 2 ORDER BY 1";
const WARM_UP_ROWS: usize = 2;

/// The limits of SQL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SqlSettings {
    /// Bytes that all running statements may hold together.
    pub memory: usize,
    /// From the call until the last row is taken.
    pub time: Duration,
    /// Rows of one answer.
    pub rows: usize,
    /// Bytes of one statement.
    pub text: usize,
    /// Levels of one statement's tree.
    pub depth: usize,
}

impl SqlSettings {
    pub(crate) fn limits(&self) -> Limits {
        Limits { text_bytes_max: self.text, depth_max: self.depth.min(DEPTH_MAX) }
    }
}

impl Default for SqlSettings {
    fn default() -> SqlSettings {
        SqlSettings {
            memory: 512 * 1024 * 1024,
            time: Duration::from_secs(30),
            rows: 1_000_000,
            text: 256 * 1024,
            depth: 200,
        }
    }
}

/// A handle; clones share the memory and the caches.
#[derive(Clone)]
pub struct Runner {
    shared: Arc<Shared>,
}

struct Shared {
    settings: SqlSettings,
    opener: Arc<dyn PayloadOpener>,
    environment: Arc<RuntimeEnv>,
    functions: Functions,
    session: SessionState,
    /// The lakes whose store is registered. Short sections, never across an await.
    lakes: Mutex<HashSet<u64>>,
    remembered: Remembered,
    permits: Arc<Semaphore>,
}

impl Runner {
    pub fn new(settings: SqlSettings, opener: Arc<dyn PayloadOpener>) -> io::Result<Runner> {
        let pool = GreedyMemoryPool::new(settings.memory);
        Runner::within(pool, settings, opener)
    }

    /// With memory that somebody else gives.
    pub(crate) fn within(
        pool: impl MemoryPool + 'static,
        settings: SqlSettings,
        opener: Arc<dyn PayloadOpener>,
    ) -> io::Result<Runner> {
        const TOP_CONSUMERS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);
        let pool = TrackConsumersPool::new(pool, TOP_CONSUMERS);
        let environment = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .with_metadata_cache_limit(FOOTER_CACHE_BYTES)
            .build_arc()
            .map_err(io::Error::other)?;
        let functions = Functions::new(settings.memory);
        Ok(Runner {
            shared: Arc::new(Shared {
                session: session(&functions, Arc::clone(&environment)),
                functions,
                settings,
                opener,
                environment,
                lakes: Mutex::default(),
                remembered: Remembered::default(),
                permits: Arc::new(Semaphore::new(STATEMENTS_MAX)),
            }),
        })
    }

    pub fn settings(&self) -> &SqlSettings {
        &self.shared.settings
    }

    /// Returns once the statement is planned and runs; its rows follow in the answer.
    pub async fn run(&self, statement: &str, principal: &Principal, cut: Cut) -> Result<Answer, QueryError> {
        let deadline = Instant::now() + self.shared.settings.time;
        self.run_until(deadline, statement, principal, cut).await
    }

    /// Waits until no statement has a thread any more.
    pub(crate) async fn quiet(&self) {
        let places = u32::try_from(STATEMENTS_MAX).unwrap_or(u32::MAX);
        // It is never closed.
        let _ = self.shared.permits.acquire_many(places).await;
    }

    /// Runs a small statement on the caller's thread, whose answer nobody sees: what is made once is made, and code is read
    /// from the disk.
    pub(crate) async fn warm(&self) {
        let time = self.shared.settings.time;
        let stop = Arc::new(Stop::new(Instant::now() + time, time));
        let cut = Cut { tables: Vec::new(), streams: RecordBatch::new_empty(streams_schema()) };
        // Held, or the statement would end at once; its two rows have room.
        let (schema, _schema) = oneshot::channel();
        let (sender, _batches) = mpsc::channel(WARM_UP_ROWS);
        // An error is the next statement's to tell.
        let _ = self.stream(WARM_UP, &Principal::local(), cut, &stop, schema, sender).await;
    }

    pub(crate) async fn run_until(
        &self,
        deadline: Instant,
        statement: &str,
        principal: &Principal,
        cut: Cut,
    ) -> Result<Answer, QueryError> {
        let time_max = self.shared.settings.time;
        let too_late = |_| QueryError::Time(time_max);
        // Before the text is copied.
        if statement.len() > self.shared.settings.text {
            statement::check(statement, self.limits())?;
        }
        let permits = Arc::clone(&self.shared.permits);
        let permit = tokio::time::timeout_at(deadline, permits.acquire_owned())
            .await
            .map_err(too_late)?
            .map_err(|_| QueryError::Internal("the runner is closed".to_owned()))?;

        let stop = Arc::new(Stop::new(deadline, time_max));
        let (schema_sender, schema) = oneshot::channel();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let work = {
            let (runner, text, principal, stop) =
                (self.clone(), statement.to_owned(), principal.clone(), Arc::clone(&stop));
            async move {
                let run = runner.stream(&text, &principal, cut, &stop, schema_sender, sender);
                tokio::time::timeout_at(deadline, run).await.unwrap_or(Err(QueryError::Time(time_max)))
            }
        };
        let started = threads::start(permit, stop, work);
        let work = started.map_err(|fault| QueryError::Internal(format!("no threads for it: {fault}")))?;
        Answer::begun(schema, batches, work, deadline, time_max).await
    }

    async fn stream(
        &self,
        text: &str,
        principal: &Principal,
        cut: Cut,
        stop: &Arc<Stop>,
        schema: oneshot::Sender<SchemaRef>,
        batches: mpsc::Sender<Item>,
    ) -> Result<(), QueryError> {
        let checked = statement::check(text, self.limits())?;
        let findings = Findings::default();
        // Whatever the engine made of damaged bytes, they are the cause.
        let fault = |error: &DataFusionError, planned| match findings.first() {
            Some(damage) => QueryError::Damaged(damage.to_owned()),
            None => QueryError::from_engine(error, planned),
        };
        let planned = self.plan(checked, principal, cut, stop, &findings).await;
        let mut stream = planned.map_err(|error| fault(&error, false))?;
        let columns = views::without(&stream.schema());
        // A reader that has gone is no fault of the statement: whoever closed the channel is not listening.
        if schema.send(Arc::clone(&columns)).is_err() {
            return Ok(());
        }
        let rows_max = self.shared.settings.rows;
        let mut rows = 0;
        while let Some(batch) = stream.next().await {
            let batch = batch.and_then(|batch| views::copied(batch, &columns));
            let batch = batch.map_err(|error| fault(&error, true))?;
            rows += batch.num_rows();
            if rows > rows_max {
                return Err(QueryError::Rows { rows_max });
            }
            if batch.num_rows() > 0 && batches.send(Ok(batch)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn plan(
        &self,
        checked: Checked,
        principal: &Principal,
        cut: Cut,
        stop: &Arc<Stop>,
        findings: &Findings,
    ) -> EngineResult<SendableRecordBatchStream> {
        let mut state = self.session(&checked, principal, cut, findings)?;
        // One moment for the whole statement: without it `now()` has no value.
        state.mark_start_execution();
        let plan = match checked.ask {
            Ask::Plan(statement) => state.statement_to_plan(EngineStatement::Statement(statement)).await?,
            Ask::ShowTables => of_ours(&state, SHOW_TABLES).await?,
            Ask::Describe(name) => of_ours(&state, &describe(&state, &name)?).await?,
        };
        let plan = state.optimize(&plan)?;
        let batch_rows = self.shared.functions.batch_rows(&plan, state.config().batch_size())?;
        *state.config_mut() = state.config().clone().with_batch_size(batch_rows);
        let plan = state.query_planner().create_physical_plan(&plan, &state).await?;
        execute_stream(stoppable(plan, stop)?, state.task_ctx())
    }

    fn session(
        &self,
        checked: &Checked,
        principal: &Principal,
        cut: Cut,
        findings: &Findings,
    ) -> EngineResult<SessionState> {
        let mut state = self.shared.session.clone();
        let batch_rows = batch_rows(&cut, checked);
        *state.config_mut() = state.config().clone().with_batch_size(batch_rows);
        let catalogs = MemoryCatalogProviderList::new();
        let (opener, remembered) = (&self.shared.opener, &self.shared.remembered);
        let store = |root: &Path| self.store(root);
        let tables = catalog(cut, checked, principal, opener, findings, remembered, store)?;
        catalogs.register_catalog(CATALOG.to_owned(), tables);
        state.register_catalog_list(Arc::new(catalogs));
        Ok(state)
    }

    /// The store rooted at a lake, by the name under which the engine finds it.
    fn store(&self, lake_root: &Path) -> EngineResult<ObjectStoreUrl> {
        let mut hasher = DefaultHasher::new();
        lake_root.hash(&mut hasher);
        let id = hasher.finish();
        let url = ObjectStoreUrl::parse(format!("lake://{id:016x}/"))?;
        let mut lakes = self.shared.lakes.lock().unwrap_or_else(PoisonError::into_inner);
        if !lakes.contains(&id) && lake_root.is_dir() {
            let store = LocalFileSystem::new_with_prefix(lake_root)
                .map_err(|fault| DataFusionError::ObjectStore(Box::new(fault)))?;
            self.shared.environment.register_object_store(url.as_ref(), Arc::new(store));
            lakes.insert(id);
        }
        Ok(url)
    }

    fn limits(&self) -> Limits {
        self.shared.settings.limits()
    }
}

/// What all statements have in common; each gets a copy, and its own catalog.
pub(crate) fn session(functions: &Functions, environment: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_target_partitions(cores())
        .with_default_catalog_and_schema(CATALOG, SCHEMA)
        .with_create_default_catalog_and_schema(false)
        .with_information_schema(false);
    let options = config.options_mut();
    options.sql_parser.enable_ident_normalization = false;
    options.sql_parser.map_string_types_to_utf8view = false;
    // How a text is represented is the table's to say.
    options.execution.parquet.schema_force_view_types = false;
    options.execution.time_zone = Some("UTC".to_owned());
    options.explain.show_statistics = false;
    let builder = SessionStateBuilder::new().with_config(config).with_runtime_env(environment);
    functions.register(builder).build()
}

const SHOW_TABLES: &str = "SELECT table_name FROM information_schema.tables ORDER BY table_name";

/// Plans a text of this crate.
async fn of_ours(state: &SessionState, text: &str) -> EngineResult<LogicalPlan> {
    let dialect = state.config_options().sql_parser.dialect;
    let statement = state.sql_to_statement(text, &dialect)?;
    state.statement_to_plan(statement).await
}

fn describe(state: &SessionState, name: &ObjectName) -> EngineResult<String> {
    let parts: Vec<&str> =
        name.0.iter().filter_map(|part| part.as_ident()).map(|ident| ident.value.as_str()).collect();
    let table = match parts[..] {
        [table] | [SCHEMA, table] | [CATALOG, SCHEMA, table] => table,
        _ => "",
    };
    let known = state
        .catalog_list()
        .catalog(CATALOG)
        .and_then(|catalog| catalog.schema(SCHEMA))
        .is_some_and(|schema| schema.table_exist(table));
    if !known {
        return Err(DataFusionError::Plan(format!("table '{name}' not found")));
    }
    Ok(format!(
        "SELECT column_name, data_type, is_nullable FROM {INFORMATION_SCHEMA}.columns WHERE table_name = '{}' \
         ORDER BY ordinal_position",
        table.replace('\'', "''")
    ))
}

/// Rows of one batch, so that a batch of the widest table named keeps to `BATCH_BYTES`.
fn batch_rows(cut: &Cut, checked: &Checked) -> usize {
    let widest = cut
        .tables
        .iter()
        .filter(|table| checked.tables.contains(&table.name))
        .filter_map(|table| {
            let rows: u64 = table.files.iter().map(|file| file.rows).sum();
            let bytes: u64 = table.files.iter().map(|file| file.bytes).sum();
            // Sealed payloads do not compress.
            let expansion = if table.kind == TableKind::Rejects { 2 } else { EXPANSION };
            (bytes * expansion).checked_div(rows)
        })
        .max();
    let rows = widest.map_or(BATCH_ROWS_MAX, |row_bytes| BATCH_BYTES / row_bytes.max(1));
    usize::try_from(rows.clamp(BATCH_ROWS_MIN, BATCH_ROWS_MAX)).unwrap_or(1)
}
