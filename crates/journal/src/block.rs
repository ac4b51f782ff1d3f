//! A block's header as bytes. All numbers little-endian:
//!
//! | at | field | type |
//! |---|---|---|
//! | 0 | kind | u8 (`BlockKind`) |
//! | 1 | encoding | u8 |
//! | 2 | extensions | u16, how many |
//! | 4 | schema number | i32 |
//! | 8 | stream id | u64 |
//! | 16 | fingerprint | u64 |
//! | 24 | min time | i64 |
//! | 32 | max time | i64 |
//! | 40 | runs | u32, how many |
//! | 44 | — | u32, 0 |
//! | 48 | the runs | 48 bytes each |
//! | | the extensions | tag u16, bytes u32, value |
//!
//! A run: partition i32, epoch i16, flags u16, base i64, producer id i64, span u32, rows u32, first sequence i32,
//! received u32, duplicates u32, and four zero bytes.

use bytes::Bytes;
use hw_event::{StreamId, Timestamp};

use crate::{
    BlockHeader, BlockKind, Extension, Run,
    cursor::{Cursor, Short},
};

const FIXED_BYTES: usize = 48;
const RUN_BYTES: usize = 48;
const EXTENSION_BYTES: usize = 6;

/// The bytes are no block header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<Short> for Malformed {
    fn from(_: Short) -> Malformed {
        Malformed
    }
}

pub(crate) fn header_bytes(header: &BlockHeader) -> usize {
    let extensions: usize =
        header.extensions.iter().map(|extension| EXTENSION_BYTES + extension.value.len()).sum();
    FIXED_BYTES + RUN_BYTES * header.runs.len() + extensions
}

/// The caller has checked the counts with `fits`.
pub(crate) fn encode_header(out: &mut Vec<u8>, header: &BlockHeader) {
    out.extend_from_slice(&[header.kind as u8, header.encoding]);
    out.extend_from_slice(&(header.extensions.len() as u16).to_le_bytes());
    out.extend_from_slice(&header.schema.to_le_bytes());
    out.extend_from_slice(&header.stream.0.to_le_bytes());
    out.extend_from_slice(&header.fingerprint.to_le_bytes());
    out.extend_from_slice(&header.min_time.0.to_le_bytes());
    out.extend_from_slice(&header.max_time.0.to_le_bytes());
    out.extend_from_slice(&(header.runs.len() as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    for run in &header.runs {
        out.extend_from_slice(&run.partition.to_le_bytes());
        out.extend_from_slice(&run.epoch.to_le_bytes());
        out.extend_from_slice(&run.flags.to_le_bytes());
        out.extend_from_slice(&run.base.to_le_bytes());
        out.extend_from_slice(&run.producer_id.to_le_bytes());
        out.extend_from_slice(&run.span.to_le_bytes());
        out.extend_from_slice(&run.rows.to_le_bytes());
        out.extend_from_slice(&run.first_sequence.to_le_bytes());
        out.extend_from_slice(&run.received.to_le_bytes());
        out.extend_from_slice(&run.duplicates.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
    }
    for extension in &header.extensions {
        out.extend_from_slice(&extension.tag.to_le_bytes());
        out.extend_from_slice(&(extension.value.len() as u32).to_le_bytes());
        out.extend_from_slice(&extension.value);
    }
}

pub(crate) fn fits(header: &BlockHeader) -> bool {
    u16::try_from(header.extensions.len()).is_ok() && u32::try_from(header.runs.len()).is_ok()
}

pub(crate) fn decode_header(bytes: &[u8]) -> Result<BlockHeader, Malformed> {
    let mut cursor = Cursor::new(bytes);
    let kind = match cursor.u8()? {
        1 => BlockKind::Rows,
        2 => BlockKind::Rejects,
        3 => BlockKind::Opaque,
        4 => BlockKind::Control,
        _ => return Err(Malformed),
    };
    let encoding = cursor.u8()?;
    let extension_count = u32::from(cursor.u16()?);
    let schema = cursor.i32()?;
    let stream = StreamId(cursor.u64()?);
    let fingerprint = cursor.u64()?;
    let min_time = Timestamp(cursor.i64()?);
    let max_time = Timestamp(cursor.i64()?);
    let run_count = cursor.u32()?;
    cursor.u32()?;
    let mut runs = Vec::with_capacity(cursor.expect_items(run_count, RUN_BYTES)?);
    for _ in 0..run_count {
        runs.push(decode_run(&mut cursor)?);
    }
    let mut extensions = Vec::with_capacity(cursor.expect_items(extension_count, EXTENSION_BYTES)?);
    for _ in 0..extension_count {
        let (tag, len) = (cursor.u16()?, cursor.u32()? as usize);
        extensions.push(Extension { tag, value: Bytes::copy_from_slice(cursor.take(len)?) });
    }
    if cursor.remaining() != 0 {
        return Err(Malformed);
    }
    Ok(BlockHeader { kind, stream, schema, fingerprint, encoding, min_time, max_time, extensions, runs })
}

fn decode_run(cursor: &mut Cursor<'_>) -> Result<Run, Short> {
    let partition = cursor.i32()?;
    let epoch = cursor.i16()?;
    let flags = cursor.u16()?;
    let base = cursor.i64()?;
    let producer_id = cursor.i64()?;
    let span = cursor.u32()?;
    let rows = cursor.u32()?;
    let first_sequence = cursor.i32()?;
    let received = cursor.u32()?;
    let duplicates = cursor.u32()?;
    cursor.u32()?;
    Ok(Run { partition, base, span, rows, producer_id, epoch, first_sequence, flags, received, duplicates })
}
