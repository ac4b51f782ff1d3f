//! `torture clock`: the wall clock jumps by an hour or a year, to 1970 or 2038, stands still or strobes, while the server
//! runs and while it is stopped. Always: nothing is lost, doubled or out of order; a key that was used is known after
//! jumps that stay within its day; what was kept can be read once the clock is right again. `clock.c`, loaded before
//! libc, tells the time.

use std::{
    collections::BTreeMap,
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    http::Connection,
    lives::{Lives, PROGRESS_WAIT_MAX},
    producers::{CONFIG, EVENTS_PATH, SCHEMA},
    random::Random,
    report::Report,
    server::{Launch, Server},
};

const SOURCE: &str = include_str!("clock.c");
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const YEAR: i64 = 365 * 24 * HOUR;
/// 2038-01-19T03:14:06Z: two seconds later 32 bits are not enough.
const END_OF_32_BITS: i64 = 2_147_483_646 * SECOND;
const ANSWERS: u64 = 20;
const STROBES: u64 = 200;
/// The ids of the events with a key that are sent again and again.
const KEYED: u64 = 9_000_000_000;
const JUMPS: &[&str] = &["+1 h", "-1 h", "+1 year", "-1 year", "1970", "2038", "frozen", "strobing"];

/// The file that tells the time.
struct Clock(File);

impl Clock {
    /// The real time and so much.
    fn shift(&self, nanoseconds: i64) -> Result<()> {
        self.set(0, nanoseconds)
    }

    fn set(&self, how: i64, nanoseconds: i64) -> Result<()> {
        let mut bytes = how.to_le_bytes().to_vec();
        bytes.extend(nanoseconds.to_le_bytes());
        Ok(self.0.write_all_at(&bytes, 0)?)
    }

    fn jump(&self, name: &str, random: &mut Random) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos() as i64;
        match name {
            "+1 h" => self.shift(HOUR),
            "-1 h" => self.shift(-HOUR),
            "+1 year" => self.shift(YEAR),
            "-1 year" => self.shift(-YEAR),
            "1970" => self.shift(-now),
            "2038" => self.shift(END_OF_32_BITS - now),
            "frozen" => self.set(1, now),
            // Anywhere within two hours, again and again.
            _ => {
                for _ in 0..STROBES {
                    self.shift(random.below(2 * HOUR as u64) as i64 - HOUR)?;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
        }
    }
}

/// `None`: there is no compiler.
fn compile(directory: &Path) -> Result<Option<String>> {
    if !crate::stages::has_program("cc") {
        return Ok(None);
    }
    let (source, library) = (directory.join("clock.c"), directory.join("clock.so"));
    std::fs::write(&source, SOURCE)?;
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-std=gnu11", "-O2", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .output()?;
    ensure!(compiled.status.success(), "cc clock.c: {}", String::from_utf8_lossy(&compiled.stderr));
    Ok(Some(library.display().to_string()))
}

pub fn run(options: &Options) -> Result<()> {
    let jumps = options.n.unwrap_or(32);
    let directory = options.scratch("clock")?;
    let Some(library) = compile(directory.path())? else {
        println!("torture clock: skipped: there is no C compiler (cc)");
        return Ok(());
    };
    let mut report = Report::new("clock", options.seed, jumps);
    let mut random = Random::from_seed(options.seed);
    let time = directory.path().join("time");
    let clock = Clock(File::create(&time)?);
    clock.shift(0)?;
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let mut launch = Launch::new(&options.binary, directory.path(), &directory.path().join("data"), &files)?;
    launch.environment.push(("LD_PRELOAD".to_owned(), library));
    launch.environment.push(("TORTURE_CLOCK".to_owned(), time.display().to_string()));
    let mut now = Lives::begin(launch.clone(), &mut random)?;
    let mut server = launch.start()?;
    let mut by_kind: BTreeMap<&str, u64> = BTreeMap::new();
    for number in 0..jumps {
        let name = JUMPS[(number % JUMPS.len() as u64) as usize];
        let at = format!("jump {number}, {name}");
        *by_kind.entry(name).or_default() += 1;
        let while_stopped = random.once_in(3);
        let within_a_day = matches!(name, "+1 h" | "-1 h" | "frozen" | "strobing");
        let key = format!("clock-{number}");
        let keyed = KEYED + 5 * number;
        let first = send_keyed(&server, &key, keyed)?;
        now.known.add([keyed].into_iter(), Instant::now());
        if first != [1, 0] {
            report.fault(&at, format!("accepted, duplicates of the first request with its key: {first:?}"));
        }
        if while_stopped {
            server.terminate()?;
            clock.jump(name, &mut random)?;
            server = launch.start()?;
        }
        let addresses = server.addresses.clone();
        now.send_while(&addresses, |known| {
            known.wait_for(ANSWERS, PROGRESS_WAIT_MAX)?;
            clock.jump(name, &mut random)?;
            known.wait_for(ANSWERS, PROGRESS_WAIT_MAX)?;
            clock.shift(0)?;
            known.wait_for(ANSWERS, PROGRESS_WAIT_MAX)
        })?;
        // A jump of a year makes a key a year old; only then may it be forgotten.
        let again = if within_a_day { Some(send_keyed(&server, &key, keyed)?) } else { None };
        if again.is_some_and(|again| again != [0, 1]) {
            report.fault(&at, format!("accepted, duplicates of a request whose key is known: {again:?}"));
        }
        now.check(&server, number % 8 == 7, &at, &mut report)?;
    }
    server.terminate()?;
    now.end("the end", &mut report)?;
    report.row("jumps", jumps);
    for (kind, times) in by_kind {
        report.row(format!("  {kind}"), times);
    }
    report.row("acknowledged", format!("{} events", now.known.events()));
    report.finish()
}

/// Accepted and duplicates.
fn send_keyed(server: &Server, key: &str, id: u64) -> Result<[u64; 2]> {
    let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key)];
    let body = format!("{{\"id\":{id},\"who\":\"{}\"}}\n", super::producers::who(id));
    let answer =
        Connection::open(&server.addresses.http)?.ask("POST", EVENTS_PATH, &headers, body.as_bytes())?;
    let said = answer.json();
    let number =
        |name: &str| said[name].as_u64().with_context(|| format!("{}: {}", answer.status, answer.text()));
    Ok([number("accepted")?, number("duplicates")?])
}
