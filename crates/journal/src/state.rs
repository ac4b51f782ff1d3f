//! What all appends so far add up to: next offsets, positions, and where the key records are. The live writer and
//! recovery fold the same appends through the same code. Always: a fold of the snapshot and of what came after it
//! equals the fold of everything.
//!
//! The snapshot frame's payload, little-endian: offsets u32, positions u32, key files u32 (how many of each),
//! four zero bytes, keys released u64; then
//! - per offset: stream u64, partition i32, four zero bytes, next offset i64;
//! - per position: owner bytes u32, value bytes u32, owner, value;
//! - per key file: first u64, last u64, newest i64 (received_at), bytes u64, crc u32, four zero bytes.

use std::collections::HashMap;

use bytes::Bytes;
use hw_event::{Seq, StreamId, Timestamp};

use crate::{
    Append, BlockHeader, Record, RecordKind,
    cursor::{Cursor, Short},
};

const FIXED_BYTES: usize = 24;
const OFFSET_BYTES: usize = 24;
const POSITION_BYTES: usize = 8;
const KEY_FILE_BYTES: usize = 40;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct State {
    pub next_offsets: HashMap<(StreamId, i32), i64>,
    pub positions: HashMap<Bytes, Bytes>,
    /// Oldest first, ranges apart.
    pub key_files: Vec<KeyFile>,
    /// Key records at or before this append are forgotten.
    pub keys_released: Seq,
}

/// A file of key records that a snapshot knows: `keys.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub first: Seq,
    pub last: Seq,
    /// The greatest `received_at` in it.
    pub newest: Timestamp,
    pub bytes: u64,
    pub crc: u32,
}

impl State {
    /// Takes one append into account; its Key records are the caller's care.
    pub fn fold(&mut self, append: &Append) {
        for block in &append.blocks {
            self.fold_header(&block.header);
        }
        for record in &append.records {
            self.fold_record(record);
        }
    }

    pub fn fold_header(&mut self, header: &BlockHeader) {
        for run in &header.runs {
            let next = self.next_offsets.entry((header.stream, run.partition)).or_insert(0);
            *next = (*next).max(run.base.saturating_add(i64::from(run.span)));
        }
    }

    pub fn fold_record(&mut self, record: &Record) {
        match record.kind {
            RecordKind::Position if record.value.is_empty() => {
                self.positions.remove(&record.owner);
            }
            RecordKind::Position => {
                self.positions.insert(record.owner.clone(), record.value.clone());
            }
            RecordKind::Key | RecordKind::Tally => {}
        }
    }

    /// The bytes of a snapshot's payload.
    pub fn bytes(&self) -> usize {
        let positions: usize =
            self.positions.iter().map(|(owner, value)| POSITION_BYTES + owner.len() + value.len()).sum();
        FIXED_BYTES
            + OFFSET_BYTES * self.next_offsets.len()
            + positions
            + KEY_FILE_BYTES * self.key_files.len()
    }

    /// In a fixed order: the same state is the same bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&(self.next_offsets.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.positions.len() as u32).to_le_bytes());
        out.extend_from_slice(&(self.key_files.len() as u32).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.keys_released.0.to_le_bytes());
        let mut offsets: Vec<_> = self.next_offsets.iter().collect();
        offsets.sort_unstable();
        for ((stream, partition), next) in offsets {
            out.extend_from_slice(&stream.0.to_le_bytes());
            out.extend_from_slice(&partition.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
            out.extend_from_slice(&next.to_le_bytes());
        }
        let mut positions: Vec<_> = self.positions.iter().collect();
        positions.sort_unstable();
        for (owner, value) in positions {
            out.extend_from_slice(&(owner.len() as u32).to_le_bytes());
            out.extend_from_slice(&(value.len() as u32).to_le_bytes());
            out.extend_from_slice(owner);
            out.extend_from_slice(value);
        }
        for file in &self.key_files {
            out.extend_from_slice(&file.first.0.to_le_bytes());
            out.extend_from_slice(&file.last.0.to_le_bytes());
            out.extend_from_slice(&file.newest.0.to_le_bytes());
            out.extend_from_slice(&file.bytes.to_le_bytes());
            out.extend_from_slice(&file.crc.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
    }

    pub fn decode(payload: &[u8]) -> Result<State, Short> {
        let mut cursor = Cursor::new(payload);
        let (offsets, positions, key_files) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
        cursor.u32()?;
        let mut state = State { keys_released: Seq(cursor.u64()?), ..State::default() };
        state.next_offsets.reserve(cursor.expect_items(offsets, OFFSET_BYTES)?);
        for _ in 0..offsets {
            let (stream, partition) = (StreamId(cursor.u64()?), cursor.i32()?);
            cursor.u32()?;
            state.next_offsets.insert((stream, partition), cursor.i64()?);
        }
        state.positions.reserve(cursor.expect_items(positions, POSITION_BYTES)?);
        for _ in 0..positions {
            let (owner, value) = (cursor.u32()? as usize, cursor.u32()? as usize);
            let owner = Bytes::copy_from_slice(cursor.take(owner)?);
            state.positions.insert(owner, Bytes::copy_from_slice(cursor.take(value)?));
        }
        state.key_files.reserve(cursor.expect_items(key_files, KEY_FILE_BYTES)?);
        for _ in 0..key_files {
            let file = KeyFile {
                first: Seq(cursor.u64()?),
                last: Seq(cursor.u64()?),
                newest: Timestamp(cursor.i64()?),
                bytes: cursor.u64()?,
                crc: cursor.u32()?,
            };
            cursor.u32()?;
            state.key_files.push(file);
        }
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Block, BlockKind, Run};

    fn position(owner: &'static str, value: &'static str) -> Record {
        Record { kind: RecordKind::Position, owner: owner.into(), value: value.into() }
    }

    fn state() -> State {
        let header = BlockHeader {
            kind: BlockKind::Rows,
            stream: StreamId(5),
            schema: 1,
            fingerprint: 0,
            encoding: 1,
            min_time: Timestamp(0),
            max_time: Timestamp(0),
            extensions: vec![],
            runs: vec![Run::new(0, 10, 5, 4), Run::new(3, 0, 1, 1), Run::new(0, 2, 3, 3)],
        };
        let mut state = State::default();
        state.fold(&Append {
            received_at: Timestamp(1),
            blocks: vec![Block { header, body: Bytes::new() }],
            records: vec![position("a", "1"), position("b", "2"), position("a", "3"), position("b", "")],
        });
        state.key_files.push(KeyFile {
            first: Seq(1),
            last: Seq(9),
            newest: Timestamp(8),
            bytes: 77,
            crc: 5,
        });
        state.keys_released = Seq(4);
        state
    }

    #[test]
    fn offsets_only_grow_and_an_empty_position_ends_it() {
        let state = state();
        assert_eq!(state.next_offsets, HashMap::from([((StreamId(5), 0), 15), ((StreamId(5), 3), 1)]));
        assert_eq!(state.positions, HashMap::from([(Bytes::from("a"), Bytes::from("3"))]));
    }

    #[test]
    fn a_snapshot_comes_back_and_a_cut_one_is_refused() {
        let state = state();
        let mut bytes = Vec::new();
        state.encode(&mut bytes);
        assert_eq!(bytes.len(), state.bytes());
        assert_eq!(State::decode(&bytes), Ok(state));
        for end in 0..bytes.len() {
            assert_eq!(State::decode(&bytes[..end]), Err(Short), "cut at {end}");
        }
        assert_eq!(State::decode(&[0xff; 64]), Err(Short));
    }
}
