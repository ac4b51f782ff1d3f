//! Compaction: the same rows in few files, in order, with nothing about protected columns; and what is old goes in its time.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};

use arrow::array::RecordBatch;
use hw_event::Seq;
use hw_lake::{Compactor, LakeFile, LakeSettings, Table, Turn, check_table};
use hw_testkit::ManualClock;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::{Compression, Encoding},
    file::reader::{FileReader, SerializedFileReader},
};
use serde_json::Value;

use crate::fixture::{
    ENGINE, MINUTE, READING, World, data_files, delta_table, empty, integers, offsets, read_delta,
    rejects_delivery, rows_in_runs, second, stream, tally,
};

const TABLE: Table = Table::Stream(READING);
const HOUR: Duration = Duration::from_secs(3600);

async fn world_with(adjust: impl FnOnce(&mut LakeSettings)) -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(MINUTE));
    let turned = clock.clone();
    let world = World::with(|settings| {
        settings.clock = turned;
        adjust(settings);
    });
    (world.await, clock)
}

/// So many commits, each with an append of these runs.
async fn commit_runs(world: &mut World, commits: u64, runs: &[(i32, u32)]) {
    for _ in 0..commits {
        let seq = Seq(world.next);
        world.next += 1;
        let stream = world.registry.by_id(READING).unwrap();
        let (number, _) = stream.current().unwrap();
        let mut delivery = empty(seq);
        delivery.rows.push(rows_in_runs(&stream, number, seq, runs));
        world.apply(delivery).await;
        world.commit().await;
    }
}

/// Turns until nothing is left to do; a round of the committer after each.
async fn compact(world: &mut World, compactor: &mut Compactor) -> usize {
    for turns in 0..100 {
        match compactor.turn(false, &mut |_| true) {
            Turn::Offered(_) => drop(world.commit().await),
            Turn::Nothing => return turns,
            Turn::Failed => panic!("compaction failed"),
        }
    }
    panic!("compaction finds no end");
}

fn read(world: &World, file: &LakeFile) -> Vec<RecordBatch> {
    let file = fs::File::open(world.root().join(&file.path)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// (`_partition`, `_offset`) of a file's rows, as they stand in it.
fn places(batches: &[RecordBatch]) -> Vec<(i64, i64)> {
    batches
        .iter()
        .flat_map(|batch| {
            let column = |name: &str| {
                let array = batch.column_by_name(name).unwrap();
                let array = arrow::compute::cast(array, &arrow::datatypes::DataType::Int64).unwrap();
                let values = arrow::array::AsArray::as_primitive::<arrow::datatypes::Int64Type>(&array);
                values.values().to_vec()
            };
            column("_partition").into_iter().zip(column("_offset")).collect::<Vec<_>>()
        })
        .collect()
}

/// Each row as text, by its place.
fn rows(batches: &[RecordBatch]) -> BTreeMap<(i64, i64), String> {
    let mut rows = BTreeMap::new();
    for batch in batches {
        for (at, place) in places(&[batch.clone()]).into_iter().enumerate() {
            let row = format!("{:?}", batch.slice(at, 1).columns());
            assert_eq!(rows.insert(place, row), None, "{place:?} is there twice");
        }
    }
    rows
}

fn all_rows(world: &World) -> BTreeMap<(i64, i64), String> {
    let batches: Vec<_> = world.table(TABLE).files.iter().flat_map(|file| read(world, file)).collect();
    rows(&batches)
}

fn actions(directory: &Path, version: i64) -> Vec<Value> {
    let text = fs::read_to_string(directory.join(format!("_delta_log/{version:020}.json"))).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_small_files_become_one_with_the_same_rows() {
    let (mut world, clock) = world_with(|_| {}).await;
    let directory = world.root().join("sensor.reading");
    commit_runs(&mut world, 12, &[(0, 40)]).await;
    let before = all_rows(&world);
    let old = data_files(&directory);
    // A statement that began before.
    let held = world.table(TABLE);
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing, "one at a time");
    assert_eq!(world.table(TABLE).files.len(), 12, "nothing has changed before the committer's round");
    world.commit().await;

    let table = world.table(TABLE);
    assert_eq!((table.version, table.seq, table.rows, table.files.len()), (12, Seq(12), 480, 1));
    assert!(table.files[0].compacted && table.bytes < held.bytes);
    let found = read(&world, &table.files[0]);
    assert!(places(&found).is_sorted());
    assert_eq!(rows(&found), before);
    let expected: Vec<_> = (1..=12).map(|seq| (seq, 40)).collect();
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), offsets(&expected));
    assert_eq!(check_table(&directory, &mut |_| {}), []);

    let commit = actions(&directory, 12);
    let of = |kind: &str| commit.iter().filter_map(|action| action.get(kind).cloned()).collect::<Vec<_>>();
    assert_eq!((of("remove").len(), of("add").len()), (12, 1));
    assert!(of("remove").iter().chain(&of("add")).all(|action| action["dataChange"] == false));
    assert_eq!(of("txn")[0]["version"], 12);

    // What was replaced stays for an hour, and for as long as somebody has it.
    let files = || data_files(&directory).len();
    assert_eq!((compactor.turn(false, &mut |_| true), files()), (Turn::Nothing, 13));
    clock.advance(HOUR * 2);
    assert_eq!((compactor.turn(false, &mut |_| true), files()), (Turn::Nothing, 13));
    assert_eq!(held.files.iter().flat_map(|file| read(&world, file)).count(), 12);
    drop(held);
    assert_eq!((compactor.turn(false, &mut |_| true), files()), (Turn::Nothing, 1));
    assert!(!old.contains(&data_files(&directory)[0]));
    world.reopen().await;
    assert_eq!(world.table(TABLE).files, table.files);
    assert_eq!(rows(&found), all_rows(&world));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_several_partitions_come_into_order_in_files_of_ranges_of_their_own() {
    let (mut world, _) = world_with(|settings| settings.compact_to = 24 << 10).await;
    let mut compactor = world.lake.compactor();
    for round in 0..6 {
        commit_runs(&mut world, 11, &[(2, 3), (0, 5), (1, 40 + round), (0, 7)]).await;
        let before = all_rows(&world);
        compact(&mut world, &mut compactor).await;
        assert_eq!(all_rows(&world), before);
    }
    let table = world.table(TABLE);
    let compacted: Vec<_> = table.files.iter().filter(|file| file.compacted).collect();
    assert!(compacted.len() > 1 && table.files.len() < 33, "66 commits: {}", table.files.len());
    // By partition, the offsets from the first to the last that a file has.
    let mut taken: BTreeMap<i64, Vec<(i64, i64)>> = BTreeMap::new();
    for file in compacted {
        let places = places(&read(&world, file));
        assert!(places.is_sorted(), "{}", file.path.display());
        for rows in places.chunk_by(|a, b| a.0 == b.0) {
            taken.entry(rows[0].0).or_default().push((rows[0].1, rows[rows.len() - 1].1));
        }
    }
    assert_eq!(taken.len(), 3);
    for (partition, ranges) in &mut taken {
        ranges.sort_unstable();
        let apart = ranges.windows(2).all(|pair| pair[0].1 < pair[1].0);
        assert!(apart, "files overlap in partition {partition}: {ranges:?}");
    }
    world.reopen().await;
    assert_eq!(check_table(&world.root().join("sensor.reading"), &mut |_| {}), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_about_protected_columns_outside_the_pages_and_columns_as_they_are_best_kept() {
    let (mut world, _) = world_with(|_| {}).await;
    commit_runs(&mut world, 10, &[(0, 100)]).await;
    let mut compactor = world.lake.compactor();
    assert_eq!(compact(&mut world, &mut compactor).await, 1);
    let table = world.table(TABLE);
    let add = actions(&world.root().join("sensor.reading"), table.version);
    let add = add.iter().find_map(|action| action.get("add")).unwrap();
    assert_eq!(add["tags"]["headwater.compacted"], "1");
    let stats: Value = serde_json::from_str(add["stats"].as_str().unwrap()).unwrap();
    let path = world.root().join(&table.files[0].path);
    let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
    let columns = reader.metadata().row_group(0).columns();
    for column in columns {
        let name = column.column_path().string();
        let protected = ["who", "email", "place.badge", "place.room", "_extra"].contains(&name.as_str());
        if protected {
            assert!(column.statistics().is_none() && column.column_index_offset().is_none(), "{name}");
            let top = name.split('.').next().unwrap();
            assert!(
                ["minValues", "maxValues", "nullCount"].iter().all(|part| stats[*part].get(top).is_none())
            );
        }
        assert!(matches!(column.compression(), Compression::ZSTD(_)), "{name}");
        assert!(column.bloom_filter_offset().is_none());
        let encodings: Vec<_> = column.encodings().collect();
        let dictionary = encodings.contains(&Encoding::RLE_DICTIONARY);
        match name.as_str() {
            "_offset" | "a" => assert!(encodings.contains(&Encoding::DELTA_BINARY_PACKED), "{encodings:?}"),
            // All different; all the same.
            "who" | "email" => assert!(!dictionary, "{name}"),
            "place.room" => assert!(dictionary, "{name}"),
            _ => {}
        }
    }
    let footer = format!("{:?} {:?}", reader.metadata(), add);
    assert!(!footer.contains("canary"));
    // The subject is stored as sent: a search can find it.
    let text = read(&world, &table.files[0]);
    assert!(format!("{text:?}").contains("canary-subject"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_and_the_ledger_keep_the_order_of_their_appends() {
    let (mut world, _) = world_with(|_| {}).await;
    let name = world.registry.by_id(READING).unwrap().name.clone();
    for seq in (1..=10).map(Seq) {
        let mut delivery = empty(seq);
        delivery.rejects.push(rejects_delivery(&name, seq));
        delivery.tallies.push((name.clone(), seq, tally(seq.0, "http", MINUTE)));
        world.apply(delivery).await;
        world.commit().await;
    }
    let mut compactor = world.lake.compactor();
    assert_eq!(compact(&mut world, &mut compactor).await, 2);
    for (table, directory, column) in
        [(Table::Rejects, "rejects", "seq"), (Table::Ledger, "ledger", "stored")]
    {
        assert_eq!(world.table(table).files.len(), 1);
        let batches = read_delta(&world.root().join(directory)).await;
        let unsorted: Vec<_> = batches.iter().map(|batch| integers(&[batch.clone()], column)).collect();
        assert_eq!(unsorted.concat(), (1..=10).collect::<Vec<i64>>(), "{directory}");
    }
    let path = world.root().join(&world.table(Table::Rejects).files[0].path);
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let payload = reader.metadata().row_group(0).columns().iter();
    let payload = payload.clone().find(|column| column.column_path().string() == "payload").unwrap();
    assert!(payload.statistics().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_an_older_schema_get_the_newer_columns() {
    let (mut world, _) = world_with(|_| {}).await;
    commit_runs(&mut world, 5, &[(0, 2)]).await;
    let old = world.registry.by_id(READING).unwrap();
    world.registry.put(stream(READING, "sensor.reading", vec![old.versions[0].clone(), second()]));
    commit_runs(&mut world, 5, &[(0, 2)]).await;
    let mut compactor = world.lake.compactor();
    assert_eq!(compact(&mut world, &mut compactor).await, 1);
    let table = world.table(TABLE);
    assert_eq!((table.files.len(), table.files[0].schema), (1, table.files[0].schema.max(None)));
    let batches = read(&world, &table.files[0]);
    assert_eq!(batches[0].schema().fields().len(), table.columns.fields().len());
    assert_eq!(integers(&batches, "_offset"), offsets(&(1..=10).map(|seq| (seq, 2)).collect::<Vec<_>>()));
    assert_eq!(arrow::array::Array::null_count(batches[0].column_by_name("b").unwrap()), 20);
}

/// A table in which nothing happens is not left with what is hot; what is tiny is not worth it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_table_is_compacted_after_a_while() {
    let (mut world, clock) = world_with(|_| {}).await;
    commit_runs(&mut world, 2, &[(0, 900)]).await;
    // Less than a whole file, and more than half of one.
    world.settings.compact_to = world.table(TABLE).bytes * 3 / 2;
    world.reopen().await;
    let mut compactor = world.lake.compactor();
    assert_eq!(compact(&mut world, &mut compactor).await, 0);
    clock.advance(Duration::from_secs(31));
    assert_eq!(compact(&mut world, &mut compactor).await, 1);
    assert!(world.table(TABLE).files.iter().all(|file| file.compacted));
    clock.advance(Duration::from_secs(31));
    assert_eq!(compact(&mut world, &mut compactor).await, 0);
}

/// Commits that stand before an old enough checkpoint go; the table opens by its manifest and by its log, here and elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_and_the_files_stay_few() {
    let (mut world, clock) = world_with(|settings| settings.checkpoint_every = 4).await;
    let directory = world.root().join("sensor.reading");
    let log = directory.join("_delta_log");
    let mut compactor = world.lake.compactor();
    let (mut files_most, mut log_most) = (0, 0);
    for commit in 1..=120u64 {
        commit_runs(&mut world, 1, &[(0, 2), (1, 1)]).await;
        compact(&mut world, &mut compactor).await;
        clock.advance(Duration::from_secs(360));
        if commit > 60 {
            files_most = files_most.max(data_files(&directory).len());
            log_most = log_most.max(fs::read_dir(&log).unwrap().count());
        }
    }
    assert!(files_most < 60 && log_most < 60, "{files_most} files, {log_most} of the log");
    assert!(!log.join(format!("{:020}.json", 3)).exists());
    assert_eq!(check_table(&directory, &mut |_| {}), []);
    let expected: Vec<_> = (1..=120).map(|seq| (seq, 3)).collect();
    let same = |batches: &[RecordBatch]| assert_eq!(integers(batches, "_offset"), offsets(&expected));
    same(&read_delta(&directory).await);
    let configuration = delta_table(&directory).await.snapshot().unwrap().metadata().configuration().clone();
    assert_eq!(configuration["delta.deletedFileRetentionDuration"], "interval 3600 seconds");
    let version = world.table(TABLE).version;

    world.reopen().await;
    same(&world.table(TABLE).files.iter().flat_map(|file| read(&world, file)).collect::<Vec<_>>());
    // Without the manifest, and without its newest checkpoint.
    let mut checkpoints: Vec<_> = fs::read_dir(&log)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".checkpoint."))
        .collect();
    checkpoints.sort();
    assert!(checkpoints.len() >= 2, "{checkpoints:?}");
    for harm in [directory.join("_headwater/manifest"), checkpoints.pop().unwrap()] {
        fs::remove_file(&harm).unwrap();
        world.reopen().await;
        let table = world.table(TABLE);
        assert_eq!((table.version, table.seq), (version, Seq(120)), "{}", harm.display());
        same(&read_delta(&directory).await);
        assert_eq!(check_table(&directory, &mut |_| {}), []);
    }
    // What the log alone could not tell is removed in its time as well.
    let live = world.table(TABLE).files.len();
    let mut compactor = world.lake.compactor();
    clock.advance(HOUR * 2);
    compact(&mut world, &mut compactor).await;
    assert!(data_files(&directory).len() <= live + 1, "{} of {live}", data_files(&directory).len());
}

/// Rows that come between the offer and its round are a commit of their own before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_committer_goes_on_while_files_are_prepared() {
    let (mut world, _) = world_with(|_| {}).await;
    commit_runs(&mut world, 10, &[(0, 3)]).await;
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    let delivery = world.rows(&[READING, ENGINE], 4);
    world.apply(delivery).await;
    assert_eq!(world.commit().await, Seq(11));
    let table = world.table(TABLE);
    assert_eq!((table.version, table.files.len(), table.rows, table.seq), (11, 2, 34, Seq(11)));
    assert_eq!(world.table(Table::Stream(ENGINE)).version, 0);
    // Told to stop, it leaves nothing behind.
    commit_runs(&mut world, 9, &[(0, 3)]).await;
    let before = data_files(&world.root().join("sensor.reading"));
    let mut asked = 0;
    let stopped = compactor.turn(false, &mut |bytes| {
        asked += u64::from(bytes > 0);
        asked < 3
    });
    assert_eq!((stopped, data_files(&world.root().join("sensor.reading"))), (Turn::Nothing, before));
}
