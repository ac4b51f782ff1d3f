//! Carrying out one erasure.
//! Always: each step can be done again from the beginning, so that a restart at any moment only repeats work; an error is
//! told and the step tried again, never skipped.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use hw_event::Timestamp;
use hw_lake::{Doomed, EraseTurn, Eraser, LakeError, Table};
use serde_json::Value;

use super::{
    Shared, counted,
    doomed::{Digest, Rejects, Rows, Subjects, digest, subject_paths},
    lock,
    receipt::{self, Done},
    record::{Phase, Record},
};

const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A table, its name, and what is looked for in it.
struct Work {
    table: Table,
    name: String,
    doomed: Box<dyn Doomed + Send>,
}

/// How many rows and rejects of these subjects there are; nothing is changed.
pub(super) async fn count(shared: &Arc<Shared>, subjects: &[String]) -> Result<Value, String> {
    let parts = &shared.parts;
    parts.follower.commit_now().await.map_err(|error| error.to_string())?;
    let digests: Vec<Digest> = subjects.iter().map(|subject| digest(&parts.hash_key, subject)).collect();
    let work = work_of(shared, &digests, Timestamp(i64::MAX));
    let (mut eraser, stop) = (parts.lake.eraser(), parts.stop.clone());
    let counts = tokio::task::spawn_blocking(move || {
        let (mut rows, mut rejects) = (BTreeMap::new(), 0);
        for mut work in work {
            let found = eraser.count(work.table, &mut *work.doomed, &mut |_| !stop.is_cancelled())?;
            match work.table {
                Table::Stream(_) => drop(rows.insert(work.name, found)),
                _ => rejects = found,
            }
        }
        Ok((rows, rejects))
    });
    let counts: Result<_, LakeError> = counts.await.map_err(|error| error.to_string())?;
    let (rows, rejects) = counts.map_err(|error| error.to_string())?;
    Ok(counted(&rows, rejects, subjects.len()))
}

/// Until it is done, or dropped.
pub(super) async fn carry_out(shared: &Arc<Shared>, id: &str) {
    let Some(mut record) = lock(&shared.known).get(id).cloned() else { return };
    tracing::info!(erasure = id, subjects = record.hex_digests().len(), "an erasure begins");
    loop {
        match attempt(shared, &mut record).await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(erasure = id, %error, "an erasure waits");
                shared.progress(id, |progress| progress.waiting_for = Some(error));
                tokio::time::sleep(RETRY_AFTER).await;
            }
        }
    }
    metrics::counter!("headwater_erasures_total").increment(1);
    tracing::info!(erasure = id, "an erasure is done");
}

async fn attempt(shared: &Arc<Shared>, record: &mut Record) -> Result<(), String> {
    let digests = record.digests().map_err(|error| format!("{error:#}"))?;
    let mut work = work_of(shared, &digests, Timestamp(record.requested_at));
    let mut done = Done::default();

    if record.before.is_none() {
        let before = work.iter().map(|work| (work.name.clone(), erased(shared, work.table)));
        record.before = Some(before.collect());
    }
    // What is staged would be copied to its end, with all that goes.
    shared.parts.staging.take_away().await?;
    // First of all, and at once: what is sealed under these keys is gone, wherever its bytes are.
    let subjects = record.vault_subjects().map_err(|error| format!("{error:#}"))?;
    let vault = shared.parts.vault.clone();
    let destroyed = tokio::task::spawn_blocking(move || vault.destroy(&subjects)).await;
    let destroyed = destroyed.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    record.keys += destroyed.subjects;
    record.entries += destroyed.entries;

    enter(shared, record, Phase::Draining).await?;
    let mut wipe = shared.parts.journal.begin_wipe().await.map_err(|error| error.to_string())?;
    done.through = wipe.through().0;
    let forgetting = shared.forgetting();
    forgetting.drain(wipe.through(), &tell(shared, &record.id)).await?;

    enter(shared, record, Phase::Rewriting).await?;
    let mut eraser = shared.parts.lake.eraser();
    {
        // Compaction rests meanwhile: what it makes of old files would hold the rows once more.
        let _held = shared.parts.housekeeping.lock().await;
        for work in &mut work {
            eraser = rewrite(shared, record, eraser, work).await?;
        }
    }

    enter(shared, record, Phase::Wiping).await?;
    forgetting.finish_wipe(&mut wipe, &tell(shared, &record.id)).await?;
    (done.segments, done.segment_bytes) = wipe.wiped();
    drop(wipe);

    enter(shared, record, Phase::Forgetting).await?;
    for Work { table, name, .. } in work {
        eraser = forgetting.forget(eraser, table, &tell(shared, &record.id)).await?;
        let version = shared.parts.lake.table(table).map(|table| table.version);
        done.versions.extend(version.map(|version| (name, version)));
    }
    (done.files, done.bytes) = eraser.searched();

    let finished_at = shared.parts.clock.now();
    record.receipt = Some(receipt::make(record, &done, finished_at, &shared.parts.signing_key));
    enter(shared, record, Phase::Done).await?;
    let (kept, id) = (shared.clone(), record.id.clone());
    let marked = tokio::task::spawn_blocking(move || kept.store.mark_applied(&id)).await;
    marked.map_err(|error| error.to_string())?.map_err(|error| format!("cannot mark it as done: {error}"))
}

/// Tells those who watch what is waited for.
fn tell<'a>(shared: &'a Shared, id: &'a str) -> impl Fn(String) + Send + Sync + 'a {
    |waiting| shared.progress(id, |progress| progress.waiting_for = Some(waiting))
}

/// Writes down how far it has come.
async fn enter(shared: &Arc<Shared>, record: &mut Record, phase: Phase) -> Result<(), String> {
    record.phase = phase;
    let (kept, copy) = (shared.clone(), record.clone());
    let written = tokio::task::spawn_blocking(move || kept.store.write(&copy)).await;
    written
        .map_err(|error| error.to_string())?
        .map_err(|error| format!("cannot write down the erasure: {error}"))?;
    let mut known = lock(&shared.known);
    if let Some(known) = known.get_mut(&record.id) {
        let progress = std::mem::take(&mut known.progress);
        *known = record.clone();
        known.progress = progress;
        known.progress.waiting_for = None;
    }
    Ok(())
}

/// Every stream that says whose its events are, and the rejects.
fn work_of(shared: &Shared, digests: &[Digest], before: Timestamp) -> Vec<Work> {
    let parts = &shared.parts;
    let subjects = Subjects {
        digests: Arc::new(digests.iter().copied().collect()),
        key: parts.hash_key.clone(),
        before,
    };
    let (mut work, mut without) = (Vec::new(), HashSet::new());
    for stream in parts.registry.all() {
        let paths = subject_paths(&stream);
        if paths.is_empty() {
            // Of a name without a schema nobody knows what its events hold.
            if !stream.versions.is_empty() {
                without.insert(stream.name.to_string());
            }
            continue;
        }
        let doomed = Box::new(Rows::new(subjects.clone(), paths));
        work.push(Work { table: Table::Stream(stream.id), name: stream.name.to_string(), doomed });
    }
    let doomed = Box::new(Rejects { subjects, without, seal_keys: parts.seal_keys.clone() });
    work.push(Work { table: Table::Rejects, name: "rejects".to_owned(), doomed });
    work
}

async fn rewrite(
    shared: &Arc<Shared>,
    record: &mut Record,
    mut eraser: Eraser,
    work: &mut Work,
) -> Result<Eraser, String> {
    shared.progress(&record.id, |progress| progress.table = Some(work.name.clone()));
    loop {
        let stop = shared.parts.stop.clone();
        let (table, mut doomed) = (work.table, std::mem::replace(&mut work.doomed, Box::new(Nothing)));
        let turned = tokio::task::spawn_blocking(move || {
            let turn = eraser.turn(table, &mut *doomed, &mut |_| !stop.is_cancelled());
            (eraser, doomed, turn)
        });
        let turn;
        (eraser, work.doomed, turn) = turned.await.map_err(|error| error.to_string())?;
        let (files, bytes) = eraser.searched();
        shared.progress(&record.id, |progress| (progress.files, progress.bytes) = (files, bytes));
        match turn.map_err(|error| error.to_string())? {
            EraseTurn::Offered { .. } | EraseTurn::Waiting => {
                shared.parts.follower.commit_now().await.map_err(|error| error.to_string())?;
            }
            EraseTurn::Clean => break,
            EraseTurn::Stopped => return Err("told to stop".to_owned()),
        }
    }
    let before =
        record.before.as_ref().and_then(|before| before.get(&work.name)).cloned().unwrap_or_default();
    let counts = match work.table {
        Table::Stream(_) => &mut record.rows,
        _ => &mut record.rejects,
    };
    for (name, rows) in erased(shared, work.table) {
        let rows = rows.saturating_sub(before.get(&name).copied().unwrap_or(0));
        if rows > 0 {
            counts.insert(name, rows);
        }
    }
    Ok(eraser)
}

/// What a table has lost so far.
fn erased(shared: &Shared, table: Table) -> BTreeMap<String, u64> {
    shared.parts.lake.table(table).map(|table| (*table.erased).clone()).unwrap_or_default()
}

/// Stands in while another thread has the real one.
struct Nothing;

impl Doomed for Nothing {
    fn columns(&self) -> Vec<&str> {
        Vec::new()
    }

    fn rows(&mut self, batch: &arrow::array::RecordBatch) -> arrow::array::BooleanArray {
        arrow::array::BooleanArray::from(vec![false; batch.num_rows()])
    }
}
