//! The object store that delta-rs writes through, made safe against power cuts.
//! Always: a name appears only after its content was synced, and a call returns only after the directory
//! that holds the name was synced, so nobody ever finds an acknowledged file missing, short or empty.
//! `object_store`'s own `LocalFileSystem` never syncs; it is used here to read, list and delete.
//!
//! A write goes to a staged file beside its target (`name#digits`, which `LocalFileSystem` does not list),
//! is synced, is then linked or renamed to its name, and at last the directory is synced.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path as FsPath, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt, stream::BoxStream};
use hw_event::sabotage::{Bug, armed};
use hw_pipeline::spawn_blocking;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
    local::LocalFileSystem, path::Path,
};
use uuid::Uuid;

const STORE: &str = "SyncingStore";

/// The calls that make things durable, as a value, so that a test can watch their order and a simulation can let
/// them fail.
pub trait Syncs: fmt::Debug + Send + Sync {
    /// Asked before a file is made, written or given its name: an error is the disk's.
    fn write(&self, _path: &FsPath) -> io::Result<()> {
        Ok(())
    }
    /// The content of `file` survives a power cut. `path` is its name at this moment.
    fn file(&self, file: &File, path: &FsPath) -> io::Result<()>;
    /// The names in the directory survive a power cut.
    fn directory(&self, path: &FsPath) -> io::Result<()>;
}

/// The machine's own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsSyncs;

impl Syncs for OsSyncs {
    fn file(&self, file: &File, _path: &FsPath) -> io::Result<()> {
        file.sync_all()
    }

    fn directory(&self, path: &FsPath) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

/// Rooted at `/`, as the Delta kernel expects of a store for `file:` URLs.
#[derive(Debug, Clone)]
pub(crate) struct SyncingStore {
    inner: LocalFileSystem,
    syncs: Arc<dyn Syncs>,
}

impl SyncingStore {
    pub(crate) fn new(syncs: Arc<dyn Syncs>) -> SyncingStore {
        SyncingStore { inner: LocalFileSystem::new(), syncs }
    }
}

impl fmt::Display for SyncingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}({})", self.inner)
    }
}

/// Makes `directory` and whatever is missing above it, each durable in its parent.
pub(crate) fn create_directories(syncs: &dyn Syncs, directory: &FsPath) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let parent = directory.parent().ok_or(io::ErrorKind::InvalidInput)?;
    create_directories(syncs, parent)?;
    match fs::create_dir(directory) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    // One that is not durable must not be taken for one that is by the next attempt, which only sees that it is there.
    syncs.directory(parent).inspect_err(|_| drop(fs::remove_dir(directory)))
}

/// Was this name made by [`staged_name`]? Such a file is a write that a crash cut off.
pub(crate) fn is_staged_name(name: &str) -> bool {
    name.rsplit_once('#').is_some_and(|(_, digits)| {
        (20..=40).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn staged_name(target: &FsPath) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(format!("#{:039}", Uuid::new_v4().as_u128()));
    name.into()
}

fn create_staged(syncs: &dyn Syncs, target: &FsPath) -> io::Result<(File, PathBuf)> {
    create_directories(syncs, parent_of(target)?)?;
    syncs.write(target)?;
    let staged = staged_name(target);
    let file = OpenOptions::new().write(true).create_new(true).open(&staged)?;
    Ok((file, staged))
}

fn parent_of(path: &FsPath) -> io::Result<&FsPath> {
    path.parent().ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

/// Gives a synced staged file its name. With `PutMode::Create` an existing name is an error: a link fails
/// where a rename would replace.
fn publish(syncs: &dyn Syncs, staged: &FsPath, target: &FsPath, mode: &PutMode) -> io::Result<()> {
    syncs.write(target)?;
    if matches!(mode, PutMode::Create) {
        fs::hard_link(staged, target)?;
        // The second name is only litter; opening the table removes it if this fails.
        let _ = fs::remove_file(staged);
    } else {
        fs::rename(staged, target)?;
    }
    if armed(Bug::NoDirectorySync) {
        return Ok(());
    }
    syncs.directory(parent_of(target)?)
}

/// Writes a whole file: whoever finds the name finds all of it, also after a power cut.
pub(crate) fn put_file<'a>(
    syncs: &dyn Syncs,
    target: &FsPath,
    mut parts: impl Iterator<Item = &'a [u8]>,
    mode: &PutMode,
) -> io::Result<()> {
    let (mut file, staged) = create_staged(syncs, target)?;
    let written = parts.try_for_each(|part| file.write_all(part));
    let written = if armed(Bug::RenameBeforeSync) {
        written.and_then(|()| publish(syncs, &staged, target, mode)).and_then(|()| syncs.file(&file, target))
    } else {
        written.and_then(|()| syncs.file(&file, &staged)).and_then(|()| publish(syncs, &staged, target, mode))
    };
    if written.is_err() {
        let _ = fs::remove_file(&staged);
    }
    written
}

fn store_error(error: io::Error, path: &FsPath) -> object_store::Error {
    let path = path.display().to_string();
    match error.kind() {
        io::ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path, source: Box::new(error) },
        io::ErrorKind::NotFound => object_store::Error::NotFound { path, source: Box::new(error) },
        _ => object_store::Error::Generic { store: STORE, source: format!("{path}: {error}").into() },
    }
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&FsPath) -> io::Result<T> + Send + 'static,
) -> Result<T> {
    spawn_blocking(move || work(&path).map_err(|error| store_error(error, &path)))
        .await
        .map_err(|source| object_store::Error::JoinError { source })?
}

#[async_trait]
impl ObjectStore for SyncingStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if matches!(options.mode, PutMode::Update(_)) || !options.attributes.is_empty() {
            // It refuses both, in the words its callers know.
            return self.inner.put_opts(location, payload, options).await;
        }
        let target = self.inner.path_to_filesystem(location)?;
        let syncs = self.syncs.clone();
        blocking(target, move |target| {
            put_file(&*syncs, target, payload.iter().map(|part| &**part), &options.mode)
        })
        .await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        if !options.attributes.is_empty() {
            return self.inner.put_multipart_opts(location, options).await;
        }
        let target = self.inner.path_to_filesystem(location)?;
        let syncs = self.syncs.clone();
        let upload = blocking(target, move |target| {
            let (file, staged) = create_staged(&*syncs, target)?;
            let (file, target) = (Arc::new(file), target.to_owned());
            Ok(Upload { file, staged, target, position: 0, syncs, published: false })
        })
        .await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    /// Not synced: a deleted file that comes back is found and removed again.
    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let target = self.prepare_target(from, to).await?;
        self.inner.copy_opts(from, to, options).await?;
        let syncs = self.syncs.clone();
        blocking(target, move |target| syncs.directory(parent_of(target)?)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let target = self.prepare_target(from, to).await?;
        let source = self.inner.path_to_filesystem(from)?;
        self.inner.rename_opts(from, to, options).await?;
        let syncs = self.syncs.clone();
        blocking(target, move |target| {
            let (new, old) = (parent_of(target)?, parent_of(&source)?);
            syncs.directory(new)?;
            if new == old { Ok(()) } else { syncs.directory(old) }
        })
        .await
    }
}

impl SyncingStore {
    /// Before a second name is given to `from`: its content and the directory of `to` are durable.
    async fn prepare_target(&self, from: &Path, to: &Path) -> Result<PathBuf> {
        let source = self.inner.path_to_filesystem(from)?;
        let target = self.inner.path_to_filesystem(to)?;
        let (syncs, result) = (self.syncs.clone(), target.clone());
        blocking(source, move |source| {
            syncs.file(&File::open(source)?, source)?;
            create_directories(&*syncs, parent_of(&target)?)
        })
        .await?;
        Ok(result)
    }
}

/// Parts go to their places in the staged file as they come.
#[derive(Debug)]
struct Upload {
    file: Arc<File>,
    staged: PathBuf,
    target: PathBuf,
    position: u64,
    syncs: Arc<dyn Syncs>,
    published: bool,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, payload: PutPayload) -> UploadPart {
        let position = self.position;
        self.position += payload.content_length() as u64;
        let file = self.file.clone();
        blocking(self.staged.clone(), move |_| {
            let mut position = position;
            for part in &payload {
                file.write_all_at(part, position)?;
                position += part.len() as u64;
            }
            Ok(())
        })
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (file, syncs) = (self.file.clone(), self.syncs.clone());
        let target = self.target.clone();
        blocking(self.staged.clone(), move |staged| {
            syncs.file(&file, staged)?;
            publish(&*syncs, staged, &target, &PutMode::Overwrite)
        })
        .await?;
        self.published = true;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        blocking(self.staged.clone(), |staged| fs::remove_file(staged)).await
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.published {
            // Most likely aborted already; a leftover is removed when the table is opened.
            let _ = fs::remove_file(&self.staged);
        }
    }
}

#[cfg(test)]
mod tests;
