//! The journal as of one moment, for a copy of it: which files there are, and how far each of them counts.
//! Always: what is copied is a whole journal that ends at an append which was durable at that moment; it is exactly what recovery
//! finds after a power cut there. While the value lives, no segment of it is written again; appends go on meanwhile, behind
//! the ends that it knows. Does not know where the copies go.

use std::{io, sync::Arc};

use hw_event::Seq;

use crate::{AppendError, Core, DiskFile, Journal, keys, segment::SegmentFile, wipe::Request};

const CHUNK_BYTES: usize = 1 << 20;

/// Segments and key files, as of one moment.
pub struct JournalCopy {
    /// The last append that is in it.
    pub through: Seq,
    pub files: Vec<CopiedFile>,
}

/// One file of the journal.
pub struct CopiedFile {
    pub name: String,
    /// So much of it is copied; what stands behind may be an append that is being made.
    pub bytes: u64,
    /// As large as the file must be.
    pub size: u64,
    file: Arc<dyn DiskFile>,
    /// Keeps the segment from being written again.
    _segment: Option<Arc<SegmentFile>>,
}

impl Journal {
    /// All that is kept, up to what is durable now.
    pub async fn copy(&self) -> Result<JournalCopy, AppendError> {
        let copied = self.ask(Request::Copy).await.ok_or(AppendError::Closed)?;
        copied.map_err(|error| AppendError::Disk(Arc::new(error)))
    }
}

impl CopiedFile {
    /// Hands on what is to be copied, piece by piece, in order. Blocking.
    pub fn read(&self, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut position = 0;
        while position < self.bytes {
            let bytes = buffer.len().min((self.bytes - position) as usize);
            let read = self.file.read_at(&mut buffer[..bytes], position)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            take(&buffer[..read])?;
            position += read as u64;
        }
        Ok(())
    }
}

/// Asked between two groups, so that nothing is written and not synced.
pub(crate) fn copy(core: &Core) -> io::Result<JournalCopy> {
    let shelf = core.shelf();
    let open = core.open_end();
    let mut files = Vec::new();
    for number in shelf.numbers() {
        let Some((segment, _)) = shelf.fetches(number) else { continue };
        let size = segment.file.len()?;
        // A closed one ends with its index; what stands behind the end of one that was given up, the next one's header says.
        let bytes = open.filter(|(open, _)| *open == number).map_or(size, |(_, end)| end);
        files.push(CopiedFile {
            name: segment.name.clone(),
            bytes,
            size,
            file: segment.file.clone(),
            _segment: Some(segment),
        });
    }
    let disk = core.disk();
    for name in disk.list()?.into_iter().filter(|name| keys::is_key_file(name)) {
        let file = disk.open(&name, false)?;
        let bytes = file.len()?;
        files.push(CopiedFile { name, bytes, size: bytes, file, _segment: None });
    }
    Ok(JournalCopy { through: core.last(), files })
}
