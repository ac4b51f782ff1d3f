//! Frames come back as they went; no bytes, however wrong, make a reader panic or believe them.

use hw_event::StreamId;
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{BlockKind, Extension, Run, index, state::State};

const ID: u128 = 0xfeed << 64 | 7;

fn bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), len).prop_map(Bytes::from)
}

prop_compose! {
    fn run()(
        partition: i32, base: i64, span: u32, rows: u32, producer_id: i64, epoch: i16,
        first_sequence: i32, flags: u16, received: u32, duplicates: u32,
    ) -> Run {
        Run { partition, base, span, rows, producer_id, epoch, first_sequence, flags, received, duplicates }
    }
}

prop_compose! {
    fn header()(
        kind in prop::sample::select(vec![
            BlockKind::Rows, BlockKind::Rejects, BlockKind::Opaque, BlockKind::Control,
        ]),
        stream: u64, schema: i32, fingerprint: u64, encoding: u8, min: i64, max: i64,
        extensions in vec((any::<u16>(), bytes(0..9)), 0..3),
        runs in vec(run(), 0..4),
    ) -> BlockHeader {
        let extensions = extensions.into_iter().map(|(tag, value)| Extension { tag, value }).collect();
        BlockHeader {
            kind, stream: StreamId(stream), schema, fingerprint, encoding,
            min_time: Timestamp(min), max_time: Timestamp(max), extensions, runs,
        }
    }
}

prop_compose! {
    fn append()(
        received_at: i64,
        blocks in vec((header(), bytes(0..50)), 0..4),
        records in vec((1u8..4, bytes(0..20), bytes(0..20)), 0..5),
    ) -> Append {
        let blocks = blocks.into_iter().map(|(header, body)| Block { header, body }).collect();
        let kinds = [RecordKind::Position, RecordKind::Key, RecordKind::Tally];
        let records = records
            .into_iter()
            .map(|(kind, owner, value)| Record { kind: kinds[usize::from(kind) - 1], owner, value })
            .collect();
        Append { received_at: Timestamp(received_at), blocks, records }
    }
}

fn head() -> Head {
    Head {
        kind: FrameKind::Append,
        length: 0,
        journal_id: ID,
        epoch: 3,
        seq: Seq(9),
        received_at: Timestamp(0),
        durable_through: Seq(8),
        released_through: Seq(2),
        blocks: 0,
        records: 0,
    }
}

fn encoded(append: &Append, incarnation: u64) -> (Vec<u8>, Vec<BodyPlace>) {
    let mut out = Vec::new();
    let places = encode_append(&mut out, &head(), seed(incarnation), append);
    (out, places)
}

/// Puts the right checksum on wrong contents.
fn reseal(frame: &mut [u8], incarnation: u64) {
    let crc = crc32c::crc32c_append(seed(incarnation), &frame[8..]);
    frame[4..8].copy_from_slice(&crc.to_le_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_append_comes_back_from_its_frame(append in append(), incarnation: u64) {
        let (frame, places) = encoded(&append, incarnation);
        prop_assert_eq!(frame.len(), append_bytes(&append));
        prop_assert_eq!(claimed_length(&frame, ID), Some(frame.len()));
        prop_assert_eq!(claimed_seq(&frame), Some(Seq(9)));
        let frame = Bytes::from(frame);
        let read = verify(&frame, seed(incarnation), ID).unwrap();
        prop_assert_eq!((read.seq, read.epoch), (Seq(9), 3));
        prop_assert_eq!((read.durable_through, read.released_through), (Seq(8), Seq(2)));
        let decoded = decode_append(&frame, &read).unwrap();
        for (block, place) in append.blocks.iter().zip(&places) {
            let body = &frame[place.at as usize..][..place.bytes as usize];
            prop_assert_eq!(body, &block.body);
            prop_assert_eq!(crc32c::crc32c(body), place.crc);
            prop_assert_eq!(place.at % 8, 0);
        }
        prop_assert_eq!(decoded.places, places);
        prop_assert_eq!(decoded.append, append);
    }

    #[test]
    fn another_incarnation_reads_nothing(append in append(), one: u64, other: u64) {
        prop_assume!(one != other);
        let (frame, _) = encoded(&append, one);
        prop_assert_eq!(verify(&frame, seed(other), ID), Err(FrameError::NotAFrame));
    }

    #[test]
    fn a_changed_bit_is_no_frame(append in append(), bit: prop::sample::Index) {
        let (mut frame, _) = encoded(&append, 1);
        let bit = bit.index(frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(verify(&frame, seed(1), ID), Err(FrameError::NotAFrame));
    }

    #[test]
    fn nonsense_under_a_right_checksum_is_refused_or_read_but_never_panics(
        append in append(),
        places in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut: prop::sample::Index,
    ) {
        let (mut frame, _) = encoded(&append, 1);
        for (at, value) in places {
            let at = 12 + at.index(frame.len() - 12);
            frame[at] = value;
        }
        frame.truncate(HEAD_BYTES + cut.index(frame.len() - HEAD_BYTES + 1));
        let length = (frame.len() as u32).to_le_bytes();
        frame[8..12].copy_from_slice(&length);
        reseal(&mut frame, 1);
        let frame = Bytes::from(frame);
        if let Ok(head) = verify(&frame, seed(1), ID) {
            let _ = decode_append(&frame, &head);
            let _ = index::decode(&frame[HEAD_BYTES..], u64::MAX);
            let _ = State::decode(&frame[HEAD_BYTES..]);
        }
    }

    #[test]
    fn random_bytes_are_nothing(junk in vec(any::<u8>(), 0..300)) {
        prop_assert_eq!(verify(&junk, seed(1), ID), Err(FrameError::NotAFrame));
        prop_assert_eq!(claimed_length(&junk, ID), None);
        let _ = crate::block::decode_header(&junk);
        let _ = index::decode(&junk, u64::MAX);
        let _ = State::decode(&junk);
    }

    #[test]
    fn an_index_repeats_what_the_frames_say(appends in vec(append(), 1..4)) {
        let (mut file, mut entries) = (Vec::new(), Vec::new());
        for (at, append) in appends.iter().enumerate() {
            let position = file.len();
            let seq = Seq(at as u64 + 1);
            let places = encode_append(&mut file, &Head { seq, ..head() }, seed(1), append);
            let headers = append.blocks.iter().map(|block| std::sync::Arc::new(block.header.clone()));
            entries.push(index::Entry {
                seq,
                position: position as u64,
                length: (file.len() - position) as u32,
                received_at: append.received_at,
                blocks: headers.zip(places).collect(),
            });
        }
        let mut payload = Vec::new();
        index::encode(&mut payload, &entries);
        let bytes: usize = entries.iter().map(index::Entry::bytes).sum();
        prop_assert_eq!(index::frame_bytes(bytes), align(HEAD_BYTES + payload.len()));
        prop_assert_eq!(bytes, appends.iter().map(index::entry_bytes).sum::<usize>());
        let limit = file.len() as u64;
        prop_assert_eq!(index::decode(&payload, limit), Ok(entries));
        prop_assert_eq!(index::decode(&payload, limit - 1), Err(FrameError::Malformed));
        for end in 0..payload.len() {
            prop_assert_eq!(index::decode(&payload[..end], limit), Err(FrameError::Malformed));
        }
    }
}

#[test]
fn a_newer_version_and_an_unknown_feature_are_named() {
    let (frame, _) = encoded(&Append::default(), 1);
    let mut newer = frame.clone();
    newer[12] = 9;
    reseal(&mut newer, 1);
    assert_eq!(verify(&newer, seed(1), ID), Err(FrameError::Version(9)));
    let mut feature = frame.clone();
    feature[16] = 4;
    reseal(&mut feature, 1);
    assert_eq!(verify(&feature, seed(1), ID), Err(FrameError::Features(4)));
    assert_eq!(verify(&frame, seed(1), ID + 1), Err(FrameError::ForeignJournal(ID)));
}

#[test]
fn a_count_that_lies_allocates_nothing() {
    let (mut frame, _) = encoded(&Append::default(), 1);
    for field in [20, 80] {
        frame[field..field + 4].copy_from_slice(&u32::MAX.to_le_bytes());
        reseal(&mut frame, 1);
        let frame = Bytes::from(frame.clone());
        let head = verify(&frame, seed(1), ID).unwrap();
        assert!(decode_append(&frame, &head).is_err());
    }
}
