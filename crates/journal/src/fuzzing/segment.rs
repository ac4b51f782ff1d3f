//! A journal whose open segment holds what the input says. An input is a list of frames, each as
//! `how u8 · blocks u8 · records u8 · payload length u16 · payload`.
//! Always: it opens or says why not; what it reads is in order; and what it held at its start it holds at the next.

use std::sync::{Arc, LazyLock};

use hw_event::{Clock, Entropy, Seq, Timestamp};

use super::{disk::MemoryDisk, head};
use crate::{
    Append, Core, Disk, Recovered, Settings,
    cursor::Cursor,
    frame::{self, FrameKind},
    segment::{FRAMES_START, Header, PAGE, align_page, segment_name},
};

const SEGMENT_BYTES: u64 = 128 * 1024;
/// The bits of `how`; the lowest two are the kind.
const SAME_NUMBER: u8 = 4;
const LATER_BOOT: u8 = 8;
const BAD_CHECKSUM: u8 = 16;
const NEW_PAGE: u8 = 32;
const SKIPS_NUMBERS: u8 = 64;

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        Timestamp(5)
    }
}

struct FixedEntropy;

impl Entropy for FixedEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0x5a);
    }
}

/// A journal that was opened once and holds nothing.
static FRESH: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let disk = Arc::new(MemoryDisk::default());
    assert!(open(&disk).is_some(), "an empty disk is a new journal");
    disk.files()
});

fn open(disk: &Arc<MemoryDisk>) -> Option<(Core, Recovered)> {
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        budget_bytes: 64 * SEGMENT_BYTES,
        reserve_bytes: 2 * SEGMENT_BYTES,
        ..Settings::default()
    };
    let disk: Arc<dyn Disk> = Arc::clone(disk) as Arc<dyn Disk>;
    Core::open(disk, Arc::new(FixedClock), &FixedEntropy, settings).ok()
}

pub fn segment(data: &[u8]) {
    let disk = Arc::new(MemoryDisk::default());
    for (name, contents) in FRESH.iter() {
        let contents = if *name == segment_name(1) { written(contents, data) } else { contents.clone() };
        disk.put(name, contents);
    }
    let Some((mut core, first)) = open(&disk) else { return };
    in_order(&core, first.last);
    let next = Append { received_at: Timestamp(6), ..Append::default() };
    // A journal that is full or at the end of its numbers may refuse.
    let wrote = core.write(vec![next]).and_then(|()| core.flush()).is_ok();
    let last = core.last();
    core.close();
    let Some((core, second)) = open(&disk) else { panic!("a journal that was closed does not open") };
    assert!(!wrote || last > first.last, "an append was taken and has no number of its own");
    assert_eq!(second.last, last, "the last append is another after a restart");
    for (of, next) in &first.next_offsets {
        assert!(second.next_offsets.get(of).is_some_and(|later| later >= next), "offsets fall at a restart");
    }
    assert_eq!(second.positions, first.positions, "positions change at a restart");
    in_order(&core, second.last);
}

fn in_order(core: &Core, last: Seq) {
    let log = core.log();
    let mut after = Seq(log.first_kept().0.saturating_sub(1));
    while let Ok(appends) = log.read(after, 1 << 16) {
        let Some(newest) = appends.last() else { break };
        assert!(appends.is_sorted_by(|a, b| a.seq < b.seq) && appends[0].seq > after, "out of order");
        assert!(newest.seq <= last, "an append beyond the last");
        after = newest.seq;
    }
}

/// `fresh` with the frames of the input behind what it holds.
fn written(fresh: &[u8], data: &[u8]) -> Vec<u8> {
    let Ok(header) = Header::decode(&fresh[..PAGE as usize]) else { panic!("a fresh segment has a header") };
    let held = fresh.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let mut bytes = fresh[..align_page(held.max(FRAMES_START)) as usize].to_vec();
    let (mut seq, mut epoch) = (header.first.0.saturating_sub(1), header.epoch);
    let mut cursor = Cursor::new(data);
    while let (Ok(how), Ok(blocks), Ok(records), Ok(length)) =
        (cursor.u8(), cursor.u8(), cursor.u8(), cursor.u16())
    {
        let payload = cursor.take(usize::from(length).min(cursor.remaining())).unwrap_or_default();
        let kind =
            [FrameKind::Append, FrameKind::Seal, FrameKind::Snapshot, FrameKind::Index][usize::from(how & 3)];
        if how & SAME_NUMBER == 0 && kind == FrameKind::Append {
            seq = seq.saturating_add(if how & SKIPS_NUMBERS == 0 { 1 } else { 1 << 40 });
        }
        epoch = epoch.saturating_add(u64::from(how & LATER_BOOT != 0));
        if how & NEW_PAGE != 0 {
            bytes.resize(bytes.len().next_multiple_of(PAGE as usize), 0);
        }
        let start = bytes.len();
        let head = frame::Head {
            blocks: blocks.into(),
            records: records.into(),
            ..head(kind, header.journal_id, epoch, Seq(seq))
        };
        frame::encode(&mut bytes, &head, frame::seed(header.incarnation), |out| {
            out.extend_from_slice(payload);
        });
        if how & BAD_CHECKSUM != 0 {
            bytes[start + 4] ^= 1;
        }
    }
    let length = bytes.len().max(fresh.len());
    bytes.resize(length, 0);
    bytes
}
