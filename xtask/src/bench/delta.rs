//! `bench delta`: events as NDJSON to rows in a table. We take them over HTTP, check them, hash a field, keep what is bad,
//! sync, and commit to Delta with two columns more than were sent for each one; the peers read a file. Processor seconds of
//! whole processes, from their start: ours to the last commit, and once with the compaction that comes after; theirs to their end.

use std::{path::PathBuf, time::Duration};

use anyhow::{Result, ensure};

use super::{
    Options,
    events::{Batch, EVENTS_PATH},
    load::{self, Load},
    ours::{Ours, table_in},
    peers::Peers,
    verdict::{Side, at_least},
};
use crate::measure::{Watch, bytes_below, processor_time};

const EVENTS: u64 = 2_000_000;
const PAIRS: u64 = 3;
const EVENTS_A_BODY: usize = 1_000;
const CONNECTIONS: usize = 4;
const BAD_OF_TEN: u64 = 3;

struct Peer {
    driver: &'static str,
    /// The name of its result.
    leaves: &'static str,
    /// The least its CPU must be, in that of ours, and the goal.
    asked: Option<(f64, f64)>,
}

const PEERS: [Peer; 3] = [
    Peer { driver: "duckdb_parquet.py", leaves: "duckdb.parquet", asked: Some((1.2, 2.5)) },
    Peer { driver: "chdb_mergetree.py", leaves: "chdb", asked: Some((2.0, 4.0)) },
    Peer { driver: "deltalake_table.py", leaves: "deltalake", asked: None },
];

pub fn run(options: &Options) -> Result<()> {
    let (events, pairs) = (options.events.unwrap_or(EVENTS), options.pairs.unwrap_or(PAIRS));
    let peers = Peers::install()?;
    let clean = Batch::new(events, 0);
    let mixed = Batch::new(events, BAD_OF_TEN);
    let scratch = options.scratch("peers")?;
    let source = scratch.path().join("events.ndjson");
    std::fs::write(&source, &clean.bytes)?;
    println!(
        "{events} events, {} MB, {EVENTS_A_BODY} a body, {CONNECTIONS} connections",
        clean.bytes.len() / 1_000_000
    );

    let [mut disk, mut os, mut bad] = [Side::default(), Side::default(), Side::default()];
    let mut theirs = PEERS.map(|_| Side::default());
    let mut compaction = Duration::ZERO;
    for pair in 0..pairs {
        for (index, Peer { driver, leaves, .. }) in PEERS.iter().enumerate() {
            compaction += match index {
                0 => ours(options, &peers, &clean, "disk", &mut disk, pair == 0)?,
                1 => ours(options, &peers, &clean, "os", &mut os, false)?,
                _ => ours(options, &peers, &mixed, "disk", &mut bad, false)?,
            };
            let out = scratch.path().join(leaves);
            remove(&out)?;
            let ran = peers.run(driver, &[&source, &out])?;
            let found = peers.check(driver, &out)?;
            ensure!(found == (clean.good, clean.price_sum), "{driver}: rows and sum are {found:?}");
            let bytes = if out.is_dir() { bytes_below(&out, &|_| true) } else { out.metadata()?.len() };
            theirs[index].add(ran.processor, ran.wall, ran.peak_mib, bytes);
        }
    }
    println!();
    disk.tell("headwater, ack=disk", events);
    os.tell("headwater, ack=os", events);
    bad.tell("headwater, ack=disk, 30 % bad", events);
    for (Peer { driver, .. }, side) in PEERS.iter().zip(&theirs) {
        side.tell(driver.trim_end_matches(".py"), events);
    }
    println!();
    for (Peer { driver, asked, .. }, side) in PEERS.iter().zip(&theirs) {
        let name = driver.trim_end_matches(".py");
        for (level, ours) in [("disk", &disk), ("os", &os)] {
            let found = side.cpu() / ours.cpu();
            match asked {
                Some((floor, goal)) => {
                    at_least(&format!("CPU of {name} / ours at ack={level}"), found, *floor, *goal)
                }
                None => println!("{:<58} {found:>8.2}", format!("CPU of {name} / ours at ack={level}")),
            }
        }
        let found = side.cpu() / (disk.cpu() + compaction.as_secs_f64());
        println!("{:<58} {found:>8.2}", "  the same at ack=disk, with compaction");
    }
    at_least("events per CPU second, 30 % bad / clean", disk.cpu() / bad.cpu(), 0.7, 1.0);
    Ok(())
}

/// Returns what compaction took after the last commit, if it was to be waited for.
fn ours(
    options: &Options,
    peers: &Peers,
    batch: &Batch,
    ack: &str,
    side: &mut Side,
    compact: bool,
) -> Result<Duration> {
    let ours = Ours::start(options, "")?;
    let pid = ours.server.pid();
    let watch = Watch::start(pid);
    let bodies = batch.bodies(EVENTS_A_BODY);
    let sent = load::send(&Load {
        address: ours.address(),
        path: &format!("{EVENTS_PATH}?ack={ack}"),
        connections: CONNECTIONS,
        bytes: &batch.bytes,
        bodies: &bodies,
    })?;
    let at_last_answer = processor_time(pid);
    let waited = ours.wait_until_committed(sent.last_seq)?;
    let processor = processor_time(pid);
    let peak_mib = watch.peak_mib();
    drop(watch);
    ours.check(batch, &sent)?;
    let (parquet, log) = ours.table_bytes()?;
    let compaction = if compact { ours.compact()? } else { Duration::ZERO };
    let compacted = ours.table_bytes()?;
    let stopped = ours.stop()?;
    // Another engine finds the same in the table.
    let found = peers.check("deltalake_table.py", &table_in(&stopped))?;
    ensure!(found == (batch.good, batch.price_sum), "delta-rs finds {found:?} in our table");
    let wall = sent.wall + waited;
    println!(
        "ack={ack}: {:.2} CPU s ({:.2} at the last answer), {:.2} s wall ({:.2}), {peak_mib:.0} MiB; \
         {} accepted, {} rejected = ledger = rows = rows by delta-rs; {} refused",
        processor.as_secs_f64(),
        at_last_answer.as_secs_f64(),
        wall.as_secs_f64(),
        sent.wall.as_secs_f64(),
        sent.accepted,
        sent.rejected,
        sent.refused
    );
    if compact {
        println!(
            "  compaction after that: {:.2} CPU s, then {:.1} B/event on disk",
            compaction.as_secs_f64(),
            (compacted.0 + compacted.1) as f64 / batch.good as f64
        );
    }
    side.add(processor, wall, peak_mib, parquet + log);
    Ok(compaction)
}

fn remove(path: &PathBuf) -> Result<()> {
    if path.is_dir() {
        std::fs::remove_dir_all(path)?;
    } else if path.exists() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}
