//! A file's events in batches, from where its reading left off.
//! Always: an event is in one batch, or was counted before; a batch knows how far the file is counted with it.
//! What is held is a chunk, a batch and the event that has begun. Blocks; does not know the gate.

use std::io;

use hw_event::RejectCode;
use sha2::{Digest, Sha256};

use super::{
    content::{CHUNK_BYTES, Opened},
    progress::Progress,
};
use crate::{
    Framed,
    doors::framing::{self, Framer, Layout},
};

/// After so much without an event that is new, the caller is asked whether to go on.
const CHUNKS_PER_BATCH_MAX: usize = 64;

#[derive(Debug, Clone, Copy)]
pub(super) struct BatchLimits {
    pub events: usize,
    /// A single larger event is a batch of its own.
    pub bytes: usize,
    pub event_bytes: usize,
}

#[derive(Default)]
pub(super) struct Batch {
    pub body: Vec<u8>,
    pub events: Vec<Framed>,
    /// The first event's number in the file.
    pub first: u64,
    /// How far the file is counted when these events are.
    pub progress: Progress,
    pub end: End,
}

/// What stands behind a batch.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// More.
    #[default]
    More,
    /// Nothing: the file is read.
    Whole,
    /// The first half of an event, which was left where it is: its writer may still write the other.
    Half,
    /// Text that is not what was hashed: the file was changed meanwhile.
    Changed,
}

pub(super) struct Reader {
    opened: Opened,
    layout: Layout,
    limits: BatchLimits,
    /// What was counted before this reading began.
    before: Progress,
    framer: Framer,
    /// Bytes of the file from `base` on, as far as they are needed.
    buffer: Vec<u8>,
    base: usize,
    /// The first byte that the framer has not taken.
    fed: usize,
    /// Events found so far.
    number: u64,
    progress: Progress,
    /// The beginning of the file through `hashed`.
    hash: Sha256,
    hashed: usize,
}

impl Reader {
    pub(super) fn new(opened: Opened, layout: Layout, before: Progress, limits: BatchLimits) -> Reader {
        Reader {
            opened,
            layout,
            limits,
            before,
            framer: Framer::new(layout, limits.event_bytes),
            buffer: Vec::new(),
            base: 0,
            fed: 0,
            number: 0,
            progress: before,
            hash: Sha256::new(),
            hashed: 0,
        }
    }

    /// The next events. `wait_for_half`: what breaks off at the end of the file is left for later.
    pub(super) fn batch(&mut self, wait_for_half: bool) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut found = Vec::new();
        let mut chunks = 0;
        batch.end = loop {
            let full = batch.events.len() >= self.limits.events || batch.body.len() >= self.limits.bytes;
            if full || chunks == CHUNKS_PER_BATCH_MAX {
                break End::More;
            }
            if self.fed == self.base + self.buffer.len() {
                if self.fed as u64 == self.opened.size {
                    break self.finish(&mut batch, wait_for_half);
                }
                self.drop_taken();
                chunks += 1;
                if !self.opened.read(self.fed as u64, &mut self.buffer)? {
                    self.buffer.truncate(self.fed - self.base);
                    break End::Changed;
                }
            }
            // No more than the batch has room for, so that it grows beyond it by one event at most.
            let from = self.fed - self.base;
            let to = self.buffer.len().min(from + (self.limits.bytes - batch.body.len()).min(CHUNK_BYTES));
            let events_max = self.limits.events - batch.events.len();
            self.fed += self.framer.feed(&self.buffer[from..to], &mut found, events_max);
            for event in found.drain(..) {
                self.take(event, &mut batch);
            }
        };
        self.note_beginning();
        if batch.end == End::Whole {
            self.progress.bytes = self.opened.size;
            self.progress.beginning = self.opened.hash;
            self.progress.whole = true;
        }
        batch.progress = self.progress;
        Ok(batch)
    }

    /// The event that the file ends with, if it has no end of its own.
    fn finish(&mut self, batch: &mut Batch, wait_for_half: bool) -> End {
        let mut last = Vec::new();
        self.framer.finish(&mut last);
        for event in last.drain(..) {
            let text = &self.buffer[event.start - self.base..event.end - self.base];
            let half = event.fault == Some(RejectCode::JsonSyntax)
                || (self.layout == Layout::Lines && breaks_off(text));
            if half && wait_for_half && !self.was_counted(&event) {
                return End::Half;
            }
            self.take(event, batch);
        }
        End::Whole
    }

    fn take(&mut self, event: Framed, batch: &mut Batch) {
        let counted = self.was_counted(&event);
        self.number += 1;
        if counted {
            return;
        }
        if batch.events.is_empty() {
            batch.first = self.number - 1;
        }
        let start = batch.body.len();
        batch.body.extend_from_slice(&self.buffer[event.start - self.base..event.end - self.base]);
        batch.events.push(Framed { start, end: batch.body.len(), fault: event.fault });
        self.progress = Progress {
            events: self.number,
            bytes: event.end as u64,
            broken: event.fault == Some(RejectCode::JsonSyntax),
            whole: false,
            // As soon as the beginning is hashed that far.
            beginning: self.progress.beginning,
        };
    }

    /// Whether the event, the next by number, was counted before. In a file that has grown, what was the broken rest
    /// of a document then may be an element now: that was not counted.
    fn was_counted(&self, event: &Framed) -> bool {
        let last = self.number + 1 == self.before.events;
        self.number < self.before.events
            && event.end as u64 <= self.before.bytes
            && !(last && self.before.broken && event.fault.is_none())
    }

    /// Hashes the beginning through what is counted, as far as it is not.
    fn note_beginning(&mut self) {
        let counted = usize::try_from(self.progress.bytes).unwrap_or(usize::MAX);
        if counted > self.hashed && counted <= self.base + self.buffer.len() {
            self.hash_through(counted);
            self.progress.beginning = self.opened.digest(self.hash.clone());
        }
    }

    fn hash_through(&mut self, end: usize) {
        self.hash.update(&self.buffer[self.hashed - self.base..end - self.base]);
        self.hashed = end;
    }

    fn drop_taken(&mut self) {
        self.note_beginning();
        let needed = self.framer.needed_from();
        if needed > self.hashed {
            self.hash_through(needed);
        }
        self.buffer.drain(..needed - self.base);
        self.base = needed;
    }
}

/// Half of a JSON text, as far as brackets and strings say.
fn breaks_off(text: &[u8]) -> bool {
    framing::json(text, 1).is_some_and(|events| events.last().is_some_and(|event| event.fault.is_some()))
}
