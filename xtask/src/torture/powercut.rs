//! `torture powercut`: ext4 on a loop file loses its power in full flow, half of the time with its metadata written and its
//! data not. Always: after each cut the lake is opened by another engine as the cut left it, and then checked by ours.

use std::time::Duration;

use anyhow::Result;

use super::{
    Options,
    disk::{Cut, Disk, Python},
    lives::{Lives, PROGRESS_WAIT_MAX},
    producers::{CONFIG, SCHEMA},
    random::Random,
    report::Report,
    server::Launch,
};

const DISK_MEGABYTES: u64 = 512;
const CHECK_ALL_EVERY: u64 = 25;
/// A new file system after so many cuts, so that the tables stay small.
const FRESH_EVERY: u64 = 100;
const ANSWERS_MAX: u64 = 60;
const START_MILLISECONDS_MAX: u64 = 200;

pub fn run(options: &Options) -> Result<()> {
    let cuts = options.n.unwrap_or(50);
    if let Some(why) = Disk::why_not() {
        println!("torture powercut: skipped: {why}");
        return Ok(());
    }
    let mut report = Report::new("powercut", options.seed, cuts);
    let mut random = Random::from_seed(options.seed);
    let directory = options.scratch("powercut")?;
    let with_engine = crate::stages::python_environment()?;
    if with_engine.is_none() {
        println!("the lake is not opened with deltalake: there is no python3 with venv");
    }
    let mut python = Python::start(with_engine.as_deref().unwrap_or("python3".as_ref()))?;
    let disk = Disk::make(directory.path(), DISK_MEGABYTES)?;
    let data = disk.mount.join("data");
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &data, &files)?;

    let mut now = Lives::begin(launch.clone(), &mut random)?;
    let (mut events, mut rows, mut opened, mut by_kind, mut in_start) = (0, 0, 0, [0, 0], 0);
    for round in 0..cuts {
        let at = format!("cut {round}");
        if round > 0 && round % FRESH_EVERY == 0 {
            now.end(&at, &mut report)?;
            events += now.known.events();
            rows += now.books.rows();
            disk.unmount()?;
            disk.format()?;
            now = Lives::begin(launch.clone(), &mut random)?;
        }
        let cut = if round % 2 == 0 { Cut::MetadataFlushed } else { Cut::NothingFlushed };
        by_kind[(round % 2) as usize] += 1;
        // The process may live on for a moment on a disk that is dead.
        let pause = Duration::from_micros(random.below(20_000));
        if random.once_in(8) {
            in_start += 1;
            let wait = Duration::from_millis(random.below(START_MILLISECONDS_MAX));
            launch.start_and_end(wait, || python.cut(&disk, cut))?;
        } else {
            let answers = 1 + random.below(ANSWERS_MAX);
            let all = round % CHECK_ALL_EVERY == 0;
            let done = one_life(&mut now, all, answers, &at, &mut report, || {
                python.cut(&disk, cut)?;
                std::thread::sleep(pause);
                Ok(())
            });
            if let Err(error) = done {
                // What it left cannot be gone on with.
                report.fault(&at, format!("{error:#}"));
                events += now.known.events();
                disk.unmount()?;
                disk.format()?;
                now = Lives::begin(launch.clone(), &mut random)?;
                continue;
            }
        }
        disk.unmount()?;
        disk.mount()?;
        if with_engine.is_some() {
            match python.open_lake(&data.join("lake")) {
                Ok(tables) => opened += tables,
                Err(error) => report.fault(&at, format!("deltalake: {error:#}")),
            }
        }
        if round % 50 == 49 {
            println!(
                "{} cuts, {} events acknowledged, {} faults",
                round + 1,
                events + now.known.events(),
                report.faults()
            );
        }
    }
    now.end("the end", &mut report)?;
    events += now.known.events();
    rows += now.books.rows();
    let [flushed, not_flushed] = by_kind;
    report.row("cuts", format!("{cuts}: {flushed} with metadata flushed and data not, {not_flushed} with nothing flushed; {in_start} while starting"));
    report.row("acknowledged", format!("{events} events"));
    report.row("in the tables", format!("{rows} rows and rejects"));
    report.row(
        "tables opened by deltalake",
        if with_engine.is_some() { opened.to_string() } else { "not run".to_owned() },
    );
    report.finish()
}

/// Starts, checks what the cut before left, sends; the server is killed once `cut` is done.
fn one_life(
    now: &mut Lives,
    all: bool,
    answers: u64,
    at: &str,
    report: &mut Report,
    cut: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let server = now.launch.start()?;
    now.check(&server, all, at, report)?;
    let addresses = server.addresses.clone();
    now.send_while(&addresses, |known| {
        known.wait_for(answers, PROGRESS_WAIT_MAX)?;
        cut()?;
        server.kill()
    })
}
