//! Rows on their way into a stream, for loads that do not fit into memory: lines gather and are sent in bodies whenever there
//! are enough of them. Always: every line that was given is in a receipt as accepted, or the feed fails. Is no measurement: what sending
//! costs is what the other benches look at.

use std::{mem::take, ops::Range};

use anyhow::{Result, ensure};

use super::load::{self, Load};

/// Sent at once, over two connections.
const BYTES: usize = 32 << 20;
const LINES_A_BODY: u64 = 5_000;
/// Well below `limits.body`.
const BODY_BYTES: usize = 8 << 20;
const CONNECTIONS: usize = 2;

pub struct Feed<'a> {
    address: &'a str,
    path: String,
    bytes: Vec<u8>,
    bodies: Vec<Range<usize>>,
    /// Where the body under way begins.
    begin: usize,
    lines: u64,
    rows: u64,
    accepted: u64,
    last_seq: u64,
}

impl<'a> Feed<'a> {
    pub fn new(address: &'a str, stream: &str) -> Feed<'a> {
        Feed {
            address,
            path: format!("/v1/streams/{stream}/events?ack=os"),
            bytes: Vec::with_capacity(BYTES + BODY_BYTES),
            bodies: Vec::new(),
            begin: 0,
            lines: 0,
            rows: 0,
            accepted: 0,
            last_seq: 0,
        }
    }

    /// One row; `write` appends its JSON, without the newline.
    pub fn row(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        write(&mut self.bytes)?;
        self.bytes.push(b'\n');
        self.rows += 1;
        self.lines += 1;
        if self.lines == LINES_A_BODY || self.bytes.len() - self.begin >= BODY_BYTES {
            self.end_body();
        }
        if self.bytes.len() >= BYTES {
            self.send()?;
        }
        Ok(())
    }

    /// How many rows there were, and the append of the last one.
    pub fn finish(mut self) -> Result<(u64, u64)> {
        self.send()?;
        ensure!(
            self.accepted == self.rows,
            "{}: {} rows of {} accepted",
            self.path,
            self.accepted,
            self.rows
        );
        Ok((self.rows, self.last_seq))
    }

    fn end_body(&mut self) {
        self.bodies.push(self.begin..self.bytes.len());
        (self.begin, self.lines) = (self.bytes.len(), 0);
    }

    fn send(&mut self) -> Result<()> {
        if self.begin < self.bytes.len() {
            self.end_body();
        }
        let bodies = take(&mut self.bodies);
        if !bodies.is_empty() {
            let sent = load::send(&Load {
                address: self.address,
                path: &self.path,
                connections: CONNECTIONS,
                bytes: &self.bytes,
                bodies: &bodies,
            })?;
            self.accepted += sent.accepted;
            self.last_seq = self.last_seq.max(sent.last_seq);
        }
        self.bytes.clear();
        self.begin = 0;
        Ok(())
    }
}
