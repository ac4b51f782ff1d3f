//! What others may ask of a running follower: to stop, to commit now, and how it is.

use std::sync::Arc;

use hw_event::Seq;
use tokio::{sync::watch, time::Instant};

/// How a follower is. Numbers count since its start.
#[derive(Debug, Clone, Default)]
pub struct FollowerStatus {
    /// The log's durable end, as last seen.
    pub durable: Seq,
    /// Delivered to the sink.
    pub position: Seq,
    /// Durable in the sink, and released to the log.
    pub committed: Seq,
    pub pending_bytes: usize,
    pub commits: u64,
    pub last_commit: Option<Instant>,
    /// The error that is being retried; `None` once it went through.
    pub last_error: Option<String>,
    pub errors: u64,
    /// Appends and blocks passed over because their bytes are damaged or do not decode.
    pub damaged: u64,
    /// The highest request for a commit that was fulfilled.
    pub(crate) answered: u64,
    pub(crate) ended: bool,
}

impl FollowerStatus {
    /// Appends that are durable in the log and not yet in the sink.
    pub fn lag(&self) -> u64 {
        self.durable.0.saturating_sub(self.committed.0)
    }

    pub fn ended(&self) -> bool {
        self.ended
    }
}

/// The follower has ended and answers no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the follower has ended")]
pub struct Stopped;

/// Clones speak to the same follower.
#[derive(Debug, Clone)]
pub struct FollowerHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    stop: watch::Sender<bool>,
    requests: watch::Sender<u64>,
    status: watch::Sender<FollowerStatus>,
}

impl Default for FollowerHandle {
    fn default() -> FollowerHandle {
        FollowerHandle::new()
    }
}

impl FollowerHandle {
    pub fn new() -> FollowerHandle {
        FollowerHandle {
            shared: Arc::new(Shared {
                stop: watch::Sender::new(false),
                requests: watch::Sender::new(0),
                status: watch::Sender::new(FollowerStatus::default()),
            }),
        }
    }

    /// Asks the follower to drain what is durable, commit once more, and end. It interrupts a retry.
    pub fn stop(&self) {
        self.shared.stop.send_replace(true);
    }

    /// Waits until everything that is durable now has been through a commit.
    pub async fn commit_now(&self) -> Result<FollowerStatus, Stopped> {
        let mut status = self.shared.status.subscribe();
        let mut request = 0;
        self.shared.requests.send_modify(|requests| {
            *requests += 1;
            request = *requests;
        });
        let status = status
            .wait_for(|status| status.answered >= request || status.ended)
            .await
            .map_err(|_| Stopped)?;
        if status.answered >= request { Ok(status.clone()) } else { Err(Stopped) }
    }

    pub fn status(&self) -> FollowerStatus {
        self.shared.status.borrow().clone()
    }

    /// Wakes at every change of the status.
    pub fn watch(&self) -> watch::Receiver<FollowerStatus> {
        self.shared.status.subscribe()
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.shared.stop.subscribe()
    }

    pub(crate) fn requests(&self) -> watch::Receiver<u64> {
        self.shared.requests.subscribe()
    }

    pub(crate) fn update(&self, change: impl FnOnce(&mut FollowerStatus)) {
        self.shared.status.send_modify(change);
    }
}
