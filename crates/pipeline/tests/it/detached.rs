//! A hot tail that another process reads: the same rows, from the segment files alone.

use std::{path::Path, sync::Arc};

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::{Int32Type, Int64Type, TimestampMicrosecondType},
};
use hw_event::{Ack, Seq, SystemClock};
use hw_journal::{FileDisk, Journal, Log, Settings};
use hw_pipeline::{
    detached::{DetachedTail, Kept, Schemas},
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
            Arc::clone(&detached).batches(columns.clone(), None, None).collect::<Result<_, _>>().unwrap();
        assert_eq!(there, tail.batches(&columns).unwrap(), "{what:?}");
        let again = Arc::clone(&detached).batches(columns.clone(), None, None).count();
        assert_eq!(again, there.len(), "{what:?} can be read twice");
        // Some columns of some parts are the same rows, whether or not they are kept.
        let kept = Arc::new(Kept::new(1 << 20));
        for places in
            [vec![], vec![0], vec![columns.fields().len() - 1, 2], (0..columns.fields().len()).collect()]
        {
            let some = Arc::new(columns.project(&places).unwrap());
            for only in [None, Some(vec![there.len() - 1, 0])] {
                let expected = match &only {
                    None => there.iter().collect::<Vec<_>>(),
                    Some(parts) => parts.iter().map(|part| &there[*part]).collect(),
                };
                let expected: Vec<RecordBatch> =
                    expected.into_iter().map(|batch| batch.project(&places).unwrap()).collect();
                for kept in [None, Some(Arc::clone(&kept)), Some(Arc::clone(&kept))] {
                    let found = Arc::clone(&detached).batches(some.clone(), only.clone(), kept);
                    assert_eq!(
                        found.collect::<Result<Vec<_>, _>>().unwrap(),
                        expected,
                        "{what:?} {places:?}"
                    );
                }
            }
        }
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
    let error = Arc::clone(&held).batches(columns.clone(), None, None).next().unwrap().unwrap_err();
    assert!(!error.is_gone() && error.to_string().contains("damaged in bytes"), "{error}");

    std::fs::write(&segments[0], whole).unwrap();
    std::fs::remove_file(&segments[0]).unwrap();
    assert!(Arc::clone(&held).batches(columns.clone(), None, None).all(|batch| batch.is_ok()), "it was held");
    let error = open().unwrap_err();
    assert!(error.is_gone(), "{error}");
}

/// What the header of a block says holds for each of its rows.
#[tokio::test]
async fn parts_are_described_without_being_read() {
    let directory = tempfile::tempdir().unwrap();
    let (_journal, log, registry) = journal(directory.path()).await;
    let columns = schema().table_columns().clone();
    let tail = HotTail::take(&log, &registry, Hot::Rows(STREAM), Seq(3), Seq(57)).unwrap();
    let bytes = tail.to_bytes().unwrap();
    // Of a copy, that no journal writes to.
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "seg") {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    let detached = Arc::new(DetachedTail::open(&bytes, copy.path(), &Schemas::default()).unwrap());
    let parts = detached.parts();
    let batches: Vec<_> =
        Arc::clone(&detached).batches(columns, None, None).collect::<Result<_, _>>().unwrap();
    assert_eq!(parts.len(), batches.len());
    for (part, batch) in parts.iter().zip(&batches) {
        assert_eq!(part.rows, batch.num_rows() as u64);
        let ends = |values: &[i64]| (*values.iter().min().unwrap(), *values.iter().max().unwrap());
        let column = |name| batch.column_by_name(name).unwrap();
        assert_eq!(part.offset, Some(ends(column("_offset").as_primitive::<Int64Type>().values())));
        assert_eq!(
            ends(column("_seq").as_primitive::<Int64Type>().values()),
            (part.seq as i64, part.seq as i64)
        );
        let (first, last) = ends(column("_time").as_primitive::<TimestampMicrosecondType>().values());
        assert!(part.time.0 <= first && last <= part.time.1);
        let partitions = column("_partition").as_primitive::<Int32Type>().values();
        assert!(partitions.iter().all(|at| (part.partition.0..=part.partition.1).contains(at)));
    }
    // Columns that the header has need no body: one that is gone is not missed.
    let some: Vec<usize> =
        ["_partition", "_seq"].iter().map(|name| schema().table_columns().index_of(name).unwrap()).collect();
    let some = Arc::new(schema().table_columns().project(&some).unwrap());
    for entry in std::fs::read_dir(copy.path()).unwrap() {
        let path = entry.unwrap().path();
        let length = std::fs::metadata(&path).unwrap().len();
        std::fs::write(&path, vec![0; length as usize]).unwrap();
    }
    assert_eq!(Arc::clone(&detached).batches(some, None, None).filter(Result::is_ok).count(), parts.len());
    let all = schema().table_columns().clone();
    assert!(detached.batches(all, None, None).next().unwrap().is_err(), "what is read is checked");
}

#[test]
fn a_log_without_places_cannot_be_read_elsewhere() {
    let memory = Arc::new(MemoryLog::new());
    memory.push(row(1));
    let log: Arc<dyn Log> = memory;
    let tail = HotTail::take(&log, &registry(), Hot::Rows(STREAM), Seq(0), Seq(1)).unwrap();
    assert!(tail.to_bytes().is_none());
}
