//! `torture kill`: the process dies at random moments, also while it starts, by KILL and by TERM, in full flow.
//! Always: every start is checked for what is new, every 25th and the last of a data directory for everything.

use std::time::Duration;

use anyhow::Result;

use super::{
    Options,
    lives::{Lives, PROGRESS_WAIT_MAX},
    producers::{CONFIG, SCHEMA},
    random::Random,
    report::Report,
    server::Launch,
};

const CHECK_ALL_EVERY: u64 = 25;
/// A new data directory after so many lives: the state stays small, as the time to readiness is asked for.
const FRESH_EVERY: u64 = 250;
const ANSWERS_MAX: u64 = 60;
const START_MILLISECONDS_MAX: u64 = 200;

pub fn run(options: &Options) -> Result<()> {
    let lives = options.n.unwrap_or(100);
    let mut report = Report::new("kill", options.seed, lives);
    let mut random = Random::from_seed(options.seed);
    let directory = options.scratch("kill")?;
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &directory.path().join("data"), &files)?;

    let mut now = Lives::begin(launch.clone(), &mut random)?;
    let (mut ready, mut events, mut rows) = (Vec::new(), 0, 0);
    let (mut kills, mut terms, mut in_start) = (0, 0, 0);
    for life in 0..lives {
        if life > 0 && life % FRESH_EVERY == 0 {
            now.end(&format!("life {life}"), &mut report)?;
            events += now.known.events();
            rows += now.books.rows();
            now = Lives::begin(launch.clone(), &mut random)?;
        }
        let at = format!("life {life}");
        if random.once_in(8) {
            let wait = Duration::from_millis(random.below(START_MILLISECONDS_MAX));
            launch.start_and_end(wait, || Ok(()))?;
            in_start += 1;
            continue;
        }
        let blow = Blow {
            check_all: life % CHECK_ALL_EVERY == 0,
            answers: 1 + random.below(ANSWERS_MAX),
            pause: Duration::from_micros(random.below(5_000)),
            gently: random.once_in(4),
        };
        if blow.gently {
            terms += 1
        } else {
            kills += 1
        }
        match one_life(&mut now, &blow, &at, &mut report) {
            Ok(after) => ready.push(after),
            Err(error) => {
                // What it left cannot be gone on with.
                report.fault(&at, format!("{error:#}"));
                events += now.known.events();
                now = Lives::begin(launch.clone(), &mut random)?;
            }
        }
        if life % 50 == 49 {
            println!(
                "{} lives, {} events acknowledged, {} faults",
                life + 1,
                events + now.known.events(),
                report.faults()
            );
        }
    }
    now.end("the end", &mut report)?;
    events += now.known.events();
    rows += now.books.rows();
    report.row(
        "lives",
        format!("{lives}: {kills} ended by KILL, {terms} by TERM, {in_start} by KILL while starting"),
    );
    report.row("acknowledged", format!("{events} events"));
    report.row("in the tables", format!("{rows} rows and rejects"));
    report.times("ready after", &ready);
    report.finish()
}

struct Blow {
    check_all: bool,
    answers: u64,
    pause: Duration,
    gently: bool,
}

/// Starts, checks what the life before left, sends, ends. How long until it was ready.
fn one_life(now: &mut Lives, blow: &Blow, at: &str, report: &mut Report) -> Result<Duration> {
    let server = now.launch.start()?;
    let ready_after = server.ready_after;
    now.check(&server, blow.check_all, at, report)?;
    let addresses = server.addresses.clone();
    now.send_while(&addresses, |known| {
        known.wait_for(blow.answers, PROGRESS_WAIT_MAX)?;
        std::thread::sleep(blow.pause);
        if blow.gently { server.terminate() } else { server.kill() }
    })?;
    Ok(ready_after)
}
