//! Blocks read by somebody who has not opened the journal; and leases that the journal wants back.

use std::sync::Arc;

use hw_event::{Ack, Seq, StreamId, SystemClock};
use hw_journal::{
    BlockHeader, BlockKind, BlockPlace, FileDisk, Journal, Log, PlaceError, SegmentReader, Settings,
};
use hw_testkit::{SeededEntropy, SimDisk};

use crate::model::{KIB, one_block, small};

#[tokio::test]
async fn a_block_is_read_without_the_journal_and_every_changed_bit_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let disk = Arc::new(FileDisk::open(&path).expect("a directory"));
    let opened = Journal::open(disk, Arc::new(SystemClock), &SeededEntropy::new(3), small());
    let (journal, _) = opened.expect("it opens");
    let mut ticket = journal.append(one_block(1, 7, vec![9; 3 * KIB])).await.expect("room");
    ticket.reached(Ack::Disk).await.expect("durable");
    let block = journal.blocks(StreamId(1), BlockKind::Rows, Seq(0), Seq(1)).expect("kept").remove(0);
    let header = block.header.to_bytes().expect("few runs");
    assert_eq!(BlockHeader::from_bytes(&header).expect("a header"), *block.header);
    BlockHeader::from_bytes(&header[1..]).expect_err("no header");

    let place = journal.place(&block).expect("a place on disk");
    let mut reader = SegmentReader::new(&path);
    assert!(matches!(reader.read(&place), Err(PlaceError::Gone { .. })), "nothing is held yet");
    reader.hold(&place.file).expect("it is there");
    assert_eq!(reader.read(&place).expect("whole"), vec![9; 3 * KIB]);
    for wrong in [
        BlockPlace { crc: place.crc ^ 1, ..place.clone() },
        BlockPlace { position: place.position + 1, ..place.clone() },
        BlockPlace { bytes: u32::MAX, ..place.clone() },
    ] {
        assert!(matches!(reader.read(&wrong), Err(PlaceError::Damaged { .. })), "{wrong:?}");
    }
    for elsewhere in ["../journal", "/etc/passwd", ".hidden", "a/b"] {
        assert!(matches!(reader.hold(elsewhere), Err(PlaceError::Disk { .. })), "{elsewhere}");
    }
    // A file that is held can be read when its name is gone; one that is not is gone.
    std::fs::remove_file(path.join(&place.file)).expect("it was there");
    assert_eq!(reader.read(&place).expect("whole"), vec![9; 3 * KIB]);
    let mut late = SegmentReader::new(&path);
    assert!(matches!(late.hold(&place.file), Err(PlaceError::Gone { .. })));
}

/// Readers of released segments may fill what the budget leaves. Beyond it the oldest are asked to let go, and appends
/// go on meanwhile.
#[tokio::test]
async fn leases_are_wanted_back_when_the_budget_is_used_up() {
    let budget_bytes = 10 * 64 * KIB as u64;
    let settings = Settings { budget_bytes, reserve_bytes: 64 * KIB as u64, ..small() };
    let opened =
        Journal::open(Arc::new(SimDisk::new(1)), Arc::new(SystemClock), &SeededEntropy::new(3), settings);
    let (journal, _) = opened.expect("it opens");
    let mut leases = Vec::new();
    for at in 0..400 {
        let mut ticket = journal.append(one_block(1, at, vec![0; 9 * KIB])).await.expect("never refused");
        ticket.reached(Ack::Disk).await.expect("durable");
        let (seq, before) = (ticket.seq, Seq(ticket.seq.0 - 1));
        leases.extend(journal.blocks(StreamId(1), BlockKind::Rows, before, seq).expect("kept"));
        journal.release(seq);
        if journal.wanted(&leases[0]) {
            break;
        }
    }
    // A segment has room for three or four of them.
    assert!(
        (20..=60).contains(&leases.len()),
        "wanted back after {} appends; the budget is ten segments",
        leases.len()
    );
    let newest = leases.last().expect("some");
    assert!(!journal.wanted(newest), "only the oldest are wanted");
    assert_eq!(journal.read_block(&leases[0]).expect("still leased"), vec![0; 9 * KIB]);
    journal.close().await;
}
