//! `torture many`: 5,000 HTTP connections that are kept, 4,000 sensors and 1,000 guests that never finish a request, against
//! 100 connections that send the same. Always: both crowds send the same number of requests and events a second, so that
//! only the number of connections differs; the few come before and after the many.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Result;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Options,
    crowd::{self, Crowd, Seen},
    measure::{anonymous_memory, percentile},
    producers::SCHEMA,
    random::Random,
    report::Report,
    server::{Launch, Server},
};

const CONFIG: &str = "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"reading\"\nack = true\n";
const HTTP: usize = 5_000;
const SENSORS: usize = 4_000;
const GUESTS: usize = 1_000;
const FEW: usize = 100;
const EVENTS_A_SECOND: u64 = 20_000;
const EVENTS_A_REQUEST: u64 = 10;
/// A kept connection may be silent for 10 s: each speaks more often than that.
const DESCRIPTORS_BESIDES: u64 = 500;
const THREADS: usize = 2;
const MEMORY_MAX_MIB: u64 = 1024;
const SLOWER_MAX: f64 = 2.0;
const MEMORY_EVERY: Duration = Duration::from_millis(200);

pub fn run(options: &Options) -> Result<()> {
    let seconds = options.n.unwrap_or(15);
    let needed = (HTTP + SENSORS + GUESTS) as u64 + DESCRIPTORS_BESIDES;
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        println!(
            "torture many: skipped: the system allows {:?} open files, {needed} are needed",
            limit.maximum
        );
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let mut report = Report::new("many", options.seed, seconds);
    let mut random = Random::from_seed(options.seed);
    let directory = options.scratch("many")?;
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &directory.path().join("data"), &files)?;
    let server = launch.start()?;
    let rate = options.size.unwrap_or(EVENTS_A_SECOND);
    let many = Crowd {
        http: HTTP,
        sensors: SENSORS,
        guests: GUESTS,
        events_a_second: rate,
        events_a_request: EVENTS_A_REQUEST,
        lasts: Duration::from_secs(seconds),
    };
    let few = Crowd {
        http: FEW * HTTP / (HTTP + SENSORS),
        sensors: FEW - FEW * HTTP / (HTTP + SENSORS),
        guests: 0,
        ..many
    };
    let mut worst = [0.0_f64; 2];
    let (mut memory, mut acknowledged) = ([0; 2], 0);
    for (generation, (index, name, crowd)) in
        (0..).zip([(0, "few", few), (1, "many", many), (0, "few again", few), (1, "many again", many)])
    {
        let (seen, peak) =
            watched(&server, || crowd::run(crowd, &server.addresses, generation, THREADS, &mut random))?;
        let connections = crowd.http + crowd.sensors + crowd.guests;
        tell(&mut report, name, connections, &seen, peak, seconds);
        worst[index] += percentile(&seen.times, 99).as_secs_f64() / 2.0;
        memory[index] = memory[index].max(peak);
        acknowledged += seen.acknowledged;
        if seen.dropped > 0 {
            let why = seen.first_drop.unwrap_or_default();
            report.fault(
                name,
                format!("{} honest connections or requests were dropped; the first: {why}", seen.dropped),
            );
        }
        // Sent and not acknowledged: the load was more than the server, or this machine beside it, could take.
        let asked = rate * seconds;
        if seen.acknowledged < asked * 95 / 100 {
            report.fault(name, format!("{} of {asked} events were acknowledged", seen.acknowledged));
        }
    }
    let stored = server.numbers("SELECT count(*), count(DISTINCT id) FROM reading")?;
    if stored[0] != stored[1] || stored[0] < acknowledged as i64 {
        report.fault("the end", format!("{acknowledged} acknowledged; rows, and ids: {stored:?}"));
    }
    let ratio = worst[1] / worst[0];
    report.row("p99 with many / with few", format!("{ratio:.2} (asked: at most {SLOWER_MAX})"));
    report.row("memory with many", format!("{} MiB (asked: at most {MEMORY_MAX_MIB})", memory[1]));
    if ratio > SLOWER_MAX {
        report.fault("p99", format!("{ratio:.2} times as long with many connections"));
    }
    if memory[1] > MEMORY_MAX_MIB {
        report.fault("memory", format!("{} MiB", memory[1]));
    }
    server.terminate()?;
    report.finish()
}

fn tell(report: &mut Report, name: &str, connections: usize, seen: &Seen, peak: u64, seconds: u64) {
    report.row(
        name,
        format!(
            "{connections} connections, {} events/s acknowledged, {peak} MiB at most, {} guests turned out",
            seen.acknowledged / seconds.max(1),
            seen.guests_closed
        ),
    );
    report.times("  acknowledged after", &seen.times);
}

/// Runs something, and the most anonymous memory, in MiB, that the server had meanwhile.
pub fn watched<T>(server: &Server, run: impl FnOnce() -> Result<T>) -> Result<(T, u64)> {
    let (stop, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let pid = server.pid();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                peak.fetch_max(anonymous_memory(pid).unwrap_or(0), Ordering::SeqCst);
                std::thread::sleep(MEMORY_EVERY);
            }
        });
        let done = run();
        stop.store(true, Ordering::SeqCst);
        Ok((done?, peak.load(Ordering::SeqCst) >> 10))
    })
}
