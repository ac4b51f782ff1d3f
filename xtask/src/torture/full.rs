//! `torture full`: a small disk is filled to the last byte, by somebody else or by the events themselves, in full flow.
//! Always: writers are refused with a reason, readers go on, and writing resumes by itself when there is space again; some
//! rounds kill the server while the disk is full, and start it while it is.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    Options,
    acknowledged::Acknowledged,
    disk::Disk,
    http::Connection,
    lives::Lives,
    producers::{EVENTS_PATH, SCHEMA},
    random::Random,
    report::Report,
    server::{Launch, Server, Started},
};

const DISK_MEGABYTES: u64 = 64;
const CONFIG: &str = "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"reading\"\nack = true\n\
                      [lake]\ncommit_every = \"200ms\"\n[journal]\nsegment = \"4MiB\"\nbudget = \"1GiB\"\n";
/// Text of each event over HTTP: the room that the journal has kept for itself is used up soon.
const PADDING: usize = 8 << 10;
/// With less room than this at the beginning of a round, a new data directory is begun.
const ROOM_MIN: u64 = 32 << 20;
/// What somebody else takes and gives back in a round in which the events fill the disk.
const SMALL_BALLAST: u64 = 8 << 20;
const REFUSAL_WAIT_MAX: Duration = Duration::from_secs(60);
const RESUMED_WAIT_MAX: Duration = Duration::from_secs(30);
const ANSWERS_AFTER: u64 = 20;
const CHECK_ALL_EVERY: u64 = 5;
/// What is promised.
const RESUMED_AFTER_MAX: Duration = Duration::from_secs(1);

/// What happens once the disk is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    SpaceReturns,
    KillThenSpace,
    KillThenStart,
}

/// Somebody else's file.
struct Ballast {
    path: PathBuf,
    file: File,
}

impl Ballast {
    fn new(directory: &Path) -> Result<Ballast> {
        let path = directory.join("ballast");
        let file =
            OpenOptions::new().append(true).create(true).open(&path).context("cannot make the ballast")?;
        Ok(Ballast { path, file })
    }

    fn take(&mut self, bytes: u64) -> Result<()> {
        let piece = vec![1; 1 << 20];
        for _ in 0..bytes >> 20 {
            self.file.write_all(&piece)?;
        }
        self.file.sync_all()?;
        Ok(())
    }

    /// Takes what there is, to the last byte.
    fn take_all(&mut self) {
        let mut piece = vec![1; 1 << 20];
        while !piece.is_empty() {
            if !self.file.write(&piece).is_ok_and(|bytes| bytes > 0) {
                piece.truncate(piece.len() / 2);
            }
        }
        // What was promised room is given it now; that a full disk cannot keep it is the point.
        let _ = self.file.sync_all();
    }

    fn give_back(self) -> Result<()> {
        self.file.set_len(0)?;
        std::fs::remove_file(&self.path)?;
        Ok(())
    }
}

/// What is measured over all rounds.
#[derive(Default)]
struct Measured {
    /// From the space's return to the first answer, and to the last refusal.
    resumed: Vec<Duration>,
    last_refused: Vec<Duration>,
    refusals: BTreeMap<String, u64>,
    turns: BTreeMap<String, u64>,
    start_while_full: BTreeMap<String, u64>,
    queries_while_full: u64,
    events: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let rounds = options.n.unwrap_or(10);
    if let Some(why) = Disk::why_not() {
        println!("torture full: skipped: {why}");
        return Ok(());
    }
    let mut report = Report::new("full", options.seed, rounds);
    let mut random = Random::from_seed(options.seed);
    let directory = options.scratch("full")?;
    let disk = Disk::make(directory.path(), DISK_MEGABYTES)?;
    let data = disk.mount.join("data");
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &data, &files)?;
    let mut measured = Measured::default();
    let mut now = begin(&launch, &mut random)?;
    for round in 0..rounds {
        let at = format!("round {round}");
        if room(&disk)? < ROOM_MIN {
            measured.events += now.known.events();
            now = begin(&launch, &mut random)?;
        }
        let server = launch.start()?;
        // Both ways to fill it.
        let by_events = random.once_in(4);
        let turn = match random.below(4) {
            0 => Turn::KillThenSpace,
            1 => Turn::KillThenStart,
            _ => Turn::SpaceReturns,
        };
        *measured
            .turns
            .entry(format!("{turn:?}, filled by {}", if by_events { "events" } else { "others" }))
            .or_default() += 1;
        let mut ballast = Ballast::new(&disk.mount)?;
        if by_events {
            ballast.take(SMALL_BALLAST)?;
        }
        let addresses = server.addresses.clone();
        let server = now.send_while(&addresses, |known| {
            fill(known, &mut ballast, by_events, &server, &at, &mut report)?;
            while_full(&server, &at, &mut report, &mut measured);
            if turn != Turn::SpaceReturns {
                server.kill()?;
                return Ok(None);
            }
            let refused_before = known.refused();
            let freed = Instant::now();
            ballast.give_back()?;
            resume(known, freed, refused_before, &at, &mut report, &mut measured);
            Ok(Some(server))
        })?;
        let server = match server {
            Some(server) => server,
            None => {
                if turn == Turn::KillThenStart {
                    start_while_full(&launch, &at, &mut report, &mut measured)?;
                }
                // Given back behind the end of the producers, whose ballast it was not.
                let _ = std::fs::remove_file(disk.mount.join("ballast"));
                launch.start()?
            }
        };
        now.check(&server, round % CHECK_ALL_EVERY == 0, &at, &mut report)?;
        server.terminate()?;
        if round % 10 == 9 {
            println!("{} rounds, {} faults", round + 1, report.faults());
        }
    }
    measured.events += now.known.events();
    report.row("filled to the last byte", format!("{rounds} times"));
    for (turn, times) in &measured.turns {
        report.row(format!("  {turn}"), times);
    }
    report.row("acknowledged", format!("{} events", measured.events));
    for (reason, times) in &measured.refusals {
        report.row(format!("  refused: {reason}"), times);
    }
    for (outcome, times) in &measured.start_while_full {
        report.row(format!("  start on a full disk: {outcome}"), times);
    }
    report.row("queries answered while full", measured.queries_while_full);
    report.times("first answer after space returned", &measured.resumed);
    report.times("last refusal after space returned", &measured.last_refused);
    report.finish()
}

fn begin(launch: &Launch, random: &mut Random) -> Result<Lives> {
    let mut lives = Lives::begin(launch.clone(), random)?;
    lives.producers = std::mem::take(&mut lives.producers)
        .into_iter()
        .map(|producer| producer.with_padding(PADDING))
        .collect();
    Ok(lives)
}

fn room(disk: &Disk) -> Result<u64> {
    let status = rustix::fs::statvfs(&disk.mount)?;
    Ok(status.f_bavail * status.f_frsize)
}

/// Until a writer is refused.
fn fill(
    known: &Acknowledged,
    ballast: &mut Ballast,
    by_events: bool,
    server: &Server,
    at: &str,
    report: &mut Report,
) -> Result<()> {
    known.wait_for(3, REFUSAL_WAIT_MAX)?;
    let refused = known.refused();
    let give_up = Instant::now() + REFUSAL_WAIT_MAX;
    while !known.wait(Duration::from_millis(20), |_, now| now > refused) {
        // What the server gave up meanwhile is taken too.
        if !by_events {
            ballast.take_all();
        }
        if Instant::now() > give_up {
            report.fault(at, format!("no writer was refused\n{}", server.quoted()));
            return Ok(());
        }
    }
    ballast.take_all();
    Ok(())
}

/// Readers and SQL go on.
fn while_full(server: &Server, at: &str, report: &mut Report, measured: &mut Measured) {
    match server.numbers("SELECT count(*), count(DISTINCT id) FROM reading") {
        Ok(_) => measured.queries_while_full += 1,
        Err(error) => report.fault(at, format!("SQL while the disk is full: {error:#}")),
    }
    for path in [EVENTS_PATH, "/livez", "/v1/streams", "/metrics"] {
        let answer = Connection::open(&server.addresses.http).and_then(|mut connection| connection.get(path));
        match answer {
            Ok(answer) if answer.status == 200 => measured.queries_while_full += 1,
            Ok(answer) => report
                .fault(at, format!("{path} while the disk is full: {} {}", answer.status, answer.text())),
            Err(error) => report.fault(at, format!("{path} while the disk is full: {error}")),
        }
    }
}

fn resume(
    known: &Acknowledged,
    freed: Instant,
    refused_before: u64,
    at: &str,
    report: &mut Report,
    measured: &mut Measured,
) {
    let before = known.answers();
    let first = known.wait(RESUMED_WAIT_MAX, |answers, _| answers > before);
    let resumed = freed.elapsed();
    if !first {
        report.fault(
            at,
            format!(
                "writing did not resume in {} s; refusals: {:?}",
                RESUMED_WAIT_MAX.as_secs(),
                known.last_refusal()
            ),
        );
        return;
    }
    measured.resumed.push(resumed);
    if resumed > RESUMED_AFTER_MAX {
        report.fault(at, format!("writing resumed {} ms after there was space", resumed.as_millis()));
    }
    known.wait(RESUMED_WAIT_MAX, |answers, _| answers >= before + ANSWERS_AFTER);
    if known.refused() > refused_before
        && let Some(last) = known.last_refusal_at()
    {
        measured.last_refused.push(last.saturating_duration_since(freed));
    }
    for (reason, times) in known.take_refusals() {
        *measured.refusals.entry(reason).or_default() += times;
    }
}

/// It runs, or says why not and ends by itself.
fn start_while_full(launch: &Launch, at: &str, report: &mut Report, measured: &mut Measured) -> Result<()> {
    let outcome = match launch.try_start()? {
        Started::Ready(server) => {
            while_full(&server, at, report, measured);
            server.kill()?;
            "ready".to_owned()
        }
        Started::Ended { status, said } => {
            let named = said.lines().rev().find(|line| line.contains("error") || line.contains("ERROR"));
            if status.code().is_none() || named.is_none() || said.contains("panicked at") {
                report.fault(at, format!("a start on a full disk ended with {status}, and said:\n{said}"));
            }
            format!("refused, {status}: {}", named.unwrap_or_default().trim())
        }
    };
    *measured.start_while_full.entry(outcome).or_default() += 1;
    Ok(())
}
