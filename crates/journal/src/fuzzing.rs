//! What the fuzz targets of this crate do with the bytes they are given. For `fuzz/` and `tests/it/corpus.rs`, no API.
//! Always: whatever the bytes, a target returns, or panics because a promise of this crate was broken.
//! Checksums are set right before reading, since no fuzzer finds one; what they guard must hold without them.

mod disk;
mod segment;

use bytes::Bytes;
use hw_event::{Seq, Tally, Timestamp};

pub use self::segment::segment;
use crate::{
    block,
    frame::{self, FrameKind, Head},
    index, kafka_run, keys,
    segment::{Header, PAGE, Trailer},
    state::State,
};

/// Every target by its name, which is also the name of its corpus.
pub const TARGETS: [(&str, fn(&[u8])); 4] = [
    ("append_frame", append_frame),
    ("block_header", block_header),
    ("journal_parts", journal_parts),
    ("segment", segment),
];

const JOURNAL_ID: u128 = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef;
const SEED: u32 = 7;

/// A frame; its magic, length, journal and checksum are made right.
pub fn append_frame(data: &[u8]) {
    let length = data.len() / 8 * 8;
    if length < frame::HEAD_BYTES {
        return;
    }
    let mut bytes = data[..length].to_vec();
    bytes[..4].copy_from_slice(&frame::MAGIC);
    bytes[8..12].copy_from_slice(&(length as u32).to_le_bytes());
    bytes[24..40].copy_from_slice(&JOURNAL_ID.to_le_bytes());
    let crc = crc32c::crc32c_append(SEED, &bytes[8..]);
    bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    assert_eq!(frame::claimed_length(&bytes, JOURNAL_ID), Some(length));
    let Ok(head) = frame::verify(&bytes, SEED, JOURNAL_ID) else { return };
    let payload = &bytes[frame::HEAD_BYTES..];
    match head.kind {
        FrameKind::Append => append_comes_back(&Bytes::from(bytes), &head),
        FrameKind::Snapshot => state(payload),
        FrameKind::Index => entries(payload),
        FrameKind::Seal => {}
    }
}

fn append_comes_back(bytes: &Bytes, head: &Head) {
    let Ok(decoded) = frame::decode_append(bytes, head) else { return };
    // Bodies may overlap in a frame that we did not write, so that what is written is longer than what was read.
    let length = frame::append_bytes(&decoded.append);
    if length > frame::FRAME_BYTES_MAX {
        return;
    }
    let mut written = Vec::new();
    let places = frame::encode_append(&mut written, head, SEED, &decoded.append);
    assert_eq!(written.len(), length, "an append is as long as it was said to be");
    let head = frame::verify(&written, SEED, JOURNAL_ID);
    let Ok(head) = head else { panic!("a frame of our own is refused: {head:?}") };
    match frame::decode_append(&Bytes::from(written), &head) {
        Ok(back) => {
            assert_eq!(back.append, decoded.append, "an append comes back changed");
            assert_eq!(back.places, places, "bodies are not where they were said to be");
        }
        Err(error) => panic!("an append of our own cannot be read: {error:?}"),
    }
}

/// The header of a block, as bytes.
pub fn block_header(data: &[u8]) {
    let Ok(header) = block::decode_header(data) else { return };
    assert!(block::fits(&header));
    let mut written = Vec::new();
    block::encode_header(&mut written, &header);
    assert_eq!(written.len(), data.len(), "a header of another length");
    assert_eq!(written.len(), block::header_bytes(&header));
    assert_eq!(block::decode_header(&written), Ok(header), "a header comes back changed");
}

/// What stands in or beside a segment: the first byte chooses which.
pub fn journal_parts(data: &[u8]) {
    let Some((part, bytes)) = data.split_first() else { return };
    match part {
        b's' => state(bytes),
        b'i' => entries(bytes),
        b'h' => {
            if let Ok(header) = Header::decode(&page(bytes)) {
                assert_eq!(Header::decode(&header.encode()), Ok(header));
            }
        }
        b't' => {
            if let Ok(trailer) = Trailer::decode(&page(bytes)) {
                assert_eq!(Trailer::decode(&trailer.encode()), Ok(trailer));
            }
        }
        b'k' => {
            let mut bytes = bytes.to_vec();
            if let Some(id) = bytes.get_mut(16..32) {
                id.copy_from_slice(&JOURNAL_ID.to_le_bytes());
            }
            let records = keys::decode(&bytes, JOURNAL_ID).unwrap_or_default();
            let held: usize = records.iter().map(|(_, record)| record.owner.len() + record.value.len()).sum();
            assert!(held <= bytes.len());
        }
        b'o' => {
            if let Ok(run) = kafka_run(3, bytes) {
                assert!(run.rows <= run.span && run.partition == 3);
            }
        }
        b'l' => {
            if let Ok(tally) = Tally::from_bytes(bytes) {
                assert_eq!(tally.to_bytes(), bytes, "a tally comes back changed");
            }
        }
        _ => {}
    }
}

/// A page of the journal with the right checksum.
fn page(bytes: &[u8]) -> Vec<u8> {
    let mut page = bytes.to_vec();
    page.resize(PAGE as usize, 0);
    let crc = crc32c::crc32c(&page[12..]);
    page[8..12].copy_from_slice(&crc.to_le_bytes());
    page
}

fn state(payload: &[u8]) {
    let Ok(state) = State::decode(payload) else { return };
    let mut written = Vec::new();
    state.encode(&mut written);
    assert_eq!(written.len(), state.bytes());
    assert_eq!(State::decode(&written), Ok(state), "a snapshot comes back changed");
}

fn entries(payload: &[u8]) {
    let Ok(entries) = index::decode(payload, 1 << 40) else { return };
    let mut written = Vec::new();
    index::encode(&mut written, &entries);
    assert_eq!(index::decode(&written, 1 << 40), Ok(entries), "an index comes back changed");
}

/// A head whose numbers do not matter.
fn head(kind: FrameKind, journal_id: u128, epoch: u64, seq: Seq) -> Head {
    Head {
        kind,
        length: 0,
        journal_id,
        epoch,
        seq,
        received_at: Timestamp(5),
        durable_through: Seq(seq.0.saturating_sub(1)),
        released_through: Seq::ZERO,
        blocks: 0,
        records: 0,
    }
}
