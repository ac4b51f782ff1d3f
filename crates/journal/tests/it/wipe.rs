//! What is wiped is in no file any more, whatever its file was before and whoever read it.

use std::{path::Path, sync::Arc};

use hw_event::{Ack, Seq, StreamId, SystemClock};
use hw_journal::{BlockKind, FileDisk, Journal, Log, Settings, Wipe, WipeState};
use hw_testkit::SeededEntropy;

use crate::model::{KIB, one_block, small};

const SECRET: &[u8] = b"a-value-that-must-go";

fn open(directory: &Path) -> Journal {
    let disk = Arc::new(FileDisk::open(&directory.join("journal")).unwrap());
    // Two free files of this size are kept, so that segments are written over old ones.
    let settings = Settings { ..small() };
    Journal::open(disk, Arc::new(SystemClock), &SeededEntropy::new(3), settings).unwrap().0
}

async fn append(journal: &Journal, text: &[u8]) -> Seq {
    let body = text.repeat(3 * KIB / text.len());
    let mut ticket = journal.append(one_block(1, 0, body)).await.unwrap();
    ticket.reached(Ack::Disk).await.unwrap();
    ticket.seq
}

/// The files in which the secret stands.
fn found(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory.join("journal")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if bytes.windows(SECRET.len()).any(|window| window == SECRET) {
            found.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test]
async fn nothing_of_what_is_wiped_stays_in_any_file() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    // Several segments, some of them released and written over.
    for _ in 0..150 {
        let last = append(&journal, SECRET).await;
        if last.0.is_multiple_of(20) {
            journal.release(last);
        }
    }
    let last = append(&journal, b"the-last").await;
    assert!(!found(directory.path()).is_empty());
    let held = journal.blocks(StreamId(1), BlockKind::Rows, Seq(last.0 - 1), last).unwrap();

    let mut wipe = journal.begin_wipe().await.unwrap();
    assert_eq!(wipe.through(), last);
    assert!(matches!(wipe.step().await.unwrap(), WipeState::Unreleased(_)));
    // Others go on, and what they write stays.
    let after = append(&journal, b"what came meanwhile").await;
    journal.release(last);
    assert_eq!(wipe.step().await.unwrap(), WipeState::Read(1), "somebody reads it");
    assert!(journal.wanted(&held[0]), "and is told that it is wanted back");
    drop(held);
    assert_eq!(wipe.step().await.unwrap(), WipeState::Done);
    assert_eq!(found(directory.path()), Vec::<String>::new());
    assert!(wipe.wiped().0 > 0 && wipe.wiped().1 > 0);
    drop(wipe);

    let kept = journal.blocks(StreamId(1), BlockKind::Rows, last, after).unwrap();
    assert!(journal.read_block(&kept[0]).unwrap().starts_with(b"what came meanwhile"));
    journal.close().await;
    let journal = open(directory.path());
    assert_eq!(append(&journal, b"next").await, after.next());
    assert_eq!(found(directory.path()), Vec::<String>::new());
    journal.close().await;
}

#[tokio::test]
async fn a_wipe_that_is_given_up_leaves_a_journal_that_recycles_again() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    for _ in 0..60 {
        append(&journal, SECRET).await;
    }
    drop(journal.begin_wipe().await.unwrap());
    let last = append(&journal, SECRET).await;
    journal.release(last);
    for _ in 0..60 {
        let last = append(&journal, SECRET).await;
        journal.release(last);
    }
    assert!(journal.usage().segments <= 3, "{:?}", journal.usage());
    let mut wipe = journal.begin_wipe().await.unwrap();
    journal.release(wipe.through());
    assert_eq!(wipe.step().await.unwrap(), WipeState::Done);
    assert_eq!(found(directory.path()), Vec::<String>::new());
    journal.close().await;
}

/// The files are handed out to it, and then nobody waits for it any more.
async fn begin_a_step(wipe: &mut Wipe) {
    tokio::select! {
        biased;
        _ = wipe.step() => unreachable!("its first question takes another thread"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn the_end_of_one_wipe_does_not_end_another() {
    let directory = tempfile::tempdir().unwrap();
    let journal = open(directory.path());
    for _ in 0..60 {
        append(&journal, SECRET).await;
    }
    let one = journal.begin_wipe().await.unwrap();
    let mut other = journal.begin_wipe().await.unwrap();
    drop(one);
    journal.release(other.through());
    for _ in 0..20 {
        let last = append(&journal, b"what came meanwhile").await;
        journal.release(last);
    }
    assert_eq!(other.step().await.unwrap(), WipeState::Done);
    assert_eq!(found(directory.path()), Vec::<String>::new());
    drop(other);
    // Somebody may still be overwriting what was handed out: nobody writes to it, and the next wipe takes it over.
    let last = append(&journal, SECRET).await;
    let mut cut_off = journal.begin_wipe().await.unwrap();
    journal.release(last);
    begin_a_step(&mut cut_off).await;
    drop(cut_off);
    append(&journal, b"after it").await;
    let handed_out = found(directory.path());
    assert!(!handed_out.is_empty());
    for _ in 0..60 {
        let last = append(&journal, b"what came meanwhile").await;
        journal.release(last);
    }
    assert_eq!(found(directory.path()), handed_out);
    let mut next = journal.begin_wipe().await.unwrap();
    assert_eq!(next.step().await.unwrap(), WipeState::Done);
    assert_eq!(found(directory.path()), Vec::<String>::new());
    drop(next);
    journal.close().await;
}
