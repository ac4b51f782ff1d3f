//! A table's directory as plain files: the end of its log is checked, what a crash left over is removed.
//! Always: only files are removed that carry this crate's own names and were never part of a commit: their
//! append lies beyond the table's last one, or they were never given their name at all.

use std::{
    collections::HashSet,
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{LakeError, hot_file::parse_file_name, store::is_staged_name};

pub(crate) const LOG: &str = "_delta_log";
/// The key in `commitInfo` under which a commit names the CRC-32C of the commit file before it.
pub(crate) const PREVIOUS_CRC32C: &str = "headwater.previous_crc32c";
/// How many of the newest commit files are checked against one another at open: more than lie between two
/// checkpoints.
const CHAIN_MAX: usize = 64;

/// The newest commit file.
#[derive(Debug)]
pub(crate) struct Tip {
    pub version: u64,
    pub crc32c: u32,
    pub actions: Vec<Value>,
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

/// Reads the newest commit files. `None`: there is no table here.
pub(crate) fn check_log(directory: &Path) -> Result<Option<Tip>, LakeError> {
    let log = directory.join(LOG);
    let mut versions: Vec<u64> = names(&log)?
        .iter()
        .filter_map(|name| name.strip_suffix(".json"))
        .filter(|version| version.len() == 20)
        .filter_map(|version| version.parse().ok())
        .collect();
    versions.sort_unstable_by(|a, b| b.cmp(a));
    let mut tip: Option<Tip> = None;
    let mut expected: Option<(u64, u32)> = None;
    for version in versions.into_iter().take(CHAIN_MAX) {
        let file = commit_file(directory, version);
        let bytes = fs::read(&file).map_err(|source| LakeError::Io { path: file.clone(), source })?;
        let damaged = |reason: String| LakeError::Damaged { file: file.clone(), reason };
        if bytes.is_empty() {
            return Err(damaged("it is empty".to_owned()));
        }
        let crc32c = crc32c::crc32c(&bytes);
        if let Some((next, named)) = expected
            && next == version + 1
            && named != crc32c
        {
            return Err(damaged(format!(
                "version {next} was written after one with CRC-32C {named:08x}, this one has {crc32c:08x}"
            )));
        }
        let actions = serde_json::Deserializer::from_slice(&bytes)
            .into_iter::<Value>()
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| damaged(error.to_string()))?;
        expected = previous_crc32c(&actions).map(|crc32c| (version, crc32c));
        tip.get_or_insert(Tip { version, crc32c, actions });
    }
    Ok(tip)
}

fn commit_file(directory: &Path, version: u64) -> PathBuf {
    directory.join(LOG).join(format!("{version:020}.json"))
}

fn previous_crc32c(actions: &[Value]) -> Option<u32> {
    let text = actions.iter().find_map(|action| action.get("commitInfo")?.get(PREVIOUS_CRC32C)?.as_str())?;
    u32::from_str_radix(text, 16).ok()
}

/// Removes what a crash left over. `live` are the names of the table's files, `committed` is its position.
/// Returns how many files it removed.
pub(crate) fn remove_orphans(
    directory: &Path,
    live: &HashSet<&str>,
    committed: u64,
) -> Result<usize, LakeError> {
    let mut removed = 0;
    for directory in [directory.to_owned(), directory.join(LOG)] {
        for name in names(&directory)? {
            // An older file that is not live may still belong to an older version of the table.
            let never_committed = parse_file_name(&name)
                .is_some_and(|through| through.0 > committed && !live.contains(name.as_str()));
            if never_committed || is_staged_name(&name) {
                let path = directory.join(&name);
                tracing::info!(file = %path.display(), "removed a file that was never committed");
                fs::remove_file(&path).map_err(|source| LakeError::Io { path, source })?;
                removed += 1;
            }
        }
    }
    Ok(removed)
}

fn names(directory: &Path) -> Result<Vec<String>, LakeError> {
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

    #[test]
    fn the_tip_is_read_and_the_chain_checked() {
        let first = b"{\"commitInfo\":{}}".as_slice();
        let second = after(first);
        let directory = table(&[first, &second]);
        let tip = check_log(directory.path()).unwrap().unwrap();
        assert_eq!((tip.version, tip.position("a"), tip.position("b")), (1, Some(7), None));

        fs::write(commit_file(directory.path(), 0), b"{\"commitInfo\":{ }}").unwrap();
        let error = check_log(directory.path()).unwrap_err().to_string();
        assert!(error.contains("00000000000000000000.json is damaged"), "{error}");
    }

    #[test]
    fn an_empty_or_torn_commit_file_is_named() {
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
        let nothing = tempfile::tempdir().unwrap();
        assert!(check_log(nothing.path()).unwrap().is_none());
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
        for name in [&old, &live, &orphan, &staged, "part-00001-of-spark.parquet", "notes.txt"] {
            fs::write(directory.path().join(name), "x").unwrap();
        }
        let removed = remove_orphans(directory.path(), &HashSet::from([live.as_str()]), 7).unwrap();
        assert_eq!(removed, 2);
        assert!(!directory.path().join(&orphan).exists() && !directory.path().join(&staged).exists());
        assert!(directory.path().join(&old).exists() && directory.path().join(&live).exists());
    }
}
