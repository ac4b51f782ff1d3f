//! `bench queries`: statements as analysts ask them, over HTTP and with all checks of our reading, against DuckDB in its own
//! process over one Parquet file of the same rows. Always: both give the same answer, each time; the first time is not counted.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Options,
    events::{Batch, EVENTS_PATH},
    load::{self, Load},
    ours::Ours,
    peers::Peers,
};
use crate::{
    measure::{median, processor_time},
    workspace::output,
};

const EVENTS: u64 = 4_000_000;
const TIMES: usize = 5;
const STATEMENTS: [&str; 12] = [
    "SELECT count(*) FROM bid",
    "SELECT sum(price), avg(price), min(temp), max(temp) FROM bid",
    "SELECT count(DISTINCT bidder) FROM bid",
    "SELECT channel, count(*) AS c FROM bid GROUP BY channel ORDER BY c DESC, channel",
    "SELECT auction, count(*) AS c, sum(price) AS s FROM bid GROUP BY auction ORDER BY c DESC, auction LIMIT 10",
    "SELECT channel, auction, count(*) AS c FROM bid GROUP BY channel, auction ORDER BY c DESC, channel, auction LIMIT 10",
    "SELECT count(*) FROM bid WHERE url LIKE '%/a1%'",
    "SELECT channel, max(length(url)), avg(length(extra)) FROM bid GROUP BY channel ORDER BY channel",
    "SELECT count(*), sum(price) FROM bid WHERE price > 9990000 AND channel = 'Apple'",
    "SELECT extract(second FROM date_time) AS s, count(*), sum(price) FROM bid GROUP BY extract(second FROM date_time) ORDER BY s",
    "SELECT auction, price, extra FROM bid ORDER BY price DESC, auction, extra LIMIT 10",
    "SELECT count(*), sum(price) FROM bid WHERE date_time >= TIMESTAMP '2026-11-21T20:00:30Z' AND date_time < TIMESTAMP '2026-11-21T20:00:40Z'",
];

pub fn run(options: &Options) -> Result<()> {
    let batch = Batch::new(options.events.unwrap_or(EVENTS), 0);
    let peers = Peers::install()?;
    let scratch = options.scratch("peers")?;
    let (source, parquet) = (scratch.path().join("events.ndjson"), scratch.path().join("bid.parquet"));
    std::fs::write(&source, &batch.bytes)?;
    peers.run("duckdb_parquet.py", &[&source, &parquet])?;
    let statements = scratch.path().join("statements.json");
    std::fs::write(&statements, serde_json::to_vec(&STATEMENTS)?)?;

    let ours = Ours::start(options, "")?;
    let sent = load::send(&Load {
        address: ours.address(),
        path: EVENTS_PATH,
        connections: 4,
        bytes: &batch.bytes,
        bodies: &batch.bodies(1_000),
    })?;
    ours.wait_until_committed(sent.last_seq)?;
    ours.check(&batch, &sent)?;

    // Ours, theirs, ours, theirs.
    let pid = ours.server.pid();
    let mut mine = STATEMENTS.map(|_| Times::default());
    let mut theirs = STATEMENTS.map(|_| Times::default());
    for _ in 0..options.pairs.unwrap_or(2) {
        let mut rows = Vec::new();
        for (statement, times) in STATEMENTS.iter().zip(&mut mine) {
            let before = processor_time(pid);
            for time in 0..TIMES {
                let began = Instant::now();
                let answer = ours.server.rows(statement)?;
                times.add(time, began.elapsed().as_secs_f64());
                if time + 1 == TIMES {
                    rows.push(answer);
                }
            }
            times.processor.push((processor_time(pid) - before).as_secs_f64() / TIMES as f64);
        }
        let mut ask = peers.command("duckdb_queries.py", "ask");
        let answers = output(ask.arg(&parquet).arg(&statements).arg(TIMES.to_string()))?;
        let answers: Vec<Value> = serde_json::from_slice(&answers).context("the driver's answer")?;
        ensure!(answers.len() == STATEMENTS.len(), "{} answers", answers.len());
        for (index, answer) in answers.iter().enumerate() {
            let seconds = answer["seconds"].as_array().into_iter().flatten().filter_map(Value::as_f64);
            seconds.enumerate().for_each(|(time, seconds)| theirs[index].add(time, seconds));
            theirs[index].processor.push(answer["processor"].as_f64().unwrap_or(f64::NAN) / TIMES as f64);
            ensure!(
                same(&rows[index], &answer["rows"]),
                "{}: ours {:?}, theirs {}",
                STATEMENTS[index],
                rows[index],
                answer["rows"]
            );
        }
    }
    ours.stop()?;
    println!(
        "{} rows, answers agree\n{:>8} {:>8} {:>9} {:>9}",
        batch.rows(),
        "ours ms",
        "duckdb",
        "ours CPU",
        "duckdb"
    );
    let mut ratios = Vec::new();
    for (statement, (mine, theirs)) in STATEMENTS.iter().zip(mine.iter().zip(&theirs)) {
        let [ours_ms, theirs_ms] = [mine, theirs].map(|times| median(&times.wall) * 1e3);
        let [ours_cpu, theirs_cpu] = [mine, theirs].map(|times| median(&times.processor) * 1e3);
        println!("{ours_ms:>8.1} {theirs_ms:>8.1} {ours_cpu:>9.1} {theirs_cpu:>9.1}  {statement}");
        ratios.push(ours_ms / theirs_ms);
    }
    let mean = (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    println!("ours / duckdb, geometric mean of wall times: {mean:.2}");
    Ok(())
}

#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    processor: Vec<f64>,
}

impl Times {
    fn add(&mut self, time: usize, seconds: f64) {
        if time > 0 {
            self.wall.push(seconds);
        }
    }
}

/// Numbers may differ in how they are written and in the order of additions, nothing else.
fn same(ours: &[Vec<String>], theirs: &Value) -> bool {
    let theirs: Vec<Vec<&str>> = theirs
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| row.as_array().into_iter().flatten().filter_map(Value::as_str).collect())
        .collect();
    ours.len() == theirs.len()
        && ours.iter().zip(&theirs).all(|(ours, theirs)| {
            ours.len() == theirs.len()
                && ours.iter().zip(theirs).all(|(a, b)| match (a.parse::<f64>(), b.parse::<f64>()) {
                    (Ok(a), Ok(b)) => (a - b).abs() <= 1e-9 * a.abs().max(1.0),
                    _ => a == b,
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_compared_by_value() {
        let ours = [vec!["Apple".to_owned(), "2.0".to_owned()]];
        assert!(same(&ours, &serde_json::json!([["Apple", "2"]])));
        for other in [
            serde_json::json!([["Apple", "2.1"]]),
            serde_json::json!([["apple", "2"]]),
            serde_json::json!([]),
        ] {
            assert!(!same(&ours, &other), "{other}");
        }
    }
}
