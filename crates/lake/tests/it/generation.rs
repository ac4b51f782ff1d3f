//! A new generation of a table that is stopped, killed or overtaken: what is done is not done again, nothing is left behind,
//! and a reader of the table sees the columns of before or those of after.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use hw_event::SchemaNumber;
use hw_lake::{EraseTurn, RewriteTurn, Rewriting, Table};
use hw_schema::{
    Expression, Stream,
    rows::{self, Change, Computed, Computing, Means, Misfits, RowsError},
};

use crate::{
    erase::Of,
    fixture::{FIRST, READING, World, data_files, integers, read_delta, schema, stream},
};

const TABLE: Table = Table::Stream(READING);
const FILES: u64 = 4;
const ROWS: u64 = 30;

struct NoExpressions;

impl Computing for NoExpressions {
    fn compute(&mut self, _: &Expression, _: &RecordBatch) -> Result<Computed, RowsError> {
        Err(RowsError::Mismatch("there is no expression".to_owned()))
    }
}

/// `a` is called `value`.
struct Renaming {
    change: Change,
    rows: u64,
}

impl Renaming {
    fn of(stream: &Stream) -> Renaming {
        let [before, next] = &stream.versions[..] else { panic!("two versions") };
        let rewrites = before.check_generation(next).unwrap();
        Renaming { change: Change { before: before.table_columns().clone(), rewrites }, rows: 0 }
    }
}

impl Rewriting for Renaming {
    fn rows(&mut self, batch: RecordBatch, _: Option<SchemaNumber>) -> Result<RecordBatch, RowsError> {
        self.rows += batch.num_rows() as u64;
        let mut misfits = Misfits::default();
        let mut means = Means { protection: None, computing: &mut NoExpressions, misfits: &mut misfits };
        rows::rewrite(&batch, std::slice::from_ref(&self.change), &mut means)
    }
}

async fn old_table() -> World {
    let mut world = World::new().await;
    for _ in 0..FILES {
        let delivery = world.rows(&[READING], ROWS);
        world.apply(delivery).await;
        world.commit().await;
    }
    let next = FIRST.replacen("\"a\":{", "\"value\":{\"x-renamed-from\":\"a\",", 1);
    let next = stream(READING, "sensor.reading", vec![schema(FIRST), schema(&next)]);
    world.registry.put(next);
    world.lake.rewriter().hold(TABLE);
    world
}

/// A turn that is told to stop when it has read for the `looks`-th time. Returns how many rows were rewritten.
fn turn(world: &World, looks: u64) -> (RewriteTurn, u64) {
    let stream = world.registry.by_id(READING).unwrap();
    let (number, next) = stream.current().unwrap();
    let mut renaming = Renaming::of(&stream);
    let mut left = looks;
    let mut pace = |_| {
        left = left.saturating_sub(1);
        left > 0
    };
    let mut rewriter = world.lake.rewriter();
    let columns = next.table_columns();
    let turn = rewriter.turn(TABLE, number, (number, columns), &mut renaming, &mut pace).unwrap();
    (turn, renaming.rows)
}

/// The data files of the directory which are neither the table's nor listed.
fn strangers(world: &World) -> BTreeSet<String> {
    let directory = world.root().join("sensor.reading");
    let mut found: BTreeSet<String> = data_files(&directory).into_iter().collect();
    for file in &world.table(TABLE).files {
        found.remove(file.path.file_name().unwrap().to_str().unwrap());
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewrite_that_was_killed_goes_on_where_it_was() {
    for stop in 1..=FILES + 1 {
        let mut world = old_table().await;
        let directory = world.root().join("sensor.reading");
        let list = directory.join("_headwater/rewritten");
        let (stopped, first) = turn(&world, stop);
        let done = stop - 1;
        if done < FILES {
            assert_eq!((stopped, first), (RewriteTurn::Stopped, done * ROWS), "{stop}");
        }
        // The process is gone: what was offered too.
        world.reopen().await;
        world.lake.rewriter().hold(TABLE);
        assert_eq!(strangers(&world).len() as u64, done, "what is done stays");
        assert_eq!(list.exists(), done > 0);
        let before = read_delta(&directory).await;
        assert!(before.iter().all(|batch| batch.column_by_name("value").is_none()));
        let (offered, second) = turn(&world, u64::MAX);
        assert_eq!((offered, second), (RewriteTurn::Offered, (FILES - done) * ROWS), "{stop}");
        world.commit().await;
        let after = read_delta(&directory).await;
        assert!(after.iter().all(|batch| batch.column_by_name("a").is_none()));
        assert_eq!(integers(&after, "value"), integers(&before, "a"));
        assert_eq!(integers(&after, "value").len() as u64, FILES * ROWS);
        assert_eq!(turn(&world, u64::MAX).0, RewriteTurn::Current);
        assert!(!list.exists());
        // As after a kill between the swap and that.
        world.reopen().await;
        assert_eq!(integers(&read_delta(&directory).await, "value").len() as u64, FILES * ROWS);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_is_used_only_if_it_is_whole_and_still_wanted() {
    // A new file was changed on the disk.
    let mut world = old_table().await;
    turn(&world, 3);
    let damaged = strangers(&world).into_iter().next().unwrap();
    let path = world.root().join("sensor.reading").join(damaged);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    world.reopen().await;
    assert_eq!(turn(&world, u64::MAX), (RewriteTurn::Offered, (FILES - 1) * ROWS));

    // Somebody is to be forgotten: no row of theirs may wait in a file that is done.
    let mut world = old_table().await;
    turn(&world, 3);
    world.reopen().await;
    assert_eq!(strangers(&world).len(), 2);
    let mut eraser = world.lake.eraser();
    let mut of = Of(vec!["canary-subject-1003".to_owned()]);
    assert_eq!(eraser.turn(TABLE, &mut of, &mut |_| true).unwrap(), EraseTurn::Offered { rows: 1 });
    assert_eq!(strangers(&world).len(), 1, "what the erasure has written");
    world.commit().await;
    assert_eq!(turn(&world, u64::MAX), (RewriteTurn::Offered, FILES * ROWS - 1));
}
