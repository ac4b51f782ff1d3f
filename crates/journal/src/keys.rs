//! Key files: the dedupe window's records of one or more closed segments, `FIRST-LAST.keys`. In the snapshots they
//! would be copied again and again; there can be a million of them a stream. Always: written once, synced (with the
//! directory) before a snapshot names it, removed after no durable snapshot names it.
//!
//! Little-endian: magic `HWkeys\0\0` (8) · version u16 · 0 u16 · incompatible u32 · journal id u128 · first u64 ·
//! last u64 · newest i64 · records u32 · 0 u32; then per record: seq u64, owner bytes u32, value bytes u32, owner,
//! value. The length and the CRC-32C of the whole file stand in the snapshot.

use std::io;

use bytes::Bytes;
use hw_event::{Seq, Timestamp};

use crate::{Disk, Record, RecordKind, cursor::Cursor, frame::KNOWN_FEATURES, segment, state::KeyFile};

const MAGIC: [u8; 8] = *b"HWkeys\0\0";
const VERSION: u16 = 1;
const HEAD_BYTES: usize = 64;
const RECORD_BYTES: usize = 16;
/// Neighbours below this are merged into one file.
pub(crate) const MERGE_BYTES: u64 = 1024 * 1024;

/// A key record and the append it came with.
pub(crate) type KeyRecord = (Seq, Record);

pub(crate) fn file_name(first: Seq, last: Seq) -> String {
    format!("{:016}-{:016}.keys", first.0, last.0)
}

/// Is this the name of a key file?
pub(crate) fn is_key_file(name: &str) -> bool {
    let digits = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit());
    name.strip_suffix(".keys")
        .and_then(|stem| stem.split_once('-'))
        .is_some_and(|(first, last)| digits(first) && digits(last))
}

/// Writes a key file and syncs it, but not its name: the caller syncs the directory once for all.
pub(crate) fn write(
    disk: &dyn Disk,
    journal_id: u128,
    span: (Seq, Seq),
    newest: Timestamp,
    records: &[KeyRecord],
) -> io::Result<KeyFile> {
    let (first, last) = span;
    let mut bytes = Vec::with_capacity(HEAD_BYTES);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&journal_id.to_le_bytes());
    bytes.extend_from_slice(&first.0.to_le_bytes());
    bytes.extend_from_slice(&last.0.to_le_bytes());
    bytes.extend_from_slice(&newest.0.to_le_bytes());
    bytes.extend_from_slice(&(records.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (seq, record) in records {
        bytes.extend_from_slice(&seq.0.to_le_bytes());
        bytes.extend_from_slice(&(record.owner.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(record.value.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&record.owner);
        bytes.extend_from_slice(&record.value);
    }
    // A file of this name is what an attempt that failed has left: no snapshot names it.
    let name = file_name(first, last);
    match disk.remove(&name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&name, true)?;
    file.write_at(&bytes, 0)?;
    file.sync()?;
    Ok(KeyFile { first, last, newest, bytes: bytes.len() as u64, crc: crc32c::crc32c(&bytes) })
}

/// Reads a key file that a snapshot names. `Ok(Err(reason))`: it is damaged.
pub(crate) fn read(
    disk: &dyn Disk,
    journal_id: u128,
    expected: &KeyFile,
) -> io::Result<Result<Vec<KeyRecord>, &'static str>> {
    let file = match disk.open(&file_name(expected.first, expected.last), false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Err("the file is missing")),
        Err(error) => return Err(error),
    };
    if file.len()? < expected.bytes {
        return Ok(Err("the file is too short"));
    }
    let bytes = segment::read_vec(file.as_ref(), 0, expected.bytes as usize)?;
    if crc32c::crc32c(&bytes) != expected.crc {
        return Ok(Err("the checksum does not match"));
    }
    Ok(decode(&bytes, journal_id).ok_or("the contents make no sense"))
}

pub(crate) fn decode(bytes: &[u8], journal_id: u128) -> Option<Vec<KeyRecord>> {
    let mut cursor = Cursor::new(bytes);
    let magic = cursor.take(8).ok()?;
    let version = cursor.u16().ok()?;
    cursor.u16().ok()?;
    let features = cursor.u32().ok()?;
    let id = cursor.u128().ok()?;
    if magic != MAGIC || version != VERSION || features & !KNOWN_FEATURES != 0 || id != journal_id {
        return None;
    }
    cursor.take(24).ok()?;
    let count = cursor.u32().ok()?;
    cursor.u32().ok()?;
    let mut records = Vec::with_capacity(cursor.expect_items(count, RECORD_BYTES).ok()?);
    for _ in 0..count {
        let seq = Seq(cursor.u64().ok()?);
        let (owner, value) = (cursor.u32().ok()? as usize, cursor.u32().ok()? as usize);
        let owner = Bytes::copy_from_slice(cursor.take(owner).ok()?);
        let value = Bytes::copy_from_slice(cursor.take(value).ok()?);
        records.push((seq, Record { kind: RecordKind::Key, owner, value }));
    }
    Some(records)
}
