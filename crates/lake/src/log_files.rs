//! A table's directory as plain files: its commit files are checked against one another, what a crash left over is
//! removed.
//! Always: only files are removed that carry this crate's own names and were never part of a commit (their
//! append lies beyond the table's last one, they were never given their name at all, or compaction made them and no
//! commit ever named them), or of a log that was given up.
//!
//! Each commit of ours names the CRC-32C of the one before it, its own (taken with zeros in the place of the number) and
//! that of the newest checkpoint. So a table can be judged without its manifest, back to that checkpoint.

use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    Damage, LakeError,
    checksums::differs,
    damage::place,
    data_file::{Purpose, parse_file_name},
    store::{Syncs, is_staged_name},
};

pub(crate) const LOG: &str = "_delta_log";
pub(crate) const LAST_CHECKPOINT: &str = "_last_checkpoint";
/// The key in `commitInfo` under which a commit names the CRC-32C of the commit file before it.
pub(crate) const PREVIOUS_CRC32C: &str = "headwater.previous_crc32c";
/// The same for the commit file itself.
pub(crate) const OWN_CRC32C: &str = "headwater.commit_crc32c";
/// The value under which a commit is summed and written, before its own sum takes the place.
pub(crate) const OWN_CRC32C_ZERO: &str = "00000000";
/// The newest checkpoint: its version, a colon, the CRC-32C of its file.
pub(crate) const CHECKPOINT: &str = "headwater.checkpoint";
/// What a commit of ours has in it: several of these, so that no one flip hides all. Another writer's may well have
/// other words of ours in it, the tags of the files that it removes for one.
const OURS: [&str; 4] =
    [OWN_CRC32C, PREVIOUS_CRC32C, "\"engineInfo\":\"headwater/", "\"appId\":\"headwater/"];
/// At least so many of the newest commit files are checked against one another.
const CHAIN_MIN: usize = 64;

/// The newest commit file.
#[derive(Debug)]
pub(crate) struct Tip {
    pub version: u64,
    pub crc32c: u32,
    pub actions: Vec<Value>,
    /// A checkpoint that a commit after it vouches for: its version and the CRC-32C of its file.
    pub vouched: Option<(u64, u32)>,
    /// Some commit was made by a version of ours that vouches for checkpoints.
    pub sealed: bool,
}

impl Tip {
    /// The position that this commit carries for `app_id`.
    pub(crate) fn position(&self, app_id: &str) -> Option<i64> {
        self.actions.iter().find_map(|action| {
            let txn = action.get("txn")?;
            (txn.get("appId")?.as_str()? == app_id).then(|| txn.get("version")?.as_i64())?
        })
    }
}

/// Whether a commit file is as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seal {
    Absent,
    Whole,
    Broken,
}

/// Puts a commit's own checksum in its place. It must have been written with [`OWN_CRC32C_ZERO`] there.
pub(crate) fn seal(commit: &mut [u8]) {
    if let Some(at) = seal_position(commit) {
        let crc32c = crc32c::crc32c(commit);
        commit[at..at + 8].copy_from_slice(format!("{crc32c:08x}").as_bytes());
    }
}

/// Where the eight digits stand. What is found first is it: the first line is ours alone.
fn seal_position(commit: &[u8]) -> Option<usize> {
    let key = format!("\"{OWN_CRC32C}\":\"");
    let at = commit.windows(key.len()).position(|window| window == key.as_bytes())? + key.len();
    (commit.len() >= at + 8).then_some(at)
}

pub(crate) fn check_seal(commit: &[u8]) -> Seal {
    let Some(at) = seal_position(commit) else { return Seal::Absent };
    let crc32c = crc32c::crc32c_append(crc32c::crc32c(&commit[..at]), OWN_CRC32C_ZERO.as_bytes());
    let crc32c = crc32c::crc32c_append(crc32c, &commit[at + 8..]);
    if commit[at..at + 8] == *format!("{crc32c:08x}").as_bytes() { Seal::Whole } else { Seal::Broken }
}

/// Could this be a whole commit that another writer made? One of ours is never taken for that, however damaged.
pub(crate) fn is_of_another_writer(commit: &[u8]) -> bool {
    !is_ours(commit)
        && !commit.is_empty()
        && parse(commit).is_ok_and(|actions| actions.iter().all(Value::is_object))
}

fn is_ours(commit: &[u8]) -> bool {
    OURS.iter().any(|word| commit.windows(word.len()).any(|window| window == word.as_bytes()))
}

fn parse(commit: &[u8]) -> serde_json::Result<Vec<Value>> {
    serde_json::Deserializer::from_slice(commit).into_iter::<Value>().collect()
}

/// Reads the newest commit files, back to a checkpoint that one of them vouches for. `None`: there is no table here.
pub(crate) fn check_log(directory: &Path) -> Result<Option<Tip>, LakeError> {
    let files = LogFiles::list(directory)?;
    let mut tip: Option<Tip> = None;
    // Of the commit after the one that is looked at: its version, and what it says that one's CRC-32C is.
    let mut after: Option<(u64, Option<u32>)> = None;
    let (mut oldest_sealed, mut unsealed) = (None, Vec::new());
    for (count, (&version, name)) in files.commits.iter().rev().enumerate() {
        let vouched = tip.as_ref().and_then(|tip| tip.vouched);
        let covered = vouched.map(|(version, _)| version).or(files.checkpoints.keys().next_back().copied());
        let from_checkpoint = covered.is_some_and(|covered| version <= covered);
        if from_checkpoint && count >= CHAIN_MIN {
            break;
        }
        let path = directory.join(LOG).join(name);
        let bytes = fs::read(&path).map_err(|source| LakeError::Io { path, source })?;
        let length = bytes.len() as u64;
        let damaged = |reason: String| {
            let file = place(directory, Path::new(LOG).join(name));
            LakeError::Damaged(Damage { file, start: 0, end: length, reason })
        };
        let crc32c = crc32c::crc32c(&bytes);
        if bytes.is_empty() {
            return Err(damaged("it is empty".to_owned()));
        }
        if let Some((next, named)) = after {
            if next != version + 1 && !covered.is_some_and(|covered| next <= covered + 1) {
                return Err(LakeError::Damaged(missing(directory, next - 1)));
            }
            if let Some(named) = named.filter(|named| next == version + 1 && *named != crc32c) {
                return Err(damaged(differs(crc32c, named)));
            }
        }
        match check_seal(&bytes) {
            Seal::Whole => oldest_sealed = Some(version),
            Seal::Broken => return Err(damaged("its checksum does not match".to_owned())),
            Seal::Absent if is_ours(&bytes) => unsealed.push((version, length)),
            Seal::Absent => {}
        }
        let actions = parse(&bytes).map_err(|error| damaged(error.to_string()))?;
        after = Some((version, info(&actions, PREVIOUS_CRC32C).and_then(parse_crc32c)));
        let vouches = info(&actions, CHECKPOINT).and_then(|text| {
            let (version, crc32c) = text.split_once(':')?;
            Some((version.parse().ok()?, parse_crc32c(crc32c)?))
        });
        let tip = tip.get_or_insert(Tip { version, crc32c, actions, vouched: None, sealed: false });
        tip.vouched = tip.vouched.or(vouches);
    }
    // Once we seal our commits, one without a seal has lost it.
    if let Some(oldest) = oldest_sealed
        && let Some((version, end)) = unsealed.into_iter().find(|(version, _)| *version > oldest)
    {
        let file = place(directory, Path::new(LOG).join(commit_name(version)));
        return Err(LakeError::Damaged(Damage {
            file,
            start: 0,
            end,
            reason: "its checksum is gone".to_owned(),
        }));
    }
    if let (Some((oldest, _)), None) = (after, files.checkpoints.keys().next())
        && oldest > 0
    {
        return Err(LakeError::Damaged(missing(directory, oldest - 1)));
    }
    if let Some(tip) = &mut tip {
        tip.sealed = oldest_sealed.is_some();
    }
    Ok(tip)
}

fn missing(directory: &Path, version: u64) -> Damage {
    let file = place(directory, Path::new(LOG).join(commit_name(version)));
    Damage { file, start: 0, end: 0, reason: "the commit file is missing".to_owned() }
}

pub(crate) fn commit_name(version: u64) -> String {
    format!("{version:020}.json")
}

/// What `commitInfo` says under a key of ours.
pub(crate) fn info<'a>(actions: &'a [Value], key: &str) -> Option<&'a str> {
    actions.iter().find_map(|action| action.get("commitInfo")?.get(key)?.as_str())
}

pub(crate) fn parse_crc32c(digits: &str) -> Option<u32> {
    u32::from_str_radix(digits, 16).ok()
}

/// The names in a table's log that Delta gives a meaning.
#[derive(Debug, Default)]
pub(crate) struct LogFiles {
    pub commits: BTreeMap<u64, String>,
    /// The files of each checkpoint, of whatever kind.
    pub checkpoints: BTreeMap<u64, Vec<String>>,
}

impl LogFiles {
    pub(crate) fn list(directory: &Path) -> Result<LogFiles, LakeError> {
        let mut files = LogFiles::default();
        for name in names(&directory.join(LOG))? {
            let Some((digits, kind)) = name.split_at_checked(20) else { continue };
            let Some(version) =
                digits.parse().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()))
            else {
                continue;
            };
            if kind == ".json" {
                files.commits.insert(version, name);
            } else if kind.starts_with(".checkpoint.") && !is_staged_name(&name) {
                files.checkpoints.entry(version).or_default().push(name);
            }
        }
        Ok(files)
    }

    /// Are all commits after `version` there, through `last`? `None`: all from the first on.
    pub(crate) fn has_commits(&self, after: Option<u64>, last: u64) -> bool {
        let first = after.map_or(0, |version| version + 1);
        first > last || self.commits.range(first..=last).count() as u64 == last - first + 1
    }
}

/// Removes what a crash left over. `known` are the names of the table's files and of those it had, `committed` is its
/// position. Returns the hot files that were a part of the table once, and of which it knows no more: another writer may have
/// removed them, or a power cut brought back what was removed.
pub(crate) fn remove_orphans(
    directory: &Path,
    known: &HashSet<&str>,
    committed: u64,
) -> Result<Vec<String>, LakeError> {
    let mut old = Vec::new();
    for directory in [directory.to_owned(), directory.join(LOG), directory.join(crate::manifest::DIRECTORY)] {
        for name in names(&directory)? {
            let unknown = parse_file_name(&name).filter(|_| !known.contains(name.as_str()));
            let never_committed = unknown
                .is_some_and(|(purpose, through)| through.0 > committed || purpose == Purpose::Compacted);
            if never_committed || is_staged_name(&name) {
                let path = directory.join(&name);
                tracing::info!(file = %path.display(), "removed a file that was never committed");
                fs::remove_file(&path).map_err(|source| LakeError::Io { path, source })?;
            } else if unknown.is_some() {
                old.push(name);
            }
        }
    }
    Ok(old)
}

/// Removes the commits and checkpoints before `log_start`, the oldest first; at most so many, and not if the `log_start`
/// is not a checkpoint that is there. Returns how many files it removed.
pub(crate) fn remove_log_before(
    directory: &Path,
    log_start: u64,
    files_max: usize,
    syncs: &dyn Syncs,
) -> Result<usize, LakeError> {
    let files = LogFiles::list(directory)?;
    if !files.checkpoints.contains_key(&log_start) {
        return Ok(0);
    }
    let commits = files.commits.range(..log_start);
    let checkpoints = files.checkpoints.range(..log_start);
    let mut old: Vec<(u64, &String)> = commits.map(|(version, name)| (*version, name)).collect();
    old.extend(checkpoints.flat_map(|(version, names)| names.iter().map(|name| (*version, name))));
    old.sort_unstable();
    let mut removed = 0;
    for (_, name) in old.into_iter().take(files_max) {
        let path = directory.join(LOG).join(name);
        let outcome = syncs.write(&path).and_then(|()| fs::remove_file(&path));
        outcome.map_err(|source| LakeError::Io { path, source })?;
        removed += 1;
    }
    Ok(removed)
}

pub(crate) fn names(directory: &Path) -> Result<Vec<String>, LakeError> {
    let io_error = |source| LakeError::Io { path: directory.to_owned(), source };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is not UTF-8 is not one of ours.
        names.extend(entry.map_err(io_error)?.file_name().into_string().ok());
    }
    Ok(names)
}

pub(crate) fn commit_file(directory: &Path, version: u64) -> PathBuf {
    directory.join(LOG).join(commit_name(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(commits: &[&[u8]]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join(LOG)).unwrap();
        for (version, bytes) in commits.iter().enumerate() {
            fs::write(commit_file(directory.path(), version as u64), bytes).unwrap();
        }
        directory
    }

    fn after(previous: &[u8]) -> Vec<u8> {
        let crc32c = crc32c::crc32c(previous);
        format!("{{\"commitInfo\":{{\"{PREVIOUS_CRC32C}\":\"{crc32c:08x}\"}}}}\n{{\"txn\":{{\"appId\":\"a\",\"version\":7}}}}").into_bytes()
    }

    fn sealed(previous: &[u8]) -> Vec<u8> {
        let crc32c = crc32c::crc32c(previous);
        let mut commit = format!(
            "{{\"commitInfo\":{{\"{OWN_CRC32C}\":\"{OWN_CRC32C_ZERO}\",\"{PREVIOUS_CRC32C}\":\"{crc32c:08x}\"}}}}\n\
             {{\"txn\":{{\"appId\":\"headwater/a\",\"version\":7}}}}"
        )
        .into_bytes();
        seal(&mut commit);
        commit
    }

    #[test]
    fn the_tip_is_read_and_the_chain_checked() {
        let first = b"{\"commitInfo\":{}}".as_slice();
        let second = after(first);
        let directory = table(&[first, &second]);
        let tip = check_log(directory.path()).unwrap().unwrap();
        assert_eq!((tip.version, tip.position("a"), tip.position("b")), (1, Some(7), None));

        fs::write(commit_file(directory.path(), 0), b"{\"commitInfo\":{ }}").unwrap();
        let error = check_log(directory.path()).unwrap_err().to_string();
        assert!(error.contains("00000000000000000000.json is damaged in bytes 0..18"), "{error}");
    }

    #[test]
    fn an_empty_a_torn_and_a_missing_commit_file_are_named() {
        for (bytes, reason) in
            [(&b""[..], "it is empty"), (b"{\"commitInfo\":{", "EOF"), (b"\0\0\0\0", "expected")]
        {
            let directory = table(&[b"{}", bytes]);
            let error = check_log(directory.path()).unwrap_err().to_string();
            assert!(
                error.contains("00000000000000000001.json is damaged") && error.contains(reason),
                "{error}"
            );
        }
        for missing in [0, 1] {
            let directory = table(&[b"{}", b"{}", b"{}"]);
            fs::remove_file(commit_file(directory.path(), missing)).unwrap();
            let error = check_log(directory.path()).unwrap_err().to_string();
            assert!(error.contains(&commit_name(missing)) && error.contains("missing"), "{error}");
        }
        let nothing = tempfile::tempdir().unwrap();
        assert!(check_log(nothing.path()).unwrap().is_none());
    }

    #[test]
    fn every_flip_in_a_sealed_tip_is_noticed() {
        let first = sealed(b"");
        let second = sealed(&first);
        assert!(check_log(table(&[&first, &second]).path()).unwrap().unwrap().sealed);
        for bit in 0..second.len() * 8 {
            let mut flipped = second.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_of_another_writer(&flipped), "bit {bit}");
            let error = check_log(table(&[&first, &flipped]).path()).unwrap_err().to_string();
            assert!(error.contains("00000000000000000001.json is damaged"), "bit {bit}: {error}");
        }
        assert!(is_of_another_writer(b"{\"commitInfo\":{\"engineInfo\":\"other\"}}"));
        assert!(is_of_another_writer(b"{\"remove\":{\"path\":\"a\",\"tags\":{\"headwater.crc32c\":\"1\"}}}"));
        assert!(!is_of_another_writer(b"") && !is_of_another_writer(b"{") && !is_of_another_writer(b"7"));
    }

    #[test]
    fn only_our_uncommitted_files_are_removed() {
        let directory = table(&[b"{}"]);
        let id = "4af2aa0f-2a64-4d2d-a9cb-9e5e0bd3b9e2";
        let (old, live, orphan) = (
            format!("part-{:020}-{id}.parquet", 5),
            format!("part-{:020}-{id}.parquet", 9),
            format!("part-{:020}-{id}.parquet", 8),
        );
        let staged = format!("{LOG}/00000000000000000001.json#{:039}", 1);
        let (swapped, torn) = (live.replace("part", "comp"), old.replace("part", "comp"));
        for name in
            [&old, &live, &orphan, &staged, &swapped, &torn, "part-00001-of-spark.parquet", "notes.txt"]
        {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let known = HashSet::from([live.as_str(), swapped.as_str()]);
        let left = remove_orphans(directory.path(), &known, 7).unwrap();
        assert_eq!(left, [old.clone()]);
        assert!(directory.path().join(&swapped).exists() && !directory.path().join(&torn).exists());
        assert!(!directory.path().join(&orphan).exists() && !directory.path().join(&staged).exists());
        assert!(directory.path().join(&old).exists() && directory.path().join(&live).exists());
    }
}
