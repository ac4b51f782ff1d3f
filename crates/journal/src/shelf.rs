//! What readers share with the writer: the segments that are kept and where the appends in them are.
//! Always: only what is durable stands here. A reader takes an `Arc` of a segment under the lock and reads
//! without it; a segment that somebody holds is not written again.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use bytes::Bytes;
use hw_event::{Seq, StreamId, Timestamp};
use tokio::sync::watch;

use crate::{
    BlockKind, BlockPlace, BlockRef, Damage, Log, ReadError, StoredAppend,
    fetch::{self, Fetch, disk_error},
    frame,
    index::Entry,
    segment::{self, SegmentFile},
};

pub(crate) struct Shelf {
    // A std mutex: held for look-ups in memory, never across a read of the disk or an await.
    shelved: Mutex<Shelved>,
    durable: watch::Sender<Seq>,
}

#[derive(Default)]
struct Shelved {
    segments: BTreeMap<u64, Kept>,
    blocks: HashMap<(StreamId, BlockKind), VecDeque<Located>>,
    released: Seq,
    keys_released: Seq,
    damage: Vec<Damage>,
    /// The first offset not given yet, as of `durable`.
    next_offsets: HashMap<(StreamId, i32), i64>,
}

/// One segment that is kept.
struct Kept {
    file: Arc<SegmentFile>,
    entries: Vec<Entry>,
    /// How far it is written.
    used_bytes: u64,
    last: Seq,
    open: bool,
}

/// A block in the index of one stream and kind.
#[derive(Clone, Copy)]
struct Located {
    seq: Seq,
    segment: u64,
    entry: u32,
    block: u32,
}

/// What a `BlockRef` of the journal holds on to.
struct Place {
    segment: Arc<SegmentFile>,
    position: u64,
    bytes: u32,
    crc: u32,
}

impl Shelf {
    pub fn new(durable: Seq) -> Shelf {
        Shelf { shelved: Mutex::default(), durable: watch::Sender::new(durable) }
    }

    /// Puts a segment up, with the appends that recovery found in it.
    pub fn put(&self, file: Arc<SegmentFile>, entries: Vec<Entry>, used_bytes: u64, last: Seq, open: bool) {
        let mut shelved = self.shelved();
        let number = file.header.number;
        for (at, entry) in entries.iter().enumerate() {
            shelved.locate(number, at, entry);
        }
        shelved.segments.insert(number, Kept { file, entries, used_bytes, last, open });
    }

    /// Adds a group that has become durable, and wakes the readers.
    pub fn publish(&self, number: u64, entries: Vec<Entry>, used_bytes: u64, last: Seq) {
        let mut shelved = self.shelved();
        let before = shelved.segments.get(&number).map_or(0, |segment| segment.entries.len());
        for (at, entry) in entries.iter().enumerate() {
            shelved.locate(number, before + at, entry);
            shelved.fold_offsets(entry);
        }
        if let Some(segment) = shelved.segments.get_mut(&number) {
            segment.entries.extend(entries);
            segment.used_bytes = used_bytes;
            segment.last = last;
        }
        drop(shelved);
        self.durable.send_replace(last);
    }

    /// What recovery knows of offsets, also of those whose appends are gone.
    pub fn set_next_offsets(&self, next_offsets: HashMap<(StreamId, i32), i64>) {
        self.shelved().next_offsets = next_offsets;
    }

    /// The first offset not given yet, by stream and partition, as of some moment not before `durable`.
    pub fn next_offsets(&self) -> HashMap<(StreamId, i32), i64> {
        self.shelved().next_offsets.clone()
    }

    /// No more is written to this segment.
    pub fn close(&self, number: u64) {
        if let Some(segment) = self.shelved().segments.get_mut(&number) {
            segment.open = false;
        }
    }

    /// The entries of one segment, for its index.
    pub fn with_entries<T>(&self, number: u64, act: impl FnOnce(&[Entry]) -> T) -> T {
        let shelved = self.shelved();
        act(shelved.segments.get(&number).map_or(&[], |segment| segment.entries.as_slice()))
    }

    /// Takes down the oldest segments, up to the first that is open or holds an append after `released`.
    pub fn retire(&self, released: Seq) -> Vec<Arc<SegmentFile>> {
        let mut shelved = self.shelved();
        let mut retired = Vec::new();
        // The newest stays, open or not: until the next one is durable, what all the others knew is only in it.
        while shelved.segments.len() > 1
            && let Some(oldest) = shelved.segments.first_entry()
        {
            if oldest.get().open || oldest.get().last > released {
                break;
            }
            let segment = oldest.remove();
            shelved.blocks.retain(|_, located| {
                while located.front().is_some_and(|front| front.segment <= segment.file.header.number) {
                    located.pop_front();
                }
                !located.is_empty()
            });
            retired.push(segment.file);
        }
        retired
    }

    pub fn released(&self) -> Seq {
        self.shelved().released
    }

    pub fn release_keys(&self, through: Seq) {
        let mut shelved = self.shelved();
        shelved.keys_released = shelved.keys_released.max(through);
    }

    pub fn keys_released(&self) -> Seq {
        self.shelved().keys_released
    }

    pub fn note_damage(&self, damage: impl IntoIterator<Item = Damage>) {
        self.shelved().damage.extend(damage);
    }

    pub fn damage(&self) -> Vec<Damage> {
        self.shelved().damage.clone()
    }

    /// The segments that are kept, by number.
    pub fn numbers(&self) -> Vec<u64> {
        self.shelved().segments.keys().copied().collect()
    }

    /// A segment, if it is still kept, and all appends in it.
    pub fn fetches(&self, number: u64) -> Option<(Arc<SegmentFile>, Vec<Fetch>)> {
        let shelved = self.shelved();
        let kept = shelved.segments.get(&number)?;
        let fetches = kept.entries.iter().map(|entry| Fetch::of(&kept.file, entry)).collect();
        Some((kept.file.clone(), fetches))
    }

    pub fn segments(&self) -> usize {
        self.shelved().segments.len()
    }

    /// How many segments hold an append at or before this one.
    pub fn segments_from(&self, through: Seq) -> usize {
        self.shelved().segments.values().filter(|segment| segment.file.header.first <= through).count()
    }

    pub fn newest_received_at(&self) -> Option<Timestamp> {
        let shelved = self.shelved();
        shelved.segments.values().rev().find_map(|segment| Some(segment.entries.last()?.received_at))
    }

    /// Bytes occupied by segments that hold an unreleased append.
    pub fn used_bytes(&self) -> u64 {
        let shelved = self.shelved();
        let unreleased = shelved.segments.values().filter(|segment| segment.last > shelved.released);
        unreleased.map(|segment| segment.used_bytes).sum()
    }

    pub fn bytes_by_stream(&self) -> HashMap<StreamId, u64> {
        let shelved = self.shelved();
        let mut bytes: HashMap<StreamId, u64> = HashMap::new();
        for ((stream, _), located) in &shelved.blocks {
            let from = located.partition_point(|block| block.seq <= shelved.released);
            let places = located.range(from..).filter_map(|block| shelved.place(block));
            let sum: u64 = places.map(|place| u64::from(place.bytes)).sum();
            *bytes.entry(*stream).or_default() += sum;
        }
        bytes.retain(|_, bytes| *bytes > 0);
        bytes
    }

    /// Bytes of one stream's blocks of one kind after an append. Costs a step for each of them.
    pub fn bytes_after(&self, stream: StreamId, kind: BlockKind, after: Seq) -> u64 {
        let shelved = self.shelved();
        let Some(located) = shelved.blocks.get(&(stream, kind)) else { return 0 };
        let from = located.partition_point(|block| block.seq <= after);
        let places = located.range(from..).filter_map(|block| shelved.place(block));
        places.map(|place| u64::from(place.bytes)).sum()
    }

    fn plan(&self, after: Seq, bytes_max: usize) -> Result<Vec<Fetch>, ReadError> {
        let durable = *self.durable.borrow();
        let shelved = self.shelved();
        shelved.check_kept(after, durable)?;
        let (mut plan, mut bytes) = (Vec::new(), 0);
        for segment in shelved.segments.values().filter(|segment| segment.last > after) {
            let from = segment.entries.partition_point(|entry| entry.seq <= after);
            for entry in &segment.entries[from..] {
                let length = entry.length as usize;
                if !plan.is_empty() && bytes + length > bytes_max {
                    return Ok(plan);
                }
                bytes += length;
                plan.push(Fetch::of(&segment.file, entry));
            }
        }
        Ok(plan)
    }

    fn shelved(&self) -> MutexGuard<'_, Shelved> {
        self.shelved.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for Shelf {
    fn durable(&self) -> watch::Receiver<Seq> {
        self.durable.subscribe()
    }

    fn first_kept(&self) -> Seq {
        self.shelved().first_kept(*self.durable.borrow())
    }

    fn released(&self) -> Seq {
        Shelf::released(self)
    }

    fn read(&self, after: Seq, bytes_max: usize) -> Result<Vec<StoredAppend>, ReadError> {
        fetch::read_all(&self.plan(after, bytes_max)?)
    }

    fn blocks(
        &self,
        stream: StreamId,
        kind: BlockKind,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<BlockRef>, ReadError> {
        let durable = *self.durable.borrow();
        let shelved = self.shelved();
        shelved.check_kept(after, durable)?;
        let Some(located) = shelved.blocks.get(&(stream, kind)) else { return Ok(Vec::new()) };
        let from = located.partition_point(|block| block.seq <= after);
        let wanted = located.range(from..).take_while(|block| block.seq <= through);
        Ok(wanted.filter_map(|block| shelved.block_ref(block)).collect())
    }

    fn release(&self, seq: Seq) {
        let durable = *self.durable.borrow();
        let mut shelved = self.shelved();
        shelved.released = shelved.released.max(seq.min(durable));
    }

    fn read_block(&self, block: &BlockRef) -> Result<Bytes, ReadError> {
        let Some(place) = block.place.downcast_ref::<Place>() else {
            return Err(disk_error(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the block belongs to another log",
            )));
        };
        let body = segment::read_vec(place.segment.file.as_ref(), place.position, place.bytes as usize)
            .map_err(disk_error)?;
        if body.len() != place.bytes as usize || crc32c::crc32c(&body) != place.crc {
            return Err(ReadError::Damaged {
                file: place.segment.name.clone(),
                start: place.position,
                end: place.position + u64::from(place.bytes),
                reason: format!("a block of append {}: the checksum does not match", block.seq),
            });
        }
        Ok(Bytes::from(body))
    }

    fn place(&self, block: &BlockRef) -> Option<BlockPlace> {
        let Place { segment, position, bytes, crc } = block.place.downcast_ref()?;
        Some(BlockPlace { file: segment.name.clone(), position: *position, bytes: *bytes, crc: *crc })
    }

    fn wanted(&self, block: &BlockRef) -> bool {
        let place = block.place.downcast_ref::<Place>();
        // A flag that is only ever set: seen a moment later it is as good.
        place.is_some_and(|place| place.segment.wanted.load(Ordering::Relaxed))
    }
}

impl Shelved {
    fn locate(&mut self, segment: u64, at: usize, entry: &Entry) {
        for (block, (header, _)) in entry.blocks.iter().enumerate() {
            self.blocks.entry((header.stream, header.kind)).or_default().push_back(Located {
                seq: entry.seq,
                segment,
                entry: at as u32,
                block: block as u32,
            });
        }
    }

    fn fold_offsets(&mut self, entry: &Entry) {
        for (header, _) in &entry.blocks {
            for run in &header.runs {
                let next = self.next_offsets.entry((header.stream, run.partition)).or_insert(0);
                *next = (*next).max(run.base.saturating_add(i64::from(run.span)));
            }
        }
    }

    fn first_kept(&self, durable: Seq) -> Seq {
        self.segments.values().next().map_or(durable.next(), |oldest| oldest.file.header.first)
    }

    fn check_kept(&self, after: Seq, durable: Seq) -> Result<(), ReadError> {
        let first_kept = self.first_kept(durable);
        if after.next() < first_kept { Err(ReadError::Gone { first_kept }) } else { Ok(()) }
    }

    fn place(&self, located: &Located) -> Option<frame::BodyPlace> {
        let entry = self.segments.get(&located.segment)?.entries.get(located.entry as usize)?;
        entry.blocks.get(located.block as usize).map(|(_, place)| *place)
    }

    fn block_ref(&self, located: &Located) -> Option<BlockRef> {
        let segment = self.segments.get(&located.segment)?;
        let entry = segment.entries.get(located.entry as usize)?;
        let (header, place) = entry.blocks.get(located.block as usize)?;
        Some(BlockRef {
            seq: entry.seq,
            received_at: entry.received_at,
            header: header.clone(),
            body_bytes: place.bytes as usize,
            place: Arc::new(Place {
                segment: segment.file.clone(),
                position: entry.position + u64::from(place.at),
                bytes: place.bytes,
                crc: place.crc,
            }),
        })
    }
}
