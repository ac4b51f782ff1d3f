//! The one task that owns the order of things: it takes what is waiting as one group, makes one append of it,
//! and answers when the append has come as far as each producer asked.
//! Always: one append is under way at a time, so that what a group is judged against is durable or undone;
//! while the disk syncs, the next group gathers.

use std::{sync::Arc, time::Instant};

use hw_event::{
    Ack, Clock,
    sabotage::{Bug, armed},
};
use hw_journal::{Append, AppendError, Block, BlockKind, Journal};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::{
    Refusal,
    assembly::{Assembled, Assembler},
    judged::{Judged, Verdict},
};

/// A group ends at this many bytes of events; a single larger request is a group of its own.
const GROUP_BYTES_MAX: u64 = 16 * 1024 * 1024;
const GROUP_REQUESTS_MAX: usize = 4096;

pub(crate) struct Queued {
    pub judged: Judged,
    /// Must be in the same append: what became of the rejects that come back with the request.
    pub resolutions: Option<Judged>,
    pub ack: Ack,
    pub answer: oneshot::Sender<Answer>,
    /// Given back when the append was made.
    pub permit: Option<OwnedSemaphorePermit>,
}

pub(crate) type Answer = Result<(Verdict, hw_event::Seq), Refusal>;

pub(crate) struct Sequencer {
    pub journal: Journal,
    pub assembler: Assembler,
    pub clock: Arc<dyn Clock>,
    pub queue: mpsc::Receiver<Queued>,
}

struct Waiting {
    ack: Ack,
    answer: oneshot::Sender<Answer>,
    verdict: Verdict,
}

impl Sequencer {
    /// Runs until every sender is gone and the queue is empty.
    pub(crate) async fn run(mut self) {
        while let Some(first) = self.queue.recv().await {
            let mut bytes = first.judged.weight();
            let mut group = vec![first];
            while bytes < GROUP_BYTES_MAX && group.len() < GROUP_REQUESTS_MAX {
                let Ok(next) = self.queue.try_recv() else { break };
                bytes += next.judged.weight();
                group.push(next);
            }
            self.append(group).await;
        }
    }

    async fn append(&mut self, group: Vec<Queued>) {
        let started = Instant::now();
        let (ended, forget_keys) = self.assembler.expire(&*self.clock);
        if let Some(seq) = forget_keys {
            self.journal.release_keys(seq);
        }
        let mut requests = Vec::with_capacity(group.len());
        let mut rest = Vec::with_capacity(group.len());
        for queued in group {
            requests.push(queued.judged);
            let with = queued.resolutions.is_some();
            requests.extend(queued.resolutions);
            rest.push((queued.ack, queued.answer, queued.permit, with));
        }
        let mut assembled = match self.assembler.assemble(&requests, &*self.clock) {
            Ok(assembled) => assembled,
            Err(error) => {
                // A bug of ours, since every batch was made by the decoder: say so, keep nothing, serve on.
                tracing::error!(%error, requests = requests.len(), "a group could not be assembled");
                for (_, answer, ..) in rest {
                    let _ = answer.send(Err(Refusal::Internal));
                }
                return;
            }
        };
        drop(requests);
        assembled.append.records.extend(ended);

        let mut verdicts = std::mem::take(&mut assembled.verdicts).into_iter();
        let mut waiting = Vec::with_capacity(rest.len());
        for (ack, answer, permit, with) in rest {
            drop(permit);
            let Some(verdict) = verdicts.next() else { break };
            if with {
                // It shares the fate of its request, and nobody asks for its places.
                verdicts.next();
            }
            match verdict {
                Ok(verdict) => waiting.push(Waiting { ack, answer, verdict }),
                Err(refusal) => drop(answer.send(Err(refusal))),
            }
        }
        if waiting.is_empty() && assembled.append.records.is_empty() {
            return;
        }

        let mut append = std::mem::take(&mut assembled.append);
        if armed(Bug::RowsWithoutRejects) && append.blocks.iter().any(is_rejects) {
            let (rejects, rows) = std::mem::take(&mut append.blocks).into_iter().partition(is_rejects);
            append.blocks = rejects;
            let rows = Append { received_at: append.received_at, blocks: rows, records: Vec::new() };
            match self.journal.append(rows).await {
                Ok(mut ticket) => drop(ticket.reached(Ack::Disk).await),
                Err(error) => return self.fail(assembled, waiting, &error),
            }
        }
        metrics::histogram!("headwater_gate_group_requests").record(waiting.len() as f64);
        let mut ticket = match self.journal.append(append).await {
            Ok(ticket) => ticket,
            Err(error) => return self.fail(assembled, waiting, &error),
        };
        let seq = ticket.seq;
        for level in [Ack::Memory, Ack::Os, Ack::Disk] {
            if let Err(error) = ticket.reached(level).await {
                return self.fail(assembled, waiting, &error);
            }
            let (done, still): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|one| one.ack <= level);
            waiting = still;
            for one in done {
                let _ = one.answer.send(Ok((one.verdict, seq)));
            }
        }
        self.assembler.settle(&assembled, seq);
        for tally in &assembled.tallies {
            let door = tally.door.clone();
            let count = |name: &'static str, value: u64| {
                metrics::counter!(name, "door" => door.clone()).increment(value);
            };
            count("headwater_events_received_total", tally.received);
            count("headwater_events_stored_total", tally.stored);
            count("headwater_events_rejected_total", tally.rejected);
            count("headwater_events_duplicate_total", tally.duplicates);
            count("headwater_events_replayed_total", tally.replayed);
            count("headwater_received_bytes_total", tally.bytes);
        }
        metrics::histogram!("headwater_gate_append_seconds").record(started.elapsed().as_secs_f64());
    }

    fn fail(&mut self, assembled: Assembled, waiting: Vec<Waiting>, error: &AppendError) {
        metrics::counter!("headwater_gate_failed_appends_total").increment(1);
        self.assembler.undo(assembled);
        let refusal = match error {
            AppendError::Full { .. } => Refusal::Full(error.to_string()),
            AppendError::Disk(_) => Refusal::Disk(error.to_string()),
            AppendError::Closed => Refusal::Closed,
        };
        for one in waiting {
            let _ = one.answer.send(Err(refusal.clone()));
        }
    }
}

fn is_rejects(block: &Block) -> bool {
    block.header.kind == BlockKind::Rejects
}
