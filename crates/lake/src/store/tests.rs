//! Which syncs a call makes, and in which order; and that a name never precedes its content.

use std::sync::Mutex;

use object_store::{ObjectStoreExt, RenameTargetMode};

use super::*;

/// Records each sync, and what could be seen on the disk at that moment.
#[derive(Debug, Default)]
struct Recorder {
    calls: Mutex<Vec<String>>,
    target: Mutex<Option<PathBuf>>,
}

impl Recorder {
    fn note(&self, what: &str, path: &FsPath) {
        let name = path.file_name().unwrap().to_string_lossy();
        let name = name.split_once('#').map_or(&*name, |(name, _)| name);
        let visible = self.target.lock().unwrap().as_ref().is_some_and(|target| target.exists());
        let visible = if visible { " (visible)" } else { "" };
        self.calls.lock().unwrap().push(format!("{what} {name}{visible}"));
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

impl Syncs for Recorder {
    fn file(&self, file: &File, path: &FsPath) -> io::Result<()> {
        self.note("file", path);
        file.sync_all()
    }

    fn directory(&self, path: &FsPath) -> io::Result<()> {
        self.note("directory", path);
        OsSyncs.directory(path)
    }
}

struct Fixture {
    directory: tempfile::TempDir,
    recorder: Arc<Recorder>,
    store: SyncingStore,
}

impl Fixture {
    fn new() -> Fixture {
        let recorder = Arc::new(Recorder::default());
        let store = SyncingStore::new(recorder.clone());
        Fixture { directory: tempfile::tempdir().unwrap(), recorder, store }
    }

    fn path(&self, name: &str) -> Path {
        let path = self.directory.path().join(name);
        *self.recorder.target.lock().unwrap() = Some(path.clone());
        Path::from_absolute_path(path).unwrap()
    }

    fn names(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path().join(directory)).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn create() -> PutOptions {
    PutOptions { mode: PutMode::Create, ..PutOptions::default() }
}

#[tokio::test]
async fn a_put_syncs_the_file_then_names_it_then_syncs_the_directory() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.directory.path().join("log")).unwrap();
    for options in [create(), PutOptions::default()] {
        let path = fixture.path("log/0.json");
        fixture.store.put_opts(&path, "one".into(), options).await.unwrap();
        assert_eq!(fixture.recorder.take(), ["file 0.json", "directory log (visible)"]);
        assert_eq!(fixture.names("log"), ["0.json"]);
        fs::remove_file(fixture.directory.path().join("log/0.json")).unwrap();
    }
}

#[tokio::test]
async fn new_directories_are_synced_in_their_parents_from_the_top() {
    let fixture = Fixture::new();
    let root = fixture.directory.path().file_name().unwrap().to_string_lossy().into_owned();
    fixture.store.put(&fixture.path("a/b/0.json"), "one".into()).await.unwrap();
    let expected = [format!("directory {root}"), "directory a".into(), "file 0.json".into()];
    assert_eq!(fixture.recorder.take()[..3], expected);
}

#[tokio::test]
async fn create_refuses_a_name_that_exists_and_leaves_it_alone() {
    let fixture = Fixture::new();
    let path = fixture.path("0.json");
    fixture.store.put_opts(&path, "one".into(), create()).await.unwrap();
    let error = fixture.store.put_opts(&path, "two".into(), create()).await.unwrap_err();
    assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
    assert_eq!(fixture.store.get(&path).await.unwrap().bytes().await.unwrap(), "one");
    assert_eq!(fixture.names("."), ["0.json"]);
}

#[tokio::test]
async fn a_rename_and_a_copy_sync_the_source_first_and_the_directories_after() {
    let fixture = Fixture::new();
    let (from, to) = (fixture.path("one/x"), fixture.path("two/y"));
    fixture.store.put(&from, "one".into()).await.unwrap();
    fixture.store.put(&fixture.path("two/z"), "two".into()).await.unwrap();
    fixture.path("two/y");
    fixture.recorder.take();
    fixture.store.copy_if_not_exists(&from, &to).await.unwrap();
    assert_eq!(fixture.recorder.take(), ["file x", "directory two (visible)"]);
    let refused = fixture.store.rename_if_not_exists(&from, &to).await.unwrap_err();
    assert!(matches!(refused, object_store::Error::AlreadyExists { .. }), "{refused}");
    fixture.recorder.take();
    let options = RenameOptions::default().with_target_mode(RenameTargetMode::Overwrite);
    fixture.store.rename_opts(&from, &to, options).await.unwrap();
    assert_eq!(
        fixture.recorder.take(),
        ["file x (visible)", "directory two (visible)", "directory one (visible)"]
    );
}

#[tokio::test]
async fn an_upload_in_parts_is_named_when_it_is_complete_and_synced() {
    let fixture = Fixture::new();
    let path = fixture.path("checkpoint.parquet");
    let mut upload = fixture.store.put_multipart(&path).await.unwrap();
    let (first, second) = (upload.put_part("one ".into()), upload.put_part("two".into()));
    second.await.unwrap();
    first.await.unwrap();
    assert!(fixture.recorder.take().is_empty());
    upload.complete().await.unwrap();
    let calls = fixture.recorder.take();
    assert_eq!(calls[0], "file checkpoint.parquet");
    assert!(calls[1].starts_with("directory ") && calls[1].ends_with("(visible)"), "{calls:?}");
    assert_eq!(fixture.store.get(&path).await.unwrap().bytes().await.unwrap(), "one two");

    drop(fixture.store.put_multipart(&fixture.path("other")).await.unwrap());
    assert_eq!(fixture.names("."), ["checkpoint.parquet"]);
}

#[tokio::test]
async fn a_staged_file_is_recognised_and_not_listed() {
    let fixture = Fixture::new();
    let staged = staged_name(&fixture.directory.path().join("0.json"));
    fs::write(&staged, "cut off").unwrap();
    assert!(is_staged_name(staged.file_name().unwrap().to_str().unwrap()));
    for other in ["0.json", "a#12", "0.json#", "part-1.parquet#x12345678901234567890"] {
        assert!(!is_staged_name(other), "{other}");
    }
    let prefix = Path::from_absolute_path(fixture.directory.path()).unwrap();
    let listed = fixture.store.list_with_delimiter(Some(&prefix)).await.unwrap();
    assert!(listed.objects.is_empty());
}
