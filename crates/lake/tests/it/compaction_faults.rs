//! What may befall compaction: a death at any of its steps, a call that fails, bytes that rot, another writer. No row is lost or
//! doubled by any of it, and no file is left that nobody removes.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hw_event::Seq;
use hw_lake::{Lake, LakeSettings, Syncs, Table, Turn, check_table};
use hw_pipeline::Sink;
use hw_testkit::ManualClock;

use crate::fixture::{ENGINE, JOURNAL, MINUTE, READING, World, data_files, integers, offsets, read_delta};

const TABLE: Table = Table::Stream(READING);

/// From the n-th call on the disk fails: at once and for good, or once.
#[derive(Debug, Default)]
struct Failing {
    calls: AtomicU64,
    /// 0: never.
    from: AtomicU64,
    once: bool,
}

impl Failing {
    fn call(&self) -> io::Result<()> {
        let (call, from) = (self.calls.fetch_add(1, Ordering::SeqCst) + 1, self.from.load(Ordering::SeqCst));
        let fails = from > 0 && if self.once { call == from } else { call >= from };
        if fails { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    }
}

impl Syncs for Failing {
    fn write(&self, _path: &Path) -> io::Result<()> {
        self.call()
    }

    fn file(&self, file: &File, _path: &Path) -> io::Result<()> {
        self.call()?;
        file.sync_all()
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        File::open(path)?.sync_all()
    }
}

fn expected(appends: u64) -> Vec<i64> {
    offsets(&(1..=appends).map(|seq| (seq, 3)).collect::<Vec<_>>())
}

async fn append(world: &mut World) -> Seq {
    let delivery = world.rows(&[READING], 3);
    world.apply(delivery).await;
    world.commit().await
}

/// A world with ten files to compact, over a disk that fails from the n-th call after this on (0: never).
async fn world(call: u64, once: bool) -> (World, Arc<Failing>, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(MINUTE));
    let turned = clock.clone();
    let adjust = |settings: &mut LakeSettings| {
        settings.clock = turned;
        settings.checkpoint_every = 12;
    };
    let mut world = World::with(adjust).await;
    let failing = Arc::new(Failing { once, ..Failing::default() });
    let (registry, settings) = (world.registry.clone(), world.settings.clone());
    world.lake = Lake::open_with(&world.root(), JOURNAL, registry, settings, failing.clone()).await.unwrap();
    world.sink = world.lake.sink();
    for _ in 0..10 {
        append(&mut world).await;
    }
    if call > 0 {
        failing.from.store(failing.calls.load(Ordering::SeqCst) + call, Ordering::SeqCst);
    }
    (world, failing, clock)
}

/// Compaction, an append, and what is old goes.
async fn live(world: &mut World, clock: &ManualClock) {
    let mut compactor = world.lake.compactor();
    let _ = compactor.turn(false, &mut |_| true);
    let _ = append(world).await;
    let _ = append(world).await;
    clock.advance(Duration::from_secs(7200));
    let _ = compactor.turn(false, &mut |_| true);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_at_any_step_costs_only_the_work() {
    let mut reached = 0;
    for call in 1.. {
        let (mut world, failing, clock) = world(call, false).await;
        let before = failing.calls.load(Ordering::SeqCst);
        live(&mut world, &clock).await;
        let calls = failing.calls.load(Ordering::SeqCst) - before;
        world.reopen().await;
        let directory = world.root().join("sensor.reading");
        let table = world.table(TABLE);
        assert!((10..=12).contains(&table.seq.0), "call {call}");
        assert_eq!(integers(&read_delta(&directory).await, "_offset"), expected(table.seq.0), "call {call}");
        assert_eq!(check_table(&directory, &mut |_| {}), [], "call {call}");
        // What the process did not see through is done by the next.
        world.next = table.seq.0 + 1;
        drop(table);
        while world.next <= 13 {
            append(&mut world).await;
        }
        clock.advance(Duration::from_secs(7200));
        let mut compactor = world.lake.compactor();
        while let Turn::Offered(_) = compactor.turn(false, &mut |_| true) {
            world.commit().await;
        }
        clock.advance(Duration::from_secs(7200));
        assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing);
        let table = world.table(TABLE);
        assert!(table.files.len() < 5, "call {call}: {}", table.files.len());
        assert_eq!(data_files(&directory).len(), table.files.len(), "call {call}: nothing else is left");
        assert_eq!(integers(&read_delta(&directory).await, "_offset"), expected(13), "call {call}");
        reached = call;
        if calls < call {
            break;
        }
    }
    println!("{reached} calls");
    assert!(reached > 15);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_fails_once_is_made_good_by_the_same_process() {
    for call in 1.. {
        let (mut world, failing, clock) = world(call, true).await;
        let before = failing.calls.load(Ordering::SeqCst);
        live(&mut world, &clock).await;
        let calls = failing.calls.load(Ordering::SeqCst) - before;
        let mut compactor = world.lake.compactor();
        for _ in 0..3 {
            append(&mut world).await;
            let _ = compactor.turn(false, &mut |_| true);
        }
        world.commit().await;
        clock.advance(Duration::from_secs(7200));
        let _ = compactor.turn(false, &mut |_| true);
        let directory = world.root().join("sensor.reading");
        assert!(world.lake.faults().is_empty(), "call {call}: {:?}", world.lake.faults());
        let table = world.table(TABLE);
        assert_eq!((table.seq, table.rows), (Seq(15), 45), "call {call}");
        assert!(table.files.len() < 8, "call {call}: {}", table.files.len());
        assert_eq!(integers(&read_delta(&directory).await, "_offset"), expected(15), "call {call}");
        world.reopen().await;
        assert_eq!(world.table(TABLE).files, table.files, "call {call}");
        assert_eq!(check_table(&directory, &mut |_| {}), [], "call {call}");
        if calls < call {
            break;
        }
    }
}

/// Damage is not written into a new file with a new checksum: the file stays as it is, and is passed over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rots_is_not_compacted() {
    let (mut world, _, _) = world(0, false).await;
    let directory = world.root().join("sensor.reading");
    let victim = world.root().join(&world.table(TABLE).files[4].path);
    let mut bytes = fs::read(&victim).unwrap();
    let middle = bytes.len() / 3;
    bytes[middle] ^= 4;
    fs::write(&victim, &bytes).unwrap();
    let before = data_files(&directory);
    let mut compactor = world.lake.compactor();
    for _ in 0..3 {
        assert_eq!(compactor.turn(false, &mut |_| true), Turn::Nothing);
    }
    assert_eq!(data_files(&directory), before);
    // Those behind it go their way.
    for _ in 0..8 {
        append(&mut world).await;
    }
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    world.commit().await;
    assert_eq!(world.table(TABLE).files.len(), 6);
    let found = check_table(&directory, &mut |_| {});
    assert_eq!(found.len(), 1);
    bytes[middle] ^= 4;
    fs::write(&victim, bytes).unwrap();
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), expected(18));
}

/// Another writer took one of the files away: what was prepared without knowing that is let go, and removed in its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_that_comes_too_late_is_let_go() {
    let (mut world, _, clock) = world(0, false).await;
    let directory = world.root().join("sensor.reading");
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    let gone = world.table(TABLE).files[3].path.clone();
    let name = gone.file_name().unwrap().to_str().unwrap();
    let foreign = format!(
        "{{\"commitInfo\":{{\"operation\":\"DELETE\",\"timestamp\":1}}}}\n\
         {{\"remove\":{{\"path\":\"{name}\",\"dataChange\":true,\"deletionTimestamp\":1}}}}"
    );
    fs::write(directory.join("_delta_log/00000000000000000010.json"), foreign).unwrap();
    append(&mut world).await;
    let left: Vec<i64> = expected(11).into_iter().filter(|offset| offset / 1000 != 4).collect();
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), left);
    assert_eq!(world.table(TABLE).files.len(), 10);
    clock.advance(Duration::from_secs(7200));
    // The rest of it is ten files again.
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    world.commit().await;
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), left);
    assert_eq!(world.table(TABLE).files.len(), 1);
}

/// Two lakes on one directory, as no lock should allow: the rows stay as they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_committer_meets_a_compacted_table() {
    let (mut world, _, _) = world(0, false).await;
    let (registry, settings) = (world.registry.clone(), world.settings.clone());
    let other = Lake::open(&world.root(), JOURNAL, registry, settings).await.unwrap();
    let mut twin = other.sink();
    let mut compactor = world.lake.compactor();
    assert_eq!(compactor.turn(false, &mut |_| true), Turn::Offered(TABLE));
    world.commit().await;
    let delivery = world.rows(&[READING, ENGINE], 3);
    twin.apply(delivery).await.unwrap();
    assert_eq!(twin.commit().await.unwrap(), Seq(11));
    let table = other.table(TABLE).unwrap();
    assert_eq!((table.files.len(), table.seq), (2, Seq(11)));
    let directory = world.root().join("sensor.reading");
    assert_eq!(integers(&read_delta(&directory).await, "_offset"), expected(11));
}
