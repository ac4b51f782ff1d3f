//! Looking at a journal without opening it: the same contents, and not a byte changed.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use hw_event::{Seq, StreamId, Timestamp};
use hw_journal::{AppendError, Core, FileDisk, Found, Journal, Log};
use hw_testkit::{ManualClock, SeededEntropy};

use crate::model::{KIB, one_block, small};

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            (
                entry.file_name().into_string().expect("a name of ours"),
                std::fs::read(entry.path()).expect("read"),
            )
        })
        .collect()
}

fn core(directory: &Path) -> Core {
    let disk = Arc::new(FileDisk::open(directory).expect("a directory"));
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    Core::open(disk, clock, &SeededEntropy::new(1), small()).expect("it opens").0
}

#[tokio::test]
async fn a_look_changes_nothing_and_sees_what_an_opening_sees() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("journal");
    let mut writer = core(&path);
    for at in 0..40 {
        writer.write(vec![one_block(1, at, vec![at as u8; 3 * KIB])]).expect("written");
        writer.flush().expect("durable");
    }
    // Written and not synced, and the process dies: the newest segment ends in what a start would cut or take.
    writer.write(vec![one_block(1, 40, vec![40; 3 * KIB])]).expect("written");
    drop(writer);
    let newest = files(&path).into_iter().filter(|(name, _)| name.ends_with(".seg")).next_back();
    let (name, mut bytes) = newest.expect("a segment");
    let torn = bytes.windows(100).rposition(|window| window == [40; 100]).expect("the last body");
    bytes[torn] ^= 1;
    std::fs::write(path.join(name), bytes).expect("written");

    let before = files(&path);
    let disk = FileDisk::read_only(&path).expect("it is there");
    let found = Found::read(&disk).expect("readable");
    assert!(!found.is_new() && found.cut_bytes() > 0, "{} bytes are torn", found.cut_bytes());
    assert_eq!((found.last(), found.damage()), (Seq(40), &[][..]));
    let (journal, recovered) = Journal::inspect(found).expect("a journal");
    assert_eq!((recovered.last, recovered.next_offsets[&(StreamId(1), 0)]), (Seq(40), 40));
    assert_eq!(journal.next_offsets(), recovered.next_offsets);
    assert_eq!(journal.usage().newest_received_at, Some(one_block(1, 39, "").received_at));
    let read = journal.read(Seq(0), usize::MAX).expect("readable");
    assert_eq!(read.iter().map(|append| append.seq.0).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    let bytes = 3 * KIB as u64;
    assert_eq!(journal.bytes_after(StreamId(1), hw_journal::BlockKind::Rows, Seq(30)), 10 * bytes);
    assert_eq!(journal.bytes_after(StreamId(2), hw_journal::BlockKind::Rows, Seq(0)), 0);
    assert!(matches!(journal.append(one_block(1, 41, "no")).await, Err(AppendError::Closed)));
    journal.close().await;
    assert!(files(&path) == before, "a look has changed the files");

    // An opening sees the same, and then acts.
    let mut writer = core(&path);
    assert_eq!(writer.last(), Seq(40));
    assert!(files(&path) != before);
    writer.write(vec![one_block(1, 41, "next")]).expect("written");
    assert_eq!(writer.flush().expect("durable"), Seq(41));
    drop(writer);
    let found = Found::read(&FileDisk::read_only(&path).expect("it is there")).expect("readable");
    let (journal, _) = Journal::inspect(found).expect("a journal");
    assert_eq!(journal.next_offsets()[&(StreamId(1), 0)], 42);
}

#[test]
fn what_is_opened_to_read_cannot_be_written() {
    use hw_journal::Disk;
    let directory = tempfile::tempdir().expect("a directory");
    assert!(FileDisk::read_only(&directory.path().join("nowhere")).is_err(), "nothing is made");
    std::fs::write(directory.path().join("a"), b"kept").expect("written");
    let disk = FileDisk::read_only(directory.path()).expect("it is there");
    assert!(disk.open("new", true).is_err());
    assert!(disk.rename("a", "b").is_err() && disk.remove("a").is_err());
    let file = disk.open("a", false).expect("readable");
    assert!(file.write_at(b"x", 0).is_err() && file.allocate(100).is_err());
    assert_eq!(files(directory.path()), BTreeMap::from([("a".to_owned(), b"kept".to_vec())]));
    assert!(Found::read(&disk).expect("no journal").is_new());
}
