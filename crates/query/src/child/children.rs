//! The server's side: a few processes, each of which runs one statement at a time.
//! Always: whoever waits for an answer has it, or an error, within the statement's time; a process that does not end its
//! statement a moment later is killed, and its place is free again only then. A process that dies costs its own statement.
//! The first statement starts the first process, and another one in advance: so one is ready for whoever comes while others
//! run, or after one has died. All end that have had nothing to do for a while.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use hw_event::Principal;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout_at},
};

use super::{
    account::Budget,
    cut::{let_go, to_tables},
    rows::Receiver,
    wire::{self, Ask, End, Setup, to_child, to_server},
    worker::{Launch, Worker},
};
use crate::{
    Answer, Cut, Engine, Names, PayloadOpener, QueryError, SqlSettings,
    answer::Item,
    engine::names_in,
    runner::{BATCHES_AHEAD, STATEMENTS_MAX},
    threads::Work,
};

/// How often a statement's hot rows are looked after: they may be wanted back.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Runs statements in processes of their own. A handle; clones share the processes.
#[derive(Clone)]
pub struct Children {
    shared: Arc<Shared>,
}

struct Shared {
    setup: Setup,
    idle_time: Duration,
    launch: Box<dyn Launch>,
    opener: Arc<dyn PayloadOpener>,
    budget: Arc<Budget>,
    places: Arc<Semaphore>,
    // A std mutex: held to push or to take, never across an await.
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The one that was used last is at the end, and used next.
    workers: Vec<Worker>,
    /// One that was started in advance and has taken no statement.
    spare: Spare,
    /// A task looks after those that have been idle for long.
    looked_after: bool,
}

#[derive(Default)]
enum Spare {
    #[default]
    None,
    /// Somebody is about to put it here.
    Starts,
    Ready(Worker),
}

impl Children {
    /// `house` is for whoever prepares the processes. `idle_time` is how long a process is kept that has nothing to do.
    pub fn new(
        settings: SqlSettings,
        house: Vec<u8>,
        idle_time: Duration,
        launch: Box<dyn Launch>,
        opener: Arc<dyn PayloadOpener>,
    ) -> Children {
        Children {
            shared: Arc::new(Shared {
                budget: Arc::new(Budget::new(settings.memory)),
                setup: Setup { settings, house },
                idle_time,
                launch,
                opener,
                places: Arc::new(Semaphore::new(STATEMENTS_MAX)),
                idle: Mutex::default(),
            }),
        }
    }
}

#[async_trait]
impl Engine for Children {
    async fn names(&self, text: &str) -> Result<Names, QueryError> {
        names_in(text, self.shared.setup.settings.limits()).await
    }

    async fn run(&self, text: &str, principal: &Principal, mut cut: Cut) -> Result<Answer, QueryError> {
        let time_max = self.shared.setup.settings.time;
        let deadline = Instant::now() + time_max;
        let names = self.names(text).await?;
        let_go(&mut cut, &names);
        let place = timeout_at(deadline, Arc::clone(&self.shared.places).acquire_owned()).await;
        let place = place
            .map_err(|_| QueryError::Time(time_max))?
            .map_err(|_| QueryError::Internal("the processes are closed".to_owned()))?;
        let (schema_sender, schema) = oneshot::channel();
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD);
        let statement =
            Arc::new(Statement { text: text.to_owned(), principal: principal.clone(), names, cut, deadline });
        let shared = Arc::clone(&self.shared);
        let work = Work::spawn(async move {
            let _way = shared.launch.make_way();
            let running = Running::begin(Arc::clone(&shared), place, &statement).await?;
            running.finish(&statement.cut, schema_sender, sender).await
        });
        Answer::begun(schema, batches, work, deadline, time_max).await
    }
}

struct Statement {
    text: String,
    principal: Principal,
    /// Every name that stands in the text.
    names: Names,
    /// Held until the statement has ended: its leases live in it.
    cut: Cut,
    deadline: Instant,
}

impl Statement {
    fn frame(&self, worker: &mut Worker) -> Result<Vec<u8>, QueryError> {
        let internal = |fault: String| QueryError::Internal(format!("a statement cannot be sent: {fault}"));
        let streams = self.names.may_mean_streams().then(|| wire::batch_bytes(&self.cut.streams));
        let streams = streams.transpose().map_err(|fault| internal(fault.to_string()))?;
        let ask = Ask {
            text: self.text.clone(),
            principal: self.principal.name().to_owned(),
            tables: to_tables(&self.cut, &self.names, &mut worker.lists)?,
            streams: streams.map(wire::Bytes),
            time_left: self.deadline.saturating_duration_since(Instant::now()),
        };
        let ask = wire::encode(&ask).map_err(|fault| internal(fault.to_string()))?;
        wire::frame(to_child::ASK, &ask).map_err(|fault| internal(fault.to_string()))
    }
}

impl Shared {
    fn idle(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that waits, or a new one. Blocking.
    fn worker(&self) -> io::Result<Worker> {
        loop {
            let waiting = self.idle().take();
            let Some(mut worker) = waiting else { return self.start(false) };
            // Else it was killed while it had nothing to do.
            if worker.is_alive() {
                return Ok(worker);
            }
        }
    }

    fn start(&self, in_advance: bool) -> io::Result<Worker> {
        Worker::start(&*self.launch, &self.setup, self.budget.account(), &self.opener, in_advance)
    }

    fn keep(self: &Arc<Shared>, mut worker: Worker) {
        let now = Instant::now();
        worker.used = true;
        worker.idle_since = now;
        let mut idle = self.idle();
        idle.workers.push(worker);
        if let Spare::Ready(spare) = &mut idle.spare {
            spare.idle_since = now;
        }
        self.see_to(&mut idle);
    }

    /// Starts a process for a statement to come, unless there is one. Not before a statement has come: ingest needs none.
    fn prepare_spare(self: &Arc<Shared>) {
        let mut idle = self.idle();
        if matches!(idle.spare, Spare::None) {
            idle.spare = Spare::Starts;
            let shared = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                // Whoever needs one and finds none says why it cannot be started.
                let started = shared.start(true);
                let mut idle = shared.idle();
                idle.spare = started.map_or(Spare::None, Spare::Ready);
                shared.see_to(&mut idle);
            });
        }
    }

    fn see_to(self: &Arc<Shared>, idle: &mut Idle) {
        if !std::mem::replace(&mut idle.looked_after, true) {
            tokio::spawn(Arc::clone(self).look_after());
        }
    }

    /// Ends processes that have been idle for long, until none is left.
    async fn look_after(self: Arc<Shared>) {
        loop {
            let next = {
                let mut idle = self.idle();
                let now = Instant::now();
                let stays = |worker: &Worker| now < worker.idle_since + self.idle_time;
                idle.workers.retain(stays);
                if matches!(&idle.spare, Spare::Ready(spare) if !stays(spare)) {
                    idle.spare = Spare::None;
                }
                match idle.all().map(|worker| worker.idle_since).min() {
                    Some(oldest) => oldest + self.idle_time,
                    None => {
                        idle.looked_after = false;
                        return;
                    }
                }
            };
            sleep_until(next).await;
        }
    }
}

impl Idle {
    fn take(&mut self) -> Option<Worker> {
        if let Some(worker) = self.workers.pop() {
            return Some(worker);
        }
        match std::mem::take(&mut self.spare) {
            Spare::Ready(worker) => Some(worker),
            other => {
                self.spare = other;
                None
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = &Worker> {
        let spare = match &self.spare {
            Spare::Ready(worker) => Some(worker),
            Spare::None | Spare::Starts => None,
        };
        self.workers.iter().chain(spare)
    }
}

/// A statement in its process. Dropped before its end, it is ended, with its process if need be.
struct Running {
    shared: Arc<Shared>,
    /// `None`: it has been dealt with.
    worker: Option<(Worker, OwnedSemaphorePermit)>,
}

impl Running {
    async fn begin(
        shared: Arc<Shared>,
        place: OwnedSemaphorePermit,
        statement: &Arc<Statement>,
    ) -> Result<Running, QueryError> {
        let mut place = Some(place);
        loop {
            let (worker, frame) = shared.prepare(statement).await?;
            worker.known.may_open.store(statement.principal.may_open_payloads(), Ordering::Release);
            let waited = worker.used || worker.in_advance;
            let mut running =
                Running { shared: Arc::clone(&shared), worker: place.take().map(|place| (worker, place)) };
            let Some((worker, _)) = &mut running.worker else { return Err(ended()) };
            match worker.ask(&frame).await {
                Ok(()) => {
                    running.shared.prepare_spare();
                    return Ok(running);
                }
                // It died while it had nothing to do: another one takes the statement.
                Err(_) if waited => place = running.worker.take().map(|(_, place)| place),
                Err(_) => return Err(running.died().await),
            }
        }
    }

    /// Hands on what the process sends, until the statement ends.
    async fn finish(
        mut self,
        cut: &Cut,
        schema: oneshot::Sender<SchemaRef>,
        batches: mpsc::Sender<Item>,
    ) -> Result<(), QueryError> {
        tokio::select! {
            end = self.hand_on(schema, batches) => end,
            () = wanted(cut) => {
                // At once: the process holds the segments open.
                if let Some((mut worker, _place)) = self.worker.take() {
                    worker.kill().await;
                }
                Err(QueryError::SnapshotGone)
            }
        }
    }

    async fn hand_on(
        &mut self,
        schema: oneshot::Sender<SchemaRef>,
        batches: mpsc::Sender<Item>,
    ) -> Result<(), QueryError> {
        let mut receiver = Receiver::default();
        let mut schema = Some(schema);
        loop {
            let Some((worker, _)) = &mut self.worker else { return Err(ended()) };
            let (kind, body) = match worker.receive().await {
                Ok(frame) => frame,
                Err(fault) if fault.kind() == io::ErrorKind::InvalidData => {
                    return Err(self.condemn(&fault.to_string()));
                }
                Err(_) => return Err(self.died().await),
            };
            match kind {
                to_server::COLUMNS | to_server::ROWS => {
                    let received = match receiver.batches(body) {
                        Ok(received) => received,
                        Err(fault) => return Err(self.condemn(&fault.to_string())),
                    };
                    for batch in received {
                        // Whoever asked may have gone; then nobody hears this error.
                        batches.send(Ok(batch)).await.map_err(|_| ended())?;
                    }
                    if kind == to_server::COLUMNS
                        && let (Some(columns), Some(sender)) = (receiver.columns(), schema.take())
                    {
                        sender.send(columns).map_err(|_| ended())?;
                    }
                }
                to_server::END => {
                    let Ok(end) = wire::decode::<End>(&body) else {
                        return Err(self.condemn("an end that is none"));
                    };
                    self.leave(false);
                    return end;
                }
                _ => return Err(self.condemn("a frame of an unknown kind")),
            }
        }
    }

    /// Why there is no more to receive.
    async fn died(&mut self) -> QueryError {
        let Some((mut worker, _place)) = self.worker.take() else { return ended() };
        let how = worker.end().await;
        match worker.known.over.load(Ordering::Acquire) {
            true => QueryError::Memory(
                "what it holds beside what is counted is more than is left of sql.memory".to_owned(),
            ),
            false => QueryError::Crashed(how),
        }
    }

    /// Whatever such a process is, it is no longer ours.
    fn condemn(&mut self, what: &str) -> QueryError {
        drop(self.worker.take());
        QueryError::Internal(format!("a statement's process sends no answer: {what}"))
    }

    /// The process gets a moment to be idle, and is kept then.
    fn leave(&mut self, cancel: bool) {
        let Some((mut worker, place)) = self.worker.take() else { return };
        let shared = Arc::clone(&self.shared);
        // Without a runtime the server is ending, and the process with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            if worker.wind_down(cancel).await {
                shared.keep(worker);
            } else {
                worker.kill().await;
            }
            drop(place);
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // Over something that the process sent.
            self.worker = None;
        }
        self.leave(true);
    }
}

impl Shared {
    /// A process, and the statement as it needs it.
    async fn prepare(
        self: &Arc<Shared>,
        statement: &Arc<Statement>,
    ) -> Result<(Worker, Vec<u8>), QueryError> {
        let internal = |fault: String| QueryError::Internal(format!("no process for a statement: {fault}"));
        let shared = Arc::clone(self);
        let statement = Arc::clone(statement);
        let prepared = tokio::task::spawn_blocking(move || {
            let mut worker = shared.worker().map_err(|fault| internal(fault.to_string()))?;
            let frame = statement.frame(&mut worker)?;
            Ok((worker, frame))
        });
        prepared.await.map_err(|fault| internal(fault.to_string()))?
    }
}

/// Returns when the journal wants hot rows back.
async fn wanted(cut: &Cut) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if cut.tables.iter().any(|table| table.hot.wanted()) {
            return;
        }
    }
}

fn ended() -> QueryError {
    QueryError::Internal("the statement has ended".to_owned())
}
