//! Commits, restarts and replays.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering},
};

use arrow::array::{Array, AsArray};
use hw_event::{Seq, Timestamp};
use hw_lake::Table;
use hw_pipeline::Sink;

use crate::fixture::{
    ENGINE, MINUTE, READING, World, empty, integers, offsets, one_batch, read_delta, rejects_delivery,
    rows_delivery, second, stream, tally,
};

#[tokio::test]
async fn a_commit_is_there_after_a_restart_and_a_replay_adds_nothing() {
    let mut world = World::new().await;
    for _ in 0..3 {
        let delivery = world.rows(&[READING, ENGINE], 5);
        world.apply(delivery).await;
    }
    assert!(world.sink.pending_bytes() > 0 && world.lake.table(Table::Stream(READING)).is_none());
    assert_eq!(world.commit().await, Seq(3));
    assert_eq!(world.sink.pending_bytes(), 0);
    let before = world.table(Table::Stream(READING));
    assert_eq!((before.version, before.seq, before.rows, before.files.len()), (0, Seq(3), 15, 1));

    world.reopen().await;
    let after = world.table(Table::Stream(READING));
    assert_eq!(
        (after.version, after.seq, &after.files, after.bytes),
        (0, Seq(3), &before.files, before.bytes)
    );
    assert_eq!(world.sink.positions().of_rows(READING), Seq(3));
    world.next = 1;
    for _ in 0..4 {
        let delivery = world.rows(&[READING, ENGINE], 5);
        world.apply(delivery).await;
    }
    assert_eq!(world.commit().await, Seq(4));
    for name in ["sensor.reading", "launch.engine-2"] {
        let batches = read_delta(&world.root().join(name)).await;
        assert_eq!(integers(&batches, "_offset"), offsets(&[(1, 5), (2, 5), (3, 5), (4, 5)]), "{name}");
        assert_eq!(integers(&batches, "a"), integers(&batches, "_offset"));
    }
}

#[tokio::test]
async fn rows_come_back_as_they_went_in() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 3);
    let expected = delivery.rows[0].batch.clone();
    world.apply(delivery).await;
    world.commit().await;
    let batch = one_batch(&read_delta(&world.root().join("sensor.reading")).await);
    assert_eq!(batch.columns(), expected.columns());
    assert_eq!(world.table(Table::Stream(READING)).columns, expected.schema());
}

#[tokio::test]
async fn nothing_new_is_no_commit() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    world.commit().await;
    let delivery = world.rows(&[ENGINE], 1);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(2), "an idle table does not hold the log back");
    world.apply(empty(Seq(9))).await;
    assert_eq!(world.commit().await, Seq(9));
    assert_eq!(world.table(Table::Stream(READING)).version, 0);
    assert!(world.lake.table(Table::Ledger).is_none() && world.lake.table(Table::Rejects).is_none());
}

#[tokio::test]
async fn rejects_and_the_ledger_are_tables() {
    let mut world = World::new().await;
    let name = world.registry.by_id(READING).unwrap().name.clone();
    for seq in [Seq(1), Seq(2)] {
        let mut delivery = empty(seq);
        delivery.rejects.push(rejects_delivery(&name, seq));
        delivery.tallies.push((name.clone(), seq, tally(10, "http", MINUTE)));
        delivery.tallies.push((name.clone(), seq, tally(1, "tcp.a", MINUTE)));
        world.apply(delivery).await;
    }
    let mut delivery = empty(Seq(3));
    delivery.tallies.push((name, Seq(3), tally(5, "http", Timestamp(MINUTE.0 + 60_000_000))));
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(3));

    let rejects = one_batch(&read_delta(&world.root().join("rejects")).await);
    assert_eq!(integers(&[rejects.clone()], "seq"), [1, 2]);
    assert_eq!(rejects.column_by_name("payload").unwrap().as_binary::<i32>().value(0), b"sealed-canary");
    let ledger = one_batch(&read_delta(&world.root().join("ledger")).await);
    assert_eq!(ledger.num_rows(), 3, "one row a stream, minute and door");
    assert_eq!(integers(&[ledger.clone()], "stored"), [2, 5, 20]);
    assert_eq!(integers(&[ledger], "_seq"), [2, 2, 3]);
    assert_eq!(world.table(Table::Rejects).files[0].stats.seq.unwrap().max, 2);

    world.reopen().await;
    let positions = world.sink.positions();
    assert_eq!((positions.rejects, positions.ledger), (Seq(2).max(Seq(3)), Seq(3)));
}

#[tokio::test]
async fn a_new_schema_adds_its_column_and_old_rows_stay() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 2);
    world.apply(delivery).await;
    world.commit().await;

    let old = world.registry.by_id(READING).unwrap();
    let versions = vec![old.versions[0].clone(), second()];
    world.registry.put(stream(READING, "sensor.reading", versions));
    let first_number = old.current().unwrap().0;
    let delivery = world.rows(&[READING], 2);
    world.apply(delivery).await;
    // A straggler of the older schema, in the same round and alone in the next.
    for _ in 0..2 {
        let mut delivery = empty(Seq(world.next));
        delivery.rows.push(rows_delivery(&old, first_number, Seq(world.next), 1));
        world.next += 1;
        world.apply(delivery).await;
        world.commit().await;
    }
    let table = world.table(Table::Stream(READING));
    assert_eq!((table.version, table.rows), (2, 6));
    assert_eq!(&table.columns, second().table_columns());
    let numbers: Vec<_> = table.files.iter().map(|file| file.schema.unwrap().0).collect();
    assert_eq!(numbers, [1, 2, 2]);
    let batches = read_delta(&world.root().join("sensor.reading")).await;
    assert_eq!(integers(&batches, "_offset"), offsets(&[(1, 2), (2, 2), (3, 1), (4, 1)]));
    assert_eq!(integers(&batches, "_schema"), [1, 1, 1, 1, 2, 2]);
    world.reopen().await;
    assert_eq!(world.table(Table::Stream(READING)).columns, table.columns);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commits_are_checkpointed_and_come_back_the_same() {
    let mut world = World::with(|settings| settings.checkpoint_every = 20).await;
    for _ in 0..65 {
        let delivery = world.rows(&[READING], 1);
        world.apply(delivery).await;
        world.commit().await;
    }
    let log = world.root().join("sensor.reading/_delta_log");
    for version in [19, 39, 59] {
        assert!(log.join(format!("{version:020}.checkpoint.parquet")).exists(), "{version}");
    }
    let hint = std::fs::read_to_string(log.join("_last_checkpoint")).unwrap();
    assert!(hint.contains("\"version\":59"), "{hint}");
    let before = world.table(Table::Stream(READING));
    assert_eq!((before.version, before.files.len()), (64, 65));

    // What a checkpoint covers is not needed any more: the same table comes from it and the few after.
    for version in 0..59 {
        std::fs::remove_file(log.join(format!("{version:020}.json"))).unwrap();
    }
    world.reopen().await;
    let after = world.table(Table::Stream(READING));
    let by_path = |files: &[std::sync::Arc<hw_lake::LakeFile>]| {
        let mut files: Vec<_> = files.iter().map(|file| (**file).clone()).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    };
    assert_eq!(by_path(&after.files), by_path(&before.files));
    assert_eq!((after.version, after.seq, after.rows), (64, Seq(65), 65));
    assert!(after.files.iter().all(|file| file.crc32c.is_some() && file.schema.is_some()));
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    world.commit().await;
    assert_eq!(integers(&read_delta(&world.root().join("sensor.reading")).await, "_offset").len(), 66);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_see_whole_commits_in_order() {
    let mut world = World::new().await;
    let done = std::sync::Arc::new(AtomicBool::new(false));
    let reader = tokio::task::spawn_blocking({
        let (lake, done) = (world.lake.clone(), done.clone());
        move || {
            let (mut seen, mut last) = (HashSet::new(), Seq(0));
            while !done.load(Ordering::Acquire) {
                let Some(table) = lake.table(Table::Stream(READING)) else { continue };
                assert!(table.seq >= last);
                last = table.seq;
                // Each append brings its number of rows, each commit one file.
                assert_eq!(table.rows, table.seq.0 * (table.seq.0 + 1) / 2);
                assert_eq!(table.files.len() as i64, table.version + 1);
                assert_eq!(table.files.iter().map(|file| file.rows).sum::<u64>(), table.rows);
                assert_eq!(table.files.last().unwrap().stats.seq.unwrap().max as u64, table.seq.0);
                seen.insert(table.version);
            }
            seen.len()
        }
    });
    for count in 1..=20 {
        let delivery = world.rows(&[READING], count);
        world.apply(delivery).await;
        world.commit().await;
    }
    done.store(true, Ordering::Release);
    assert!(reader.await.unwrap() > 1);
}

#[tokio::test]
async fn many_small_appends_become_one_file_with_few_batches() {
    let mut world = World::new().await;
    for _ in 0..300 {
        let delivery = world.rows(&[READING], 1);
        world.apply(delivery).await;
    }
    world.commit().await;
    let table = world.table(Table::Stream(READING));
    assert_eq!((table.files.len(), table.rows), (1, 300));
    let batches = read_delta(&world.root().join("sensor.reading")).await;
    assert!(batches.len() < 5 && batches.iter().all(|batch| batch.column(0).len() > 1));
}
