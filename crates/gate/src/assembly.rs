//! Judged requests become one append: dedupe, places, blocks, records.
//! Always: the blocks are cut once a group, not once a request; a stream's events get their offsets in the order
//! of the requests, and within one in the order of its events; received = stored + rejected + duplicates.
//! Plain state and values: no IO, no clock.

use std::collections::HashMap;

use bytes::Bytes;
use hw_event::{
    Clock, Seq, StreamId, Tally, Timestamp,
    sabotage::{Bug, armed},
};
use hw_journal::{Append, Record, RecordKind};

use crate::{
    OffsetRange, Refusal,
    blocks::{Blocks, BlocksError},
    judged::{Judged, JudgedIdentity, Standing, Verdict},
    place::Places,
    producers::{Producers, Progress},
    submission::RECEIPT_ERRORS_MAX,
    window::{self, Answered, KeyDigest, Window},
};

/// Bytes of events for streams that have no schema; more are refused.
const UNDECLARED_BYTES_MAX: u64 = 1024 * 1024 * 1024;
const UNDECLARED_OWNER: &[u8] = b"undeclared";

/// A group's append, the answer to each of its requests, and how to take it all back.
pub(crate) struct Assembled {
    pub append: Append,
    pub verdicts: Vec<Result<Verdict, Refusal>>,
    pub tallies: Vec<Tally>,
    undo: Undo,
}

#[derive(Default)]
struct Undo {
    keys: Vec<(StreamId, KeyDigest)>,
    producers: Vec<(StreamId, String, Option<Progress>)>,
    undeclared_bytes: u64,
    /// Only for a planted bug.
    places: Option<Places>,
}

/// What the gate knows between two appends. All of it is in the journal too.
pub(crate) struct Assembler {
    places: Places,
    window: Window,
    producers: Producers,
    undeclared_bytes: u64,
    last_received_at: Timestamp,
    running: RunningTime,
    last_expiry: Timestamp,
}

impl Assembler {
    pub(crate) fn new(
        next_offsets: HashMap<(StreamId, i32), i64>,
        window: Window,
        positions: &HashMap<Bytes, Bytes>,
    ) -> Assembler {
        let producers = Producers::restore(positions);
        let running = RunningTime::after(window.newest().max(producers.newest()));
        let undeclared_bytes = positions
            .get(UNDECLARED_OWNER)
            .and_then(|value| value.as_ref().try_into().ok())
            .map_or(0, u64::from_le_bytes);
        Assembler {
            places: Places::new(next_offsets),
            window,
            producers,
            undeclared_bytes,
            last_received_at: Timestamp(i64::MIN),
            running,
            last_expiry: Timestamp(i64::MIN),
        }
    }

    /// Steps: 1. each request against the dedupe state; 2. partitions and offsets; 3. one block of rows and one
    /// of rejects for each stream and schema; 4. records: keys, producers, tallies.
    pub(crate) fn assemble(
        &mut self,
        requests: &[Judged],
        clock: &dyn Clock,
    ) -> Result<Assembled, BlocksError> {
        // Time does not step back from append to append, whatever the machine's clock does.
        let now = clock.now().max(self.last_received_at);
        self.last_received_at = now;
        let kept_at = self.running.now(clock);
        let mut undo = Undo::default();
        if armed(Bug::OffsetReused) {
            undo.places = Some(self.places.clone());
        }
        let mut records = Vec::new();
        let mut tallies: Vec<Tally> = Vec::new();
        let mut blocks = Blocks::default();
        let mut verdicts = Vec::with_capacity(requests.len());

        for (request_index, request) in requests.iter().enumerate() {
            let verdict = self.judge_repeat(request, kept_at);
            let skipped = match verdict {
                Err(refusal) => {
                    verdicts.push(Err(refusal));
                    continue;
                }
                Ok(Repeat::Whole { offsets }) => {
                    let duplicates = u64::from(request.received);
                    let mut tally = Tally::new(request.stream.id, &request.door, now);
                    tally.received = duplicates;
                    tally.duplicates = duplicates;
                    tally.bytes = request.bytes;
                    add_tally(&mut tallies, tally);
                    verdicts.push(Ok(Verdict {
                        accepted: 0,
                        rejected: 0,
                        duplicates,
                        offsets,
                        errors: Vec::new(),
                        errors_left_out: 0,
                    }));
                    continue;
                }
                Ok(Repeat::First { events }) => events,
            };
            if !request.stream.declared {
                if self.undeclared_bytes + request.bytes > UNDECLARED_BYTES_MAX {
                    verdicts.push(Err(Refusal::UndeclaredFull));
                    continue;
                }
                self.undeclared_bytes += request.bytes;
                undo.undeclared_bytes += request.bytes;
            }

            let placed = self.places.place(request, skipped, now);
            blocks.add(request_index, request, &placed)?;
            let accepted = placed.rows.len() as u64;
            let rejected = placed.rejects.len() as u64;

            let first_reject = request.rejects.len() - placed.rejects.len();
            let kept_rejects = &request.rejects[first_reject..];
            let verdict = Verdict {
                accepted,
                rejected,
                duplicates: skipped as u64,
                offsets: placed.ranges,
                errors: kept_rejects
                    .iter()
                    .take(RECEIPT_ERRORS_MAX)
                    .map(|reject| reject.error.clone())
                    .collect(),
                errors_left_out: kept_rejects.len().saturating_sub(RECEIPT_ERRORS_MAX) as u64,
            };

            let mut tally = Tally::new(request.stream.id, &request.door, now);
            match request.standing {
                Standing::Received => {
                    tally.refused = placed.refused;
                    tally.received = u64::from(request.received) - placed.refused;
                    tally.stored = accepted;
                    tally.rejected = rejected;
                    tally.duplicates = skipped as u64;
                    tally.bytes = request.bytes;
                    add_tally(&mut tallies, tally);
                }
                Standing::Replayed { .. } => {
                    tally.replayed = accepted;
                    add_tally(&mut tallies, tally);
                }
                Standing::Resolutions => {}
            }

            match &request.identity {
                // Refused: the corrected request may have the same key and the same sequence.
                _ if placed.refuses => {}
                JudgedIdentity::None => {}
                JudgedIdentity::Key { key, body } => {
                    let answered = Answered {
                        seq: Seq::ZERO,
                        body: *body,
                        at: kept_at,
                        offsets: verdict.offsets.clone(),
                    };
                    records.push(window::encode(request.stream.id, key, &answered));
                    self.window.insert(request.stream.id, *key, answered);
                    undo.keys.push((request.stream.id, *key));
                }
                JudgedIdentity::Producer(producer) => {
                    let count = request.received as usize;
                    let (record, before) =
                        self.producers.advance(request.stream.id, producer, count, kept_at);
                    records.push(record);
                    undo.producers.push((request.stream.id, producer.id.clone(), before));
                }
                JudgedIdentity::Positions(positions) => {
                    records.extend(positions.records.iter().map(|(owner, value)| Record {
                        kind: RecordKind::Position,
                        owner: owner.clone(),
                        value: value.clone(),
                    }));
                }
            }
            verdicts.push(Ok(verdict));
        }

        let blocks = blocks.finish(requests, now)?;
        if undo.undeclared_bytes > 0 {
            records.push(Record {
                kind: RecordKind::Position,
                owner: Bytes::from_static(UNDECLARED_OWNER),
                value: self.undeclared_bytes.to_le_bytes().to_vec().into(),
            });
        }
        for tally in &tallies {
            debug_assert!(tally.balances(), "{tally:?}");
            records.push(Record {
                kind: RecordKind::Tally,
                owner: tally.stream.0.to_le_bytes().to_vec().into(),
                value: tally.to_bytes().into(),
            });
        }
        Ok(Assembled { append: Append { received_at: now, blocks, records }, verdicts, tallies, undo })
    }

    /// The append did not come to be durable: nothing of it counts. Its offsets stay a gap.
    pub(crate) fn undo(&mut self, assembled: Assembled) {
        let undo = assembled.undo;
        for (stream, key) in undo.keys {
            self.window.remove(stream, &key);
        }
        for (stream, id, before) in undo.producers.into_iter().rev() {
            self.producers.undo(stream, &id, before);
        }
        self.undeclared_bytes -= undo.undeclared_bytes;
        if let Some(places) = undo.places {
            self.places = places;
        }
    }

    /// The append is durable as `seq`: the keys it holds learn their place.
    pub(crate) fn settle(&mut self, assembled: &Assembled, seq: Seq) {
        for (stream, key) in &assembled.undo.keys {
            self.window.settle(*stream, key, seq);
        }
    }

    /// Once a minute: forgets old keys and producers. Returns the records that end them in the journal, and
    /// through which append it may forget keys.
    pub(crate) fn expire(&mut self, clock: &dyn Clock) -> (Vec<Record>, Option<Seq>) {
        let now = self.running.now(clock);
        if now.0.saturating_sub(self.last_expiry.0) < 60 * Timestamp::MICROS_PER_SECOND {
            return (Vec::new(), None);
        }
        self.last_expiry = now;
        (self.producers.expire(now), self.window.expire(now))
    }

    fn judge_repeat(&self, request: &Judged, now: Timestamp) -> Result<Repeat, Refusal> {
        match &request.identity {
            JudgedIdentity::None | JudgedIdentity::Positions(_) => Ok(Repeat::First { events: 0 }),
            JudgedIdentity::Key { key, body } => match self.window.get(request.stream.id, key, now) {
                None => Ok(Repeat::First { events: 0 }),
                Some(answered) if answered.body == *body || armed(Bug::BodyHashIgnored) => {
                    Ok(Repeat::Whole { offsets: answered.offsets.clone() })
                }
                Some(_) => Err(Refusal::KeyReused),
            },
            JudgedIdentity::Producer(producer) => {
                let count = request.received as usize;
                match self.producers.judge(request.stream.id, producer, count)? {
                    repeated if repeated == count => Ok(Repeat::Whole { offsets: Vec::new() }),
                    repeated => Ok(Repeat::First { events: repeated }),
                }
            }
        }
    }
}

/// The time by which keys and producers are kept. It begins at the time of day, or at the newest time that the journal
/// holds, and from there on counts only how long the process has been running: a clock that jumps retires nothing, and
/// neither does a time during which nobody could have sent anything.
struct RunningTime {
    newest: Option<Timestamp>,
    /// To be added to the steady time.
    offset: Option<i64>,
}

impl RunningTime {
    fn after(newest: Option<Timestamp>) -> RunningTime {
        RunningTime { newest, offset: None }
    }

    fn now(&mut self, clock: &dyn Clock) -> Timestamp {
        let steady = i64::try_from(clock.steady().as_micros()).unwrap_or(i64::MAX);
        let newest = self.newest;
        let offset =
            self.offset.get_or_insert_with(|| newest.unwrap_or_else(|| clock.now()).0.saturating_sub(steady));
        Timestamp(offset.saturating_add(steady))
    }
}

enum Repeat {
    /// All of it came before.
    Whole { offsets: Vec<OffsetRange> },
    /// The first `events` came before, the rest is new.
    First { events: usize },
}

fn add_tally(tallies: &mut Vec<Tally>, tally: Tally) {
    match tallies.iter_mut().find(|known| known.stream == tally.stream && known.door == tally.door) {
        Some(known) => known.add(&tally),
        None => tallies.push(tally),
    }
}
