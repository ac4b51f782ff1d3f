//! Each stream's share of the journal: one whose table cannot commit gets 429 alone, before it has filled the journal
//! for all.
//! Always: looked at four times a second and only while a table is in trouble, so that requests pay for a look at a
//! flag. Does not copy blocks forward: what stands behind the table's position stays, other streams' segments with it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hw_event::{Seq, StreamId};
use hw_gate::Gate;
use hw_journal::{BlockKind, Settings};
use hw_lake::Table;
use tokio_util::sync::CancellationToken;

use crate::{reading::Tables, status};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Of the budget, what one stream in trouble may fill: one part in so many …
const SHARE_PART: u64 = 4;
/// … and these segments at least.
const SHARE_SEGMENTS_MIN: u64 = 2;

/// The streams that are refused just now, for whoever wants to tell.
#[derive(Clone, Default)]
pub struct Behind(Arc<Mutex<BTreeSet<String>>>);

impl Behind {
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Bytes of blocks that a stream's table does not hold, beyond which the stream is refused.
pub fn share(settings: &Settings) -> u64 {
    (settings.budget_bytes / SHARE_PART).max(settings.segment_bytes * SHARE_SEGMENTS_MIN)
}

/// Runs until `stop`.
pub async fn keep(tables: Tables, gate: Gate, share: u64, told: Behind, stop: CancellationToken) {
    loop {
        let behind = look(&tables, share);
        let names = behind.keys().map(|id| status::name(&tables, Table::Stream(*id))).collect();
        let before = std::mem::replace(&mut *told.0.lock().unwrap_or_else(PoisonError::into_inner), names);
        for name in told.names().iter().filter(|name| !before.contains(*name)) {
            tracing::warn!(stream = %name, "the stream has its share of the journal: its events are refused");
        }
        metrics::gauge!("headwater_streams_behind").set(behind.len() as f64);
        gate.set_behind(behind);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn look(tables: &Tables, share: u64) -> HashMap<StreamId, Arc<str>> {
    let faults = tables.lake.faults();
    let mut waiting: HashMap<StreamId, (u64, String)> = HashMap::new();
    let mut add = |id: StreamId, kind: BlockKind, position: Seq, reason: &str| {
        let bytes = tables.journal.bytes_after(id, kind, position);
        let entry = waiting.entry(id).or_insert_with(|| (0, reason.to_owned()));
        entry.0 += bytes;
    };
    for fault in faults {
        let position = tables.lake.table(fault.table).map_or(Seq::ZERO, |snapshot| snapshot.seq);
        let table = status::name(tables, fault.table);
        let reason = format!("table {table} cannot commit ({})", fault.error);
        match fault.table {
            Table::Stream(id) => add(id, BlockKind::Rows, position, &reason),
            // Whoever fills it with rejects waits for it.
            Table::Rejects => {
                tables
                    .registry
                    .all()
                    .iter()
                    .for_each(|stream| add(stream.id, BlockKind::Rejects, position, &reason));
            }
            // Its tallies are in every append: no stream is more to blame than another.
            Table::Ledger => {}
        }
    }
    waiting.retain(|_, (bytes, _)| *bytes >= share);
    let told = |(id, (bytes, reason)): (StreamId, (u64, String))| {
        (id, format!("{bytes} bytes of this stream wait in the journal: {reason}").into())
    };
    waiting.into_iter().map(told).collect()
}
