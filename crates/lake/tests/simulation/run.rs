//! One seed: a machine, some processes on it one after the other, and what happens to them.
//! Always: everything is drawn from the seed; the same seed makes the same run, to the same trace hash.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hw_event::{Ack, Seq, Timestamp};
use hw_gate::{Receipt, Refusal};
use hw_journal::Recovered;
use hw_lake::Turn;
use hw_testkit::{Fault, Random};

use crate::{
    cut::{self, Files},
    damage,
    oracle::{Fate, Oracle},
    workload::{CLIENTS, Identity, Kind, next_request},
    world::{Boot, World},
};

const CRASHES: u64 = 3;
const APPENDS_MIN: u64 = 500;
const RECYCLED_MIN: u64 = 2;
const COMMITS_MIN: u64 = 2;
/// Of the last process: so many times as many appends as it should need bring it to its end, or nothing does.
const LIVES_MAX: usize = 60;

/// What is done to the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockMode {
    /// It goes on, by milliseconds and sometimes by hours.
    Fair,
    /// At the crashes and in between it is set by so many microseconds, back and forth.
    Jumps(i64),
    /// It is set to these times, in turn.
    Set(i64, i64),
    Frozen,
}

/// What is to happen, beside what the seed says.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub clock: ClockMode,
    /// Faults of the seed's own choice.
    pub faults: bool,
    /// A fault at the n-th call of the journal's disk, or of the lake's.
    pub journal_fault: Option<(u64, Fault)>,
    pub lake_fault: Option<(u64, Fault)>,
    pub appends_min: u64,
}

impl Plan {
    pub fn of(seed: u64) -> Plan {
        Plan {
            seed,
            clock: ClockMode::Fair,
            faults: true,
            journal_fault: None,
            lake_fault: None,
            appends_min: APPENDS_MIN,
        }
    }
}

#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub appends: u64,
    pub crashes: u64,
    /// Times at which the journal had taken segments back since the last look: at least as many segments.
    pub recycled: u64,
    pub commits: u64,
    /// Times at which compaction had files for the committer.
    pub compactions: u64,
    pub faults: u64,
    /// Calls of the two disks that failed, for whatever reason.
    pub fired: u64,
    pub rows: u64,
    pub hash: u64,
    /// What the hash was made of.
    pub trail: Vec<u64>,
}

/// Who an answer is for.
#[derive(Debug, Clone, Copy)]
enum For {
    Request(usize),
    Probe { at: usize, other_body: bool },
}

type Answers = Arc<Mutex<Vec<(For, Result<Receipt, Refusal>)>>>;

struct Run {
    plan: Plan,
    random: Random,
    /// When tables are compacted: drawn apart, so that it changes nothing else.
    compaction: Random,
    world: World,
    oracle: Oracle,
    answers: Answers,
    files: Files,
    seen: Seen,
    /// The next sequence of each client.
    sequences: [i64; CLIENTS.len()],
    durable: Seq,
    /// The first append that was kept at the last look.
    first_kept: u64,
    /// Faults that had come to pass when the process started.
    lake_fired: u64,
    trouble: bool,
}

/// Runs a seed; panics where something is not as it must be.
pub fn run(plan: Plan) -> Seen {
    let mut random = Random::new(plan.seed ^ 0x5ee_d0f_a11);
    let world = World::new(plan.seed, &mut random);
    let mut run = Run {
        plan,
        random,
        compaction: Random::new(plan.seed ^ 0x00c0_4fac),
        world,
        oracle: Oracle::default(),
        answers: Answers::default(),
        files: Files::default(),
        seen: Seen::default(),
        sequences: [0; CLIENTS.len()],
        durable: Seq::ZERO,
        first_kept: 0,
        lake_fired: 0,
        trouble: false,
    };
    run.plan_faults();
    run.all();
    run.seen.fired = run.world.disk.fired() + run.world.lake_disk.fired();
    run.seen.hash = run.oracle.hash;
    run.seen.trail = std::mem::take(&mut run.oracle.trail);
    run.seen
}

impl Run {
    fn all(&mut self) {
        let quota = self.plan.appends_min / (CRASHES + 1) + 1;
        while self.seen.crashes < CRASHES {
            let Some(mut boot) = self.start() else { continue };
            self.live(&mut boot, quota);
            self.end(boot);
        }
        // The last process stops as one should.
        self.plan.faults = false;
        let mut boot = loop {
            if let Some(boot) = self.start() {
                break boot;
            }
        };
        let mut lives = 0;
        while !self.enough(&boot) {
            lives += 1;
            assert!(
                lives <= LIVES_MAX,
                "no fault comes any more, and appends do not go on: {:?}, {:?}, {:?}, {:?}",
                boot.follower.status(),
                boot.journal.usage(),
                boot.lake.faults(),
                self.seen,
            );
            self.live(&mut boot, quota);
            self.world.disk.clear_faults();
            self.commit(&mut boot);
            self.housekeeping(&mut boot);
        }
        boot.pump(usize::MAX);
        self.collect();
        self.look(&boot);
        boot.close();
        self.collect();
        damage::check_format(&self.world.disk);
        if self.plan.seed % 4 == 0 {
            damage::flip_bits(&self.world.disk, &mut self.random);
        }
        let planned = self.plan.journal_fault.is_some() || self.plan.lake_fault.is_some();
        // Even this one may be the start that the planned fault meets; the next is not.
        let boot = self.start().or_else(|| if planned { self.start() } else { None });
        let Some(boot) = boot else { panic!("the last start failed on a disk that works") };
        self.seen.appends = boot.log.durable().borrow().0;
        self.look(&boot);
    }

    /// The plan's own faults count the calls of all processes; a restart has forgotten them.
    fn plan_faults(&self) {
        if let Some((calls, fault)) = self.plan.journal_fault
            && calls > self.world.disk.calls()
        {
            self.world.disk.inject(calls - self.world.disk.calls(), fault);
        }
        if let Some((calls, fault)) = self.plan.lake_fault
            && calls > self.world.lake_disk.calls()
        {
            self.world.lake_disk.inject(calls - self.world.lake_disk.calls(), fault);
        }
    }

    fn enough(&self, boot: &Boot) -> bool {
        self.plan.appends_min == 0
            || (boot.log.durable().borrow().0 >= self.plan.appends_min
                && self.seen.recycled >= RECYCLED_MIN
                && self.seen.commits >= COMMITS_MIN)
    }

    /// Starts a process, and looks at what it found. `None`: it died, or the disk would not let it.
    fn start(&mut self) -> Option<Boot> {
        let first = self.seen.crashes == 0;
        if self.plan.faults && self.random.one_in(6) {
            self.world.disk.inject(1 + self.random.below(8), Fault::PowerCut);
        }
        if self.plan.faults && self.random.one_in(10) {
            self.world.lake_disk.inject(1 + self.random.below(3), Fault::PowerCut);
        }
        self.lake_fired = self.world.lake_disk.fired();
        self.trouble = false;
        let with_twin = first && self.random.one_in(4);
        match self.world.boot(with_twin) {
            Ok((mut boot, recovered)) => {
                if !self.is_alive() {
                    drop(boot);
                    self.crash();
                    return None;
                }
                self.recovered(&mut boot, &recovered);
                Some(boot)
            }
            Err(error) => {
                let alive = self.is_alive();
                let planned = self.plan.journal_fault.is_some() || self.plan.lake_fault.is_some();
                assert!(!alive || planned, "the process cannot start: {error}");
                if alive {
                    // A disk that failed once: the operator starts it again.
                    assert!(self.seen.faults < 8, "the process cannot start: {error}");
                    self.seen.faults += 1;
                    self.world.restart(false);
                    self.plan_faults();
                    self.oracle.crashed(false);
                } else {
                    self.crash();
                }
                None
            }
        }
    }

    fn recovered(&mut self, boot: &mut Boot, recovered: &Recovered) {
        assert_eq!(recovered.damage, vec![], "nothing was damaged");
        assert!(
            recovered.last >= self.durable,
            "the log was durable through {} and ends at {}",
            self.durable,
            recovered.last
        );
        self.durable = recovered.last;
        self.oracle.trace(recovered.last.0);
        self.oracle.trace(recovered.cut_bytes);
        self.oracle.trace(self.world.disk.calls());
        self.oracle.trace(self.world.lake_disk.calls());
        // A table that a call to the disk has kept from being opened gives errors, not fewer rows, until the next round opens it.
        let shut = |boot: &Boot| boot.lake.faults().iter().any(|fault| fault.out_of_service);
        if shut(boot) {
            self.commit(boot);
            assert!(
                !shut(boot) || !self.is_alive(),
                "the disk works again, and a table stays out of service"
            );
        }
        self.look(boot);
    }

    fn is_alive(&self) -> bool {
        self.world.disk.is_powered() && !self.world.lake_disk.is_dead()
    }

    /// A process at work, for about so many appends.
    fn live(&mut self, boot: &mut Boot, appends: u64) {
        let start = boot.log.durable().borrow().0;
        // A full journal takes nothing more until the lake has it.
        for step in 0..appends * 4 {
            let durable = *boot.log.durable().borrow();
            assert!(durable >= self.durable, "the log's durable end went back");
            self.durable = durable;
            if !self.is_alive() || durable.0 >= start + appends {
                return;
            }
            self.turn_clock();
            match self.random.below(240) {
                0 => self.commit(boot),
                1..12 => self.housekeeping(boot),
                12 => self.look(boot),
                13..29 => self.probe(boot),
                29..35 if self.plan.faults => self.inject(),
                _ => {
                    for _ in 0..1 + self.random.below(3) {
                        self.submit(boot);
                    }
                }
            }
            if !self.is_alive() {
                return;
            }
            boot.pump(if self.random.one_in(10) { 1 } else { usize::MAX });
            self.collect();
            if boot.twin.is_some() && step % 60 == 59 {
                self.commit(boot);
            }
            if step % 40 == 39 && boot.journal.usage().used_bytes * 2 > boot.journal.usage().budget_bytes {
                self.commit(boot);
            }
        }
    }

    fn turn_clock(&mut self) {
        let now = |run: &Run| hw_event::Clock::now(&*run.world.clock).0;
        match self.plan.clock {
            ClockMode::Fair if self.random.one_in(150) => {
                self.world.clock.advance(Duration::from_secs(3700));
            }
            ClockMode::Fair => self.world.clock.advance(Duration::from_millis(self.random.below(300))),
            ClockMode::Frozen => {}
            ClockMode::Jumps(by) => {
                self.world.clock.advance(Duration::from_millis(self.random.below(300)));
                if self.random.one_in(20) {
                    let by = if self.random.one_in(2) { by } else { -by };
                    self.world.clock.set(Timestamp(now(self).saturating_add(by)));
                }
            }
            ClockMode::Set(a, b) => {
                self.world.clock.advance(Duration::from_millis(self.random.below(300)));
                if self.random.one_in(20) {
                    self.world.clock.set(Timestamp(if self.random.one_in(2) { a } else { b }));
                }
            }
        }
    }

    fn inject(&mut self) {
        let fault = [Fault::Io, Fault::NoSpace][self.random.below(2) as usize];
        let calls = 1 + self.random.below(12);
        // A call fails alone; or the disk is full for a while.
        let times =
            if fault == Fault::NoSpace && self.random.one_in(3) { 1 + self.random.below(40) } else { 1 };
        let on_the_lake = self.random.one_in(3);
        for calls in calls..calls + times {
            if on_the_lake {
                self.world.lake_disk.inject(calls, fault);
            } else {
                self.world.disk.inject(calls, fault);
            }
        }
        self.trouble = true;
        self.seen.faults += 1;
    }

    fn submit(&mut self, boot: &Boot) {
        let client = self.random.below(CLIENTS.len() as u64) as usize;
        let at = match self.oracle.unresolved(client) {
            Some(at) if self.oracle.requests[at].fate == Fate::Waiting => return,
            Some(at) if CLIENTS[client].1 != Kind::Plain => {
                self.oracle.requests[at].fate = Fate::Waiting;
                at
            }
            _ => {
                let number = self.oracle.requests.len();
                let first = self.oracle.next_event();
                let request = next_request(&mut self.random, client, first, number, self.sequences[client]);
                self.sequences[client] += request.bad.len() as i64;
                self.oracle.add(request)
            }
        };
        let submission = self.oracle.requests[at].submission(at);
        self.send(boot, For::Request(at), submission);
    }

    fn send(&self, boot: &Boot, for_: For, submission: hw_gate::Submission) {
        let (gate, answers) = (boot.gate.clone(), self.answers.clone());
        let submitting = async move {
            let answer = gate.submit(submission).await;
            answers.lock().unwrap_or_else(PoisonError::into_inner).push((for_, answer));
        };
        boot.runtime.block_on(async { drop(tokio::spawn(submitting)) });
    }

    /// An old request again; or its key, with another body.
    fn probe(&mut self, boot: &Boot) {
        if self.oracle.requests.is_empty() {
            return;
        }
        let at = self.random.below(self.oracle.requests.len() as u64) as usize;
        let request = &self.oracle.requests[at];
        let known = request.seen || request.fate == Fate::Hard;
        if !known || request.identity == Identity::None {
            return;
        }
        let other_body = matches!(request.identity, Identity::Key(_)) && self.random.one_in(2);
        let mut again = self.oracle.requests[at].clone();
        again.ack = Ack::Disk;
        if other_body {
            again.filler += 1;
            if again.stream == crate::world::STRICT {
                again.first += 1;
            }
        }
        let mut submission = again.submission(at);
        submission.ack = Ack::Disk;
        self.send(boot, For::Probe { at, other_body }, submission);
    }

    fn collect(&mut self) {
        let answers = std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner));
        for (for_, answer) in answers {
            match for_ {
                For::Request(at) => self.oracle.answer(at, &answer),
                For::Probe { at, other_body } => self.oracle.probed(at, other_body, &answer),
            }
        }
    }

    /// Everything that is durable goes to the lake. Ends early where the machine does.
    fn commit(&mut self, boot: &mut Boot) {
        if self.plan.faults && self.random.one_in(4) {
            self.world.lake_disk.inject(1 + self.random.below(20), Fault::PowerCut);
        }
        for handle in [Some(&boot.follower), boot.twin.as_ref()].into_iter().flatten() {
            let mut died = self.world.lake_disk.died();
            let mut status = handle.watch();
            boot.runtime.block_on(async {
                let commit = handle.commit_now();
                tokio::pin!(commit);
                loop {
                    let errors = status.borrow().errors;
                    tokio::select! {
                        biased;
                        _ = died.wait_for(|died| *died) => break,
                        _ = &mut commit => break,
                        // It waits before it tries again: no need to wait with it.
                        _ = status.wait_for(|status| status.errors > errors) => {}
                    }
                    tokio::time::advance(Duration::from_secs(60)).await;
                }
            });
        }
        self.seen.commits += u64::from(boot.follower.status().commits > 0 && self.is_alive());
        self.oracle.trace(self.world.lake_disk.calls());
        if self.is_alive() && self.compaction.one_in(2) {
            self.compact(boot);
        }
    }

    /// Some turns of compaction. What it has made ready waits for the next commit, which may never come, or come at once.
    fn compact(&mut self, boot: &mut Boot) {
        if self.plan.faults && self.compaction.one_in(5) {
            self.world.lake_disk.inject(1 + self.compaction.below(12), Fault::PowerCut);
        }
        for _ in 0..1 + self.compaction.below(3) {
            let turn = boot.compactor.turn(false, &mut |_| true);
            self.oracle.trace(self.world.lake_disk.calls());
            if let Turn::Offered(_) = turn {
                self.seen.compactions += 1;
            }
        }
        if self.is_alive() && self.compaction.one_in(2) {
            self.commit(boot);
        }
    }

    fn housekeeping(&mut self, boot: &mut Boot) {
        for _ in 0..1 + self.random.below(4) {
            let driver = &mut boot.driver;
            if !boot.runtime.block_on(async { driver.tidy() }) {
                break;
            }
        }
        let gone = boot.log.first_kept().0;
        if gone > self.first_kept {
            self.seen.recycled += 1;
            self.first_kept = gone;
        }
    }

    fn look(&mut self, boot: &Boot) {
        if !self.is_alive() {
            return;
        }
        let cut = cut::take(&self.world, boot, &mut self.files);
        cut::check_positions(&self.world, &cut);
        self.oracle.check(&cut, &boot.seal_keys);
        self.seen.rows = cut.rows.iter().map(|rows| rows.len() as u64).sum();
    }

    /// The process ends, in one of the ways in which processes end.
    fn end(&mut self, mut boot: Boot) {
        if self.is_alive() {
            for _ in 0..self.random.below(3) {
                self.submit(&boot);
            }
            match self.random.below(4) {
                0 => {
                    // In the middle of a write or a sync.
                    self.world.disk.inject(1 + self.random.below(3), Fault::PowerCut);
                    boot.pump(3);
                }
                1 => drop(boot.pump(1)),
                _ => {}
            }
            self.collect();
        }
        self.durable = self.durable.max(*boot.log.durable().borrow());
        drop(boot);
        self.crash();
    }

    fn crash(&mut self) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        // Where a disk died in the middle of a call, the process may have died alone; not where the power is off.
        let died_in_lake = self.world.lake_disk.is_dead();
        let power_cut =
            if died_in_lake || self.world.disk.is_powered() { self.random.one_in(2) } else { true };
        let planned = self.plan.journal_fault.is_some() || self.plan.lake_fault.is_some();
        let trouble =
            self.trouble || planned || died_in_lake || self.world.lake_disk.fired() > self.lake_fired;
        self.oracle.crashed(!power_cut && !trouble);
        self.world.restart(power_cut);
        self.plan_faults();
        self.files.forget();
        self.seen.crashes += 1;
    }
}
