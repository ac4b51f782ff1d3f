//! `torture erase`: the process dies, or the disk loses its power, in the middle of an erasure. Always: an erasure that was
//! answered with 202 comes to its end after the next start; then no row of its subjects is there, their names are in no file that is
//! not compressed, every row of others is there, and `headwater verify` agrees.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    Options,
    disk::{Cut, Disk, Python},
    http::{Connection, find},
    random::Random,
    report::Report,
    server::{Launch, Server},
};

const SCHEMA: &str = r#"{"type":"object","required":["who"],"properties":{
    "who":{"type":"string","x-privacy":"subject"},"email":{"type":"string","x-privacy":"hash"},"note":{"type":"string"}}}"#;
const CONFIG: &str = "[lake]\ncommit_every = \"20ms\"\n[journal]\nsegment = \"1MiB\"\n";
const DISK_MEGABYTES: u64 = 512;
const FRESH_EVERY: u64 = 10;
/// Persons of a round, of whom every tenth goes, and events of each.
const PERSONS: u64 = 300;
const EVENTS: u64 = 5;
const PAUSE_MICROSECONDS_MAX: u64 = 400_000;
const DONE_WAIT_MAX: Duration = Duration::from_secs(60);

pub fn run(options: &Options) -> Result<()> {
    let rounds = options.n.unwrap_or(20);
    let mut report = Report::new("erase", options.seed, rounds);
    let mut random = Random::from_seed(options.seed);
    let scratch = options.scratch("erase")?;
    let why_not = Disk::why_not();
    if let Some(why) = &why_not {
        println!("no power cuts, only kills: {why}");
    }
    let mut power = match why_not {
        None => Some((Disk::make(scratch.path(), DISK_MEGABYTES)?, Python::start("python3".as_ref())?)),
        Some(_) => None,
    };
    let data = power.as_ref().map_or(scratch.path().join("data"), |(disk, _)| disk.mount.join("data"));
    let files = [("headwater.toml", CONFIG), ("schemas/person.json", SCHEMA)];
    let launch = Launch::new(&options.binary, scratch.path(), &data, &files)?;
    let (mut kills, mut cuts, mut others, mut erased) = (0, 0, 0, 0);
    for round in 0..rounds {
        let at = format!("round {round}");
        if round % FRESH_EVERY == 0 {
            others = 0;
            match &power {
                Some((disk, _)) if round > 0 => {
                    disk.unmount()?;
                    disk.format()?;
                }
                Some(_) => {}
                None => drop(fs::remove_dir_all(&data)),
            }
        }
        let server = launch.start()?;
        others += fill(&server, round)?;
        let id = ask(&server, round)?;
        std::thread::sleep(Duration::from_micros(random.below(PAUSE_MICROSECONDS_MAX)));
        match &mut power {
            Some((disk, python)) if round % 2 == 0 => {
                cuts += 1;
                let cut = if round % 4 == 0 { Cut::MetadataFlushed } else { Cut::NothingFlushed };
                python.cut(disk, cut)?;
                server.kill()?;
                disk.unmount()?;
                disk.mount()?;
            }
            _ => {
                kills += 1;
                server.kill()?;
            }
        }
        let server = launch.start()?;
        match judge(&server, &id, round, others) {
            Ok(()) => erased += PERSONS / 10,
            Err(error) => report.fault(&at, format!("{error:#}")),
        }
        if let Err(error) = verified(options, &data) {
            report.fault(&at, format!("{error:#}"));
        }
        server.terminate()?;
        for path in named(&data, &stem(round))? {
            report.fault(&at, format!("an erased name stands in {}", path.display()));
        }
    }
    if let Some((disk, _)) = &power {
        disk.unmount()?;
    }
    report.row("ended in the middle", format!("{kills} kills, {cuts} power cuts"));
    report.row("erased", format!("{erased} persons, {} events", erased * EVENTS));
    report.finish()
}

/// Stands in every name of those who go in this round.
fn stem(round: u64) -> String {
    format!("vergissmich{round:05}x")
}

/// Returns how many events of others were stored.
fn fill(server: &Server, round: u64) -> Result<u64> {
    let mut body = String::new();
    let mut others = 0;
    for person in 0..PERSONS {
        let goes = person % 10 == 0;
        let name = if goes { format!("{}{person}", stem(round)) } else { format!("stays-{round}-{person}") };
        for event in 0..EVENTS {
            let event =
                json!({"who": name, "email": format!("{name}@x"), "note": format!("{event} of {name}")});
            body.push_str(&format!("{event}\n"));
        }
        if goes {
            // One that is refused, and names somebody.
            body.push_str(&format!("{{\"who\":\"{name}\",\"email\":7}}\n"));
        } else {
            others += EVENTS;
        }
    }
    let headers = [("content-type", "application/x-ndjson")];
    let answer = Connection::open(&server.addresses.http)?.ask(
        "POST",
        "/v1/streams/person/events",
        &headers,
        body.as_bytes(),
    )?;
    ensure!(answer.status == 200, "the events were not taken: {} {}", answer.status, answer.text());
    Ok(others)
}

fn ask(server: &Server, round: u64) -> Result<String> {
    let gone: Vec<String> =
        (0..PERSONS).step_by(10).map(|person| format!("{}{person}", stem(round))).collect();
    let body = json!({ "subjects": gone, "reason": "torture" }).to_string();
    let headers = [("content-type", "application/json")];
    let answer =
        Connection::open(&server.addresses.http)?.ask("POST", "/v1/erasures", &headers, body.as_bytes())?;
    ensure!(answer.status == 202, "the erasure was not taken: {} {}", answer.status, answer.text());
    Ok(answer.json()["id"].as_str().unwrap_or_default().to_owned())
}

fn judge(server: &Server, id: &str, round: u64, others: u64) -> Result<()> {
    let give_up = Instant::now() + DONE_WAIT_MAX;
    loop {
        let answer = Connection::open(&server.addresses.http)?.get(&format!("/v1/erasures/{id}"))?;
        ensure!(answer.status == 200, "an erasure that was taken is not known: {}", answer.status);
        let told: Value = answer.json();
        if told["phase"] == "done" {
            break;
        }
        if Instant::now() > give_up {
            bail!("it does not come to its end: {told}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let count = |rows: String| -> Result<i64> {
        let numbers = server.numbers(&format!("SELECT count(*) FROM {rows}"))?;
        numbers.first().copied().context("a count has a row")
    };
    let gone = count(format!("person WHERE who LIKE '{}%'", stem(round)))?;
    let (rejects, kept) = (count("rejects".to_owned())?, count("person WHERE who LIKE 'stays%'".to_owned())?);
    ensure!(
        (gone, rejects, kept) == (0, 0, others.cast_signed()),
        "{gone} rows of those who went, {rejects} rejects, {kept} rows of others, of {others}"
    );
    Ok(())
}

fn verified(options: &Options, data: &Path) -> Result<()> {
    let output = Command::new(&options.binary).args(["verify", "--data"]).arg(data).output();
    let output = output.context("cannot run headwater verify")?;
    ensure!(output.status.success(), "verify: {}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}

/// The files in which a text stands as it is.
fn named(directory: &Path, text: &str) -> Result<Vec<PathBuf>> {
    let (mut found, mut waiting) = (Vec::new(), vec![directory.to_owned()]);
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if find(&fs::read(&path)?, text.as_bytes()).is_some() {
                found.push(path);
            }
        }
    }
    Ok(found)
}
