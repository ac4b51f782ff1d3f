//! One flipped bit or one missing end anywhere: the journal opens or says why not, and never tells a wrong byte or loses
//! an append without naming it. `HW_ROUNDS` sets how many bits are tried, `HW_SEED` which; `HW_STRIDE=1` tries every bit
//! and every length of one segment.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use hw_event::{Seq, Timestamp};
use hw_journal::{Core, Damage, Log, OpenError, ReadError, check_disk};
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
    // Of an end that is missing nobody can tell what stood in it.
    let end_missing =
        damage.iter().any(|damage| damage.seqs.is_none() && damage.reason.contains("end of the file"));
    let last = if end_missing { after } else { model.last() };
    for seq in 1..=last.0 {
        assert!(found.contains(&Seq(seq)), "append {seq} is gone without a word; {context}");
    }
}

/// Which of all bits and lengths of a segment are tried; prime to the bits of a word and to a page.
const STRIDE: u64 = 211;

/// How many opens there were of each kind.
#[derive(Default)]
struct Outcomes {
    refused: AtomicU64,
    named: AtomicU64,
    harmless: AtomicU64,
}

impl Outcomes {
    /// Opens what somebody harmed: refused by name, or every append is there or named.
    fn try_one(&self, disk: &SimDisk, model: &Model, context: &str) {
        match open(disk) {
            Err(error) => {
                assert!(error.to_string().contains(".seg"), "{context}: {error}");
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
            Ok((core, recovered)) => {
                check(core.log().as_ref(), model, &recovered.damage, context);
                let kind = if recovered.damage.is_empty() { &self.harmless } else { &self.named };
                kind.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl std::fmt::Display for Outcomes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [refused, named, harmless] =
            [&self.refused, &self.named, &self.harmless].map(|count| count.load(Ordering::Relaxed));
        write!(
            f,
            "{} opens: {named} named at start, {harmless} harmless there, {refused} refused",
            refused + named + harmless
        )
    }
}

/// Every bit and every length of a sealed segment in the middle, of the newest sealed one and of the open one.
#[test]
fn every_bit_and_every_length_of_a_segment() {
    let stride = std::env::var("HW_STRIDE").ok().and_then(|text| text.parse().ok()).unwrap_or(STRIDE);
    println!("HW_STRIDE={stride}");
    let (pristine, model) = journal();
    let segments: Vec<String> =
        pristine.file_names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    let middle = segments.len() - 3;
    for (name, kind) in segments[middle..].iter().zip(["sealed", "newest sealed", "open"]) {
        let contents = pristine.contents(name).expect("it is there");
        let bytes = contents.len() as u64;
        let (bits, lengths) = (Outcomes::default(), Outcomes::default());
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        thread::scope(|scope| {
            for part in 0..threads {
                let (pristine, model, contents, bits, lengths) =
                    (pristine.fork(part), &model, &contents, &bits, &lengths);
                scope.spawn(move || {
                    let step = (stride * threads) as usize;
                    for bit in (part * stride..8 * bytes).step_by(step) {
                        let disk = pristine.fork(bit);
                        disk.flip_bit(name, bit);
                        bits.try_one(&disk, model, &format!("{name} bit {bit}"));
                    }
                    for length in (part * stride..bytes).step_by(step) {
                        let disk = pristine.fork(length);
                        disk.put(name, &contents[..length as usize]);
                        lengths.try_one(&disk, model, &format!("{name} cut to {length} bytes"));
                    }
                });
            }
        });
        println!("{kind} segment of {bytes} bytes, bits: {bits}; lengths: {lengths}");
        assert_eq!(bits.refused.load(Ordering::Relaxed), 0, "one bit never stops the start");
        assert!(bits.named.load(Ordering::Relaxed) > 0 && lengths.named.load(Ordering::Relaxed) > 0);
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

/// The scrubber's look at a journal that nobody has open: what it does not name can be read.
#[test]
fn a_check_names_every_flipped_bit_that_matters() {
    let seed = seed_from_env(13);
    println!("HW_SEED={seed}");
    let mut random = Random::new(seed);
    let (pristine, model) = journal();
    let segments: Vec<_> = pristine.file_names().into_iter().filter(|name| name.ends_with(".seg")).collect();
    let mut bytes_read = 0;
    assert_eq!(check_disk(&pristine, &mut |bytes| bytes_read += bytes).expect("it can be read"), []);
    assert!(bytes_read > 64 * 1024, "{bytes_read} bytes");
    let mut named = 0;
    for round in 0..200 {
        let name = &segments[random.below(segments.len() as u64) as usize];
        let bytes = pristine.contents(name).expect("it is there").len() as u64;
        let disk = pristine.fork(round);
        let bit = random.below(bytes * 8);
        disk.flip_bit(name, bit);
        let context = format!("{name} bit {bit}");
        let damaged = disk.contents(name);
        let found = check_disk(&disk, &mut |_| {}).expect("it can be read");
        assert_eq!(disk.contents(name), damaged, "{context}: a check writes nothing");
        if found.is_empty() {
            let log = open(&disk).expect("it opens").0.log();
            let mut after = Seq(0);
            while after < model.last() {
                let appends = log.read(after, 1 << 20).unwrap_or_else(|error| panic!("{context}: {error}"));
                after = appends.last().expect("there is more").seq;
                appends
                    .iter()
                    .for_each(|stored| assert_eq!(&stored.append, model.get(stored.seq), "{context}"));
            }
        } else {
            assert!(found.iter().all(|damage| &damage.file == name), "{context}: {found:?}");
            let covers = |damage: &Damage| (damage.start..damage.end).contains(&(bit / 8));
            assert!(found.iter().any(covers), "{context}: {found:?}");
            named += 1;
        }
    }
    println!("{named} of 200 named");
    assert!(named > 100, "{named}");
}
