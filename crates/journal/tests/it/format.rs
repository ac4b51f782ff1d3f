//! Journals written by every format version so far are opened for ever. `HW_WRITE_FIXTURE=1` writes the one of
//! the present version, once, when the version is new; a fixture that was released is never written again.

use std::{fs, path::PathBuf, sync::Arc};

use bytes::Bytes;
use hw_event::{Seq, StreamId, Timestamp};
use hw_journal::{Append, BlockKind, Core, Extension, FileDisk, RecordKind, Run};
use hw_testkit::{ManualClock, SeededEntropy};

use crate::model::{KIB, block, record, small};

fn fixture(version: u32) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", &format!("format-{version}")].iter().collect()
}

/// What the fixture holds: every kind of block and record, extensions, producers, a rotation and a seal.
fn contents() -> Vec<Append> {
    let mut appends = Vec::new();
    for at in 0i64..12 {
        let mut first = block(1, 0, at * 10, 10, vec![at as u8; 8 * KIB]);
        first.header.extensions = vec![Extension { tag: 1, value: Bytes::from_static(&[3, 0, 0, 0]) }];
        first.header.runs.push(Run {
            producer_id: 42,
            epoch: 1,
            first_sequence: at as i32,
            flags: Run::TRANSACTIONAL,
            received: 5,
            duplicates: 2,
            ..Run::new(7, at * 3, 3, 3)
        });
        let mut second = block(2, 0, at, 1, format!("reject {at}"));
        second.header.kind = [BlockKind::Rejects, BlockKind::Opaque, BlockKind::Control][at as usize % 3];
        let records = vec![
            record(RecordKind::Position, "lake", at.to_le_bytes().to_vec()),
            record(RecordKind::Position, format!("gone-{}", at / 2), if at % 2 == 0 { "x" } else { "" }),
            record(RecordKind::Key, format!("key-{at}"), "answer"),
            record(RecordKind::Tally, "", "tally"),
        ];
        appends.push(Append { received_at: Timestamp(1_000_000 + at), blocks: vec![first, second], records });
    }
    appends
}

#[test]
fn format_1_is_opened_for_ever() {
    let fixture = fixture(1);
    if std::env::var_os("HW_WRITE_FIXTURE").is_some() {
        fs::remove_dir_all(&fixture).ok();
        write(&fixture);
    }
    let copy = tempfile::tempdir().expect("a directory");
    for entry in fs::read_dir(&fixture).expect("the fixture is there") {
        let entry = entry.expect("readable");
        fs::copy(entry.path(), copy.path().join(entry.file_name())).expect("copied");
    }
    let disk = FileDisk::open(copy.path()).expect("a directory");
    let clock = Arc::new(ManualClock::new(Timestamp(2_000_000)));
    let (core, recovered) =
        Core::open(Arc::new(disk), clock, &SeededEntropy::new(0), small()).expect("format 1 opens");
    let appends = contents();
    assert_eq!(recovered.damage, vec![]);
    assert_eq!((recovered.boot_epoch, recovered.last, recovered.cut_bytes), (2, Seq(12), 0));
    assert_eq!(recovered.journal_id, 0xbeeb_8da1_658e_ec67_910a_2dec_8902_5cc1);
    assert_eq!(recovered.next_offsets[&(StreamId(1), 0)], 120);
    assert_eq!(recovered.next_offsets[&(StreamId(1), 7)], 36);
    assert_eq!(recovered.next_offsets[&(StreamId(2), 0)], 12);
    assert_eq!(recovered.positions.len(), 1);
    assert_eq!(recovered.positions[&b"lake"[..]], 11i64.to_le_bytes()[..]);
    assert_eq!(recovered.keys.len(), 12);
    let stored = core.log().read(Seq(0), usize::MAX).expect("readable");
    let stored: Vec<Append> = stored.into_iter().map(|stored| stored.append).collect();
    assert_eq!(stored, appends);
}

fn write(fixture: &std::path::Path) {
    let disk = FileDisk::open(fixture).expect("a directory");
    let clock = Arc::new(ManualClock::new(Timestamp(1_000_000)));
    let (mut core, _) =
        Core::open(Arc::new(disk), clock, &SeededEntropy::new(1), small()).expect("a new journal");
    for append in contents() {
        core.write(vec![append]).and_then(|()| core.flush()).expect("written");
    }
    core.close();
}
