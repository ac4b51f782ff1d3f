//! The whole chain in one seeded thread: the real journal, gate, pipeline and committer over disks that lose power, tear,
//! reorder and fail, and a clock that a test turns. An oracle outside of it knows every request and what was promised.
//! `HW_SEED=n HW_ROUNDS=n cargo test -p hw-lake --test simulation simulation_seeds -- --nocapture` repeats or extends a run.
//!
//! A seed is at least 500 appends, 3 crashes, 2 recycled segments and 2 commits. The lake's files are real ones in
//! memory; what a power cut takes from them is decided by what was synced.

mod cut;
mod damage;
mod lake_disk;
mod oracle;
mod run;
mod workload;
mod world;

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, Once, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hw_event::sabotage::{self, Bug};
use hw_testkit::{Fault, rounds_from_env, seed_from_env};

use crate::{
    run::{ClockMode, Plan, Seen, run},
    world::START,
};

// As in the product; a quarter of a seed's time went into the system's.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const THREADS: usize = 2;
/// The time in CI for seeds without a bug; `HW_ROUNDS` sets a number instead.
const CI_TIME: Duration = Duration::from_secs(60);
/// Seeds that CI tries for one bug; `HW_ROUNDS=10000` is the promise.
const SEARCH_MAX: u64 = 500;

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static QUIET: RefCell<bool> = const { RefCell::new(false) };
}

/// Runs one plan; `Err` says what was not as it must be. The message is kept, not printed: a planted bug is meant to
/// make one.
fn attempt(plan: Plan, bug: Option<Bug>) -> Result<Seen, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let quiet = QUIET.with_borrow(|quiet| *quiet);
            if quiet {
                LAST_PANIC.with_borrow_mut(|last| {
                    if last.is_empty() {
                        *last = info.to_string();
                    }
                });
            } else {
                before(info);
            }
        }));
    });
    LAST_PANIC.with_borrow_mut(String::clear);
    QUIET.set(true);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _armed = bug.map(sabotage::arm);
        run(plan)
    }));
    QUIET.set(false);
    let said = LAST_PANIC.take();
    match outcome {
        Ok(seen) if said.is_empty() => Ok(seen),
        // A task of the process panicked, and nobody noticed.
        _ => Err(said.replace('\n', " ")),
    }
}

/// Runs plans on some threads until `next` gives no more. Returns the sums, and the failures with their plans. A failure
/// that nobody planted is printed as it comes: a long run that is ended by hand must have said what it found.
fn run_all(
    next: impl Fn() -> Option<(Plan, Option<Bug>)> + Sync,
    stop_at_failure: bool,
) -> (Sums, Vec<(Plan, String)>) {
    let sums = Mutex::new(Sums::default());
    let failures = Mutex::new(Vec::new());
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst)
                    && let Some((plan, bug)) = next()
                {
                    match attempt(plan, bug) {
                        Ok(seen) => sums.lock().unwrap_or_else(PoisonError::into_inner).add(&seen),
                        Err(failure) => {
                            if bug.is_none() {
                                println!("{}\n  {failure}\n  {plan:?}", repeats(&plan));
                            }
                            failures.lock().unwrap_or_else(PoisonError::into_inner).push((plan, failure));
                            stop.store(stop_at_failure, Ordering::SeqCst);
                        }
                    }
                }
            });
        }
    });
    let sums = sums.into_inner().unwrap_or_else(PoisonError::into_inner);
    let mut failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    failures.sort_by_key(|(plan, _)| plan.seed);
    (sums, failures)
}

#[derive(Debug, Default)]
struct Sums {
    seeds: u64,
    appends: u64,
    crashes: u64,
    recycled: u64,
    commits: u64,
    compactions: u64,
    faults: u64,
    fired: u64,
    rows: u64,
    /// The fewest of a seed.
    appends_min: Option<u64>,
    crashes_min: Option<u64>,
    recycled_min: Option<u64>,
    commits_min: Option<u64>,
}

impl Sums {
    fn add(&mut self, seen: &Seen) {
        self.seeds += 1;
        self.appends += seen.appends;
        self.crashes += seen.crashes;
        self.recycled += seen.recycled;
        self.commits += seen.commits;
        self.compactions += seen.compactions;
        self.faults += seen.faults;
        self.fired += seen.fired;
        self.rows += seen.rows;
        let least = |min: &mut Option<u64>, value: u64| *min = Some(min.map_or(value, |min| min.min(value)));
        least(&mut self.appends_min, seen.appends);
        least(&mut self.crashes_min, seen.crashes);
        least(&mut self.recycled_min, seen.recycled);
        least(&mut self.commits_min, seen.commits);
    }

    fn summary(&self, failures: usize, took: Duration) -> String {
        format!(
            "{{\"seeds\":{},\"appends\":{},\"crashes\":{},\"recycled\":{},\"commits\":{},\"compactions\":{},\"faults\":{},\"fired\":{},\"rows\":{},\
             \"failures\":{failures},\"seconds\":{:.0},\"seeds_per_second\":{:.1}}}",
            self.seeds,
            self.appends,
            self.crashes,
            self.recycled,
            self.commits,
            self.compactions,
            self.faults,
            self.fired,
            self.rows,
            took.as_secs_f64(),
            self.seeds as f64 / took.as_secs_f64()
        )
    }
}

/// The command that runs a plan again; a clock that a test sets is not in it and stands in the plan.
fn repeats(plan: &Plan) -> String {
    let (variables, test) = match (plan.journal_fault, plan.lake_fault) {
        (Some((call, kind)), _) => (format!("HW_FAULT='journal {call} {kind:?}'"), "faults_at"),
        (None, Some((call, kind))) => (format!("HW_FAULT='lake {call} {kind:?}'"), "faults_at"),
        (None, None) => ("HW_ROUNDS=1".to_owned(), "simulation_seeds"),
    };
    format!("HW_SEED={} {variables} cargo test -p hw-lake --test simulation {test} -- --nocapture", plan.seed)
}

#[test]
fn simulation_seeds() {
    let began = Instant::now();
    let first = seed_from_env(1);
    let rounds = rounds_from_env(0);
    println!("HW_SEED={first} HW_ROUNDS={rounds}");
    let next_seed = AtomicU64::new(first);
    let next = || {
        let seed = next_seed.fetch_add(1, Ordering::SeqCst);
        if (seed - first).is_multiple_of(1000) && seed > first {
            println!("seed {seed} after {:.0} s", began.elapsed().as_secs_f64());
        }
        let more = if rounds > 0 { seed - first < rounds } else { began.elapsed() < CI_TIME };
        more.then(|| (Plan::of(seed), None))
    };
    let (sums, failures) = run_all(next, false);
    println!("{}", sums.summary(failures.len(), began.elapsed()));
    assert!(failures.is_empty(), "{} seeds failed", failures.len());
    let least = (sums.appends_min, sums.crashes_min, sums.recycled_min, sums.commits_min);
    assert!(least >= (Some(500), Some(3), Some(2), Some(2)), "a seed was too easy: {least:?}");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = seed_from_env(1);
    for seed in first..first + rounds_from_env(6).min(50) {
        let (one, two) = (attempt(Plan::of(seed), None), attempt(Plan::of(seed), None));
        match (one, two) {
            (Ok(one), Ok(two)) => {
                let differs = one.trail.iter().zip(&two.trail).position(|(one, two)| one != two);
                let around = |trail: &[u64]| {
                    differs.map(|at| trail[at.saturating_sub(8)..trail.len().min(at + 8)].to_vec())
                };
                assert_eq!(
                    one.hash,
                    two.hash,
                    "HW_SEED={seed}: value {differs:?} differs: {:?} {:?}",
                    around(&one.trail),
                    around(&two.trail)
                );
                println!("seed {seed}: {:016x}", one.hash);
            }
            (one, two) => panic!("HW_SEED={seed}: {one:?} {two:?}"),
        }
    }
}

/// A seed that finds the bug, so that CI need not search; a change of the workload makes it search again.
fn known_to_find(bug: Bug) -> u64 {
    match bug {
        Bug::CrcUnchecked => 4,
        Bug::DamageCutAsTail => 8,
        Bug::StaleSecondCommitter => 3,
        Bug::NoDirectorySync => 310,
        Bug::RecycleBeforeLakeSync => 5,
        Bug::CompactedUnsynced => 9,
        Bug::RenameBeforeSync => 35,
        _ => 1,
    }
}

/// Each bug alone, from a seed on until one finds it: from 1 where `HW_ROUNDS` says how many may be tried.
#[test]
fn every_sabotage_is_found() {
    let only = std::env::var("HW_BUG").ok();
    let rounds = rounds_from_env(0);
    let cap = if rounds > 0 { rounds } else { SEARCH_MAX };
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        if only.as_ref().is_some_and(|only| *only != format!("{bug:?}")) {
            continue;
        }
        let began = Instant::now();
        let first = if rounds > 0 { 1 } else { known_to_find(bug) };
        let next_seed = AtomicU64::new(first);
        let next = || {
            let seed = next_seed.fetch_add(1, Ordering::SeqCst);
            (seed < first + cap).then(|| (Plan::of(seed), Some(bug)))
        };
        let (_, failures) = run_all(next, true);
        let took = began.elapsed().as_secs_f64();
        match failures.first() {
            Some((plan, failure)) => {
                // The beginning says what it is; whole appends may follow.
                let short: String = failure.chars().take(240).collect();
                println!("{bug:?}: seed {} ({took:.1} s): {short}", plan.seed);
            }
            None => {
                println!("{bug:?}: not found in {cap} seeds ({took:.1} s)");
                missed.push(bug);
            }
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}

/// An error, and a full disk, at the n-th call of the journal's disk and of the lake's.
#[test]
fn faults_at_the_nth_call() {
    let began = Instant::now();
    let seed = seed_from_env(1);
    if let Ok(one) = std::env::var("HW_FAULT") {
        let plan = plan_of(&one, seed);
        let outcome = attempt(plan, None);
        println!("{plan:?}");
        assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
        return;
    }
    // All of 1..=2000 with HW_ROUNDS=2000; in CI some of them, spread.
    let rounds = rounds_from_env(24).clamp(1, 2000);
    let step = 2000 / rounds;
    let turn = AtomicU64::new(0);
    let next = || {
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        let (at, kind) = (turn / 4, turn % 4);
        if at >= rounds {
            return None;
        }
        let calls = 1 + at * step + if rounds < 2000 { seed % step } else { 0 };
        let fault = if kind % 2 == 0 { Fault::Io } else { Fault::NoSpace };
        // The lake makes fewer calls; beyond its last the fault never comes.
        let on_the_journal = (kind < 2).then_some((calls, fault));
        let on_the_lake = (kind >= 2).then_some((1 + calls % 150, fault));
        let plan = Plan {
            faults: false,
            journal_fault: on_the_journal,
            lake_fault: on_the_lake,
            ..Plan::of(seed + at)
        };
        Some((plan, None))
    };
    let (sums, failures) = run_all(next, false);
    println!("{}", sums.summary(failures.len(), began.elapsed()));
    assert!(failures.is_empty(), "{} of {} failed", failures.len(), rounds * 4);
}

/// `DISK CALL KIND`, as a failure prints it.
fn plan_of(text: &str, seed: u64) -> Plan {
    let words: Vec<&str> = text.split(' ').collect();
    let [disk, call, kind] = words[..] else { panic!("HW_FAULT is {text:?}, not as in 'lake 75 Io'") };
    let kind = if kind == "Io" { Fault::Io } else { Fault::NoSpace };
    let fault = Some((call.parse().expect("the number of a call"), kind));
    let plan = Plan { faults: false, ..Plan::of(seed) };
    match disk {
        "journal" => Plan { journal_fault: fault, ..plan },
        _ => Plan { lake_fault: fault, ..plan },
    }
}

#[test]
fn clock_jumps() {
    const HOUR: i64 = 3_600_000_000;
    const YEAR: i64 = 365 * 24 * HOUR;
    const IN_2038: i64 = 2_147_483_648_000_000;
    let seed = seed_from_env(1);
    let rounds = rounds_from_env(2);
    let modes = [
        ClockMode::Jumps(HOUR),
        ClockMode::Jumps(YEAR),
        ClockMode::Set(0, START.0),
        ClockMode::Set(IN_2038, START.0),
        ClockMode::Frozen,
        // Strobing: back and forth at every turn.
        ClockMode::Jumps(1_000_000),
    ];
    let turn = AtomicU64::new(0);
    let next = || {
        let turn = turn.fetch_add(1, Ordering::SeqCst);
        let mode = modes[(turn % modes.len() as u64) as usize];
        let seed = seed + turn / modes.len() as u64;
        (turn < rounds * modes.len() as u64).then(|| (Plan { clock: mode, ..Plan::of(seed) }, None))
    };
    let (_, failures) = run_all(next, false);
    assert!(failures.is_empty(), "{} failed", failures.len());
}
