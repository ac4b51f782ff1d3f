//! `torture io`: the n-th call of a kind to the file system fails with EIO or ENOSPC, once or from there on, wherever that
//! is. Always: the server refuses by name, at its start or to its writers, and does not panic; nothing is acknowledged
//! while no sync succeeds; no file is synced again after a sync of it failed; without the fault everything acknowledged is
//! there once. `fault.c`, compiled here, makes the calls fail.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    Options, Scratch,
    lives::Lives,
    producers::{CONFIG, SCHEMA},
    random::Random,
    report::Report,
    server::{Launch, Started},
};

const SOURCE: &str = include_str!("fault.c");
const KINDS: &[&str] = &["open", "read", "write", "sync", "rename", "truncate", "unlink", "mkdir"];
/// A refusal that begins like this names nothing.
const BARE: &[&str] = &["error: Input/output error", "error: No space left on device"];
/// As Linux numbers them.
const ERRORS: &[(&str, u32)] = &[("EIO", 5), ("ENOSPC", 28)];
/// A life goes on for so many answers, or so long, fault or not.
const ANSWERS: u64 = 40;
const LIFE_MAX: Duration = Duration::from_secs(3);
/// With a fault that stays: from the moment it struck until the end of the life.
const AFTER_THE_FAULT: Duration = Duration::from_millis(400);
const CHECK_ALL_EVERY: u64 = 10;
const FRESH_EVERY: u64 = 20;
/// Every life begins with these; their counts are for all of them.
const MEASURED_LIVES: u64 = 3;

/// One fault.
struct Fault {
    kind: &'static str,
    from: u64,
    to: u64,
    error: (&'static str, u32),
}

impl Fault {
    fn stays(&self) -> bool {
        self.to > self.from
    }

    fn name(&self) -> String {
        format!(
            "{} {} {}{}",
            self.error.0,
            self.kind,
            self.from,
            if self.stays() { " and all after" } else { "" }
        )
    }
}

/// The compiled program and the file it tells in.
struct Shim {
    program: PathBuf,
    log: PathBuf,
    data: PathBuf,
}

impl Shim {
    /// `None`: there is no compiler.
    fn compile(directory: &Scratch, data: &Path) -> Result<Option<Shim>> {
        if !crate::stages::has_program("cc") {
            return Ok(None);
        }
        let (source, program) = (directory.path().join("fault.c"), directory.path().join("fault"));
        std::fs::write(&source, SOURCE)?;
        let compiled =
            Command::new("cc").args(["-std=gnu11", "-O2", "-o"]).arg(&program).arg(&source).output()?;
        ensure!(compiled.status.success(), "cc fault.c: {}", String::from_utf8_lossy(&compiled.stderr));
        Ok(Some(Shim { program, log: directory.path().join("fault.log"), data: data.to_owned() }))
    }

    fn wrap(&self, launch: &Launch, fault: Option<&Fault>) -> Launch {
        // What the last life told was read.
        let _ = std::fs::remove_file(&self.log);
        let (kind, from, to, error) =
            fault.map_or(("none", 1, 1, 0), |fault| (fault.kind, fault.from, fault.to, fault.error.1));
        let mut wrapped = launch.clone();
        let numbers = [from.to_string(), to.to_string(), error.to_string()];
        let mut command = vec![self.program.clone(), self.data.clone(), kind.into()];
        command.extend(numbers.into_iter().map(PathBuf::from));
        command.push(self.log.clone());
        command.append(&mut wrapped.command);
        wrapped.command = command;
        wrapped
    }

    /// The lines that begin with this word.
    fn told(&self, word: &str) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix(' '));
        lines.map(str::to_owned).collect()
    }

    /// Calls of each kind, told a moment after the program's end.
    fn counts(&self) -> Result<BTreeMap<String, u64>> {
        let give_up = Instant::now() + LIFE_MAX;
        loop {
            let lines = self.told("count");
            if lines.len() == KINDS.len() {
                let pairs = lines.iter().filter_map(|line| line.split_once(' '));
                return Ok(pairs
                    .map(|(kind, count)| (kind.to_owned(), count.parse().unwrap_or(0)))
                    .collect());
            }
            ensure!(Instant::now() < give_up, "the shim did not tell what it counted");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// How the lives ended.
#[derive(Default)]
struct Outcomes {
    struck: BTreeMap<&'static str, u64>,
    not_reached: u64,
    refused_start: u64,
    lived_on: u64,
    ended_by_itself: u64,
    refusals: BTreeMap<String, u64>,
    starts_refused: BTreeMap<String, u64>,
    events: u64,
}

pub fn run(options: &Options) -> Result<()> {
    let lives = options.n.unwrap_or(40);
    let directory = options.scratch("io")?;
    let data = directory.path().join("data");
    let Some(shim) = Shim::compile(&directory, &data)? else {
        println!("torture io: skipped: there is no C compiler (cc)");
        return Ok(());
    };
    let mut report = Report::new("io", options.seed, lives);
    let mut random = Random::from_seed(options.seed);
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &data, &files)?;
    let mut outcomes = Outcomes::default();
    let mut now = Lives::begin(launch.clone(), &mut random)?;
    let counts = measure(&mut now, &shim)?;
    report.row(
        "calls in a life without faults",
        counts.iter().map(|(kind, n)| format!("{kind} {n}")).collect::<Vec<_>>().join(", "),
    );
    for life in 0..lives {
        if life % FRESH_EVERY == FRESH_EVERY - 1 {
            now.end(&format!("life {life}"), &mut report)?;
            outcomes.events += now.known.events();
            now = Lives::begin(launch.clone(), &mut random)?;
        }
        let kind = KINDS[(life % KINDS.len() as u64) as usize];
        // The first calls are those of a start; each kind has its turn at every part of a life.
        let calls = counts.get(kind).copied().unwrap_or(0).max(1);
        let from = if random.once_in(4) { 1 + random.below(calls.min(8)) } else { 1 + random.below(calls) };
        let to = if random.once_in(3) { u64::MAX } else { from };
        let error = ERRORS[random.below(ERRORS.len() as u64) as usize];
        let fault = Fault { kind, from, to, error };
        let at = format!("life {life}: {}", fault.name());
        one_life(&mut now, &shim, &fault, &at, &mut random, &mut report, &mut outcomes)?;
        match launch.try_start()? {
            Started::Ready(server) => {
                now.check(&server, life % CHECK_ALL_EVERY == 0, &at, &mut report)?;
                server.terminate()?;
            }
            Started::Ended { status, said } => {
                report.fault(&at, format!("it does not start without the fault: {status}\n{said}"));
                now = Lives::begin(launch.clone(), &mut random)?;
            }
        }
        if life % 50 == 49 {
            println!("{} lives, {} faults", life + 1, report.faults());
        }
    }
    now.end("the end", &mut report)?;
    outcomes.events += now.known.events();
    report.row("lives", lives);
    for (kind, times) in &outcomes.struck {
        report.row(format!("  {kind} failed"), times);
    }
    report.row("  the call was not reached", outcomes.not_reached);
    report.row("refused to start, by name", outcomes.refused_start);
    for (reason, times) in &outcomes.starts_refused {
        report.row(format!("  {reason}"), times);
    }
    report.row("lived on", outcomes.lived_on);
    report.row("ended by itself, by name", outcomes.ended_by_itself);
    for (reason, times) in &outcomes.refusals {
        report.row(format!("  refused: {reason}"), times);
    }
    report.row("acknowledged", format!("{} events", outcomes.events));
    report.finish()
}

/// How often a life of the usual length makes each call.
fn measure(now: &mut Lives, shim: &Shim) -> Result<BTreeMap<String, u64>> {
    let mut counts = BTreeMap::new();
    for _ in 0..MEASURED_LIVES {
        let launch = shim.wrap(&now.launch, None);
        let server = launch.start()?;
        let addresses = server.addresses.clone();
        now.send_while(&addresses, |known| {
            known.wait_for(ANSWERS, LIFE_MAX * 10)?;
            server.terminate()
        })?;
        counts = shim.counts()?;
    }
    Ok(counts)
}

fn one_life(
    now: &mut Lives,
    shim: &Shim,
    fault: &Fault,
    at: &str,
    random: &mut Random,
    report: &mut Report,
    outcomes: &mut Outcomes,
) -> Result<()> {
    let launch = shim.wrap(&now.launch, Some(fault));
    let gently = random.once_in(2);
    let answers = 1 + random.below(ANSWERS);
    match launch.try_start()? {
        Started::Ended { status, said } => {
            let named = said.lines().rev().find(|line| line.to_lowercase().contains("error"));
            // The system's words alone say neither what nor where.
            let nameless = |line: &str| BARE.iter().any(|bare| line.starts_with(bare));
            if status.code().is_none_or(|code| code == 0)
                || named.is_none_or(nameless)
                || said.contains("panicked at")
            {
                report.fault(at, format!("the start ended with {status}, and said:\n{said}"));
            }
            outcomes.refused_start += 1;
            *outcomes
                .starts_refused
                .entry(without_numbers(named.unwrap_or_default(), &now.launch.data))
                .or_default() += 1;
        }
        Started::Ready(mut server) => {
            let addresses = server.addresses.clone();
            let (said, ended) = now.send_while(&addresses, |known| {
                let (began, before) = (Instant::now(), known.answers());
                let mut struck_at = None;
                while began.elapsed() < LIFE_MAX && server.is_running() {
                    if struck_at.is_none() && !shim.told("fail").is_empty() {
                        struck_at = Some(Instant::now());
                    }
                    let enough = known.answers() >= before + answers;
                    let struck_long_ago = struck_at.is_some_and(|at| at.elapsed() > AFTER_THE_FAULT);
                    if if fault.stays() { struck_long_ago } else { enough } {
                        break;
                    }
                    known.wait(Duration::from_millis(5), |answers, _| answers > u64::MAX / 2);
                }
                if fault.kind == "sync"
                    && fault.stays()
                    && known.last_begun() > struck_at
                    && struck_at.is_some()
                {
                    report.fault(at, "acknowledged, though no sync has succeeded since it was sent");
                }
                let ended = !server.is_running();
                let log_from = server.log_from();
                if ended || !gently {
                    server.kill()?;
                } else {
                    let (status, said) = server.terminate_as_it_may()?;
                    if status.code().is_none() {
                        report.fault(at, format!("TERM ended it with {status}\n{said}"));
                    }
                }
                Ok((launch.said_since(log_from), ended))
            })?;
            if ended {
                outcomes.ended_by_itself += 1;
                if !said.to_lowercase().contains("error") {
                    report.fault(at, format!("it ended without a word:\n{said}"));
                }
            } else {
                outcomes.lived_on += 1;
            }
            if let Some(line) = said.lines().find(|line| line.contains("panicked at")) {
                report.fault(at, line);
            }
        }
    }
    for (reason, times) in now.known.take_refusals() {
        *outcomes.refusals.entry(reason).or_default() += times;
    }
    if shim.told("fail").is_empty() {
        outcomes.not_reached += 1;
    } else {
        *outcomes.struck.entry(fault.kind).or_default() += 1;
    }
    for line in shim.told("again") {
        report.fault(at, format!("synced again after a sync of it failed: {line}"));
    }
    Ok(())
}

/// One text for what differs in numbers only.
fn without_numbers(line: &str, data: &Path) -> String {
    let line = line.replace(&data.display().to_string(), "DATA");
    let mut text = String::new();
    for c in line.trim().chars() {
        let c = if c.is_ascii_digit() { '#' } else { c };
        if c != '#' || !text.ends_with('#') {
            text.push(c);
        }
    }
    text
}
