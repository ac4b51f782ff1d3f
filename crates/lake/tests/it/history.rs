//! Older versions of a table: each has the rows that it had, for as long as its files and its commits are there; what is
//! held stays, what is erased is in none.

use std::{fs, sync::Arc, time::Duration};

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use hw_event::{Seq, Timestamp};
use hw_lake::{AsOf, Compactor, Doomed, LakeError, LakeSettings, Table, TableSnapshot, Turn, VersionError};
use hw_testkit::ManualClock;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::fixture::{MINUTE, READING, World, data_files, integers, offsets};

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

/// So many commits of two rows, a second between them.
async fn commit(world: &mut World, clock: &ManualClock, commits: u64) {
    for _ in 0..commits {
        let delivery = world.rows(&[READING], 2);
        world.apply(delivery).await;
        world.commit().await;
        clock.advance(Duration::from_secs(1));
    }
}

async fn compact(world: &mut World, compactor: &mut Compactor) {
    while let Turn::Offered(_) = compactor.turn(false, &mut |_| true) {
        world.commit().await;
    }
}

fn rows(world: &World, snapshot: &TableSnapshot) -> Vec<i64> {
    let read = |path| {
        let file = fs::File::open(world.root().join(path)).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        reader.build().unwrap().map(Result::unwrap).collect::<Vec<RecordBatch>>()
    };
    let batches: Vec<_> = snapshot.files.iter().flat_map(|file| read(&file.path)).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows() as u64).sum::<u64>(), snapshot.rows);
    integers(&batches, "_offset")
}

/// What the first so many commits brought.
fn first(commits: u64) -> Vec<i64> {
    offsets(&(1..=commits).map(|seq| (seq, 2)).collect::<Vec<_>>())
}

/// The oldest version that the refusal names.
async fn gone(world: &World, as_of: AsOf) -> u64 {
    match world.lake.table_as_of(TABLE, as_of).await {
        Err(VersionError::Gone { oldest }) => oldest.version,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_has_the_rows_that_it_had() {
    let (mut world, clock) = world_with(|_| {}).await;
    assert!(matches!(
        world.lake.table_as_of(TABLE, AsOf::Version(0)).await,
        Err(VersionError::None { newest: None })
    ));
    commit(&mut world, &clock, 12).await;
    let mut compactor = world.lake.compactor();
    compact(&mut world, &mut compactor).await;
    assert_eq!(world.table(TABLE).version, 12);
    // Also after a start, which knows the old files by their names only.
    for _ in 0..2 {
        for version in 0..=12 {
            let old = world.lake.table_as_of(TABLE, AsOf::Version(version)).await.unwrap();
            assert_eq!((old.version, old.seq), (version as i64, Seq((version + 1).min(12))));
            assert_eq!(rows(&world, &old), first((version + 1).min(12)), "version {version}");
            let at = Timestamp(MINUTE.0 + version as i64 * 1_000_000);
            let then = world.lake.table_as_of(TABLE, AsOf::Time(at)).await.unwrap();
            assert_eq!(then.version, version as i64, "the newest at {at}");
        }
        let versions = world.lake.versions(TABLE).await.unwrap();
        assert_eq!(versions.len(), 13);
        assert!(versions.iter().all(|version| version.readable), "{versions:#?}");
        let (eleventh, last) = (&versions[11], &versions[12]);
        assert_eq!((&*eleventh.operation, eleventh.files, eleventh.rows), ("WRITE", 12, 24));
        assert_eq!((&*last.operation, last.files, last.rows), ("OPTIMIZE", 1, 24));
        assert_eq!(eleventh.at.0, MINUTE.0 + 11_000_000);
        world.reopen().await;
    }
    assert!(matches!(
        world.lake.table_as_of(TABLE, AsOf::Version(13)).await,
        Err(VersionError::None { newest: Some(12) })
    ));
    let before = AsOf::Time(Timestamp(MINUTE.0 - 1));
    assert_eq!(gone(&world, before).await, 0, "there was no table then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_is_held_stays_and_one_that_is_not_goes() {
    for started_anew in [false, true] {
        let (mut world, clock) = world_with(|_| {}).await;
        commit(&mut world, &clock, 12).await;
        let mut compactor = world.lake.compactor();
        compact(&mut world, &mut compactor).await;
        if started_anew {
            world.reopen().await;
            compactor = world.lake.compactor();
        }
        let directory = world.root().join("sensor.reading");
        let fifth = world.lake.table_as_of(TABLE, AsOf::Version(4)).await.unwrap();
        let again = world.lake.table_as_of(TABLE, AsOf::Version(4)).await.unwrap();
        clock.advance(HOUR * 2);
        assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing);
        assert_eq!(data_files(&directory).len(), 1 + 5, "the five of the version that is held");
        drop(again);
        assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing);
        assert_eq!(rows(&world, &fifth), first(5));
        assert_eq!(world.lake.table_as_of(TABLE, AsOf::Version(4)).await.unwrap().rows, 10);
        assert_eq!(gone(&world, AsOf::Version(5)).await, 0, "the first five versions are held with it");
        drop(fifth);
        assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing);
        assert_eq!(data_files(&directory).len(), 1);
        for version in 0..12 {
            assert_eq!(gone(&world, AsOf::Version(version)).await, 12);
        }
        let versions = world.lake.versions(TABLE).await.unwrap();
        let readable: Vec<_> = versions.iter().filter(|it| it.readable).map(|it| it.version).collect();
        assert_eq!(readable, [12]);
        assert_eq!(world.lake.table_as_of(TABLE, AsOf::Version(12)).await.unwrap().rows, 24);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_read_from_a_checkpoint_on_and_not_before_the_log_begins() {
    let (mut world, clock) = world_with(|settings| settings.checkpoint_every = 4).await;
    // Half an hour between some of them: what is older than one hour is given up.
    for _ in 0..8 {
        commit(&mut world, &clock, 4).await;
        clock.advance(HOUR / 2);
    }
    let mut compactor = world.lake.compactor();
    compact(&mut world, &mut compactor).await;
    let versions = world.lake.versions(TABLE).await.unwrap();
    let oldest = versions[0].version;
    assert!(oldest > 0 && versions.len() > 4, "{versions:#?}");
    for version in &versions {
        let old = world.lake.table_as_of(TABLE, AsOf::Version(version.version)).await.unwrap();
        assert_eq!((old.rows, old.files.len() as u64), (version.rows, version.files));
        let commits = (version.version + 1).min(32);
        assert_eq!((rows(&world, &old), old.seq), (first(commits), Seq(commits)), "{version:?}");
    }
    for version in 0..oldest {
        assert_eq!(gone(&world, AsOf::Version(version)).await, oldest);
    }
    assert_eq!(gone(&world, AsOf::Time(MINUTE)).await, oldest);
}

struct Of(&'static str);

impl Doomed for Of {
    fn columns(&self) -> Vec<&str> {
        vec!["who"]
    }

    fn rows(&mut self, batch: &RecordBatch) -> BooleanArray {
        let who = batch.column_by_name("who").unwrap().as_string::<i32>();
        who.iter().map(|who| Some(who == Some(self.0))).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_erased_is_in_no_version_that_can_be_read() {
    let (mut world, clock) = world_with(|_| {}).await;
    commit(&mut world, &clock, 12).await;
    let mut compactor = world.lake.compactor();
    compact(&mut world, &mut compactor).await;
    let held = world.lake.table_as_of(TABLE, AsOf::Version(3)).await.unwrap();

    let mut eraser = world.lake.eraser();
    eraser.turn(TABLE, &mut Of("canary-subject-2000"), &mut |_| true).unwrap();
    world.commit().await;
    assert!(eraser.forget(TABLE).unwrap().stale_log);
    world.commit().await;
    // The old files that a statement reads are waited for; its version is none that another one gets.
    assert_eq!(eraser.forget(TABLE).unwrap().held_files, 4);
    assert_eq!(gone(&world, AsOf::Version(3)).await, 13);
    assert_eq!(rows(&world, &held).len(), 8);
    drop(held);
    assert!(eraser.forget(TABLE).unwrap().is_none());

    for _ in 0..2 {
        for version in 0..13 {
            assert_eq!(gone(&world, AsOf::Version(version)).await, 13);
        }
        assert_eq!(gone(&world, AsOf::Time(MINUTE)).await, 13);
        for version in world.lake.versions(TABLE).await.unwrap() {
            let old = world.lake.table_as_of(TABLE, AsOf::Version(version.version)).await.unwrap();
            assert!(!rows(&world, &old).contains(&2000), "{version:?}");
        }
        commit(&mut world, &clock, 1).await;
        world.reopen().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_gives_no_version() {
    let (mut world, clock) = world_with(|settings| settings.checkpoint_every = 4).await;
    commit(&mut world, &clock, 6).await;
    let log = world.root().join("sensor.reading/_delta_log");
    let harm = |name: &str| {
        let path = log.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        (path, whole)
    };
    for (name, harmed, sound) in
        [("00000000000000000002.json", 2, 4), ("00000000000000000003.checkpoint.parquet", 4, 2)]
    {
        let (path, whole) = harm(name);
        match world.lake.table_as_of(TABLE, AsOf::Version(harmed)).await {
            Err(VersionError::Lake(LakeError::Damaged(damage))) => assert!(damage.file.ends_with(name)),
            other => panic!("{name}: {other:?}"),
        }
        let old = world.lake.table_as_of(TABLE, AsOf::Version(sound)).await.unwrap();
        assert_eq!(rows(&world, &old), first(sound + 1));
        fs::write(path, whole).unwrap();
    }
}
