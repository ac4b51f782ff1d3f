//! The frame: what the journal writes, whole or not at all. One CRC-32C over everything after it, seeded with
//! the segment's incarnation, so that a recycled segment's old frames are no frames of the new one.
//!
//! All numbers little-endian:
//!
//! | at | field | type | meaning |
//! |---|---|---|---|
//! | 0 | magic | 4 bytes | `HWfr` |
//! | 4 | crc | u32 | CRC-32C of the incarnation (u64), then of bytes `8..length` |
//! | 8 | length | u32 | from the magic to the last section's end, a multiple of 8 |
//! | 12 | version | u16 | 1 |
//! | 14 | kind | u8 | `FrameKind` |
//! | 15 | — | u8 | 0 |
//! | 16 | incompatible | u32 | feature bits; one that a reader does not know makes it refuse |
//! | 20 | blocks | u32 | blocks in the payload |
//! | 24 | journal id | u128 | |
//! | 40 | boot epoch | u64 | never falls within a journal |
//! | 48 | seq | u64 | of this append; of the last append before it for the other kinds |
//! | 56 | received_at | i64 | µs since 1970 |
//! | 64 | durable through | u64 | every append through this one had been synced before this frame was written |
//! | 72 | released through | u64 | every append through this one may be gone |
//! | 80 | records | u32 | records in the payload |
//! | 84 | — | 12 bytes | 0 |
//! | 96 | payload | | by kind |

use bytes::Bytes;
use hw_event::{
    Seq, Timestamp,
    sabotage::{Bug, armed},
};

use crate::{
    Append, Block, BlockHeader, Record, RecordKind,
    block::{self, Malformed},
    cursor::{Cursor, Short},
};

pub(crate) const MAGIC: [u8; 4] = *b"HWfr";
pub(crate) const VERSION: u16 = 1;
/// The feature bits this version understands: none exist yet.
pub(crate) const KNOWN_FEATURES: u32 = 0;
pub(crate) const HEAD_BYTES: usize = 96;
/// A frame's length is a u32 and must leave room for arithmetic.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 30;
/// Before each block's header in a block table: header bytes, body bytes, body CRC, where the body is.
const ENTRY_BYTES: usize = 16;
const RECORD_BYTES: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    /// An append: block table, records, bodies.
    Append = 1,
    /// No payload. Says how far the log is durable; repeats the last append's number.
    Seal = 2,
    /// What everything before knew: `state.rs`.
    Snapshot = 3,
    /// Where the appends of this segment are: `index.rs`.
    Index = 4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub kind: FrameKind,
    pub length: u32,
    pub journal_id: u128,
    pub epoch: u64,
    pub seq: Seq,
    pub received_at: Timestamp,
    pub durable_through: Seq,
    pub released_through: Seq,
    pub blocks: u32,
    pub records: u32,
}

/// A block's place in its frame, and how to know it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BodyPlace {
    /// From the frame's magic.
    pub at: u32,
    pub bytes: u32,
    /// CRC-32C of the body alone (unseeded), so that one block can be read and checked by itself.
    pub crc: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// No frame of this segment's incarnation: torn, damaged, stale or never written.
    NotAFrame,
    /// A whole frame (its CRC matches) that this version must not read.
    Version(u16),
    Features(u32),
    ForeignJournal(u128),
    /// The CRC matches and the contents make no sense: our bug, or a forger's work.
    Malformed,
}

impl From<Short> for FrameError {
    fn from(_: Short) -> FrameError {
        FrameError::Malformed
    }
}

impl From<Malformed> for FrameError {
    fn from(_: Malformed) -> FrameError {
        FrameError::Malformed
    }
}

/// The CRC that every frame of an incarnation starts from.
pub(crate) fn seed(incarnation: u64) -> u32 {
    if armed(Bug::CrcUnseeded) {
        return 0;
    }
    crc32c::crc32c(&incarnation.to_le_bytes())
}

pub(crate) fn align(bytes: usize) -> usize {
    bytes.next_multiple_of(8)
}

/// The length that a thing at `bytes` claims, if it could be a frame of this journal: a first, cheap look.
pub(crate) fn claimed_length(bytes: &[u8], journal_id: u128) -> Option<usize> {
    let head = bytes.get(..HEAD_BYTES)?;
    let mut cursor = Cursor::new(head);
    let magic = cursor.take(4).ok()?;
    cursor.take(4).ok()?;
    let length = cursor.u32().ok()? as usize;
    cursor.take(12).ok()?;
    let id = cursor.u128().ok()?;
    let plausible = magic == MAGIC && id == journal_id && length.is_multiple_of(8);
    (plausible && (HEAD_BYTES..=FRAME_BYTES_MAX).contains(&length)).then_some(length)
}

/// The number in a head that was not verified: what a torn frame would have been.
pub(crate) fn claimed_seq(bytes: &[u8]) -> Option<Seq> {
    let mut cursor = Cursor::new(bytes.get(48..56)?);
    cursor.u64().ok().map(Seq)
}

/// Verifies the frame which is exactly `bytes`, and reads its head.
pub(crate) fn verify(bytes: &[u8], seed: u32, journal_id: u128) -> Result<Head, FrameError> {
    let mut cursor = Cursor::new(bytes);
    let magic = cursor.take(4).map_err(|_| FrameError::NotAFrame)?;
    let crc = cursor.u32().map_err(|_| FrameError::NotAFrame)?;
    let length = cursor.u32().map_err(|_| FrameError::NotAFrame)?;
    if magic != MAGIC || length as usize != bytes.len() || bytes.len() < HEAD_BYTES {
        return Err(FrameError::NotAFrame);
    }
    if crc32c::crc32c_append(seed, &bytes[8..]) != crc && !armed(Bug::CrcUnchecked) {
        return Err(FrameError::NotAFrame);
    }
    // From here on these are the bytes that were written. What cannot be read was written by another version.
    let version = cursor.u16()?;
    if version > VERSION {
        return Err(FrameError::Version(version));
    }
    let kind = cursor.u8()?;
    cursor.u8()?;
    let features = cursor.u32()?;
    if features & !KNOWN_FEATURES != 0 {
        return Err(FrameError::Features(features & !KNOWN_FEATURES));
    }
    let kind = match kind {
        1 => FrameKind::Append,
        2 => FrameKind::Seal,
        3 => FrameKind::Snapshot,
        4 => FrameKind::Index,
        _ => return Err(FrameError::Malformed),
    };
    let blocks = cursor.u32()?;
    let id = cursor.u128()?;
    if id != journal_id {
        return Err(FrameError::ForeignJournal(id));
    }
    Ok(Head {
        kind,
        length,
        journal_id: id,
        epoch: cursor.u64()?,
        seq: Seq(cursor.u64()?),
        received_at: Timestamp(cursor.i64()?),
        durable_through: Seq(cursor.u64()?),
        released_through: Seq(cursor.u64()?),
        records: cursor.u32()?,
        blocks,
    })
}

/// Writes a frame at the end of `out`; `payload` adds the payload. `head.length` is computed here.
pub(crate) fn encode(out: &mut Vec<u8>, head: &Head, seed: u32, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    debug_assert!(start.is_multiple_of(8));
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&[0; 8]); // crc and length, known at the end
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&[head.kind as u8, 0]);
    out.extend_from_slice(&0u32.to_le_bytes());
    out.extend_from_slice(&head.blocks.to_le_bytes());
    out.extend_from_slice(&head.journal_id.to_le_bytes());
    out.extend_from_slice(&head.epoch.to_le_bytes());
    out.extend_from_slice(&head.seq.0.to_le_bytes());
    out.extend_from_slice(&head.received_at.0.to_le_bytes());
    out.extend_from_slice(&head.durable_through.0.to_le_bytes());
    out.extend_from_slice(&head.released_through.0.to_le_bytes());
    out.extend_from_slice(&head.records.to_le_bytes());
    out.extend_from_slice(&[0; 12]);
    payload(out);
    pad(out);
    let length = out.len() - start;
    assert!(length <= FRAME_BYTES_MAX, "the caller checked the size of the frame");
    out[start + 8..start + 12].copy_from_slice(&(length as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(seed, &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(align(out.len()), 0);
}

/// The bytes an append's frame takes.
pub(crate) fn append_bytes(append: &Append) -> usize {
    let table: usize = append.blocks.iter().map(|block| table_entry_bytes(&block.header)).sum();
    let records: usize =
        append.records.iter().map(|record| RECORD_BYTES + record.owner.len() + record.value.len()).sum();
    let bodies: usize = append.blocks.iter().map(|block| align(block.body.len())).sum();
    HEAD_BYTES + table + align(records) + bodies
}

/// The bytes of one entry in a block table.
pub(crate) fn table_entry_bytes(header: &BlockHeader) -> usize {
    ENTRY_BYTES + align(block::header_bytes(header))
}

/// Writes an append's frame and returns where its bodies are.
pub(crate) fn encode_append(out: &mut Vec<u8>, head: &Head, seed: u32, append: &Append) -> Vec<BodyPlace> {
    let start = out.len();
    let records: usize =
        append.records.iter().map(|record| RECORD_BYTES + record.owner.len() + record.value.len()).sum();
    let table: usize = append.blocks.iter().map(|block| table_entry_bytes(&block.header)).sum();
    let mut at = HEAD_BYTES + table + align(records);
    let mut places = Vec::with_capacity(append.blocks.len());
    for block in &append.blocks {
        let crc = crc32c::crc32c(&block.body);
        places.push(BodyPlace { at: at as u32, bytes: block.body.len() as u32, crc });
        at += align(block.body.len());
    }
    let head = Head {
        kind: FrameKind::Append,
        blocks: append.blocks.len() as u32,
        records: append.records.len() as u32,
        received_at: append.received_at,
        ..*head
    };
    encode(out, &head, seed, |out| {
        for (block, place) in append.blocks.iter().zip(&places) {
            encode_entry(out, &block.header, *place);
        }
        for record in &append.records {
            out.extend_from_slice(&[record.kind as u8, 0, 0, 0]);
            out.extend_from_slice(&(record.owner.len() as u32).to_le_bytes());
            out.extend_from_slice(&(record.value.len() as u32).to_le_bytes());
            out.extend_from_slice(&record.owner);
            out.extend_from_slice(&record.value);
        }
        pad(out);
        for block in &append.blocks {
            out.extend_from_slice(&block.body);
            pad(out);
        }
    });
    debug_assert_eq!(out.len() - start, at, "the frame is as long as append_bytes says");
    places
}

/// One entry of a block table; an index repeats it as it stands in the frame.
pub(crate) fn encode_entry(out: &mut Vec<u8>, header: &BlockHeader, place: BodyPlace) {
    out.extend_from_slice(&(block::header_bytes(header) as u32).to_le_bytes());
    out.extend_from_slice(&place.bytes.to_le_bytes());
    out.extend_from_slice(&place.crc.to_le_bytes());
    out.extend_from_slice(&place.at.to_le_bytes());
    block::encode_header(out, header);
    pad(out);
}

/// Reads `count` entries of a block table whose frame is `length` bytes long.
pub(crate) fn decode_entries(
    cursor: &mut Cursor<'_>,
    count: u32,
    length: u32,
) -> Result<Vec<(BlockHeader, BodyPlace)>, FrameError> {
    let mut entries = Vec::with_capacity(cursor.expect_items(count, ENTRY_BYTES)?);
    for _ in 0..count {
        let header_bytes = cursor.u32()? as usize;
        let place = BodyPlace { bytes: cursor.u32()?, crc: cursor.u32()?, at: cursor.u32()? };
        if place.at.checked_add(place.bytes).is_none_or(|end| end > length) {
            return Err(FrameError::Malformed);
        }
        let padded = header_bytes.checked_next_multiple_of(8).ok_or(FrameError::Malformed)?;
        let header = cursor.take(padded)?.get(..header_bytes).ok_or(FrameError::Malformed)?;
        entries.push((block::decode_header(header)?, place));
    }
    Ok(entries)
}

/// An append's frame, taken apart. Bodies are slices of the frame's buffer.
pub(crate) struct Decoded {
    pub append: Append,
    pub places: Vec<BodyPlace>,
}

/// Takes apart a frame that `verify` has accepted.
pub(crate) fn decode_append(frame: &Bytes, head: &Head) -> Result<Decoded, FrameError> {
    let payload = frame.get(HEAD_BYTES..).ok_or(FrameError::Malformed)?;
    let mut cursor = Cursor::new(payload);
    let entries = decode_entries(&mut cursor, head.blocks, head.length)?;
    let mut records = Vec::with_capacity(cursor.expect_items(head.records, RECORD_BYTES)?);
    for _ in 0..head.records {
        records.push(decode_record(&mut cursor)?);
    }
    let mut places = Vec::with_capacity(entries.len());
    let mut blocks = Vec::with_capacity(entries.len());
    for (header, place) in entries {
        let start = place.at as usize;
        // `decode_entries` has checked the end against the frame's length, which `verify` compared with the buffer.
        let body = frame.slice(start..start + place.bytes as usize);
        blocks.push(Block { header, body });
        places.push(place);
    }
    Ok(Decoded { append: Append { received_at: head.received_at, blocks, records }, places })
}

fn decode_record(cursor: &mut Cursor<'_>) -> Result<Record, FrameError> {
    let kind = match cursor.u8()? {
        1 => RecordKind::Position,
        2 => RecordKind::Key,
        3 => RecordKind::Tally,
        _ => return Err(FrameError::Malformed),
    };
    cursor.take(3)?;
    let (owner_bytes, value_bytes) = (cursor.u32()? as usize, cursor.u32()? as usize);
    // Copied, not sliced: records outlive their frame by far, and must not hold its buffer.
    let owner = Bytes::copy_from_slice(cursor.take(owner_bytes)?);
    let value = Bytes::copy_from_slice(cursor.take(value_bytes)?);
    Ok(Record { kind, owner, value })
}

#[cfg(test)]
mod tests;
