//! Finds out what a journal's files hold. Reads only: `Core::open` acts on what was found.
//!
//! 1. Read the header of every segment; the one with the highest number is the open one.
//! 2. From it follow "end of the previous segment" back: what is not on this chain is stale and free.
//! 3. Scan the open one, and further back until a snapshot is readable. Older ones are read by their index, or
//!    scanned where it does not match its checksum.
//! 4. `durable` is the highest `durable_through` that any valid frame or header states. An append missing at or
//!    below it is damage: named, stepped over. The first one missing above it is the torn tail: from there on all is cut.
//! 5. Fold the snapshot and everything after it.

use std::{collections::HashSet, io, sync::Arc};

use hw_event::{
    Seq, Timestamp,
    sabotage::{Bug, armed},
};

use crate::{
    Damage, Disk, OpenError, Record, RecordKind,
    frame::{self, FrameKind},
    index::{self, Entry},
    keys::{self, KeyRecord},
    scan::{self, Found, ScanError, What},
    segment::{self, FRAMES_START, Header, PAGE, PageError, SegmentFile, Trailer},
    state::State,
};

/// After damage that may have held offsets no one remembers, every known partition goes on this much later:
/// an offset is never given twice, and need not be dense.
const OFFSET_JUMP: i64 = 1 << 32;

/// What the files hold.
pub(crate) struct Recovery {
    pub journal_id: u128,
    /// The highest boot epoch seen.
    pub epoch: u64,
    pub state: State,
    /// Everything in the key files that the snapshot lists.
    pub filed_keys: Vec<KeyRecord>,
    /// Key records in no file yet, the append from which on they are, and the newest `received_at` among them.
    pub tail_keys: Vec<KeyRecord>,
    pub tail_keys_from: Seq,
    pub tail_keys_newest: Timestamp,
    /// Oldest first; the last is the open one.
    pub segments: Vec<FoundSegment>,
    pub tail: Tail,
    /// The last append; what is at or below `durable` is known to have been synced.
    pub last: Seq,
    pub released: Seq,
    /// Segments that hold nothing which counts.
    pub stale: Vec<Arc<SegmentFile>>,
    pub free: Vec<String>,
    pub junk: Vec<String>,
    pub incarnation_max: u64,
    pub number_max: u64,
    pub damage: Vec<Damage>,
}

pub(crate) struct FoundSegment {
    pub file: Arc<SegmentFile>,
    pub entries: Vec<Entry>,
    pub end: u64,
    pub last: Seq,
}

/// Where the open segment ends.
pub(crate) struct Tail {
    /// From here on no frame says that a sync has returned.
    pub unsure_from: u64,
    pub end: u64,
    /// Up to here there are bytes that must never be taken for frames again.
    pub torn_end: u64,
    /// Nothing may be added: it has its index, or its snapshot cannot be read.
    pub finished: bool,
    pub bytes: u64,
}

/// A segment that has been scanned or read by its index.
struct Contents {
    found: Vec<Found>,
    entries: Vec<Entry>,
    snapshot: Option<State>,
    released: Seq,
    epoch: u64,
}

pub(crate) fn failed<'a>(action: &'static str, file: &'a str) -> impl FnOnce(io::Error) -> OpenError + 'a {
    move |source| OpenError::Disk { action, file: file.to_owned(), source }
}

/// `None`: there is no journal in the directory yet.
pub(crate) fn recover(disk: &dyn Disk) -> Result<Option<Recovery>, OpenError> {
    let mut names = disk.list().map_err(failed("list", "."))?;
    names.sort_unstable();
    let mut damage = Vec::new();
    let Some(mut files) = read_headers(disk, &names, &mut damage)? else { return Ok(None) };
    let free: Vec<String> =
        names.iter().filter(|name| segment::parse_name(name, "free").is_some()).cloned().collect();
    let mut incarnation_max = files.iter().map(|file| file.header.incarnation).max().unwrap_or(0);
    for name in &free {
        // A file that was to become a segment may have got its header before the power went.
        let file = disk.open(name, false).map_err(failed("open", name))?;
        let page = segment::read_vec(file.as_ref(), 0, PAGE as usize).map_err(failed("read", name))?;
        if let Ok(header) = Header::decode(&page) {
            incarnation_max = incarnation_max.max(header.incarnation);
        }
    }
    let number_max = files.last().map_or(0, |file| file.header.number);

    // The open segment.
    let Some(newest) = files.pop() else { return Ok(None) };
    let journal_id = newest.header.journal_id;
    if let Some(foreign) = files.iter().find(|file| file.header.journal_id != journal_id) {
        return Err(OpenError::ForeignJournal {
            file: foreign.name.clone(),
            expected: journal_id,
            found: foreign.header.journal_id,
        });
    }
    let file_bytes = newest.file.len().map_err(failed("measure", &newest.name))?;
    let trailer = read_trailer(&newest).map_err(failed("read", &newest.name))?;
    if let Some(trailer) = trailer.filter(|trailer| trailer.next > newest.header.number) {
        // As with a newest one without a header: nobody would know which numbers and offsets were given in it.
        return Err(OpenError::Missing {
            file: segment::segment_name(trailer.next),
            before: newest.name.clone(),
        });
    }
    // The last page is the trailer's.
    let limit = file_bytes.saturating_sub(PAGE).max(FRAMES_START);
    let cut_short = file_bytes < newest.header.segment_bytes;
    if cut_short {
        // It had its whole length before it had its name: no crash leaves it like this.
        damage.push(Damage {
            file: newest.name.clone(),
            start: file_bytes,
            end: newest.header.segment_bytes,
            seqs: None,
            reason: "the end of the file is missing, and whatever appends stood in it".to_owned(),
        });
    }
    let mut contents = scan_segment(&newest, limit)?;
    let (last, tail) = cut_tail(&newest, &mut contents, limit, file_bytes, &mut damage)?;
    let released = contents.released;
    let mut epoch = contents.epoch;

    // Back along the chain, newest first.
    let mut previous = newest.header.previous;
    let mut chain = vec![(newest, contents, tail.end, last)];
    let mut base = chain[0].1.snapshot.is_some().then_some(0);
    while previous.number != 0 {
        let (file, end, last) = match files.iter().rposition(|file| file.header.number <= previous.number) {
            Some(at)
                if files[at].header.number == previous.number
                    && files[at].header.incarnation == previous.incarnation =>
            {
                (files.remove(at), previous.end, previous.last)
            }
            // Released segments go, the oldest first: what is missing behind is no loss.
            _ if previous.last <= released => break,
            older => {
                let name = segment::segment_name(previous.number);
                let Some(at) = older else {
                    let first = released.next();
                    damage.push(missing_file(name, first, previous.last));
                    break;
                };
                // Without its successor's word, all that is valid in the older one counts.
                let file = files.remove(at);
                let bytes = file.file.len().map_err(failed("measure", &file.name))?;
                let found = scan_segment(&file, bytes.saturating_sub(PAGE))?;
                let last = found
                    .entries
                    .last()
                    .map_or(Seq(file.header.first.0.saturating_sub(1)), |entry| entry.seq);
                damage.push(missing_file(name, last.next(), previous.last));
                (file, found.found.last().map_or(FRAMES_START, Found::end), last)
            }
        };
        let contents = match read_by_index(&file, end, last).map_err(failed("read", &file.name))? {
            Some(entries) if base.is_some() => Contents::indexed(entries),
            _ => scan_segment(&file, end)?,
        };
        epoch = epoch.max(contents.epoch).max(file.header.epoch);
        if base.is_none() && contents.snapshot.is_some() {
            base = Some(chain.len());
        }
        previous = file.header.previous;
        chain.push((file, contents, end, last));
    }
    let Some(base) = base else {
        return Err(OpenError::NoSnapshot { file: chain[0].0.name.clone() });
    };
    chain.reverse();
    let base = chain.len() - 1 - base;

    // What is missing, and what the rest adds up to.
    let mut lost_after_base = cut_short;
    let mut state = State::default();
    let (mut tail_keys, mut tail_keys_newest) = (Vec::new(), Timestamp(0));
    let tail_keys_from = chain[base].0.header.first;
    for (at, (file, contents, end, last)) in chain.iter_mut().enumerate() {
        let holes = holes(file, &contents.entries, *end, *last);
        lost_after_base |= at >= base && !holes.is_empty();
        damage.extend(holes);
        if at == base
            && let Some(snapshot) = contents.snapshot.take()
        {
            state = snapshot;
        }
        if at >= base {
            for found in std::mem::take(&mut contents.found) {
                let received_at = found.received_at();
                let What::Append { entry, records } = found.what else { continue };
                entry.blocks.iter().for_each(|(header, _)| state.fold_header(header));
                for record in records {
                    state.fold_record(&record);
                    if record.kind == RecordKind::Key {
                        tail_keys_newest = tail_keys_newest.max(received_at);
                        tail_keys.push((entry.seq, record));
                    }
                }
            }
        }
    }
    if lost_after_base {
        state.next_offsets.values_mut().for_each(|next| *next = next.saturating_add(OFFSET_JUMP));
    }
    let filed_keys = read_key_files(disk, journal_id, &state, &mut damage)?;
    let base_is_newest = base + 1 == chain.len();
    let junk = junk(&names, &state, base_is_newest);
    let segments = chain
        .into_iter()
        .map(|(file, contents, end, last)| FoundSegment { file, entries: contents.entries, end, last })
        .collect();
    Ok(Some(Recovery {
        journal_id,
        epoch,
        state,
        filed_keys,
        tail_keys,
        tail_keys_from,
        tail_keys_newest,
        segments,
        tail,
        last,
        released,
        stale: files,
        free,
        junk,
        incarnation_max,
        number_max,
        damage,
    }))
}

/// The segments with a readable header, by number. `None`: there are no segment files.
fn read_headers(
    disk: &dyn Disk,
    names: &[String],
    damage: &mut Vec<Damage>,
) -> Result<Option<Vec<Arc<SegmentFile>>>, OpenError> {
    let mut files: Vec<Arc<SegmentFile>> = Vec::new();
    let mut unreadable: Option<u64> = None;
    let mut any = false;
    for name in names {
        let Some(number) = segment::parse_name(name, "seg") else { continue };
        any = true;
        let file = disk.open(name, false).map_err(failed("open", name))?;
        let mut header = None;
        for start in [0, PAGE] {
            let page =
                segment::read_vec(file.as_ref(), start, PAGE as usize).map_err(failed("read", name))?;
            match Header::decode(&page) {
                // A file under another's name is no segment of that number.
                Ok(decoded) if decoded.number == number => header = header.or(Some(decoded)),
                Ok(_) | Err(PageError::NotAPage) => damage.push(Damage {
                    file: name.clone(),
                    start,
                    end: start + PAGE,
                    seqs: None,
                    reason: "one copy of the header cannot be read".to_owned(),
                }),
                Err(PageError::Version(found)) => return Err(newer(name, found)),
                Err(PageError::Features(bits)) => {
                    return Err(OpenError::UnknownFeature { file: name.clone(), bits });
                }
            }
        }
        match header {
            Some(header) => {
                unreadable = None;
                files.push(Arc::new(SegmentFile { name: name.clone(), header, file, wanted: false.into() }));
            }
            None => unreadable = unreadable.or(Some(number)),
        }
    }
    match unreadable {
        // The newest one cannot be left out: nobody would know which numbers and offsets were given in it.
        Some(number) => Err(OpenError::NoHeader { file: segment::segment_name(number) }),
        None => Ok(any.then_some(files)),
    }
}

fn newer(file: &str, found: u16) -> OpenError {
    OpenError::NewerFormat { file: file.to_owned(), found, known: frame::VERSION }
}

fn missing_file(file: String, first: Seq, last: Seq) -> Damage {
    let seqs = (first <= last).then_some((first, last));
    Damage {
        file,
        start: 0,
        end: 0,
        seqs,
        reason: "the segment is missing or has no readable header".to_owned(),
    }
}

fn scan_segment(segment: &SegmentFile, limit: u64) -> Result<Contents, OpenError> {
    let found = scan::scan(segment, limit).map_err(|error| match error {
        ScanError::Disk(source) => failed("read", &segment.name)(source),
        ScanError::Version(found) => newer(&segment.name, found),
        ScanError::Features(bits) => OpenError::UnknownFeature { file: segment.name.clone(), bits },
    })?;
    Ok(Contents::scanned(found, segment.header.epoch))
}

impl Contents {
    fn scanned(found: Vec<Found>, epoch: u64) -> Contents {
        let snapshot = found.iter().find_map(|found| match &found.what {
            What::Snapshot(state) => Some(State::clone(state)),
            _ => None,
        });
        let entries = found.iter().filter_map(|found| match &found.what {
            What::Append { entry, .. } => Some(entry.clone()),
            _ => None,
        });
        let released = found.iter().map(|found| found.head.released_through).max().unwrap_or_default();
        let epoch = found.iter().map(|found| found.head.epoch).max().unwrap_or(0).max(epoch);
        Contents { entries: entries.collect(), snapshot, released, epoch, found }
    }

    fn indexed(entries: Vec<Entry>) -> Contents {
        Contents { found: Vec::new(), entries, snapshot: None, released: Seq::ZERO, epoch: 0 }
    }
}

/// Decides which frames of the open segment count. Returns the last append and the segment's end.
fn cut_tail(
    segment: &SegmentFile,
    contents: &mut Contents,
    limit: u64,
    file_bytes: u64,
    damage: &mut Vec<Damage>,
) -> Result<(Seq, Tail), OpenError> {
    let found = &mut contents.found;
    let before = Seq(segment.header.first.0.saturating_sub(1));
    let durable = found.iter().map(|found| found.head.durable_through).max().unwrap_or_default();
    let durable = if armed(Bug::DamageCutAsTail) { before } else { durable.max(before) };
    let mut last = before;
    let mut keep = found.len();
    for (at, frame) in found.iter().enumerate() {
        if frame.head.kind != FrameKind::Append {
            continue;
        }
        // What lies between this append and the one before it is lost. If it was durable that is damage, and
        // this one stands all the same; if not, this one belongs to the torn group too.
        if frame.head.seq.0 - 1 > last.max(durable).0 {
            keep = at;
            break;
        }
        last = frame.head.seq;
    }
    if armed(Bug::TailCutTooFar)
        && let Some(at) = found[..keep].iter().rposition(|found| found.head.kind == FrameKind::Append)
    {
        keep = at;
        last = Seq(found[at].head.seq.0 - 1);
    }
    let mut torn_end = found[keep..].iter().map(Found::end).max().unwrap_or(0);
    found.truncate(keep);
    contents.entries.retain(|entry| entry.seq <= last);
    let end = found.iter().map(Found::end).max().unwrap_or(FRAMES_START);
    let unsure = found.iter().find(|found| found.head.seq > durable);
    let unsure_from = unsure.map_or(end, |found| found.position);
    let last = last.max(durable);
    for position in [end, segment::align_page(end)] {
        let torn = scan::torn_end(segment, position, limit, last).map_err(failed("read", &segment.name))?;
        torn_end = torn_end.max(torn.unwrap_or(0));
    }
    let snapshots = found.iter().filter(|found| found.head.kind == FrameKind::Snapshot).count();
    if snapshots < 2 {
        damage.push(Damage {
            file: segment.name.clone(),
            start: FRAMES_START,
            end: found.first().map_or(limit, |found| found.position.max(FRAMES_START)),
            seqs: None,
            reason: format!("{} of 2 copies of the snapshot cannot be read", 2 - snapshots),
        });
    }
    let sealed = found.iter().any(|found| found.head.kind == FrameKind::Index);
    let short = file_bytes < segment.header.segment_bytes;
    let finished = sealed || short || snapshots == 0;
    Ok((last, Tail { unsure_from, end, torn_end: torn_end.max(end), finished, bytes: file_bytes }))
}

/// The last page of a sealed segment; `None` where it has none, or one of an earlier use.
fn read_trailer(segment: &SegmentFile) -> io::Result<Option<Trailer>> {
    let file = segment.file.as_ref();
    let Some(at) = file.len()?.checked_sub(PAGE) else { return Ok(None) };
    let trailer = Trailer::decode(&segment::read_vec(file, at, PAGE as usize)?);
    let header = &segment.header;
    Ok(trailer.ok().filter(|it| it.journal_id == header.journal_id && it.incarnation == header.incarnation))
}

/// The appends of a sealed segment by its index; `None` where there is none that can be trusted.
fn read_by_index(segment: &SegmentFile, end: u64, last: Seq) -> io::Result<Option<Vec<Entry>>> {
    let file = segment.file.as_ref();
    let header = &segment.header;
    let Some(trailer) = read_trailer(segment)? else { return Ok(None) };
    let index_end = trailer.index_at.checked_add(trailer.index_bytes);
    let inside =
        index_end.is_some_and(|end| end.checked_add(PAGE).is_some_and(|end| end <= header.segment_bytes));
    if !inside || trailer.index_at < end {
        return Ok(None);
    }
    let frame = segment::read_vec(file, trailer.index_at, trailer.index_bytes as usize)?;
    let Ok(head) = frame::verify(&frame, segment.seed(), header.journal_id) else { return Ok(None) };
    if head.kind != FrameKind::Index || head.seq != last {
        return Ok(None);
    }
    Ok(index::decode(&frame[frame::HEAD_BYTES..], end).ok())
}

/// The appends that should be in a segment and are not.
fn holes(segment: &SegmentFile, entries: &[Entry], end: u64, last: Seq) -> Vec<Damage> {
    let mut holes = Vec::new();
    let (mut expected, mut position) = (segment.header.first, FRAMES_START);
    let mut hole = |first: Seq, last: Seq, start: u64, end: u64| {
        holes.push(Damage {
            file: segment.name.clone(),
            start,
            end: end.max(start),
            seqs: Some((first, last)),
            reason: "appends that were durable are not readable".to_owned(),
        });
    };
    for entry in entries {
        if entry.seq > expected {
            hole(expected, Seq(entry.seq.0 - 1), position, entry.position);
        }
        (expected, position) = (entry.seq.next(), entry.end());
    }
    if expected <= last {
        hole(expected, last, position, end);
    }
    holes
}

fn read_key_files(
    disk: &dyn Disk,
    journal_id: u128,
    state: &State,
    damage: &mut Vec<Damage>,
) -> Result<Vec<(Seq, Record)>, OpenError> {
    let mut records = Vec::new();
    for file in &state.key_files {
        let name = keys::file_name(file.first, file.last);
        match keys::read(disk, journal_id, file).map_err(failed("read", &name))? {
            Ok(read) => records.extend(read),
            Err(reason) => damage.push(Damage {
                file: name,
                start: 0,
                end: file.bytes,
                seqs: Some((file.first, file.last)),
                reason: format!("keys of the dedupe window are lost: {reason}"),
            }),
        }
    }
    records.retain(|(seq, _)| *seq > state.keys_released);
    Ok(records)
}

/// Files that nothing refers to: halves of what was being made when the process ended.
fn junk(names: &[String], state: &State, base_is_newest: bool) -> Vec<String> {
    let live: HashSet<String> =
        state.key_files.iter().map(|file| keys::file_name(file.first, file.last)).collect();
    let is_junk = |name: &&String| {
        // Where the newest snapshot is lost, nobody knows which key files it named.
        let orphan = base_is_newest && keys::is_key_file(name) && !live.contains(*name);
        orphan || segment::parse_name(name, "part").is_some()
    };
    names.iter().filter(is_junk).cloned().collect()
}
