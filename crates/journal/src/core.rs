//! The writer: a plain synchronous machine over a disk and a clock. A thread drives it in production
//! (`journal.rs`), a seeded simulation in tests.
//!
//! One group: `write` (the frames go to the file), then `flush` (they are durable, and readers see them). A group is
//! written only after the flush before it has returned, so a crash can tear one group only.
//! A write or sync that fails gives up the segment, for ever: what a failed sync has left in the cache is not to be
//! trusted. The next segment's header says where the given-up one validly ends.
//! Always: readers see only what was synced; the state is folded from what was synced.

use std::{io, sync::Arc, time::Duration};

use hw_event::{
    Clock, Entropy, Seq, Timestamp,
    sabotage::{Bug, armed},
};

use crate::{
    Append, AppendError, Damage, Disk, Found, Log, OpenError, Record, RecordKind, Recovered, Settings, block,
    frame::{self, FrameKind, Head},
    index::{self, Entry},
    keys::KeyRecord,
    recovery::{Recovery, failed},
    segment::{FRAMES_START, PAGE, Previous, SegmentFile, Trailer, align_page},
    shelf::Shelf,
    state::{KeyFile, State},
};

pub(crate) mod files;
mod rotate;
pub(crate) mod wipe;

use files::Files;

/// After the disk has refused a new segment, the next attempt waits this long.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// The smallest segment in which a snapshot, a group, an index and the trailer have room.
pub(crate) const SEGMENT_BYTES_MIN: u64 = 64 * 1024;

pub struct Core {
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    journal_id: u128,
    epoch: u64,
    shelf: Arc<Shelf>,
    /// What every append through `last` adds up to.
    state: State,
    last: Seq,
    /// The segment that is written; `None` after a failure, until a new one could be opened.
    open: Option<Open>,
    /// Where the log validly ends: what the next segment's header says.
    ended: Previous,
    pending: Option<Pending>,
    /// Key records in no file yet, and the first append that they could come from.
    keys: Vec<KeyRecord>,
    keys_from: Seq,
    keys_newest: Timestamp,
    /// The key files that the next snapshot names and those that it no longer does, from the first attempt at a segment on.
    filed: Option<(Vec<KeyFile>, Vec<String>)>,
    /// What the last synced frame says.
    claimed: Claimed,
    files: Files,
    failure: Option<Failure>,
    buffer: Vec<u8>,
}

struct Open {
    segment: Arc<SegmentFile>,
    /// Where the next group goes, a multiple of a page.
    position: u64,
    /// The file's size.
    bytes: u64,
    /// What the entries of its index will take.
    index_bytes: usize,
}

/// A group that was written and not synced.
struct Pending {
    appends: Vec<Append>,
    entries: Vec<Entry>,
    end: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Claimed {
    durable: Seq,
    released: Seq,
}

struct Failure {
    error: Arc<io::Error>,
    at: Timestamp,
}

impl Core {
    /// Recovers the journal in `disk`, or makes one.
    pub fn open(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Core, Recovered), OpenError> {
        check(&settings)?;
        let found = Found::read(disk.as_ref())?;
        Core::open_found(found, disk, clock, entropy, settings)
    }

    /// Goes on from what was found in `disk`. Here the first byte is written.
    pub fn open_found(
        found: Found,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Core, Recovered), OpenError> {
        check(&settings)?;
        match found.recovery {
            Some(recovery) => Core::resume(disk, clock, settings, recovery),
            None => Core::create(disk, clock, entropy, settings),
        }
    }

    fn create(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        entropy: &dyn Entropy,
        settings: Settings,
    ) -> Result<(Core, Recovered), OpenError> {
        let mut id = [0; 16];
        entropy.fill(&mut id);
        let names = disk.list().map_err(failed("list", "."))?;
        for name in names.iter().filter(|name| files::is_leftover(name)) {
            disk.remove(name).map_err(failed("remove", name))?;
        }
        let mut core = Core {
            files: Files::new(disk.clone(), &settings, 0, 0, None),
            disk,
            clock,
            settings,
            journal_id: u128::from_le_bytes(id),
            epoch: 1,
            shelf: Arc::new(Shelf::new(Seq::ZERO)),
            state: State::default(),
            last: Seq::ZERO,
            open: None,
            ended: Previous::default(),
            pending: None,
            keys: Vec::new(),
            keys_from: Seq(1),
            keys_newest: Timestamp(0),
            filed: None,
            claimed: Claimed { durable: Seq::ZERO, released: Seq::ZERO },
            failure: None,
            buffer: Vec::new(),
        };
        core.open_segment(0, 0).map_err(failed("make", "the first segment"))?;
        let recovered = core.recovered(Vec::new(), 0, Vec::new());
        Ok((core, recovered))
    }

    fn resume(
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
        settings: Settings,
        recovery: Recovery,
    ) -> Result<(Core, Recovered), OpenError> {
        // What the names say was read, and need not be what a power cut would leave: a segment that is gone from them may
        // come back, one that is there may go. Nothing is removed or appended on their word before they are durable.
        disk.sync_dir().map_err(failed("sync", "."))?;
        let shelf = Arc::new(Shelf::new(recovery.last));
        let Recovery { tail, segments, .. } = recovery;
        let newest = segments.last().map(|found| found.file.header.segment_bytes);
        let (number, incarnation) = (recovery.number_max, recovery.incarnation_max);
        let mut files = Files::new(disk.clone(), &settings, number, incarnation, newest);
        files.adopt(recovery.free, recovery.stale);
        let mut open = None;
        let mut ended = Previous::default();
        let count = segments.len();
        for (at, found) in segments.into_iter().enumerate() {
            let is_open = at + 1 == count;
            if is_open {
                let header = found.file.header;
                ended = Previous {
                    number: header.number,
                    incarnation: header.incarnation,
                    end: align_page(tail.end),
                    last: recovery.last,
                };
                open = Some(Open {
                    segment: found.file.clone(),
                    position: ended.end,
                    bytes: tail.bytes,
                    index_bytes: found.entries.iter().map(Entry::bytes).sum(),
                });
            }
            shelf.put(found.file, found.entries, found.end, found.last, is_open);
        }
        shelf.release(recovery.released);
        shelf.set_next_offsets(recovery.state.next_offsets.clone());
        shelf.note_damage(recovery.damage.iter().cloned());
        for damage in &recovery.damage {
            tracing::error!(file = %damage.file, start = damage.start, end = damage.end, seqs = ?damage.seqs,
                reason = %damage.reason, "the journal is damaged; the rest is served");
        }
        for name in &recovery.junk {
            disk.remove(name).map_err(failed("remove", name))?;
        }
        let cut_bytes = tail.torn_end - tail.end;
        if let Some(open) = &open {
            let name = &open.segment.name;
            let file = open.segment.file.as_ref();
            // From here on all of the valid part counts as durable. A killed process may have left the last group
            // in the cache alone, and if its sync had failed, the cache counts those pages as clean: a sync would
            // pass them over. So they are made dirty again, with the same bytes.
            files::rewrite(file, tail.unsure_from, tail.end)
                .and_then(|()| file.sync())
                .map_err(failed("sync", name))?;
            if cut_bytes > 0 {
                tracing::warn!(file = %name, start = tail.end, end = tail.torn_end, "a torn tail is cut off");
                // The page in which the valid part ends stays as it is: it was synced. What is left in it is void
                // because its epoch is older than that of the seal below.
                files::write_zeros(file, open.position, align_page(tail.torn_end).min(tail.bytes))
                    .and_then(|()| file.sync())
                    .map_err(failed("cut the torn tail of", name))?;
            }
        }
        let finished = tail.finished;
        let mut core = Core {
            disk,
            clock,
            settings,
            journal_id: recovery.journal_id,
            epoch: recovery.epoch + 1,
            shelf,
            state: recovery.state,
            last: recovery.last,
            open,
            ended,
            pending: None,
            keys: recovery.tail_keys,
            keys_from: recovery.tail_keys_from,
            keys_newest: recovery.tail_keys_newest,
            filed: None,
            claimed: Claimed { durable: Seq::ZERO, released: recovery.released },
            files,
            failure: None,
            buffer: Vec::new(),
        };
        let mut keys = recovery.filed_keys;
        keys.extend(core.keys.iter().cloned());
        keys.retain(|(seq, _)| *seq > core.state.keys_released);
        // The first thing that a boot writes makes its epoch durable.
        if finished || !core.fits(0, 0) {
            core.rotate(0, 0).map_err(failed("open", "a new segment"))?;
        } else if let Err(error) = core.seal()
            && core.open.is_none()
        {
            let source = io::Error::new(error.kind(), error);
            return Err(OpenError::Disk { action: "seal", file: "the open segment".to_owned(), source });
        }
        let recovered = core.recovered(keys, cut_bytes, recovery.damage);
        Ok((core, recovered))
    }

    fn recovered(&self, keys: Vec<(Seq, Record)>, cut_bytes: u64, damage: Vec<Damage>) -> Recovered {
        Recovered {
            journal_id: self.journal_id,
            boot_epoch: self.epoch,
            last: self.last,
            next_offsets: self.state.next_offsets.clone(),
            positions: self.state.positions.clone(),
            keys,
            cut_bytes,
            damage,
        }
    }

    pub(crate) fn shelf(&self) -> Arc<Shelf> {
        self.shelf.clone()
    }

    /// The readers' side.
    pub fn log(&self) -> Arc<dyn Log> {
        self.shelf.clone()
    }

    /// Key records at or before this append may be forgotten.
    pub fn release_keys(&self, through: Seq) {
        self.shelf.release_keys(through);
    }

    /// The last append that is durable.
    pub fn last(&self) -> Seq {
        self.last
    }

    /// Why the journal cannot be written at present.
    pub fn failure(&self) -> Option<Arc<io::Error>> {
        self.failure.as_ref().map(|failure| failure.error.clone())
    }

    pub fn free_segments(&self) -> usize {
        self.files.free()
    }

    /// The number of the open segment, and where the next group goes in it.
    pub(crate) fn open_end(&self) -> Option<(u64, u64)> {
        self.open.as_ref().map(|open| (open.segment.header.number, open.position))
    }

    /// Writes a group: these appends get the numbers after `last`. They survive the death of the process, and
    /// nobody sees them. After an error none of them is in the log.
    pub fn write(&mut self, group: Vec<Append>) -> Result<(), AppendError> {
        assert!(self.pending.is_none(), "a group is written only after the flush before it");
        if let Some(error) = group.iter().find_map(not_storable) {
            return Err(AppendError::Disk(Arc::new(error)));
        }
        let frames: usize = group.iter().map(frame::append_bytes).sum();
        let index: usize = group.iter().map(index::entry_bytes).sum();
        self.make_room(frames, index).map_err(AppendError::Disk)?;
        let Some(open) = &self.open else {
            unreachable!("make_room has opened a segment or returned an error")
        };
        let (segment, position) = (open.segment.clone(), open.position);
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.reserve(align_page(frames as u64) as usize);
        let mut entries = Vec::with_capacity(group.len());
        let claims = self.claims();
        let mut seq = self.last;
        for append in &group {
            seq = seq.next();
            let start = buffer.len();
            let head = self.head(FrameKind::Append, seq, claims);
            let places = frame::encode_append(&mut buffer, &head, segment.seed(), append);
            entries.push(Entry {
                seq,
                position: position + start as u64,
                length: (buffer.len() - start) as u32,
                received_at: append.received_at,
                blocks: append
                    .blocks
                    .iter()
                    .map(|block| Arc::new(block.header.clone()))
                    .zip(places)
                    .collect(),
            });
        }
        buffer.resize(align_page(buffer.len() as u64) as usize, 0);
        let end = position + buffer.len() as u64;
        let written = segment.file.write_at(&buffer, position);
        self.keep_buffer(buffer);
        if let Err(error) = written {
            return Err(AppendError::Disk(self.abandon(error)));
        }
        self.pending = Some(Pending { appends: group, entries, end });
        Ok(())
    }

    /// Makes the written group durable and shows it to the readers. After an error none of it is in the log.
    pub fn flush(&mut self) -> Result<Seq, AppendError> {
        let (Some(pending), Some(open)) = (self.pending.take(), &mut self.open) else { return Ok(self.last) };
        let claims = Claimed { durable: self.last, released: self.claimed.released };
        let file = &open.segment.file;
        let mut synced = Ok(());
        if !(armed(Bug::GroupBeforeFlush) && self.last.0.is_multiple_of(2)) {
            synced = file.sync();
        }
        if armed(Bug::SyncRetried) && synced.is_err() {
            synced = file.sync();
        }
        if let Err(error) = synced {
            return Err(AppendError::Disk(self.abandon(error)));
        }
        open.position = pending.end;
        open.index_bytes += pending.entries.iter().map(Entry::bytes).sum::<usize>();
        let number = open.segment.header.number;
        for (append, entry) in pending.appends.iter().zip(&pending.entries) {
            self.state.fold(append);
            for record in append.records.iter().filter(|record| record.kind == RecordKind::Key) {
                self.keys_newest = self.keys_newest.max(append.received_at);
                self.keys.push((entry.seq, record.clone()));
            }
            self.last = entry.seq;
        }
        self.ended.end = pending.end;
        self.ended.last = self.last;
        self.claimed = claims;
        self.shelf.publish(number, pending.entries, pending.end, self.last);
        Ok(self.last)
    }

    /// One piece of housekeeping, for when nothing else is to do. Returns whether there is more.
    /// 1. Seal the tail: the next start then knows that all of it was durable.
    /// 2. Take back the segments that were released.
    /// 3. Prepare the next segment's file.
    pub fn tidy(&mut self) -> bool {
        if self.open.is_none() {
            // It heals when the next append tries; an idle journal does not hammer a broken disk.
            return false;
        }
        let unsealed = self.claims() != self.claimed;
        if unsealed && self.pending.is_none() {
            let sealed = if self.fits(0, 0) {
                self.seal()
            } else {
                self.rotate(0, 0).map_err(|error| self.note(error))
            };
            if let Err(error) = sealed {
                tracing::error!(%error, "cannot seal the journal's tail");
                return false;
            }
            return true;
        }
        self.take_back();
        self.prepare()
    }

    /// Takes back the segments that hold nothing beyond what a durable frame says is released. Those that readers still
    /// hold may fill what the budget leaves; beyond it the oldest are wanted back.
    fn take_back(&mut self) {
        let mut released = self.claimed.released;
        if armed(Bug::ClockRecyclesEarly)
            && let Some(open) = &self.open
            && self.clock.now().0 - open.segment.header.created_at.0 > 3600 * Timestamp::MICROS_PER_SECOND
        {
            released = self.last;
        }
        self.files.take_back(self.shelf.retire(released));
        self.files.want_back(self.settings.budget_bytes.saturating_sub(self.shelf.used_bytes()));
    }

    /// Works ahead on the next segment's file, a little at a time. Returns whether there is more to do.
    pub fn prepare(&mut self) -> bool {
        match self.files.prepare() {
            Ok(more) => more,
            Err(error) => {
                tracing::warn!(%error, "cannot prepare a segment ahead");
                false
            }
        }
    }

    /// Is the open segment so full that the next one should be prepared even while appends come?
    pub fn wants_room(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.position > open.bytes / 2)
    }

    /// Seals the tail for a clean stop.
    pub fn close(mut self) {
        if self.open.is_some() && self.claims() != self.claimed {
            let sealed = if self.fits(0, 0) {
                self.seal()
            } else {
                self.rotate(0, 0).map_err(|error| self.note(error))
            };
            if let Err(error) = sealed {
                tracing::error!(%error, "cannot seal the journal's tail");
            }
        }
    }

    /// What a frame written now may say.
    fn claims(&self) -> Claimed {
        Claimed { durable: self.last, released: self.shelf.released() }
    }

    fn head(&self, kind: FrameKind, seq: Seq, claims: Claimed) -> Head {
        Head {
            kind,
            length: 0,
            journal_id: self.journal_id,
            epoch: self.epoch,
            seq,
            received_at: self.clock.now(),
            durable_through: claims.durable,
            released_through: claims.released,
            blocks: 0,
            records: 0,
        }
    }

    /// Room for a group, its index and, later, a seal, the index frame and the trailer.
    fn fits(&self, frames: usize, index: usize) -> bool {
        self.open.as_ref().is_some_and(|open| {
            let end = open.position + align_page(frames as u64);
            end + closing_bytes(open.index_bytes + index) <= open.bytes
        })
    }

    fn make_room(&mut self, frames: usize, index: usize) -> Result<(), Arc<io::Error>> {
        if self.fits(frames, index) {
            return Ok(());
        }
        if let Some(failure) = &self.failure {
            let waited = self.clock.now().0.saturating_sub(failure.at.0);
            // A clock that was set back must not keep the journal shut.
            if (0..RETRY_AFTER.as_micros() as i64).contains(&waited) {
                return Err(failure.error.clone());
            }
        }
        self.rotate(frames, index).map_err(|error| self.note(error))
    }

    /// Writes and syncs a seal. It takes no number: it repeats the last append's.
    fn seal(&mut self) -> Result<(), Arc<io::Error>> {
        let Some(open) = &self.open else { return Ok(()) };
        let (segment, position) = (open.segment.clone(), open.position);
        let claims = self.claims();
        let head = self.head(FrameKind::Seal, self.last, claims);
        let mut page = Vec::with_capacity(PAGE as usize);
        frame::encode(&mut page, &head, segment.seed(), |_| {});
        page.resize(PAGE as usize, 0);
        let sealed = segment.file.write_at(&page, position).and_then(|()| segment.file.sync());
        if let Err(error) = sealed {
            return Err(self.abandon(error));
        }
        if let Some(open) = &mut self.open {
            open.position += PAGE;
            self.ended.end = open.position;
        }
        self.claimed = claims;
        Ok(())
    }

    /// Gives up the open segment after `error`, and tries to go on in a new one at once: until its header is
    /// durable, a crash could bring back what was just refused.
    fn abandon(&mut self, error: io::Error) -> Arc<io::Error> {
        tracing::error!(%error, "the journal's segment is given up");
        self.pending = None;
        if let Some(open) = self.open.take() {
            self.shelf.close(open.segment.header.number);
        }
        let error = Arc::new(error);
        if let Err(error) = self.open_segment(0, 0) {
            self.note(error);
        }
        error
    }

    fn note(&mut self, error: io::Error) -> Arc<io::Error> {
        let error = Arc::new(error);
        self.failure = Some(Failure { error: error.clone(), at: self.clock.now() });
        error
    }

    fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        // One very large append must not keep its memory for ever.
        let keep = 2 * self.settings.group_bytes_max;
        if buffer.capacity() > keep {
            buffer = Vec::new();
        }
        self.buffer = buffer;
    }
}

/// What a segment needs after its last group: a seal, the index, the trailer.
fn closing_bytes(index_entries: usize) -> u64 {
    PAGE + align_page(index::frame_bytes(index_entries) as u64) + PAGE
}

/// An append that no frame can hold.
pub(crate) fn not_storable(append: &Append) -> Option<io::Error> {
    let bytes = frame::append_bytes(append);
    if bytes > frame::FRAME_BYTES_MAX {
        let text =
            format!("an append of {bytes} bytes is larger than a frame can be, {}", frame::FRAME_BYTES_MAX);
        return Some(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let fits = append.blocks.iter().all(|block| block::fits(&block.header));
    (!fits).then(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "a block has more extensions than its header counts")
    })
}

fn check(settings: &Settings) -> Result<(), OpenError> {
    let refuse = |reason| Err(OpenError::Settings { reason });
    if settings.segment_bytes < SEGMENT_BYTES_MIN || !settings.segment_bytes.is_multiple_of(PAGE) {
        return refuse("a segment has at least 64 KiB and is a multiple of 4 KiB");
    }
    let first = settings.first_segment_bytes.min(settings.segment_bytes);
    if first < SEGMENT_BYTES_MIN || !first.is_multiple_of(PAGE) {
        return refuse("the first segment has at least 64 KiB and is a multiple of 4 KiB");
    }
    if settings.budget_bytes <= settings.reserve_bytes {
        return refuse("the reserve must be smaller than the budget");
    }
    if settings.group_bytes_max == 0 || settings.queue_bytes_max == 0 {
        return refuse("a group and the queue must have room");
    }
    Ok(())
}
