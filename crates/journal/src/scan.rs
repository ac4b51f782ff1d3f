//! Reads a segment frame by frame where no index says where they are: the open one, and those whose index
//! cannot be trusted.
//!
//! 1. Frames begin at multiples of eight. From the end of one the scan looks on, in steps of eight bytes, for the
//!    next: normally it is there, or after the zeros that fill the group's last page. Behind damage it is later.
//! 2. What looks like a head of this journal (magic and id) is checked as a whole.
//! 3. A frame counts if its CRC is right for this incarnation, its epoch has not fallen, and its number has grown.
//! 4. The first frame of a later boot says where the log ended for it: what an earlier boot left beyond is void.

use std::{io, sync::Arc};

use bytes::Bytes;
use hw_event::{Seq, Timestamp};

use crate::{
    DiskFile, Record, RecordKind,
    frame::{self, FrameError, FrameKind, Head},
    index::Entry,
    segment::{FRAMES_START, SegmentFile},
    state::State,
};

/// How much is read at once.
const WINDOW_BYTES: usize = 1024 * 1024;

/// A frame that counts.
pub(crate) struct Found {
    pub head: Head,
    pub position: u64,
    pub what: What,
}

pub(crate) enum What {
    Append { entry: Entry, records: Vec<Record> },
    Snapshot(Box<State>),
    Seal,
    Index,
}

impl Found {
    pub fn end(&self) -> u64 {
        self.position + u64::from(self.head.length)
    }

    pub fn received_at(&self) -> Timestamp {
        self.head.received_at
    }
}

#[derive(Debug)]
pub(crate) enum ScanError {
    Disk(io::Error),
    Version(u16),
    Features(u32),
}

impl From<io::Error> for ScanError {
    fn from(error: io::Error) -> ScanError {
        ScanError::Disk(error)
    }
}

/// All frames of a segment before `limit` that count, in order of position.
pub(crate) fn scan(segment: &SegmentFile, limit: u64) -> Result<Vec<Found>, ScanError> {
    let mut window = Window { file: segment.file.as_ref(), limit, start: 0, bytes: Vec::new() };
    let journal_id = segment.header.journal_id;
    let mut found: Vec<Found> = Vec::new();
    let mut last = segment.header.first.0.saturating_sub(1);
    let mut epoch = segment.header.epoch;
    let mut position = FRAMES_START;
    while let Some(candidate) = window.next_candidate(position, journal_id)? {
        position = candidate + 8;
        let Some(frame) = frame_at(&mut window, segment, candidate)? else { continue };
        let (head, end) = (frame.head, frame.end());
        let is_append = head.kind == FrameKind::Append;
        if head.epoch > epoch {
            epoch = head.epoch;
            let ended = if is_append { head.seq.0.saturating_sub(1) } else { head.seq.0 };
            found.retain(|earlier| earlier.head.seq.0 <= ended);
            last = last.min(ended);
        }
        let grows = if is_append { head.seq.0 > last } else { head.seq.0 >= last };
        if head.epoch < epoch || !grows {
            // Left over from before: it does not count.
            continue;
        }
        last = head.seq.0;
        found.push(frame);
        position = end;
    }
    Ok(found)
}

/// A head at `position` that was not verified and claims to be newer than `last`: a torn frame. Returns its end.
pub(crate) fn torn_end(
    segment: &SegmentFile,
    position: u64,
    limit: u64,
    last: Seq,
) -> io::Result<Option<u64>> {
    let mut window = Window { file: segment.file.as_ref(), limit, start: 0, bytes: Vec::new() };
    let head = window.at(position, frame::HEAD_BYTES)?;
    let claimed = frame::claimed_length(head, segment.header.journal_id);
    // What a recycled segment's past has left here is older than everything in it now.
    let newer = frame::claimed_seq(head).is_some_and(|seq| seq > last);
    Ok(claimed.filter(|_| newer).map(|length| (position + length as u64).min(limit)))
}

fn frame_at(
    window: &mut Window<'_>,
    segment: &SegmentFile,
    position: u64,
) -> Result<Option<Found>, ScanError> {
    let journal_id = segment.header.journal_id;
    let head = window.at(position, frame::HEAD_BYTES)?;
    let Some(length) = frame::claimed_length(head, journal_id) else { return Ok(None) };
    let bytes = window.at(position, length)?;
    let head = match frame::verify(bytes, segment.seed(), journal_id) {
        Ok(head) => head,
        Err(FrameError::Version(version)) => return Err(ScanError::Version(version)),
        Err(FrameError::Features(bits)) => return Err(ScanError::Features(bits)),
        Err(_) => return Ok(None),
    };
    let what = match head.kind {
        FrameKind::Append => {
            let bytes = Bytes::copy_from_slice(bytes);
            let Ok(decoded) = frame::decode_append(&bytes, &head) else { return Ok(None) };
            let headers = decoded.append.blocks.into_iter().map(|block| Arc::new(block.header));
            let entry = Entry {
                seq: head.seq,
                position,
                length: head.length,
                received_at: head.received_at,
                blocks: headers.zip(decoded.places).collect(),
            };
            let mut records = decoded.append.records;
            records.retain(|record| record.kind != RecordKind::Tally);
            What::Append { entry, records }
        }
        FrameKind::Snapshot => match State::decode(bytes.get(frame::HEAD_BYTES..).unwrap_or_default()) {
            Ok(state) => What::Snapshot(Box::new(state)),
            Err(_) => return Ok(None),
        },
        FrameKind::Seal => What::Seal,
        FrameKind::Index => What::Index,
    };
    Ok(Some(Found { head, position, what }))
}

/// A part of a file, read ahead.
struct Window<'a> {
    file: &'a dyn DiskFile,
    limit: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl Window<'_> {
    /// The `len` bytes at `position`, fewer where the limit comes before.
    fn at(&mut self, position: u64, len: usize) -> io::Result<&[u8]> {
        let len = len.min(usize::try_from(self.limit.saturating_sub(position)).unwrap_or(usize::MAX));
        let inside = position >= self.start && position + len as u64 <= self.start + self.bytes.len() as u64;
        if !inside {
            let room = usize::try_from(self.limit - position.min(self.limit)).unwrap_or(usize::MAX);
            self.bytes.resize(len.max(WINDOW_BYTES).min(room), 0);
            let read = self.file.read_at(&mut self.bytes, position)?;
            self.bytes.truncate(read);
            self.start = position;
        }
        let from = ((position - self.start) as usize).min(self.bytes.len());
        let end = (from + len).min(self.bytes.len());
        Ok(&self.bytes[from..end])
    }

    /// The first place from `position` on, in steps of eight bytes, that looks like a frame's head.
    fn next_candidate(&mut self, position: u64, journal_id: u128) -> io::Result<Option<u64>> {
        let mut position = position.next_multiple_of(8);
        while position < self.limit {
            if self.at(position, frame::HEAD_BYTES)?.len() < frame::HEAD_BYTES {
                return Ok(None);
            }
            let bytes = &self.bytes[(position - self.start) as usize..];
            // A head that begins near the window's end is looked at again from the next one.
            let starts = (bytes.len() - frame::HEAD_BYTES) / 8 + 1;
            let looks_like_one = |at: &usize| {
                let head = &bytes[at * 8..];
                head.starts_with(&frame::MAGIC) && frame::claimed_length(head, journal_id).is_some()
            };
            match (0..starts).find(looks_like_one) {
                Some(at) => return Ok(Some(position + at as u64 * 8)),
                None => position += starts as u64 * 8,
            }
        }
        Ok(None)
    }
}
