//! The thread that keeps the lake's tables compact, and asks the committer to take over what is ready.
//! Always: at a low priority; one piece of work at a time. It ends with the process, at the latest: what it has not handed
//! over costs only the work.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use hw_lake::{Compactor, Turn};
use hw_pipeline::FollowerHandle;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Behind everything that somebody waits for.
const NICE: i32 = 10;
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
        // Of this thread alone, as Linux has it. Where it may not, compaction is as important as anybody.
        if let Err(error) = rustix::process::nice(NICE) {
            tracing::debug!(%error, "compaction has no lower priority");
        }
        while !self.stop.is_cancelled() {
            let housekeeping = self.housekeeping.clone();
            let held = self.runtime.block_on(housekeeping.lock());
            let stop = self.stop.clone();
            let compactor = &mut self.compactor;
            // A panic must not be the end of compaction without a word.
            let turn = catch_unwind(AssertUnwindSafe(|| compactor.turn(&mut |_| !stop.is_cancelled())));
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
