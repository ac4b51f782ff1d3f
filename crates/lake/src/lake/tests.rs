//! The order of syncs over a whole round: no commit may name a file that a power cut could still take. And
//! what becomes of a commit whose last sync failed: it is there, but nobody was told.

use std::{fs::File, io};

use hw_event::{Seq, StreamId, Tally, Timestamp};
use hw_pipeline::{Delivery, Sink};

use super::*;

/// Records what is synced, and which commit files have their names by then.
#[derive(Debug, Default)]
struct Recorder {
    root: Mutex<PathBuf>,
    calls: Mutex<Vec<(String, bool)>>,
    /// The next sync of this directory fails.
    failing: Mutex<Option<&'static str>>,
}

impl Recorder {
    fn note(&self, what: &str, path: &Path) -> io::Result<()> {
        let root = self.root.lock().unwrap().clone();
        let name = path.strip_prefix(root.canonicalize()?).unwrap_or(Path::new("..")).display().to_string();
        let kind = match name.as_str() {
            name if name.contains(".parquet") => "data".to_owned(),
            name if name.contains("manifest") => "manifest".to_owned(),
            name if name.contains(".json") => "commit".to_owned(),
            name => format!("{what}{name}"),
        };
        let named = root.join("ledger/_delta_log/00000000000000000000.json").exists();
        self.calls.lock().unwrap().push((kind, named));
        Ok(())
    }
}

impl Syncs for Recorder {
    fn file(&self, file: &File, path: &Path) -> io::Result<()> {
        self.note("", path)?;
        file.sync_all()
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        self.note("directory ", path)?;
        if self.failing.lock().unwrap().take_if(|name| path.ends_with(name)).is_some() {
            return Err(io::Error::other("an input/output error"));
        }
        File::open(path)?.sync_all()
    }
}

async fn open(directory: &Path) -> (Arc<Recorder>, Lake) {
    let recorder = Arc::new(Recorder::default());
    *recorder.root.lock().unwrap() = directory.to_owned();
    let (registry, settings) = (Arc::new(Registry::new()), LakeSettings::default());
    let lake = Lake::open_with(directory, 1, registry, settings, recorder.clone()).await.unwrap();
    recorder.calls.lock().unwrap().clear();
    (recorder, lake)
}

fn delivery(seq: u64) -> Delivery {
    let tally = Tally::new(StreamId(1), "http", Timestamp(0));
    let tallies = vec![("a".parse().unwrap(), Seq(seq), tally)];
    Delivery { through: Seq(seq), rows: Vec::new(), rejects: Vec::new(), tallies, bytes: 0 }
}

#[tokio::test]
async fn a_commit_is_named_after_everything_it_names_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, lake) = open(directory.path()).await;
    let mut sink = lake.sink();
    sink.apply(delivery(1)).await.unwrap();
    assert_eq!(sink.commit().await.unwrap(), Seq(1));
    let calls = recorder.calls.lock().unwrap().clone();
    let expected = [
        ("directory ", false),
        ("data", false),
        ("directory ledger", false),
        ("directory ledger", false),
        ("manifest", false),
        ("directory ledger/_headwater", false),
        ("directory ledger", false),
        ("commit", false),
        ("directory ledger/_delta_log", true),
    ];
    assert_eq!(calls, expected.map(|(name, named)| (name.to_owned(), named)));
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_found_and_its_file_not_added_again() {
    let directory = tempfile::tempdir().unwrap();
    let (recorder, lake) = open(directory.path()).await;
    let mut sink = lake.sink();
    sink.apply(delivery(1)).await.unwrap();
    *recorder.failing.lock().unwrap() = Some("_delta_log");
    assert_eq!(sink.commit().await.unwrap(), Seq(0), "it is not known to be durable");
    assert_eq!(lake.faults().len(), 1);
    assert!(lake.table(Table::Ledger).is_none());

    sink.apply(delivery(2)).await.unwrap();
    assert_eq!(sink.commit().await.unwrap(), Seq(2));
    let table = lake.table(Table::Ledger).unwrap();
    assert_eq!((table.version, table.files.len(), table.rows), (1, 2, 2));
    let second =
        std::fs::read_to_string(directory.path().join("ledger/_delta_log/00000000000000000001.json"));
    assert_eq!(second.unwrap().matches("\"add\"").count(), 1);

    // The same without anything new to add.
    sink.apply(delivery(3)).await.unwrap();
    *recorder.failing.lock().unwrap() = Some("_delta_log");
    assert_eq!(sink.commit().await.unwrap(), Seq(2));
    assert_eq!(sink.commit().await.unwrap(), Seq(3));
    assert_eq!((lake.table(Table::Ledger).unwrap().version, lake.faults().len()), (2, 0));

    // A data file whose name could not be made durable is written anew, and leaves nothing behind.
    sink.apply(delivery(4)).await.unwrap();
    *recorder.failing.lock().unwrap() = Some("ledger");
    assert_eq!(sink.commit().await.unwrap(), Seq(3));
    assert_eq!(sink.commit().await.unwrap(), Seq(4));
    let names = std::fs::read_dir(directory.path().join("ledger")).unwrap();
    assert_eq!(names.count(), 4 + 2, "four files, the log and the manifest");
}

/// The power fails at the n-th sync: that one and all after it fail, and what it was to make durable is half there.
#[derive(Debug)]
struct PowerCut {
    left: Mutex<u64>,
    /// How long each file is that was synced, and which names each directory had when it was.
    files: Mutex<HashMap<PathBuf, u64>>,
    names: Mutex<HashMap<PathBuf, HashSet<std::ffi::OsString>>>,
}

impl PowerCut {
    fn at(syncs: u64) -> Arc<PowerCut> {
        Arc::new(PowerCut { left: Mutex::new(syncs), files: Mutex::default(), names: Mutex::default() })
    }

    /// `None`: the power is on. `Some(true)`: it fails now.
    fn fails(&self) -> Option<bool> {
        let mut left = self.left.lock().unwrap();
        match *left {
            0 => Some(false),
            1 => {
                *left = 0;
                Some(true)
            }
            _ => {
                *left -= 1;
                None
            }
        }
    }

    fn is_off(&self) -> bool {
        *self.left.lock().unwrap() == 0
    }
}

fn names_in(path: &Path) -> HashSet<std::ffi::OsString> {
    std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

impl Syncs for PowerCut {
    fn file(&self, file: &File, path: &Path) -> io::Result<()> {
        let name = path.display().to_string();
        let target = PathBuf::from(name.split('#').next().unwrap());
        let now = self.fails();
        let mut files = self.files.lock().unwrap();
        if let Some(now) = now {
            if now {
                // Of a file that is written anew nothing is durable, of one that grew what it had.
                let kept = if name.contains('#') { 0 } else { files.get(&target).copied().unwrap_or(0) };
                let length = file.metadata()?.len();
                File::options().write(true).open(path)?.set_len(kept + (length.saturating_sub(kept)) / 2)?;
            }
            return Err(io::Error::other("the power is off"));
        }
        files.insert(target, file.metadata()?.len());
        Ok(())
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        let now = self.fails();
        let mut names = self.names.lock().unwrap();
        if let Some(now) = now {
            let known = names.get(path).cloned().unwrap_or_default();
            for name in names_in(path).difference(&known).filter(|_| now) {
                let _ = std::fs::remove_file(path.join(name));
            }
            return Err(io::Error::other("the power is off"));
        }
        names.insert(path.to_owned(), names_in(path));
        Ok(())
    }
}

fn ledger_rows(lake: &Lake) -> (Seq, u64) {
    lake.table(Table::Ledger).map_or((Seq(0), 0), |table| (table.seq, table.rows))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_sync_neither_loses_nor_doubles() {
    const COMMITS: u64 = 5;
    let (mut cut, mut ended) = (0, false);
    while !ended {
        cut += 1;
        let directory = tempfile::tempdir().unwrap();
        let settings = LakeSettings { checkpoint_every: 2, ..LakeSettings::default() };
        let registry = Arc::new(Registry::new());
        let power = PowerCut::at(cut);
        let opened = Lake::open_with(directory.path(), 1, registry.clone(), settings.clone(), power.clone());
        let mut committed = Seq(0);
        if let Ok(lake) = opened.await {
            let mut sink = lake.sink();
            for seq in 1..=COMMITS {
                sink.apply(delivery(seq)).await.unwrap();
                committed = committed.max(sink.commit().await.unwrap());
            }
        }
        ended = !power.is_off();

        let lake = Lake::open(directory.path(), 1, registry, settings).await.unwrap();
        assert!(lake.faults().is_empty(), "cut at sync {cut}: {:?}", lake.faults());
        let (seq, rows) = ledger_rows(&lake);
        assert!(seq >= committed, "cut at sync {cut}: {committed} was committed, {seq} is there");
        assert_eq!(rows, seq.0, "cut at sync {cut}: one row an append");
        let mut sink = lake.sink();
        for seq in 1..=COMMITS + 2 {
            sink.apply(delivery(seq)).await.unwrap();
            sink.commit().await.unwrap();
        }
        assert_eq!(ledger_rows(&lake), (Seq(COMMITS + 2), COMMITS + 2), "cut at sync {cut}");
        assert_eq!(lake.check(Table::Ledger, "ledger", &mut |_| {}), [], "cut at sync {cut}");
    }
    println!("{cut} places for a power cut");
    assert!(cut > 30, "{cut}");
}

/// A commit's name may be in memory alone when the process dies; a start counts it, so a start syncs it.
#[tokio::test]
async fn what_a_start_finds_in_the_log_is_made_durable_before_it_counts() {
    let directory = tempfile::tempdir().unwrap();
    let (_, lake) = open(directory.path()).await;
    let mut sink = lake.sink();
    sink.apply(delivery(1)).await.unwrap();
    sink.commit().await.unwrap();
    let recorder = Arc::new(Recorder::default());
    *recorder.root.lock().unwrap() = directory.path().to_owned();
    let (registry, settings) = (Arc::new(Registry::new()), LakeSettings::default());
    Lake::open_with(directory.path(), 1, registry, settings, recorder.clone()).await.unwrap();
    let calls = recorder.calls.lock().unwrap().clone();
    assert!(calls.contains(&("directory ledger/_delta_log".to_owned(), true)), "{calls:?}");
}
