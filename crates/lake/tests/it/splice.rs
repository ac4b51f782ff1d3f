//! Compaction of dense files: their row groups are taken over as they are, and everything else is as if their rows had been
//! written again.

use std::{
    collections::BTreeMap,
    fs::{self, File},
};

use hw_event::Seq;
use hw_lake::{Dense, LakeFile, Table, Turn, check_table};
use hw_testkit::{Random, seed_from_env};
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::Compression,
    file::{
        metadata::{ParquetMetaData, RowGroupMetaData},
        reader::{FileReader, SerializedFileReader},
    },
};
use serde_json::Value;

use crate::fixture::{
    READING, World, empty, integers, offsets, read_delta, rejects_delivery, rows_in_runs, second, stream,
};

const TABLE: Table = Table::Stream(READING);

/// A commit for each number, with so many rows; files of `dense_rows` are dense.
async fn world(dense_rows: usize, commits: &[u32]) -> World {
    let mut world =
        World::with(|settings| settings.dense = Dense { behind: 0, rows: dense_rows, group_rows: 2 }).await;
    for rows in commits {
        append(&mut world, *rows).await;
    }
    world
}

async fn append(world: &mut World, rows: u32) {
    let seq = Seq(world.next);
    world.next += 1;
    let stream = world.registry.by_id(READING).unwrap();
    let (number, _) = stream.current().unwrap();
    let mut delivery = empty(seq);
    delivery.rows.push(rows_in_runs(&stream, number, seq, &[(0, rows)]));
    world.apply(delivery).await;
    world.commit().await;
}

/// One turn of compaction, and the commit of what it made.
async fn compact(world: &mut World) {
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    world.commit().await;
}

fn open(world: &World, file: &LakeFile) -> File {
    File::open(world.root().join(&file.path)).unwrap()
}

fn metadata(world: &World, file: &LakeFile) -> ParquetMetaData {
    SerializedFileReader::new(open(world, file)).unwrap().metadata().clone()
}

/// How many rows each row group of the only file has.
fn groups(world: &World) -> Vec<i64> {
    let table = world.table(TABLE);
    assert_eq!(table.files.len(), 1);
    metadata(world, &table.files[0]).row_groups().iter().map(RowGroupMetaData::num_rows).collect()
}

/// Each row as text, in the order of the files' rows.
fn rows(world: &World) -> Vec<String> {
    let mut rows = Vec::new();
    for file in &world.table(TABLE).files {
        let reader = ParquetRecordBatchReaderBuilder::try_new(open(world, file)).unwrap().build().unwrap();
        for batch in reader.map(Result::unwrap) {
            rows.extend((0..batch.num_rows()).map(|at| format!("{:?}", batch.slice(at, 1).columns())));
        }
    }
    rows
}

/// The statistics of the newest commit's files, by their numbers of rows.
fn statistics(world: &World) -> BTreeMap<u64, Value> {
    let version = world.table(TABLE).version;
    let log = world.root().join(format!("sensor.reading/_delta_log/{version:020}.json"));
    let text = fs::read_to_string(log).unwrap();
    let actions = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let adds = actions.filter_map(|action| Some(action.get("add")?["stats"].as_str()?.to_owned()));
    let statistics = adds.map(|stats| serde_json::from_str::<Value>(&stats).unwrap());
    statistics.map(|stats| (stats["numRecords"].as_u64().unwrap(), stats)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dense_files_are_taken_over_and_nobody_can_tell() {
    let commits = [60; 12];
    let mut dense = world(50, &commits).await;
    let mut quick = world(usize::MAX, &commits).await;
    let before = rows(&dense);
    for world in [&mut dense, &mut quick] {
        compact(world).await;
    }
    assert_eq!(groups(&dense), [60; 12], "taken over");
    assert_eq!(groups(&quick), [720], "written again");
    assert_eq!(rows(&dense), before);
    assert_eq!(rows(&quick), before);
    assert_eq!(statistics(&dense), statistics(&quick));
    let directory = dense.root().join("sensor.reading");
    assert_eq!(check_table(&directory, &mut |_| {}), []);
    assert_eq!(
        integers(&read_delta(&directory).await, "_offset"),
        offsets(&(1..=12).map(|seq| (seq, 60)).collect::<Vec<_>>())
    );
    let table = dense.table(TABLE);
    for group in metadata(&dense, &table.files[0]).row_groups() {
        for column in group.columns() {
            let name = column.column_path().string();
            let top = name.split('.').next().unwrap();
            let protected = ["who", "email", "place", "_extra", "_headers"].contains(&top);
            let told = column.statistics().is_some() || column.column_index_offset().is_some();
            assert_eq!(told, !protected, "{name}");
        }
    }
    // What was joined once is joined again as it is.
    for _ in 0..9 {
        append(&mut dense, 60).await;
    }
    let before = rows(&dense);
    assert_eq!(dense.table(TABLE).files.len(), 10);
    let mut compactor = dense.lake.compactor();
    while compactor.turn(false, &mut |_| true) == Turn::Offered(TABLE) {
        dense.commit().await;
    }
    assert_eq!(rows(&dense), before);
    dense.reopen().await;
    assert_eq!(rows(&dense), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_all_kinds_come_together_in_order() {
    let mut random = Random::new(seed_from_env(1));
    for round in 0..8 {
        let commits: Vec<u32> = (0..10)
            .map(|_| if random.one_in(2) { 50 + random.below(60) as u32 } else { 1 + random.below(8) as u32 })
            .collect();
        let mut mixed = world(50, &commits).await;
        if random.one_in(2) {
            let old = mixed.registry.by_id(READING).unwrap();
            let versions = vec![old.versions[0].clone(), second()];
            mixed.registry.put(stream(READING, "sensor.reading", versions));
        }
        for _ in 0..4 {
            append(&mut mixed, 1 + random.below(90) as u32).await;
        }
        let before = integers(&read_delta(&mixed.root().join("sensor.reading")).await, "_offset");
        let mut compactor = mixed.lake.compactor();
        let mut turns = 0;
        while compactor.turn(false, &mut |_| true) == Turn::Offered(TABLE) {
            mixed.commit().await;
            turns += 1;
        }
        assert!(turns > 0, "round {round}");
        let directory = mixed.root().join("sensor.reading");
        assert_eq!(integers(&read_delta(&directory).await, "_offset"), before, "{commits:?}");
        assert_eq!(check_table(&directory, &mut |_| {}), []);
        let texts = rows(&mixed);
        assert_eq!(texts.len(), before.len());
        let places: Vec<i64> = {
            let table = mixed.table(TABLE);
            let of = |file: &LakeFile| {
                let reader = ParquetRecordBatchReaderBuilder::try_new(open(&mixed, file)).unwrap();
                let batches: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
                batches.iter().flat_map(|batch| integers(&[batch.clone()], "_offset")).collect::<Vec<_>>()
            };
            table.files.iter().filter(|file| file.compacted).flat_map(|file| of(file)).collect()
        };
        assert!(places.is_sorted(), "{commits:?}: {places:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_row_group_is_not_taken_over() {
    let mut world = world(50, &[60; 10]).await;
    let table = world.table(TABLE);
    let path = world.root().join(&table.files[4].path);
    let mut bytes = fs::read(&path).unwrap();
    // Of a value in a page, long before the footer.
    bytes[200] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing);
    let damaged = check_table(&world.root().join("sensor.reading"), &mut |_| {});
    assert_eq!(damaged.len(), 1, "nothing was made of it: {damaged:?}");
    assert!(damaged[0].file.ends_with(path.file_name().unwrap()), "{damaged:?}");
    // The others are joined without it, and no file is left over.
    for _ in 0..10 {
        append(&mut world, 60).await;
    }
    let before = rows_without(&world, &path);
    while compactor.turn(false, &mut |_| true) == Turn::Offered(TABLE) {
        world.commit().await;
    }
    assert_eq!(rows_without(&world, &path), before);
}

fn rows_without(world: &World, damaged: &std::path::Path) -> u64 {
    let files = &world.table(TABLE).files;
    files.iter().filter(|file| world.root().join(&file.path) != damaged).map(|file| file.rows).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_are_taken_over_too() {
    let mut world =
        World::with(|settings| settings.dense = Dense { behind: 0, rows: 1, group_rows: 0 }).await;
    let name = world.registry.by_id(READING).unwrap().name.clone();
    for seq in (1..=10).map(Seq) {
        let mut delivery = empty(seq);
        delivery.rejects.push(rejects_delivery(&name, seq));
        world.apply(delivery).await;
        world.commit().await;
    }
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(Table::Rejects));
    world.commit().await;
    let table = world.table(Table::Rejects);
    let metadata = metadata(&world, &table.files[0]);
    assert_eq!((table.files.len(), metadata.num_row_groups()), (1, 10));
    for group in metadata.row_groups() {
        let payload = group.columns().iter().find(|it| it.column_path().string() == "payload").unwrap();
        assert!(payload.statistics().is_none());
    }
    let batches = read_delta(&world.root().join("rejects")).await;
    assert_eq!(integers(&batches, "seq"), (1..=10).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_written_quickly_and_what_goes_on_densely() {
    // One large file's worth, which the fifth or sixth commit comes to.
    let target = 64 << 10;
    let mut world = World::with(|settings| {
        settings.compact_to = target;
        settings.dense = Dense { behind: 1, rows: 100, group_rows: 2 };
    })
    .await;
    for _ in 0..12 {
        append(&mut world, 110).await;
    }
    let table = world.table(TABLE);
    let (mut before, mut seen) = (0, Vec::new());
    for file in &table.files {
        let zstd =
            matches!(metadata(&world, file).row_group(0).column(0).compression(), Compression::ZSTD(_));
        seen.push((before >= target, zstd));
        before += file.bytes;
    }
    assert!(seen.iter().all(|(behind, dense)| behind == dense), "{seen:?}");
    assert!(seen.iter().any(|(_, dense)| *dense) && seen.iter().any(|(_, dense)| !*dense), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_groups_are_made_large_when_nobody_needs_the_processors() {
    for (busy, expected) in [(true, vec![60; 40]), (false, vec![2400])] {
        let mut world = World::with(|settings| {
            settings.dense = Dense { behind: 0, rows: 50, group_rows: 5 };
        })
        .await;
        for _ in 0..40 {
            append(&mut world, 60).await;
        }
        let mut compactor = world.lake.compactor();
        let mut found = Vec::new();
        while compactor.turn(busy, &mut |_| true) == Turn::Offered(TABLE) {
            world.commit().await;
        }
        for file in world.table(TABLE).files.iter().filter(|file| file.compacted) {
            found.extend(metadata(&world, file).row_groups().iter().map(RowGroupMetaData::num_rows));
        }
        assert_eq!(found, expected, "busy: {busy}");
    }
}
