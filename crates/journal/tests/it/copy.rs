//! A copy of a journal while appends go on: it ends where it says, and is opened as after a power cut there.

use std::{fs, io::Write, path::Path, sync::Arc};

use hw_event::{Ack, Seq, StreamId, SystemClock};
use hw_journal::{BlockKind, FileDisk, Found, Journal, JournalCopy, Log, RecordKind};
use hw_testkit::SeededEntropy;

use crate::model::{KIB, one_block, record, small};

fn open(directory: &Path) -> (Journal, hw_journal::Recovered) {
    let disk = FileDisk::open(directory).expect("a directory");
    Journal::open(Arc::new(disk), Arc::new(SystemClock), &SeededEntropy::new(3), small()).expect("it opens")
}

async fn append(journal: &Journal, at: i64) -> Seq {
    let mut append = one_block(1, at, vec![at as u8; 3 * KIB]);
    append.records.push(record(RecordKind::Key, "producer", vec![at as u8]));
    let mut ticket = journal.append(append).await.expect("room");
    ticket.reached(Ack::Disk).await.expect("durable");
    ticket.seq
}

fn write(copy: &JournalCopy, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in &copy.files {
        let mut written = fs::File::create(to.join(&file.name)).unwrap();
        file.read(&mut |piece| written.write_all(piece)).unwrap();
        written.set_len(file.size).unwrap();
    }
}

#[tokio::test]
async fn a_copy_ends_where_it_says_whatever_comes_while_it_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let (journal, recovered) = open(&directory.path().join("journal"));
    let (mut at, mut released) = (0, 0);
    for round in 1..=12 {
        for _ in 0..round * 3 {
            append(&journal, at).await;
            at += 1;
        }
        // What the lake has, the journal forgets: the copy begins later each time.
        released = released.max(at as u64 / 2);
        journal.release(Seq(released));
        let copy = journal.copy().await.expect("it is open");
        assert_eq!(copy.through, Seq(at as u64));
        // What comes now stands behind its end, and nothing that it has is written again.
        let through = at;
        journal.release(Seq(through as u64));
        for _ in 0..60 {
            append(&journal, at).await;
            at += 1;
        }
        let to = directory.path().join(format!("copy-{round}"));
        write(&copy, &to);
        drop(copy);

        let found = Found::read(&FileDisk::open(&to).unwrap()).unwrap();
        assert_eq!((found.last(), found.damage().len()), (Seq(through as u64), 0), "round {round}");
        let (copied, again) = open(&to);
        assert_eq!((again.journal_id, again.last), (recovered.journal_id, Seq(through as u64)));
        assert_eq!((again.damage.len(), again.next_offsets[&(StreamId(1), 0)]), (0, through));
        assert_eq!(
            again.keys.len() as i64,
            through,
            "the keys of segments that are gone stand in files of their own"
        );
        let first = Seq(released + 1);
        let blocks = copied.blocks(StreamId(1), BlockKind::Rows, Seq(first.0 - 1), again.last).expect("kept");
        assert_eq!(blocks.len() as u64, again.last.0 - first.0 + 1);
        for block in blocks {
            assert_eq!(
                copied.read_block(&block).expect("readable")[..],
                vec![(block.seq.0 - 1) as u8; 3 * KIB]
            );
        }
        assert_eq!(append(&copied, through).await, Seq(through as u64 + 1));
        copied.close().await;
        released = through as u64;
    }
    journal.close().await;
}
