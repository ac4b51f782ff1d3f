//! What lies in the directory, and which of it has come to rest.
//! Always: a file is ready only after its size, its time and its identity were seen unchanged for two seconds.
//! Time comes in as a value; the listing blocks, the rest computes. Opens no file.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::Duration,
};

use super::content::Stat;

/// Unchanged for this long, a file is read.
pub const REST: Duration = Duration::from_secs(2);
/// Unchanged for this long, half an event at its end is taken for all that will come.
pub const HALF_PATIENCE: Duration = Duration::from_secs(10);
/// A file that could not be read is tried again after this.
pub(super) const RETRY: Duration = Duration::from_secs(10);
/// With more files than this in the directory none is read, until some of them are gone.
pub const FILES_MAX: usize = 200_000;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    File(Stat),
    Link,
    /// A directory, a pipe, a socket, a device.
    Other,
}

pub(super) struct Listing {
    pub entries: Vec<(OsString, Entry)>,
    /// There are more than were asked for.
    pub cut: bool,
}

/// Whether a file of this name is read.
pub(super) fn is_ours(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.starts_with(b".") && (name.ends_with(b".ndjson") || is_document(name))
}

/// Whether a file of this name is one JSON document, not lines.
pub(super) fn is_document(name: &[u8]) -> bool {
    name.ends_with(b".json")
}

/// Blocks. A name that vanishes meanwhile is passed over.
pub(super) fn list(directory: &Path, files_max: usize) -> io::Result<Listing> {
    let mut listing = Listing { entries: Vec::new(), cut: false };
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_ours(&name) {
            continue;
        }
        if listing.entries.len() == files_max {
            listing.cut = true;
            break;
        }
        // Of the link itself, where it is one.
        let Ok(metadata) = entry.metadata() else { continue };
        let kind = metadata.file_type();
        let what = if kind.is_file() {
            Entry::File(Stat::of(&metadata))
        } else if kind.is_symlink() {
            Entry::Link
        } else {
            Entry::Other
        };
        listing.entries.push((name, what));
    }
    Ok(listing)
}

/// A file at rest that is not counted to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ready {
    pub name: OsString,
    pub stat: Stat,
    /// For how long it has not changed.
    pub at_rest: Duration,
}

struct Seen {
    entry: Entry,
    since: Duration,
    /// Not before.
    retry_at: Duration,
    /// What was last said of it, so that it is said once.
    said: Option<String>,
}

#[derive(Default)]
pub(super) struct Scan {
    seen: HashMap<OsString, Seen>,
}

impl Scan {
    /// Takes in what lies there at `now`; returns what is ready, the longest unchanged first by its own time.
    pub(super) fn step(
        &mut self,
        entries: Vec<(OsString, Entry)>,
        now: Duration,
        is_counted: impl Fn(&OsStr, Stat) -> bool,
    ) -> Vec<Ready> {
        let mut before = std::mem::take(&mut self.seen);
        let mut ready = Vec::new();
        for (name, entry) in entries {
            let seen = match before.remove(&name) {
                Some(seen) if seen.entry == entry => seen,
                _ => Seen { entry, since: now, retry_at: Duration::ZERO, said: None },
            };
            if let Entry::File(stat) = entry {
                let at_rest = now.saturating_sub(seen.since);
                // What was counted before, in an earlier life perhaps, has nothing to wait for.
                if at_rest >= REST && now >= seen.retry_at && !is_counted(&name, stat) {
                    ready.push(Ready { name: name.clone(), stat, at_rest });
                }
            }
            self.seen.insert(name, seen);
        }
        ready.sort_by(|a, b| (a.stat.changed_at, &a.name).cmp(&(b.stat.changed_at, &b.name)));
        ready
    }

    pub(super) fn contains(&self, name: &OsStr) -> bool {
        self.seen.contains_key(name)
    }

    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    /// Names that are no files, with what they are.
    pub(super) fn strangers(&self) -> Vec<(OsString, Entry)> {
        let strangers = self.seen.iter().filter(|(_, seen)| !matches!(seen.entry, Entry::File(_)));
        strangers.map(|(name, seen)| (name.clone(), seen.entry)).collect()
    }

    /// The file is not looked at before `at`, unless it changes.
    pub(super) fn retry(&mut self, name: &OsStr, at: Duration) {
        if let Some(seen) = self.seen.get_mut(name) {
            seen.retry_at = at;
        }
    }

    /// Half an event is awaited until the file was unchanged for long enough.
    pub(super) fn await_half(&mut self, name: &OsStr) {
        if let Some(seen) = self.seen.get_mut(name) {
            seen.retry_at = seen.since + HALF_PATIENCE;
        }
    }

    /// Whether this is news: it was not the last thing said of the file, which has not changed since.
    pub(super) fn is_news(&mut self, name: &OsStr, what: &str) -> bool {
        match self.seen.get_mut(name) {
            Some(seen) if seen.said.as_deref() == Some(what) => false,
            Some(seen) => {
                seen.said = Some(what.to_owned());
                true
            }
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::content::FileId, *};

    fn stat(size: u64, changed_at: i64) -> Stat {
        Stat { id: FileId { inode: 1, made_at: 1 }, size, changed_at }
    }

    fn step(scan: &mut Scan, stat: Stat, now_ms: u64) -> usize {
        let entries = vec![("a.ndjson".into(), Entry::File(stat))];
        scan.step(entries, Duration::from_millis(now_ms), |_, _| false).len()
    }

    #[test]
    fn a_file_is_ready_after_two_seconds_without_a_change_of_size_or_time() {
        let mut scan = Scan::default();
        assert_eq!(step(&mut scan, stat(1, 1), 0), 0);
        assert_eq!(step(&mut scan, stat(1, 1), 1999), 0);
        assert_eq!(step(&mut scan, stat(1, 1), 2000), 1);
        assert_eq!(step(&mut scan, stat(1, 2), 2500), 0, "its time has changed, its size has not");
        assert_eq!(step(&mut scan, stat(2, 2), 4499), 0, "its size has changed");
        assert_eq!(step(&mut scan, stat(2, 2), 6498), 0);
        assert_eq!(step(&mut scan, stat(2, 2), 6499), 1);
        let other = Stat { id: FileId { inode: 2, made_at: 1 }, ..stat(2, 2) };
        assert_eq!(step(&mut scan, other, 9000), 0, "another file of the same name");
    }

    #[test]
    fn the_oldest_come_first_and_one_that_failed_waits() {
        let mut scan = Scan::default();
        let entries = || {
            let of = |name: &str, changed_at| (OsString::from(name), Entry::File(stat(1, changed_at)));
            vec![of("c.json", 2), of("b.json", 2), of("z.ndjson", 1), ("l.json".into(), Entry::Link)]
        };
        let names = |scan: &mut Scan, now| -> Vec<OsString> {
            let ready = scan.step(entries(), Duration::from_secs(now), |name, _| name == "c.json");
            ready.into_iter().map(|ready| ready.name).collect()
        };
        assert!(names(&mut scan, 0).is_empty());
        assert_eq!(names(&mut scan, 2), ["z.ndjson", "b.json"]);
        scan.retry(OsStr::new("z.ndjson"), Duration::from_secs(5));
        assert_eq!(names(&mut scan, 4), ["b.json"]);
        assert_eq!(names(&mut scan, 5), ["z.ndjson", "b.json"]);
        assert!(scan.is_news(OsStr::new("b.json"), "x") && !scan.is_news(OsStr::new("b.json"), "x"));
    }

    #[test]
    fn a_listing_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["a.json", "b.json", "c.json", "d.txt", ".e.json"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let listed =
            |files_max| list(directory.path(), files_max).map(|found| (found.entries.len(), found.cut));
        assert_eq!((listed(3).unwrap(), listed(2).unwrap()), ((3, false), (2, true)));
        assert!(list(&directory.path().join("nowhere"), 3).is_err());
    }

    #[test]
    fn only_names_that_are_complete_are_ours() {
        for (name, ours) in [
            ("a.ndjson", true),
            ("a.json", true),
            (".a.json", false),
            ("a.json.part", false),
            ("a.part", false),
            ("a.JSON", false),
            ("json", false),
            ("a.csv", false),
        ] {
            assert_eq!(is_ours(OsStr::new(name)), ours, "{name}");
        }
    }
}
