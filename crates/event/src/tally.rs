//! What the ledger is made of: one tally a stream, door and append, written in the append that it counts.
//! Always: received = stored + rejected + duplicates. `received` is counted by the door's framing, the
//! other three by the gate's verdicts, so the equation can fail and is worth checking. A replayed event is none of them
//! twice: it stays `rejected` and adds to `replayed`.

use crate::{StreamId, Timestamp};

/// Counts of events, except `bytes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub stream: StreamId,
    /// The door's name: `http`, `tcp.NAME`, `directory.NAME`.
    pub door: String,
    /// When the first and the last of these events came; the ledger's minute is that of `first_at`.
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub received: u64,
    pub stored: u64,
    pub rejected: u64,
    pub duplicates: u64,
    /// Healthy neighbours refused because a stream in mode `reject` got a bad event; outside `received`.
    pub refused: u64,
    /// Rejects that came back and are rows now; outside `received`, which counted them when they first came.
    pub replayed: u64,
    /// Bytes of the received events as the door framed them.
    pub bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tally record is malformed")]
pub struct MalformedTally;

const NUMBERS: usize = 10;

impl Tally {
    pub fn new(stream: StreamId, door: &str, at: Timestamp) -> Tally {
        Tally {
            stream,
            door: door.to_owned(),
            first_at: at,
            last_at: at,
            received: 0,
            stored: 0,
            rejected: 0,
            duplicates: 0,
            refused: 0,
            replayed: 0,
            bytes: 0,
        }
    }

    pub fn balances(&self) -> bool {
        self.received == self.stored + self.rejected + self.duplicates
    }

    /// Adds the counts of `other`, of the same stream and door.
    pub fn add(&mut self, other: &Tally) {
        debug_assert!(self.stream == other.stream && self.door == other.door);
        self.first_at = self.first_at.min(other.first_at);
        self.last_at = self.last_at.max(other.last_at);
        self.received += other.received;
        self.stored += other.stored;
        self.rejected += other.rejected;
        self.duplicates += other.duplicates;
        self.refused += other.refused;
        self.replayed += other.replayed;
        self.bytes += other.bytes;
    }

    /// Ten little-endian 64-bit numbers (stream, first_at, last_at, received, stored, rejected,
    /// duplicates, refused, replayed, bytes), then the door's name in UTF-8.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbers: [u64; NUMBERS] = [
            self.stream.0,
            self.first_at.0.cast_unsigned(),
            self.last_at.0.cast_unsigned(),
            self.received,
            self.stored,
            self.rejected,
            self.duplicates,
            self.refused,
            self.replayed,
            self.bytes,
        ];
        let mut bytes = Vec::with_capacity(NUMBERS * 8 + self.door.len());
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(self.door.as_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Tally, MalformedTally> {
        let (head, door) = bytes.split_at_checked(NUMBERS * 8).ok_or(MalformedTally)?;
        let mut numbers = [0u64; NUMBERS];
        for (number, chunk) in numbers.iter_mut().zip(head.chunks_exact(8)) {
            *number = u64::from_le_bytes(chunk.try_into().map_err(|_| MalformedTally)?);
        }
        let [stream, first_at, last_at, received, stored, rejected, duplicates, refused, replayed, bytes] =
            numbers;
        Ok(Tally {
            stream: StreamId(stream),
            door: std::str::from_utf8(door).map_err(|_| MalformedTally)?.to_owned(),
            first_at: Timestamp(first_at.cast_signed()),
            last_at: Timestamp(last_at.cast_signed()),
            received,
            stored,
            rejected,
            duplicates,
            refused,
            replayed,
            bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_comes_back_from_its_bytes() {
        let mut tally = Tally::new(StreamId(7), "tcp.sensors", Timestamp(-5));
        tally.received = 10;
        tally.stored = 8;
        tally.rejected = 2;
        assert!(tally.balances());
        assert_eq!(Tally::from_bytes(&tally.to_bytes()), Ok(tally.clone()));
        assert_eq!(Tally::from_bytes(&tally.to_bytes()[..79]), Err(MalformedTally));
    }
}
