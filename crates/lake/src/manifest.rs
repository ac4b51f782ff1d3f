//! The lake's own record of a table, `_headwater/manifest`: what the Delta log says, once more and under checksums.
//! Always: a commit stands here, synced, before the Delta log has it, byte for byte. So the log can be compared with it,
//! and repaired from it; and opening a table reads this one file instead of replaying the log.
//! Delta's readers pass over directories that begin with `_`. Does not know what a commit means.
//!
//! A file of frames, little-endian:
//!
//! | at | field | type |
//! |---|---|---|
//! | 0 | magic | `HWmf` |
//! | 4 | crc | u32, CRC-32C of bytes `8..length` |
//! | 8 | length | u32, from the magic to the end |
//! | 12 | format | u16, 1 |
//! | 14 | kind | u8, 1 snapshot, 2 commit |
//! | 15 | — | u8, 0 |
//! | 16 | incompatible features | u32, 0 |
//! | 20 | — | u32, 0 |
//! | 24 | version | u64, Delta's |
//! | 32 | payload | a commit: the bytes of the commit file. A snapshot: see `replay.rs` |
//!
//! A snapshot, where there is one, comes first; the commits follow it without a gap. It is made at each checkpoint, as a
//! new file that replaces the old.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind},
    ops::Range,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use object_store::PutMode;

use crate::{
    Damage, LakeError,
    damage::place,
    store::{Syncs, create_directories, put_file},
};

pub(crate) const DIRECTORY: &str = "_headwater";
const MANIFEST: &str = "_headwater/manifest";
const MAGIC: [u8; 4] = *b"HWmf";
const FORMAT: u16 = 1;
const HEAD_BYTES: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Snapshot = 1,
    Commit = 2,
}

/// A frame whose checksum is right.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub kind: Kind,
    /// Delta's number of the commit, or of the last one that the snapshot has in it.
    pub version: u64,
    payload: Range<usize>,
}

#[derive(Debug)]
pub(crate) struct Manifest {
    bytes: Vec<u8>,
    pub frames: Vec<Frame>,
    /// Behind the last whole frame.
    pub end: u64,
    /// What stands behind it: a frame that a crash cut off, or a damaged one.
    pub rest: Option<Damage>,
}

/// What became of an intent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Appended {
    /// It is durable; the manifest now ends here.
    At(u64),
    /// The manifest does not end where it was left: an attempt whose outcome is not known stands there.
    InDoubt,
}

pub(crate) fn path(directory: &Path) -> PathBuf {
    directory.join(MANIFEST)
}

impl Manifest {
    /// `None`: the table has none.
    pub(crate) fn read(directory: &Path) -> Result<Option<Manifest>, LakeError> {
        let path = path(directory);
        match fs::read(&path) {
            Ok(bytes) => Manifest::parse(bytes, directory).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(LakeError::Io { path, source }),
        }
    }

    fn parse(bytes: Vec<u8>, directory: &Path) -> Result<Manifest, LakeError> {
        let (mut frames, mut end) = (Vec::<Frame>::new(), 0);
        let mut rest = None;
        while end < bytes.len() {
            let follows = match frames.last() {
                Some(last) => last.version.checked_add(1),
                None => None,
            };
            match frame(&bytes[end..], follows, frames.is_empty()) {
                Ok((found, length)) => {
                    let payload = end + found.payload.start..end + found.payload.end;
                    frames.push(Frame { payload, ..found });
                    end += length;
                }
                Err(Unreadable::Newer(found)) => {
                    return Err(LakeError::NewerFormat { file: path(directory), found, known: FORMAT });
                }
                Err(Unreadable::Features(bits)) => {
                    return Err(LakeError::UnknownFeature { file: path(directory), bits });
                }
                Err(Unreadable::Damaged(reason)) => {
                    rest = Some(Damage {
                        file: place(directory, MANIFEST),
                        start: end as u64,
                        end: bytes.len() as u64,
                        reason: reason.to_owned(),
                    });
                    break;
                }
            }
        }
        Ok(Manifest { bytes, frames, end: end as u64, rest })
    }

    pub(crate) fn payload(&self, frame: &Frame) -> &[u8] {
        self.bytes.get(frame.payload.clone()).unwrap_or_default()
    }
}

enum Unreadable {
    Damaged(&'static str),
    Newer(u16),
    Features(u32),
}

/// The frame at the beginning of `bytes`, and its length. `follows` is the version that it must have.
fn frame(bytes: &[u8], follows: Option<u64>, first: bool) -> Result<(Frame, usize), Unreadable> {
    let damaged = Unreadable::Damaged;
    let head = bytes.get(..HEAD_BYTES).ok_or(damaged("a frame is cut off"))?;
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if head[..4] != MAGIC {
        return Err(damaged("no frame begins here"));
    }
    let length = number(8) as usize;
    let whole = bytes.get(..length).filter(|_| length >= HEAD_BYTES);
    let whole = whole.ok_or(damaged("a frame is cut off"))?;
    if crc32c::crc32c(&whole[8..]) != number(4) {
        return Err(damaged("the checksum of a frame does not match"));
    }
    let format = u16::from_le_bytes([head[12], head[13]]);
    if format > FORMAT {
        return Err(Unreadable::Newer(format));
    }
    if number(16) != 0 {
        return Err(Unreadable::Features(number(16)));
    }
    let version = u64::from(number(24)) | u64::from(number(28)) << 32;
    let kind = match head[14] {
        1 if first => Kind::Snapshot,
        2 if follows == Some(version) || (first && version == 0) => Kind::Commit,
        _ => return Err(damaged("a frame is out of its order")),
    };
    Ok((Frame { kind, version, payload: HEAD_BYTES..length }, length))
}

fn encode(kind: Kind, version: u64, payload: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(HEAD_BYTES + payload.len()).map_err(|_| ErrorKind::FileTooLarge)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + payload.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&[kind as u8, 0]);
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(payload);
    let crc32c = crc32c::crc32c(&bytes[8..]);
    bytes[4..8].copy_from_slice(&crc32c.to_le_bytes());
    Ok(bytes)
}

/// Notes a commit before it is made, and syncs. `end` is where the manifest was left; `None`: there was none.
pub(crate) fn append(
    directory: &Path,
    end: Option<u64>,
    version: u64,
    commit: &[u8],
    syncs: &dyn Syncs,
) -> io::Result<Appended> {
    let path = path(directory);
    let frame = encode(Kind::Commit, version, commit)?;
    syncs.write(&path)?;
    let opened = match end {
        Some(_) => OpenOptions::new().write(true).open(&path),
        None => {
            create_directories(syncs, &directory.join(DIRECTORY))?;
            OpenOptions::new().write(true).create_new(true).open(&path)
        }
    };
    let file = match opened {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
            return Ok(Appended::InDoubt);
        }
        Err(error) => return Err(error),
    };
    let start = end.unwrap_or(0);
    if file.metadata()?.len() != start {
        return Ok(Appended::InDoubt);
    }
    let written = file.write_all_at(&frame, start).and_then(|()| syncs.file(&file, &path));
    if let Err(error) = written {
        // What could not be synced is not synced again: the file goes, and the next attempt makes a new one from the log. If
        // that fails too, it finds another end than it expects, and looks what is there.
        let _ = fs::remove_file(&path).or_else(|_| file.set_len(start));
        return Err(error);
    }
    if end.is_none() {
        syncs.directory(&directory.join(DIRECTORY))?;
    }
    Ok(Appended::At(start + frame.len() as u64))
}

/// A new manifest that begins, and ends, with this snapshot. Returns its end.
pub(crate) fn replace(directory: &Path, version: u64, snapshot: &[u8], syncs: &dyn Syncs) -> io::Result<u64> {
    let frame = encode(Kind::Snapshot, version, snapshot)?;
    put_file(syncs, &path(directory), [frame.as_slice()].into_iter(), &PutMode::Overwrite)?;
    Ok(frame.len() as u64)
}

/// Cuts off what stands behind the last whole frame.
pub(crate) fn cut(directory: &Path, end: u64, syncs: &dyn Syncs) -> io::Result<()> {
    let path = path(directory);
    syncs.write(&path)?;
    let file = OpenOptions::new().write(true).open(&path)?;
    file.set_len(end)?;
    syncs.file(&file, &path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OsSyncs;

    fn table() -> (tempfile::TempDir, PathBuf) {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("lake/a");
        fs::create_dir_all(&directory).unwrap();
        (root, directory)
    }

    fn contents(directory: &Path) -> Vec<(Kind, u64, Vec<u8>)> {
        let manifest = Manifest::read(directory).unwrap().unwrap();
        let frames = manifest.frames.iter();
        frames.map(|frame| (frame.kind, frame.version, manifest.payload(frame).to_vec())).collect()
    }

    #[test]
    fn what_was_appended_is_read_and_an_unexpected_end_is_noticed() {
        let (_root, directory) = table();
        assert!(Manifest::read(&directory).unwrap().is_none());
        let Appended::At(first) = append(&directory, None, 0, b"zero", &OsSyncs).unwrap() else { panic!() };
        assert_eq!(append(&directory, None, 0, b"again", &OsSyncs).unwrap(), Appended::InDoubt);
        let Appended::At(second) = append(&directory, Some(first), 1, b"one", &OsSyncs).unwrap() else {
            panic!()
        };
        assert_eq!(append(&directory, Some(first), 1, b"two", &OsSyncs).unwrap(), Appended::InDoubt);
        let expected = [(Kind::Commit, 0, b"zero".to_vec()), (Kind::Commit, 1, b"one".to_vec())];
        assert_eq!(contents(&directory), expected);
        assert_eq!(Manifest::read(&directory).unwrap().unwrap().end, second);

        let end = replace(&directory, 1, b"all", &OsSyncs).unwrap();
        append(&directory, Some(end), 2, b"more", &OsSyncs).unwrap();
        let expected = [(Kind::Snapshot, 1, b"all".to_vec()), (Kind::Commit, 2, b"more".to_vec())];
        assert_eq!(contents(&directory), expected);
        // A frame that does not follow the one before it does not count.
        let end = Manifest::read(&directory).unwrap().unwrap().end;
        append(&directory, Some(end), 9, b"gap", &OsSyncs).unwrap();
        let manifest = Manifest::read(&directory).unwrap().unwrap();
        assert_eq!((manifest.frames.len(), manifest.rest.unwrap().start), (2, end));
    }

    /// A disk on which nothing can be made durable.
    #[derive(Debug)]
    struct NoSync;

    impl Syncs for NoSync {
        fn file(&self, _: &fs::File, _: &Path) -> io::Result<()> {
            Err(ErrorKind::StorageFull.into())
        }

        fn directory(&self, _: &Path) -> io::Result<()> {
            Err(ErrorKind::StorageFull.into())
        }
    }

    #[test]
    fn a_file_that_could_not_be_synced_is_not_written_to_again() {
        let (_root, directory) = table();
        let Appended::At(end) = append(&directory, None, 0, b"zero", &OsSyncs).unwrap() else { panic!() };
        append(&directory, Some(end), 1, b"one", &NoSync).unwrap_err();
        assert!(Manifest::read(&directory).unwrap().is_none());
        assert_eq!(append(&directory, Some(end), 1, b"one", &OsSyncs).unwrap(), Appended::InDoubt);
        assert!(!path(&directory).exists(), "it would begin in the middle");
    }

    #[test]
    fn every_flip_and_every_cut_is_noticed() {
        let (_root, directory) = table();
        let end = replace(&directory, 4, b"snapshot", &OsSyncs).unwrap();
        append(&directory, Some(end), 5, b"commit", &OsSyncs).unwrap();
        let whole = fs::read(path(&directory)).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let manifest = Manifest::parse(flipped, &directory).unwrap();
            let intact = usize::from(bit / 8 >= end as usize);
            assert_eq!(manifest.frames.len(), intact, "bit {bit}");
            let damage = manifest.rest.unwrap();
            assert!(damage.start <= bit as u64 / 8 && damage.file.ends_with(MANIFEST), "{damage}");
        }
        for length in 0..whole.len() {
            let manifest = Manifest::parse(whole[..length].to_vec(), &directory).unwrap();
            assert_eq!(manifest.frames.len(), usize::from(length >= end as usize));
            assert_eq!(manifest.rest.is_none(), length == 0 || length == end as usize);
        }
    }

    #[test]
    fn a_newer_format_is_refused_and_not_taken_for_damage() {
        let (_root, directory) = table();
        let mut frame = encode(Kind::Commit, 0, b"x").unwrap();
        frame[12] = 2;
        let crc32c = crc32c::crc32c(&frame[8..]);
        frame[4..8].copy_from_slice(&crc32c.to_le_bytes());
        let error = Manifest::parse(frame, &directory).unwrap_err().to_string();
        assert!(error.contains("format 2"), "{error}");
    }
}
