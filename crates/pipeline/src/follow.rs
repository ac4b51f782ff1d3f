//! The follower's loop: read what is durable, decode it, hand it to the sink, commit, release.
//! Always: position >= committed >= released; at most one batch is in flight beside what the sink holds, and
//! nothing more is read while the sink is busy, so a slow sink slows its follower and nobody else.
//!
//! 1. If a commit is due (enough bytes, or the oldest delivery has waited long enough), commit.
//! 2. Else, if the log holds more, read about `batch_bytes` of it, decode, apply.
//! 3. Else wait for more, for the next commit to fall due, for a request, or for the end.
//!
//! An error is tried again, later each time; damage is counted and passed over.

use std::{sync::Arc, time::Duration};

use hw_event::{
    Seq,
    sabotage::{Bug, armed},
};
use hw_journal::{Log, ReadError};
use hw_schema::Registry;
use tokio::{
    sync::watch,
    task::JoinError,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    blocking::spawn_heavy,
    decode::{Step, read_step},
    handle::FollowerHandle,
    sink::{Sink, SinkError},
};

/// Below this much, rows wait for `commit_trickle` rather than `commit_every`.
const TRICKLE_BYTES: usize = 1 << 20;
const RETRY_MIN: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

#[derive(Debug, Clone)]
pub struct FollowerSettings {
    /// How long a delivery waits for its commit while there is much to do.
    pub commit_every: Duration,
    /// The same while less than 1 MiB waits.
    pub commit_trickle: Duration,
    /// This many bytes are committed at once, whatever the time.
    pub commit_bytes: usize,
    /// About what is read from the log at a time.
    pub batch_bytes: usize,
}

impl Default for FollowerSettings {
    fn default() -> FollowerSettings {
        FollowerSettings {
            commit_every: Duration::from_secs(2),
            commit_trickle: Duration::from_secs(60),
            commit_bytes: 64 << 20,
            batch_bytes: 8 << 20,
        }
    }
}

/// Why a follower ended without having everything in its sink. The log still holds the rest.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    #[error("the log forgot appends that {sink} has not seen: {source}")]
    Gone { sink: String, source: ReadError },
    #[error("stopped while the log could not be read for {sink}: {source}")]
    Read { sink: String, source: ReadError },
    #[error("stopped while {sink} could not be brought up to date: {source}")]
    Sink { sink: String, source: SinkError },
    /// Either it lies about its end, or its last appends were found damaged when it was opened.
    #[error("the log is durable through {durable}, and gives {sink} nothing after {after}")]
    Missing { sink: String, after: Seq, durable: Seq },
    #[error("a reader for {sink} panicked")]
    Panicked { sink: String, source: JoinError },
}

/// Runs until `handle.stop()` or the end of the log; then drains to `durable` and commits once more.
pub async fn follow(
    log: Arc<dyn Log>,
    registry: Arc<Registry>,
    sink: impl Sink + 'static,
    settings: FollowerSettings,
    handle: FollowerHandle,
) -> Result<(), FollowError> {
    let follower = Follower::new(log, registry, Box::new(sink), settings, handle.clone());
    let result = follower.run().await;
    handle.update(|status| {
        status.ended = true;
        if let Err(error) = &result {
            status.last_error = Some(error.to_string());
        }
    });
    result
}

struct Follower {
    log: Arc<dyn Log>,
    registry: Arc<Registry>,
    sink: Box<dyn Sink>,
    settings: FollowerSettings,
    handle: FollowerHandle,
    durable: watch::Receiver<Seq>,
    stopping: watch::Receiver<bool>,
    requests: watch::Receiver<u64>,
    /// Everything through here was delivered.
    position: Seq,
    released: Seq,
    /// What the log may forget although it was read from the start of what it kept: the sink had it in an earlier process.
    released_before: Seq,
    /// Since when something delivered waits for a commit.
    waiting_since: Option<Instant>,
    /// A request for a commit, and how far the log was when it was noticed.
    request: Option<(u64, Seq)>,
    /// A lone failure retries soon; each one after it in a row waits twice as long.
    failures: u32,
}

enum Failure {
    Read(ReadError),
    Missing { after: Seq, durable: Seq },
    Sink(SinkError),
    Panicked(JoinError),
}

impl Follower {
    fn new(
        log: Arc<dyn Log>,
        registry: Arc<Registry>,
        sink: Box<dyn Sink>,
        settings: FollowerSettings,
        handle: FollowerHandle,
    ) -> Follower {
        let first = Seq(log.first_kept().0.saturating_sub(1));
        let released_before = log.released();
        Follower {
            durable: log.durable(),
            stopping: handle.stopping(),
            requests: handle.requests(),
            log,
            registry,
            sink,
            settings,
            handle,
            position: first,
            released: first,
            released_before,
            waiting_since: None,
            request: None,
            failures: 0,
        }
    }

    async fn run(mut self) -> Result<(), FollowError> {
        loop {
            let durable = *self.durable.borrow_and_update();
            self.notice_request(durable);
            if *self.stopping.borrow_and_update() {
                return self.drain().await;
            }
            let now = Instant::now();
            let due = self.due();
            let requested = self.request.is_some_and(|(_, target)| self.position >= target);
            let outcome = if requested || due.is_some_and(|due| due <= now) {
                self.commit().await
            } else if self.position < durable {
                self.deliver(durable).await
            } else {
                tokio::select! {
                    changed = self.durable.changed() => if changed.is_err() { return self.drain().await },
                    _ = self.requests.changed() => {}
                    _ = self.stopping.changed() => {}
                    () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
                }
                continue;
            };
            match outcome {
                Ok(()) => self.succeeded(),
                Err(failure) => self.back_off(failure).await?,
            }
        }
    }

    /// When the next commit is due; `None` while there is nothing to commit or release.
    fn due(&self) -> Option<Instant> {
        let since = self.waiting_since?;
        let pending_bytes = self.sink.pending_bytes();
        Some(if pending_bytes >= self.settings.commit_bytes {
            since
        } else if pending_bytes >= TRICKLE_BYTES {
            since + self.settings.commit_every
        } else {
            since + self.settings.commit_trickle
        })
    }

    fn notice_request(&mut self, durable: Seq) {
        let newest = *self.requests.borrow_and_update();
        let seen = self.request.map_or_else(|| self.handle.status().answered, |(request, _)| request);
        if newest > seen {
            self.request = Some((newest, durable));
        }
    }

    /// Reads and applies one batch. Reading and decoding block, so they happen off the async threads.
    async fn deliver(&mut self, durable: Seq) -> Result<(), Failure> {
        let (log, registry) = (self.log.clone(), self.registry.clone());
        let (after, bytes_max) = (self.position, self.settings.batch_bytes);
        let positions = self.sink.positions();
        let step = spawn_heavy(move || read_step(&*log, &registry, &positions, after, durable, bytes_max))
            .await
            .map_err(Failure::Panicked)?;
        let step = match step {
            Err(ReadError::Gone { first_kept }) if first_kept <= self.released_before.next() => {
                // As a start would do that came now.
                self.position = Seq(first_kept.0.saturating_sub(1));
                return Ok(());
            }
            step => step.map_err(Failure::Read)?,
        };
        let Step { delivery, damages } = step;
        if delivery.through == after {
            return Err(Failure::Missing { after, durable });
        }
        for damage in &damages {
            tracing::error!(follower = self.sink.name(), %damage, "passed over damage in the log");
        }
        let through = delivery.through;
        self.sink.apply(delivery).await.map_err(Failure::Sink)?;
        self.position = through;
        self.waiting_since.get_or_insert_with(Instant::now);
        let damaged = damages.len() as u64;
        metrics::counter!("headwater_follower_damaged_total", "follower" => self.sink.name().to_owned())
            .increment(damaged);
        let pending_bytes = self.sink.pending_bytes();
        self.handle.update(|status| {
            status.durable = durable;
            status.position = through;
            status.pending_bytes = pending_bytes;
            status.damaged += damaged;
        });
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), Failure> {
        if armed(Bug::RecycleBeforeLakeSync) {
            self.log.release(self.position);
        }
        let committed = self.sink.commit().await.map_err(Failure::Sink)?.min(self.position);
        if committed > self.released {
            self.log.release(committed);
            self.released = committed;
        }
        if let Some(seq) = self.sink.rewind() {
            // What the log has forgotten every part of the sink has.
            let forgotten = Seq(self.log.first_kept().0.saturating_sub(1));
            self.position = self.position.min(seq.max(forgotten));
        }
        let behind = self.sink.pending_bytes() > 0 || self.released < self.position;
        self.waiting_since = behind.then(Instant::now);
        let answered =
            self.request.take_if(|(_, target)| self.position >= *target).map(|(request, _)| request);
        let (durable, position) = (*self.durable.borrow(), self.position);
        let (released, pending_bytes) = (self.released, self.sink.pending_bytes());
        self.handle.update(|status| {
            status.durable = durable;
            status.position = position;
            status.committed = released;
            status.pending_bytes = pending_bytes;
            status.commits += 1;
            status.last_commit = Some(Instant::now());
            status.answered = answered.unwrap_or(status.answered);
        });
        metrics::gauge!("headwater_follower_lag_appends", "follower" => self.sink.name().to_owned())
            .set(durable.0.saturating_sub(released.0) as f64);
        Ok(())
    }

    /// Brings the sink to the log's durable end. Nothing is tried twice: whoever stops does not wait. What
    /// was delivered is committed, whatever became of the rest.
    async fn drain(&mut self) -> Result<(), FollowError> {
        let durable = *self.durable.borrow_and_update();
        let mut delivered = Ok(());
        while self.position < durable && delivered.is_ok() {
            let full = self.sink.pending_bytes() >= self.settings.commit_bytes;
            delivered = if full { self.commit().await } else { self.deliver(durable).await };
        }
        self.notice_request(durable);
        let committed = self.commit().await;
        delivered.and(committed).map_err(|failure| self.ended_by(failure))?;
        self.succeeded();
        Ok(())
    }

    fn succeeded(&mut self) {
        if self.failures > 0 {
            self.failures = 0;
            self.handle.update(|status| status.last_error = None);
        }
    }

    /// Reports a failure and waits before the next attempt; the end of the follower cuts the wait short.
    async fn back_off(&mut self, failure: Failure) -> Result<(), FollowError> {
        if let Failure::Panicked(_) | Failure::Read(ReadError::Gone { .. }) = failure {
            return Err(self.ended_by(failure));
        }
        let error = self.ended_by(failure);
        let wait = RETRY_MIN.saturating_mul(1 << self.failures.min(10)).min(RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        let cause = match &error {
            FollowError::Sink { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        tracing::warn!(follower = self.sink.name(), error = %cause, retry_in = ?wait, "a follower failed and tries again");
        metrics::counter!("headwater_follower_errors_total", "follower" => self.sink.name().to_owned())
            .increment(1);
        self.handle.update(|status| {
            status.last_error = Some(cause);
            status.errors += 1;
        });
        tokio::select! {
            () = sleep(wait) => Ok(()),
            _ = self.stopping.wait_for(|stop| *stop) => Ok(()),
        }
    }

    fn ended_by(&self, failure: Failure) -> FollowError {
        let sink = self.sink.name().to_owned();
        match failure {
            Failure::Read(source @ ReadError::Gone { .. }) => FollowError::Gone { sink, source },
            Failure::Read(source) => FollowError::Read { sink, source },
            Failure::Missing { after, durable } => FollowError::Missing { sink, after, durable },
            Failure::Sink(source) => FollowError::Sink { sink, source },
            Failure::Panicked(source) => FollowError::Panicked { sink, source },
        }
    }
}
