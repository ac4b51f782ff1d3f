//! New generations: a schema change that means something else for the rows that are there. They are rewritten in the background;
//! old data keeps serving, one commit swaps.
//! Always: a schema of a new generation is declared only when the journal holds no row of the old one that the lake does not
//! have; from then on the table's new rows wait for the swap. What is left to rewrite is seen in the tables' files, and that old
//! bytes are still to go by a mark, `generations/<stream's number>`: so a restart goes on by itself. After the swap old versions,
//! statistics and journal segments go, as in an erasure; then the mark.

pub mod steps;
pub mod survey;

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow, bail};
use arrow::datatypes::SchemaRef;
use hw_event::{SchemaNumber, StreamId, StreamName};
use hw_gate::Catalog;
use hw_journal::Log;
use hw_lake::{Lake, Outdated, RewriteTurn, Table};
use hw_schema::{Registry, Rewrite, Schema, Stream};
use hw_vault::{HashKey, Vault};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::steps::Steps;
use crate::{background, forgetting::Forgetting};

const RETRY_AFTER: Duration = Duration::from_secs(5);

/// A stream whose schema follows only as a new generation.
pub struct Change {
    pub name: StreamName,
    pub schema: Arc<Schema>,
    pub rewrites: Vec<Rewrite>,
}

/// What values are protected with.
#[derive(Clone)]
pub struct Keys {
    pub hash: HashKey,
    pub vault: Vault,
}

/// Declares new generations, once the lake has everything that is in the journal. Nothing may be appended meanwhile. Values that
/// do not fit the new schemas become null only with `null_misfits`; without it, or where there must be a value, nothing is
/// declared, and what is in the way comes back.
pub async fn declare(
    catalog: &Catalog,
    changes: Vec<Change>,
    forgetting: &Forgetting,
    keys: &Keys,
    null_misfits: bool,
) -> anyhow::Result<Vec<String>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    let durable = *forgetting.journal.durable().borrow();
    let status = forgetting.follower.commit_now().await?;
    if status.committed < durable {
        let faults = forgetting.lake.faults();
        let fault = faults.first().map(|fault| fault.error.clone()).unwrap_or_default();
        bail!(
            "a schema has changed so that rows must be rewritten, but the lake lacks appends {} to {durable}: {fault}\n  \
             start with the old schema until the lake has caught up",
            status.committed.next()
        );
    }
    let mut refused = Vec::new();
    for change in &changes {
        let Some(stream) = catalog.registry().by_name(change.name.as_str()) else { continue };
        if !survey::wants_look(&change.rewrites, null_misfits) {
            continue;
        }
        let (lake, keys, mut next) = (forgetting.lake.clone(), keys.clone(), Stream::clone(&stream));
        let rewrites = change.rewrites.clone();
        next.versions.push(change.schema.clone());
        let looked = tokio::task::spawn_blocking(move || {
            let table = Table::Stream(stream.id);
            let outdated = stream.generation_start() > SchemaNumber(1);
            let columns = survey::columns_looked_at(&rewrites).filter(|_| !outdated);
            let columns: Option<Vec<&str>> =
                columns.as_ref().map(|columns| columns.iter().map(String::as_str).collect());
            let mut steps = Steps::protecting(&next, keys.hash, keys.vault);
            let files = lake.table(table).map(|snapshot| snapshot.files.clone()).unwrap_or_default();
            survey::look(&lake, table, &files, &mut steps, columns.as_deref()).map(|()| steps.misfits)
        });
        let misfits = looked
            .await?
            .map_err(|error| anyhow!("the rows of {} cannot be looked at: {error}", change.name))?;
        let reasons =
            misfits.0.iter().filter_map(|(pointer, misfit)| survey::refusal(pointer, *misfit, null_misfits));
        refused.extend(reasons.map(|reason| format!("stream {}: {reason}", change.name)));
    }
    if !refused.is_empty() {
        return Ok(refused);
    }
    for Change { name, schema, rewrites } in changes {
        tracing::info!(stream = %name, changes = rewrites.len(), "a new generation begins");
        catalog.declare_generation(&name, schema).with_context(|| format!("stream {name}"))?;
    }
    Ok(Vec::new())
}

/// Clones are the same service.
#[derive(Clone)]
pub struct Generations {
    shared: Arc<Shared>,
}

struct Shared {
    forgetting: Forgetting,
    registry: Arc<Registry>,
    keys: Keys,
    housekeeping: Arc<tokio::sync::Mutex<()>>,
    stop: CancellationToken,
    marks: Marks,
    // Held for a look or a small change.
    pending: Mutex<Vec<Pending>>,
}

/// One table that has rows of an older generation.
#[derive(Clone)]
struct Pending {
    stream: Arc<Stream>,
    start: SchemaNumber,
    outdated: Outdated,
    read: Arc<AtomicU64>,
    phase: &'static str,
    waiting_for: Option<String>,
}

/// Keeps new rows of every table that has old ones back. To be called before anything is committed.
pub fn hold(lake: &Lake, registry: &Registry) {
    let rewriter = lake.rewriter();
    for stream in registry.all() {
        let table = Table::Stream(stream.id);
        if rewriter.outdated(table, stream.generation_start()).files > 0 {
            rewriter.hold(table);
        }
    }
}

impl Generations {
    pub fn new(
        forgetting: Forgetting,
        registry: Arc<Registry>,
        keys: Keys,
        housekeeping: Arc<tokio::sync::Mutex<()>>,
        stop: CancellationToken,
        marks: Marks,
    ) -> Generations {
        let rewriter = forgetting.lake.rewriter();
        let pending = registry.all().into_iter().filter_map(|stream| {
            let start = stream.generation_start();
            let outdated = rewriter.outdated(Table::Stream(stream.id), start);
            let read = Arc::new(AtomicU64::new(0));
            let found = Pending { stream, start, outdated, read, phase: "waiting", waiting_for: None };
            (outdated.files > 0 || marks.has(found.stream.id)).then_some(found)
        });
        let pending = Mutex::new(pending.collect());
        Generations {
            shared: Arc::new(Shared { forgetting, registry, keys, housekeeping, stop, marks, pending }),
        }
    }

    /// How far each table is, for `GET /v1/status`.
    pub fn told(&self) -> Vec<Value> {
        let pending = self.shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let told = pending.iter().map(|it| {
            json!({
                "stream": it.stream.name.as_str(), "phase": it.phase, "rows": it.outdated.rows,
                "bytes": it.outdated.bytes, "bytes_read": it.read.load(Ordering::Relaxed), "files": it.outdated.files,
                "waiting_for": it.waiting_for,
            })
        });
        told.collect()
    }

    /// Until every table is of its newest generation, or it is told to stop.
    pub async fn run(self) {
        let shared = &self.shared;
        loop {
            let next = shared.pending.lock().unwrap_or_else(PoisonError::into_inner).first().cloned();
            let Some(next) = next else { return };
            let outcome = tokio::select! {
                outcome = shared.carry_out(&next) => outcome,
                () = shared.stop.cancelled() => return,
            };
            match outcome {
                Ok(()) => {
                    let mut pending = shared.pending.lock().unwrap_or_else(PoisonError::into_inner);
                    pending.retain(|it| it.stream.id != next.stream.id);
                }
                Err(error) => {
                    tracing::warn!(stream = %next.stream.name, %error, "a new generation waits");
                    shared.note(&next, |it| it.waiting_for = Some(error));
                    tokio::time::sleep(RETRY_AFTER).await;
                }
            }
        }
    }
}

impl Shared {
    fn note(&self, of: &Pending, change: impl FnOnce(&mut Pending)) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(it) = pending.iter_mut().find(|it| it.stream.id == of.stream.id) {
            change(it);
        }
    }

    async fn carry_out(&self, of: &Pending) -> Result<(), String> {
        let began = Instant::now();
        let table = Table::Stream(of.stream.id);
        let stream = self.registry.by_id(of.stream.id).ok_or("the stream is gone")?;
        let (number, schema) = stream.current().ok_or("the stream has no schema")?;
        let columns = schema.table_columns().clone();
        self.mark(of.stream.id, Marks::set).await?;
        {
            // Compaction rests meanwhile: a swap needs the files that it found.
            let _held = self.housekeeping.lock().await;
            self.note(of, |it| it.phase = "rewriting");
            while self.rewrite(of, table, number, columns.clone(), &stream).await? {
                self.forgetting.follower.commit_now().await.map_err(|error| error.to_string())?;
            }
        }
        let seconds = began.elapsed().as_secs_f64();
        tracing::info!(stream = %stream.name, rows = of.outdated.rows, seconds, "the new generation is there");
        self.note(of, |it| it.phase = "forgetting");
        let tell = |waiting| self.note(of, |it| it.waiting_for = Some(waiting));
        let mut wipe = self.forgetting.journal.begin_wipe().await.map_err(|error| error.to_string())?;
        self.forgetting.drain(wipe.through(), &tell).await?;
        self.forgetting.finish_wipe(&mut wipe, &tell).await?;
        self.forgetting.forget(self.forgetting.lake.eraser(), table, &tell).await?;
        self.mark(of.stream.id, Marks::clear).await?;
        tracing::info!(stream = %stream.name, "nothing is left of the old generation");
        Ok(())
    }

    async fn mark(&self, of: StreamId, change: fn(&Marks, StreamId) -> io::Result<()>) -> Result<(), String> {
        let marks = self.marks.clone();
        let changed = tokio::task::spawn_blocking(move || change(&marks, of)).await;
        changed
            .map_err(|error| error.to_string())?
            .map_err(|error| format!("cannot mark the generation: {error}"))
    }

    /// Returns whether the committer has something to do for it.
    async fn rewrite(
        &self,
        of: &Pending,
        table: Table,
        number: SchemaNumber,
        columns: SchemaRef,
        stream: &Arc<Stream>,
    ) -> Result<bool, String> {
        let mut rewriter = self.forgetting.lake.rewriter();
        let Keys { hash, vault } = self.keys.clone();
        let mut steps = Steps::protecting(stream, hash, vault);
        let (start, read, stop) = (of.start, of.read.clone(), self.stop.clone());
        read.store(0, Ordering::Relaxed);
        let turned = background::run("hw-generation", move || {
            let mut pace = |bytes| {
                read.fetch_add(bytes, Ordering::Relaxed);
                !stop.is_cancelled()
            };
            rewriter.turn(table, start, (number, &columns), &mut steps, &mut pace)
        });
        match turned.await?.map_err(|error| error.to_string())? {
            RewriteTurn::Offered | RewriteTurn::Waiting => Ok(true),
            RewriteTurn::Current => Ok(false),
            RewriteTurn::Stopped => Err("told to stop".to_owned()),
        }
    }
}

/// Which streams have bytes of an old generation that are still to go: an empty file for each.
#[derive(Clone)]
pub struct Marks(pub PathBuf);

impl Marks {
    fn has(&self, stream: StreamId) -> bool {
        self.0.join(stream.to_string()).exists()
    }

    /// Survives a power cut once it has returned.
    fn set(&self, stream: StreamId) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        if let Some(parent) = self.0.parent() {
            fs::File::open(parent)?.sync_all()?;
        }
        fs::File::create(self.0.join(stream.to_string()))?.sync_all()?;
        fs::File::open(&self.0)?.sync_all()
    }

    fn clear(&self, stream: StreamId) -> io::Result<()> {
        match fs::remove_file(self.0.join(stream.to_string())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::File::open(&self.0)?.sync_all(),
        }
    }
}
