//! `bench log`: what it costs a server to acknowledge an event, against NATS JetStream with a file store. We judge each event,
//! hash a field and make rows of it; JetStream stores bytes. Processor seconds of the server alone, between the first request
//! and the last answer; ours also to the last commit in Delta, which goes on meanwhile. Each server has taken as many events before
//! those that count: its first files and its first memory are no part of the figure. Always: all events are acknowledged and
//! counted on both sides.

use std::{
    io::{Read, Write},
    net::TcpStream,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{
    Options,
    events::{Batch, EVENTS_PATH},
    kafka::Broker,
    load::{self, Load, Sent},
    nats::Nats,
    ours::Ours,
    peers::Peers,
    verdict::at_least,
};
use crate::measure::{median, percentile, processor_time};

const EVENTS: u64 = 1_000_000;
const PAIRS: u64 = 3;
const WINDOW: usize = 4_000;
/// Connections with one event under way each.
const CONNECTIONS: usize = 1_000;
/// The first one counts for nothing.
const TURNS: u64 = 2;
/// Messages of 1,000 events that may be in flight: what the window is in bytes, many times over.
const WINDOW_OF_BATCHES: usize = 64;
const CONFIG: &str =
    "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"bid\"\nformat = \"ndjson\"\nack = true\n";

/// How events get to a server.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// So many connections, each with one request of so many events under way.
    Http {
        ack: &'static str,
        connections: usize,
        events: usize,
    },
    /// NDJSON on one connection, the window in flight; acknowledged when on disk.
    Tcp,
    Nats {
        config: &'static str,
        window: usize,
        events: usize,
    },
    /// Batches of so many events to a broker that keeps them in memory.
    Kafka {
        window: usize,
        events: usize,
    },
}

struct Contender {
    name: &'static str,
    way: Way,
    /// Of the events of a run, one in so many is sent: syncs one by one take long.
    one_in: u64,
    /// Events per processor second, and per second; the second of ours counts to the last commit.
    per_cpu: Vec<f64>,
    per_cpu_to_commit: Vec<f64>,
    per_second: Vec<f64>,
    p99_ms: Vec<f64>,
}

fn contender(name: &'static str, way: Way, one_in: u64) -> Contender {
    let [per_cpu, per_cpu_to_commit, per_second, p99_ms] = [const { Vec::new() }; 4];
    Contender { name, way, one_in, per_cpu, per_cpu_to_commit, per_second, p99_ms }
}

pub fn run(options: &Options) -> Result<()> {
    let (events, pairs) = (options.events.unwrap_or(EVENTS), options.pairs.unwrap_or(PAIRS));
    let peers = Peers::install()?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let http = |ack, connections, events| Way::Http { ack, connections, events };
    let nats = |config, window, events| Way::Nats { config, window, events };
    let kafka = |window, events| Way::Kafka { window, events };
    let (plain, always) = ("nats.conf", "nats-always.conf");
    let mut all = [
        contender("headwater os, 1,000 a body", http("os", 4, 1_000), 1),
        contender("nats, 1,000 a message", nats(plain, WINDOW_OF_BATCHES, 1_000), 1),
        contender("nats, 1 a message", nats(plain, WINDOW, 1), 1),
        contender("headwater os, 1 a body", http("os", CONNECTIONS, 1), 2),
        contender("tansu in memory, 1,000 a batch", kafka(WINDOW_OF_BATCHES, 1_000), 1),
        contender("tansu in memory, 1 a batch", kafka(WINDOW, 1), 10),
        contender("headwater disk, 1,000 a body", http("disk", 4, 1_000), 1),
        contender("nats sync, 1,000 a message", nats(always, WINDOW_OF_BATCHES, 1_000), 2),
        contender("headwater disk, 1 a body", http("disk", CONNECTIONS, 1), 2),
        contender("headwater disk, TCP", Way::Tcp, 1),
        contender("nats sync, 1 a message", nats(always, WINDOW, 1), 200),
    ];
    for pair in 0..pairs {
        for contender in &mut all {
            let batch = Batch::new((events / contender.one_in).max(1_000), 0).in_turns(TURNS);
            contender.measure(options, &peers, &batch).with_context(|| contender.name)?;
            if pair == 0 {
                println!(
                    "{}: {} events twice, all acknowledged and counted",
                    contender.name,
                    batch.rows() / TURNS
                );
            }
        }
    }
    println!(
        "\n{:<32} {:>14} {:>16} {:>12} {:>9}",
        "", "events/CPU s", "to the commit", "events/s", "p99 ms"
    );
    for contender in &all {
        let [cpu, commit, second, p99] =
            [&contender.per_cpu, &contender.per_cpu_to_commit, &contender.per_second, &contender.p99_ms]
                .map(|values| median(values));
        let commit =
            if contender.per_cpu_to_commit.is_empty() { "-".to_owned() } else { format!("{commit:.0}") };
        println!("{:<32} {cpu:>14.0} {commit:>16} {second:>12.0} {p99:>9.1}", contender.name);
    }
    println!();
    let per_cpu = |name: &str| find(&all, name, |contender| &contender.per_cpu);
    let per_second = |name: &str| find(&all, name, |contender| &contender.per_second);
    let ours = per_cpu("headwater os, 1,000 a body");
    at_least(
        "events/CPU s, 1,000 a body (os), ours / nats",
        ours / per_cpu("nats, 1,000 a message"),
        4.0,
        10.0,
    );
    at_least("  the same, nats with a message an event", ours / per_cpu("nats, 1 a message"), 4.0, 10.0);
    let one = per_cpu("headwater os, 1 a body") / per_cpu("nats, 1 a message");
    println!("{:<58} {one:>8.2}", "events/CPU s, 1 a body (os), ours / nats");
    for (ours, theirs) in [
        ("headwater disk, 1 a body", "nats sync, 1 a message"),
        ("headwater disk, TCP", "nats sync, 1 a message"),
        ("headwater disk, 1,000 a body", "nats sync, 1 a message"),
        ("headwater disk, 1,000 a body", "nats sync, 1,000 a message"),
    ] {
        at_least(
            &format!("events/s, {ours} / {theirs}"),
            per_second(ours) / per_second(theirs),
            100.0,
            300.0,
        );
    }
    Ok(())
}

fn find(all: &[Contender], name: &str, values: fn(&Contender) -> &Vec<f64>) -> f64 {
    all.iter().find(|contender| contender.name == name).map_or(0.0, |contender| median(values(contender)))
}

impl Contender {
    fn measure(&mut self, options: &Options, peers: &Peers, batch: &Batch) -> Result<()> {
        let rows = batch.rows() as f64 / TURNS as f64;
        let halves = |events| {
            let mut first = batch.bodies(events);
            let second = first.split_off(first.len() / 2);
            [first, second]
        };
        let bytes = &batch.bytes;
        let (processor, wall, times) = match self.way {
            Way::Nats { config, window, events } => {
                let scratch = options.scratch("nats")?;
                let mut nats = Nats::start(peers, config, scratch.path())?;
                let [first, second] = halves(events);
                nats.publish(bytes, &first, window)?;
                let before = processor_time(nats.pid());
                let published = nats.publish(bytes, &second, window)?;
                (processor_time(nats.pid()) - before, published.wall, published.times)
            }
            Way::Kafka { window, events } => {
                let scratch = options.scratch("kafka")?;
                let mut broker = Broker::start(peers, scratch.path())?;
                let [first, second] = halves(events);
                broker.produce(bytes, &first, window)?;
                let before = processor_time(broker.pid());
                let published = broker.produce(bytes, &second, window)?;
                (processor_time(broker.pid()) - before, published.wall, published.times)
            }
            way => {
                let ours = Ours::start(options, CONFIG)?;
                let pid = ours.server.pid();
                let send = |bodies: &[Range<usize>]| match way {
                    Way::Http { ack, connections, .. } => load::send(&Load {
                        address: ours.address(),
                        path: &format!("{EVENTS_PATH}?ack={ack}"),
                        connections,
                        bytes,
                        bodies,
                    }),
                    _ => stream(&ours.server.addresses.sensors, bytes, bodies),
                };
                let [first, second] = match way {
                    Way::Http { events, .. } => halves(events),
                    _ => halves(1),
                };
                let warm = send(&first)?;
                wait_for_all(&ours, &warm)?;
                let before = processor_time(pid);
                let sent = send(&second)?;
                let processor = processor_time(pid) - before;
                wait_for_all(&ours, &sent)?;
                let to_commit = processor_time(pid) - before;
                ours.check(batch, &warm.and(&sent))?;
                ours.stop()?;
                self.per_cpu_to_commit.push(rows / to_commit.as_secs_f64());
                (processor, sent.wall, sent.times)
            }
        };
        self.per_cpu.push(rows / processor.as_secs_f64().max(0.01));
        self.per_second.push(rows / wall.as_secs_f64());
        self.p99_ms.push(percentile(&times, 99).as_secs_f64() * 1e3);
        Ok(())
    }
}

fn wait_for_all(ours: &Ours, sent: &Sent) -> Result<()> {
    let status = ours.status()?;
    let seq = status["journal"]["durable"].as_u64().context("the status names no durable append")?;
    ours.wait_until_committed(seq.max(sent.last_seq)).map(drop)
}

/// All lines on one TCP connection, the window in flight, until all are acknowledged.
fn stream(address: &str, bytes: &[u8], lines: &[Range<usize>]) -> Result<Sent> {
    let mut socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(60)))?;
    let began = Instant::now();
    let (mut sent, mut acknowledged) = (0, 0);
    let (mut text, mut times, mut written) = (Vec::new(), Vec::new(), std::collections::VecDeque::new());
    while acknowledged < lines.len() {
        let until = lines.len().min(acknowledged + WINDOW);
        if until > sent {
            socket.write_all(&bytes[lines[sent].start..lines[until - 1].end])?;
            written.push_back((until, Instant::now()));
            sent = until;
        }
        let mut piece = [0; 4096];
        let count = socket.read(&mut piece)?;
        ensure!(count > 0, "the listener closed the connection");
        text.extend_from_slice(&piece[..count]);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = text.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).into_owned();
            let durable = line.trim().strip_prefix("ok ").and_then(|count| count.parse().ok());
            acknowledged = durable.with_context(|| format!("the listener said {line:?}"))?;
        }
        while let Some((_, at)) = written.front().copied().filter(|(until, _)| *until <= acknowledged) {
            times.push(at.elapsed());
            written.pop_front();
        }
    }
    Ok(Sent { accepted: acknowledged as u64, wall: began.elapsed(), times, ..Sent::default() })
}
