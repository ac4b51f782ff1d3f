//! The committer: takes deliveries into memory, and makes them durable in rounds.
//! Always: a row is in at most one place, the buffer of its table or a committed file; a table's commit
//! carries the append through which the table holds everything; nothing is committed that is not synced.
//!
//! A round, over the tables that have something:
//! 1. Write each table's rows to one new file and sync it, a few tables at a time.
//! 2. Sync the directories of the new files.
//! 3. Commit each table, first in its manifest and then in its log, a few at a time. Their syncs meet in the file system's journal and share its writes.
//!    After it, in the same way, what compaction has made ready.
//! 4. Checkpoint the tables whose log has grown long enough.
//!
//! A table that fails keeps what it has, rows or written files, and holds back only the returned position. One that could
//! not be opened is tried again before step 1.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::{Arc, PoisonError},
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, stream};
use hw_event::{SchemaNumber, Seq, StreamName, Tally, Timestamp};
use hw_pipeline::{Delivery, Positions, Sink, SinkError, helper, spawn_heavy};
use hw_schema::{Stream, rows};

use crate::{
    LakeError, Table,
    buffer::{Buffer, Encodings},
    compact::Removed,
    data_file::{self, DataFile},
    delta::{Addition, Before, DeltaHome, Replacement},
    lake::Shared,
    rewritten,
    store::create_directories,
};

/// About what an entry of the ledger takes in memory.
const LEDGER_ENTRY_BYTES: usize = 256;

pub struct LakeSink {
    lake: Arc<Shared>,
    buffers: BTreeMap<Table, Buffer>,
    /// The ledger's rows of this round: one a stream, minute and door.
    tallies: HashMap<(StreamName, Timestamp, String), (Seq, Tally)>,
    /// The last append that was delivered.
    applied: Seq,
    rewind: Option<Seq>,
}

impl LakeSink {
    pub(crate) fn new(lake: Arc<Shared>) -> LakeSink {
        let mut sink = LakeSink {
            lake,
            buffers: BTreeMap::new(),
            tallies: HashMap::new(),
            applied: Seq::ZERO,
            rewind: None,
        };
        for table in sink.lake.tables_out_of_service() {
            sink.shut_out(table);
        }
        sink
    }

    /// Nobody knows what the table holds: it takes nothing, and the log keeps everything, until it can be opened.
    fn shut_out(&mut self, table: Table) {
        let mut buffer = match table {
            Table::Rejects => Buffer::of_rejects(Seq::ZERO),
            Table::Ledger => Buffer::of_ledger(Seq::ZERO),
            Table::Stream(id) => {
                let Some(stream) = self.lake.registry.by_id(id) else { return };
                let Some((number, schema)) = stream.current() else { return };
                Buffer::of_stream(&stream, number, schema, Seq::ZERO)
            }
        };
        buffer.set_stuck(true);
        buffer.overflowed = true;
        self.buffers.insert(table, buffer);
    }

    /// Tries to open what is out of service: somebody may have restored its files.
    async fn readmit(&mut self) {
        for table in self.lake.tables_out_of_service() {
            let Some(buffer) = self.buffers.get_mut(&table) else { continue };
            match self.lake.open_table(table, buffer.name.clone()).await {
                Ok(()) => {
                    buffer.held = self.lake.committed(table).map_or(Seq::ZERO, |state| state.snapshot.seq);
                    buffer.set_stuck(false);
                    buffer.overflowed = false;
                    self.rewind = Some(self.rewind.map_or(buffer.held, |rewind| rewind.min(buffer.held)));
                    tracing::info!(table = %buffer.name, "the table is in service again");
                    self.lake.set_out_of_service(table, None);
                }
                Err(error) => self.lake.set_out_of_service(table, Some(error)),
            }
        }
    }

    /// The table's buffer, made with the position that the table has committed.
    fn buffer(&mut self, table: Table, make: impl FnOnce(Seq) -> Buffer) -> &mut Buffer {
        let lake = &self.lake;
        self.buffers.entry(table).or_insert_with(|| {
            make(lake.committed(table).map_or(Seq::ZERO, |committed| committed.snapshot.seq))
        })
    }

    /// Sees to a buffer that has at least the columns of schema `number`.
    fn prepare_stream(&mut self, stream: &Stream, number: SchemaNumber) -> Result<(), SinkError> {
        let table = Table::Stream(stream.id);
        if self.buffers.get(&table).is_some_and(|buffer| buffer.schema >= Some(number)) {
            return Ok(());
        }
        // Rows of an older schema get the columns that their table has already.
        let committed = self.lake.committed(table).and_then(|committed| committed.schema);
        let number = committed.map_or(number, |committed| committed.max(number));
        let registered = self.lake.registry.by_id(stream.id);
        let schema = registered.as_deref().and_then(|stream| stream.version(number)).ok_or_else(|| {
            SinkError::new(format!("stream {} has no schema {number} in the registry", stream.name))
        })?;
        let buffer = self.buffer(table, |held| Buffer::of_stream(stream, number, schema, held));
        buffer.raise_schema(number, schema);
        Ok(())
    }

    fn rejects_buffer(&mut self) -> &mut Buffer {
        self.buffer(Table::Rejects, Buffer::of_rejects)
    }

    fn ledger_buffer(&mut self) -> &mut Buffer {
        self.buffer(Table::Ledger, Buffer::of_ledger)
    }

    fn take_tally(&mut self, name: StreamName, seq: Seq, tally: Tally) {
        let buffer = self.ledger_buffer();
        if !buffer.wants(seq) {
            return;
        }
        buffer.first.get_or_insert(seq);
        let key = (name, tally.first_at.minute(), tally.door.clone());
        match self.tallies.get_mut(&key) {
            Some((last, sum)) => {
                *last = seq;
                sum.add(&tally);
            }
            None => {
                self.tallies.insert(key, (seq, tally));
                self.ledger_buffer().bytes += LEDGER_ENTRY_BYTES;
            }
        }
    }

    /// The round's tallies become rows, in an order that does not depend on a hash.
    fn flush_tallies(&mut self) {
        if self.tallies.is_empty() {
            return;
        }
        let mut entries: Vec<_> =
            self.tallies.drain().map(|((name, _, _), (seq, tally))| (name, seq, tally)).collect();
        entries.sort_by(|(a, _, x), (b, _, y)| (a, x.first_at, &x.door).cmp(&(b, y.first_at, &y.door)));
        let batch = rows::ledger_table_batch(&entries);
        let buffer = self.ledger_buffer();
        buffer.bytes = buffer.bytes.saturating_sub(entries.len() * LEDGER_ENTRY_BYTES);
        buffer.push(batch);
    }

    /// Tables in trouble may not fill the memory: together they hold so much, then they let go of the rest.
    fn bound_stuck_tables(&mut self, through: Seq) {
        let mut stuck_bytes = 0;
        for buffer in self.buffers.values_mut() {
            if buffer.is_stuck() {
                stuck_bytes += buffer.bytes;
            }
            if !buffer.overflowed {
                buffer.held = buffer.held.max(through);
            }
        }
        if stuck_bytes > self.lake.settings.stuck_bytes_max {
            for buffer in self.buffers.values_mut().filter(|buffer| buffer.is_stuck()) {
                buffer.overflowed = true;
            }
        }
    }

    /// Step 1 and 2. Returns the tables that have files to commit, and those that failed.
    async fn write_files(&mut self) -> Vec<(Table, LakeError)> {
        let lake = &*self.lake;
        let buffers = self.buffers.values_mut().filter(|buffer| buffer.has_rows());
        let work: Vec<_> = buffers.map(|buffer| write_table(lake, buffer).boxed()).collect();
        let outcomes: Vec<_> =
            stream::iter(work).buffer_unordered(lake.settings.tables_in_flight).collect().await;
        outcomes.into_iter().filter_map(|(table, outcome)| Some((table, outcome.err()?))).collect()
    }

    /// Step 3.
    async fn commit_tables(&mut self) -> Vec<(Table, Result<(), LakeError>)> {
        let lake = &*self.lake;
        let held = lake.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Rows of the new generation wait, written and durable, until the old ones are of it too.
        let ready = |buffer: &&mut Buffer| !buffer.written.is_empty() && !held.contains(&buffer.table);
        let buffers = self.buffers.values_mut().filter(ready);
        let work: Vec<_> = buffers.map(|buffer| commit_table(lake, buffer).boxed()).collect();
        stream::iter(work).buffer_unordered(lake.settings.tables_in_flight).collect().await
    }

    /// The second part of step 3. One that fails is tried again in the next round, and is no fault of its table.
    async fn commit_replacements(&mut self) -> Vec<Table> {
        let lake = &*self.lake;
        let work = lake
            .offers
            .all()
            .into_iter()
            .map(|(table, offer)| async move { (table, replace_files(lake, table, &offer).await) });
        let work: Vec<_> = work.map(FutureExt::boxed).collect();
        let outcomes: Vec<_> =
            stream::iter(work).buffer_unordered(lake.settings.tables_in_flight).collect().await;
        let mut replaced = Vec::new();
        for (table, outcome) in outcomes {
            match outcome {
                Ok(true) => replaced.push(table),
                Ok(false) => {}
                Err(error) => tracing::warn!(?table, %error, "compacted files wait for their commit"),
            }
        }
        replaced
    }

    /// Logs that must be forgotten get a checkpoint to begin with, whatever their length.
    async fn begin_logs_anew(&self) {
        let stale: Vec<Table> = {
            let stale = self.lake.stale_logs.lock().unwrap_or_else(PoisonError::into_inner);
            stale.iter().copied().collect()
        };
        for table in stale {
            let Some(name) = self.lake.name(table) else { continue };
            let outcome = match self.lake.home(table, &name) {
                Ok(home) => home.checkpoint(Before::GivenUp, &self.lake.registry).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(state) => {
                    if let Some(state) = state {
                        self.lake.publish(table, Arc::new(state));
                    }
                    self.lake.stale_logs.lock().unwrap_or_else(PoisonError::into_inner).remove(&table);
                }
                Err(error) => tracing::warn!(table = %name, %error, "a log could not be begun anew"),
            }
        }
    }

    /// Step 4. A checkpoint only makes the next open faster: failing to write one is no fault of the table.
    async fn write_checkpoints(&self, committed: &[Table]) {
        for &table in committed {
            let (Some(name), Some(state)) = (self.lake.name(table), self.lake.committed(table)) else {
                continue;
            };
            if !state.wants_checkpoint(self.lake.settings.checkpoint_every) {
                continue;
            }
            let home = self.lake.home(table, &name);
            let outcome = match home {
                Ok(home) => home.checkpoint(Before::KeptForAWhile, &self.lake.registry).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(Some(state)) => self.lake.publish(table, Arc::new(state)),
                Ok(None) => {}
                Err(error) => tracing::warn!(table = %name, %error, "no checkpoint was written"),
            }
        }
    }

    /// Everything through here is durable in every table.
    fn releasable(&self) -> Seq {
        let held_back = self.buffers.values().filter_map(|buffer| {
            let uncommitted = buffer.first.map(|first| Seq(first.0.saturating_sub(1)));
            let let_go = buffer.overflowed.then_some(buffer.held);
            uncommitted.into_iter().chain(let_go).min()
        });
        held_back.min().unwrap_or(self.applied).min(self.applied)
    }
}

#[async_trait]
impl Sink for LakeSink {
    fn name(&self) -> &str {
        "lake"
    }

    fn positions(&self) -> Positions {
        let of = |table: Table| match self.buffers.get(&table) {
            // What it let go of is delivered again after a rewind; until then it wants nothing.
            Some(buffer) if buffer.overflowed => Seq(u64::MAX),
            Some(buffer) => buffer.held,
            None => self.lake.committed(table).map_or(Seq::ZERO, |committed| committed.snapshot.seq),
        };
        let streams = self.lake.registry.all();
        Positions {
            rows: streams.iter().map(|stream| (stream.id, of(Table::Stream(stream.id)))).collect(),
            rejects: of(Table::Rejects),
            ledger: of(Table::Ledger),
        }
    }

    async fn apply(&mut self, delivery: Delivery) -> Result<(), SinkError> {
        // What can fail comes first: a delivery is taken whole or not at all.
        for rows in &delivery.rows {
            self.prepare_stream(&rows.stream, rows.number)?;
        }
        for rows in delivery.rows {
            if let Some(buffer) = self.buffers.get_mut(&Table::Stream(rows.stream.id)) {
                buffer.take(rows.seq, rows.batch);
            }
        }
        for rejects in delivery.rejects {
            self.rejects_buffer().take(rejects.seq, rejects.batch);
        }
        for (name, seq, tally) in delivery.tallies {
            self.take_tally(name, seq, tally);
        }
        self.applied = self.applied.max(delivery.through);
        self.bound_stuck_tables(delivery.through);
        Ok(())
    }

    /// Tables in trouble are left out: another commit would not make their rows durable.
    fn pending_bytes(&self) -> usize {
        self.buffers.values().filter(|buffer| !buffer.is_stuck()).map(|buffer| buffer.bytes).sum()
    }

    async fn commit(&mut self) -> Result<Seq, SinkError> {
        let rounds = self.lake.rounds.clone();
        let _round = rounds.lock().await;
        self.flush_tallies();
        self.readmit().await;
        let mut failed: BTreeMap<Table, String> = BTreeMap::new();
        for (table, error) in self.write_files().await {
            failed.insert(table, error.to_string());
        }
        let mut committed = BTreeSet::new();
        for (table, outcome) in self.commit_tables().await {
            match outcome {
                Ok(()) => {
                    committed.insert(table);
                }
                Err(error) => {
                    failed.insert(table, error.to_string());
                }
            }
        }
        for (&table, buffer) in &mut self.buffers {
            let error = failed.remove(&table);
            let attempted = error.is_some() || committed.contains(&table);
            if !attempted {
                continue;
            }
            buffer.set_stuck(error.is_some());
            if !buffer.is_stuck() && buffer.overflowed {
                buffer.overflowed = false;
                self.rewind = Some(self.rewind.map_or(buffer.held, |rewind| rewind.min(buffer.held)));
            }
            let text = error.clone().unwrap_or_default();
            if self.lake.set_fault(table, error) {
                if buffer.is_stuck() {
                    tracing::error!(table = %buffer.name, error = %text, "a table cannot commit; its rows wait");
                } else {
                    tracing::info!(table = %buffer.name, "the table commits again");
                }
            }
        }
        metrics::counter!("headwater_lake_commits_total").increment(committed.len() as u64);
        // Between the two a table's log may have become long enough, so each commit is followed by a look.
        let appended: Vec<_> = committed.into_iter().collect();
        self.write_checkpoints(&appended).await;
        let replaced = self.commit_replacements().await;
        self.write_checkpoints(&replaced).await;
        self.begin_logs_anew().await;
        // A table that has to be served again holds the log back although its buffer is empty.
        Ok(self.releasable().min(self.rewind.unwrap_or(Seq(u64::MAX))))
    }

    fn rewind(&mut self) -> Option<Seq> {
        let rewind = self.rewind.take()?;
        self.applied = self.applied.min(rewind);
        Some(rewind)
    }
}

/// Writes and syncs what the buffer holds. The rows leave the memory only once their file is safe.
async fn write_table(lake: &Shared, buffer: &mut Buffer) -> (Table, Result<(), LakeError>) {
    (buffer.table, write_rows(lake, buffer).await)
}

async fn write_rows(lake: &Shared, buffer: &mut Buffer) -> Result<(), LakeError> {
    let directory = lake.root.join(&buffer.name);
    let work = buffer.to_write();
    let dense_rows = lake.dense_rows(buffer.table);
    let helper = helper();
    let syncs = lake.syncs.clone();
    let path = directory.clone();
    let (file, encodings): (DataFile, Encodings) = spawn_heavy(move || {
        let io_error = |source| LakeError::Io { path: path.clone(), source };
        create_directories(&*syncs, &path).map_err(io_error)?;
        let batches = work.batches().map_err(|source| LakeError::Rows { directory: path.clone(), source })?;
        let spec = work.spec(path.clone(), &batches, dense_rows);
        let encodings = work.encodings(&spec, &batches)?;
        let file = data_file::write(spec, &encodings.choices, &batches, &*syncs, helper.as_ref())?;
        let synced = syncs.directory(&path).map_err(io_error);
        if synced.is_err() {
            // The rows stay in memory and go into another file; this one would belong to nobody.
            let _ = std::fs::remove_file(path.join(&file.name));
        }
        synced.map(|()| (file, encodings))
    })
    .await
    .map_err(|_| LakeError::Panicked { directory })??;
    buffer.wrote(file, encodings);
    Ok(())
}

/// Returns whether the table has the new files now. It is too late for them if another commit took one of the old ones
/// away; they are then removed as what nobody needs any more.
async fn replace_files(lake: &Shared, table: Table, offer: &Replacement) -> Result<bool, LakeError> {
    let home = lake.home(table, &offer.name)?;
    let now = lake.settings.clock.now();
    let replaced = match lake.committed(table) {
        Some(base) => home.replace(base, offer, now, &lake.registry).await?,
        None => None,
    };
    let since = now.0.div_euclid(1000);
    let done = replaced.is_some();
    match replaced {
        Some(committed) => {
            // First: who looks for an older version's files finds them in the table or here.
            lake.trash.add(table, offer.removes.iter().map(|file| Removed::file(file, since)));
            lake.publish(table, committed);
            if offer.schema.is_some() {
                lake.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&table);
            }
        }
        None => {
            if offer.schema.is_some() {
                // What is to be removed must not be found again by the next rewrite.
                let live = HashSet::new();
                rewritten::discard(&home.directory, &live, &*lake.syncs)?;
            }
            let files = offer.adds.iter().map(|file| Removed::name(&offer.name, &file.name, since));
            lake.trash.add(table, files);
        }
    }
    lake.offers.take(table);
    Ok(done)
}

async fn commit_table(lake: &Shared, buffer: &mut Buffer) -> (Table, Result<(), LakeError>) {
    (buffer.table, commit_files(lake, buffer).await)
}

async fn commit_files(lake: &Shared, buffer: &mut Buffer) -> Result<(), LakeError> {
    let home: DeltaHome = lake.home(buffer.table, &buffer.name)?;
    let through = buffer.written.iter().map(|file| file.through).max().unwrap_or(buffer.held);
    let addition = Addition {
        files: &buffer.written,
        through,
        columns: &buffer.columns,
        schema: buffer.schema,
        now: lake.settings.clock.now(),
    };
    let committed = home.commit(lake.committed(buffer.table), addition, &lake.registry).await?;
    lake.publish(buffer.table, committed);
    buffer.committed();
    Ok(())
}
