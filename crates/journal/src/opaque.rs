//! Foreign record batches that travel verbatim: what the journal has to know of one is in its header.

use crate::Run;

/// The header of a Kafka v2 record batch, up to and with its record count.
const HEADER_BYTES: usize = 61;
const MAGIC_V2: u8 = 2;
const TRANSACTIONAL: u16 = 1 << 4;
const CONTROL: u16 = 1 << 5;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpaqueError {
    #[error("a record batch of {bytes} bytes is shorter than its header of 61")]
    Short { bytes: usize },
    #[error("a record batch of message format {magic} is not supported, only format 2")]
    Magic { magic: u8 },
    #[error("a record batch says it is {said} bytes long, {bytes} are there")]
    Length { said: i32, bytes: usize },
    #[error("a record batch has an impossible {field}: {value}")]
    Field { field: &'static str, value: i32 },
}

/// The run of one Kafka v2 record batch, read from its header alone (big-endian, KIP-98). The records, which
/// may be compressed, are not looked at, and the batch's own CRC is not checked.
pub fn kafka_run(partition: i32, batch: &[u8]) -> Result<Run, OpaqueError> {
    let header = batch.first_chunk::<HEADER_BYTES>().ok_or(OpaqueError::Short { bytes: batch.len() })?;
    let magic = header[16];
    if magic != MAGIC_V2 {
        return Err(OpaqueError::Magic { magic });
    }
    let said = i32::from_be_bytes(field(header, 8));
    // The length counts from after itself: base offset (8) and length (4) are not in it.
    if usize::try_from(said).ok().and_then(|said| said.checked_add(12)) != Some(batch.len()) {
        return Err(OpaqueError::Length { said, bytes: batch.len() });
    }
    let attributes = u16::from_be_bytes(field(header, 21));
    let last_delta = i32::from_be_bytes(field(header, 23));
    let span = u32::try_from(last_delta)
        .ok()
        .and_then(|delta| delta.checked_add(1))
        .ok_or(OpaqueError::Field { field: "last offset delta", value: last_delta })?;
    let count = i32::from_be_bytes(field(header, 57));
    let rows = u32::try_from(count)
        .ok()
        .filter(|rows| *rows <= span)
        .ok_or(OpaqueError::Field { field: "record count", value: count })?;
    let mut run = Run::new(partition, i64::from_be_bytes(field(header, 0)), span, rows);
    run.producer_id = i64::from_be_bytes(field(header, 43));
    run.epoch = i16::from_be_bytes(field(header, 51));
    run.first_sequence = i32::from_be_bytes(field(header, 53));
    if attributes & TRANSACTIONAL != 0 {
        run.flags |= Run::TRANSACTIONAL;
    }
    if attributes & CONTROL != 0 {
        run.flags |= Run::CONTROL;
    }
    Ok(run)
}

fn field<const N: usize>(header: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&header[at..at + N]);
    bytes
}
