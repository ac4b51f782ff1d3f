//! Where the body of a block stands on disk, for a reader in another process, and that reader.
//! Always: what is returned has the checksum that the writer gave it. Opens segment files for reading only, and needs no
//! journal that is open. Whoever hands out a place holds the block's lease meanwhile: without it the file may be gone, or
//! be another by now.

use std::{
    collections::HashMap,
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::{BlockHeader, block};

/// A body in a segment file. The name has no directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockPlace {
    pub file: String,
    pub position: u64,
    pub bytes: u32,
    /// CRC-32C of the body.
    pub crc: u32,
}

/// Why a body cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The file has lost its name: the journal needed the room.
    #[error("the segment {file} is gone")]
    Gone { file: String },
    #[error("{file} is damaged in bytes {start}..{end}: the checksum does not match")]
    Damaged { file: String, start: u64, end: u64 },
    #[error("cannot read {file}: {source}")]
    Disk { file: String, source: io::Error },
}

/// Segment files of one journal, opened as they are asked for and kept open.
#[derive(Debug)]
pub struct SegmentReader {
    directory: PathBuf,
    files: HashMap<String, File>,
}

impl SegmentReader {
    pub fn new(directory: &Path) -> SegmentReader {
        SegmentReader { directory: directory.to_owned(), files: HashMap::new() }
    }

    /// From here on the file can be read, even if it loses its name.
    pub fn hold(&mut self, file: &str) -> Result<(), PlaceError> {
        if self.files.contains_key(file) {
            return Ok(());
        }
        let disk = |source| PlaceError::Disk { file: file.to_owned(), source };
        // A name is a part of a path here; one that leads elsewhere is not the journal's.
        if file.contains(['/', '\0']) || file.starts_with('.') {
            return Err(disk(io::ErrorKind::InvalidInput.into()));
        }
        let opened = File::open(self.directory.join(file)).map_err(|fault| match fault.kind() {
            io::ErrorKind::NotFound => PlaceError::Gone { file: file.to_owned() },
            _ => disk(fault),
        })?;
        self.files.insert(file.to_owned(), opened);
        Ok(())
    }

    /// The body at a place in a file that is held.
    pub fn read(&self, place: &BlockPlace) -> Result<Bytes, PlaceError> {
        let BlockPlace { file, position, bytes, crc } = place;
        let Some(opened) = self.files.get(file) else {
            return Err(PlaceError::Gone { file: file.clone() });
        };
        let end = position.saturating_add(u64::from(*bytes));
        let damaged = || PlaceError::Damaged { file: file.clone(), start: *position, end };
        let disk = |source| PlaceError::Disk { file: file.clone(), source };
        // Before so much memory is taken: a file that was cut short has no room for it.
        if opened.metadata().map_err(disk)?.len() < end {
            return Err(damaged());
        }
        let mut body = vec![0; *bytes as usize];
        opened.read_exact_at(&mut body, *position).map_err(disk)?;
        if crc32c::crc32c(&body) != *crc {
            return Err(damaged());
        }
        Ok(Bytes::from(body))
    }
}

/// The bytes are no block header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are no block header")]
pub struct NotAHeader;

impl BlockHeader {
    /// As it stands in a frame's block table. `None`: more extensions or runs than can be counted.
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        block::fits(self).then(|| {
            let mut bytes = Vec::with_capacity(block::header_bytes(self));
            block::encode_header(&mut bytes, self);
            bytes
        })
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<BlockHeader, NotAHeader> {
        block::decode_header(bytes).map_err(|_| NotAHeader)
    }
}
