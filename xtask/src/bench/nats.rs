//! A NATS JetStream server and a client of its text protocol, as small as publishing needs.
//! Always: at most the window is in flight; each acknowledgement is read and its sequence number checked, so what is counted is
//! stored. One connection and one thread; payloads lie ready in memory. Does not reconnect.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::TcpStream,
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::{
    load::number_after,
    peers::{Peers, Running},
};
use crate::{http::find, workspace::root};

const WAIT_MAX: Duration = Duration::from_secs(60);
const SUBJECT: &str = "bid";
const INBOX: &str = "_INBOX.bench";
/// So much is gathered before it is written, unless the window is full.
const WRITE_BYTES: usize = 256 << 10;

pub struct Nats {
    server: Running,
    address: String,
    /// Messages in the stream.
    stored: u64,
}

/// What a run of publishing came to.
pub struct Published {
    pub wall: Duration,
    /// From written to acknowledged.
    pub times: Vec<Duration>,
}

impl Nats {
    /// `config` is a file of `bench/peers`; the store lies in `directory`.
    pub fn start(peers: &Peers, config: &str, directory: &Path) -> Result<Nats> {
        let config = root().join("bench/peers").join(config);
        let store = directory.join("jetstream");
        let [config, store, ports] =
            [&config, &store, &directory.to_owned()].map(|path| path.display().to_string());
        let arguments =
            ["-c", &config, "-sd", &store, "-a", "127.0.0.1", "-p", "-1", "--ports_file_dir", &ports];
        let mut server =
            peers.spawn(&peers.program("nats-server"), &arguments, &directory.join("nats.log"))?;
        let file = directory.join(format!("nats-server_{}.ports", server.pid()));
        let give_up = Instant::now() + WAIT_MAX;
        loop {
            let ports =
                std::fs::read(&file).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            if let Some(address) = ports.as_ref().and_then(|ports| ports["nats"][0].as_str()) {
                let address = address.trim_start_matches("nats://").to_owned();
                return Ok(Nats { server, address, stored: 0 });
            }
            ensure!(server.is_running() && Instant::now() < give_up, "nats-server did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Publishes each body as a message to the stream, at most `window` in flight.
    pub fn publish(&mut self, bytes: &[u8], bodies: &[Range<usize>], window: usize) -> Result<Published> {
        let mut client = Client::connect(&self.address)?;
        let stream = json!({
            "name": "BID", "subjects": [SUBJECT], "storage": "file", "retention": "limits", "num_replicas": 1,
        });
        let answer = client.request("$JS.API.STREAM.CREATE.BID", stream.to_string().as_bytes())?;
        ensure!(answer["error"].is_null(), "no stream: {answer}");

        let mut times = Vec::with_capacity(bodies.len());
        let mut under_way: VecDeque<Instant> = VecDeque::with_capacity(window);
        let mut out = Vec::with_capacity(2 * WRITE_BYTES);
        let mut next = 0;
        let began = Instant::now();
        while times.len() < bodies.len() {
            while next < bodies.len() && under_way.len() < window && out.len() < WRITE_BYTES {
                let body = &bytes[bodies[next].clone()];
                write!(out, "PUB {SUBJECT} {INBOX} {}\r\n", body.len())?;
                out.extend_from_slice(body);
                out.extend_from_slice(b"\r\n");
                under_way.push_back(Instant::now());
                next += 1;
            }
            client.socket.write_all(&out)?;
            out.clear();
            // Reads only where nothing more may be sent: the server goes on reading whether or not its answers are read.
            if under_way.len() == window || next == bodies.len() {
                client.fill()?;
            }
            while let Some(message) = client.message()? {
                let seq = number_after(&message, b"\"seq\":");
                let wanted = self.stored + times.len() as u64 + 1;
                ensure!(seq == Some(wanted), "not acknowledged: {}", String::from_utf8_lossy(&message));
                let written = under_way.pop_front().context("an answer to nothing")?;
                times.push(written.elapsed());
            }
        }
        let wall = began.elapsed();
        let info = client.request("$JS.API.STREAM.INFO.BID", b"")?;
        let stored = info["state"]["messages"].as_u64();
        self.stored += bodies.len() as u64;
        ensure!(stored == Some(self.stored), "the stream holds {stored:?} messages");
        Ok(Published { wall, times })
    }
}

struct Client {
    socket: TcpStream,
    buffer: Vec<u8>,
    /// How much of the buffer is used up.
    used: usize,
}

impl Client {
    fn connect(address: &str) -> Result<Client> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(WAIT_MAX))?;
        let mut client = Client { socket, buffer: Vec::new(), used: 0 };
        let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1}";
        write!(client.socket, "{connect}\r\nSUB {INBOX} 1\r\n")?;
        Ok(client)
    }

    fn request(&mut self, subject: &str, body: &[u8]) -> Result<Value> {
        write!(self.socket, "PUB {subject} {INBOX} {}\r\n", body.len())?;
        self.socket.write_all(body)?;
        self.socket.write_all(b"\r\n")?;
        loop {
            if let Some(message) = self.message()? {
                return Ok(serde_json::from_slice(&message)?);
            }
            self.fill()?;
        }
    }

    fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let length = self.buffer.len();
        self.buffer.resize(length + (64 << 10), 0);
        let count = self.socket.read(&mut self.buffer[length..])?;
        self.buffer.truncate(length + count);
        ensure!(count > 0, "the server closed the connection");
        Ok(())
    }

    /// The payload of the next message that is there whole.
    fn message(&mut self) -> Result<Option<Vec<u8>>> {
        loop {
            let rest = &self.buffer[self.used..];
            let Some(end) = find(rest, b"\r\n") else { return Ok(None) };
            let line = std::str::from_utf8(&rest[..end]).context("a line that is no text")?;
            if line.starts_with("MSG ") {
                let length = line.rsplit(' ').next().and_then(|length| length.parse::<usize>().ok());
                let length = length.context("a message without a length")?;
                if rest.len() < end + 2 + length + 2 {
                    return Ok(None);
                }
                let message = rest[end + 2..end + 2 + length].to_vec();
                self.used += end + 2 + length + 2;
                return Ok(Some(message));
            }
            match line {
                "PING" => self.socket.write_all(b"PONG\r\n")?,
                "PONG" | "+OK" => {}
                line if line.starts_with("INFO ") => {}
                line => bail!("the server said {line:?}"),
            }
            self.used += end + 2;
        }
    }
}
