//! Where the appends of one segment are: kept in memory for every unreleased segment, and written into a
//! sealed one, so that a restart does not read its bodies.
//!
//! The index frame's payload, little-endian: appends u32, four zero bytes; then per append: seq u64, position
//! u64 (of its frame in the file), received_at i64, length u32 (of its frame), blocks u32, and its block table
//! as it stands in the frame.

use std::sync::Arc;

use hw_event::{Seq, Timestamp};

use crate::{
    BlockHeader,
    cursor::Cursor,
    frame::{self, BodyPlace, FrameError},
};

const FIXED_BYTES: usize = 8;
const APPEND_BYTES: usize = 32;

/// One append's frame and what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub seq: Seq,
    pub position: u64,
    pub length: u32,
    pub received_at: Timestamp,
    pub blocks: Vec<(Arc<BlockHeader>, BodyPlace)>,
}

impl Entry {
    /// What this append adds to an index frame.
    pub fn bytes(&self) -> usize {
        let table: usize = self.blocks.iter().map(|(header, _)| frame::table_entry_bytes(header)).sum();
        APPEND_BYTES + table
    }

    pub fn end(&self) -> u64 {
        self.position + u64::from(self.length)
    }
}

/// What an append will add to an index frame.
pub(crate) fn entry_bytes(append: &crate::Append) -> usize {
    let table: usize = append.blocks.iter().map(|block| frame::table_entry_bytes(&block.header)).sum();
    APPEND_BYTES + table
}

/// The bytes of an index frame whose entries take `entries` bytes.
pub(crate) fn frame_bytes(entries: usize) -> usize {
    frame::align(frame::HEAD_BYTES + FIXED_BYTES + entries)
}

pub(crate) fn encode(out: &mut Vec<u8>, entries: &[Entry]) {
    out.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for entry in entries {
        out.extend_from_slice(&entry.seq.0.to_le_bytes());
        out.extend_from_slice(&entry.position.to_le_bytes());
        out.extend_from_slice(&entry.received_at.0.to_le_bytes());
        out.extend_from_slice(&entry.length.to_le_bytes());
        out.extend_from_slice(&(entry.blocks.len() as u32).to_le_bytes());
        for (header, place) in &entry.blocks {
            frame::encode_entry(out, header, *place);
        }
    }
}

/// Reads an index whose appends all lie before `limit` in their file.
pub(crate) fn decode(payload: &[u8], limit: u64) -> Result<Vec<Entry>, FrameError> {
    let mut cursor = Cursor::new(payload);
    let count = cursor.u32()?;
    cursor.u32()?;
    let mut entries: Vec<Entry> = Vec::with_capacity(cursor.expect_items(count, APPEND_BYTES)?);
    for _ in 0..count {
        let (seq, position) = (Seq(cursor.u64()?), cursor.u64()?);
        let received_at = Timestamp(cursor.i64()?);
        let (length, blocks) = (cursor.u32()?, cursor.u32()?);
        let in_order = entries.last().is_none_or(|last| last.seq < seq && last.end() <= position);
        let inside = position.checked_add(u64::from(length)).is_some_and(|end| end <= limit);
        if !in_order || !inside || (length as usize) < frame::HEAD_BYTES {
            return Err(FrameError::Malformed);
        }
        let blocks = frame::decode_entries(&mut cursor, blocks, length)?;
        let blocks = blocks.into_iter().map(|(header, place)| (Arc::new(header), place)).collect();
        entries.push(Entry { seq, position, length, received_at, blocks });
    }
    Ok(entries)
}
