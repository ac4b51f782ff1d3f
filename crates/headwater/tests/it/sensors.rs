//! A thousand sensors at once: their records come without newlines, cut anywhere, some sensors die within one, and
//! every byte that arrived is a row or a reject. Who was seen last, and who is silent, is a question in SQL.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Barrier,
};

use crate::server::{Random, Server, project};

const SENSORS: u64 = 1000;
const READINGS: u64 = 24;
/// What a shell lets a process have on many systems: fewer than there are sensors.
const SOFT_LIMIT: u32 = 512;
/// For the sensors' side of the connections.
const DESCRIPTORS_NEEDED: u64 = SENSORS + 200;
/// A pause between two pieces of a record that comes near the silence after which a server gives the record up.
const LONG_PAUSE: Duration = Duration::from_millis(25);
const FIRST_TS: u64 = 1_586_896_417_000;

const CONFIG: &str = "[tcp.telemetry]\nlisten = \"127.0.0.1:0\"\nstream = \"sensor.reading\"\nack = true\nts_digits = 13\n\
                      fields = {tp = \"type\", un = \"unit\", vl = \"value\"}\n";
const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "id": {"type": "string"}, "type": {"enum": ["pressure"], "type": "string"}, "unit": {"type": "string"},
    "value": {"type": "number"}, "ts": {"type": "integer", "x-time": "ms"}
  },
  "required": ["id", "type", "value", "ts"],
  "x-key": ["id"], "x-partitions": 8, "x-event-time": "ts"
}"#;
/// As docs/reference/sql.md has it.
const SILENT: &str = "SELECT id, last_seen FROM (SELECT id, max(_received_at) AS last_seen FROM sensor_reading \
                      GROUP BY id) WHERE last_seen < now() - INTERVAL '10 seconds' ORDER BY last_seen";

/// How a sensor ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Lives,
    /// Falls silent within a record.
    Hangs,
    /// Closes the connection within a record.
    Closes,
    /// Is gone within a record, without reading what it was told: the connection is reset.
    Dies,
}

fn end_of(sensor: u64) -> End {
    match sensor % 20 {
        3 => End::Hangs,
        8 => End::Closes,
        13 => End::Dies,
        _ => End::Lives,
    }
}

/// The n-th record of a sensor; one in six is bad.
fn record(sensor: u64, n: u64) -> (String, bool) {
    let good = (sensor + n) % 6 != 0;
    let value = if good { format!("{n}.5") } else { "n/a".to_owned() };
    (format!("id=s{sensor}&tp=pressure&un=kPa&vl={value}&ts={}", FIRST_TS + n), good)
}

/// What a sensor knows of what it sent.
#[derive(Default)]
struct Sent {
    good: u64,
    bad: Vec<String>,
    /// The beginning of a record that never got an end.
    begun: Option<String>,
    longest_pause: Duration,
}

struct Sensor {
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    random: Random,
    sent: Sent,
}

impl Sensor {
    /// Writes a text in pieces of a few bytes, each a packet of its own.
    async fn write(&mut self, text: &str) {
        let mut rest = text.as_bytes();
        let mut last = Instant::now();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.len().min(1 + self.random.below(40) as usize));
            self.writer.write_all(piece).await.unwrap();
            self.sent.longest_pause = self.sent.longest_pause.max(last.elapsed());
            last = Instant::now();
            rest = after;
        }
    }

    async fn send(&mut self, sensor: u64, records: std::ops::Range<u64>) {
        let mut text = String::new();
        for n in records {
            let (record, good) = record(sensor, n);
            text.push_str(&record);
            if good { self.sent.good += 1 } else { self.sent.bad.push(record) }
        }
        self.write(&text).await;
    }

    /// Reads until so many records are durable.
    async fn acknowledged(&mut self, count: u64) {
        loop {
            let mut line = String::new();
            assert!(
                self.reader.read_line(&mut line).await.unwrap() > 0,
                "closed before {count} were acknowledged"
            );
            let durable: u64 = line.trim_end().strip_prefix("ok ").unwrap().parse().unwrap();
            if durable >= count {
                return;
            }
        }
    }
}

/// Sends everything that one sensor has to say until `all_sent`; the living ones come back with their connection.
async fn run(
    number: u64,
    socket: TcpStream,
    seed: u64,
    all_connected: Arc<Barrier>,
) -> (Sent, Option<Sensor>) {
    socket.set_nodelay(true).unwrap();
    let (reader, writer) = socket.into_split();
    let random = Random::from_seed(seed ^ (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut sensor = Sensor { reader: BufReader::new(reader), writer, random, sent: Sent::default() };
    all_connected.wait().await;
    let mut next = 0;
    while next < READINGS {
        let burst = (1 + sensor.random.below(4)).min(READINGS - next);
        sensor.send(number, next..next + burst).await;
        next += burst;
        // A pause within a record, if the machine made one, makes two rejects of it: then there are more.
        sensor.acknowledged(next).await;
    }
    let end = end_of(number);
    if end != End::Lives {
        let (text, _) = record(number, READINGS);
        // Behind its id, and before its time: with one it could be taken for a whole record.
        let (first, last) = (text.find("&tp=").unwrap(), text.find("&ts=").unwrap());
        let cut = first + sensor.random.below((last - first) as u64) as usize;
        let begun = text[..cut].to_owned();
        sensor.writer.write_all(begun.as_bytes()).await.unwrap();
        sensor.sent.begun = Some(begun);
    }
    match end {
        End::Lives => {
            let sent = std::mem::take(&mut sensor.sent);
            return (sent, Some(sensor));
        }
        End::Hangs => sensor.acknowledged(READINGS + 1).await,
        End::Closes => {
            sensor.writer.shutdown().await.unwrap();
            sensor.acknowledged(READINGS + 1).await;
        }
        End::Dies => {
            let socket = sensor.reader.into_inner().reunite(sensor.writer).unwrap();
            socket.set_zero_linger().unwrap();
            return (sensor.sent, None);
        }
    }
    (sensor.sent, None)
}

/// Room for both ends of every connection; false if this system gives none.
fn enough_descriptors() -> bool {
    let limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < DESCRIPTORS_NEEDED) {
        println!(
            "skipped: the system allows {:?} open files, {DESCRIPTORS_NEEDED} are needed",
            limit.maximum
        );
        return false;
    }
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    true
}

/// Kilobytes, from the kernel's account of a process.
fn memory(pid: u32, of: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(of)?.strip_prefix(':'));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

async fn connections(server: &Server) -> u64 {
    let (_, metrics) = server.get("/metrics").await;
    let line = metrics.lines().find_map(|line| line.strip_prefix("headwater_tcp_connections "));
    line.map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_sensors_lose_nothing_and_the_silent_ones_are_found() {
    if !enough_descriptors() {
        return;
    }
    let mut random = Random::seeded();
    let seed = random.next();
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let project =
        project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/sensor.reading.json", SCHEMA)]);
    let server = Server::start_with_descriptors(&project, &directory.path().join("data"), SOFT_LIMIT);
    let address = server.tcp("telemetry");

    let all_connected = Arc::new(Barrier::new(SENSORS as usize + 1));
    let mut tasks = Vec::new();
    for number in 0..SENSORS {
        let socket = TcpStream::connect(&address).await.unwrap();
        tasks.push(tokio::spawn(run(number, socket, seed, all_connected.clone())));
    }
    while connections(&server).await < SENSORS {
        assert!(began.elapsed() < Duration::from_secs(60), "not all are let in");
    }
    println!("{SENSORS} connected after {:?}", began.elapsed());
    let idle = memory(server.pid(), "VmRSS");
    all_connected.wait().await;
    let mut sent = Vec::new();
    let mut living = HashMap::new();
    for (number, task) in (0..SENSORS).zip(tasks) {
        let (of_sensor, sensor) = task.await.unwrap();
        sent.push(of_sensor);
        sensor.map(|sensor| living.insert(number, sensor));
    }
    println!("all have spoken after {:?}", began.elapsed());
    // Who is gone is noticed: no connection stays behind.
    while connections(&server).await > living.len() as u64 {
        assert!(began.elapsed() < Duration::from_secs(60), "a dead sensor's connection stays");
    }

    let rows = server.sql("SELECT id, count(*), max(value) FROM sensor_reading GROUP BY id").await;
    let stored: HashMap<String, (u64, f64)> = rows
        .iter()
        .map(|row| {
            (row[0].as_str().unwrap().to_owned(), (row[1].as_u64().unwrap(), row[2].as_f64().unwrap()))
        })
        .collect();
    assert_eq!(stored.len() as u64, SENSORS);
    let mut payloads: HashMap<Vec<u8>, u64> = HashMap::new();
    let rejects = server.sql("SELECT payload FROM rejects").await;
    for row in &rejects {
        *payloads.entry(STANDARD.decode(row[0].as_str().unwrap()).unwrap()).or_default() += 1;
    }
    let mut disturbed = 0;
    for (number, sent) in (0..SENSORS).zip(&sent) {
        if sent.longest_pause >= LONG_PAUSE {
            disturbed += 1;
            continue;
        }
        assert_eq!(stored[&format!("s{number}")].0, sent.good, "s{number}");
        for bad in &sent.bad {
            assert_eq!(payloads.remove(bad.as_bytes()), Some(1), "{bad}");
        }
        if let Some(begun) = &sent.begun {
            // What a reset connection sent last may not have come out of the system's own buffers.
            let kept = payloads.get_mut(begun.as_bytes()).map(|count| std::mem::replace(count, *count - 1));
            assert!(kept > Some(0) || end_of(number) == End::Dies, "s{number} {begun}");
        }
    }
    payloads.retain(|_, count| *count > 0);
    println!("{disturbed} sensors were held up by the machine for {LONG_PAUSE:?} within a record");
    assert!(disturbed > 0 || payloads.is_empty(), "rejects that nobody sent: {payloads:?}");

    // The ledger is the door's count: it agrees with the tables in any case.
    let tables = [
        server.number("SELECT count(*) FROM sensor_reading").await,
        server.number("SELECT count(*) FROM rejects").await,
    ];
    let ledger = server
        .sql("SELECT door, sum(received), sum(stored), sum(rejected), sum(duplicates) FROM ledger GROUP BY door")
        .await;
    assert_eq!(json!(ledger), json!([["tcp.telemetry", tables[0] + tables[1], tables[0], tables[1], 0]]));
    assert!(tables[0] + tables[1] >= (SENSORS * READINGS) as i64);

    // Last seen: those who speak again were seen after this moment, the others before it.
    let moment = server.sql("SELECT now()").await[0][0].as_str().unwrap().to_owned();
    let again = Instant::now();
    let mut heard = 0;
    for (number, sensor) in living.iter_mut().filter(|(number, _)| *number % 2 == 0) {
        sensor.send(*number, READINGS..READINGS + 1).await;
        heard += 1;
    }
    for (_, sensor) in living.iter_mut().filter(|(number, _)| *number % 2 == 0) {
        sensor.acknowledged(READINGS + 1).await;
    }
    let last_seen = "SELECT id, max(_received_at) AS last_seen FROM sensor_reading GROUP BY id";
    let seen_since = async |moment: &str| {
        let spoken = format!("SELECT count(*) FROM ({last_seen}) WHERE last_seen >= {moment}");
        server.number(&spoken).await
    };
    let bad_now = living.keys().filter(|n| *n % 2 == 0 && !record(**n, READINGS).1).count() as i64;
    assert_eq!(
        seen_since(&format!("TIMESTAMP '{moment}'")).await,
        heard - bad_now,
        "a bad reading is not a row"
    );
    assert_eq!(seen_since("now() - INTERVAL '1 hour'").await, SENSORS as i64);
    assert_eq!(seen_since("now() + INTERVAL '1 hour'").await, 0);
    let silent = server.sql(SILENT).await;
    if again.elapsed() < Duration::from_secs(10) {
        let speaking = |id: &str| {
            let number: u64 = id[1..].parse().unwrap();
            living.contains_key(&number) && number % 2 == 0 && record(number, READINGS).1
        };
        assert!(!silent.iter().any(|row| speaking(row[0].as_str().unwrap())), "{silent:?}");
    }
    println!(
        "resident memory: {} MiB with all connected, {} MiB at most; {} s",
        idle / 1024,
        memory(server.pid(), "VmHWM") / 1024,
        began.elapsed().as_secs()
    );
    drop(living);
    assert!(server.terminate().success());
}
