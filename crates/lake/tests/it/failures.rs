//! Crashes, damaged logs, other writers: what they cost, and what they must not.

use std::{fs, path::Path};

use hw_event::Seq;
use hw_lake::{Table, check_table};
use hw_pipeline::Sink;

use crate::fixture::{
    ENGINE, FIRST, READING, World, data_files, integers, offsets, read_delta, schema, stream,
};

/// A file where a directory should be: nothing can be written there.
fn block(directory: &Path, name: &str) {
    let (there, aside) = (directory.join(name), directory.join("aside"));
    if there.exists() {
        fs::rename(&there, aside).unwrap();
    }
    fs::write(there, "in the way").unwrap();
}

fn unblock(directory: &Path, name: &str) {
    let (there, aside) = (directory.join(name), directory.join("aside"));
    fs::remove_file(&there).unwrap();
    if aside.exists() {
        fs::rename(aside, there).unwrap();
    }
}

/// Before the manifest has it, a commit leaves an orphan; after that, the next start makes it.
#[tokio::test]
async fn a_crash_between_file_and_commit_neither_loses_nor_doubles() {
    for (blocked, files, seq) in [("_headwater", 1, 1), ("_delta_log", 2, 2)] {
        let mut world = World::new().await;
        let directory = world.root().join("sensor.reading");
        let delivery = world.rows(&[READING], 3);
        world.apply(delivery).await;
        world.commit().await;

        block(&directory, blocked);
        let delivery = world.rows(&[READING], 4);
        world.apply(delivery).await;
        assert_eq!(world.commit().await, Seq(1), "{blocked}");
        assert_eq!(data_files(&directory).len(), 2);
        unblock(&directory, blocked);
        let log = directory.join("_delta_log");
        fs::write(log.join(format!("{:020}.json#{:039}", 1, 5)), "{\"commitInfo\":").unwrap();

        world.reopen().await;
        assert_eq!(data_files(&directory).len(), files, "{blocked}: what no one noted is gone");
        assert_eq!(fs::read_dir(&log).unwrap().count(), files, "and so is the commit that was never named");
        assert_eq!(world.sink.positions().of_rows(READING), Seq(seq));
        world.next = 1;
        for count in [3, 4] {
            let delivery = world.rows(&[READING], count);
            world.apply(delivery).await;
        }
        assert_eq!(world.commit().await, Seq(2));
        assert_eq!(integers(&read_delta(&directory).await, "_offset"), offsets(&[(1, 3), (2, 4)]));
    }
}

#[tokio::test]
async fn a_crash_before_the_first_commit_leaves_no_table() {
    let mut world = World::new().await;
    let directory = world.root().join("sensor.reading");
    fs::create_dir(&directory).unwrap();
    block(&directory, "_headwater");
    let delivery = world.rows(&[READING], 3);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(0));
    unblock(&directory, "_headwater");
    world.reopen().await;
    assert!(world.lake.table(Table::Stream(READING)).is_none());
    assert_eq!(data_files(&directory), Vec::<String>::new());

    // A torn intent is no commit either.
    fs::create_dir(directory.join("_headwater")).unwrap();
    fs::write(directory.join("_headwater/manifest"), "HWmf").unwrap();
    world.reopen().await;
    assert!(world.lake.table(Table::Stream(READING)).is_none() && world.lake.faults().is_empty());
    world.next = 1;
    let delivery = world.rows(&[READING], 3);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(1));
}

#[tokio::test]
async fn a_table_in_trouble_keeps_its_rows_and_lets_the_others_go_on() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING, ENGINE], 1);
    world.apply(delivery).await;
    world.commit().await;
    let bad = world.root().join("sensor.reading/_delta_log/00000000000000000001.json");
    fs::create_dir(&bad).unwrap();

    let delivery = world.rows(&[ENGINE], 1);
    world.apply(delivery).await;
    for _ in 0..3 {
        let delivery = world.rows(&[READING, ENGINE], 2);
        world.apply(delivery).await;
        assert_eq!(world.commit().await, Seq(2), "append 3 has a row that is not in its table");
    }
    assert_eq!(world.table(Table::Stream(ENGINE)).seq, Seq(5));
    assert_eq!(world.table(Table::Stream(READING)).seq, Seq(1));
    let faults = world.lake.faults();
    assert_eq!(faults.len(), 1);
    assert_eq!(faults[0].table, Table::Stream(READING));
    assert!(faults[0].error.contains("00000000000000000001.json: Is a directory"), "{faults:?}");
    assert!(!faults[0].out_of_service, "what it had is still served");
    assert_eq!(world.sink.pending_bytes(), 0, "what cannot be committed does not call for commits");

    fs::remove_dir(bad).unwrap();
    assert_eq!(world.commit().await, Seq(5));
    assert!(world.lake.faults().is_empty());
    for (name, mut expected) in [("sensor.reading", vec![]), ("launch.engine-2", vec![(2, 1)])] {
        expected.extend([(1, 1), (3, 2), (4, 2), (5, 2)]);
        expected.sort_unstable();
        let batches = read_delta(&world.root().join(name)).await;
        assert_eq!(integers(&batches, "_offset"), offsets(&expected), "{name}");
    }
}

#[tokio::test]
async fn a_table_that_can_write_no_files_lets_go_at_its_bound_and_is_served_again() {
    let mut world = World::with(|settings| settings.stuck_bytes_max = 1).await;
    let directory = world.root().join("sensor.reading");
    fs::write(&directory, "in the way").unwrap();
    let delivery = world.rows(&[READING, ENGINE], 2);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(0));
    // This one is still taken; it fills the bound, and what follows is let go.
    let delivery = world.rows(&[READING], 2);
    world.apply(delivery).await;
    assert_eq!(world.sink.positions().of_rows(READING), Seq(u64::MAX));
    for _ in 0..2 {
        let delivery = world.rows(&[READING, ENGINE], 2);
        world.apply(delivery).await;
    }
    assert_eq!(world.commit().await, Seq(0));
    assert_eq!(world.sink.rewind(), None);
    assert_eq!(world.table(Table::Stream(ENGINE)).seq, Seq(4));

    fs::remove_file(&directory).unwrap();
    assert_eq!(world.commit().await, Seq(2), "what was held is committed");
    assert_eq!(world.sink.rewind(), Some(Seq(2)));
    assert_eq!(world.sink.rewind(), None);
    assert_eq!(world.sink.positions().of_rows(READING), Seq(2));
    assert_eq!(world.commit().await, Seq(2), "the rest has not come again yet");
    world.next = 3;
    for _ in 0..2 {
        let delivery = world.rows(&[READING, ENGINE], 2);
        world.apply(delivery).await;
    }
    assert_eq!(world.commit().await, Seq(4));
    let batches = read_delta(&directory).await;
    assert_eq!(integers(&batches, "_offset"), offsets(&[(1, 2), (2, 2), (3, 2), (4, 2)]));
    let batches = read_delta(&world.root().join("launch.engine-2")).await;
    assert_eq!(integers(&batches, "_offset"), offsets(&[(1, 2), (3, 2), (4, 2)]));
}

/// An empty file of the next version, as a power cut leaves one behind a writer that does not sync.
#[tokio::test]
async fn an_empty_commit_file_in_the_way_is_written_over() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    world.commit().await;
    let directory = world.root().join("sensor.reading");
    fs::write(directory.join("_delta_log/00000000000000000001.json"), "").unwrap();
    let delivery = world.rows(&[READING], 2);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(2));
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), offsets(&[(1, 1), (2, 2)]));
}

/// Nothing says what a table holds whose log and manifest are both damaged. It alone is out of service, and comes back
/// with what it had when its files are back.
#[tokio::test]
async fn a_table_that_cannot_be_opened_is_out_of_service_alone() {
    let mut world = World::new().await;
    for _ in 0..2 {
        let delivery = world.rows(&[READING, ENGINE], 1);
        world.apply(delivery).await;
        world.commit().await;
    }
    let directory = world.root().join("sensor.reading");
    let last = directory.join("_delta_log/00000000000000000001.json");
    let first = last.with_file_name("00000000000000000000.json");
    let (intact, tip) = (fs::read(&first).unwrap(), fs::read(&last).unwrap());
    fs::remove_file(directory.join("_headwater/manifest")).unwrap();
    fs::write(&last, "").unwrap();
    world.reopen().await;
    let error = &world.lake.faults()[0].error;
    assert!(error.contains("lake/sensor.reading/_delta_log/00000000000000000001.json"), "{error}");

    fs::write(&last, &tip).unwrap();
    let text = String::from_utf8(intact.clone()).unwrap();
    fs::write(&first, text.replace("numRecords\\\":1", "numRecords\\\":2")).unwrap();
    world.reopen().await;
    let faults = world.lake.faults();
    assert!(faults.len() == 1 && faults[0].out_of_service, "{faults:?}");
    assert!(faults[0].error.contains("00000000000000000000.json is damaged in bytes 0.."), "{faults:?}");
    assert!(world.lake.table(Table::Stream(READING)).is_none());
    assert_eq!(world.table(Table::Stream(ENGINE)).rows, 2);
    assert_eq!(world.lake.damage().len(), 1);

    let delivery = world.rows(&[READING, ENGINE], 1);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(0), "the log keeps what the table may lack");
    assert_eq!(world.table(Table::Stream(ENGINE)).rows, 3);

    fs::write(&first, intact).unwrap();
    world.commit().await;
    assert!(world.lake.faults().is_empty() && world.lake.damage().is_empty());
    assert_eq!(world.sink.rewind(), Some(Seq(2)));
    assert_eq!(world.table(Table::Stream(READING)).seq, Seq(2));
    world.next = 3;
    let delivery = world.rows(&[READING, ENGINE], 1);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(3));
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), offsets(&[(1, 1), (2, 1), (3, 1)]));
}

#[tokio::test]
async fn another_writers_commit_is_taken_note_of() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    world.commit().await;
    let directory = world.root().join("sensor.reading");
    // It may quote our tags.
    let foreign = "{\"commitInfo\":{\"operation\":\"OPTIMIZE\",\"timestamp\":1}}\n\
                   {\"remove\":{\"path\":\"x\",\"dataChange\":false,\"tags\":{\"headwater.crc32c\":\"0\"}}}";
    fs::write(directory.join("_delta_log/00000000000000000001.json"), foreign).unwrap();
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(2));
    assert_eq!(world.table(Table::Stream(READING)).version, 2);
    fs::write(directory.join("_delta_log/00000000000000000003.json"), foreign).unwrap();
    assert_eq!(check_table(&directory, &mut |_| {}), []);
    world.reopen().await;
    let table = world.table(Table::Stream(READING));
    assert_eq!((table.version, table.seq, table.rows), (3, Seq(2), 2));
}

/// Two committers, as after a commit whose outcome was never learned: the same rows are not added again.
#[tokio::test]
async fn a_commit_that_had_got_through_unnoticed_is_not_made_again() {
    let mut world = World::new().await;
    let mut twin = world.lake.sink();
    for _ in 0..2 {
        let delivery = world.rows(&[READING], 2);
        world.apply(delivery).await;
    }
    world.next = 1;
    for _ in 0..2 {
        let delivery = world.rows(&[READING], 2);
        twin.apply(delivery).await.unwrap();
    }
    assert_eq!(world.commit().await, Seq(2));
    assert_eq!(twin.commit().await.unwrap(), Seq(2));
    let directory = world.root().join("sensor.reading");
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), offsets(&[(1, 2), (2, 2)]));
    assert_eq!(data_files(&directory).len(), 2);
    assert_eq!(world.table(Table::Stream(READING)).version, 0);
}

#[tokio::test]
async fn the_table_of_another_stream_is_out_of_service() {
    let mut world = World::new().await;
    let delivery = world.rows(&[READING], 1);
    world.apply(delivery).await;
    world.commit().await;
    world.registry.put(stream(hw_event::StreamId(9), "sensor.reading", vec![schema(FIRST)]));
    world.reopen().await;
    let faults = world.lake.faults();
    assert!(faults.len() == 1 && faults[0].out_of_service, "{faults:?}");
    assert!(faults[0].error.contains("it is stream 1's"), "{faults:?}");
}
