//! The producers over HTTP: a few connections, bodies that lie ready in memory, the next one as soon as the last is answered.
//! Always: each request is sent until it has an answer that is a receipt; what the receipts say is added up. One thread, so
//! that the load leaves the processors to the server. Does not keep what was sent apart from that.

use std::{
    io::{ErrorKind, IoSlice, Read, Write},
    net::SocketAddr,
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use mio::{Events, Interest, Poll, Token, net::TcpStream};

use crate::http::find;

const SILENCE_MAX: Duration = Duration::from_secs(120);
/// A refused request is sent again after so long.
const PAUSE_WHEN_REFUSED: Duration = Duration::from_millis(20);

pub struct Load<'a> {
    pub address: &'a str,
    /// With its query.
    pub path: &'a str,
    pub connections: usize,
    pub bytes: &'a [u8],
    pub bodies: &'a [Range<usize>],
}

#[derive(Debug, Default)]
pub struct Sent {
    pub accepted: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Requests that got 429 or 503 and were sent again.
    pub refused: u64,
    pub last_seq: u64,
    pub wall: Duration,
    /// Of each request, from its first byte to its answer.
    pub times: Vec<Duration>,
}

impl Sent {
    /// The counts of both.
    pub fn and(&self, other: &Sent) -> Sent {
        Sent {
            accepted: self.accepted + other.accepted,
            rejected: self.rejected + other.rejected,
            duplicates: self.duplicates + other.duplicates,
            refused: self.refused + other.refused,
            last_seq: self.last_seq.max(other.last_seq),
            ..Sent::default()
        }
    }
}

struct Connection {
    socket: TcpStream,
    /// The body under way; none once there are no more.
    body: Option<usize>,
    head: Vec<u8>,
    /// Of head and body together.
    written: usize,
    answer: Vec<u8>,
    began: Instant,
}

/// Sends all bodies and returns when the last one is answered.
pub fn send(load: &Load) -> Result<Sent> {
    let address: SocketAddr = load.address.parse().context("the server's address")?;
    let began = Instant::now();
    let mut poll = Poll::new()?;
    let mut connections = Vec::new();
    let mut bodies = 0..load.bodies.len();
    for index in 0..load.connections.min(load.bodies.len()) {
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        poll.registry().register(&mut socket, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        let mut connection = Connection {
            socket,
            body: None,
            head: Vec::new(),
            written: 0,
            answer: Vec::new(),
            began: Instant::now(),
        };
        connection.take(load, bodies.next());
        connections.push(connection);
    }
    let mut sent = Sent { times: Vec::with_capacity(load.bodies.len()), ..Sent::default() };
    let mut open = connections.len();
    let mut events = Events::with_capacity(1024);
    while open > 0 {
        poll.poll(&mut events, Some(SILENCE_MAX))?;
        ensure!(!events.is_empty(), "the server said nothing for {} s", SILENCE_MAX.as_secs());
        for event in &events {
            let connection = &mut connections[event.token().0];
            if connection.body.is_none() {
                continue;
            }
            // Edge-triggered: goes on until the socket would block, whichever side it is.
            loop {
                connection.write(load)?;
                let Some(answer) = connection.read()? else { break };
                if !answer.counts(&mut sent)? {
                    std::thread::sleep(PAUSE_WHEN_REFUSED);
                    connection.take(load, connection.body);
                    continue;
                }
                sent.times.push(connection.began.elapsed());
                connection.take(load, bodies.next());
                if connection.body.is_none() {
                    open -= 1;
                    break;
                }
            }
        }
    }
    sent.wall = began.elapsed();
    Ok(sent)
}

impl Connection {
    fn take(&mut self, load: &Load, body: Option<usize>) {
        self.body = body;
        self.written = 0;
        self.began = Instant::now();
        self.head.clear();
        if let Some(index) = body {
            // Writing to memory cannot fail.
            let _ = write!(
                self.head,
                "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/x-ndjson\r\ncontent-length: {}\r\n\r\n",
                load.path,
                load.address,
                load.bodies[index].len()
            );
        }
    }

    /// As much as the socket takes.
    fn write(&mut self, load: &Load) -> Result<()> {
        let Some(index) = self.body else { return Ok(()) };
        let body = &load.bytes[load.bodies[index].clone()];
        while self.written < self.head.len() + body.len() {
            let head = &self.head[self.written.min(self.head.len())..];
            let body = &body[self.written.saturating_sub(self.head.len())..];
            match self.socket.write_vectored(&[IoSlice::new(head), IoSlice::new(body)]) {
                Ok(count) => self.written += count,
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("a connection broke while it was written to"),
            }
        }
        Ok(())
    }

    /// The answer, once it is whole.
    fn read(&mut self) -> Result<Option<Answer>> {
        loop {
            if let Some((answer, length)) = Answer::parse(&self.answer)? {
                self.answer.drain(..length);
                return Ok(Some(answer));
            }
            let mut piece = [0; 16 << 10];
            match self.socket.read(&mut piece) {
                Ok(0) => bail!("the server closed a connection"),
                Ok(count) => self.answer.extend_from_slice(&piece[..count]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("a connection broke while it was read from"),
            }
        }
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
}

impl Answer {
    /// And how many bytes it takes; `None` while some are missing.
    fn parse(bytes: &[u8]) -> Result<Option<(Answer, usize)>> {
        let Some(end) = find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let head = &bytes[..end + 2];
        let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let status = status.context("no status")?;
        let length = number_after(head, b"content-length: ").context("an answer without a length")?;
        let whole = end + 4 + length as usize;
        if bytes.len() < whole {
            return Ok(None);
        }
        Ok(Some((Answer { status, body: bytes[end + 4..whole].to_vec() }, whole)))
    }

    /// Adds a receipt to the sum; false if the request has to be sent again.
    fn counts(&self, sent: &mut Sent) -> Result<bool> {
        let number = |name: &[u8]| number_after(&self.body, name);
        match self.status {
            // 422: all of it was bad.
            200 | 422 => {
                let text = || format!("no receipt: {}", String::from_utf8_lossy(&self.body));
                sent.accepted += number(b"\"accepted\":").with_context(text)?;
                sent.rejected += number(b"\"rejected\":").with_context(text)?;
                sent.duplicates += number(b"\"duplicates\":").with_context(text)?;
                // The last one: messages of errors stand before it.
                let at = self.body.windows(6).rposition(|name| name == b"\"seq\":").with_context(text)?;
                let seq = number_after(&self.body[at..], b"\"seq\":").with_context(text)?;
                sent.last_seq = sent.last_seq.max(seq);
                Ok(true)
            }
            429 | 503 => {
                sent.refused += 1;
                Ok(false)
            }
            status => bail!("{status} to events: {}", String::from_utf8_lossy(&self.body)),
        }
    }
}

/// The number behind the first place where `name` stands.
pub fn number_after(bytes: &[u8], name: &[u8]) -> Option<u64> {
    let digits = &bytes[find(bytes, name)? + name.len()..];
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&digits[..count]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_added_and_a_refusal_is_not() {
        let receipt = b"{\"accepted\":2,\"rejected\":1,\"duplicates\":0,\"offsets\":[],\"errors\":[],\"errors_left_out\":0,\"seq\":17}";
        let mut bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", receipt.len()).into_bytes();
        bytes.extend_from_slice(receipt);
        assert!(Answer::parse(&bytes[..bytes.len() - 1]).unwrap().is_none());
        bytes.extend_from_slice(b"HTTP/1.1");
        let (answer, length) = Answer::parse(&bytes).unwrap().unwrap();
        assert_eq!(length, bytes.len() - 8);
        let mut sent = Sent::default();
        assert!(answer.counts(&mut sent).unwrap());
        assert_eq!((sent.accepted, sent.rejected, sent.last_seq), (2, 1, 17));
        assert!(!Answer { status: 429, body: Vec::new() }.counts(&mut sent).unwrap());
        assert_eq!((sent.accepted, sent.refused), (2, 1));
        assert!(Answer { status: 500, body: Vec::new() }.counts(&mut sent).is_err());
    }
}
