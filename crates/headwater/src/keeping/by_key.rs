//! When compaction by key goes through a table, and the thread that it does so on.
//! Always: at a low priority, one table at a time, and at most a twentieth of the time for each; not at all while nothing has
//! changed and nothing has become old enough. It ends with the process, at the latest: what was not committed costs only the work.

use std::{collections::HashMap, time::Duration};

use hw_event::{StreamId, Timestamp};
use hw_lake::{ByKey, ByKeyTurn, Table};
use hw_pipeline::FollowerHandle;
use hw_schema::{Schema, Stream};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Keeping;
use crate::background;

/// After a visit the table is left alone for so many times what it took.
const REST: u32 = 20;

/// What was done when, by stream.
#[derive(Default)]
pub(super) struct Visits(HashMap<StreamId, Visit>);

struct Visit {
    /// The table's version before it, if there was nothing to do.
    version: Option<i64>,
    /// The rule's age of then.
    age: Duration,
    /// Not before, on the steady clock.
    rests_until: Duration,
    /// From then on there may be something to do, in a table that did not change; in microseconds.
    due: Option<i64>,
}

/// What came of a visit.
struct Outcome {
    rows: u64,
    /// Ended with nothing left to do now.
    clean: bool,
    due: Option<i64>,
    error: Option<String>,
}

impl Visits {
    pub(super) async fn visit(
        &mut self,
        keeping: &Keeping,
        stream: &Stream,
        schema: &Schema,
        age: Duration,
        now: Timestamp,
    ) {
        let (table, began) = (Table::Stream(stream.id), keeping.clock.steady());
        let version = keeping.lake.table(table).map(|table| table.version);
        if let Some(last) = self.0.get(&stream.id) {
            let news = last.version != version || last.age != age || last.due.is_some_and(|due| due <= now.0);
            if began < last.rests_until || !news {
                return;
            }
        }
        let deleted = schema.retention().deleted.clone();
        let rule = ByKey { key: schema.key().to_vec(), deleted, age, now: now.0 };
        let outcome = {
            let _held = keeping.housekeeping.lock().await;
            go_through(keeping, table, rule).await
        };
        let name = stream.name.as_str();
        if outcome.rows > 0 {
            metrics::counter!("headwater_lake_rows_superseded_total").increment(outcome.rows);
            tracing::info!(
                stream = name,
                rows = outcome.rows,
                "rows that newer ones of their keys replaced have left the table"
            );
        }
        if let Some(error) = outcome.error {
            tracing::warn!(stream = name, %error, "compaction by key waits");
        }
        let ended = keeping.clock.steady();
        let visit = Visit {
            // Where rows went, or it did not come to its end, it looks again: at rows that came meanwhile, and deletion marks.
            version: version.filter(|_| outcome.clean && outcome.rows == 0),
            age,
            rests_until: ended.saturating_add(ended.saturating_sub(began).saturating_mul(REST)),
            due: outcome.due,
        };
        self.0.insert(stream.id, visit);
    }
}

async fn go_through(keeping: &Keeping, table: Table, rule: ByKey) -> Outcome {
    let (lake, follower, stop) = (keeping.lake.clone(), keeping.follower.clone(), keeping.stop.clone());
    let runtime = Handle::current();
    let work = move || turns(&lake, table, rule, &follower, &runtime, &stop);
    background::run("hw-by-key", work).await.unwrap_or_else(Outcome::failed)
}

fn turns(
    lake: &hw_lake::Lake,
    table: Table,
    rule: ByKey,
    follower: &FollowerHandle,
    runtime: &Handle,
    stop: &CancellationToken,
) -> Outcome {
    let mut compactor = lake.by_key(table, rule);
    let mut outcome = Outcome { rows: 0, clean: false, due: None, error: None };
    loop {
        match compactor.turn(&mut |_| !stop.is_cancelled()) {
            Ok(ByKeyTurn::Offered { rows }) => {
                // An end of the follower is the end of the process.
                let _ = runtime.block_on(follower.commit_now());
                outcome.rows += rows;
            }
            Ok(ByKeyTurn::Clean { due }) => return Outcome { clean: true, due, ..outcome },
            Ok(ByKeyTurn::Waiting | ByKeyTurn::Stopped) => return outcome,
            Err(error) => return Outcome { error: Some(error.to_string()), ..outcome },
        }
    }
}

impl Outcome {
    fn failed(error: String) -> Outcome {
        Outcome { rows: 0, clean: false, due: None, error: Some(error) }
    }
}
