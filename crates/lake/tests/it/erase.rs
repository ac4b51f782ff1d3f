//! Erasure: the rows that are to go are in no file, no version and no part of the log; the others keep every value.

use std::{collections::BTreeMap, fs, path::Path};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use hw_lake::{Doomed, EraseTurn, Eraser, Table, check_table};

use crate::fixture::{READING, World, data_files, integers, read_delta, rejects_delivery};

const TABLE: Table = Table::Stream(READING);

/// Rows of these subjects.
pub struct Of(pub Vec<String>);

impl Doomed for Of {
    fn columns(&self) -> Vec<&str> {
        vec!["who"]
    }

    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        let who = batch.column_by_name("who").unwrap().as_string::<i32>();
        who.iter().map(|who| Some(who.is_some_and(|who| self.0.iter().any(|one| one == who)))).collect()
    }
}

/// Rejects of one stream, all of them.
struct Rejects;

impl Doomed for Rejects {
    fn columns(&self) -> Vec<&str> {
        vec!["stream"]
    }

    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        let stream = batch.column_by_name("stream").unwrap().as_string::<i32>();
        stream.iter().map(|stream| Some(stream == Some("sensor.reading"))).collect()
    }
}

async fn erase(world: &mut World, eraser: &mut Eraser, table: Table, doomed: &mut dyn Doomed) -> u64 {
    let mut erased = 0;
    for _ in 0..100 {
        match eraser.turn(table, doomed, &mut |_| true).unwrap() {
            EraseTurn::Offered { rows } => {
                erased += rows;
                world.commit().await;
            }
            EraseTurn::Clean => return erased,
            other => panic!("{other:?}"),
        }
    }
    panic!("no end");
}

async fn forget(world: &mut World, eraser: &mut Eraser, table: Table) {
    assert!(eraser.forget(table).unwrap().stale_log);
    world.commit().await;
    assert!(eraser.forget(table).unwrap().is_none());
}

/// Every row but its reserved columns' order: by offset, as text.
fn rows(batches: &[RecordBatch]) -> BTreeMap<i64, String> {
    let mut rows = BTreeMap::new();
    for batch in batches {
        let offsets = batch.column_by_name("_offset").unwrap();
        let offsets = offsets.as_primitive::<arrow::datatypes::Int64Type>();
        for at in 0..batch.num_rows() {
            rows.insert(offsets.value(at), format!("{:?}", batch.slice(at, 1).columns()));
        }
    }
    rows
}

/// The files below a directory in which a text stands, also within the pages of Parquet files.
fn found(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if path.extension().is_some_and(|end| end == "parquet") {
                let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
                    fs::File::open(&path).unwrap(),
                );
                for batch in reader.unwrap().build().unwrap() {
                    bytes.extend(format!("{:?}", batch.unwrap()).into_bytes());
                }
            }
            if bytes.windows(text.len()).any(|window| window == text.as_bytes()) {
                found.push(path.file_name().unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_erased_are_in_no_file_and_the_others_keep_every_value() {
    let mut world = World::new().await;
    for _ in 0..5 {
        let delivery = world.rows(&[READING], 40);
        world.apply(delivery).await;
        world.commit().await;
    }
    let directory = world.root().join("sensor.reading");
    let mut before = rows(&read_delta(&directory).await);
    // Two in one file, one in another; all of the last file; and one that does not exist.
    let mut who: Vec<String> = [2003, 2017, 4039].map(|value| format!("canary-subject-{value}")).into();
    who.extend((5000..5040).map(|value| format!("canary-subject-{value}")));
    who.push("canary-subject-nobody".to_owned());
    let gone: Vec<i64> = [2003, 2017, 4039].into_iter().chain(5000..5040).collect();
    // A statement that began before.
    let held = world.table(TABLE);

    let mut eraser = world.lake.eraser();
    assert_eq!(erase(&mut world, &mut eraser, TABLE, &mut Of(who.clone())).await, 43);
    gone.iter().for_each(|offset| drop(before.remove(offset)));
    assert_eq!(rows(&read_delta(&directory).await), before);
    let table = world.table(TABLE);
    assert_eq!((table.rows, table.erased["sensor.reading"], table.files.len()), (157, 43, 4));
    assert_eq!(table.seq, held.seq, "the position stays");

    // What a statement reads stays until it has ended.
    assert_eq!(eraser.forget(TABLE).unwrap().held_files, 3);
    assert!(!found(&directory, "canary-subject-2003").is_empty());
    drop(held);
    world.commit().await;
    assert!(eraser.forget(TABLE).unwrap().is_none());
    for value in &gone {
        assert_eq!(found(&directory, &format!("canary-subject-{value}")), Vec::<String>::new());
    }
    // Bounds of a plain column are personal too: the largest was the erased subject's.
    assert_eq!(found(&directory, "5039"), Vec::<String>::new());
    assert_eq!(data_files(&directory).len(), 4);
    assert_eq!(check_table(&directory, &mut |_| {}), vec![]);

    // Again, in a new life: nothing is found, the count stays, and the table goes on.
    world.reopen().await;
    assert_eq!(world.table(TABLE).erased["sensor.reading"], 43);
    let mut eraser = world.lake.eraser();
    assert_eq!(erase(&mut world, &mut eraser, TABLE, &mut Of(who)).await, 0);
    forget(&mut world, &mut eraser, TABLE).await;
    world.next = 6;
    let delivery = world.rows(&[READING], 3);
    world.apply(delivery).await;
    world.commit().await;
    assert_eq!(world.table(TABLE).rows, 160);
    assert_eq!(integers(&read_delta(&directory).await, "a").len(), 160);
    world.reopen().await;
    assert_eq!((world.table(TABLE).rows, world.table(TABLE).erased["sensor.reading"]), (160, 43));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_between_offer_and_commit_costs_only_the_work() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 10);
    world.apply(delivery).await;
    world.commit().await;
    let directory = world.root().join("sensor.reading");
    let mut of = Of(vec!["canary-subject-1004".to_owned()]);
    let mut eraser = world.lake.eraser();
    assert_eq!(eraser.turn(TABLE, &mut of, &mut |_| true).unwrap(), EraseTurn::Offered { rows: 1 });
    assert_eq!(eraser.turn(TABLE, &mut of, &mut |_| true).unwrap(), EraseTurn::Waiting);
    assert_eq!(data_files(&directory).len(), 2);
    world.reopen().await;
    assert_eq!((data_files(&directory).len(), world.table(TABLE).rows), (1, 10), "an orphan goes");
    let mut eraser = world.lake.eraser();
    assert_eq!(eraser.turn(TABLE, &mut of, &mut |_| false).unwrap(), EraseTurn::Stopped);
    assert_eq!(erase(&mut world, &mut eraser, TABLE, &mut of).await, 1);
    assert_eq!(world.table(TABLE).rows, 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_are_counted_by_stream_and_a_table_may_become_empty() {
    let mut world = World::new().await;
    for name in ["sensor.reading", "launch.engine-2", "sensor.reading"] {
        let mut delivery = crate::fixture::empty(hw_event::Seq(world.next));
        delivery.rejects.push(rejects_delivery(&name.parse().unwrap(), hw_event::Seq(world.next)));
        world.next += 1;
        world.apply(delivery).await;
        world.commit().await;
    }
    let mut eraser = world.lake.eraser();
    assert_eq!(erase(&mut world, &mut eraser, Table::Rejects, &mut Rejects).await, 2);
    let table = world.table(Table::Rejects);
    assert_eq!((table.rows, table.erased.len(), table.erased["sensor.reading"]), (1, 1, 2));
    // What one erasure found clean says nothing for another.
    let mut eraser = world.lake.eraser();
    let mut all = Everything;
    assert_eq!(erase(&mut world, &mut eraser, Table::Rejects, &mut all).await, 1);
    assert_eq!((world.table(Table::Rejects).rows, world.table(Table::Rejects).files.len()), (0, 0));
    world.reopen().await;
    assert_eq!(world.table(Table::Rejects).erased["launch.engine-2"], 1);
}

struct Everything;

impl Doomed for Everything {
    fn columns(&self) -> Vec<&str> {
        vec!["stream"]
    }

    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        BooleanArray::from(vec![true; batch.num_rows()])
    }
}
