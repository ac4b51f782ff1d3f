//! `torture reader`: readers ask for much, take the first bytes and stop, while producers go on.
//! Always: without, with, without, with them, so that the pairs compare; the server's memory is watched in both.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    acknowledged::IDS_OF_A_PRODUCER,
    http::{Connection, request},
    many::watched,
    measure::median,
    producers::{EVENTS_PATH, SCHEMA, who},
    random::Random,
    report::Report,
    server::{Addresses, Launch},
};

const CONFIG: &str = "[sql]\nrows = 100000000\ntime = \"5m\"\n";
const PRODUCERS: u64 = 4;
const EVENTS_A_REQUEST: u64 = 200;
const TEXT: usize = 1024;
/// One asks in SQL, one for pages of events.
const READERS: usize = 2;
const MEMORY_MAX_MIB: u64 = 64;
const SLOWER_MAX: f64 = 0.10;
const PIPELINED: usize = 50;

pub fn run(options: &Options) -> Result<()> {
    let pairs = options.n.unwrap_or(3).max(1);
    let mebibytes = options.size.unwrap_or(256);
    let mut report = Report::new("reader", options.seed, pairs);
    let mut random = Random::from_seed(options.seed);
    let directory = options.scratch("reader")?;
    let files = [("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &directory.path().join("data"), &files)?;
    let server = launch.start()?;
    let (mut rates, mut peaks) = ([Vec::new(), Vec::new()], [0, 0]);
    let bytes = (mebibytes << 20) / (2 * pairs);
    // What comes first warms up, and gives the readers something to ask for.
    send(&server.addresses, 0, bytes, &mut random)?;
    for run in 0..2 * pairs {
        let with = (run % 2) as usize;
        let readers = if with == 1 { stuck(&server.addresses)? } else { Vec::new() };
        let (rate, peak) = watched(&server, || send(&server.addresses, run + 1, bytes, &mut random))?;
        drop(readers);
        rates[with].push(rate);
        peaks[with] = peaks[with].max(peak);
    }
    let count = server.numbers("SELECT count(*) - count(DISTINCT id) FROM reading")?;
    if count != [0] {
        report.fault("the end", format!("{count:?} events are there twice"));
    }
    server.terminate()?;
    let [without, with] = rates.map(|rates| median(&rates));
    let slower = 1.0 - with / without;
    let cost = peaks[1].saturating_sub(peaks[0]);
    report.row(
        "sent",
        format!(
            "{mebibytes} MiB by {PRODUCERS} producers, half of it past {READERS} readers that had stopped"
        ),
    );
    report.row("MiB/s without them", format!("{without:.1} (median of {pairs})"));
    report.row("MiB/s with them", format!("{with:.1} (median of {pairs})"));
    report.row("slower by", format!("{:.1} % (asked: at most {:.0} %)", slower * 100.0, SLOWER_MAX * 100.0));
    report.row(
        "memory at most",
        format!(
            "{} MiB without, {} MiB with them: {cost} MiB more (asked: at most {MEMORY_MAX_MIB})",
            peaks[0], peaks[1]
        ),
    );
    if slower > SLOWER_MAX {
        report.fault("rate", format!("producers are slower by {:.1} %", slower * 100.0));
    }
    if cost > MEMORY_MAX_MIB {
        report.fault("memory", format!("{cost} MiB more"));
    }
    report.finish()
}

/// Connections whose answers are large, begun and not read.
fn stuck(addresses: &Addresses) -> Result<Vec<TcpStream>> {
    let mut readers = Vec::new();
    for reader in 0..READERS {
        let mut socket = TcpStream::connect(&addresses.http)?;
        let text = if reader % 2 == 0 {
            let body = b"{\"sql\":\"SELECT * FROM reading\"}";
            let headers = [("content-type", "application/json"), ("accept", "application/x-ndjson")];
            request(&addresses.http, "POST", "/v1/sql", &headers, body)
        } else {
            // Many pages, asked for at once.
            let page = request(&addresses.http, "GET", &format!("{EVENTS_PATH}?limit=1000"), &[], b"");
            page.repeat(PIPELINED)
        };
        socket.write_all(&text)?;
        let mut first = [0; 12];
        socket.read_exact(&mut first).context("the first bytes of a large answer")?;
        ensure!(first.ends_with(b"200"), "{}", String::from_utf8_lossy(&first));
        readers.push(socket);
    }
    Ok(readers)
}

/// MiB a second of all producers.
fn send(addresses: &Addresses, run: u64, bytes: u64, random: &mut Random) -> Result<f64> {
    let text: String = (0..TEXT / 16).map(|_| format!("{:016x}", random.next())).collect();
    let began = Instant::now();
    let sent = std::thread::scope(|scope| {
        let mut running = Vec::new();
        for producer in 0..PRODUCERS {
            let text = &text;
            running.push(scope.spawn(move || -> Result<u64> {
                let mut connection = Connection::open(&addresses.http)?;
                let mut next = (run * PRODUCERS + producer) * IDS_OF_A_PRODUCER;
                let mut sent = 0;
                while sent < bytes / PRODUCERS {
                    let ids = next..next + EVENTS_A_REQUEST;
                    next = ids.end;
                    let event = |id| format!("{{\"id\":{id},\"who\":\"{}\",\"text\":\"{text}\"}}\n", who(id));
                    let body: String = ids.map(event).collect();
                    let headers = [("content-type", "application/x-ndjson")];
                    let answer = connection.ask("POST", EVENTS_PATH, &headers, body.as_bytes())?;
                    ensure!(matches!(answer.status, 200 | 429), "{}: {}", answer.status, answer.text());
                    sent += if answer.status == 200 { body.len() as u64 } else { 0 };
                }
                Ok(sent)
            }));
        }
        let mut sent = 0;
        for producer in running {
            sent += producer.join().unwrap_or_else(|_| anyhow::bail!("a producer panicked"))?;
        }
        anyhow::Ok(sent)
    })?;
    Ok(sent as f64 / (1 << 20) as f64 / began.elapsed().as_secs_f64())
}
