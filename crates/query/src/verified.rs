//! The object store through which a statement reads its files: what it hands out was checked.
//! Always: a byte of a file with checksums is handed out only after its piece matched; a file that is missing, too short or
//! unreadable is damage as well, named by file and range. Only a file that another writer made has no checksums.
//!
//! A file with one checksum over all of it, from before pieces had theirs, is read whole at its first touch; its pieces
//! are summed then and remembered.

use std::{
    collections::HashMap,
    fmt,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::object_store::{
    CopyOptions, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, path::Path,
};
use futures::{StreamExt, stream, stream::BoxStream};

use crate::{CutFile, Listed, Pieces};

const STORE: &str = "VerifiedStore";
/// What an older file is summed by, at its first touch.
const PIECE_BYTES: u32 = 256 * 1024;
/// Files whose pieces are remembered; about 1 KiB each.
const REMEMBERED_MAX: usize = 16_384;

/// What a statement came upon. The first finding is the one that is told; the engine's own errors lose their type on the
/// way up, so it does not travel with them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings(Arc<OnceLock<String>>);

impl Findings {
    pub(crate) fn add(&self, damage: String) {
        // A later one is lost: one is enough to go and look.
        let _ = self.0.set(damage);
    }

    pub(crate) fn first(&self) -> Option<&str> {
        self.0.get().map(String::as_str)
    }
}

/// The pieces of files that had none, by lake, file and checksum.
#[derive(Debug, Clone, Default)]
pub(crate) struct Remembered(Arc<Mutex<HashMap<(String, u32), Pieces>>>);

#[derive(Debug)]
pub(crate) struct VerifiedStore {
    inner: Arc<dyn ObjectStore>,
    /// How the lake's directory is called in what is found.
    lake: String,
    files: HashMap<Path, Arc<Listed>>,
    findings: Findings,
    remembered: Remembered,
}

impl VerifiedStore {
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        lake_root: &std::path::Path,
        files: &[Arc<Listed>],
        findings: Findings,
        remembered: Remembered,
    ) -> VerifiedStore {
        let lake = lake_root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let files = files.iter().filter_map(|file| Some((file.location()?.clone(), Arc::clone(file))));
        VerifiedStore { inner, lake, files: files.collect(), findings, remembered }
    }

    fn damaged(&self, file: &CutFile, range: Range<u64>, reason: &str) -> datafusion::object_store::Error {
        let Range { start, end } = range;
        let text =
            format!("{}/{} is damaged in bytes {start}..{end}: {reason}", self.lake, file.path.display());
        self.findings.add(text.clone());
        datafusion::object_store::Error::Generic { store: STORE, source: text.into() }
    }

    fn file(&self, location: &Path) -> Result<&CutFile> {
        self.files.get(location).map(|listed| &***listed).ok_or_else(|| {
            datafusion::object_store::Error::NotFound {
                path: location.to_string(),
                source: "it is no file of the cut".into(),
            }
        })
    }

    /// Reads without a look at checksums; what cannot be read is damage.
    async fn read(&self, location: &Path, file: &CutFile, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        use datafusion::object_store::Error;
        let whole = 0..file.bytes;
        let error = match self.inner.get_ranges(location, ranges).await {
            Ok(read) => {
                let short = read
                    .iter()
                    .zip(ranges)
                    .find(|(bytes, range)| (bytes.len() as u64) < range.end - range.start);
                let Some((bytes, range)) = short else { return Ok(read) };
                let start = range.start + bytes.len() as u64;
                return Err(self.damaged(file, start..file.bytes, "the file ends before them"));
            }
            Err(error) => error,
        };
        if matches!(error, Error::NotFound { .. }) {
            return Err(self.damaged(file, whole, "the file is missing"));
        }
        match self.inner.head(location).await {
            Ok(meta) if meta.size < file.bytes => {
                let reason = format!("it has {} bytes, not {}", meta.size, file.bytes);
                Err(self.damaged(file, meta.size..file.bytes, &reason))
            }
            _ => {
                let range = ranges.first().cloned().unwrap_or(whole);
                // The text of a disk's error has no contents of a file in it.
                Err(self.damaged(file, range, &format!("they cannot be read: {error}")))
            }
        }
    }

    async fn pieces(&self, location: &Path, file: &CutFile) -> Result<Option<Pieces>> {
        if file.pieces.is_some() {
            return Ok(file.pieces.clone());
        }
        let Some(named) = file.crc32c else { return Ok(None) };
        let key = (format!("{}\0{}\0{location}", self.inner, self.lake), named);
        let known = self.remembered.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let (mut whole, mut sums) = (0, Vec::new());
        let mut start = 0;
        while start < file.bytes {
            let end = file.bytes.min(start + u64::from(PIECE_BYTES));
            let read = self.read(location, file, std::slice::from_ref(&(start..end))).await?;
            for bytes in read {
                let sum = crc32c::crc32c(&bytes);
                whole = crc32c::crc32c_combine(whole, sum, bytes.len());
                sums.push(sum);
            }
            start = end;
        }
        if whole != named {
            return Err(self.damaged(file, 0..file.bytes, &differs(whole, named)));
        }
        let pieces = Pieces { bytes: PIECE_BYTES, crc32c: sums.into() };
        let mut remembered = self.remembered.0.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= REMEMBERED_MAX {
            remembered.clear();
        }
        remembered.insert(key, pieces.clone());
        Ok(Some(pieces))
    }

    /// Reads the ranges by whole pieces, each once.
    async fn verified(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let file = self.file(location)?;
        for range in ranges {
            if range.end > file.bytes || range.start > range.end {
                // A length that stands in the file: what it stands in was checked, so it is no damage but a lie.
                return Err(self.damaged(file, range.clone(), "they were asked for and lie beyond its end"));
            }
        }
        let Some(pieces) = self.pieces(location, file).await? else {
            return self.read(location, file, ranges).await;
        };
        let size = u64::from(pieces.bytes);
        let aligned = |range: &Range<u64>| {
            range.start / size * size..file.bytes.min(range.end.div_ceil(size).saturating_mul(size))
        };
        let mut spans: Vec<Range<u64>> =
            ranges.iter().filter(|range| range.start < range.end).map(aligned).collect();
        spans.sort_unstable_by_key(|span| span.start);
        spans.dedup_by(|next, last| {
            let joins = next.start <= last.end;
            if joins {
                last.end = last.end.max(next.end);
            }
            joins
        });
        let read = self.read(location, file, &spans).await?;
        for (span, bytes) in spans.iter().zip(&read) {
            for (at, piece) in bytes.chunks(pieces.bytes as usize).enumerate() {
                let index = span.start / size + at as u64;
                let named = usize::try_from(index).ok().and_then(|index| pieces.crc32c.get(index)).copied();
                let found = crc32c::crc32c(piece);
                if named != Some(found) {
                    let start = index * size;
                    let reason =
                        named.map_or("no checksum covers them".to_owned(), |named| differs(found, named));
                    return Err(self.damaged(file, start..start + piece.len() as u64, &reason));
                }
            }
        }
        let cut = ranges.iter().map(|range| {
            let span =
                spans.iter().zip(&read).find(|(span, _)| span.start <= range.start && range.end <= span.end);
            match span {
                Some((span, bytes)) => {
                    bytes.slice((range.start - span.start) as usize..(range.end - span.start) as usize)
                }
                // An empty range, and nothing else.
                None => Bytes::new(),
            }
        });
        Ok(cut.collect())
    }
}

fn differs(found: u32, named: u32) -> String {
    format!("their CRC-32C is {found:08x}, not {named:08x}")
}

impl fmt::Display for VerifiedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for VerifiedStore {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(reads_only())
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(reads_only())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let file = self.file(location)?;
        let range = match &options.range {
            Some(range) => range.as_range(file.bytes).map_err(|error| {
                datafusion::object_store::Error::Generic { store: STORE, source: error.to_string().into() }
            })?,
            None => 0..file.bytes,
        };
        let meta = ObjectMeta {
            location: location.clone(),
            last_modified: Default::default(),
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        let bytes = match options.head {
            true => Vec::new(),
            false => self.verified(location, std::slice::from_ref(&range)).await?,
        };
        let payload = GetResultPayload::Stream(stream::iter(bytes.into_iter().map(Ok)).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.verified(location, ranges).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(reads_only()) }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { Err(reads_only()) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(reads_only())
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(reads_only())
    }
}

fn reads_only() -> datafusion::object_store::Error {
    datafusion::object_store::Error::Generic {
        store: STORE,
        source: "it only reads the files of a cut".into(),
    }
}
