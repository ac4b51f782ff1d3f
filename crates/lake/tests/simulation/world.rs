//! One machine: its disks, its clock, its keys; and one process on it, from start to death.
//! Always: everything runs on the calling thread; what the process does next is decided by whoever drives it.

use std::{
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use bytes::Bytes;
use hw_event::{Clock, Seq, StreamId, Timestamp};
use hw_gate::{Catalog, Gate, GateParts, GateSettings, Running};
use hw_journal::{
    BlockKind, BlockRef, Journal, JournalDriver, Log, ReadError, Recovered, Settings, StoredAppend,
};
use hw_lake::{Compactor, Dense, Lake, LakeSettings};
use hw_pipeline::{FollowerHandle, FollowerSettings, follow};
use hw_schema::{Registry, Schema};
use hw_testkit::{ManualClock, Random, SeededEntropy, SimDisk};
use hw_vault::{HashKey, MemoryKeyStore, SealKeys};
use tokio::{
    runtime::{Builder, Runtime},
    sync::watch,
};

use crate::lake_disk::LakeDisk;

pub const SEGMENT_BYTES: u64 = 64 * 1024;
pub const START: Timestamp = Timestamp(1_790_000_000_000_000);

/// Name and schema of each stream.
pub const STREAMS: [(&str, &str); 3] = [
    (
        "reading",
        r#"{"type":"object","properties":{"id":{"type":"integer"},"who":{"type":"string"}},
        "required":["id","who"],"x-key":["who"],"x-partitions":3}"#,
    ),
    (
        "strict",
        r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"x-mode":"reject"}"#,
    ),
    (
        "private",
        r#"{"type":"object","properties":{"id":{"type":"integer"},"who":{"type":"string","x-privacy":"hash"}},
        "required":["id"]}"#,
    ),
];
/// The stream that refuses good neighbours of bad events.
pub const STRICT: usize = 1;

thread_local! {
    // Read once a thread: to parse a schema costs as much as a hundred appends, and no event changes it.
    static CATALOG: Arc<Catalog> = Arc::new(declared());
}

fn declared() -> Catalog {
    let catalog = Catalog::open(Arc::new(SimDisk::new(1))).expect("an empty catalog opens");
    for (name, document) in STREAMS {
        let schema = Schema::parse(document).expect("a good schema").schema;
        catalog.declare(&name.parse().expect("a name"), Arc::new(schema)).expect("declared");
    }
    catalog
}

/// What outlives the process.
pub struct World {
    seed: u64,
    pub disk: SimDisk,
    keys: Arc<MemoryKeyStore>,
    pub clock: Arc<ManualClock>,
    pub lake_disk: LakeDisk,
    pub root: PathBuf,
    budget_bytes: u64,
    batch_bytes: usize,
    compact_to: u64,
    boots: u64,
    _directory: tempfile::TempDir,
}

/// A process.
pub struct Boot {
    /// A blocking task that ends with this: while it runs, the runtime's time passes only when it is told to.
    still: mpsc::Sender<()>,
    pub runtime: Runtime,
    pub gate: Gate,
    pub running: Running,
    pub journal: Journal,
    pub driver: JournalDriver,
    pub log: Arc<dyn Log>,
    pub registry: Arc<Registry>,
    pub lake: Lake,
    pub compactor: Compactor,
    pub follower: FollowerHandle,
    /// A second committer that knows nothing of the first.
    pub twin: Option<FollowerHandle>,
    pub seal_keys: Arc<SealKeys>,
}

impl World {
    pub fn new(seed: u64, random: &mut Random) -> World {
        let disk = SimDisk::new(random.next_u64());
        let memory = PathBuf::from("/dev/shm");
        let directory = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let directory = directory.expect("a directory for the lake");
        let root = directory.path().join("lake");
        std::fs::create_dir(&root).expect("the lake's root");
        let lake_disk = LakeDisk::new(&root, disk.clone(), random.next_u64());
        World {
            seed,
            disk,
            keys: Arc::default(),
            clock: Arc::new(ManualClock::new(START)),
            lake_disk,
            root,
            // Most have room for all; some are full until the next commit.
            budget_bytes: if random.one_in(4) { 1 << 20 } else { 8 << 20 },
            batch_bytes: [1, 4096, 1 << 20][random.below(3) as usize],
            // Each file alone, some together, or all that there are and small ones too.
            compact_to: [4 << 10, 24 << 10, 1 << 20][seed as usize % 3],
            boots: 0,
            _directory: directory,
        }
    }

    /// Starts a process. `Err` says why it could not.
    pub fn boot(&mut self, with_twin: bool) -> Result<(Boot, Recovered), String> {
        self.boots += 1;
        let clock: Arc<dyn Clock> = self.clock.clone();
        let catalog = CATALOG.with(Arc::clone);
        let settings = Settings {
            segment_bytes: SEGMENT_BYTES,
            budget_bytes: self.budget_bytes,
            reserve_bytes: 256 << 10,
            ..Settings::default()
        };
        let entropy = SeededEntropy::new(self.seed);
        let disk = Arc::new(self.disk.clone());
        let (journal, driver, recovered) = Journal::open_driven(disk, clock.clone(), &entropy, settings)
            .map_err(|error| error.to_string())?;
        let runtime =
            Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime");
        let (still, ends) = mpsc::channel();
        runtime.spawn_blocking(move || ends.recv());
        let registry = catalog.registry().clone();
        let log: Arc<dyn Log> = Arc::new(journal.clone());
        let lake_settings = LakeSettings {
            clock: clock.clone(),
            tables_in_flight: 1,
            checkpoint_every: 6,
            compact_to: self.compact_to,
            // Fresh files as compaction leaves them, or not.
            dense: if self.seed % 2 == 0 {
                Dense { behind: 0, rows: 1, group_rows: 1 }
            } else {
                Dense::default()
            },
            ..LakeSettings::default()
        };
        let open = || {
            let syncs = Arc::new(self.lake_disk.clone());
            Lake::open_with(&self.root, recovered.journal_id, registry.clone(), lake_settings.clone(), syncs)
        };
        let lake = runtime.block_on(open()).map_err(|error| error.to_string())?;
        let follow_with = |lake: &Lake, log: Arc<dyn Log>| {
            let handle = FollowerHandle::new();
            let never = Duration::from_secs(1 << 28);
            let settings = FollowerSettings {
                commit_every: never,
                commit_trickle: never,
                batch_bytes: self.batch_bytes,
                ..FollowerSettings::default()
            };
            let following = follow(log, registry.clone(), lake.sink(), settings, handle.clone());
            runtime.block_on(async { drop(tokio::spawn(following)) });
            handle
        };
        let follower = follow_with(&lake, log.clone());
        let twin = match with_twin {
            true => {
                let lake = runtime.block_on(open()).map_err(|error| error.to_string())?;
                Some(follow_with(&lake, Arc::new(ReadOnly(log.clone()))))
            }
            false => None,
        };
        let seal_keys =
            Arc::new(SealKeys::new(self.keys.clone(), Arc::new(SeededEntropy::new(self.seed ^ self.boots))));
        let parts = GateParts {
            journal: journal.clone(),
            catalog,
            hash_key: HashKey::from_bytes(&[7; 32]),
            vault: None,
            seal_keys: seal_keys.clone(),
            clock,
            entropy: Arc::new(SeededEntropy::new(self.seed ^ self.boots << 8)),
            // Requests are small here: they are judged where they arrive.
            heavy: runtime.handle().clone(),
            settings: GateSettings { event_bytes: 1 << 16, depth: 16, inflight_bytes: 1 << 20 },
        };
        let (gate, running) = runtime.block_on(async { Gate::start(parts, recovered.clone()) });
        let compactor = lake.compactor();
        let boot = Boot {
            still,
            runtime,
            gate,
            running,
            journal,
            driver,
            log,
            registry,
            lake,
            compactor,
            follower,
            twin,
            seal_keys,
        };
        Ok((boot, recovered))
    }

    /// After the process died: on a machine that went on, or on one that lost its power.
    pub fn restart(&self, power_cut: bool) {
        if power_cut {
            self.disk.crash();
            self.lake_disk.restart().expect("the lake's directory can be listed");
        } else {
            self.disk.kill();
            self.lake_disk.revive();
        }
    }
}

/// Lets every task go as far as it can without the writer.
async fn settle() {
    for _ in 0..12 {
        tokio::task::yield_now().await;
    }
}

impl Boot {
    /// Lets the writer take at most so many turns, and the tasks between them. Returns how many it took.
    // Inside the runtime: what is woken from outside of it waits in another queue, whose turn comes by a count that
    // the engine's own threads have a part in.
    pub fn pump(&mut self, turns_max: usize) -> usize {
        let Boot { runtime, driver, .. } = self;
        runtime.block_on(async {
            let mut turns = 0;
            settle().await;
            while turns < turns_max && driver.turn() {
                turns += 1;
                settle().await;
            }
            turns
        })
    }

    /// A clean stop: everything that was submitted is answered, committed and sealed.
    pub fn close(self) {
        let Boot {
            still,
            runtime,
            gate,
            running,
            journal,
            mut driver,
            follower,
            twin,
            lake,
            compactor,
            log,
            ..
        } = self;
        drop(compactor);
        gate.close();
        runtime.block_on(async {
            let ended = tokio::spawn(running.finished());
            while !ended.is_finished() {
                settle().await;
                driver.turn();
            }
            for handle in [Some(follower), twin].into_iter().flatten() {
                handle.stop();
                let _ = handle.watch().wait_for(|status| status.ended()).await;
            }
            drop((lake, log, gate));
            let closing = tokio::spawn(journal.close());
            settle().await;
            driver.close();
            let _ = closing.await;
        });
        drop(still);
    }
}

/// The log as a second committer has it: that it has committed must not let this process's journal forget what this
/// process's own tables do not hold yet.
struct ReadOnly(Arc<dyn Log>);

impl Log for ReadOnly {
    fn durable(&self) -> watch::Receiver<Seq> {
        self.0.durable()
    }

    fn first_kept(&self) -> Seq {
        self.0.first_kept()
    }

    fn released(&self) -> Seq {
        self.0.released()
    }

    fn read(&self, after: Seq, bytes_max: usize) -> Result<Vec<StoredAppend>, ReadError> {
        self.0.read(after, bytes_max)
    }

    fn blocks(
        &self,
        stream: StreamId,
        kind: BlockKind,
        after: Seq,
        through: Seq,
    ) -> Result<Vec<BlockRef>, ReadError> {
        self.0.blocks(stream, kind, after, through)
    }

    fn read_block(&self, block: &BlockRef) -> Result<Bytes, ReadError> {
        self.0.read_block(block)
    }

    fn release(&self, _seq: Seq) {}
}
