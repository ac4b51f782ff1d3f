//! `bench freshness`: how soon an acknowledged event is seen by SQL, and what SQL costs while events come. Over a table that is
//! large already. Always: each look is a new statement that reads what came since the last one, and the rows of all looks
//! together are exactly those that were sent, so nothing was seen twice, late or not at all.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use super::{
    Options,
    events::{Batch, EVENTS_PATH, STREAM},
    load::{self, Load},
    ours::Ours,
    paced::{Acknowledged, Paced},
    verdict::at_most,
};
use crate::measure::{median, percentile};

const EVENTS: u64 = 10_000_000;
const RATE: u64 = 50_000;
const EVENTS_A_BODY: u64 = 500;
const LASTS: u64 = 20;
const LOOK_EVERY: Duration = Duration::from_millis(50);
const LOOKS_AFTER_THE_LAST: Duration = Duration::from_secs(10);
/// What an analyst asks: all rows of one column; a group; a group of few rows of a string.
const STATEMENTS: [&str; 3] = [
    "SELECT count(*), sum(price) FROM bid",
    "SELECT channel, count(*), avg(price), max(temp) FROM bid GROUP BY channel ORDER BY channel",
    "SELECT auction, count(*) AS bids FROM bid GROUP BY auction ORDER BY bids DESC, auction LIMIT 10",
];
const TIMES: usize = 5;

pub fn run(options: &Options) -> Result<()> {
    let events = options.events.unwrap_or(EVENTS);
    let ours = Ours::start(options, "")?;
    let batch = Batch::new(events, 0);
    fill(&ours, &batch, 4)?;
    println!("{events} rows in the table");

    let (times, looks) = look_while_events_come(&ours, &batch)?;
    let [p50, p99, worst] = [50, 99, 100].map(|percent| percentile(&times, percent).as_secs_f64() * 1e3);
    let [look50, look99] = [50, 99].map(|percent| percentile(&looks, percent).as_secs_f64() * 1e3);
    println!(
        "{RATE} events/s for {LASTS} s, {EVENTS_A_BODY} a body, ack=disk; a new SELECT each {} ms, {} of them, p50 {look50:.1} ms, p99 {look99:.1} ms",
        LOOK_EVERY.as_millis(),
        looks.len(),
    );
    println!("acknowledged to seen: p50 {p50:.1} ms, p99 {p99:.1} ms, at most {worst:.1} ms");
    at_most("acknowledged to seen by SQL, p99, ms", p99, 100.0);

    // Alone, under load, alone, under load.
    let more = Batch::new(events.min(4_000_000), 0);
    let mut alone = STATEMENTS.map(|_| Vec::new());
    let mut under_load = STATEMENTS.map(|_| Vec::new());
    let mut rates = Vec::new();
    for _ in 0..2 {
        ask(&ours, &mut alone, || true)?;
        std::thread::scope(|scope| -> Result<()> {
            let loader = scope.spawn(|| fill(&ours, &more, 4));
            std::thread::sleep(Duration::from_millis(500));
            ask(&ours, &mut under_load, || !loader.is_finished())?;
            let sent = loader.join().map_err(|_| anyhow::anyhow!("the load panicked"))??;
            rates.push(more.rows() as f64 / sent.wall.as_secs_f64());
            Ok(())
        })?;
    }
    println!("\nSQL while {:.0} events/s come (as many as it takes), against alone", median(&rates));
    for (statement, (alone, under_load)) in STATEMENTS.iter().zip(alone.iter().zip(&under_load)) {
        let [alone_ms, load_ms] = [alone, under_load].map(|times| median(times) * 1e3);
        println!("{statement}: {alone_ms:.0} ms alone, {load_ms:.0} ms under load (of {})", under_load.len());
        at_most("  slower by", load_ms / alone_ms, 1.5);
    }
    ours.stop()?;
    Ok(())
}

fn fill(ours: &Ours, batch: &Batch, connections: usize) -> Result<load::Sent> {
    let sent = load::send(&Load {
        address: ours.address(),
        path: EVENTS_PATH,
        connections,
        bytes: &batch.bytes,
        bodies: &batch.bodies(1_000),
    })?;
    ensure!(sent.accepted == batch.rows(), "{} of {} were accepted", sent.accepted, batch.rows());
    ours.wait_until_committed(sent.last_seq)?;
    Ok(sent)
}

/// How long each request took to be seen, and how long each look took.
fn look_while_events_come(ours: &Ours, batch: &Batch) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let acknowledged: Mutex<Vec<Acknowledged>> = Mutex::new(Vec::new());
    let mut seen = ours.server.numbers(&format!("SELECT max(_seq) FROM {STREAM}"))?[0];
    let requests = (RATE * LASTS / EVENTS_A_BODY) as usize;
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let load = Paced {
                address: ours.address(),
                batch,
                events_a_second: RATE,
                events_a_body: EVENTS_A_BODY,
                connections: 1,
            };
            load.send(
                |body| body < requests,
                |body| {
                    if let Ok(mut acknowledged) = acknowledged.lock() {
                        acknowledged.push(body);
                    }
                },
            )
        });
        let (mut times, mut looks) = (Vec::new(), Vec::new());
        let (mut rows, mut pending) = (0, 0);
        let mut give_up = None;
        while pending < requests {
            if sender.is_finished() {
                let give_up = give_up.get_or_insert(Instant::now() + LOOKS_AFTER_THE_LAST);
                ensure!(Instant::now() < *give_up, "{pending} of {requests} requests were seen");
            }
            let began = Instant::now();
            let found = ours.server.numbers(&format!(
                "SELECT count(*), coalesce(max(_seq), {seen}), coalesce(sum(price), 0) FROM {STREAM} WHERE _seq > {seen}"
            ))?;
            let ended = Instant::now();
            looks.push(ended - began);
            rows += found[0] as u64;
            seen = found[1];
            if let Ok(acknowledged) = acknowledged.lock() {
                // One may be seen before its answer has come.
                while let Some(next) = acknowledged.get(pending).filter(|next| next.seq as i64 <= seen) {
                    times.push(ended.saturating_duration_since(next.at));
                    pending += 1;
                }
            }
            std::thread::sleep(LOOK_EVERY.saturating_sub(began.elapsed()));
        }
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        ensure!(rows == requests as u64 * EVENTS_A_BODY, "{rows} rows were seen");
        Ok((times, looks))
    })
}

/// Each statement some times, in turns, while `goes_on`.
fn ask(ours: &Ours, times: &mut [Vec<f64>], goes_on: impl Fn() -> bool) -> Result<()> {
    for _ in 0..TIMES {
        for (statement, times) in STATEMENTS.iter().zip(times.iter_mut()) {
            if !goes_on() {
                return Ok(());
            }
            let began = Instant::now();
            ours.server.rows(statement)?;
            times.push(began.elapsed().as_secs_f64());
        }
    }
    Ok(())
}
