//! The one bound on the memory of all statements, kept by the server.
//! Always: what processes hold together is at most `bytes_max`; a process's share comes back when its account is dropped.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
}

/// What one process holds.
#[derive(Debug)]
pub(super) struct Account {
    budget: Arc<Budget>,
    held: usize,
}

impl Budget {
    pub(super) fn new(bytes_max: usize) -> Budget {
        Budget { bytes_max, held: AtomicUsize::new(0) }
    }

    pub(super) fn account(self: &Arc<Budget>) -> Account {
        Account { budget: Arc::clone(self), held: 0 }
    }
}

impl Account {
    /// All of it or nothing.
    pub(super) fn take(&mut self, bytes: usize) -> bool {
        let Budget { bytes_max, held } = &*self.budget;
        // A sum on its own: nothing else is ordered by it.
        let taken = held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
            held.checked_add(bytes).filter(|sum| sum <= bytes_max)
        });
        if taken.is_ok() {
            self.held += bytes;
        }
        taken.is_ok()
    }

    /// No more than it holds, whatever a process says.
    pub(super) fn give_back(&mut self, bytes: usize) {
        let bytes = bytes.min(self.held);
        self.held -= bytes;
        self.budget.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.give_back(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_bounded_and_comes_back() {
        let budget = Arc::new(Budget::new(100));
        let (mut one, mut other) = (budget.account(), budget.account());
        assert!(one.take(60) && !other.take(50) && other.take(40) && !one.take(1));
        assert!(!one.take(usize::MAX), "no overflow");
        one.give_back(1_000);
        assert!(other.take(60), "a process gives back what it holds and no more");
        drop(other);
        assert!(one.take(100));
    }
}
