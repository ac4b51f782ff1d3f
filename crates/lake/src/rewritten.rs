//! Which files of a table a rewrite has done already: `_headwater/rewritten`, so that one that was killed goes on where it was.
//! Always: a line stands here only once its new file is synced with its name; a line counts only while its old file is the
//! table's; a new file is used again only after all of its bytes were held against their checksums. What is listed and of no
//! use is removed. Losing the list loses work, and nothing else.
//!
//! A line: eight hexadecimal digits, the CRC-32C of what follows the blank; a blank; an object of JSON; a newline. A line that
//! a crash cut off, and whatever follows it, is no line.

use std::{
    collections::HashSet,
    fs::{self, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use hw_event::{SchemaNumber, Seq};
use serde::{Deserialize, Serialize};

use crate::{
    LakeError, Pieces,
    checksums::{Expected, check_file},
    data_file::{DataFile, Purpose, parse_file_name},
    manifest::DIRECTORY,
    store::{Syncs, create_directories},
};

const NAME: &str = "rewritten";

/// One old file, and what it was rewritten into.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// Names of files in the table's directory.
    pub old: String,
    new: String,
    through: u64,
    bytes: u64,
    crc32c: u32,
    pieces: String,
    /// The version that the rows are of by now.
    schema: i32,
    stats: String,
}

impl Entry {
    pub(crate) fn new(old: &str, file: &DataFile) -> Option<Entry> {
        Some(Entry {
            old: old.to_owned(),
            new: file.name.clone(),
            through: file.through.0,
            bytes: file.bytes,
            crc32c: file.crc32c,
            pieces: file.pieces.to_tag(),
            schema: file.schema?.0,
            stats: file.stats_json.clone(),
        })
    }

    /// The new file, if it is of this version and all its bytes are as they were written.
    pub(crate) fn file(&self, directory: &Path, schema: SchemaNumber) -> Option<DataFile> {
        let pieces = Pieces::from_tag(&self.pieces, self.bytes)?;
        let expected = Expected {
            file: PathBuf::from(&self.new),
            bytes: self.bytes,
            crc32c: Some(self.crc32c),
            pieces: Some(&pieces),
        };
        // A name from a file is no path before it was looked at.
        let is_ours = parse_file_name(&self.new).is_some();
        let whole = || check_file(&directory.join(&self.new), &expected, &mut |_| {}).is_empty();
        (self.schema == schema.0 && is_ours && whole()).then(|| DataFile {
            purpose: Purpose::Compacted,
            name: self.new.clone(),
            through: Seq(self.through),
            bytes: self.bytes,
            crc32c: self.crc32c,
            pieces: pieces.clone(),
            schema: Some(schema),
            stats_json: self.stats.clone(),
        })
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(DIRECTORY).join(NAME)
}

/// The lines that count, and where they end. A list that cannot be read has none.
fn read(directory: &Path) -> (Vec<Entry>, u64) {
    let bytes = fs::read(path(directory)).unwrap_or_default();
    let (mut entries, mut end) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let Some(entry) = entry_of(line) else { break };
        entries.push(entry);
        end += line.len() as u64;
    }
    (entries, end)
}

fn entry_of(line: &[u8]) -> Option<Entry> {
    let (sum, json) = line.strip_suffix(b"\n")?.split_at_checked(8)?;
    let json = json.strip_prefix(b" ")?;
    let sum = u32::from_str_radix(str::from_utf8(sum).ok()?, 16).ok()?;
    if crc32c::crc32c(json) != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

/// The new files that belong to a rewrite of files which the table has.
pub(crate) fn of_use(directory: &Path, live: &HashSet<&str>) -> HashSet<String> {
    let (entries, _) = read(directory);
    entries.into_iter().filter(|entry| live.contains(entry.old.as_str())).map(|entry| entry.new).collect()
}

/// The list as a rewrite begins: what it can go on from. Every other file that is listed goes, unless the table has it.
pub(crate) fn begin(
    directory: &Path,
    old: &HashSet<&str>,
    live: &HashSet<&str>,
    schema: SchemaNumber,
    syncs: &dyn Syncs,
) -> Result<Vec<Entry>, LakeError> {
    let (entries, end) = read(directory);
    if entries.is_empty() {
        discard(directory, live, syncs)?;
        return Ok(entries);
    }
    let list = path(directory);
    let io_error = |source| LakeError::Io { path: list.clone(), source };
    // What a crash cut off must not stand before the next line.
    let file = OpenOptions::new().write(true).open(&list).map_err(io_error)?;
    syncs.write(&list).and_then(|()| file.set_len(end)).map_err(io_error)?;
    syncs.file(&file, &list).map_err(io_error)?;
    let (of_use, rest): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| old.contains(entry.old.as_str()) && entry.schema == schema.0);
    remove_files(directory, &rest, live, syncs)?;
    Ok(of_use)
}

/// Survives a power cut once it has returned.
pub(crate) fn add(directory: &Path, entry: &Entry, syncs: &dyn Syncs) -> Result<(), LakeError> {
    let list = path(directory);
    let append = || -> io::Result<()> {
        let json = serde_json::to_vec(entry)?;
        let parent = directory.join(DIRECTORY);
        create_directories(syncs, &parent)?;
        let is_new = !list.exists();
        syncs.write(&list)?;
        let mut file = OpenOptions::new().append(true).create(true).open(&list)?;
        let mut line = format!("{:08x} ", crc32c::crc32c(&json)).into_bytes();
        line.extend_from_slice(&json);
        line.push(b'\n');
        file.write_all(&line)?;
        syncs.file(&file, &list)?;
        if is_new { syncs.directory(&parent) } else { Ok(()) }
    };
    append().map_err(|source| LakeError::Io { path: list.clone(), source })
}

/// Nothing of a rewrite that was begun is used again: its files go, except those that the table has.
pub(crate) fn discard(directory: &Path, live: &HashSet<&str>, syncs: &dyn Syncs) -> Result<(), LakeError> {
    let (entries, _) = read(directory);
    remove_files(directory, &entries, live, syncs)?;
    let list = path(directory);
    if !list.exists() {
        return Ok(());
    }
    crate::compact::remove(&list, syncs)?;
    let parent = directory.join(DIRECTORY);
    syncs.directory(&parent).map_err(|source| LakeError::Io { path: parent.clone(), source })
}

/// Their names are gone for good before the list forgets them.
fn remove_files(
    directory: &Path,
    entries: &[Entry],
    live: &HashSet<&str>,
    syncs: &dyn Syncs,
) -> Result<(), LakeError> {
    let gone: Vec<&Entry> = entries
        .iter()
        .filter(|entry| !live.contains(entry.new.as_str()) && parse_file_name(&entry.new).is_some())
        .collect();
    for entry in &gone {
        crate::compact::remove(&directory.join(&entry.new), syncs)?;
    }
    if gone.is_empty() {
        return Ok(());
    }
    syncs.directory(directory).map_err(|source| LakeError::Io { path: directory.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::OsSyncs;

    fn entry(old: &str, new: &str) -> Entry {
        Entry {
            old: old.to_owned(),
            new: new.to_owned(),
            through: 3,
            bytes: 4,
            crc32c: crc32c::crc32c(b"rows"),
            pieces: format!("262144:{:08x}", crc32c::crc32c(b"rows")),
            schema: 2,
            stats: "{}".to_owned(),
        }
    }

    #[test]
    fn a_line_that_was_cut_off_is_none_and_a_file_that_was_changed_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let name = |at: u32| format!("comp-{:020}-4af2aa0f-2a64-4d2d-a9cb-9e5e0bd3b9e{at}.parquet", 3);
        for at in 0..3 {
            fs::write(path.join(name(at)), "rows").unwrap();
            add(path, &entry(&format!("old{at}"), &name(at)), &OsSyncs).unwrap();
        }
        let list = path.join(DIRECTORY).join(NAME);
        let whole = fs::read(&list).unwrap();
        let line = whole.len() / 3;
        for length in 0..=whole.len() {
            fs::write(&list, &whole[..length]).unwrap();
            assert_eq!(read(path).0.len(), length / line, "{length}");
        }
        let mut flipped = whole.clone();
        flipped[line + 20] ^= 1;
        fs::write(&list, &flipped).unwrap();
        assert_eq!(read(path).0.len(), 1);
        fs::write(&list, &whole[..whole.len() - 1]).unwrap();

        // old1 is no file of the table any more.
        let (old, live) = (HashSet::from(["old0", "old2"]), HashSet::from(["old0", "old2"]));
        let found = begin(path, &old, &live, SchemaNumber(2), &OsSyncs).unwrap();
        assert_eq!(found.iter().map(|entry| entry.old.as_str()).collect::<Vec<_>>(), ["old0"]);
        assert!(!path.join(name(1)).exists() && path.join(name(0)).exists());
        assert!(found[0].file(path, SchemaNumber(2)).is_some());
        assert!(found[0].file(path, SchemaNumber(3)).is_none());
        fs::write(path.join(name(0)), "rowz").unwrap();
        assert!(found[0].file(path, SchemaNumber(2)).is_none());
        add(path, &entry("old2", &name(2)), &OsSyncs).unwrap();
        assert_eq!(of_use(path, &HashSet::from(["old2"])), HashSet::from([name(2)]));
        discard(path, &HashSet::from([name(2).as_str()]), &OsSyncs).unwrap();
        assert!(!list.exists() && !path.join(name(0)).exists() && path.join(name(2)).exists());
    }
}
