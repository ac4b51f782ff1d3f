//! What is kept for a while only: the keys of rejects' bytes, and the rows of streams that say how long, or which of a key
//! (`x-retention`).
//! Always: a clock that leaps retires nothing: no more time counts than has passed since the start. What is too old goes by whole
//! files; what a newer row of its key replaced goes by [compaction by key](by_key).

use std::{sync::Arc, time::Duration};

use hw_event::{Clock, Timestamp};
use hw_lake::{Keep, Lake, Table};
use hw_pipeline::FollowerHandle;
use hw_schema::Registry;
use hw_vault::SealKeys;
use tokio_util::sync::CancellationToken;

mod by_key;

use by_key::Visits;

const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// A clock that is wrong at the start is usually set right by then.
const EXPIRE_FIRST: Duration = Duration::from_secs(600);

/// Lets go of rows that need not be kept.
pub struct Keeping {
    pub lake: Lake,
    pub registry: Arc<Registry>,
    pub follower: FollowerHandle,
    pub clock: Arc<dyn Clock>,
    pub every: Duration,
    /// Held by whoever rewrites files of the lake.
    pub housekeeping: Arc<tokio::sync::Mutex<()>>,
    pub stop: CancellationToken,
}

impl Keeping {
    pub async fn run(self) {
        let (began, steady) = (self.clock.now(), self.clock.steady());
        let mut visits = Visits::default();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(self.every) => {}
            }
            let now = credible(self.clock.now(), began, self.clock.steady().saturating_sub(steady));
            for stream in self.registry.all() {
                let Some((_, schema)) = stream.current() else { continue };
                let retention = schema.retention();
                let age = retention.age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
                let keep = Keep { since: age.map(|age| now.0.saturating_sub(age)), bytes: retention.bytes };
                if keep != Keep::default() {
                    self.let_go(Table::Stream(stream.id), stream.name.as_str(), keep).await;
                }
                if let Some(age) = retention.compact {
                    visits.visit(&self, &stream, schema, age, now).await;
                }
            }
        }
    }

    async fn let_go(&self, table: Table, name: &str, keep: Keep) {
        let _held = self.housekeeping.lock().await;
        let mut keeper = self.lake.keeper();
        match tokio::task::spawn_blocking(move || keeper.turn(table, keep)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(rows)) => {
                // An end of the follower is the end of the process.
                let _ = self.follower.commit_now().await;
                metrics::counter!("headwater_lake_rows_let_go_total").increment(rows);
                tracing::info!(stream = name, rows, "rows beyond their retention have left the table");
            }
            Ok(Err(error)) => tracing::warn!(stream = name, %error, "retention waits"),
            Err(error) => tracing::error!(stream = name, %error, "retention panicked"),
        }
    }
}

/// Destroys the keys of rejects whose time is over, every hour and for the first time soon after the start.
pub async fn expire_payloads(
    seal_keys: Arc<SealKeys>,
    clock: Arc<dyn Clock>,
    keep: Duration,
    stop: CancellationToken,
) {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
    let (began, steady) = (clock.now(), clock.steady());
    let mut wait = EXPIRE_FIRST;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => wait = EXPIRE_EVERY,
        }
        let now = credible(clock.now(), began, clock.steady().saturating_sub(steady));
        let first_kept = Timestamp(now.0.saturating_sub(keep));
        match seal_keys.expire(first_kept) {
            Ok(0) => {}
            Ok(keys) => tracing::info!(keys, "payloads of old rejects were made unreadable"),
            Err(error) => tracing::error!(%error, "old sealing keys could not be destroyed"),
        }
    }
}

/// The earlier of what the clock says and what it would say had nobody set it: a destroyed key does not come back.
fn credible(now: Timestamp, began: Timestamp, elapsed: Duration) -> Timestamp {
    let elapsed = i64::try_from(elapsed.as_micros()).unwrap_or(i64::MAX);
    now.min(Timestamp(began.0.saturating_add(elapsed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_leaps_destroys_no_keys() {
        let began = Timestamp(1_790_000_000_000_000);
        let hour = Duration::from_secs(3600);
        let fair = Timestamp(began.0 + 3_600_000_000);
        assert_eq!(credible(fair, began, hour), fair);
        assert_eq!(credible(Timestamp(fair.0 + 365 * Timestamp::MICROS_PER_DAY), began, hour), fair);
        assert_eq!(credible(Timestamp(0), began, hour), Timestamp(0));
    }
}
