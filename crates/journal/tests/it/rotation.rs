//! Two faults, one soon after the other, around the change from one segment to the next.
//! Always: every place for the first with every place for the second; nothing acknowledged is lost, no damage is found
//! where there was none, and the window's keys are all there.

use std::{collections::BTreeSet, ops::RangeInclusive, sync::Arc, time::Duration};

use hw_event::{Seq, Timestamp};
use hw_journal::{Append, Core, Disk, RecordKind, Recovered, Settings};
use hw_testkit::{Fault, ManualClock, SeededEntropy, SimDisk};

use crate::model::{KIB, one_block, record, small};

/// Changing calls after the tenth append, among which a segment is closed and the next one made, and from there to the power cut.
const FIRST: RangeInclusive<u64> = 10..=24;
const SECOND: RangeInclusive<u64> = 1..=6;
/// What a power cut leaves is chance.
const SEEDS: u64 = 12;

/// Longer than a journal waits before it tries a broken disk again.
const SECONDS: Duration = Duration::from_secs(10);

fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Option<(Core, Recovered)> {
    Core::open(Arc::new(disk.clone()), clock.clone(), &SeededEntropy::new(1), small()).ok()
}

fn keyed(at: i64) -> Append {
    let key = record(RecordKind::Key, "stream", at.to_string());
    Append { records: vec![key], ..one_block(1, at, vec![at as u8; 9 * KIB]) }
}

/// What the journal made durable of these, in their order.
fn append(core: &mut Core, acknowledged: &mut Vec<i64>, at: i64) {
    if core.write(vec![keyed(at)]).is_ok() && core.flush().is_ok() {
        acknowledged.push(at);
    }
}

fn check(recovered: &Recovered, core: &Core, acknowledged: &[i64], what: &str) {
    assert_eq!(recovered.damage, vec![], "{what}");
    let kept: BTreeSet<i64> = recovered
        .keys
        .iter()
        .map(|(_, record)| String::from_utf8_lossy(&record.value).parse().expect("a number"))
        .collect();
    let lost: Vec<_> = acknowledged.iter().filter(|at| !kept.contains(at)).collect();
    assert!(lost.is_empty(), "{what}: keys of {lost:?}");
    let read = core.log().read(Seq::ZERO, usize::MAX).expect("readable");
    let bodies: BTreeSet<u8> = read.iter().map(|stored| stored.append.blocks[0].body[0]).collect();
    let lost: Vec<_> = acknowledged.iter().filter(|at| !bodies.contains(&(**at as u8))).collect();
    assert!(lost.is_empty(), "{what}: {lost:?}");
}

#[test]
fn a_failed_call_and_a_power_cut_around_a_rotation_lose_nothing() {
    for first in FIRST {
        for second in SECOND {
            // The first is a call that fails, or the end of the process with the machine going on.
            for (dies, seed) in
                [false, true].into_iter().flat_map(|dies| (1..=SEEDS).map(move |seed| (dies, seed)))
            {
                let what = format!(
                    "seed {seed}: call {first} fails, or ends the process: {dies}; power cut {second} calls later"
                );
                let disk = SimDisk::new((first * 1000 + second) * 1000 + seed);
                let clock = Arc::new(ManualClock::new(Timestamp(5)));
                let (mut core, _) = open(&disk, &clock).expect("a healthy disk");
                let mut acknowledged = Vec::new();
                for at in 1..=10 {
                    append(&mut core, &mut acknowledged, at);
                }
                assert_eq!(acknowledged.len(), 10);
                // With the power off nothing reaches the disk, as of a process that is gone.
                disk.inject(first, if dies { Fault::PowerCut } else { Fault::Io });
                if !dies {
                    disk.inject(first + second, Fault::PowerCut);
                }
                for at in 11..=18 {
                    clock.advance(SECONDS);
                    append(&mut core, &mut acknowledged, at);
                }
                drop(core);
                if dies {
                    disk.kill();
                    disk.inject(second, Fault::PowerCut);
                    if let Some((mut core, recovered)) = open(&disk, &clock) {
                        if disk.is_powered() {
                            check(&recovered, &core, &acknowledged, &what);
                        }
                        for at in 19..=22 {
                            append(&mut core, &mut acknowledged, at);
                        }
                    }
                }
                disk.cut_power();
                disk.restart();
                let (core, recovered) = open(&disk, &clock).expect("a healthy disk");
                check(&recovered, &core, &acknowledged, &what);
            }
        }
    }
}

/// A new file is written in full before it is of use: who fell behind by some segments once must find their files again.
#[test]
fn a_sixteenth_of_the_budget_stays_as_free_files() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    let settings = Settings { budget_bytes: 100 * small().segment_bytes, ..small() };
    let open = || {
        let (clock, entropy) = (clock.clone(), SeededEntropy::new(1));
        Core::open(Arc::new(disk.clone()), clock, &entropy, settings.clone()).expect("a healthy disk").0
    };
    let names = || disk.list().expect("a healthy disk");
    let free = || names().iter().filter(|name| name.ends_with(".free")).count();
    let mut core = open();
    for at in 1..=100 {
        append(&mut core, &mut Vec::new(), at);
    }
    assert!(names().len() > 12, "as many segments: {:?}", names());
    core.log().release(core.last());
    // What is released is known after a restart only when a frame says so.
    append(&mut core, &mut Vec::new(), 101);
    while core.tidy() {}
    assert_eq!(free(), 6, "{:?}", names());
    drop(core);
    drop(open());
    assert_eq!(free(), 6, "after a restart");
}

/// Small while little waits to be released: a new installation takes little room, and a full rate goes over the same few pages.
#[test]
fn segments_grow_when_many_wait_and_stay_as_large() {
    let disk = SimDisk::new(1);
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    let least = small().segment_bytes;
    let settings = Settings {
        segment_bytes: 4 * least,
        first_segment_bytes: least,
        budget_bytes: 1_000 * least,
        ..small()
    };
    let open = || {
        let (clock, entropy) = (clock.clone(), SeededEntropy::new(1));
        Core::open(Arc::new(disk.clone()), clock, &entropy, settings.clone()).expect("a healthy disk")
    };
    let sizes = |suffix: &str| {
        let names = disk.list().expect("a healthy disk").into_iter().filter(|name| name.ends_with(suffix));
        let size =
            |name: String| disk.open(&name, false).and_then(|file| file.len()).expect("a healthy disk");
        names.map(|name| size(name) / least).collect::<Vec<_>>()
    };
    let mut core = open().0;
    let mut acknowledged = Vec::new();
    for at in 1..=40 {
        append(&mut core, &mut acknowledged, at);
        core.log().release(core.last());
        while core.tidy() {}
    }
    assert_eq!(sizes(".seg").last(), Some(&1), "nothing waits");
    // Files of the old size are of no use.
    let released = core.last();
    for at in 41..=440 {
        append(&mut core, &mut acknowledged, at);
        while core.tidy() {}
        assert!(sizes(".free").iter().all(|size| sizes(".seg").last() <= Some(size)), "{:?}", sizes(".free"));
    }
    let grown = sizes(".seg");
    assert!(grown.is_sorted() && grown.contains(&2) && grown.last() == Some(&4), "{grown:?}");
    assert_eq!(acknowledged.len(), 440);
    drop(core);
    disk.cut_power();
    disk.restart();
    let (mut core, recovered) = open();
    assert_eq!(recovered.damage, vec![]);
    let read = core.log().read(released, usize::MAX).expect("readable");
    let found: Vec<_> = read.iter().map(|stored| stored.append.blocks[0].body[0]).collect();
    let kept = acknowledged.iter().filter(|at| **at > released.0 as i64);
    assert_eq!(found, kept.map(|at| *at as u8).collect::<Vec<_>>());
    core.log().release(core.last());
    for at in 441..=500 {
        append(&mut core, &mut Vec::new(), at);
    }
    while core.tidy() {}
    assert_eq!(sizes(".seg").last(), Some(&4), "it stays as large");
    assert!(sizes(".free").iter().all(|size| *size == 4), "{:?}", sizes(".free"));
}
