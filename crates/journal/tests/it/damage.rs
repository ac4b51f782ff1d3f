//! One flipped bit anywhere: the journal opens or says why not, and never tells a wrong byte or loses an append
//! without naming it. `HW_ROUNDS` sets how many bits are tried, `HW_SEED` which.

use std::{collections::HashSet, sync::Arc};

use hw_event::{Seq, Timestamp};
use hw_journal::{Core, Damage, Log, OpenError, ReadError};
use hw_testkit::{ManualClock, Random, SeededEntropy, SimDisk, rounds_from_env, seed_from_env};

use crate::model::{Generator, Model, small};

const FLIPS: u64 = 1500;

fn open(disk: &SimDisk) -> Result<(Core, hw_journal::Recovered), OpenError> {
    let clock = Arc::new(ManualClock::new(Timestamp(5)));
    Core::open(Arc::new(disk.clone()), clock, &SeededEntropy::new(9), small())
}

/// A journal of several sealed segments and an open one, closed cleanly.
fn journal() -> (SimDisk, Model) {
    let disk = SimDisk::new(4);
    let mut generator = Generator::new(4);
    let mut model = Model::default();
    let (mut core, _) = open(&disk).expect("a new journal");
    while disk.file_names().iter().filter(|name| name.ends_with(".seg")).count() < 4 {
        let group: Vec<_> = (0..3).map(|_| generator.append(Timestamp(5))).collect();
        core.write(group.clone()).and_then(|()| core.flush()).expect("the disk works");
        model.appends.extend(group);
    }
    core.close();
    (disk, model)
}

#[test]
fn no_flipped_bit_is_believed() {
    let seed = seed_from_env(11);
    let flips = rounds_from_env(FLIPS);
    println!("HW_SEED={seed} HW_ROUNDS={flips}");
    let mut random = Random::new(seed);
    let (pristine, model) = journal();
    let files = pristine.file_names();
    let (mut refused, mut named) = (0, 0);
    for flip in 0..flips {
        let name = &files[random.below(files.len() as u64) as usize];
        let bytes = pristine.contents(name).expect("it is there").len() as u64;
        // Every other one hits a header, a snapshot or the first frames, where a bit weighs most.
        let bit = random.below(8 * if flip % 2 == 0 { bytes } else { bytes.min(24 * 1024) });
        let disk = pristine.fork(flip);
        disk.flip_bit(name, bit);
        match open(&disk) {
            Err(OpenError::NoHeader { .. } | OpenError::NoSnapshot { .. }) => refused += 1,
            Err(error) => panic!("{name} bit {bit}: {error}"),
            Ok((core, recovered)) => {
                let context = format!("{name} bit {bit}: {:?}", recovered.damage);
                named += u64::from(!recovered.damage.is_empty());
                check(core.log().as_ref(), &model, &recovered.damage, &context);
                assert!(recovered.last >= model.last(), "{context}");
                let known = model.next_offsets();
                assert!(known.iter().all(|(of, next)| recovered.next_offsets[of] >= *next), "{context}");
                if recovered.damage.is_empty() {
                    assert_eq!(recovered.next_offsets, known, "{context}");
                    assert_eq!(recovered.positions, model.positions(), "{context}");
                    assert_eq!(recovered.keys, model.keys(Seq::ZERO), "{context}");
                }
            }
        }
    }
    println!("refused {refused}, damage named at start {named}, of {flips}");
    assert_eq!(refused, 0, "header and snapshot stand twice: one bit cannot take both");
    assert!(named > 0);
}

/// Every append is there as it was, or named as damaged.
fn check(log: &dyn Log, model: &Model, damage: &[Damage], context: &str) {
    let mut found = HashSet::new();
    let mut after = Seq(log.first_kept().0 - 1);
    while after < model.last() {
        match log.read(after, 1 << 20) {
            Ok(appends) => {
                let Some(last) = appends.last() else { break };
                after = last.seq;
                for stored in appends {
                    assert_eq!(&stored.append, model.get(stored.seq), "{context}");
                    found.insert(stored.seq);
                }
            }
            Err(ReadError::Damaged { .. }) => {
                after = after.next();
                found.insert(after);
            }
            Err(error) => panic!("{context}: {error}"),
        }
    }
    for damage in damage {
        if let Some((first, last)) = damage.seqs {
            found.extend((first.0..=last.0).map(Seq));
        }
    }
    for seq in 1..=model.last().0 {
        assert!(found.contains(&Seq(seq)), "append {seq} is gone without a word; {context}");
    }
}

#[test]
fn many_flipped_bits_never_panic() {
    let seed = seed_from_env(12);
    println!("HW_SEED={seed}");
    let mut random = Random::new(seed);
    let (pristine, model) = journal();
    let files = pristine.file_names();
    for round in 0..rounds_from_env(200) {
        let disk = pristine.fork(round);
        for _ in 0..1 + random.below(200) {
            let name = &files[random.below(files.len() as u64) as usize];
            let bytes = pristine.contents(name).expect("it is there").len() as u64;
            disk.flip_bit(name, random.below(8 * bytes));
        }
        if let Ok((core, recovered)) = open(&disk) {
            let log = core.log();
            let mut after = Seq(log.first_kept().0 - 1);
            while after < recovered.last {
                match log.read(after, 1 << 20) {
                    Ok(appends) if appends.is_empty() => break,
                    Ok(appends) => {
                        for stored in &appends {
                            assert_eq!(&stored.append, model.get(stored.seq));
                        }
                        after = appends[appends.len() - 1].seq;
                    }
                    Err(_) => after = after.next(),
                }
            }
        }
    }
}
