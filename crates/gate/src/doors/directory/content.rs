//! A file's text: opened so that nothing but a regular file can be, hashed in one pass, read again in a second one.
//! Always: memory does not grow with the file, but for four bytes a MiB; the second pass gives out no byte that the
//! first did not see. Does not know what an event is.

use std::{
    fs::{File, OpenOptions},
    io::{self, ErrorKind},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    time::UNIX_EPOCH,
};

use hw_vault::HashKey;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

/// What is read, and checked against the first pass, at a time.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// SHA-256.
pub(super) type Hash = [u8; 32];

/// Which file of the file system: its number, and when it was made, since numbers are given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FileId {
    pub inode: u64,
    /// Nanoseconds since 1970; 0 where the file system does not say.
    pub made_at: i64,
}

/// What of a file changes when its text does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub id: FileId,
    pub size: u64,
    /// Nanoseconds since 1970.
    pub changed_at: i64,
}

impl Stat {
    pub(super) fn of(metadata: &std::fs::Metadata) -> Stat {
        let made_at = metadata.created().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let made_at = made_at.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(0));
        Stat {
            id: FileId { inode: metadata.ino(), made_at },
            size: metadata.size(),
            changed_at: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
        }
    }
}

/// Why a file was not read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("it is no regular file")]
    NotAFile,
    /// It is another than the one that was seen, or it is being written.
    #[error("it is changing")]
    Changing,
    #[error("the server is stopping")]
    Stopped,
}

/// A file whose text is known.
pub(super) struct Opened {
    pub file: File,
    pub hash: Hash,
    pub size: u64,
    /// CRC-32C of each chunk: what the second pass must find.
    chunks: Vec<u32>,
    /// The beginning that was asked about is the text it was thought to be.
    pub begins_so: bool,
    key: HashKey,
}

/// Opens the file and hashes it, if it is still as `seen`. `beginning`: does its text begin with these many bytes of
/// this hash? Blocks.
pub(super) fn open(
    path: &Path,
    seen: Stat,
    beginning: Option<(u64, Hash)>,
    key: HashKey,
    stop: &CancellationToken,
) -> Result<Opened, Unread> {
    // Neither a link to elsewhere nor a pipe: opening a pipe would wait for its writer.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(Unread::NotAFile);
    }
    if Stat::of(&metadata) != seen {
        return Err(Unread::Changing);
    }
    let mut whole = Sha256::new();
    let mut chunks = Vec::new();
    let mut begins_so = false;
    let mut buffer = vec![0; CHUNK_BYTES];
    let mut at = 0;
    while at < seen.size {
        if stop.is_cancelled() {
            return Err(Unread::Stopped);
        }
        let chunk = read_chunk(&file, &mut buffer, at, seen.size)?.ok_or(Unread::Changing)?;
        chunks.push(crc32c::crc32c(chunk));
        let end = at + chunk.len() as u64;
        match beginning {
            Some((bytes, hash)) if at < bytes && bytes <= end => {
                let (before, behind) = chunk.split_at((bytes - at) as usize);
                whole.update(before);
                begins_so = digest(whole.clone(), &key) == hash;
                whole.update(behind);
            }
            _ => whole.update(chunk),
        }
        at = end;
    }
    if Stat::of(&file.metadata()?) != seen {
        return Err(Unread::Changing);
    }
    Ok(Opened { file, hash: digest(whole, &key), size: seen.size, chunks, begins_so, key })
}

impl Opened {
    /// The hash of a part of the text.
    pub(super) fn digest(&self, hash: Sha256) -> Hash {
        digest(hash, &self.key)
    }

    /// Reads the chunk at `at` to the end of `into`. `Ok(false)`: it is not what was hashed.
    pub(super) fn read(&self, at: u64, into: &mut Vec<u8>) -> io::Result<bool> {
        let start = into.len();
        into.resize(start + CHUNK_BYTES, 0);
        let read = read_chunk(&self.file, &mut into[start..], at, self.size)?.map(<[u8]>::len);
        into.truncate(start + read.unwrap_or(0));
        let expected = self.chunks.get((at / CHUNK_BYTES as u64) as usize);
        Ok(read.is_some() && expected == Some(&crc32c::crc32c(&into[start..])))
    }
}

/// The chunk at `at` of a text of `size` bytes, all of it; `None` where the file ends before.
fn read_chunk<'a>(file: &File, buffer: &'a mut [u8], at: u64, size: u64) -> io::Result<Option<&'a [u8]>> {
    let wanted = buffer.len().min(usize::try_from(size - at).unwrap_or(usize::MAX));
    match file.read_exact_at(&mut buffer[..wanted], at) {
        Ok(()) => Ok(Some(&buffer[..wanted])),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Keyed: what stands in a small file could be found by trying.
fn digest(hash: Sha256, key: &HashKey) -> Hash {
    key.keyed("headwater file content", &hash.finalize())
}
