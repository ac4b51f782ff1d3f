//! What the journal makes of files that are not as it left them.

use std::sync::Arc;

use hw_event::{Seq, StreamId, Timestamp};
use hw_journal::{AppendError, Core, Damage, OpenError, RecordKind, Recovered};
use hw_testkit::{Fault, ManualClock, SeededEntropy, SimDisk};

use crate::model::{KIB, one_block, record, small};

fn try_open(disk: &SimDisk, seed: u64) -> Result<(Core, Recovered), OpenError> {
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    Core::open(Arc::new(disk.clone()), clock, &SeededEntropy::new(seed), small())
}

fn open(disk: &SimDisk) -> (Core, Recovered) {
    try_open(disk, 1).expect("it opens")
}

fn append(core: &mut Core, at: i64, bytes: usize) {
    core.write(vec![one_block(1, at, vec![at as u8; bytes])]).expect("written");
    core.flush().expect("durable");
}

fn seqs(core: &Core) -> Vec<u64> {
    let log = core.log();
    let read = log.read(Seq(log.first_kept().0 - 1), usize::MAX).expect("readable");
    read.iter().map(|stored| stored.seq.0).collect()
}

/// Where the bytes of an append are, by its body.
fn find(disk: &SimDisk, name: &str, byte: u8, len: usize) -> u64 {
    let contents = disk.contents(name).expect("it is there");
    contents.windows(len).position(|bytes| bytes.iter().all(|other| *other == byte)).expect("found") as u64
}

const FIRST: &str = "0000000000000001.seg";

#[test]
fn damage_below_durable_is_named_and_the_rest_is_served() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    (1..=5).for_each(|at| append(&mut core, at, 1000));
    drop(core);
    let at = find(&disk, FIRST, 3, 500);
    disk.flip_bit(FIRST, at * 8);
    let (mut core, recovered) = open(&disk);
    let [Damage { file, start, end, seqs: Some((Seq(3), Seq(3))), .. }] = recovered.damage.as_slice() else {
        panic!("{:?}", recovered.damage)
    };
    assert!(file == FIRST && *start <= at && at < *end, "{start}..{end} {at}");
    assert_eq!((recovered.last, recovered.cut_bytes), (Seq(5), 0));
    assert_eq!(seqs(&core), [1, 2, 4, 5]);
    assert_eq!(
        recovered.next_offsets[&(StreamId(1), 0)],
        6 + (1 << 32),
        "the lost append may have given offsets that nobody knows"
    );
    append(&mut core, 6, 10);
    assert_eq!(seqs(&core), [1, 2, 4, 5, 6]);
    drop(core);
    assert_eq!(open(&disk).1.damage, recovered.damage, "it is told again at every start");
}

#[test]
fn a_torn_tail_is_cut_and_never_comes_back() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    append(&mut core, 1, 1000);
    // A group of three, written and not synced; the first of them is torn.
    core.write((2..=4).map(|at| one_block(1, at, vec![at as u8; 5000])).collect()).expect("written");
    disk.kill();
    let at = find(&disk, FIRST, 2, 500);
    disk.flip_bit(FIRST, at * 8);
    let (mut core, recovered) = open(&disk);
    assert_eq!((recovered.last, &recovered.damage), (Seq(1), &vec![]));
    assert!(recovered.cut_bytes >= 15_000, "{}", recovered.cut_bytes);
    // Much shorter groups than what was cut: what stood behind them must not be found again.
    append(&mut core, 7, 10);
    drop(core);
    let (core, recovered) = open(&disk);
    assert_eq!((recovered.last, recovered.cut_bytes, &recovered.damage), (Seq(2), 0, &vec![]));
    assert_eq!(seqs(&core), [1, 2]);
    assert_eq!(core.log().read(Seq(1), 1).expect("readable")[0].append, one_block(1, 7, vec![7; 10]));
}

#[test]
fn what_a_torn_group_has_left_in_the_last_good_page_is_void() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    // Three frames in one page; the second is torn, and the page is never written again.
    core.write((1..=3).map(|at| one_block(1, at, vec![at as u8; 600])).collect()).expect("written");
    disk.kill();
    disk.flip_bit(FIRST, find(&disk, FIRST, 2, 500) * 8);
    let (mut core, recovered) = open(&disk);
    assert_eq!((recovered.last, &recovered.damage), (Seq(1), &vec![]));
    append(&mut core, 7, 10);
    drop(core);
    let (core, recovered) = open(&disk);
    assert_eq!((recovered.last, &recovered.damage), (Seq(2), &vec![]));
    assert_eq!(core.log().read(Seq(1), 1).expect("readable")[0].append, one_block(1, 7, vec![7; 10]));
}

#[test]
fn a_sealed_tail_that_breaks_is_damage_and_its_number_is_not_given_again() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    append(&mut core, 1, 1000);
    append(&mut core, 2, 1000);
    core.close();
    disk.flip_bit(FIRST, find(&disk, FIRST, 2, 500) * 8);
    let (core, recovered) = open(&disk);
    assert_eq!(recovered.last, Seq(2));
    assert_eq!(recovered.damage[0].seqs, Some((Seq(2), Seq(2))));
    assert_eq!(seqs(&core), [1]);
}

#[test]
fn a_refused_append_does_not_come_back() {
    let disk = SimDisk::new(3);
    let (mut core, _) = open(&disk);
    append(&mut core, 1, 10);
    disk.inject(2, Fault::Io); // the sync: the frame itself was written whole
    core.write(vec![one_block(1, 2, "refused")]).expect("written");
    assert!(matches!(core.flush(), Err(AppendError::Disk(_))));
    assert!(core.failure().is_none(), "a new segment is open");
    disk.kill();
    let (mut core, recovered) = open(&disk);
    assert_eq!((recovered.last, seqs(&core)), (Seq(1), vec![1]));
    append(&mut core, 3, 10);
    assert_eq!(seqs(&core), [1, 2]);
}

#[test]
fn a_missing_segment_is_named() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    (1..=30).for_each(|at| append(&mut core, at, 9 * KIB));
    let before = seqs(&core);
    drop(core);
    let second = "0000000000000002.seg";
    let pristine = disk.fork(2);
    disk.put(second, b"this is no segment");
    let (core, recovered) = open(&disk);
    let missing = recovered.damage.iter().find_map(|damage| damage.seqs).expect("named");
    assert_eq!(recovered.damage.last().map(|damage| damage.file.as_str()), Some(second));
    let expected: Vec<u64> =
        before.iter().copied().filter(|seq| !(missing.0.0..=missing.1.0).contains(seq)).collect();
    assert_eq!(seqs(&core), expected);
    assert_eq!(recovered.last, Seq(30));

    // Sealed segments are read by their index; without it they are scanned, to the same end.
    for name in pristine.file_names().iter().filter(|name| name.ends_with(".seg")) {
        let trailer = pristine.contents(name).expect("it is there").len() as u64 - 4096;
        pristine.flip_bit(name, trailer * 8);
    }
    let (core, recovered) = open(&pristine);
    assert_eq!((seqs(&core), recovered.damage), (before, vec![]));
}

#[test]
fn a_newest_segment_that_is_gone_stops_the_start() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    (1..=8).for_each(|at| append(&mut core, at, 9 * KIB));
    drop(core);
    let (first, second) = (disk.contents(FIRST).expect("it is there"), "0000000000000002.seg");
    assert!(disk.contents(second).is_some(), "eight appends need two segments");
    let without = SimDisk::new(2);
    without.put(FIRST, &first);
    match try_open(&without, 1).map(|_| ()) {
        Err(OpenError::Missing { file, before }) => assert_eq!((&*file, &*before), (second, FIRST)),
        other => panic!("{other:?}"),
    }
    // One that was being made when the process ended is no loss.
    let disk = SimDisk::new(3);
    let (mut core, _) = open(&disk);
    (1..=6).for_each(|at| append(&mut core, at, 9 * KIB));
    disk.inject(4, Fault::PowerCut);
    assert!(
        core.write(vec![one_block(1, 7, vec![7; 9 * KIB])]).is_err(),
        "a rotation makes more calls than that"
    );
    drop(core);
    disk.restart();
    assert_eq!(open(&disk).1.last, Seq(6));
}

#[test]
fn files_of_another_journal_or_a_newer_version_are_refused_by_name() {
    let (one, two) = (SimDisk::new(1), SimDisk::new(2));
    let (mut core, _) = try_open(&one, 1).expect("it opens");
    (1..=12).for_each(|at| append(&mut core, at, 9 * KIB));
    let (mut core, _) = try_open(&two, 2).expect("it opens");
    (1..=12).for_each(|at| append(&mut core, at, 9 * KIB));
    let pristine = one.fork(3);
    one.put(FIRST, &two.contents(FIRST).expect("it is there"));
    let Err(OpenError::ForeignJournal { file, expected, found }) = try_open(&one, 1).map(|_| ()) else {
        panic!("a foreign segment was taken")
    };
    assert!(file == FIRST && expected != found);

    let header = |change: fn(&mut Vec<u8>)| {
        let disk = pristine.fork(4);
        let mut contents = disk.contents(FIRST).expect("it is there");
        let mut page = contents[..4096].to_vec();
        change(&mut page);
        let crc = crc32c::crc32c(&page[12..]);
        page[8..12].copy_from_slice(&crc.to_le_bytes());
        contents[..4096].copy_from_slice(&page);
        disk.put(FIRST, &contents);
        try_open(&disk, 1).map(|_| ()).expect_err("refused").to_string()
    };
    insta::assert_snapshot!(header(|page| page[12] = 2), @"the journal file 0000000000000001.seg has format 2, this version reads up to 1: use a newer headwater");
    insta::assert_snapshot!(header(|page| page[17] = 1), @"the journal file 0000000000000001.seg needs the feature bits 0x00000100, unknown here: use a newer headwater");
}

#[test]
fn a_journal_without_any_header_is_not_taken_for_an_empty_one() {
    let disk = SimDisk::new(1);
    disk.put(FIRST, &[0; 70_000]);
    assert!(matches!(try_open(&disk, 1), Err(OpenError::NoHeader { file }) if file == FIRST));
    assert_eq!(disk.contents(FIRST), Some(vec![0; 70_000]), "and nothing was touched");
}

#[test]
fn keys_live_in_files_of_their_own_until_they_are_released() {
    let disk = SimDisk::new(1);
    let (mut core, _) = open(&disk);
    for at in 1..=30 {
        let mut append = one_block(1, at, vec![0; 9 * KIB]);
        append.records = vec![record(RecordKind::Key, format!("key-{at}"), vec![at as u8])];
        core.write(vec![append]).and_then(|()| core.flush()).expect("durable");
    }
    drop(core);
    let key_files =
        |disk: &SimDisk| disk.file_names().into_iter().filter(|name| name.ends_with(".keys")).count();
    assert_eq!(key_files(&disk), 1, "small neighbours are merged");
    let (mut core, recovered) = open(&disk);
    let found: Vec<u64> = recovered.keys.iter().map(|(seq, _)| seq.0).collect();
    assert_eq!(found, (1..=30).collect::<Vec<u64>>());
    core.release_keys(Seq(30));
    (31..=40).for_each(|at| append(&mut core, at, 9 * KIB));
    drop(core);
    assert_eq!((key_files(&disk), open(&disk).1.keys), (0, vec![]));
}

#[test]
fn a_recycled_segment_does_not_speak_of_its_past() {
    let disk = SimDisk::new(3);
    let (mut core, _) = open(&disk);
    append(&mut core, 1, 10);
    // Seventy frames are written and refused: they stay in the file, with numbers that others will get.
    disk.inject(2, Fault::Io);
    core.write((2..=71).map(|at| one_block(1, at, "refused")).collect()).expect("written");
    core.flush().expect_err("the sync fails");
    let mut last = 1;
    while disk.contents("0000000000000003.seg").is_none() {
        last += 1;
        append(&mut core, last, 9 * KIB);
        core.log().release(core.last());
        while core.tidy() {}
    }
    let recycled = disk.contents("0000000000000003.seg").expect("it is there");
    assert!(recycled.windows(7).any(|bytes| bytes == b"refused"), "the first segment's file was taken again");
    disk.kill();
    let (core, recovered) = open(&disk);
    assert_eq!((recovered.last, recovered.cut_bytes), (Seq(last as u64), 0), "not even as a torn tail");
    assert_eq!(seqs(&core).last(), Some(&(last as u64)));
}

#[test]
fn what_a_start_has_found_stays_even_if_its_sync_had_failed_before() {
    let disk = SimDisk::new(3);
    let (mut core, _) = open(&disk);
    append(&mut core, 1, 10);
    // The sync fails, and so does every attempt at a new segment; then the process dies. Its frames are in the
    // page cache, marked clean: the next process reads them, and a mere sync would not write them.
    disk.inject(2, Fault::Io);
    (3..40).for_each(|call| disk.inject(call, Fault::NoSpace));
    core.write(vec![one_block(1, 2, vec![2; 20 * KIB])]).expect("written");
    core.flush().expect_err("the sync fails");
    disk.kill();
    let (_, found) = open(&disk);
    disk.crash();
    let (core, recovered) = open(&disk);
    assert_eq!((recovered.last, recovered.damage), (found.last, vec![]));
    assert_eq!(seqs(&core).len() as u64, found.last.0);
}

#[test]
fn the_newest_segment_is_kept_until_the_next_one_is_there() {
    let disk = SimDisk::new(3);
    let (mut core, _) = open(&disk);
    (1..=3).for_each(|at| append(&mut core, at, 1000));
    core.log().release(Seq(3));
    core.tidy();
    (1..60).for_each(|call| disk.inject(call, Fault::NoSpace));
    assert!(core.write(vec![one_block(1, 4, "refused")]).is_err());
    assert!(core.failure().is_some());
    drop(core);
    disk.crash();
    let (_, recovered) = open(&disk);
    assert_eq!((recovered.last, recovered.next_offsets[&(StreamId(1), 0)]), (Seq(3), 4));
}
