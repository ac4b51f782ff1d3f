//! The segment files that are not in use: free ones, one in the making, and released ones that somebody still
//! reads. Always: a file is zeroed with written zeros and synced before it is free, so that a group's fdatasync
//! writes data only and never converts extents (20 ms instead of 4 on ext4).

use std::{
    io,
    sync::{Arc, atomic::Ordering},
};

use hw_event::sabotage::{Bug, armed};

use crate::{
    Disk, DiskFile, Settings, keys,
    segment::{self, SegmentFile},
};

/// Free files kept for reuse: so many, or what is a part of the budget, but not more than that; one more may be in the making.
/// A new file costs as many written zeros as it has bytes, so whoever falls behind now and then must find those of the last time.
const FREE_MIN: usize = 2;
const FREE_MAX: usize = 8;
const FREE_PART: u64 = 16;
/// If more segments than this hold what is not released, the next ones are twice as large.
const LIVE_MANY: usize = 16;
/// Released segments that keep their names while they wait for their readers; the oldest beyond it end with their readers.
const LEASED_MAX: usize = 4;
/// How much is zeroed at a time, between two looks at the queue.
const ZERO_BYTES: usize = 1024 * 1024;
/// Zeros are synced whenever there are so many: whoever waits for a sync of the journal waits for them too.
pub(crate) const SYNC_EVERY: u64 = 4 << 20;

pub(super) struct Files {
    disk: Arc<dyn Disk>,
    /// The highest ever used.
    number: u64,
    incarnation: u64,
    /// The size of a segment now; it only grows.
    segment_bytes: u64,
    segment_bytes_max: u64,
    /// Names of files with the size of a segment, zeroed or recycled.
    free: Vec<String>,
    free_max: usize,
    free_number: u64,
    part: Option<Part>,
    /// While there are any, files are given up instead of being written again.
    wipes: usize,
    /// Wait to be overwritten.
    given_up: Vec<GivenUp>,
    /// Released segments that somebody still reads, the oldest first.
    leased: Vec<Leased>,
}

struct GivenUp {
    name: String,
    /// Somebody may be overwriting it, even if nobody waits for that any more.
    handed_out: bool,
}

struct Leased {
    segment: Arc<SegmentFile>,
    /// Has lost its name; its room is free when the last reader goes.
    unnamed: bool,
}

/// A file that is being zeroed.
struct Part {
    name: String,
    file: Arc<dyn DiskFile>,
    zeroed: u64,
    bytes: u64,
}

/// Is this a file that only an earlier, deleted journal can have left?
pub(super) fn is_leftover(name: &str) -> bool {
    let ours = |suffix| segment::parse_name(name, suffix).is_some();
    ours("free") || ours("part") || keys::is_key_file(name)
}

pub(crate) fn write_zeros(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let zeros = vec![0; ZERO_BYTES.min(end.saturating_sub(start) as usize)];
    let mut position = start;
    while position < end {
        let bytes = zeros.len().min((end - position) as usize);
        file.write_at(&zeros[..bytes], position)?;
        position += bytes as u64;
    }
    Ok(())
}

/// Writes what stands in `start..end` once more.
pub(super) fn rewrite(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let mut position = start;
    while position < end {
        let bytes = segment::read_vec(file, position, ZERO_BYTES.min((end - position) as usize))?;
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.write_at(&bytes, position)?;
        position += bytes.len() as u64;
    }
    Ok(())
}

impl Files {
    /// `newest` is the size of the newest segment, if there is one.
    pub fn new(
        disk: Arc<dyn Disk>,
        settings: &Settings,
        number: u64,
        incarnation: u64,
        newest: Option<u64>,
    ) -> Files {
        let least = settings.first_segment_bytes.min(settings.segment_bytes);
        let part = settings.budget_bytes / settings.segment_bytes.max(1) / FREE_PART;
        Files {
            disk,
            number,
            incarnation,
            segment_bytes: newest.unwrap_or(least).clamp(least, settings.segment_bytes),
            segment_bytes_max: settings.segment_bytes,
            free: Vec::new(),
            free_max: (part as usize).clamp(FREE_MIN, FREE_MAX),
            free_number: 0,
            part: None,
            wipes: 0,
            given_up: Vec::new(),
            leased: Vec::new(),
        }
    }

    /// Takes over what recovery found unused.
    pub fn adopt(&mut self, free: Vec<String>, stale: Vec<Arc<SegmentFile>>) {
        for name in free {
            self.free_number = self.free_number.max(segment::parse_name(&name, "free").unwrap_or(0));
            let bytes = self.disk.open(&name, false).and_then(|file| file.len());
            if bytes.is_ok_and(|bytes| bytes == self.segment_bytes) && self.free.len() < self.free_max {
                self.free.push(name);
            } else {
                self.remove(&name);
            }
        }
        self.take_back(stale);
    }

    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// The size of the next segment, unless it must hold more.
    pub fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// With so many segments that hold what is not released, are larger ones in place? Each costs some syncs, and a start reads
    /// the beginning and the end of each.
    pub fn grow(&mut self, live: usize) {
        if live <= LIVE_MANY || self.segment_bytes == self.segment_bytes_max {
            return;
        }
        self.segment_bytes = self.segment_bytes.saturating_mul(2).min(self.segment_bytes_max);
        let part = self.part.take().map(|part| part.name);
        for name in std::mem::take(&mut self.free).into_iter().chain(part) {
            self.remove(&name);
        }
    }

    /// Until the end of this wipe no file that has been a segment becomes one again: what an earlier use left in it would stay.
    pub fn begin_wipe(&mut self) {
        if self.wipes == 0 {
            // In a wipe the free ones are new.
            for name in std::mem::take(&mut self.free) {
                self.given_up.push(GivenUp { name, handed_out: false });
            }
        }
        self.wipes += 1;
    }

    pub fn end_wipe(&mut self) {
        self.wipes -= 1;
        if self.wipes > 0 {
            return;
        }
        let (handed_out, untouched) =
            std::mem::take(&mut self.given_up).into_iter().partition(|it| it.handed_out);
        self.given_up = handed_out;
        for GivenUp { name, .. } in untouched {
            if self.free.len() < self.free_max { self.free.push(name) } else { self.remove(&name) }
        }
    }

    /// Files that nothing refers to any more, for whoever overwrites and removes them.
    pub fn given_up(&mut self) -> Vec<String> {
        let handed_out = |it: &mut GivenUp| {
            it.handed_out = true;
            it.name.clone()
        };
        self.given_up.iter_mut().map(handed_out).collect()
    }

    pub fn forget(&mut self, name: &str) {
        self.given_up.retain(|it| it.name != name);
    }

    /// Released segments that somebody still reads.
    pub fn leased(&self) -> usize {
        self.leased.len()
    }

    /// The number and the incarnation of the next segment.
    pub fn next_numbers(&mut self) -> (u64, u64) {
        self.number += 1;
        self.incarnation += 1;
        (self.number, self.incarnation)
    }

    /// Makes the segment `name` out of a free file or a new one: written, synced, named, and the name synced.
    pub fn make_segment(
        &mut self,
        name: &str,
        bytes: u64,
        beginning: &[u8],
    ) -> io::Result<Arc<dyn DiskFile>> {
        let (from, file) = self.take_file(bytes)?;
        let named = || self.disk.rename(&from, name).and_then(|()| self.disk.sync_dir());
        let written = file.write_at(beginning, 0);
        let made = if armed(Bug::RenameBeforeSync) {
            written.and_then(|()| named()).and_then(|()| file.sync())
        } else {
            written.and_then(|()| file.sync()).and_then(|()| named())
        };
        match made {
            Ok(()) => Ok(file),
            Err(error) => {
                // What is in it is unknown now. A later segment's header passes it over if it cannot be removed.
                self.remove(&from);
                self.remove(name);
                Err(error)
            }
        }
    }

    fn take_file(&mut self, bytes: u64) -> io::Result<(String, Arc<dyn DiskFile>)> {
        while let Some(name) = self.free.pop() {
            match self.disk.open(&name, false) {
                Ok(file) if file.len()? == bytes => return Ok((name, file)),
                Ok(_) => {
                    // An oversized segment is made; this one stays for the next.
                    self.free.push(name);
                    break;
                }
                Err(error) => tracing::warn!(file = %name, %error, "a free segment is gone"),
            }
        }
        // The one in the making is of the usual size, and finished here if need be.
        if let Some(part) = self.part.take_if(|part| part.bytes == bytes) {
            let zeroed = part.finish();
            if let Err(error) = zeroed {
                self.remove(&part.name);
                return Err(error);
            }
            return Ok((part.name, part.file));
        }
        let part = self.start_part(bytes).inspect_err(|_| self.want_back(0))?;
        if let Err(error) = part.finish() {
            self.remove(&part.name);
            return Err(error);
        }
        Ok((part.name, part.file))
    }

    fn start_part(&mut self, bytes: u64) -> io::Result<Part> {
        self.free_number += 1;
        let name = segment::part_name(self.free_number);
        let file = self.disk.open(&name, true)?;
        if let Err(error) = file.allocate(bytes) {
            self.remove(&name);
            return Err(error);
        }
        Ok(Part { name, file, zeroed: 0, bytes })
    }

    /// A step towards one free file. Returns whether there is more to do.
    pub fn prepare(&mut self) -> io::Result<bool> {
        if !self.free.is_empty() {
            return Ok(false);
        }
        let part = match self.part.take() {
            Some(part) => Ok(part),
            None => self.start_part(self.segment_bytes),
        };
        // Half a segment ahead of its need: by then the readers have let go.
        let mut part = part.inspect_err(|_| self.want_back(0))?;
        let end = (part.zeroed + ZERO_BYTES as u64).min(part.bytes);
        let mut step = write_zeros(part.file.as_ref(), part.zeroed, end);
        if end < part.bytes && end.is_multiple_of(SYNC_EVERY) {
            step = step.and_then(|()| part.file.sync());
        }
        part.zeroed = end;
        if part.zeroed < part.bytes && step.is_ok() {
            self.part = Some(part);
            return Ok(true);
        }
        self.free_number += 1;
        let name = segment::free_name(self.free_number);
        let made = step
            .and_then(|()| part.file.sync())
            .and_then(|()| self.disk.rename(&part.name, &name))
            .and_then(|()| self.disk.sync_dir());
        match made {
            Ok(()) => {
                self.free.push(name);
                Ok(false)
            }
            Err(error) => {
                self.remove(&part.name);
                self.remove(&name);
                Err(error)
            }
        }
    }

    /// Takes back segments that were released. One that somebody still reads waits.
    pub fn take_back(&mut self, released: Vec<Arc<SegmentFile>>) {
        self.leased.extend(released.into_iter().map(|segment| Leased { segment, unnamed: false }));
        let mut waiting = Vec::new();
        for leased in std::mem::take(&mut self.leased) {
            let Leased { segment, unnamed } = &leased;
            // Only this list can make new references: a count of one stays one.
            if Arc::strong_count(segment) > 1 {
                waiting.push(leased);
            } else if *unnamed {
                // Its room came back with its last reader.
            } else if self.wipes > 0
                || (segment.header.segment_bytes == self.segment_bytes && self.free.len() < self.free_max)
            {
                self.recycle(&segment.name);
            } else {
                self.remove(&segment.name);
            }
        }
        // What has no name cannot be overwritten.
        let surplus = if self.wipes > 0 { 0 } else { waiting.len().saturating_sub(LEASED_MAX) };
        for leased in waiting.iter_mut().take(surplus).filter(|leased| !leased.unnamed) {
            self.remove(&leased.segment.name);
            leased.unnamed = true;
        }
        self.leased = waiting;
    }

    /// Wants the oldest segments back from their readers until the rest fits `room`.
    pub fn want_back(&self, room: u64) {
        let mut held: u64 = self.leased.iter().map(|leased| leased.segment.header.segment_bytes).sum();
        for Leased { segment, .. } in &self.leased {
            if held <= room {
                break;
            }
            segment.wanted.store(true, Ordering::Relaxed);
            held -= segment.header.segment_bytes;
        }
    }

    fn recycle(&mut self, name: &str) {
        self.free_number += 1;
        let free = segment::free_name(self.free_number);
        // The new name must be durable before the file is written again: else a crash could leave a segment's old
        // name on a file that is not it any more.
        match self.disk.rename(name, &free).and_then(|()| self.disk.sync_dir()) {
            Ok(()) if self.wipes > 0 => self.given_up.push(GivenUp { name: free, handed_out: false }),
            Ok(()) => self.free.push(free),
            Err(error) => tracing::warn!(file = %name, %error, "cannot recycle a segment"),
        }
    }

    fn remove(&self, name: &str) {
        match self.disk.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(file = %name, %error, "cannot remove a file");
            }
            _ => {}
        }
    }
}

impl Part {
    fn finish(&self) -> io::Result<()> {
        write_zeros(self.file.as_ref(), self.zeroed, self.bytes)
    }
}
