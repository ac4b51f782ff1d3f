//! Reads what the journal keeps once more, and says what is not as it was written.
//! Always: reads only. A segment is held while it is read, one at a time and without a pause, so that the writer gets it back
//! soon; whoever paces this waits between segments. The zeros between groups are not checked: nothing reads them.

use std::sync::Arc;

use hw_event::Seq;

use crate::{
    Damage, Disk, OpenError, ReadError,
    fetch::Fetch,
    frame::{self, FrameKind},
    recovery::recover,
    segment::{self, FRAMES_START, Header, PAGE, SegmentFile},
    shelf::Shelf,
};

/// What is damaged in a journal that nobody has open. `pace` is told of the bytes read. Blocking; writes nothing.
pub fn check_disk(disk: &dyn Disk, pace: &mut dyn FnMut(u64)) -> Result<Vec<Damage>, OpenError> {
    let Some(recovery) = recover(disk)? else { return Ok(Vec::new()) };
    let mut found = recovery.damage;
    for segment in &recovery.segments {
        let fetches = segment.entries.iter().map(|entry| Fetch::of(&segment.file, entry));
        let (damage, bytes) = check_segment(&segment.file, fetches);
        found.extend(damage);
        pace(bytes);
    }
    found.sort_by(|a, b| (&a.file, a.start).cmp(&(&b.file, b.start)));
    found.dedup_by(|a, b| a.file == b.file && a.start == b.start && a.end == b.end);
    Ok(found)
}

/// The same of a journal at work: what is on the shelf now.
pub(crate) fn check_shelf(shelf: &Shelf, pace: &mut dyn FnMut(u64)) -> Vec<Damage> {
    let mut found = Vec::new();
    for number in shelf.numbers() {
        // One that was given back meanwhile is no more.
        let Some((file, fetches)) = shelf.fetches(number) else { continue };
        let (damage, bytes) = check_segment(&file, fetches.into_iter());
        drop(file);
        found.extend(damage);
        pace(bytes);
    }
    found
}

fn check_segment(file: &Arc<SegmentFile>, fetches: impl Iterator<Item = Fetch>) -> (Vec<Damage>, u64) {
    let (mut found, mut bytes) = (Vec::new(), 2 * PAGE);
    let mut damage = |start: u64, end: u64, seqs: Option<Seq>, reason: String| {
        let seqs = seqs.map(|seq| (seq, seq));
        found.push(Damage { file: file.name.clone(), start, end, seqs, reason });
    };
    for start in [0, PAGE] {
        let page = segment::read_vec(file.file.as_ref(), start, PAGE as usize);
        let whole = page.is_ok_and(|page| Header::decode(&page).is_ok_and(|header| header == file.header));
        if !whole {
            damage(start, start + PAGE, None, "one copy of the header cannot be read".to_owned());
        }
    }
    let mut position = FRAMES_START;
    for _ in 0..2 {
        let (length, whole) = snapshot_at(file, position);
        let end = segment::align_page(position + length.unwrap_or(PAGE));
        if !whole {
            damage(position, end, None, "a copy of the snapshot cannot be read".to_owned());
        }
        // Without a length nobody knows where the second copy begins.
        if length.is_none() {
            break;
        }
        bytes += end - position;
        position = end;
    }
    for fetch in fetches {
        bytes += u64::from(fetch.length());
        let (start, end) = fetch.range();
        match fetch.read() {
            Ok(_) => {}
            Err(ReadError::Damaged { start, end, reason, .. }) => {
                damage(start, end, Some(fetch.seq()), reason)
            }
            Err(error) => damage(start, end, Some(fetch.seq()), error.to_string()),
        }
    }
    (found, bytes)
}

/// How long the frame at `position` says it is, and whether it is a whole snapshot.
fn snapshot_at(file: &SegmentFile, position: u64) -> (Option<u64>, bool) {
    let journal_id = file.header.journal_id;
    let read = |bytes| segment::read_vec(file.file.as_ref(), position, bytes).unwrap_or_default();
    let Some(length) = frame::claimed_length(&read(frame::HEAD_BYTES), journal_id) else {
        return (None, false);
    };
    let head = frame::verify(&read(length), file.seed(), journal_id);
    (Some(length as u64), head.is_ok_and(|head| head.kind == FrameKind::Snapshot))
}
