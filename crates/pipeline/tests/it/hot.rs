//! The hot tail: exactly the appends asked for, decoded as their tables have them, held by leases.

use std::sync::Arc;

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type},
};
use hw_event::Seq;
use hw_journal::{Log, ReadError};
use hw_pipeline::hot::{Hot, HotTail};
use hw_schema::{Registry, rows};
use hw_testkit::MemoryLog;

use crate::fixture::{STREAM, append, registry, rejects_block, row, rows_block, schema, tally};

fn integers(batches: &[RecordBatch], column: &str) -> Vec<i64> {
    let values = batches
        .iter()
        .flat_map(|batch| batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().values());
    values.copied().collect()
}

fn log() -> (Arc<MemoryLog>, Arc<dyn Log>, Arc<Registry>) {
    let log = Arc::new(MemoryLog::new());
    (log.clone(), log, registry())
}

#[test]
fn rows_of_the_range_and_no_others() {
    let (memory, log, registry) = log();
    for base in 0..5 {
        memory.push(append(vec![rows_block(base * 10, &[base, base])], vec![tally(2)]));
    }
    let tail = HotTail::take(&log, &registry, Hot::Rows(STREAM), Seq(1), Seq(4)).unwrap();
    assert_eq!(tail.rows(), 6);
    let batches = tail.batches(schema().table_columns()).unwrap();
    assert_eq!(integers(&batches, "a"), [1, 1, 2, 2, 3, 3]);
    assert_eq!(integers(&batches, "_offset"), [10, 11, 20, 21, 30, 31]);
    assert_eq!(integers(&batches, "_seq"), [2, 2, 3, 3, 4, 4]);
}

#[test]
fn a_tail_that_was_taken_stays_readable() {
    let (memory, log, registry) = log();
    memory.push(row(1));
    let tail = HotTail::take(&log, &registry, Hot::Rows(STREAM), Seq(0), Seq(1)).unwrap();
    log.release(Seq(1));
    memory.recycle();
    assert_eq!(integers(&tail.batches(schema().table_columns()).unwrap(), "a"), [1]);
    let error = HotTail::take(&log, &registry, Hot::Rows(STREAM), Seq(0), Seq(1)).unwrap_err();
    assert!(matches!(error, ReadError::Gone { .. }), "{error}");
}

#[test]
fn rejects_and_the_ledger_have_tails_too() {
    let (memory, log, registry) = log();
    for offset in 1..=3 {
        memory.push(append(vec![rejects_block(offset)], vec![tally(offset as u64)]));
    }
    let rejects = HotTail::take(&log, &registry, Hot::Rejects, Seq(1), Seq(3)).unwrap();
    let batches = rejects.batches(&rows::rejects_table_schema()).unwrap();
    assert_eq!((rejects.rows(), integers(&batches, "offset")), (2, vec![2, 3]));
    assert_eq!(batches[0].column_by_name("stream").unwrap().as_string::<i32>().value(0), "sensor.reading");
    assert_eq!(batches[0].column_by_name("schema").unwrap().as_primitive::<Int32Type>().value(0), 1);

    let ledger = HotTail::take(&log, &registry, Hot::Ledger, Seq(0), Seq(2)).unwrap();
    let batches = ledger.batches(&rows::ledger_table_schema()).unwrap();
    assert_eq!((ledger.rows(), integers(&batches, "stored")), (2, vec![1, 2]));
    let empty = HotTail::take(&log, &registry, Hot::Ledger, Seq(3), Seq(3)).unwrap();
    assert!(empty.batches(&rows::ledger_table_schema()).unwrap().is_empty());
}
