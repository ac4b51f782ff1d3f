//! The journal as the gate and the followers use it: the handle, its thread, a real directory.

use std::{sync::Arc, time::Duration};

use hw_event::{Ack, Seq, StreamId, SystemClock, Timestamp};
use hw_journal::{
    AppendError, BlockKind, Disk, FileDisk, Journal, Log, OpenError, ReadError, RecordKind, Recovered,
    Settings,
};
use hw_testkit::{Fault, ManualClock, SeededEntropy, SimDisk};

use crate::model::{KIB, one_block, record, small};

fn open(disk: impl Disk + 'static, settings: Settings) -> (Journal, Recovered) {
    Journal::open(Arc::new(disk), Arc::new(SystemClock), &SeededEntropy::new(3), settings).expect("it opens")
}

fn body(journal: &Journal, seq: Seq) -> Vec<u8> {
    let blocks = journal.blocks(StreamId(1), BlockKind::Rows, Seq(seq.0 - 1), seq).expect("kept");
    journal.read_block(&blocks[0]).expect("readable").to_vec()
}

#[tokio::test]
async fn an_append_is_durable_visible_and_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = || FileDisk::open(&directory.path().join("journal")).expect("a directory");
    let (journal, recovered) = open(disk(), small());
    assert_eq!((recovered.last, recovered.boot_epoch), (Seq(0), 1));
    let mut durable = journal.durable();
    let mut tickets = Vec::new();
    for at in 0..50 {
        let mut append = one_block(1, at, vec![at as u8; 3 * KIB]);
        append.records.push(record(RecordKind::Position, "follower", vec![at as u8]));
        tickets.push(journal.append(append).await.expect("room"));
    }
    for (at, ticket) in tickets.iter_mut().enumerate() {
        assert_eq!(ticket.seq, Seq(at as u64 + 1));
        ticket.reached(Ack::Memory).await.expect("queued");
        ticket.reached(Ack::Disk).await.expect("durable");
        ticket.reached(Ack::Os).await.expect("what is durable was written");
    }
    durable.wait_for(|durable| *durable == Seq(50)).await.expect("the journal lives");
    assert_eq!(body(&journal, Seq(7)), vec![6; 3 * KIB]);
    assert_eq!(journal.bytes_by_stream()[&StreamId(1)], 50 * 3 * KIB as u64);
    let usage = journal.usage();
    assert_eq!((usage.appended, usage.durable, usage.first_kept), (Seq(50), Seq(50), Seq(1)));
    assert!(usage.segments > 2 && usage.failed.is_none() && usage.queued_bytes == 0, "{usage:?}");
    let id = recovered.journal_id;
    journal.close().await;

    let (journal, recovered) = open(disk(), small());
    assert_eq!((recovered.journal_id, recovered.boot_epoch, recovered.last), (id, 2, Seq(50)));
    assert_eq!((recovered.cut_bytes, &recovered.damage), (0, &vec![]));
    assert_eq!(recovered.next_offsets[&(StreamId(1), 0)], 50);
    assert_eq!(recovered.positions[&b"follower"[..]], &[49][..]);
    assert_eq!(body(&journal, Seq(50)), vec![49; 3 * KIB]);
    let mut ticket = journal.append(one_block(1, 50, "next")).await.expect("room");
    ticket.reached(Ack::Disk).await.expect("durable");
    assert_eq!(ticket.seq, Seq(51));
    journal.close().await;
}

#[tokio::test]
async fn a_full_journal_refuses_until_the_lake_has_caught_up() {
    let settings = Settings { budget_bytes: 300 * KIB as u64, reserve_bytes: 50 * KIB as u64, ..small() };
    let (journal, _) = open(SimDisk::new(1), settings);
    let mut last = Seq(0);
    let refused = loop {
        match journal.append(one_block(1, last.0 as i64, vec![0; 10 * KIB])).await {
            Ok(mut ticket) => {
                ticket.reached(Ack::Disk).await.expect("durable");
                last = ticket.seq;
            }
            Err(error) => break error,
        }
    };
    assert!(
        matches!(refused, AppendError::Full { budget_bytes: 307_200, used_bytes } if used_bytes <= 256_000),
        "{refused}"
    );
    assert!(last > Seq(10), "{last}");
    journal.release(last);
    assert_eq!(journal.usage().used_bytes, 0);
    assert!(journal.bytes_by_stream().is_empty());
    let ticket = journal.append(one_block(1, 99, "again")).await.expect("there is room again");
    assert_eq!(ticket.seq, last.next());
}

#[tokio::test]
async fn an_append_larger_than_a_segment_gets_a_file_of_its_own() {
    let disk = SimDisk::new(1);
    let (journal, _) = open(disk.clone(), small());
    for at in 0..3 {
        let bytes = if at == 1 { 500 * KIB } else { 10 };
        let mut ticket = journal.append(one_block(1, at, vec![at as u8; bytes])).await.expect("room");
        ticket.reached(Ack::Disk).await.expect("durable");
    }
    assert_eq!(body(&journal, Seq(2)), vec![1; 500 * KIB]);
    journal.close().await;
    let (journal, recovered) = open(disk, small());
    assert_eq!(recovered.last, Seq(3));
    assert_eq!(body(&journal, Seq(2)), vec![1; 500 * KIB]);
}

#[tokio::test]
async fn a_disk_that_fails_refuses_and_heals_by_itself() {
    let disk = SimDisk::new(7);
    let clock = Arc::new(ManualClock::new(Timestamp(0)));
    let (journal, _) = Journal::open(Arc::new(disk.clone()), clock.clone(), &SeededEntropy::new(1), small())
        .expect("it opens");
    let mut ticket = journal.append(one_block(1, 0, "one")).await.expect("room");
    ticket.reached(Ack::Disk).await.expect("durable");
    // The write, and every attempt at a new segment, fail.
    for call in 1..=40 {
        disk.inject(call, Fault::NoSpace);
    }
    let mut ticket = journal.append(one_block(1, 1, "refused")).await.expect("queued");
    let error = ticket.reached(Ack::Disk).await.expect_err("the disk is full");
    assert!(matches!(&error, AppendError::Disk(error) if error.raw_os_error() == Some(28)), "{error}");
    // Not more often than four times a second: the clock stands still, so the disk is left alone.
    let calls = disk.calls();
    let mut ticket = journal.append(one_block(1, 1, "refused")).await.expect("queued");
    ticket.reached(Ack::Os).await.expect_err("still failed");
    assert_eq!(disk.calls(), calls);
    assert!(journal.usage().failed.is_some());

    disk.clear_faults();
    clock.advance(Duration::from_millis(250));
    let mut ticket = journal.append(one_block(1, 2, "two")).await.expect("room");
    ticket.reached(Ack::Disk).await.expect("healed");
    assert_eq!(ticket.seq, Seq(2), "the number of what was refused is given again");
    assert_eq!(body(&journal, Seq(2)), b"two");
    journal.close().await;
    let (journal, recovered) = open(disk, small());
    assert_eq!((recovered.last, recovered.damage.len()), (Seq(2), 0));
    assert_eq!(body(&journal, Seq(2)), b"two");
}

#[tokio::test]
async fn a_closed_journal_says_so_and_loses_nothing_that_was_queued() {
    let disk = SimDisk::new(7);
    let (journal, _) = open(disk.clone(), small());
    let mut tickets = Vec::new();
    for at in 0..20 {
        tickets.push(journal.append(one_block(1, at, vec![7; 5 * KIB])).await.expect("room"));
    }
    let other = journal.clone();
    journal.close().await;
    for ticket in &mut tickets {
        ticket.reached(Ack::Disk).await.expect("drained before the end");
    }
    assert!(matches!(other.append(one_block(1, 20, "late")).await, Err(AppendError::Closed)));
    disk.crash();
    assert_eq!(open(disk, small()).1.last, Seq(20));
}

#[tokio::test]
async fn released_segments_are_recycled_and_leased_ones_stay_readable() {
    let disk = SimDisk::new(7);
    let (journal, _) = open(disk.clone(), small());
    let mut lease = None;
    for at in 0..200 {
        let mut ticket = journal.append(one_block(1, at, vec![at as u8; 9 * KIB])).await.expect("room");
        ticket.reached(Ack::Disk).await.expect("durable");
        if at == 3 {
            lease = journal.blocks(StreamId(1), BlockKind::Rows, Seq(3), Seq(4)).expect("kept").pop();
        }
        journal.release(ticket.seq);
    }
    let files = disk.file_names();
    assert!(files.len() <= 6, "{files:?}");
    let first_kept = journal.first_kept();
    assert!(first_kept > Seq(150), "{first_kept}");
    assert!(
        matches!(journal.read(Seq(0), 1), Err(ReadError::Gone { first_kept: first }) if first == first_kept)
    );
    assert!(matches!(
        journal.blocks(StreamId(1), BlockKind::Rows, Seq(3), Seq(9)),
        Err(ReadError::Gone { .. })
    ));
    let lease = lease.expect("it was there");
    assert_eq!(journal.read_block(&lease).expect("leased"), vec![3; 9 * KIB]);
}

#[tokio::test]
async fn the_queue_is_bounded_and_waits() {
    let disk = SimDisk::new(7);
    let settings = Settings { queue_bytes_max: 20 * KIB, ..small() };
    let (journal, _) = open(disk, settings);
    let appends = (0..30).map(|at| {
        let journal = journal.clone();
        tokio::spawn(async move {
            let mut ticket = journal.append(one_block(1, at, vec![0; 30 * KIB])).await.expect("room comes");
            assert!(journal.usage().queued_bytes <= 31 * KIB as u64);
            ticket.reached(Ack::Disk).await
        })
    });
    for append in appends.collect::<Vec<_>>() {
        append.await.expect("no panic").expect("durable");
    }
    assert_eq!(journal.usage().durable, Seq(30));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let refuse = |settings| {
        let disk = Arc::new(SimDisk::new(1));
        let opened = Journal::open(disk, Arc::new(SystemClock), &SeededEntropy::new(1), settings);
        assert!(matches!(opened, Err(OpenError::Settings { .. })));
    };
    refuse(Settings { segment_bytes: 60 * 1024, ..small() });
    refuse(Settings { segment_bytes: 100_000, ..small() });
    refuse(Settings { budget_bytes: 10, reserve_bytes: 10, ..small() });
    refuse(Settings { group_bytes_max: 0, ..small() });
}
