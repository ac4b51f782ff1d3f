//! Many connections from few threads: HTTP producers that keep theirs, sensors that wait for `ok N`, and guests that never
//! finish a request. Always: an open loop. Each connection sends when its time has come, whatever others wait for, and a
//! time to acknowledgement counts from that moment, so that a slow server cannot hide by slowing the load.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use super::{
    acknowledged::IDS_OF_A_PRODUCER,
    http::{find, request},
    producers::{EVENTS_PATH, who},
    random::Random,
    server::Addresses,
};

const CONNECTED_AT_ONCE: usize = 64;
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(30);
/// After the last event was sent, so long may its answer take.
const LAST_ANSWERS_WAIT_MAX: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Sensor,
    /// Begins a request and never ends it.
    Guest,
}

/// Who comes, and how much they send together.
#[derive(Debug, Clone, Copy)]
pub struct Crowd {
    pub http: usize,
    pub sensors: usize,
    pub guests: usize,
    pub events_a_second: u64,
    pub events_a_request: u64,
    pub lasts: Duration,
}

#[derive(Default)]
pub struct Seen {
    pub times: Vec<Duration>,
    pub acknowledged: u64,
    /// Honest connections that were closed, refused or not answered.
    pub dropped: u64,
    pub first_drop: Option<String>,
    /// Guests whose connection the server closed; they come again.
    pub guests_closed: u64,
}

impl Seen {
    fn drop_one(&mut self, why: impl Into<String>) {
        self.dropped += 1;
        self.first_drop.get_or_insert(why.into());
    }

    fn merge(&mut self, other: Seen) {
        self.times.extend(other.times);
        self.acknowledged += other.acknowledged;
        self.dropped += other.dropped;
        self.guests_closed += other.guests_closed;
        if self.first_drop.is_none() {
            self.first_drop = other.first_drop;
        }
    }
}

struct Connection {
    kind: Kind,
    socket: TcpStream,
    open: bool,
    /// Ids and order are its own.
    number: u64,
    next: u64,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    /// When what has no answer yet was due, and its last record's number.
    waiting: VecDeque<(Instant, u64)>,
}

/// Runs a crowd from `threads` threads.
pub fn run(
    crowd: Crowd,
    addresses: &Addresses,
    generation: u64,
    threads: usize,
    random: &mut Random,
) -> Result<Seen> {
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for thread in 0..threads {
            let share = |all: usize| all / threads + usize::from(thread < all % threads);
            let part = Crowd {
                http: share(crowd.http),
                sensors: share(crowd.sensors),
                guests: share(crowd.guests),
                events_a_second: crowd.events_a_second / threads as u64,
                ..crowd
            };
            let random = random.fork();
            // Numbers that no other connection has, in this crowd or another.
            let first = 10 + (generation * threads as u64 + thread as u64) * 20_000;
            running.push(scope.spawn(move || run_part(part, addresses, first, random)));
        }
        for thread in running {
            let part = thread.join().unwrap_or_else(|_| anyhow::bail!("a thread of the crowd panicked"))?;
            seen.merge(part);
        }
        Ok(seen)
    })
}

fn run_part(crowd: Crowd, addresses: &Addresses, first: u64, mut random: Random) -> Result<Seen> {
    let http: SocketAddr = addresses.http.parse().context("the server's address")?;
    let sensors: SocketAddr = addresses.sensors.parse().context("the listener's address")?;
    let mut poll = Poll::new()?;
    let mut connections = Vec::new();
    let kinds = [(Kind::Http, crowd.http), (Kind::Sensor, crowd.sensors), (Kind::Guest, crowd.guests)];
    for (kind, count) in kinds {
        for _ in 0..count {
            let address = if kind == Kind::Sensor { sensors } else { http };
            let number = first + connections.len() as u64;
            connections.push(connect(&poll, kind, address, connections.len(), number)?);
            // Not all in one moment: the queue of those who wait to be accepted is the system's, and short.
            if connections.len() % CONNECTED_AT_ONCE == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
    let mut part = Part { crowd, http, seen: Seen::default(), connections };
    part.wait_until_connected(&mut poll)?;
    let honest = crowd.http + crowd.sensors;
    let period = Duration::from_secs_f64(
        honest as f64 * crowd.events_a_request as f64 / crowd.events_a_second.max(1) as f64,
    );
    let began = Instant::now();
    let ends = began + crowd.lasts;
    let mut due: BinaryHeap<Reverse<(Instant, usize)>> = (0..honest)
        .map(|index| Reverse((began + period.mul_f64(random.below(1_000_000) as f64 / 1e6), index)))
        .collect();
    let mut events = Events::with_capacity(1024);
    loop {
        let now = Instant::now();
        while let Some(&Reverse((at, index))) = due.peek()
            && at <= now
        {
            due.pop();
            part.send(index, at);
            if at + period < ends {
                due.push(Reverse((at + period, index)));
            }
        }
        let all_answered = || part.connections.iter().all(|one| !one.open || one.waiting.is_empty());
        if (now > ends && all_answered()) || now > ends + LAST_ANSWERS_WAIT_MAX {
            break;
        }
        let until = due
            .peek()
            .map_or(Duration::from_millis(20), |Reverse((at, _))| at.saturating_duration_since(now));
        part.poll(&mut poll, &mut events, until.min(Duration::from_millis(20)))?;
    }
    let unanswered = part.connections.iter().filter(|one| one.open && !one.waiting.is_empty()).count();
    for _ in 0..unanswered {
        part.seen.drop_one("no answer");
    }
    Ok(part.seen)
}

fn connect(poll: &Poll, kind: Kind, address: SocketAddr, index: usize, number: u64) -> Result<Connection> {
    let mut socket = TcpStream::connect(address)?;
    poll.registry().register(&mut socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
    let outgoing = match kind {
        Kind::Guest => format!("POST {EVENTS_PATH} HTTP/1.1\r\nhost: {address}\r\ncontent-ty").into_bytes(),
        Kind::Http | Kind::Sensor => Vec::new(),
    };
    Ok(Connection {
        kind,
        socket,
        open: true,
        number,
        next: 0,
        outgoing,
        incoming: Vec::new(),
        waiting: VecDeque::new(),
    })
}

struct Part {
    crowd: Crowd,
    http: SocketAddr,
    seen: Seen,
    connections: Vec<Connection>,
}

impl Part {
    fn wait_until_connected(&mut self, poll: &mut Poll) -> Result<()> {
        let give_up = Instant::now() + CONNECT_WAIT_MAX;
        let mut events = Events::with_capacity(1024);
        while self.connections.iter().any(|one| one.open && one.socket.peer_addr().is_err()) {
            anyhow::ensure!(
                Instant::now() < give_up,
                "not all are connected after {} s",
                CONNECT_WAIT_MAX.as_secs()
            );
            self.poll(poll, &mut events, Duration::from_millis(50))?;
        }
        Ok(())
    }

    fn poll(&mut self, poll: &mut Poll, events: &mut Events, at_most: Duration) -> Result<()> {
        match poll.poll(events, Some(at_most)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in events.iter() {
            let index = event.token().0;
            if event.is_writable() {
                self.write(index);
            }
            if event.is_readable() {
                self.read(index);
            }
            if !self.connections[index].open && self.connections[index].kind == Kind::Guest {
                let number = self.connections[index].number;
                self.connections[index] = connect(poll, Kind::Guest, self.http, index, number)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, index: usize, due: Instant) {
        let count = self.crowd.events_a_request;
        let host = self.http.to_string();
        let one = &mut self.connections[index];
        if !one.open {
            return;
        }
        let first = one.number * IDS_OF_A_PRODUCER + one.next;
        one.next += count;
        let ids = first..first + count;
        match one.kind {
            Kind::Http => {
                let body: String = ids
                    .map(|id| {
                        format!("{{\"id\":{id},\"who\":\"{}\",\"email\":\"p{id}@example.org\"}}\n", who(id))
                    })
                    .collect();
                let headers = [("content-type", "application/x-ndjson")];
                one.outgoing.extend(request(&host, "POST", EVENTS_PATH, &headers, body.as_bytes()));
            }
            Kind::Sensor => {
                one.outgoing.extend(ids.flat_map(|id| format!("id={id}&who={}\n", who(id)).into_bytes()))
            }
            Kind::Guest => return,
        }
        one.waiting.push_back((due, one.next));
        self.write(index);
    }

    fn write(&mut self, index: usize) {
        let one = &mut self.connections[index];
        while one.open && !one.outgoing.is_empty() {
            match one.socket.write(&one.outgoing) {
                Ok(count) => {
                    one.outgoing.drain(..count);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.close(index, &error.to_string()),
            }
        }
    }

    fn read(&mut self, index: usize) {
        let mut piece = [0; 16 << 10];
        while self.connections[index].open {
            let one = &mut self.connections[index];
            match one.socket.read(&mut piece) {
                Ok(0) => return self.close(index, "closed by the server"),
                Ok(count) => {
                    one.incoming.extend_from_slice(&piece[..count]);
                    self.answers(index);
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return self.close(index, &error.to_string()),
            }
        }
    }

    fn answers(&mut self, index: usize) {
        let (seen, count) = (&mut self.seen, self.crowd.events_a_request);
        let one = &mut self.connections[index];
        match one.kind {
            Kind::Guest => one.incoming.clear(),
            Kind::Http => {
                while let Some((status, bytes)) = whole_answer(&one.incoming) {
                    one.incoming.drain(..bytes);
                    let Some((due, _)) = one.waiting.pop_front() else { continue };
                    if status == 200 {
                        seen.times.push(due.elapsed());
                        seen.acknowledged += count;
                    } else {
                        seen.drop_one(format!("answer {status}"));
                    }
                }
            }
            Kind::Sensor => {
                while let Some(end) = one.incoming.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = one.incoming.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line);
                    let durable = line.trim().strip_prefix("ok ").and_then(|count| count.parse::<u64>().ok());
                    while let Some(&(due, last)) = one.waiting.front()
                        && durable >= Some(last)
                    {
                        one.waiting.pop_front();
                        seen.times.push(due.elapsed());
                        seen.acknowledged += count;
                    }
                }
            }
        }
    }

    fn close(&mut self, index: usize, why: &str) {
        let one = &mut self.connections[index];
        one.open = false;
        match one.kind {
            Kind::Guest => self.seen.guests_closed += 1,
            kind @ (Kind::Http | Kind::Sensor) => self.seen.drop_one(format!("{kind:?}: {why}")),
        }
    }
}

/// Status and length of an answer that is there as a whole; receipts have a `content-length`.
fn whole_answer(bytes: &[u8]) -> Option<(u16, usize)> {
    let head_end = find(bytes, b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..head_end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let whole = head_end + 4 + length.unwrap_or(0);
    (bytes.len() >= whole).then_some((status, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_when_it_is_whole() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP";
        assert_eq!(whole_answer(answer), Some((200, 41)));
        for cut in 0..41 {
            assert_eq!(whole_answer(&answer[..cut]), None, "{cut}");
        }
    }
}
