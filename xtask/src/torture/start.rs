//! `torture start`: how long a start takes when the journal is large, because a table could not commit for long.
//! Always: the table is really stuck (a file stands where its directory belongs), the journal really has the size, the
//! process is killed; then the obstacle goes and every event that was acknowledged must be in the table, once.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    Options,
    acknowledged::IDS_OF_A_PRODUCER,
    http::Connection,
    producers::{EVENTS_PATH, SCHEMA, who},
    random::Random,
    report::Report,
    server::{Addresses, Launch},
};

const PRODUCERS: u64 = 2;
const EVENTS_A_REQUEST: u64 = 500;
/// Bytes of an event's text, no two the same, so that no encoding makes them few.
const TEXT: usize = 2048;
/// A stream whose table cannot commit gets a quarter of the budget.
const BUDGET_PARTS: u64 = 6;
const READY_MAX: Duration = Duration::from_secs(5);
/// The longest wait for the table to have everything in the end.
const DRAINED_MAX: Duration = Duration::from_secs(1800);

pub fn run(options: &Options) -> Result<()> {
    let starts = options.n.unwrap_or(3).max(1);
    let mebibytes = options.size.unwrap_or(1024);
    let mut report = Report::new("start", options.seed, starts);
    let mut random = Random::from_seed(options.seed);
    let directory = options.scratch("start")?;
    let config = format!("[journal]\nbudget = \"{}MiB\"\n", mebibytes * BUDGET_PARTS);
    let files = [("headwater.toml", config.as_str()), ("schemas/reading.json", SCHEMA)];
    let data = directory.path().join("data");
    let launch = Launch::new(&options.binary, directory.path(), &data, &files)?;
    let obstacle = data.join("lake/reading");
    std::fs::create_dir_all(data.join("lake"))?;
    std::fs::write(&obstacle, "a file where a directory belongs")?;

    let server = launch.start()?;
    let began = Instant::now();
    let acknowledged = fill(&server.addresses, &data.join("journal"), mebibytes << 20, &mut random)?;
    let seconds = began.elapsed().as_secs_f64();
    server.kill()?;
    let bytes = bytes_below(&data.join("journal"))?;
    let mut times = Vec::new();
    for _ in 0..starts {
        let server = launch.start()?;
        times.push(server.ready_after);
        server.kill()?;
    }
    std::fs::remove_file(&obstacle)?;
    let server = launch.start()?;
    times.push(server.ready_after);
    let began = Instant::now();
    let expected = [acknowledged as i64; 2];
    // Asked only once the table has it all: before, each statement would read the whole tail.
    while lag(&server.addresses)? > 0 && began.elapsed() < DRAINED_MAX {
        std::thread::sleep(Duration::from_millis(500));
    }
    let drained = began.elapsed();
    let stored = server.numbers("SELECT count(*), count(DISTINCT id) FROM reading")?;
    if stored != expected {
        report.fault("the end", format!("{acknowledged} acknowledged; rows, and ids: {stored:?}"));
    }
    server.terminate()?;

    report.row("journal", format!("{} MiB, {acknowledged} events in {seconds:.0} s", bytes >> 20));
    report.times("ready", &times);
    report.row("the table has it after", format!("{:.0} s", drained.as_secs_f64()));
    let worst = times.iter().max().copied().unwrap_or_default();
    if worst > READY_MAX {
        report.fault("ready", format!("after {worst:?}, asked: at most {READY_MAX:?}"));
    }
    report.finish()
}

/// Sends until the journal has `bytes`; how many events were acknowledged.
fn fill(addresses: &Addresses, journal: &Path, bytes: u64, random: &mut Random) -> Result<u64> {
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for producer in 0..PRODUCERS {
            let mut random = random.fork();
            running.push(scope.spawn(move || -> Result<u64> {
                let mut connection = Connection::open(&addresses.http)?;
                let path = format!("{EVENTS_PATH}?ack=os");
                let first = producer * IDS_OF_A_PRODUCER;
                let mut next = first;
                while bytes_below(journal)? < bytes {
                    let ids = next..next + EVENTS_A_REQUEST;
                    next = ids.end;
                    let mut body = String::new();
                    for id in ids {
                        body.push_str(&format!("{{\"id\":{id},\"who\":\"{}\",\"text\":\"", who(id)));
                        (0..TEXT / 16).for_each(|_| body.push_str(&format!("{:016x}", random.next())));
                        body.push_str("\"}\n");
                    }
                    let headers = [("content-type", "application/x-ndjson")];
                    let answer = connection.ask("POST", &path, &headers, body.as_bytes())?;
                    ensure!(answer.status == 200, "{}: {}", answer.status, answer.text());
                }
                Ok(next - first)
            }));
        }
        let mut sent = 0;
        for producer in running {
            sent += producer.join().unwrap_or_else(|_| anyhow::bail!("a producer panicked"))?;
        }
        Ok(sent)
    })
}

/// Durable appends that no table has yet.
fn lag(addresses: &Addresses) -> Result<u64> {
    let status = Connection::open(&addresses.http)?.get("/v1/status")?.json();
    status["follower"]["lag_appends"].as_u64().context("/v1/status tells no lag")
}

/// Of the files in a directory that has no other in it.
fn bytes_below(directory: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).with_context(|| directory.display().to_string())? {
        // A segment may be renamed between the two calls.
        bytes += entry?.metadata().map_or(0, |metadata| metadata.len());
    }
    Ok(bytes)
}
