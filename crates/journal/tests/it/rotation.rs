//! Two faults, one soon after the other, around the change from one segment to the next.
//! Always: every place for the first with every place for the second; nothing acknowledged is lost, no damage is found
//! where there was none, and the window's keys are all there.

use std::{collections::BTreeSet, sync::Arc};

use hw_event::{Seq, Timestamp};
use hw_journal::{Append, Core, RecordKind, Recovered};
use hw_testkit::{Fault, ManualClock, SeededEntropy, SimDisk};

use crate::model::{KIB, one_block, record, small};

/// Changing calls from the one that fails, and from there to the power cut: more than a rotation and a start make.
const FIRST_MAX: u64 = 16;
const SECOND_MAX: u64 = 24;

fn open(disk: &SimDisk) -> Option<(Core, Recovered)> {
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    Core::open(Arc::new(disk.clone()), clock, &SeededEntropy::new(1), small()).ok()
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
    for first in 1..=FIRST_MAX {
        for second in 1..=SECOND_MAX {
            // The process may also die between the two, with the machine going on.
            for killed in [false, true] {
                let what =
                    format!("a fault at call {first}, power cut {second} later, killed between: {killed}");
                let disk = SimDisk::new(first * 1000 + second);
                let (mut core, _) = open(&disk).expect("a healthy disk");
                let mut acknowledged = Vec::new();
                // The seventh goes into the second segment, the fourteenth would go into the third.
                (1..=13).for_each(|at| append(&mut core, &mut acknowledged, at));
                assert_eq!(acknowledged.len(), 13);
                disk.inject(first, Fault::Io);
                disk.inject(first + second, Fault::PowerCut);
                append(&mut core, &mut acknowledged, 14);
                if killed {
                    drop(core);
                    disk.kill();
                    disk.inject(second, Fault::PowerCut);
                    let Some((again, recovered)) = open(&disk) else {
                        disk.restart();
                        let (core, recovered) = open(&disk).expect("a healthy disk");
                        check(&recovered, &core, &acknowledged, &what);
                        continue;
                    };
                    check(&recovered, &again, &acknowledged, &what);
                    core = again;
                }
                for at in 15..=28 {
                    append(&mut core, &mut acknowledged, at);
                }
                drop(core);
                if disk.is_powered() {
                    disk.cut_power();
                }
                disk.restart();
                let (core, recovered) = open(&disk).expect("a healthy disk");
                check(&recovered, &core, &acknowledged, &what);
            }
        }
    }
}
