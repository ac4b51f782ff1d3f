//! The producers: three kinds that keep their word, so that a loss or a double is the server's.
//! HTTP with `Idempotency-Key`, HTTP with `Producer-Id` and sequence, a sensor over TCP that reads its `ok N` lines.
//! Always: HTTP repeats what has no answer until it has one; a sensor never repeats. Ids rise, within each key too.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{
    acknowledged::{Acknowledged, IDS_OF_A_PRODUCER, is_good},
    http::Connection,
    random::Random,
    server::Addresses,
};

/// The project that the producers send to. Small segments and quick commits, so that every part has work at any moment.
pub const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"id": {"type": "integer"}, "who": {"type": "string"}, "email": {"type": "string", "x-privacy": "hash"},
    "text": {"type": "string"}},
  "required": ["id", "who"],
  "x-key": ["who"],
  "x-partitions": 8
}"#;
pub const CONFIG: &str = "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"reading\"\nack = true\n\
                          [lake]\ncommit_every = \"5ms\"\n[journal]\nsegment = \"1MiB\"\nbudget = \"64MiB\"\n\
                          [sql]\nrows = 100000000\ntime = \"5m\"\n";
pub const EVENTS_PATH: &str = "/v1/streams/reading/events";

const EVENTS_PER_REQUEST_MAX: u64 = 30;
const KEYS_OF_A_PRODUCER: u64 = 7;
const PAUSE_WHEN_REFUSED: Duration = Duration::from_millis(5);
const LAST_ANSWERS_WAIT_MAX: Duration = Duration::from_secs(20);
const SENSOR_POLL: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Keyed,
    Numbered,
    Sensor,
}

/// One producer, through all lives of the server.
pub struct Producer {
    kind: Kind,
    number: u64,
    /// The first event that has no answer yet.
    next: u64,
    /// Events of the request that has no answer yet; 0 if there is none. It is repeated as it was.
    pending: u64,
    /// Text that each event carries besides.
    padding: usize,
    random: Random,
}

/// What there is of each kind.
pub fn crew(random: &mut Random) -> Vec<Producer> {
    let kinds = [Kind::Keyed, Kind::Numbered, Kind::Sensor, Kind::Keyed, Kind::Sensor];
    let numbered = kinds.into_iter().zip(1..);
    numbered.map(|(kind, number)| Producer::new(kind, number, random.fork())).collect()
}

/// The key of an event: a few of each producer, so that order per key is of use.
pub fn who(id: u64) -> String {
    format!("w{}-{}", id / IDS_OF_A_PRODUCER, id % KEYS_OF_A_PRODUCER)
}

impl Producer {
    pub fn new(kind: Kind, number: u64, random: Random) -> Producer {
        Producer { kind, number, next: 0, pending: 0, padding: 0, random }
    }

    /// Makes each event larger, with text that does not compress.
    pub fn with_padding(mut self, bytes: usize) -> Producer {
        self.padding = bytes;
        self
    }

    /// Sends until the server is gone or `stop`.
    pub fn run(&mut self, server: &Addresses, known: &Acknowledged, stop: &AtomicBool) {
        match self.kind {
            Kind::Keyed | Kind::Numbered => {
                // A connection that breaks may be the server's right (a request took too long): a new one tells.
                while !stop.load(Ordering::SeqCst) {
                    let Ok(connection) = Connection::open(&server.http) else { return };
                    self.request(connection, known, stop);
                }
            }
            Kind::Sensor => {
                while !stop.load(Ordering::SeqCst) {
                    let Ok(socket) = TcpStream::connect(&server.sensors) else { return };
                    self.sense(socket, known, stop);
                }
            }
        }
    }

    fn ids(&self, count: u64) -> std::ops::Range<u64> {
        let first = self.number * IDS_OF_A_PRODUCER + self.next;
        first..first + count
    }

    /// Until the connection breaks.
    fn request(&mut self, mut connection: Connection, known: &Acknowledged, stop: &AtomicBool) {
        while !stop.load(Ordering::SeqCst) {
            if self.pending == 0 {
                self.pending = 1 + self.random.below(EVENTS_PER_REQUEST_MAX);
            }
            let ids = self.ids(self.pending);
            let body: String = ids.clone().map(|id| self.json(id)).collect();
            let (key, producer, sequence) = (
                format!("t{}-{}", self.number, ids.start),
                format!("t{}", self.number),
                self.next.to_string(),
            );
            let mut headers = vec![("content-type", "application/x-ndjson")];
            match self.kind {
                Kind::Keyed => headers.push(("idempotency-key", &key)),
                Kind::Numbered | Kind::Sensor => headers.extend([
                    ("producer-id", producer.as_str()),
                    ("producer-epoch", "0"),
                    ("producer-sequence", sequence.as_str()),
                ]),
            }
            let begun = Instant::now();
            let Ok(answer) = connection.ask("POST", EVENTS_PATH, &headers, body.as_bytes()) else { return };
            let said = answer.json();
            match answer.status {
                // 422: all of it was bad, and all of it is kept.
                200 | 422 if said["seq"].is_u64() => {}
                429 | 503 | 507 if said["code"].is_string() && said["hint"].is_string() => {
                    known.refuse(format!("{} {}", answer.status, said["code"].as_str().unwrap_or_default()));
                    std::thread::sleep(PAUSE_WHEN_REFUSED);
                    continue;
                }
                other => return known.fault(format!("answer {other} to events: {}", answer.text())),
            }
            let good = ids.clone().filter(|id| is_good(*id)).count() as u64;
            let judged =
                ["accepted", "rejected", "duplicates"].map(|name| said[name].as_u64().unwrap_or(u64::MAX));
            if judged != [good, self.pending - good, 0] && judged != [0, 0, self.pending] {
                return known.fault(format!(
                    "{} events, {good} of them good, and this receipt: {said}",
                    self.pending
                ));
            }
            known.add(ids, begun);
            self.next += self.pending;
            self.pending = 0;
        }
    }

    /// Until the connection breaks. What has no answer then may be there or not; it is not sent again.
    fn sense(&mut self, mut socket: TcpStream, known: &Acknowledged, stop: &AtomicBool) {
        if socket.set_nodelay(true).and_then(|()| socket.set_read_timeout(Some(SENSOR_POLL))).is_err() {
            return;
        }
        let first = self.next;
        let (mut sent, mut acknowledged, mut line) = (0, 0, Vec::new());
        while !stop.load(Ordering::SeqCst) {
            let burst = 1 + self.random.below(EVENTS_PER_REQUEST_MAX);
            let text: String = self.ids(burst).map(|id| self.record(id)).collect();
            let begun = Instant::now();
            self.next += burst;
            sent += burst;
            if socket.write_all(text.as_bytes()).is_err() {
                return;
            }
            // Also when it is to stop: a server that lives on would store what is under way behind the checker's back.
            let give_up = Instant::now() + LAST_ANSWERS_WAIT_MAX;
            while acknowledged < sent {
                if stop.load(Ordering::SeqCst) && Instant::now() > give_up {
                    return;
                }
                let mut piece = [0; 4096];
                let count = match socket.read(&mut piece) {
                    Ok(0) => return,
                    Ok(count) => count,
                    Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                        continue;
                    }
                    Err(_) => return,
                };
                for &byte in &piece[..count] {
                    if byte != b'\n' {
                        line.push(byte);
                        continue;
                    }
                    let text = String::from_utf8_lossy(&line).into_owned();
                    line.clear();
                    let durable = text.strip_prefix("ok ").and_then(|count| count.parse::<u64>().ok());
                    let Some(durable) = durable.filter(|durable| (acknowledged..=sent).contains(durable))
                    else {
                        return known.fault(format!(
                            "{sent} records sent, {acknowledged} acknowledged, then {text:?}"
                        ));
                    };
                    let base = self.number * IDS_OF_A_PRODUCER + first;
                    known.add(base + acknowledged..base + durable, begun);
                    acknowledged = durable;
                }
            }
        }
    }

    fn json(&mut self, id: u64) -> String {
        let padding: String =
            (0..self.padding / 16).map(|_| format!("{:016x}", self.random.next())).collect();
        // What is bad keeps its id, so that it is found among the rejects.
        let key = if is_good(id) { format!("\"{}\"", who(id)) } else { "7".to_owned() };
        format!("{{\"id\":{id},\"who\":{key},\"email\":\"p{id}@example.org\",\"text\":\"{padding}\"}}\n")
    }

    fn record(&self, id: u64) -> String {
        if is_good(id) { format!("id={id}&who={}\n", who(id)) } else { format!("id={id}\n") }
    }
}
