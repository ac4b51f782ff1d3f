//! `bench generation`: a changed annotation reaches all rows of a large table while events come. A plain text becomes a digest, a
//! digest goes, another plain text becomes a token. Always: no event is lost, in the end every row has the new columns, and what
//! the directory holds is told beside what lives. What is left of old values in any byte is looked at by a test.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    events::{Batch, EVENTS_PATH, SCHEMA, STREAM},
    load::{self, Load},
    ours::Ours,
    paced::Paced,
    verdict::at_most,
};
use crate::measure::{Watch, bytes_below, percentile, processor_time};

const EVENTS: u64 = 10_000_000;
const RATE: u64 = 20_000;
const EVENTS_A_BODY: u64 = 200;
const CONNECTIONS: usize = 4;
/// How long events come before the change.
const UNDISTURBED: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);
/// An acknowledgement that takes so long is told with its moment.
const SLOW: Duration = Duration::from_millis(20);
/// Swapped and forgotten by then, or the bench fails.
const GENERATION_MAX: Duration = Duration::from_secs(1_800);

/// Each as it stands in the schema of before and of after.
const CHANGES: [(&str, &str); 3] = [
    (r#""x-privacy": "hash""#, r#""x-privacy": "drop""#),
    (r#""maxLength": 200"#, r#""maxLength": 200, "x-privacy": "hash""#),
    (r#""maxLength": 100"#, r#""maxLength": 100, "x-privacy": "tokenize""#),
];

fn changed() -> Result<String> {
    let mut schema = SCHEMA.to_owned();
    for (before, after) in CHANGES {
        ensure!(schema.matches(before).count() == 1, "the schema has {before} not once");
        schema = schema.replace(before, after);
    }
    Ok(schema)
}

pub fn run(options: &Options) -> Result<()> {
    let events = options.events.unwrap_or(EVENTS);
    // Events of these rows come again and again afterwards.
    let batch = Batch::new(events, 0);
    let mut ours = Ours::start(options, "")?;
    let sent = load::send(&Load {
        address: ours.address(),
        path: EVENTS_PATH,
        connections: CONNECTIONS,
        bytes: &batch.bytes,
        bodies: &batch.bodies(1_000),
    })?;
    ours.wait_until_committed(sent.last_seq)?;
    ours.check(&batch, &sent)?;
    ours.wait_until_idle()?;
    println!("{events} rows in the table, compacted");

    let alone = paced(&ours, &batch, |began| began.elapsed() < UNDISTURBED)?;
    ours.wait_until_committed(alone.last_seq)?;
    alone.tell("undisturbed");

    ours = ours.start_again_with(&changed()?)?;
    let began = Instant::now();
    let ends = AtomicBool::new(false);
    let (beside, swapped, forgotten) = std::thread::scope(|scope| -> Result<_> {
        let sender = scope.spawn(|| paced(&ours, &batch, |_| !ends.load(Ordering::SeqCst)));
        let waited = wait_for_generation(&ours, began);
        ends.store(true, Ordering::SeqCst);
        let beside = sender.join().map_err(|_| anyhow::anyhow!("the senders panicked"))??;
        let (swapped, forgotten) = waited?;
        Ok((beside, swapped, forgotten))
    })?;
    beside.tell("beside the rewrite");
    ours.wait_until_committed(beside.last_seq)?;

    let all = events + alone.events + beside.events;
    let row = ours.server.numbers(&format!(
        "SELECT count(*), count(*) FILTER (WHERE length(url) = 64), count(DISTINCT extra), min(length(extra)) FROM {STREAM}"
    ))?;
    println!("in the end {row:?}: rows, digests, distinct tokens, the shortest");
    ensure!(row[0] == all as i64 && row[1] == row[0], "{all} were acknowledged, the table says {row:?}");
    let gone = ours.server.sql_answer(&format!("SELECT bidder FROM {STREAM}"), "text/csv")?;
    ensure!(gone.status == 400, "the dropped column is there: {}", gone.status);
    let (live, _) = ours.table_bytes()?;
    let there = bytes_below(&ours.table(), &|name| name.ends_with(".parquet"));
    println!("Parquet in the directory {} MB, live {} MB", there / 1_000_000, live / 1_000_000);

    // What the same events cost without the rewrite is taken off.
    let ingest = alone.processor.as_secs_f64() / alone.events as f64 * beside.events as f64;
    let processor = beside.processor.as_secs_f64() - ingest;
    println!(
        "{events} rows: swapped after {:.1} s, old bytes gone after {:.1} s; {processor:.1} CPU s beside {ingest:.1} of ingestion: {:.0} rows a CPU second",
        swapped.as_secs_f64(),
        forgotten.as_secs_f64(),
        events as f64 / processor
    );
    at_most("p99 of an acknowledgement, beside over undisturbed", beside.p99() / alone.p99(), 2.0);
    at_most("peak memory beside the rewrite, MiB", beside.peak_mib, 256.0);
    ours.stop()?;
    Ok(())
}

/// What a load at the rate came to.
struct Phase {
    events: u64,
    last_seq: u64,
    /// From the moment a body was due.
    times: Vec<Duration>,
    pauses: Vec<Pause>,
    processor: Duration,
    peak_mib: f64,
}

/// Bodies after one another that waited for `SLOW` and longer.
struct Pause {
    /// In the phase.
    began: Duration,
    longest: Duration,
}

impl Phase {
    fn p99(&self) -> f64 {
        percentile(&self.times, 99).as_secs_f64() * 1e3
    }

    fn tell(&self, name: &str) {
        let p50 = percentile(&self.times, 50).as_secs_f64() * 1e3;
        println!(
            "{name}: {} events at {RATE} a second, {EVENTS_A_BODY} a body, ack=disk: p50 {p50:.1} ms, p99 {:.1} ms; {:.1} CPU s, {:.0} MiB at most",
            self.events,
            self.p99(),
            self.processor.as_secs_f64(),
            self.peak_mib
        );
        let told: Vec<_> = self
            .pauses
            .iter()
            .map(|pause| {
                format!("{:.0} ms at {:.1} s", pause.longest.as_secs_f64() * 1e3, pause.began.as_secs_f64())
            })
            .collect();
        println!("  pauses: {}", if told.is_empty() { "none".to_owned() } else { told.join(", ") });
    }
}

fn paced(ours: &Ours, batch: &Batch, goes_on: impl Fn(Instant) -> bool + Sync) -> Result<Phase> {
    let pid = ours.server.pid();
    let (began, before, watch) = (Instant::now(), processor_time(pid), Watch::start(pid));
    let seen = Mutex::new((Vec::new(), 0));
    let load = Paced {
        address: ours.address(),
        batch,
        events_a_second: RATE,
        events_a_body: EVENTS_A_BODY,
        connections: CONNECTIONS,
    };
    let bodies = load.send(
        |_| goes_on(began),
        |body| {
            if let Ok(mut seen) = seen.lock() {
                let took = body.at.saturating_duration_since(body.due);
                seen.0.push((body.due.saturating_duration_since(began), took));
                seen.1 = seen.1.max(body.seq);
            }
        },
    )?;
    let (mut seen, last_seq) = seen.into_inner().ok().context("a sender panicked")?;
    seen.sort();
    let pauses = pauses(&seen);
    let times: Vec<_> = seen.into_iter().map(|(_, took)| took).collect();
    ensure!(times.len() == bodies, "{} of {bodies} bodies were answered", times.len());
    let processor = processor_time(pid) - before;
    Ok(Phase {
        events: bodies as u64 * EVENTS_A_BODY,
        last_seq,
        times,
        pauses,
        processor,
        peak_mib: watch.peak_mib(),
    })
}

/// Of bodies in the order in which they were due: when, and how long each took.
fn pauses(bodies: &[(Duration, Duration)]) -> Vec<Pause> {
    let slow_ones = bodies.split(|(_, took)| *took < SLOW).filter(|slow| !slow.is_empty());
    slow_ones
        .filter_map(|slow| {
            let longest = slow.iter().map(|(_, took)| *took).max()?;
            Some(Pause { began: slow.first()?.0, longest })
        })
        .collect()
}

/// When the table was the new one, and when nothing of the old one was left.
fn wait_for_generation(ours: &Ours, began: Instant) -> Result<(Duration, Duration)> {
    let mut swapped = None;
    loop {
        let status = ours.status()?;
        let left = status["generations"].as_array().context("the status tells no generations")?;
        if swapped.is_none() && left.iter().all(|one| one["phase"] == "forgetting") {
            swapped = Some(began.elapsed());
        }
        if let (true, Some(swapped)) = (left.is_empty(), swapped) {
            return Ok((swapped, began.elapsed()));
        }
        ensure!(began.elapsed() < GENERATION_MAX, "no end of the rewrite: {status}");
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_changed_in_three_places() {
        let schema: serde_json::Value = serde_json::from_str(&changed().unwrap()).unwrap();
        let privacy = |field: &str| schema["properties"][field]["x-privacy"].clone();
        let wanted = ["drop".into(), "hash".into(), "tokenize".into(), serde_json::Value::Null];
        assert_eq!(["bidder", "url", "extra", "auction"].map(privacy), wanted);
    }
}
