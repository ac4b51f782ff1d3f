//! From one segment to the next: the full one gets its index, the new one its header and the snapshot.
//! Always: a `.seg` name becomes durable only after the header and snapshot under it are, and nothing is appended to a
//! segment before its name is durable.

use super::*;
use crate::{
    keys,
    segment::{Header, segment_name},
    state::KeyFile,
};

impl Core {
    /// Closes the open segment, if there is one, and opens the next with room for a group.
    pub(super) fn rotate(&mut self, frames: usize, index: usize) -> io::Result<()> {
        let mut sealed = None;
        if let Some(open) = self.open.take() {
            self.shelf.close(open.segment.header.number);
            // The index only spares the next start some reading: without it the segment is scanned.
            match self.write_index(&open) {
                Ok(trailer) => sealed = Some((open, trailer)),
                Err(error) => {
                    tracing::warn!(file = %open.segment.name, %error, "cannot write a segment's index");
                }
            }
        }
        self.take_back();
        self.files.grow(self.shelf.segments());
        self.open_segment(frames, index)?;
        if let Some((before, trailer)) = sealed
            && let Some(open) = &self.open
        {
            // From now on a start knows that a newest segment is gone, and what was acknowledged in it. Without the mark it
            // would take the segment before for the end.
            let trailer = Trailer { next: open.segment.header.number, ..trailer };
            let file = &before.segment.file;
            let marked = file.write_at(&trailer.encode(), before.bytes - PAGE).and_then(|()| file.sync());
            if let Err(error) = marked {
                tracing::warn!(file = %before.segment.name, %error, "cannot note which segment follows");
            }
        }
        Ok(())
    }

    fn write_index(&self, open: &Open) -> io::Result<Trailer> {
        let segment = &open.segment;
        let head = self.head(FrameKind::Index, self.last, self.claims());
        let mut bytes = Vec::with_capacity(index::frame_bytes(open.index_bytes));
        self.shelf.with_entries(segment.header.number, |entries| {
            frame::encode(&mut bytes, &head, segment.seed(), |out| index::encode(out, entries));
        });
        let trailer = Trailer {
            journal_id: self.journal_id,
            incarnation: segment.header.incarnation,
            index_at: open.position,
            index_bytes: bytes.len() as u64,
            next: 0,
        };
        segment.file.write_at(&bytes, open.position)?;
        segment.file.write_at(&trailer.encode(), open.bytes - PAGE)?;
        segment.file.sync()?;
        Ok(trailer)
    }

    /// 1. The key records of what was closed go to a file of their own.
    /// 2. A free file, or a new one, gets header and snapshot, each twice, and is synced.
    /// 3. It gets its name, and the directory is synced. From here on it is the open segment.
    /// 4. Files that the old snapshot named and the new one does not are removed.
    pub(super) fn open_segment(&mut self, frames: usize, index: usize) -> io::Result<()> {
        let (key_files, superseded) = self.file_keys()?;
        let snapshot = State { key_files, keys_released: self.shelf.keys_released(), ..self.state.clone() };
        let snapshot_frame = frame::align(frame::HEAD_BYTES + snapshot.bytes());
        let snapshot_bytes = align_page(snapshot_frame as u64);
        let start = FRAMES_START + 2 * snapshot_bytes;
        let needed = start + align_page(frames as u64) + closing_bytes(index);
        let bytes = self.files.segment_bytes().max(align_page(needed));
        let (number, incarnation) = self.files.next_numbers();
        let header = Header {
            journal_id: self.journal_id,
            incarnation,
            number,
            segment_bytes: bytes,
            first: self.last.next(),
            epoch: self.epoch,
            created_at: self.clock.now(),
            previous: self.ended,
        };
        let mut beginning = header.encode();
        beginning.extend_from_within(..);
        let claims = self.claims();
        let head = self.head(FrameKind::Snapshot, self.last, claims);
        let empty = State::default();
        let written = if armed(Bug::RecycleWithoutSnapshot) { &empty } else { &snapshot };
        for end in [start - snapshot_bytes, start] {
            frame::encode(&mut beginning, &head, frame::seed(incarnation), |out| written.encode(out));
            beginning.resize(end as usize, 0);
        }
        let name = segment_name(number);
        let file = self.files.make_segment(&name, bytes, &beginning)?;
        let segment = Arc::new(SegmentFile { name, header, file, wanted: false.into() });
        self.shelf.put(segment.clone(), Vec::new(), start, self.last, true);
        self.ended = Previous { number, incarnation, end: start, last: self.last };
        self.open = Some(Open { segment, position: start, bytes, index_bytes: 0 });
        self.claimed = claims;
        self.failure = None;
        self.state = snapshot;
        self.keys.clear();
        self.keys_from = self.last.next();
        self.keys_newest = Timestamp(0);
        self.filed = None;
        for name in superseded {
            // It stays behind as an orphan if this fails; the next start removes it.
            if let Err(error) = self.disk.remove(&name) {
                tracing::warn!(file = %name, %error, "cannot remove a key file");
            }
        }
        Ok(())
    }

    /// Writes the keys that are in no file yet; returns the files that the next snapshot lists, and those it
    /// no longer does.
    fn file_keys(&mut self) -> io::Result<(Vec<KeyFile>, Vec<String>)> {
        // The segment that was to name them may be back after a power cut, though it was removed: they stay as they are.
        if let Some(filed) = &self.filed {
            return Ok(filed.clone());
        }
        let filed = self.write_keys()?;
        self.filed = Some(filed.clone());
        Ok(filed)
    }

    fn write_keys(&mut self) -> io::Result<(Vec<KeyFile>, Vec<String>)> {
        let released = self.shelf.keys_released().max(self.state.keys_released);
        let (mut live, dead): (Vec<KeyFile>, Vec<KeyFile>) =
            self.state.key_files.iter().partition(|file| file.last > released);
        let mut superseded: Vec<String> =
            dead.iter().map(|file| keys::file_name(file.first, file.last)).collect();
        self.keys.retain(|(seq, _)| *seq > released);
        if self.keys.is_empty() {
            return Ok((live, superseded));
        }
        let mut records = self.keys.clone();
        let (mut first, mut newest) = (self.keys_from, self.keys_newest);
        let bytes: u64 =
            records.iter().map(|(_, record)| (record.owner.len() + record.value.len()) as u64).sum();
        if let Some(&last) = live.last()
            && last.bytes < keys::MERGE_BYTES
            && bytes < keys::MERGE_BYTES
            && let Ok(mut merged) = keys::read(self.disk.as_ref(), self.journal_id, &last)?
        {
            live.pop();
            superseded.push(keys::file_name(last.first, last.last));
            merged.retain(|(seq, _)| *seq > released);
            merged.append(&mut records);
            records = merged;
            (first, newest) = (last.first, newest.max(last.newest));
        }
        let span = (first, self.last);
        live.push(keys::write(self.disk.as_ref(), self.journal_id, span, newest, &records)?);
        // Before the segment gets its name: a crash may keep the one name and lose the other.
        self.disk.sync_dir()?;
        Ok((live, superseded))
    }
}
