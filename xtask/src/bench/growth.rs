//! `bench growth`: what a commit, an opening and a question about the newest rows cost as a table's log grows, against Python
//! deltalake that appends the same rows. Always: one commit a request, ten rows each; the table holds every row in the end, as
//! delta-rs reads it too.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Options,
    events::{Batch, EVENTS_PATH, STREAM},
    ours::{Ours, table_in},
    peers::Peers,
    verdict::at_most,
};
use crate::{
    http::Connection,
    measure::{median, processor_time},
    workspace::output,
};

const VERSIONS: u64 = 10_000;
const EARLY: u64 = 100;
const ROWS_A_COMMIT: usize = 10;
/// Commits that a cost is the mean of.
const WINDOW: u64 = 100;
/// Its commits get slower with each one: 10,000 of them take hours.
const VERSIONS_OF_PEER_MAX: u64 = 1_000;
/// So that less than 1 MiB is committed after 30 ms.
const CONFIG: &str = "[lake]\ncommit_every = \"1ms\"\n";
const QUESTIONS: usize = 15;
const POLL: Duration = Duration::from_millis(1);

struct Costs {
    version: u64,
    /// Of one commit: processor and wall.
    processor: f64,
    wall: f64,
    question_ms: f64,
}

pub fn run(options: &Options) -> Result<()> {
    let versions = options.events.unwrap_or(VERSIONS).max(2 * (EARLY + WINDOW));
    let peers = Peers::install()?;
    let batch = Batch::new(versions * ROWS_A_COMMIT as u64, 0);
    let ours = Ours::start(options, CONFIG)?;
    let empty_ready = ours.server.ready_after;
    let bodies = batch.bodies(ROWS_A_COMMIT);
    let pid = ours.server.pid();
    let mut connection = Connection::open(ours.address())?;
    let (mut at, mut costs) = ((Instant::now(), processor_time(pid)), Vec::new());
    for (done, body) in (1..).zip(&bodies) {
        let headers = [("content-type", "application/x-ndjson")];
        let answer = connection.ask("POST", EVENTS_PATH, &headers, &batch.bytes[body.clone()])?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
        let seq = answer.json()["seq"].as_u64().context("a receipt without its append")?;
        loop {
            let status = connection.get("/v1/status")?.json();
            if status["follower"]["committed"].as_u64().is_some_and(|committed| committed >= seq) {
                break;
            }
            std::thread::sleep(POLL);
        }
        if done == EARLY || done == versions - WINDOW {
            at = (Instant::now(), processor_time(pid));
        }
        if done == EARLY + WINDOW || done == versions {
            costs.push(Costs {
                version: done,
                processor: (processor_time(pid) - at.1).as_secs_f64() / WINDOW as f64,
                wall: at.0.elapsed().as_secs_f64() / WINDOW as f64,
                question_ms: question(&ours, done)?,
            });
        }
    }
    let found = ours.server.numbers(&format!("SELECT count(*), sum(price) FROM {STREAM}"))?;
    ensure!(found == [batch.good as i64, batch.price_sum as i64], "the table says {found:?}");
    let version =
        ours.server.numbers(&format!("SELECT lake_version FROM streams WHERE stream = '{STREAM}'"))?[0];
    let ours = ours.start_again()?;
    let ready = ours.server.ready_after;
    let found = ours.server.numbers(&format!("SELECT count(*), sum(price) FROM {STREAM}"))?;
    ensure!(found == [batch.good as i64, batch.price_sum as i64], "after a restart the table says {found:?}");
    let stopped = ours.stop()?;
    let found = peers.check("deltalake_table.py", &table_in(&stopped))?;
    ensure!(found == (batch.good, batch.price_sum), "delta-rs finds {found:?} in our table");
    println!("{} rows in {version} versions: receipts = rows = rows by delta-rs", batch.good);

    let scratch = options.scratch("peers")?;
    let source = scratch.path().join("events.ndjson");
    let batch = Batch::new(versions.min(VERSIONS_OF_PEER_MAX) * ROWS_A_COMMIT as u64, 0);
    std::fs::write(&source, &batch.bytes)?;
    let table = scratch.path().join("table");
    let mut driver = peers.command("deltalake_growth.py", "write");
    driver.arg(&source).arg(&table).args([ROWS_A_COMMIT.to_string(), WINDOW.to_string(), EARLY.to_string()]);
    let theirs: Value = serde_json::from_slice(&output(&mut driver)?).context("the driver's answer")?;
    let found = peers.check("deltalake_table.py", &table)?;
    ensure!(found == (batch.good, batch.price_sum), "delta-rs finds {found:?} in its own table");

    println!("{:<24} {:>14} {:>14} {:>16}", "", "commit CPU ms", "commit ms", "newest rows ms");
    for cost in &costs {
        println!(
            "{:<24} {:>14.2} {:>14.2} {:>16.2}",
            format!("headwater at {}", cost.version),
            cost.processor * 1e3,
            cost.wall * 1e3,
            cost.question_ms
        );
    }
    for cost in theirs["costs"].as_array().into_iter().flatten() {
        let [processor, wall, question] =
            ["processor", "wall", "question"].map(|name| cost[name].as_f64().unwrap_or(f64::NAN) * 1e3);
        println!(
            "{:<24} {processor:>14.2} {wall:>14.2} {question:>16.2}",
            format!("deltalake at {}", cost["version"])
        );
    }
    println!("deltalake opens its table in {:.1} ms", theirs["open"].as_f64().unwrap_or(f64::NAN) * 1e3);
    let opening = (ready.as_secs_f64() - empty_ready.as_secs_f64()) * 1e3;
    println!(
        "ready after {:.0} ms, an empty directory after {:.0} ms",
        ready.as_secs_f64() * 1e3,
        empty_ready.as_secs_f64() * 1e3
    );
    if let [early, late] = costs.as_slice() {
        at_most("processor time of a commit, late / early", late.processor / early.processor, 1.2);
        at_most("a commit, late / early", late.wall / early.wall, 1.2);
        at_most("opening, ms", opening, 50.0);
        at_most("a question about the newest rows, late / early", late.question_ms / early.question_ms, 1.2);
    }
    Ok(())
}

/// The median of a question about the rows of the last 50 commits, by their event time: one millisecond a commit.
fn question(ours: &Ours, commits: u64) -> Result<f64> {
    let from = Duration::from_millis(commits.saturating_sub(50));
    let text = format!(
        "SELECT count(*), sum(price), max(channel) FROM {STREAM} WHERE date_time >= TIMESTAMP '2026-11-21T20:{:02}:{:02}.{:03}Z'",
        from.as_secs() / 60,
        from.as_secs() % 60,
        from.subsec_millis()
    );
    let mut times = Vec::new();
    for _ in 0..QUESTIONS {
        let began = Instant::now();
        let rows = ours.server.rows(&text)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
        ensure!(rows[0][0] == (50 * ROWS_A_COMMIT).to_string(), "{text}: {rows:?}");
    }
    Ok(median(&times))
}
