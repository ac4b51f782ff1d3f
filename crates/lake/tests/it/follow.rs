//! The lake behind a follower: log and lake together hold every row once, at every moment.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use hw_event::{Seq, Timestamp};
use hw_journal::{Append, Block, BlockHeader, BlockKind, Extension, Log, Record, RecordKind, Run};
use hw_lake::Table;
use hw_pipeline::{
    FollowerHandle, FollowerSettings, follow,
    hot::{Hot, HotTail},
};
use hw_schema::rows::{self, Encoding, Optional};
use hw_testkit::MemoryLog;

use crate::fixture::{MINUTE, READING, World, integers, offsets, read_delta, rows_delivery, tally};

fn append(world: &World, seq: u64, count: u64) -> Append {
    let stream = world.registry.by_id(READING).unwrap();
    let (number, schema) = stream.current().unwrap();
    let batch = rows_delivery(&stream, number, Seq(seq), count).batch;
    let optional = Optional::EXTRA;
    let body_schema = rows::body_schema(schema, optional);
    let columns =
        body_schema.fields().iter().map(|field| batch.column_by_name(field.name()).unwrap().clone());
    let body = arrow::array::RecordBatch::try_new(body_schema.clone(), columns.collect()).unwrap();
    let header = BlockHeader {
        kind: BlockKind::Rows,
        stream: READING,
        schema: number.0,
        fingerprint: u64::from_le_bytes(schema.fingerprint()[..8].try_into().unwrap()),
        encoding: Encoding::Lz4 as u8,
        min_time: Timestamp(0),
        max_time: Timestamp(0),
        extensions: vec![Extension {
            tag: Extension::OPTIONAL_COLUMNS,
            value: Bytes::copy_from_slice(&optional.bits().to_le_bytes()),
        }],
        runs: vec![Run::new(0, seq as i64 * 1000, count as u32, count as u32)],
    };
    let body = rows::encode(&body, Encoding::Lz4).unwrap().into();
    let value = tally(count, "http", MINUTE).to_bytes().into();
    let record = Record { kind: RecordKind::Tally, owner: Bytes::new(), value };
    Append { received_at: MINUTE, blocks: vec![Block { header, body }], records: vec![record] }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_lake_together_hold_every_row_once() {
    let world = World::new().await;
    let memory = Arc::new(MemoryLog::new());
    let log: Arc<dyn Log> = memory.clone();
    let handle = FollowerHandle::new();
    let settings = FollowerSettings { batch_bytes: 1, ..FollowerSettings::default() };
    let sink = world.lake.sink();
    let follower = tokio::spawn(follow(log.clone(), world.registry.clone(), sink, settings, handle.clone()));
    let mut expected = Vec::new();
    for seq in 1..=12 {
        memory.push(append(&world, seq, 3));
        expected.push((seq, 3));
        if seq % 3 == 0 {
            handle.commit_now().await.unwrap();
            memory.recycle();
        }
        let snapshot = world.lake.table(Table::Stream(READING));
        let after = snapshot.as_ref().map_or(Seq(0), |snapshot| snapshot.seq);
        let tail = HotTail::take(&log, &world.registry, Hot::Rows(READING), after, Seq(seq)).unwrap();
        let columns = world.registry.by_id(READING).unwrap().versions[0].table_columns().clone();
        let mut found = integers(&tail.batches(&columns).unwrap(), "_offset");
        if snapshot.is_some() {
            found.extend(integers(&read_delta(&world.root().join("sensor.reading")).await, "_offset"));
        }
        found.sort_unstable();
        assert_eq!(found, offsets(&expected));
    }
    handle.stop();
    follower.await.unwrap().unwrap();
    let ledger = read_delta(&world.root().join("ledger")).await;
    let stored: i64 = ledger
        .iter()
        .flat_map(|batch| batch.column_by_name("stored").unwrap().as_primitive::<Int64Type>().values())
        .sum();
    assert_eq!(stored, 36);
    assert_eq!(memory.released(), Seq(12));
}
