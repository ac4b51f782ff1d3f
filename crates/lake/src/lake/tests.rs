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
    assert_eq!(names.count(), 4 + 1, "four files and the log");
}
