//! What must be so, kept outside of the system: every request, what its producer was told, what a reader has seen.
//! Always: a request is stored whole or not at all; what was acknowledged as far as it was promised is there, with the
//! offsets that were told; what a reader saw once stays; no event is there twice.

use std::collections::HashMap;

use hw_event::Ack;
use hw_gate::{Receipt, Refusal};
use hw_vault::SealKeys;

use crate::{
    cut::Cut,
    workload::{Identity, Request, event_text},
    world::STREAMS,
};

/// What is known of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Not answered yet.
    Waiting,
    /// It may be stored, or not: nobody was told.
    Unknown,
    /// Acknowledged, but no further than a crash may reach.
    Soft,
    /// It must be there.
    Hard,
    /// It must not be there.
    Never,
}

#[derive(Default)]
pub struct Oracle {
    pub requests: Vec<Request>,
    /// Which request an event belongs to, by the event's id.
    owners: Vec<usize>,
    /// Who has an offset, as a reader saw it: an event's id.
    seen: HashMap<(usize, i32, i64), i64>,
    /// Offsets that producers were told since the process started.
    told: HashMap<(usize, i32, i64), usize>,
    /// Version and position of each table, as last seen.
    tables: HashMap<String, (i64, u64)>,
    duplicates: [i64; STREAMS.len()],
    pub hash: u64,
    /// What was mixed into it, so that two runs can be compared.
    pub trail: Vec<u64>,
}

impl Oracle {
    /// Mixes a number into the trace.
    pub fn trace(&mut self, value: u64) {
        self.trail.push(value);
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }

    pub fn next_event(&self) -> i64 {
        self.owners.len() as i64
    }

    pub fn add(&mut self, request: Request) -> usize {
        self.owners.extend(request.bad.iter().map(|_| self.requests.len()));
        self.requests.push(request);
        self.requests.len() - 1
    }

    /// A producer got its answer.
    pub fn answer(&mut self, at: usize, answer: &Result<Receipt, Refusal>) {
        let waiting = self.requests[at].fate == Fate::Waiting;
        let events = self.requests[at].bad.len() as u64;
        let stream = self.requests[at].stream;
        self.trace(at as u64);
        match answer {
            Ok(receipt) => {
                self.trace(receipt.seq.0);
                for range in &receipt.offsets {
                    self.trace(range.base as u64);
                }
                if receipt.duplicates > 0 {
                    return self.repeated(at, receipt);
                }
                let request = &self.requests[at];
                assert!(
                    waiting && !request.seen,
                    "request {at} was taken a second time ({:?}, seen: {})",
                    request.fate,
                    request.seen
                );
                let (good, bad) = request.expected();
                assert_eq!((receipt.accepted, receipt.rejected), (good, bad), "request {at}");
                for range in &receipt.offsets {
                    for offset in range.base..range.base + i64::from(range.count) {
                        let other = self.told.insert((stream, range.partition, offset), at);
                        assert_eq!(other, None, "offset {offset} of {stream} was told twice");
                    }
                }
                let request = &mut self.requests[at];
                request.fate = match request.ack {
                    Ack::Disk => Fate::Hard,
                    _ => Fate::Soft,
                };
                request.told = Some((receipt.offsets.clone(), Some(receipt.seq.0)));
            }
            Err(refusal) => {
                self.trace(refusal.to_string().len() as u64);
                let request = &mut self.requests[at];
                match refusal {
                    Refusal::Full(_) | Refusal::Busy => {}
                    Refusal::Disk(_) | Refusal::Closed => request.unsure = true,
                    other => panic!("request {at} of {events} events was refused: {other}"),
                }
                request.fate = if request.unsure { Fate::Unknown } else { Fate::Never };
            }
        }
    }

    /// The whole request was recognised.
    fn repeated(&mut self, at: usize, receipt: &Receipt) {
        let request = &mut self.requests[at];
        let events = request.bad.len() as u64;
        assert_eq!((receipt.duplicates, receipt.accepted), (events, 0), "request {at} in part");
        assert!(
            request.unsure || request.seen || request.told.is_some(),
            "request {at} was never made before"
        );
        assert!(request.identity != Identity::None, "request {at} has no identity");
        if matches!(request.identity, Identity::Key(_)) {
            match &request.told {
                Some((offsets, _)) => {
                    assert_eq!(&receipt.offsets, offsets, "request {at}: not the first offsets")
                }
                None => request.told = Some((receipt.offsets.clone(), None)),
            }
        }
        // What it repeats was durable, or was undone: a repetition is told only of what is in the log.
        if request.ack == Ack::Disk {
            request.fate = Fate::Hard;
            self.duplicates[request.stream] += events as i64;
        } else if request.fate != Fate::Hard {
            request.fate = Fate::Soft;
        }
    }

    /// The process is gone. `memory`: the machine's memory is not, and no call of the disk had failed.
    pub fn crashed(&mut self, memory: bool) {
        self.told.clear();
        for request in &mut self.requests {
            match request.fate {
                Fate::Waiting => {
                    request.unsure = true;
                    request.fate = Fate::Unknown;
                }
                Fate::Soft if memory && request.ack == Ack::Os => request.fate = Fate::Hard,
                Fate::Soft if !request.seen => {
                    request.unsure = true;
                    request.fate = Fate::Unknown;
                }
                _ => {}
            }
        }
    }

    pub fn check(&mut self, cut: &Cut, keys: &SealKeys) {
        self.trace(cut.durable.0);
        let mut stored: Vec<Vec<(i32, i64, u64)>> = vec![Vec::new(); self.requests.len()];
        let mut there = vec![false; self.owners.len()];
        let mut place = |oracle: &mut Oracle, id: i64, stream: usize, row: (i32, i64, u64)| {
            let known = usize::try_from(id).ok().and_then(|id| oracle.owners.get(id).copied());
            let at = known.unwrap_or_else(|| panic!("event {id} was never sent"));
            assert_eq!(oracle.requests[at].stream, stream, "event {id} is in another stream");
            assert!(!std::mem::replace(&mut there[id as usize], true), "event {id} is there twice");
            let before = oracle.seen.insert((stream, row.0, row.1), id);
            assert!(
                before.is_none_or(|before| before == id),
                "offset {} of partition {} of {stream} was event {before:?}, and is {id}",
                row.1,
                row.0
            );
            stored[at].push(row);
        };
        for (stream, rows) in cut.rows.iter().enumerate() {
            for row in rows {
                place(self, row.id, stream, (row.partition, row.offset, row.seq));
            }
        }
        for reject in &cut.rejects {
            let at: usize = reject.request.parse().expect("the number of a request");
            let request = &self.requests[at];
            let index = usize::try_from(reject.index).expect("an index");
            assert!(request.bad.get(index) == Some(&true), "event {index} of request {at} was good");
            let id = request.first + index as i64;
            let clear = keys.open(&reject.payload).expect("the payload opens");
            assert_eq!(clear, event_text(request.stream, id, true, request.filler).as_bytes(), "the payload");
            place(self, id, reject.stream, (reject.partition, reject.offset, reject.seq));
        }
        self.check_requests(stored);
        self.check_ledger(cut);
        self.check_tables(cut);
    }

    fn check_requests(&mut self, mut stored: Vec<Vec<(i32, i64, u64)>>) {
        let mut last_seq: HashMap<usize, u64> = HashMap::new();
        let mut last_offset: HashMap<(usize, i32), i64> = HashMap::new();
        for (at, request) in self.requests.iter_mut().enumerate() {
            let rows = &mut stored[at];
            let Some(&(_, _, seq)) = rows.first() else {
                assert!(!request.seen, "request {at} was visible and is gone ({:?})", request.fate);
                assert!(request.fate != Fate::Hard, "request {at} was acknowledged and is lost: {request:?}");
                continue;
            };
            assert!(request.fate != Fate::Never, "request {at} was refused and is there: {request:?}");
            let (good, bad) = request.expected();
            assert_eq!(rows.len() as u64, good + bad, "request {at} is there in part: {request:?}");
            assert!(rows.iter().all(|row| row.2 == seq), "request {at} is in two appends");
            request.seen = true;
            rows.sort_unstable();
            if let Some((ranges, told_seq)) = &request.told {
                let told: Vec<(i32, i64)> = ranges
                    .iter()
                    .flat_map(|range| {
                        let end = range.base + i64::from(range.count);
                        (range.base..end).map(|offset| (range.partition, offset))
                    })
                    .collect();
                let found: Vec<(i32, i64)> = rows.iter().map(|row| (row.0, row.1)).collect();
                assert_eq!(told, found, "request {at}: other offsets than were told");
                assert!(
                    told_seq.is_none_or(|told| told == seq),
                    "request {at}: another append than was told"
                );
            }
            // One after the other: each producer waits for its answer.
            if let Some(client) = request.client {
                let last = last_seq.insert(client, seq);
                assert!(last.is_none_or(|last| last < seq), "request {at} stands before its elder");
                for row in rows.iter() {
                    let last = last_offset.insert((client, row.0), row.1);
                    assert!(last.is_none_or(|last| last < row.1), "request {at}: the order is not kept");
                }
            }
        }
    }

    /// Accepted = lake and hot tail and error lake, to the event.
    fn check_ledger(&mut self, cut: &Cut) {
        for (stream, counts) in cut.ledger.iter().enumerate() {
            let rejected = cut.rejects.iter().filter(|reject| reject.stream == stream).count();
            assert_eq!(
                (counts.stored, counts.rejected),
                (cut.rows[stream].len() as i64, rejected as i64),
                "the ledger of {stream} does not agree with the tables"
            );
            let sum = counts.stored + counts.rejected + counts.duplicates;
            assert_eq!(counts.received, sum, "the ledger of {stream} does not balance");
            assert!(counts.duplicates >= self.duplicates[stream], "duplicates of {stream} are not counted");
        }
    }

    fn check_tables(&mut self, cut: &Cut) {
        for (_, name, version, seq) in &cut.tables {
            self.trace(*version as u64);
            self.trace(seq.0);
            let before = self.tables.insert(name.clone(), (*version, seq.0)).unwrap_or((-1, 0));
            assert!(
                before.0 <= *version && before.1 <= seq.0,
                "the table {name} went back: {before:?} to {version}, {seq}"
            );
        }
    }

    /// Requests a producer would send again now.
    pub fn unresolved(&self, client: usize) -> Option<usize> {
        let at = self.requests.iter().rposition(|request| request.client == Some(client))?;
        matches!(self.requests[at].fate, Fate::Unknown | Fate::Never | Fate::Waiting).then_some(at)
    }

    /// An old request was made again, or its key was used for something else.
    pub fn probed(&mut self, at: usize, other_body: bool, answer: &Result<Receipt, Refusal>) {
        self.trace(at as u64);
        let events = self.requests[at].bad.len() as u64;
        match answer {
            Ok(_) if other_body => panic!("the key of request {at} answers for another body"),
            Err(Refusal::KeyReused) if other_body => {}
            Ok(receipt) => {
                assert_eq!(receipt.duplicates, events, "request {at} was taken a second time");
                self.repeated(at, receipt);
            }
            Err(Refusal::Full(_) | Refusal::Busy | Refusal::Disk(_) | Refusal::Closed) => {}
            Err(other) => panic!("request {at} was refused when it came again: {other}"),
        }
    }
}
