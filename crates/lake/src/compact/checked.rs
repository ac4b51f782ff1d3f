//! A data file that is read for compaction: each piece is held against its checksum before a byte of it is used, so that
//! damage is found and never written into a new file under a new checksum.
//! Always: a byte that was handed out was checked. What was found is kept, since the errors of those who read lose it.

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::{Bytes, BytesMut};
use parquet::{
    errors::{ParquetError, Result},
    file::reader::{ChunkReader, Length},
};

use crate::{
    Damage, LakeError, LakeFile, Pieces,
    checksums::{PIECE_BYTES, differs},
};

/// Pieces that are kept in memory: columns are read by turns, and small ones share a piece.
const KEPT_MAX: usize = 6;

#[derive(Debug, Clone)]
pub(super) struct CheckedFile(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    known: Arc<LakeFile>,
    pieces: Pieces,
    // Held while a piece is looked up or read; one thread reads a file.
    kept: Mutex<Vec<(usize, Bytes)>>,
    found: OnceLock<Damage>,
}

impl CheckedFile {
    /// `None`: it has no checksums.
    pub(super) fn open(root: &Path, known: &Arc<LakeFile>) -> Result<Option<CheckedFile>, LakeError> {
        let Some(pieces) = known.pieces.clone() else { return Ok(None) };
        let path = root.join(&known.path);
        let file = File::open(&path).map_err(|source| LakeError::Io { path, source })?;
        let shared =
            Shared { file, known: known.clone(), pieces, kept: Mutex::default(), found: OnceLock::new() };
        Ok(Some(CheckedFile(Arc::new(shared))))
    }

    /// What was not as it had been written.
    pub(super) fn found(&self) -> Option<Damage> {
        self.0.found.get().cloned()
    }

    fn piece(&self, index: usize) -> Result<Bytes> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(known, _)| *known == index) {
            let piece = kept.remove(at);
            kept.push(piece.clone());
            return Ok(piece.1);
        }
        let piece = self.read_piece(index)?;
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((index, piece.clone()));
        Ok(piece)
    }

    fn read_piece(&self, index: usize) -> Result<Bytes> {
        let Shared { file, known, pieces, found, .. } = &*self.0;
        let size = u64::from(pieces.bytes);
        let start = index as u64 * size;
        let end = (start + size).min(known.bytes);
        let damaged = |reason: String| {
            // The first is told.
            let _ = found.set(Damage {
                file: Path::new("lake").join(&known.path),
                start,
                end,
                reason: reason.clone(),
            });
            ParquetError::General(reason)
        };
        let named = pieces.crc32c.get(index).filter(|_| start < end);
        let named = *named.ok_or_else(|| ParquetError::EOF("beyond the end of the file".to_owned()))?;
        let mut bytes = BytesMut::zeroed((end - start) as usize);
        file.read_exact_at(&mut bytes, start)
            .map_err(|error| damaged(format!("it cannot be read: {error}")))?;
        let crc32c = crc32c::crc32c(&bytes);
        if crc32c != named {
            return Err(damaged(differs(crc32c, named)));
        }
        Ok(bytes.freeze())
    }
}

impl Length for CheckedFile {
    fn len(&self) -> u64 {
        self.0.known.bytes
    }
}

impl ChunkReader for CheckedFile {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader> {
        Ok(Reader { file: self.clone(), position: start })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let size = u64::from(self.0.pieces.bytes);
        let end = start + length as u64;
        if end > self.len() {
            return Err(ParquetError::EOF("beyond the end of the file".to_owned()));
        }
        let part = |index: u64| -> Result<Bytes> {
            let piece = self.piece(index as usize)?;
            let (from, to) = (start.max(index * size), end.min((index + 1) * size));
            Ok(piece.slice((from - index * size) as usize..(to - index * size) as usize))
        };
        let (first, last) = (start / size, end.saturating_sub(1).max(start) / size);
        if length == 0 {
            return Ok(Bytes::new());
        }
        if first == last {
            return part(first);
        }
        let mut bytes = BytesMut::with_capacity(length);
        for index in first..=last {
            bytes.extend_from_slice(&part(index)?);
        }
        Ok(bytes.freeze())
    }
}

/// From a position on, as far as it is read.
pub(super) struct Reader {
    file: CheckedFile,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.len().saturating_sub(self.position);
        let length = (buffer.len() as u64).min(left).min(u64::from(PIECE_BYTES)) as usize;
        let bytes = self.file.get_bytes(self.position, length).map_err(io::Error::other)?;
        buffer[..length].copy_from_slice(&bytes);
        self.position += length as u64;
        Ok(length)
    }
}
