//! Forgetting people: what is asked for is written down, carried out to the end, and proved by a signed receipt.
//! Always: a request is durable before it is answered, and one that is durable is carried out, through any number of
//! restarts; what is written down names subjects by keyed digests only; one erasure at a time. What was acknowledged before
//! the request goes; what comes after it is new.
//!
//! 1. `requested`: the request is durable, the keys of the subjects are destroyed.
//! 2. `draining`: the journal's open segment is closed, and everything in it brought into the lake.
//! 3. `rewriting`: files with rows or rejects of the subjects are written anew without them.
//! 4. `wiping`: segments that held such events are overwritten with zeros and removed.
//! 5. `forgetting`: what is left of old versions is removed: files, commits, checkpoints.
//! 6. `done`: the receipt.

mod doomed;
mod receipt;
mod record;
mod run;
mod words;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hw_event::{Clock, Timestamp};
use hw_journal::Journal;
use hw_lake::Lake;
use hw_pipeline::FollowerHandle;
use hw_schema::Registry;
use hw_serve::{EraseRefused, EraseRequest};
use hw_vault::{HashKey, SealKeys, SigningKey, Vault};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{backup::Staging, forgetting::Forgetting};
pub use doomed::subject_paths;
pub use receipt::check as check_receipt;
use record::{Phase, Progress, Record, Store};

/// What a request may name at once.
const SUBJECTS_MAX: usize = 10_000;
const SUBJECT_BYTES_MAX: usize = 4096;
/// Requests that wait for their turn.
const WAITING_MAX: usize = 100;
/// `GET /v1/erasures` tells the newest.
const LISTED_MAX: usize = 1000;

/// What an erasure works on.
pub struct Parts {
    pub directory: PathBuf,
    /// Requests that were carried out on this data directory are marked here.
    pub applied: PathBuf,
    pub journal: Journal,
    pub lake: Lake,
    pub registry: Arc<Registry>,
    pub follower: FollowerHandle,
    pub hash_key: HashKey,
    pub seal_keys: Arc<SealKeys>,
    pub signing_key: SigningKey,
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    /// Held by whoever rewrites files of the lake: compaction, or this.
    pub housekeeping: Arc<tokio::sync::Mutex<()>>,
    /// A backup that is being copied.
    pub staging: Staging,
    pub stop: CancellationToken,
}

/// Clones are the same service.
#[derive(Clone)]
pub struct Erasures {
    shared: Arc<Shared>,
}

struct Shared {
    parts: Parts,
    store: Store,
    // Held for a look-up or a small change, never across an await or a file operation.
    known: Mutex<BTreeMap<String, Record>>,
    waiting: Mutex<VecDeque<String>>,
    wake: Notify,
}

impl Erasures {
    /// Reads what is written down. What was not carried out on this data directory waits to be.
    pub fn open(parts: Parts) -> anyhow::Result<Erasures> {
        let store = Store::open(&parts.directory, &parts.applied)?;
        let (mut known, mut waiting) = (BTreeMap::new(), Vec::new());
        for mut record in store.read_all()? {
            let applied = store.is_applied(&record.id);
            if record.phase == Phase::Done && !applied {
                record.begin_again();
            }
            if !applied {
                waiting.push((record.requested_at, record.id.clone()));
            }
            known.insert(record.id.clone(), record);
        }
        waiting.sort_unstable();
        let waiting = waiting.into_iter().map(|(_, id)| id).collect();
        let shared = Shared {
            parts,
            store,
            known: Mutex::new(known),
            waiting: Mutex::new(waiting),
            wake: Notify::new(),
        };
        Ok(Erasures { shared: Arc::new(shared) })
    }

    /// Does nothing wait or run?
    pub fn is_idle(&self) -> bool {
        lock(&self.shared.waiting).is_empty()
    }

    /// Carries out what waits, until it is told to stop.
    pub async fn run(self) {
        let shared = &self.shared;
        loop {
            let next = lock(&shared.waiting).front().cloned();
            let Some(id) = next else {
                tokio::select! {
                    () = shared.wake.notified() => continue,
                    () = shared.parts.stop.cancelled() => return,
                }
            };
            tokio::select! {
                () = shared.parts.stop.cancelled() => return,
                () = run::carry_out(shared, &id) => {}
            }
            lock(&shared.waiting).retain(|waiting| *waiting != id);
        }
    }
}

#[async_trait::async_trait]
impl hw_serve::Erasures for Erasures {
    async fn request(&self, request: EraseRequest) -> Result<Value, EraseRefused> {
        let subjects = checked(request.subjects)?;
        let shared = &self.shared;
        if request.dry_run {
            return run::count(shared, &subjects).await.map_err(EraseRefused::Unavailable);
        }
        if lock(&shared.waiting).len() >= WAITING_MAX {
            return Err(EraseRefused::Busy);
        }
        let newest = shared.parts.journal.usage().newest_received_at.unwrap_or(Timestamp(0));
        // A clock that was set back must not save what came before.
        let requested_at = shared.parts.clock.now().max(newest);
        let digests = subjects.iter().map(|subject| doomed::digest(&shared.parts.hash_key, subject));
        let keys = subjects.iter().map(|subject| shared.parts.vault.subject_id(subject)).collect();
        let record = Record::new(requested_at, digests.collect(), keys, request.reason, request.principal);
        let (kept, copy) = (shared.clone(), record.clone());
        let written = tokio::task::spawn_blocking(move || kept.store.write(&copy)).await;
        written.map_err(|error| EraseRefused::Unavailable(error.to_string()))?.map_err(EraseRefused::Disk)?;
        let told = record.told();
        lock(&shared.known).insert(record.id.clone(), record.clone());
        lock(&shared.waiting).push_back(record.id);
        shared.wake.notify_one();
        Ok(told)
    }

    fn list(&self) -> Vec<Value> {
        let known = lock(&self.shared.known);
        let mut records: Vec<&Record> = known.values().collect();
        records.sort_by_key(|record| std::cmp::Reverse((record.requested_at, &record.id)));
        records.into_iter().take(LISTED_MAX).map(Record::told).collect()
    }

    fn get(&self, id: &str) -> Option<Value> {
        lock(&self.shared.known).get(id).map(Record::told)
    }
}

impl Shared {
    fn forgetting(&self) -> Forgetting {
        let Parts { journal, lake, follower, .. } = &self.parts;
        Forgetting { journal: journal.clone(), lake: lake.clone(), follower: follower.clone() }
    }

    /// Notes how far an erasure has come; for those who watch, not for a restart.
    fn progress(&self, id: &str, change: impl FnOnce(&mut Progress)) {
        if let Some(record) = lock(&self.known).get_mut(id) {
            change(&mut record.progress);
        }
    }
}

/// What a caller named, each once. What they named is not repeated in an error.
fn checked(subjects: Vec<String>) -> Result<Vec<String>, EraseRefused> {
    let bad = |detail: String| Err(EraseRefused::Bad(detail));
    if subjects.is_empty() {
        return bad("no subject is named".to_owned());
    }
    if subjects.len() > SUBJECTS_MAX {
        return bad(format!("{} subjects are named; at most {SUBJECTS_MAX} at once", subjects.len()));
    }
    for (at, subject) in subjects.iter().enumerate() {
        if subject.is_empty() {
            return bad(format!("subject {} is empty", at + 1));
        }
        if subject.len() > SUBJECT_BYTES_MAX {
            return bad(format!(
                "subject {} has {} bytes; at most {SUBJECT_BYTES_MAX}",
                at + 1,
                subject.len()
            ));
        }
    }
    let mut subjects = subjects;
    subjects.sort_unstable();
    subjects.dedup();
    Ok(subjects)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The answer to a request that only counts.
fn counted(streams: &BTreeMap<String, u64>, rejects: u64, subjects: usize) -> Value {
    json!({ "dry_run": true, "subjects": subjects, "rows": streams, "rejects": rejects })
}
