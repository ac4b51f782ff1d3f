//! The door of what comes back: jobs that correct rejects, send them through the gate again, or give them up.
//! Always: one job at a time a stream, and a job holds its stream until the append it waits for is durable or failed, so
//! no reject is tried twice at once; which rejects are open is asked once, when the job has the stream. A job that dies with
//! the process left whole appends: the same order again goes on where it stood. Holds places of rejects, never more
//! bytes of events than one batch.

mod correction;
mod job;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use hw_event::{Principal, RejectCode, StreamName, Timestamp};
use hw_schema::KvFields;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

pub use self::correction::{Correction, NotCorrected};
use crate::{Gate, Written};

/// Jobs that are remembered; of those that have ended the oldest go.
const JOBS_KEPT_MAX: usize = 64;
/// Jobs at one time.
const RUNNING_MAX: usize = 4;

/// Where rejects are read.
#[async_trait]
pub trait Shelf: Send + Sync {
    /// The open ones that an order selects, by partition and offset; at most `selection.limit`, and not more than may be held.
    async fn select(&self, selection: &Selection, principal: &Principal) -> Result<Vec<Chosen>, ShelfError>;

    /// The bytes of some, as many as fit in memory, and the value of an expression over each.
    async fn open(
        &self,
        stream: &StreamName,
        places: &[Chosen],
        expression: Option<&str>,
        principal: &Principal,
    ) -> Result<Opened, ShelfError>;

    /// The value of an expression over each of these texts.
    async fn compute(
        &self,
        expression: &str,
        texts: Vec<String>,
        principal: &Principal,
    ) -> Result<Vec<Option<Vec<u8>>>, ShelfError>;
}

/// The text is for whoever gave the order; it quotes no event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShelfError(pub String);

/// Which rejects of a stream.
#[derive(Debug, Clone)]
pub struct Selection {
    pub stream: StreamName,
    pub code: Option<RejectCode>,
    /// An SQL condition on the columns of `rejects`. It has been checked to be one.
    pub condition: Option<String>,
    /// Received in `from..to`.
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
    pub limit: Option<u64>,
}

/// An open reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chosen {
    pub partition: i32,
    pub offset: i64,
    pub code: RejectCode,
    /// How often it was tried and failed again.
    pub attempts: u32,
}

#[derive(Debug, Default)]
pub struct Opened {
    pub rejects: Vec<OpenedReject>,
    /// None of the places that are missing here has a reject. Otherwise there was no room for them.
    pub complete: bool,
}

#[derive(Debug)]
pub struct OpenedReject {
    pub partition: i32,
    pub offset: i64,
    pub received_at: Timestamp,
    pub door: String,
    /// `None`: it is JSON, or as the door's records are.
    pub written: Option<Written>,
    /// `None`: the key is gone.
    pub bytes: Option<Vec<u8>>,
    /// The expression's value over the event's text; none where it has no text, being a payload.
    pub computed: Option<Vec<u8>>,
}

/// What is to be done with the rejects that a selection names.
#[derive(Debug, Clone)]
pub struct Order {
    pub task: Task,
    pub selection: Selection,
    /// Say what would happen, and write nothing.
    pub dry_run: bool,
    pub reason: Option<Arc<str>>,
    pub principal: Principal,
    /// Nobody waits for it: half of the time is left to others.
    pub gentle: bool,
}

#[derive(Debug, Clone)]
pub enum Task {
    Fix(Correction),
    Replay,
    Discard,
}

impl Task {
    fn name(&self) -> &'static str {
        match self {
            Task::Fix(_) => "fix",
            Task::Replay => "replay",
            Task::Discard => "discard",
        }
    }
}

/// Why no job was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotStarted {
    /// The stream has a job, with this number.
    Running(u64),
    TooMany,
    /// No stream has this name.
    Unknown,
    /// The stream has no schema to judge by.
    NoSchema,
    Stopping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Running,
    Done,
    Failed,
    Cancelled,
}

/// How far a job is. `selected` = `done` once it has ended well; `done` = the five behind it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub job: u64,
    pub task: &'static str,
    pub stream: StreamText,
    pub dry_run: bool,
    pub state: State,
    pub selected: u64,
    pub done: u64,
    /// They are rows now (in a dry run: would be), or given up by `discard`.
    pub passed: u64,
    /// Refused again; they stay open, with their new reason.
    pub failed: u64,
    /// The bytes can no longer be opened.
    pub payload_gone: u64,
    /// The correction does not apply; they stay as they are.
    pub not_corrected: u64,
    /// Tried too often; they stay as they are.
    pub exhausted: u64,
    /// How many of each code there were, and there are after it.
    pub before: BTreeMap<&'static str, u64>,
    pub after: BTreeMap<&'static str, u64>,
    /// Why it does not go on just now.
    pub waiting: Option<String>,
    pub error: Option<String>,
}

/// A stream's name, as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamText(pub String);

/// The handle; clones share the jobs.
#[derive(Clone)]
pub struct Replays {
    inner: Arc<Inner>,
}

struct Inner {
    gate: Gate,
    shelf: Arc<dyn Shelf>,
    /// How the records of a door are written, where that is not JSON.
    fields: HashMap<String, Arc<KvFields>>,
    stop: CancellationToken,
    // A std mutex: held to look up or to note, never across an await.
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    last: u64,
    known: VecDeque<Job>,
}

#[derive(Clone)]
struct Job {
    id: u64,
    report: Arc<Mutex<Report>>,
    cancel: CancellationToken,
}

impl Job {
    fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Replays {
    /// `stop` ends all jobs, each behind its append.
    pub fn new(
        gate: Gate,
        shelf: Arc<dyn Shelf>,
        fields: HashMap<String, Arc<KvFields>>,
        stop: CancellationToken,
    ) -> Replays {
        Replays { inner: Arc::new(Inner { gate, shelf, fields, stop, jobs: Mutex::default() }) }
    }

    /// Begins a job and says its number.
    pub fn start(&self, order: Order) -> Result<u64, NotStarted> {
        let stream = self.inner.gate.registry().by_name(order.selection.stream.as_str());
        let stream = stream.ok_or(NotStarted::Unknown)?;
        if stream.current().is_none() && !matches!(order.task, Task::Discard) {
            return Err(NotStarted::NoSchema);
        }
        if self.inner.stop.is_cancelled() {
            return Err(NotStarted::Stopping);
        }
        let name = order.selection.stream.as_str();
        let mut jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let mut running = HashSet::new();
        for job in &jobs.known {
            let report = job.report();
            if report.state == State::Running {
                if report.stream.0 == name {
                    return Err(NotStarted::Running(report.job));
                }
                running.insert(report.job);
            }
        }
        if running.len() >= RUNNING_MAX {
            return Err(NotStarted::TooMany);
        }
        jobs.last += 1;
        let id = jobs.last;
        let report = Report {
            job: id,
            task: order.task.name(),
            stream: StreamText(name.to_owned()),
            dry_run: order.dry_run,
            state: State::Running,
            selected: 0,
            done: 0,
            passed: 0,
            failed: 0,
            payload_gone: 0,
            not_corrected: 0,
            exhausted: 0,
            before: BTreeMap::new(),
            after: BTreeMap::new(),
            waiting: None,
            error: None,
        };
        let job = Job { id, report: Arc::new(Mutex::new(report)), cancel: self.inner.stop.child_token() };
        if jobs.known.len() >= JOBS_KEPT_MAX {
            let ended = jobs.known.iter().position(|job| job.report().state != State::Running);
            ended.and_then(|place| jobs.known.remove(place));
        }
        jobs.known.push_back(job.clone());
        drop(jobs);
        tokio::spawn(job::run(self.inner.clone(), job, order));
        Ok(id)
    }

    pub fn report(&self, id: u64) -> Option<Report> {
        self.find(id).map(|job| job.report().clone())
    }

    /// All that are remembered, the oldest first.
    pub fn reports(&self) -> Vec<Report> {
        let jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.known.iter().map(|job| job.report().clone()).collect()
    }

    /// Ends it behind the append it waits for. `false`: there is no such job.
    pub fn cancel(&self, id: u64) -> bool {
        self.find(id).inspect(|job| job.cancel.cancel()).is_some()
    }

    fn find(&self, id: u64) -> Option<Job> {
        let jobs = self.inner.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.known.iter().find(|job| job.id == id).cloned()
    }
}
