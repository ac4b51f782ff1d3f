//! Heavy work makes way for what somebody looks at: while that is young, all threads but one of each kind of it rest.
//! Always: one goes on, so that whoever waits for an acknowledgement gets it; in the long run the others rest for at most two
//! thirds of the time, however much is asked; a rest ends with the last of those whom it was for. Interrupts nothing that has begun.

use std::{
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::blocking::{heavy_threads, heavy_threads_max, judging_threads, judging_threads_max};

/// What takes longer than this is not waited for by the moment.
const YOUNG: Duration = Duration::from_millis(300);
/// Rest that was not taken is kept up to this.
const CREDIT_MAX: Duration = Duration::from_millis(600);
/// Below it a rest is not worth the switches.
const CREDIT_MIN: Duration = Duration::from_millis(5);

static WAYS: LazyLock<Arc<Ways>> = LazyLock::new(|| {
    let rest = Rest { credit: CREDIT_MAX, at: Instant::now(), under_way: 0, until: None, number: 0 };
    Arc::new(Ways { rest: Mutex::new(rest), ended: Condvar::new() })
});

/// From now on heavy work makes way, until this is dropped or is no longer young.
pub fn make_way() -> MadeWay {
    let ways = Arc::clone(&WAYS);
    let begun = ways.rest().begin(Instant::now());
    if let Some(number) = begun {
        for (threads, most) in
            [(heavy_threads(), heavy_threads_max()), (judging_threads(), judging_threads_max())]
        {
            for _ in 1..most {
                let ways = Arc::clone(&ways);
                // Its end is nobody's concern.
                drop(threads.spawn_blocking(move || ways.rest_for(number)));
            }
        }
    }
    MadeWay { ways }
}

/// Somebody for whom heavy work makes way.
pub struct MadeWay {
    ways: Arc<Ways>,
}

impl Drop for MadeWay {
    fn drop(&mut self) {
        self.ways.rest().end(Instant::now());
        self.ways.ended.notify_all();
    }
}

struct Ways {
    // Short sections, and the wait for `ended`.
    rest: Mutex<Rest>,
    ended: Condvar,
}

impl Ways {
    fn rest(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Occupies this thread for as long as that rest lasts.
    fn rest_for(&self, number: u64) {
        let mut rest = self.rest();
        while let Some(left) = rest.left(number, Instant::now()) {
            rest = self.ended.wait_timeout(rest, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// How much rest there may be, and the one that there is.
#[derive(Debug)]
struct Rest {
    /// As of `at`. Three units of time bring two of it, a unit of rest takes one.
    credit: Duration,
    at: Instant,
    under_way: usize,
    /// `None`: all work.
    until: Option<Instant>,
    /// Counts the rests.
    number: u64,
}

impl Rest {
    /// The number of the rest that begins with it, if one does.
    fn begin(&mut self, now: Instant) -> Option<u64> {
        self.settle(now);
        self.under_way += 1;
        let rests = self.until.is_some();
        if !rests && self.credit < CREDIT_MIN {
            return None;
        }
        self.until = Some(now + YOUNG);
        (!rests).then(|| {
            self.number += 1;
            self.number
        })
    }

    fn end(&mut self, now: Instant) {
        self.settle(now);
        self.under_way -= 1;
        if self.under_way == 0 {
            self.until = None;
        }
    }

    /// How long this rest may still last; `None`: it is over.
    fn left(&mut self, number: u64, now: Instant) -> Option<Duration> {
        self.settle(now);
        let until = self.until.filter(|_| self.number == number)?;
        Some((until - now).min(self.credit * 3))
    }

    fn settle(&mut self, now: Instant) {
        let rested =
            self.until.map_or(Duration::ZERO, |until| now.min(until).saturating_duration_since(self.at));
        let gained = now.saturating_duration_since(self.at) * 2 / 3;
        let credit = (self.credit + gained).saturating_sub(rested);
        if credit.is_zero() || self.until.is_some_and(|until| until <= now) {
            self.until = None;
        }
        self.credit = credit.min(CREDIT_MAX);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rested() -> (Rest, Instant) {
        let at = Instant::now();
        (Rest { credit: CREDIT_MAX, at, under_way: 0, until: None, number: 0 }, at)
    }

    #[test]
    fn a_rest_ends_with_the_last_of_those_whom_it_is_for() {
        let (mut rest, at) = rested();
        let number = rest.begin(at).expect("a rest");
        assert_eq!(rest.begin(at + 10 * MS), None, "there is one already");
        rest.end(at + 20 * MS);
        assert!(rest.left(number, at + 20 * MS).is_some());
        rest.end(at + 30 * MS);
        assert_eq!(rest.left(number, at + 30 * MS), None);
        let next = rest.begin(at + 40 * MS).expect("another rest");
        assert_eq!(rest.left(number, at + 40 * MS), None, "who rests for an earlier one goes on");
        assert!(rest.left(next, at + 40 * MS).is_some());
    }

    #[test]
    fn nobody_rests_for_what_is_no_longer_young() {
        let (mut rest, at) = rested();
        let number = rest.begin(at).expect("a rest");
        assert_eq!(rest.left(number, at), Some(YOUNG));
        assert_eq!(rest.left(number, at + YOUNG), None);
        // It goes on; a young one beside it has its rest.
        assert!(rest.begin(at + 2 * YOUNG).is_some());
    }

    #[test]
    fn in_the_long_run_a_third_of_the_time_is_left() {
        let (mut rest, began) = rested();
        let (mut now, mut taken) = (began, Duration::ZERO);
        while now < began + 60_000 * MS {
            // One after another, without a pause.
            let number = rest.begin(now);
            for _ in 0..100 {
                now += MS;
                if number.is_some_and(|number| rest.left(number, now).is_some()) {
                    taken += MS;
                }
            }
            rest.end(now);
        }
        let share = taken.as_secs_f64() / (now - began).as_secs_f64();
        assert!((0.6..0.68).contains(&share), "{share}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_thread_goes_on() {
        let way = make_way();
        for number in 0..50 {
            assert_eq!(crate::spawn_heavy(move || number).await.expect("no panic"), number);
        }
        drop(way);
    }
}
