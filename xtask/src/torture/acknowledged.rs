//! What the producers were told: the record of acknowledgements, kept outside the system under test.
//! Always: an event counts as acknowledged once the whole answer that says so was read, never before.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

/// Each producer's events have numbers of their own: its number times this, and from there on.
pub const IDS_OF_A_PRODUCER: u64 = 1_000_000_000;

/// One event in five is bad, so that the error lake is under the same test.
pub fn is_good(id: u64) -> bool {
    id % 5 != 4
}

#[derive(Default)]
pub struct Acknowledged {
    inner: Mutex<Inner>,
    more: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Since the last `take`: the events whose acknowledgement came since then.
    fresh: Vec<u64>,
    /// All there ever were.
    events: u64,
    answers: u64,
    /// Refused with a reason: 429, 503, 507.
    refused: u64,
    /// By reason, `status code`.
    refusals: BTreeMap<String, u64>,
    last_refusal: Option<String>,
    last_refusal_at: Option<Instant>,
    /// When the request that was acknowledged last began.
    last_begun: Option<Instant>,
    /// What a producer found wrong.
    faults: Vec<String>,
}

impl Acknowledged {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A producer that panicked leaves whole numbers behind.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One answer came for a request that began at `begun`.
    pub fn add(&self, ids: impl Iterator<Item = u64>, begun: Instant) {
        let mut inner = self.inner();
        let before = inner.fresh.len();
        inner.fresh.extend(ids);
        inner.events += (inner.fresh.len() - before) as u64;
        inner.answers += 1;
        inner.last_begun = inner.last_begun.max(Some(begun));
        self.more.notify_all();
    }

    pub fn refuse(&self, reason: String) {
        let mut inner = self.inner();
        inner.refused += 1;
        *inner.refusals.entry(reason.clone()).or_default() += 1;
        inner.last_refusal = Some(reason);
        inner.last_refusal_at = Some(Instant::now());
        self.more.notify_all();
    }

    pub fn fault(&self, fault: String) {
        self.inner().faults.push(fault);
        self.more.notify_all();
    }

    pub fn take_faults(&self) -> Vec<String> {
        std::mem::take(&mut self.inner().faults)
    }

    /// The events acknowledged since the last call.
    pub fn take(&self) -> Vec<u64> {
        std::mem::take(&mut self.inner().fresh)
    }

    pub fn events(&self) -> u64 {
        self.inner().events
    }

    pub fn answers(&self) -> u64 {
        self.inner().answers
    }

    pub fn refused(&self) -> u64 {
        self.inner().refused
    }

    pub fn last_refusal(&self) -> Option<String> {
        self.inner().last_refusal.clone()
    }

    pub fn last_refusal_at(&self) -> Option<Instant> {
        self.inner().last_refusal_at
    }

    /// Refusals by reason since the last call.
    pub fn take_refusals(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.inner().refusals)
    }

    pub fn last_begun(&self) -> Option<Instant> {
        self.inner().last_begun
    }

    /// Waits until `reached(answers, refused)`; false if that did not happen in time.
    pub fn wait(&self, at_most: Duration, reached: impl Fn(u64, u64) -> bool) -> bool {
        let give_up = Instant::now() + at_most;
        let mut inner = self.inner();
        loop {
            if reached(inner.answers, inner.refused) {
                return true;
            }
            if !inner.faults.is_empty() {
                return false;
            }
            let left = give_up.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.more.wait_timeout(inner, left);
            inner = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until so many more answers came.
    pub fn wait_for(&self, more: u64, at_most: Duration) -> Result<()> {
        let target = self.answers() + more;
        let reached = self.wait(at_most, |answers, _| answers >= target);
        let faults = self.take_faults();
        ensure!(faults.is_empty(), "a producer found: {}", faults.join("; "));
        ensure!(
            reached,
            "the producers made no progress in {} s; last refusal: {:?}",
            at_most.as_secs(),
            self.last_refusal()
        );
        Ok(())
    }
}
