//! The thread that keeps the lake's tables compact, and asks the committer to take over what is ready.
//! Always: at a low priority, and while the process needs the processors for other things, only what cannot wait; one piece
//! of work at a time. It ends with the process, at the latest: what it has not handed over costs only the work.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hw_lake::{Compactor, Turn};
use hw_pipeline::FollowerHandle;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::background;

/// The load is high when other threads take so much of the processors.
const HIGH: f64 = 0.5;
/// And counts as high for so long after: the next burst may follow, and the rows of the last one are not all committed.
const CALM: Duration = Duration::from_secs(5);
/// In which Linux counts processor time for its users.
const TICK: Duration = Duration::from_millis(10);
/// How long it rests when there is nothing to do, and when something failed.
const IDLE: Duration = Duration::from_secs(1);
const FAILED: Duration = Duration::from_secs(30);
/// The longest it sleeps at a time: whoever stops does not wait for it.
const STEP: Duration = Duration::from_millis(250);

pub struct Compaction {
    pub compactor: Compactor,
    pub follower: FollowerHandle,
    pub runtime: Handle,
    pub stop: CancellationToken,
    /// Held by whoever rewrites files of the lake.
    pub housekeeping: Arc<tokio::sync::Mutex<()>>,
}

impl Compaction {
    pub fn start(self) -> std::io::Result<()> {
        thread::Builder::new().name("hw-compact".to_owned()).spawn(move || self.run()).map(drop)
    }

    fn run(mut self) {
        background::lower_priority();
        let mut load = Load::new();
        while !self.stop.is_cancelled() {
            let busy = load.is_high();
            let housekeeping = self.housekeeping.clone();
            let held = self.runtime.block_on(housekeeping.lock());
            let stop = self.stop.clone();
            let compactor = &mut self.compactor;
            // A panic must not be the end of compaction without a word.
            let turn = catch_unwind(AssertUnwindSafe(|| compactor.turn(busy, &mut |_| !stop.is_cancelled())));
            if let Ok(Turn::Offered(_)) = turn {
                self.hand_over();
            }
            drop(held);
            match turn {
                Ok(Turn::Offered(_)) => {}
                Ok(Turn::Nothing) => self.rest(IDLE),
                Ok(Turn::Failed) => self.rest(FAILED),
                Err(_) => {
                    tracing::error!("compaction panicked; it goes on in a while");
                    self.rest(FAILED);
                }
            }
        }
    }

    /// With rows that wait, a round comes by itself; else the committer has to be asked for one.
    fn hand_over(&self) {
        if self.follower.status().pending_bytes > 0 {
            return;
        }
        let (follower, stop) = (self.follower.clone(), self.stop.clone());
        self.runtime.block_on(async {
            tokio::select! {
                _ = follower.commit_now() => {}
                () = stop.cancelled() => {}
            }
        });
    }

    fn rest(&self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time && !self.stop.is_cancelled() {
            thread::sleep(STEP.min(time));
        }
    }
}

/// What the other threads of this process take of the processors.
struct Load {
    since: Instant,
    /// Processor time of the others until then.
    used: Duration,
    /// When it last was high.
    high: Option<Instant>,
}

impl Load {
    fn new() -> Load {
        Load { since: Instant::now(), used: used_by_others(), high: None }
    }

    /// Since the last look; one that came a moment ago stands.
    fn is_high(&mut self) -> bool {
        let (now, used) = (Instant::now(), used_by_others());
        let wall = now.duration_since(self.since);
        if wall >= STEP {
            let processors = thread::available_parallelism().map_or(1, |count| count.get());
            if is_high(used.saturating_sub(self.used), wall, processors) {
                self.high = Some(now);
            }
            (self.since, self.used) = (now, used);
        }
        self.high.is_some_and(|high| now.duration_since(high) < CALM)
    }
}

fn is_high(used: Duration, wall: Duration, processors: usize) -> bool {
    used.as_secs_f64() > wall.as_secs_f64() * processors as f64 * HIGH
}

fn used_by_others() -> Duration {
    let used = |file: &str| fs::read_to_string(file).ok().and_then(|stat| ticks_in(&stat)).unwrap_or(0);
    TICK * u32::try_from(used("/proc/self/stat").saturating_sub(used("/proc/thread-self/stat"))).unwrap_or(0)
}

/// User and system time in a `stat` of Linux: the fourteenth and fifteenth field, the second being a name in parentheses.
fn ticks_in(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Some(times.next()?.ok()? + times.next()?.ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_is_high_from_half_of_the_processors_on() {
        let second = Duration::from_secs(1);
        assert!(!is_high(Duration::from_millis(900), second, 2));
        assert!(is_high(Duration::from_millis(1100), second, 2));
        assert!(!is_high(Duration::from_millis(1100), second, 4));
    }

    #[test]
    fn times_are_read_behind_whatever_the_process_is_called() {
        let stat = "17 (head) 9 9 (x)) S 1 17 17 0 -1 4194304 100 0 0 0 250 31 0 0 20 0 9 0 5 1 2";
        assert_eq!(ticks_in(stat), Some(281));
        assert_eq!(ticks_in("17 (x) S 1"), None);
        assert!(
            std::fs::read_to_string("/proc/thread-self/stat").is_ok_and(|stat| ticks_in(&stat).is_some())
        );
    }
}
