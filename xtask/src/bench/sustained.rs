//! `bench sustained`: one long run from socket to committed Delta, and what it leaves. Memory is RssAnon of the server and all
//! its processes, ten times a second. Always: the counts agree as in every bench; what an idle server takes is measured before
//! the first event.

use std::time::Duration;

use anyhow::Result;

use super::{
    Options,
    events::{Batch, EVENTS_PATH},
    load::{self, Load},
    ours::Ours,
    verdict::{at_least, at_most},
};
use crate::measure::{
    Watch, anonymous_memory_of_family, bytes_below, own_processor_time, percentile, processor_time,
};

const EVENTS: u64 = 30_000_000;
/// So many lie in memory at once; more of them come again.
const EVENTS_IN_MEMORY: u64 = 10_000_000;
const EVENTS_A_BODY: usize = 1_000;
const CONNECTIONS: usize = 16;
/// How long the server is left alone before its idle memory is read.
const IDLE: Duration = Duration::from_secs(2);

pub fn run(options: &Options) -> Result<()> {
    let asked = options.events.unwrap_or(EVENTS);
    let turns = asked.div_ceil(EVENTS_IN_MEMORY);
    let batch = Batch::new(asked.div_ceil(turns), 0).in_turns(turns);
    let events = batch.rows();
    let ours = Ours::start(options, "")?;
    let pid = ours.server.pid();
    std::thread::sleep(IDLE);
    let idle_mib = anonymous_memory_of_family(pid) as f64 / 1024.0;
    let (before, load_before) = (processor_time(pid), own_processor_time());
    let watch = Watch::start(pid);
    let sent = load::send(&Load {
        address: ours.address(),
        path: EVENTS_PATH,
        connections: CONNECTIONS,
        bytes: &batch.bytes,
        bodies: &batch.bodies(EVENTS_A_BODY),
    })?;
    let load = own_processor_time() - load_before;
    let waited = ours.wait_until_committed(sent.last_seq)?;
    let processor = processor_time(pid) - before;
    let peak_mib = watch.peak_mib();
    drop(watch);
    ours.check(&batch, &sent)?;
    let (parquet, log) = ours.table_bytes()?;
    let journal = bytes_below(&ours.data().join("journal"), &|_| true);
    let files = std::fs::read_dir(ours.table())?.count();
    let ready = ours.server.ready_after;
    ours.stop()?;

    let wall = (sent.wall + waited).as_secs_f64();
    println!(
        "{events} events ({} MB), {EVENTS_A_BODY} a body, {CONNECTIONS} connections, ack=disk: receipts = ledger = rows",
        batch.bytes.len() as u64 * turns / 1_000_000
    );
    println!(
        "to the last answer {:.1} s, to the last commit {wall:.1} s; refused {}",
        sent.wall.as_secs_f64(),
        sent.refused
    );
    let [p50, p99, worst] = [50, 99, 100].map(|percent| percentile(&sent.times, percent).as_secs_f64() * 1e3);
    println!("a request took p50 {p50:.1} ms, p99 {p99:.1} ms, at most {worst:.1} ms");
    println!(
        "{:.2} CPU s, {:.0} ns an event; the load took {:.2} CPU s beside it",
        processor.as_secs_f64(),
        processor.as_secs_f64() * 1e9 / events as f64,
        load.as_secs_f64()
    );
    println!(
        "on disk: {:.1} B an event in {files} files ({:.1} Parquet, {:.2} Delta log); journal {} MiB",
        (parquet + log) as f64 / events as f64,
        parquet as f64 / events as f64,
        log as f64 / events as f64,
        journal >> 20
    );
    println!();
    at_least("M events/s, socket to committed Delta", events as f64 / wall / 1e6, 0.8, 1.5);
    at_most("peak memory while events come, MiB", peak_mib, 256.0);
    at_most("idle memory, MiB", idle_mib, 100.0);
    at_most("ready after, s", ready.as_secs_f64(), 0.5);
    Ok(())
}
