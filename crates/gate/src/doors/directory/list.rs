//! The list on disk, `NAME`: which contents of a directory are counted and which files held them.
//! Always: written beside, synced and renamed, so that a reader sees all of one list or all of the one before.
//!
//! Little-endian: magic `HWdirect` · CRC-32C of all that follows u32 · version u16 · 0 u16 · incompatible features u32 ·
//! contents u32 · files u32 · 0 u32; then per content its hash (32) and the bytes of a position; then per file
//! the hash of what it held (32), inode u64, made at i64, size u64, changed at i64 (nanoseconds since 1970), bytes of
//! its name u32, 0 u32, the name.
//!
//! A position, and so the value of its record in the journal: flags u32 (1 whole, 2 broken), 0 u32, events u64, bytes
//! u64, inode u64, made at i64, gone at i64 (microseconds; the least number: it is there), hash of the first `bytes` (32).

use std::{
    collections::HashMap,
    ffi::OsString,
    io,
    os::unix::ffi::{OsStrExt, OsStringExt},
};

use hw_event::Timestamp;
use hw_journal::Disk;

use super::{
    content::{FileId, Hash, Stat},
    progress::{Content, Known, Progress},
};

const MAGIC: [u8; 8] = *b"HWdirect";
const VERSION: u16 = 1;
const CRC_END: usize = 12;
/// A list of as many files as a door looks at, with the longest names, is smaller.
const LIST_BYTES_MAX: u64 = 1 << 30;
const WHOLE: u32 = 1;
const BROKEN: u32 = 2;
const THERE: i64 = i64::MIN;

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("cannot read the list of files read, directories/{name}: {source}")]
    Io { name: String, source: io::Error },
    #[error(
        "the list of files read, directories/{name} in the data directory, is damaged: {reason}; restore it from a \
         backup (without it, the files that still lie there are read a second time)"
    )]
    Damaged { name: String, reason: &'static str },
}

type Lists = (HashMap<Hash, Content>, HashMap<OsString, Known>);

pub(super) fn read(disk: &dyn Disk, name: &str) -> Result<Lists, ListError> {
    let io = |source| ListError::Io { name: name.to_owned(), source };
    let file = match disk.open(name, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Lists::default()),
        Err(error) => return Err(io(error)),
    };
    let bytes = file.len().map_err(io)?;
    if bytes > LIST_BYTES_MAX {
        return Err(ListError::Damaged { name: name.to_owned(), reason: "it is larger than any list" });
    }
    let mut buffer = vec![0; usize::try_from(bytes).unwrap_or(0)];
    let filled = file.read_at(&mut buffer, 0).map_err(io)?;
    decode(&buffer[..filled]).map_err(|reason| ListError::Damaged { name: name.to_owned(), reason })
}

/// Blocks until the list is durable under its name.
pub(super) fn write(disk: &dyn Disk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let part = format!("{name}.part");
    // What an attempt that failed has left may be longer.
    match disk.remove(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(&part, true)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    disk.rename(&part, name)?;
    disk.sync_dir()
}

pub(super) fn encode(contents: &HashMap<Hash, Content>, files: &HashMap<OsString, Known>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 6]);
    bytes.extend_from_slice(&(contents.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(files.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for (hash, content) in contents {
        bytes.extend_from_slice(hash);
        bytes.extend_from_slice(&encode_content(content));
    }
    for (name, known) in files {
        bytes.extend_from_slice(&known.hash);
        bytes.extend_from_slice(&known.stat.id.inode.to_le_bytes());
        bytes.extend_from_slice(&known.stat.id.made_at.to_le_bytes());
        bytes.extend_from_slice(&known.stat.size.to_le_bytes());
        bytes.extend_from_slice(&known.stat.changed_at.to_le_bytes());
        bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(name.as_bytes());
    }
    let crc = crc32c::crc32c(&bytes[CRC_END..]);
    bytes[MAGIC.len()..CRC_END].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Result<Lists, &'static str> {
    let mut rest = Rest(bytes);
    let short = "it is cut short";
    if rest.array().ok_or(short)? != MAGIC {
        return Err("it is no such list");
    }
    let crc = rest.u32().ok_or(short)?;
    if crc != crc32c::crc32c(rest.0) {
        return Err("its checksum does not match");
    }
    let version = u16::from_le_bytes(rest.array().ok_or(short)?);
    let _: [u8; 2] = rest.array().ok_or(short)?;
    if version != VERSION || rest.u32().ok_or(short)? != 0 {
        return Err("it was written by a newer version");
    }
    let (contents, files) = (rest.u32().ok_or(short)?, rest.u32().ok_or(short)?);
    rest.u32().ok_or(short)?;
    let mut lists = Lists::default();
    for _ in 0..contents {
        let hash = rest.array().ok_or(short)?;
        lists.0.insert(hash, rest.content().ok_or(short)?);
    }
    for _ in 0..files {
        let (name, known) = rest.file().ok_or(short)?;
        lists.1.insert(name, known);
    }
    Ok(lists)
}

pub(super) fn encode_content(content: &Content) -> Vec<u8> {
    let Content { progress, file, gone_at } = content;
    let whole = if progress.whole { WHOLE } else { 0 };
    let broken = if progress.broken { BROKEN } else { 0 };
    let mut bytes = u64::from(whole | broken).to_le_bytes().to_vec();
    bytes.extend_from_slice(&progress.events.to_le_bytes());
    bytes.extend_from_slice(&progress.bytes.to_le_bytes());
    bytes.extend_from_slice(&file.inode.to_le_bytes());
    bytes.extend_from_slice(&file.made_at.to_le_bytes());
    bytes.extend_from_slice(&gone_at.map_or(THERE, |at| at.0).to_le_bytes());
    bytes.extend_from_slice(&progress.beginning);
    bytes
}

pub(super) fn decode_content(bytes: &[u8]) -> Option<Content> {
    Rest(bytes).content()
}

/// Bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn content(&mut self) -> Option<Content> {
        let flags = self.u32()?;
        self.u32()?;
        let (events, bytes) = (self.u64()?, self.u64()?);
        let file = FileId { inode: self.u64()?, made_at: self.i64()? };
        let gone_at = Some(self.i64()?).filter(|&at| at != THERE).map(Timestamp);
        let beginning = self.array()?;
        let (whole, broken) = (flags & WHOLE != 0, flags & BROKEN != 0);
        Some(Content { progress: Progress { events, bytes, beginning, broken, whole }, file, gone_at })
    }

    fn file(&mut self) -> Option<(OsString, Known)> {
        let hash = self.array()?;
        let id = FileId { inode: self.u64()?, made_at: self.i64()? };
        let (size, changed_at) = (self.u64()?, self.i64()?);
        let bytes = self.u32()? as usize;
        self.u32()?;
        let name = OsString::from_vec(self.take(bytes)?.to_vec());
        Some((name, Known { stat: Stat { id, size, changed_at }, hash }))
    }
}

#[cfg(test)]
mod tests {
    use hw_testkit::SimDisk;

    use super::*;

    fn lists() -> Lists {
        let id = FileId { inode: 7, made_at: -3 };
        let progress = Progress { events: 5, bytes: 99, beginning: [3; 32], broken: true, whole: false };
        let there = Content { progress, file: id, gone_at: None };
        let gone =
            Content { progress: Progress { whole: true, ..progress }, gone_at: Some(Timestamp(8)), ..there };
        let stat = Stat { id, size: 100, changed_at: 12 };
        let known = Known { stat, hash: [1; 32] };
        let name = OsString::from_vec(b"a\xff b.ndjson".to_vec());
        (HashMap::from([([1; 32], there), ([2; 32], gone)]), HashMap::from([(name, known)]))
    }

    #[test]
    fn a_list_comes_back_and_any_other_byte_is_noticed() {
        let lists = lists();
        let bytes = encode(&lists.0, &lists.1);
        assert_eq!(decode(&bytes), Ok(lists));
        for at in 0..bytes.len() {
            assert!(decode(&bytes[..at]).is_err(), "cut at {at}");
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(decode(&changed).is_err(), "changed at {at}");
        }
    }

    #[test]
    fn a_power_cut_leaves_a_whole_list() {
        let (new, mut before) = (lists(), Lists::default());
        for calls in 1..20 {
            let disk = SimDisk::new(calls);
            write(&disk, "in", &encode(&before.0, &before.1)).unwrap();
            disk.inject(calls, hw_testkit::Fault::PowerCut);
            let written = write(&disk, "in", &encode(&new.0, &new.1)).is_ok();
            disk.restart();
            let found = read(&disk, "in").unwrap();
            assert!(found == new || (found == before && !written), "after {calls} calls");
            write(&disk, "in", &encode(&new.0, &new.1)).unwrap();
            assert_eq!(read(&disk, "in").unwrap(), new);
            before = Lists::default();
        }
    }
}
