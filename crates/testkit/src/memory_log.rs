//! A log in memory, for tests of whoever reads one. Tests push appends; readers see what is durable.
//! Always: numbers 1, 2, 3, … without holes. Loses everything when it is dropped.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use hw_event::{Seq, StreamId};
use hw_journal::{Append, BlockKind, BlockRef, Log, ReadError, StoredAppend};
use tokio::sync::watch;

pub struct MemoryLog {
    // A std mutex: held for a list operation, never across an await.
    kept: Mutex<Kept>,
    durable: watch::Sender<Seq>,
}

struct Kept {
    appends: VecDeque<StoredAppend>,
    last: Seq,
    released: Seq,
}

/// What a `BlockRef` of this log holds on to: the body itself.
struct Place(Bytes);

impl MemoryLog {
    pub fn new() -> MemoryLog {
        let kept = Kept { appends: VecDeque::new(), last: Seq::ZERO, released: Seq::ZERO };
        MemoryLog { kept: Mutex::new(kept), durable: watch::Sender::new(Seq::ZERO) }
    }

    /// Appends, durable at once.
    pub fn push(&self, append: Append) -> Seq {
        let seq = self.push_unsynced(append);
        self.sync();
        seq
    }

    /// Appends; no reader sees it before `sync`.
    pub fn push_unsynced(&self, append: Append) -> Seq {
        let mut kept = self.kept();
        kept.last = kept.last.next();
        let seq = kept.last;
        kept.appends.push_back(StoredAppend { seq, append });
        seq
    }

    /// Makes everything pushed so far durable.
    pub fn sync(&self) {
        let last = self.kept().last;
        self.durable.send_replace(last);
    }

    /// The highest append that a reader has released. Unlike the journal, this log forgets only in `recycle`.
    pub fn released(&self) -> Seq {
        self.kept().released
    }

    /// Forgets what was released; a reader who asks for it gets `Gone`.
    pub fn recycle(&self) {
        let mut kept = self.kept();
        let released = kept.released;
        kept.appends.retain(|stored| stored.seq > released);
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryLog {
    fn default() -> MemoryLog {
        MemoryLog::new()
    }
}

impl Kept {
    fn first(&self) -> Seq {
        self.appends.front().map_or(self.last.next(), |stored| stored.seq)
    }

    fn check(&self, after: Seq) -> Result<(), ReadError> {
        let first_kept = self.first();
        if after.next() < first_kept { Err(ReadError::Gone { first_kept }) } else { Ok(()) }
    }
}

impl Log for MemoryLog {
    fn durable(&self) -> watch::Receiver<Seq> {
        self.durable.subscribe()
    }

    fn first_kept(&self) -> Seq {
        self.kept().first()
    }

    fn released(&self) -> Seq {
        MemoryLog::released(self)
    }

    fn read(&self, after: Seq, bytes_max: usize) -> Result<Vec<StoredAppend>, ReadError> {
        let durable = *self.durable.borrow();
        let kept = self.kept();
        kept.check(after)?;
        let (mut found, mut bytes) = (Vec::new(), 0);
        for stored in kept.appends.iter().filter(|stored| stored.seq > after && stored.seq <= durable) {
            let size: usize = stored.append.blocks.iter().map(|block| block.body.len()).sum();
            if !found.is_empty() && bytes + size > bytes_max {
                break;
            }
            bytes += size;
            found.push(stored.clone());
        }
        Ok(found)
    }

    fn blocks(
        &self,
        stream: StreamId,
        kind: BlockKind,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<BlockRef>, ReadError> {
        let through = through.min(*self.durable.borrow());
        let kept = self.kept();
        kept.check(after)?;
        let mut found = Vec::new();
        for stored in kept.appends.iter().filter(|stored| stored.seq > after && stored.seq <= through) {
            for block in &stored.append.blocks {
                if block.header.stream == stream && block.header.kind == kind {
                    found.push(BlockRef {
                        seq: stored.seq,
                        received_at: stored.append.received_at,
                        header: Arc::new(block.header.clone()),
                        body_bytes: block.body.len(),
                        place: Arc::new(Place(block.body.clone())),
                    });
                }
            }
        }
        Ok(found)
    }

    fn read_block(&self, block: &BlockRef) -> Result<Bytes, ReadError> {
        match block.place.downcast_ref::<Place>() {
            Some(place) => Ok(place.0.clone()),
            None => panic!("the block belongs to another log"),
        }
    }

    fn release(&self, seq: Seq) {
        let mut kept = self.kept();
        kept.released = kept.released.max(seq);
    }
}
