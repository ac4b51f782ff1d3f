//! `bench mix`: five kinds of events of a video service, about 3 KB each (`bench/mix`), from socket to committed Delta; and
//! how many machines a large load would take at the measured cost, as arithmetic.
//! Always: the counts agree as in every bench; each step of the arithmetic is printed, and that the large load was not run.

use std::{ops::Range, path::Path, process::Command};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    load::{self, Load, Sent},
    ours::wait_until_committed,
};
use crate::{
    measure::{Watch, bytes_below, processor_time},
    server::{Launch, Server},
    workspace::root,
};

const KINDS: [&str; 5] = ["viewing", "ui", "errors", "performance", "diagnostics"];
/// Of all kinds together.
const EVENTS: u64 = 100_000;
const EVENTS_A_BODY: usize = 100;

/// The load to be carried, as published of a pipeline of this kind: events a day, and events and bytes a second at the peak.
const EVENTS_A_DAY: f64 = 500e9;
const PEAK_EVENTS: f64 = 8e6;
const PEAK_BYTES: f64 = 24e9;
/// The machine of the arithmetic: cores, network and disk in bytes a second, and how much of each is to be used at the peak.
const CORES: f64 = 32.0;
const NETWORK: f64 = 25e9 / 8.0;
const DISK: f64 = 2e9;
const USED: f64 = 0.6;

struct Bodies {
    kind: &'static str,
    bytes: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

pub fn run(options: &Options) -> Result<()> {
    let each = (options.events.unwrap_or(EVENTS) / KINDS.len() as u64).max(1);
    let events = each * KINDS.len() as u64;
    let scratch = options.scratch("mix")?;
    let project = root().join("bench/mix");
    let bodies = KINDS.iter().map(|kind| make(options, &project, scratch.path(), kind, each));
    let bodies = bodies.collect::<Result<Vec<_>>>()?;
    let bytes: usize = bodies.iter().map(|bodies| bodies.bytes.len()).sum();

    let mut launch = Launch::new(&options.binary, scratch.path(), &scratch.path().join("data"), &[])?;
    launch.project = project;
    let server = launch.start()?;
    let pid = server.pid();
    let (before, written_before) = (processor_time(pid), written(pid)?);
    let watch = Watch::start(pid);
    let sent = send_all(&server, &bodies)?;
    let last = sent.iter().map(|sent| sent.last_seq).max().unwrap_or(0);
    wait_until_committed(&server, last)?;
    let seconds = (processor_time(pid) - before).as_secs_f64();
    let written = written(pid)? - written_before;
    let peak_mib = watch.peak_mib();
    drop(watch);
    for (sent, kind) in sent.iter().zip(KINDS) {
        let receipts = [sent.accepted, sent.rejected, sent.duplicates];
        ensure!(receipts == [each, 0, 0], "{kind}: receipts say {receipts:?}");
        let rows = server.numbers(&format!("SELECT count(*) FROM {kind}"))?;
        ensure!(rows == [each as i64], "{kind}: the table says {rows:?}");
    }
    let ledger = server.numbers("SELECT sum(received), sum(stored) FROM ledger")?;
    ensure!(ledger == [events as i64; 2], "the ledger says {ledger:?}");
    let parquet = bytes_below(&launch.data.join("lake"), &|name| name.ends_with(".parquet"));
    server.terminate()?;

    let (per_event, mean) = (seconds / events as f64, bytes as f64 / events as f64);
    let written = written as f64 / events as f64;
    println!(
        "{events} events of five kinds, {mean:.0} B each, {EVENTS_A_BODY} a body, ack=disk: receipts = ledger = rows"
    );
    println!(
        "{seconds:.2} CPU s: {:.0} events, {:.1} MB a CPU second; written {written:.0} B an event, Parquet of it {:.0} B; \
         peak memory {peak_mib:.0} MiB",
        1.0 / per_event,
        mean / per_event / 1e6,
        parquet as f64 / events as f64,
    );
    capacity(per_event, written);
    Ok(())
}

/// Machines for the large load: what processors, network and disks ask for, and the most of it.
fn capacity(per_event: f64, written: f64) {
    let cores = PEAK_EVENTS * per_event / USED;
    let network = PEAK_BYTES / (NETWORK * USED);
    let disk = PEAK_EVENTS * written / (DISK * USED);
    let machines = [cores / CORES, network, disk].into_iter().fold(0.0, f64::max).ceil();
    println!("\nWhat it would take, as arithmetic; nothing of this size was run:");
    println!(
        "  load        {:.0} G events a day; at the peak {:.0} M events/s, {:.0} GB/s",
        EVENTS_A_DAY / 1e9,
        PEAK_EVENTS / 1e6,
        PEAK_BYTES / 1e9
    );
    println!(
        "  machine     {CORES:.0} cores like these, 25 Gbit/s, a disk of {:.0} GB/s, {:.0} % of each used at the peak",
        DISK / 1e9,
        USED * 100.0
    );
    println!(
        "  processors  {PEAK_EVENTS:.0} /s x {per_event:.2e} s / {USED} = {cores:.0} cores = {:.1} machines",
        cores / CORES
    );
    println!("  network in  {PEAK_BYTES:.1e} B/s / ({NETWORK:.2e} x {USED}) = {network:.1} machines");
    println!(
        "  disk        {PEAK_EVENTS:.0} /s x {written:.0} B / ({DISK:.1e} x {USED}) = {disk:.1} machines"
    );
    println!("  machines    {machines:.0}, each with its own streams and journal, every event kept once");
    println!(
        "  at the mean {:.2} M events/s: {:.0} % of that",
        EVENTS_A_DAY / 86_400.0 / 1e6,
        EVENTS_A_DAY / 86_400.0 / PEAK_EVENTS * 100.0
    );
    println!(
        "  A backbone that keeps three copies multiplies network and disk by three; queries come on top."
    );
}

/// Events made by the product's own generator.
fn make(options: &Options, project: &Path, scratch: &Path, kind: &'static str, count: u64) -> Result<Bodies> {
    let path = scratch.join(format!("{kind}.ndjson"));
    let mut command = Command::new(&options.binary);
    command.arg("gen").arg(kind).arg("--project").arg(project).args(["--count", &count.to_string()]);
    let made = command.arg("--output").arg(&path).output().context("cannot run gen")?;
    ensure!(made.status.success(), "gen {kind}: {}", String::from_utf8_lossy(&made.stderr));
    let bytes = std::fs::read(&path)?;
    std::fs::remove_file(&path)?;
    let (mut ranges, mut begin, mut lines) = (Vec::new(), 0, 0);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        lines += 1;
        if lines % EVENTS_A_BODY == 0 {
            ranges.push(begin..at + 1);
            begin = at + 1;
        }
    }
    if begin < bytes.len() {
        ranges.push(begin..bytes.len());
    }
    Ok(Bodies { kind, bytes, ranges })
}

/// All kinds at once, a connection each.
fn send_all(server: &Server, bodies: &[Bodies]) -> Result<Vec<Sent>> {
    std::thread::scope(|scope| {
        let running: Vec<_> = bodies
            .iter()
            .map(|bodies| {
                scope.spawn(move || {
                    load::send(&Load {
                        address: &server.addresses.http,
                        path: &format!("/v1/streams/{}/events", bodies.kind),
                        connections: 1,
                        bytes: &bodies.bytes,
                        bodies: &bodies.ranges,
                    })
                })
            })
            .collect();
        running
            .into_iter()
            .map(|load| load.join().unwrap_or_else(|_| anyhow::bail!("a load panicked")))
            .collect()
    })
}

/// Bytes that a process has caused to be written to disks.
fn written(pid: u32) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|number| number.parse().ok()).context("/proc tells no write_bytes")
}
