//! A journal that crashes all the time, against a model. Everything is drawn from one seed:
//! `HW_SEED=n HW_ROUNDS=n cargo test -p hw-journal --test it simulation` repeats or extends a run.
//!
//! Checked after every crash: each append that was acknowledged as durable is there, byte for byte; nothing is there
//! that was never appended, and nothing in part; offsets, positions and keys are what the model computes; an append
//! that was refused does not come back once a newer segment is open.

use std::{sync::Arc, time::Duration};

use hw_event::{Seq, StreamId, Timestamp};
use hw_journal::{Append, BlockKind, BlockRef, Core, Log, ReadError, Recovered};
use hw_testkit::{Fault, ManualClock, Random, SeededEntropy, SimDisk, rounds_from_env, seed_from_env};

use crate::model::{Generator, Model, small};

const SEEDS: u64 = 25;
const CRASHES_A_SEED: u64 = 40;
const LEASES_MAX: usize = 6;

#[test]
fn what_was_acknowledged_survives_every_crash() {
    let seed = seed_from_env(0x5eed);
    let rounds = rounds_from_env(SEEDS);
    let mut seen = Seen::default();
    for round in 0..rounds {
        let seed = seed + round;
        println!("HW_SEED={seed} HW_ROUNDS=1");
        Simulation::new(seed).run(&mut seen);
    }
    println!("{seen:?}");
    if rounds >= SEEDS {
        // The simulation itself must not fall asleep: each of these has to happen.
        assert!(seen.crashes >= 200, "{seen:?}");
        let all = [
            seen.kills,
            seen.refused,
            seen.healed,
            seen.unacknowledged_kept,
            seen.recycled,
            seen.crashed_in_open,
        ];
        assert!(all.iter().all(|count| *count > 0), "{seen:?}");
    }
}

#[derive(Debug, Default)]
struct Seen {
    crashes: u64,
    kills: u64,
    crashed_in_open: u64,
    appends: u64,
    /// Groups that failed on a disk that had power.
    refused: u64,
    /// Failures after which a new segment was open at once.
    healed: u64,
    /// Crashes after which an append was there that nobody had acknowledged.
    unacknowledged_kept: u64,
    recycled: u64,
}

struct Simulation {
    random: Random,
    generator: Generator,
    disk: SimDisk,
    clock: Arc<ManualClock>,
    entropy: SeededEntropy,
    model: Model,
    /// Groups of which one may be in the log after the next crash, from its first append to any: what was
    /// written and not acknowledged, or refused while no newer segment could be opened.
    maybe: Vec<Vec<Append>>,
    /// The last of them was written, and the process alone will die: it must be there.
    written: bool,
    keys_released: Seq,
    released: Seq,
    boot_epoch: u64,
    leases: Vec<BlockRef>,
}

impl Simulation {
    fn new(seed: u64) -> Simulation {
        Simulation {
            random: Random::new(seed),
            generator: Generator::new(seed ^ 1),
            disk: SimDisk::new(seed ^ 2),
            clock: Arc::new(ManualClock::new(Timestamp(1_000_000))),
            entropy: SeededEntropy::new(seed ^ 3),
            model: Model::default(),
            maybe: Vec::new(),
            written: false,
            keys_released: Seq::ZERO,
            released: Seq::ZERO,
            boot_epoch: 0,
            leases: Vec::new(),
        }
    }

    fn run(&mut self, seen: &mut Seen) {
        for _ in 0..CRASHES_A_SEED {
            if self.random.one_in(4) {
                self.disk.inject(1 + self.random.below(8), Fault::PowerCut);
            }
            let opened = Core::open(Arc::new(self.disk.clone()), self.clock.clone(), &self.entropy, small());
            let (mut core, recovered) = match opened {
                Ok(opened) => opened,
                Err(error) => {
                    assert!(!self.disk.is_powered(), "cannot open: {error}");
                    self.disk.restart();
                    seen.crashes += 1;
                    seen.crashed_in_open += 1;
                    self.written = false;
                    continue;
                }
            };
            self.check_recovered(&core, &recovered, seen);
            self.check_log(&core);
            self.live(&mut core, seen);
            self.leases.clear();
            if self.disk.is_powered() && self.random.one_in(5) {
                // The process dies, the machine lives on.
                self.disk.kill();
                seen.kills += 1;
            } else {
                self.written = false;
                self.disk.crash();
                seen.crashes += 1;
            }
        }
    }

    fn live(&mut self, core: &mut Core, seen: &mut Seen) {
        for _ in 0..self.random.below(3) {
            let fault = if self.random.one_in(2) { Fault::Io } else { Fault::NoSpace };
            self.disk.inject(1 + self.random.below(60), fault);
        }
        if self.random.one_in(2) {
            self.disk.inject(1 + self.random.below(120), Fault::PowerCut);
        }
        let log = core.log();
        for _ in 0..1 + self.random.below(60) {
            if !self.disk.is_powered() {
                return;
            }
            self.clock.advance(Duration::from_millis(self.random.below(400)));
            match self.random.below(10) {
                0 => {
                    self.released = self.released.max(Seq(self.random.below(self.model.last().0 + 1)));
                    log.release(self.released);
                }
                1 if self.random.one_in(3) => {
                    let through = Seq(self.random.below(self.model.last().0 + 1));
                    self.keys_released = self.keys_released.max(through);
                    core.release_keys(through);
                }
                2 => {
                    core.tidy();
                    if core.failure().is_none() && !self.maybe.is_empty() {
                        self.maybe.clear();
                    }
                }
                3 => self.take_leases(log.as_ref()),
                4 => self.check_leases(log.as_ref()),
                _ if !self.append(core, seen) => return,
                _ => {}
            }
        }
        if self.disk.is_powered() {
            self.check_leases(log.as_ref());
            seen.recycled += u64::from(log.first_kept() > Seq(1));
        }
    }

    /// Returns whether the process lives on.
    fn append(&mut self, core: &mut Core, seen: &mut Seen) -> bool {
        let now = Timestamp(self.boot_epoch as i64);
        let group: Vec<Append> = (0..1 + self.random.below(4)).map(|_| self.generator.append(now)).collect();
        let mut outcome = core.write(group.clone());
        self.written = outcome.is_ok();
        if outcome.is_ok() && self.random.one_in(40) {
            // Here the process may end, between the write and the sync.
            self.maybe = vec![group];
            if self.random.one_in(2) {
                self.disk.inject(1, Fault::PowerCut);
                let _ = core.flush();
            }
            return false;
        }
        outcome = outcome.and_then(|()| core.flush().map(|_| ()));
        match outcome {
            Ok(()) => {
                seen.appends += group.len() as u64;
                self.model.appends.extend(group);
                self.maybe.clear();
                self.written = false;
                assert_eq!(core.last(), self.model.last());
            }
            Err(_) => {
                if self.disk.is_powered() {
                    seen.refused += 1;
                    self.written = false;
                }
                if core.failure().is_none() && self.disk.is_powered() {
                    // A newer segment is open: what was refused must never come back.
                    seen.healed += 1;
                    self.maybe.clear();
                } else {
                    self.maybe.push(group);
                }
            }
        }
        true
    }

    fn check_recovered(&mut self, core: &Core, recovered: &Recovered, seen: &mut Seen) {
        assert_eq!(recovered.damage, vec![], "nothing was damaged");
        assert!(recovered.boot_epoch > self.boot_epoch, "an epoch came twice");
        self.boot_epoch = recovered.boot_epoch;
        assert!(recovered.last >= self.model.last(), "acknowledged appends are gone");
        let extra: Vec<Append> = if recovered.last == self.model.last() {
            Vec::new()
        } else {
            let read = core.log().read(self.model.last(), usize::MAX).expect("what is kept can be read");
            read.into_iter().map(|stored| stored.append).collect()
        };
        assert!(
            extra.is_empty() || self.maybe.iter().any(|group| group.starts_with(&extra)),
            "{} appends are there that were never made, or were refused for good",
            extra.len()
        );
        if std::mem::take(&mut self.written) {
            assert_eq!(Some(&extra), self.maybe.last(), "a written append did not survive the process");
        }
        seen.unacknowledged_kept += u64::from(!extra.is_empty());
        self.model.appends.extend(extra);
        self.maybe.clear();
        assert_eq!(recovered.last, self.model.last());
        assert_eq!(recovered.next_offsets, self.model.next_offsets());
        assert_eq!(recovered.positions, self.model.positions());
        // Released keys may still be there; no other may be missing, and none may be invented.
        let all = self.model.keys(Seq::ZERO);
        assert!(recovered.keys.iter().all(|key| all.contains(key)));
        let (live, model) = (
            recovered.keys.iter().filter(|(seq, _)| *seq > self.keys_released),
            self.model.keys(self.keys_released),
        );
        assert_eq!(live.cloned().collect::<Vec<_>>(), model);
        self.generator.resume(recovered);
    }

    /// Everything that is kept equals the model; what was not released is kept.
    fn check_log(&mut self, core: &Core) {
        let log = core.log();
        let first = log.first_kept();
        assert!(first <= self.released.next(), "{first} is the first kept, {} was released", self.released);
        if first > Seq(1) {
            assert!(matches!(log.read(Seq(first.0 - 2), 1), Err(ReadError::Gone { .. })));
        }
        let mut after = Seq(first.0 - 1);
        let bytes_max = self.random.below(100_000) as usize;
        loop {
            let appends = log.read(after, bytes_max).expect("what is kept can be read");
            let Some(last) = appends.last() else { break };
            let last = last.seq;
            for stored in appends {
                assert_eq!(stored.seq, after.next(), "no number is left out");
                after = stored.seq;
                assert_eq!(&stored.append, self.model.get(stored.seq), "append {}", stored.seq);
            }
            assert_eq!(after, last);
        }
        assert_eq!(after, self.model.last());
        for stream in 1..=3 {
            self.check_blocks(log.as_ref(), StreamId(stream), first);
        }
    }

    fn check_blocks(&self, log: &dyn Log, stream: StreamId, first: Seq) {
        for kind in [BlockKind::Rows, BlockKind::Rejects, BlockKind::Opaque, BlockKind::Control] {
            let blocks = log.blocks(stream, kind, Seq(first.0 - 1), Seq(u64::MAX)).expect("kept");
            let mut blocks = blocks.iter();
            for seq in first.0..=self.model.last().0 {
                let append = self.model.get(Seq(seq));
                let wanted =
                    |block: &&hw_journal::Block| block.header.stream == stream && block.header.kind == kind;
                for expected in append.blocks.iter().filter(wanted) {
                    let block = blocks.next().expect("every block has its reference");
                    assert_eq!((block.seq.0, block.received_at), (seq, append.received_at));
                    assert_eq!(&block.with_body(log.read_block(block).expect("it can be read")), expected);
                }
            }
            assert!(blocks.next().is_none(), "a block that never was");
        }
    }

    fn take_leases(&mut self, log: &dyn Log) {
        let stream = StreamId(1 + self.random.below(3));
        let after = Seq(log.first_kept().0 - 1);
        let blocks = log.blocks(stream, BlockKind::Rows, after, Seq(u64::MAX)).expect("kept");
        self.leases.extend(blocks.into_iter().take(2));
        if self.leases.len() > LEASES_MAX {
            self.leases.drain(..2);
        }
    }

    /// A lease outlives release and recycling.
    fn check_leases(&self, log: &dyn Log) {
        for lease in &self.leases {
            let block = lease.with_body(log.read_block(lease).expect("a leased block stays readable"));
            assert!(self.model.get(lease.seq).blocks.contains(&block));
        }
    }
}
