//! A hot tail that another process reads: the same rows, from the segment files alone.

use std::{path::Path, sync::Arc};

use arrow::array::RecordBatch;
use hw_event::{Ack, Seq, SystemClock};
use hw_journal::{FileDisk, Journal, Log, Settings};
use hw_pipeline::{
    detached::{DetachedTail, Schemas},
    hot::{Hot, HotTail},
};
use hw_schema::{Registry, rows};
use hw_testkit::{MemoryLog, SeededEntropy};

use crate::fixture::{STREAM, append, registry, rejects_block, row, rows_block, schema, tally};

async fn journal(directory: &Path) -> (Journal, Arc<dyn Log>, Arc<Registry>) {
    let disk = Arc::new(FileDisk::open(directory).unwrap());
    let settings = Settings { segment_bytes: 64 * 1024, ..Settings::default() };
    let (journal, _) = Journal::open(disk, Arc::new(SystemClock), &SeededEntropy::new(1), settings).unwrap();
    for at in 0..60 {
        let values = vec![at; 500];
        let blocks = vec![rows_block(at * 1000, &values), rejects_block(at * 1000 + 500)];
        let mut ticket = journal.append(append(blocks, vec![tally(500)])).await.unwrap();
        ticket.reached(Ack::Disk).await.unwrap();
    }
    (journal.clone(), Arc::new(journal), registry())
}

#[tokio::test]
async fn every_table_reads_the_same_in_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let (_journal, log, registry) = journal(directory.path()).await;
    let schemas = Schemas::default();
    let files = std::fs::read_dir(directory.path()).unwrap().count();
    assert!(files > 5, "the range goes over many segments: {files}");
    for (what, columns) in [
        (Hot::Rows(STREAM), schema().table_columns().clone()),
        (Hot::Rejects, rows::rejects_table_schema()),
        (Hot::Ledger, rows::ledger_table_schema()),
    ] {
        let tail = HotTail::take(&log, &registry, what, Seq(3), Seq(57)).unwrap();
        let bytes = tail.to_bytes().unwrap();
        let detached = Arc::new(DetachedTail::open(&bytes, directory.path(), &schemas).unwrap());
        assert_eq!(detached.rows(), tail.rows(), "{what:?}");
        let there: Vec<RecordBatch> =
            Arc::clone(&detached).batches(columns.clone()).collect::<Result<_, _>>().unwrap();
        assert_eq!(there, tail.batches(&columns).unwrap(), "{what:?}");
        let again = detached.batches(columns.clone()).count();
        assert_eq!(again, there.len(), "{what:?} can be read twice");
        for end in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            DetachedTail::open(&bytes[..end], directory.path(), &schemas).unwrap_err();
        }
    }
}

#[tokio::test]
async fn what_is_gone_or_damaged_is_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (_journal, log, registry) = journal(directory.path()).await;
    let tail = HotTail::take(&log, &registry, Hot::Rows(STREAM), Seq(0), Seq(1)).unwrap();
    let bytes = tail.to_bytes().unwrap();
    let open = || DetachedTail::open(&bytes, directory.path(), &Schemas::default());
    let held = Arc::new(open().unwrap());
    let mut segments: Vec<_> =
        std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|suffix| suffix == "seg"));
    segments.sort();
    let whole = std::fs::read(&segments[0]).unwrap();
    let columns = schema().table_columns().clone();

    // All of the values: one of the flipped bytes is in the body.
    let turned: Vec<u8> = whole.iter().map(|byte| byte ^ 1).collect();
    std::fs::write(&segments[0], turned).unwrap();
    let error = Arc::clone(&held).batches(columns.clone()).next().unwrap().unwrap_err();
    assert!(!error.is_gone() && error.to_string().contains("damaged in bytes"), "{error}");

    std::fs::write(&segments[0], whole).unwrap();
    std::fs::remove_file(&segments[0]).unwrap();
    assert!(Arc::clone(&held).batches(columns.clone()).all(|batch| batch.is_ok()), "it was held");
    let error = open().unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[test]
fn a_log_without_places_cannot_be_read_elsewhere() {
    let memory = Arc::new(MemoryLog::new());
    memory.push(row(1));
    let log: Arc<dyn Log> = memory;
    let tail = HotTail::take(&log, &registry(), Hot::Rows(STREAM), Seq(0), Seq(1)).unwrap();
    assert!(tail.to_bytes().is_none());
}
