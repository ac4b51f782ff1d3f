//! `torture rate`: what an honest sync costs. 64 producers send 1,000 events each at `ack=disk`, and the same at `ack=os`.
//! Always: disk, os, disk, os: pairs, so that a machine that slows down meanwhile does not decide; the medians count.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    acknowledged::IDS_OF_A_PRODUCER,
    http::Connection,
    measure::median,
    producers::{EVENTS_PATH, SCHEMA, who},
    report::Report,
    server::{Addresses, Launch},
};

const PRODUCERS: u64 = 64;
const EVENTS: u64 = 1_000;
const SHARE_MIN: f64 = 0.5;

pub fn run(options: &Options) -> Result<()> {
    let pairs = options.n.unwrap_or(3);
    let events_a_request = options.size.unwrap_or(1).clamp(1, EVENTS);
    let mut report = Report::new("rate", options.seed, pairs);
    let directory = options.scratch("rate")?;
    let files = [("schemas/reading.json", SCHEMA)];
    let launch = Launch::new(&options.binary, directory.path(), &directory.path().join("data"), &files)?;
    let server = launch.start()?;
    let mut rates = [Vec::new(), Vec::new()];
    for pair in 0..pairs {
        for (index, ack) in ["disk", "os"].into_iter().enumerate() {
            rates[index].push(send(&server.addresses, ack, 2 * pair + index as u64, events_a_request)?);
        }
    }
    let expected = 2 * pairs * PRODUCERS * (EVENTS / events_a_request * events_a_request);
    let stored = server.numbers("SELECT count(*), count(DISTINCT id) FROM reading")?;
    if stored != [expected as i64; 2] {
        report.fault("the end", format!("{expected} acknowledged; rows, and ids: {stored:?}"));
    }
    server.terminate()?;
    let [disk, os] = rates.map(|rates| median(&rates));
    report.row("producers", format!("{PRODUCERS} with {EVENTS} events each, {events_a_request} a request"));
    report.row("events/s at ack=disk", format!("{disk:.0} (median of {pairs})"));
    report.row("events/s at ack=os", format!("{os:.0} (median of {pairs})"));
    report.row("disk / os", format!("{:.2} (asked: at least {SHARE_MIN})", disk / os));
    if disk / os < SHARE_MIN {
        report.fault("rate", "honest syncs cost more than half of the rate");
    }
    report.finish()
}

/// Events a second of all producers.
fn send(addresses: &Addresses, ack: &str, run: u64, events_a_request: u64) -> Result<f64> {
    let path = format!("{EVENTS_PATH}?ack={ack}");
    let began = Instant::now();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for producer in 0..PRODUCERS {
            let path = &path;
            running.push(scope.spawn(move || -> Result<()> {
                let mut connection = Connection::open(&addresses.http)?;
                let mut next = (run * PRODUCERS + producer) * IDS_OF_A_PRODUCER;
                for _ in 0..EVENTS / events_a_request {
                    let ids = next..next + events_a_request;
                    next = ids.end;
                    let body: String =
                        ids.map(|id| format!("{{\"id\":{id},\"who\":\"{}\"}}\n", who(id))).collect();
                    let headers = [("content-type", "application/x-ndjson")];
                    let answer = connection.ask("POST", path, &headers, body.as_bytes())?;
                    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
                }
                Ok(())
            }));
        }
        running
            .into_iter()
            .try_for_each(|producer| producer.join().unwrap_or_else(|_| anyhow::bail!("a producer panicked")))
            .context("a producer")
    })?;
    Ok((PRODUCERS * (EVENTS / events_a_request * events_a_request)) as f64 / began.elapsed().as_secs_f64())
}
