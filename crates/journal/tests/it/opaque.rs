//! A Kafka v2 record batch travels through the journal verbatim, and its run comes from its header alone.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use hw_event::{Seq, StreamId, SystemClock, Timestamp};
use hw_journal::{Append, Block, BlockHeader, BlockKind, Core, OpaqueError, Run, kafka_run};
use hw_testkit::{SeededEntropy, SimDisk};
use kafka_protocol::{
    indexmap::IndexMap,
    protocol::StrBytes,
    records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType},
};

use crate::model::small;

fn batch() -> Bytes {
    let record = |at: i64, value: Option<&'static str>| Record {
        transactional: true,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 3,
        producer_id: 4711,
        producer_epoch: 5,
        timestamp_type: TimestampType::Creation,
        offset: 1000 + at,
        sequence: 77 + at as i32,
        timestamp: 1_700_000_000_000 + at,
        key: Some(Bytes::from(format!("key-{at}"))),
        value: value.map(Bytes::from),
        headers: IndexMap::from([
            (StrBytes::from_static_str("trace"), Some(Bytes::from_static(b"\x00\xff"))),
            (StrBytes::from_static_str("empty"), None),
        ]),
    };
    let records = [record(0, Some("one")), record(1, None), record(2, Some("three"))];
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, records.iter(), &options).expect("a valid batch");
    bytes.freeze()
}

#[test]
fn a_kafka_batch_comes_back_byte_for_byte() {
    let batch = batch();
    let run = kafka_run(6, &batch).expect("the header can be read");
    let expected = Run {
        producer_id: 4711,
        epoch: 5,
        first_sequence: 77,
        flags: Run::TRANSACTIONAL,
        ..Run::new(6, 1000, 3, 3)
    };
    assert_eq!(run, expected);

    let disk = SimDisk::new(1);
    let open = || Core::open(Arc::new(disk.clone()), Arc::new(SystemClock), &SeededEntropy::new(1), small());
    let header = BlockHeader {
        kind: BlockKind::Opaque,
        stream: StreamId(1),
        schema: 0,
        fingerprint: 0,
        encoding: 2,
        min_time: Timestamp(0),
        max_time: Timestamp(0),
        extensions: vec![],
        runs: vec![run],
    };
    let block = Block { header, body: batch };
    let append = Append { received_at: Timestamp(1), blocks: vec![block.clone()], records: vec![] };
    let (mut core, _) = open().expect("a new journal");
    core.write(vec![append]).and_then(|()| core.flush()).expect("the disk works");
    drop(core);
    disk.crash();

    let (core, recovered) = open().expect("it opens again");
    assert_eq!(recovered.next_offsets[&(StreamId(1), 6)], 1003);
    let log = core.log();
    let blocks = log.blocks(StreamId(1), BlockKind::Opaque, Seq(0), Seq(1)).expect("kept");
    assert_eq!(blocks.len(), 1);
    assert_eq!(blocks[0].with_body(log.read_block(&blocks[0]).expect("readable")), block);
}

#[test]
fn a_header_that_lies_is_refused() {
    let good = batch();
    assert_eq!(kafka_run(0, &good[..60]), Err(OpaqueError::Short { bytes: 60 }));
    let bytes = good.len();
    assert!(matches!(kafka_run(0, &good[..bytes - 1]), Err(OpaqueError::Length { .. })));
    let changed = |at: usize, value: &[u8]| {
        let mut bytes = good.to_vec();
        bytes[at..at + value.len()].copy_from_slice(value);
        kafka_run(0, &bytes)
    };
    assert_eq!(changed(16, &[1]), Err(OpaqueError::Magic { magic: 1 }));
    assert_eq!(changed(8, &(-1i32).to_be_bytes()), Err(OpaqueError::Length { said: -1, bytes }));
    let minus = (-1i32).to_be_bytes();
    assert_eq!(changed(23, &minus), Err(OpaqueError::Field { field: "last offset delta", value: -1 }));
    assert_eq!(changed(57, &minus), Err(OpaqueError::Field { field: "record count", value: -1 }));
    assert_eq!(changed(57, &4i32.to_be_bytes()), Err(OpaqueError::Field { field: "record count", value: 4 }));
    assert_eq!(changed(22, &[0x20]).map(|run| run.flags), Ok(Run::CONTROL));
}
