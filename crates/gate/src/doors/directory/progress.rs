//! Which contents of a directory's files are counted, and how far.
//! Always: the journal's positions are right, since they travel in the append that holds the events; the list on disk
//! may be behind them, never ahead. A position leaves the journal only after a list that holds it is durable.
//! Bounded: `POSITIONS_MAX` positions in the journal, `CONTENTS_MAX` contents in all. Reads no file that is counted.

use std::{
    collections::{HashMap, HashSet},
    ffi::{OsStr, OsString},
    io,
};

use bytes::Bytes;
use hw_event::Timestamp;
use hw_journal::Disk;

use super::{
    content::{FileId, Hash, Stat},
    list,
};

/// Positions that wait in the journal, and so in each of its snapshots, for the list to take them over.
const POSITIONS_MAX: usize = 1024;
const POSITIONS_MIN: usize = 256;
/// Positions that one append ends.
const ENDED_PER_APPEND_MAX: usize = 1024;
/// Contents that are known; those whose file has been gone longest are forgotten first.
pub(super) const CONTENTS_MAX: usize = 400_000;
/// A content is known this long after its last file has left the directory.
pub(super) const KEEP_GONE_MICROS: i64 = 7 * Timestamp::MICROS_PER_DAY;
const OWNER_PREFIX: &[u8] = b"directory/";

/// How far one content is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    /// Events counted; the next one has this number.
    pub events: u64,
    /// Where the last of them ends, and the hash of the text up to there.
    pub bytes: u64,
    pub beginning: Hash,
    /// The last one was the rest of a document that breaks off.
    pub broken: bool,
    /// There is nothing behind `bytes`.
    pub whole: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Content {
    pub progress: Progress,
    /// The file that it was counted from.
    pub file: FileId,
    /// Since when no file has it.
    pub gone_at: Option<Timestamp>,
}

/// A file that was looked at, and what it held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub stat: Stat,
    pub hash: Hash,
}

#[derive(Default)]
pub(super) struct Book {
    /// The directory's name in the configuration.
    name: String,
    pub(super) contents: HashMap<Hash, Content>,
    pub(super) files: HashMap<OsString, Known>,
    /// The newest content of each file.
    by_file: HashMap<FileId, Hash>,
    /// Contents whose position the journal holds and the list may not.
    journaled: HashSet<Hash>,
    /// Contents whose position the list has taken over, but which the journal still holds.
    listed: HashSet<Hash>,
    /// Something is known that the list does not say.
    changed: bool,
}

impl Book {
    /// What the list and the journal say together. Blocks.
    pub(super) fn open(
        name: &str,
        disk: &dyn Disk,
        positions: &HashMap<Bytes, Bytes>,
    ) -> Result<Book, list::ListError> {
        let (contents, files) = list::read(disk, name)?;
        let mut book = Book { name: name.to_owned(), contents, files, ..Book::default() };
        for (hash, content) in &book.contents {
            book.by_file.insert(content.file, *hash);
        }
        for known in book.files.values() {
            book.by_file.insert(known.stat.id, known.hash);
        }
        for (owner, value) in positions {
            let Some(hash) = of_owner(name, owner) else { continue };
            let Some(content) = list::decode_content(value) else { continue };
            book.journaled.insert(hash);
            let listed = book.contents.get(&hash).map(|content| content.progress);
            if listed.is_none_or(|listed| {
                (listed.whole, listed.events) < (content.progress.whole, content.progress.events)
            }) {
                book.contents.insert(hash, content);
                book.by_file.insert(content.file, hash);
            }
        }
        book.changed = !book.journaled.is_empty();
        Ok(book)
    }

    /// The positions that an append takes with it which brings a content this far.
    pub(super) fn records(&self, hash: &Hash, content: Content) -> Vec<(Bytes, Bytes)> {
        let ended = self.listed.iter().filter(|ended| *ended != hash).take(ENDED_PER_APPEND_MAX);
        let mut records: Vec<_> = ended.map(|ended| (self.owner(ended), Bytes::new())).collect();
        records.push((self.owner(hash), list::encode_content(&content).into()));
        records
    }

    /// The append with these records is durable.
    pub(super) fn appended(&mut self, hash: Hash, content: Content, records: &[(Bytes, Bytes)]) {
        for (owner, _) in records.iter().filter(|(_, value)| value.is_empty()) {
            if let Some(ended) = of_owner(&self.name, owner) {
                self.listed.remove(&ended);
            }
        }
        self.listed.remove(&hash);
        self.journaled.insert(hash);
        self.note(hash, content);
    }

    /// A content whose progress needs no append, since it brought no event.
    pub(super) fn note(&mut self, hash: Hash, content: Content) {
        self.contents.insert(hash, content);
        self.by_file.insert(content.file, hash);
        self.changed = true;
    }

    pub(super) fn note_file(&mut self, name: &OsStr, known: Known) {
        self.by_file.insert(known.stat.id, known.hash);
        self.files.insert(name.to_owned(), known);
        self.changed = true;
    }

    /// The file is as it was when all of it was counted.
    pub(super) fn is_counted(&self, name: &OsStr, stat: Stat) -> bool {
        let known = self.files.get(name).filter(|known| known.stat == stat);
        known.and_then(|known| self.contents.get(&known.hash)).is_some_and(|content| content.progress.whole)
    }

    pub(super) fn progress(&self, hash: &Hash) -> Option<Progress> {
        self.contents.get(hash).map(|content| content.progress)
    }

    /// What was counted of the same file, when it was shorter.
    pub(super) fn before(&self, name: &OsStr, stat: Stat) -> Option<Progress> {
        // A number alone may be another file's by now: then only its name speaks for it.
        let told_apart =
            stat.id.made_at != 0 || self.files.get(name).is_some_and(|known| known.stat.id == stat.id);
        let hash = self.by_file.get(&stat.id).filter(|_| told_apart)?;
        self.progress(hash).filter(|progress| 0 < progress.bytes && progress.bytes <= stat.size)
    }

    /// These are the names in the directory now.
    pub(super) fn retain_files(&mut self, is_there: impl Fn(&OsStr) -> bool) {
        let before = self.files.len();
        self.files.retain(|name, _| is_there(name));
        self.changed |= self.files.len() != before;
    }

    /// Notes which contents no file has any more, and forgets those long gone.
    pub(super) fn forget(&mut self, now: Timestamp) {
        let there: HashSet<Hash> = self.files.values().map(|known| known.hash).collect();
        for (hash, content) in &mut self.contents {
            content.gone_at = if there.contains(hash) { None } else { content.gone_at.or(Some(now)) };
        }
        let first_kept = Timestamp(now.0.saturating_sub(KEEP_GONE_MICROS));
        let mut surplus = self.contents.len().saturating_sub(CONTENTS_MAX);
        let mut gone: Vec<(Timestamp, Hash)> = self
            .contents
            .iter()
            // What the journal holds would come back at the next start.
            .filter(|(hash, _)| !self.journaled.contains(*hash) && !self.listed.contains(*hash))
            .filter_map(|(hash, content)| Some((content.gone_at?, *hash)))
            .collect();
        gone.sort_unstable();
        for (gone_at, hash) in gone {
            if gone_at > first_kept && surplus == 0 {
                break;
            }
            surplus = surplus.saturating_sub(1);
            self.contents.remove(&hash);
            self.changed = true;
        }
        self.by_file.retain(|_, hash| self.contents.contains_key(hash));
    }

    /// Whether the list should be written: the journal holds so many positions that they cost more than the list does.
    pub(super) fn list_is_due(&self) -> bool {
        self.journaled.len() >= (self.contents.len() / 8).clamp(POSITIONS_MIN, POSITIONS_MAX)
    }

    pub(super) fn is_changed(&self) -> bool {
        self.changed
    }

    /// The list as it should be on disk now.
    pub(super) fn list(&self) -> Vec<u8> {
        list::encode(&self.contents, &self.files)
    }

    /// The list, made when the book said the same, is durable.
    pub(super) fn list_is_written(&mut self) {
        self.listed.extend(self.journaled.drain());
        self.changed = false;
    }

    pub(super) fn write_list(name: &str, disk: &dyn Disk, bytes: &[u8]) -> io::Result<()> {
        list::write(disk, name, bytes)
    }

    fn owner(&self, hash: &Hash) -> Bytes {
        let mut owner = OWNER_PREFIX.to_vec();
        owner.extend_from_slice(self.name.as_bytes());
        owner.push(b'/');
        owner.extend_from_slice(hash);
        owner.into()
    }
}

fn of_owner(name: &str, owner: &[u8]) -> Option<Hash> {
    owner.strip_prefix(OWNER_PREFIX)?.strip_prefix(name.as_bytes())?.strip_prefix(b"/")?.try_into().ok()
}
