//! `backup.ndjson`: what a backup holds, with the checksum of each file. It is written last, by rename.
//! Always: a backup without it did not come to its end; one whose manifest or files are not what was written is refused by
//! name. Paths in it stay below the backup's directory.
//!
//! Lines of JSON: `{"headwater_backup":1,"version","made_at","through","outside"}`, then a file each,
//! `{"path","bytes","mode","sha256"}`, then `{"end":{"files","bytes","crc32c"}}`, whose CRC-32C is that of all lines before it.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub const NAME: &str = "backup.ndjson";
const PART: &str = ".backup.ndjson.part";
const FORMAT: u64 = 1;
const CHUNK_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileLine {
    pub path: String,
    pub bytes: u64,
    pub mode: u32,
    pub sha256: String,
}

#[derive(Debug)]
pub struct Manifest {
    pub head: Value,
    pub files: Vec<FileLine>,
}

/// Why a directory is no backup to be restored.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("{at} has no {NAME}: it is no backup, or one that did not come to its end", at = .0.display())]
    Missing(PathBuf),
    #[error("{at} is damaged: {1}", at = .0.display())]
    Damaged(PathBuf, String),
    #[error("{at} is of format {1}, this version reads {FORMAT}: use a newer headwater", at = .0.display())]
    Newer(PathBuf, u64),
    #[error("{at}: {1}", at = .0.display())]
    Io(PathBuf, io::Error),
}

impl Manifest {
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let mut text = format!("{}\n", self.head);
        for file in &self.files {
            text.push_str(&serde_json::to_string(file)?);
            text.push('\n');
        }
        let crc32c = format!("{:08x}", crc32c::crc32c(text.as_bytes()));
        let end = json!({ "files": self.files.len(), "bytes": self.bytes(), "crc32c": crc32c });
        text.push_str(&format!("{}\n", json!({ "end": end })));
        let part = directory.join(PART);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&part, directory.join(NAME))?;
        File::open(directory)?.sync_all()
    }

    pub fn head(version: &str, made_at: &str, plan: &Value) -> Value {
        json!({
            "headwater_backup": FORMAT, "version": version, "made_at": made_at,
            "through": plan["through"], "outside": plan["outside"],
        })
    }

    pub fn read(directory: &Path) -> Result<Manifest, ManifestError> {
        let path = directory.join(NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(ManifestError::Missing(directory.to_owned()));
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Err(ManifestError::Damaged(path, "it is no text".to_owned()));
            }
            Err(error) => return Err(ManifestError::Io(path, error)),
        };
        let damaged = |reason: &str| ManifestError::Damaged(path.clone(), reason.to_owned());
        let body = text.strip_suffix('\n').ok_or_else(|| damaged("its end is missing"))?;
        let at = body.rfind('\n').ok_or_else(|| damaged("its end is missing"))? + 1;
        let (before, last) = body.split_at(at);
        let end: Value = serde_json::from_str(last).map_err(|_| damaged("its end is missing"))?;
        let crc32c = end["end"]["crc32c"].as_str().ok_or_else(|| damaged("its end is missing"))?;
        if crc32c != format!("{:08x}", crc32c::crc32c(before.as_bytes())) {
            return Err(damaged("its checksum does not match"));
        }
        let mut lines = before.lines();
        let head: Value = lines
            .next()
            .and_then(|line| serde_json::from_str(line).ok())
            .ok_or_else(|| damaged("it has no first line"))?;
        match head["headwater_backup"].as_u64() {
            Some(FORMAT) => {}
            Some(found) => return Err(ManifestError::Newer(path, found)),
            None => return Err(damaged("it does not say its format")),
        }
        let mut files = Vec::new();
        for line in lines {
            let file: FileLine = serde_json::from_str(line).map_err(|_| damaged("a line is no file"))?;
            let parts = Path::new(&file.path).components();
            if file.path.is_empty() || !parts.into_iter().all(|part| matches!(part, Component::Normal(_))) {
                return Err(damaged("a file lies outside"));
            }
            files.push(file);
        }
        if end["end"]["files"].as_u64() != Some(files.len() as u64) {
            return Err(damaged("files are missing in it"));
        }
        Ok(Manifest { head, files })
    }
}

/// All files below a directory, by their paths from it, in order.
pub fn walk(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(directory.join(&next))? {
            let entry = entry?;
            let path = next.join(entry.file_name());
            match entry.file_type()? {
                kind if kind.is_dir() => waiting.push(path),
                _ => files.push(path),
            }
        }
    }
    files.sort();
    Ok(files)
}

/// What becomes of long runs of zeros, of which a journal has many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// Written: room that a journal has taken is there.
    Written,
    /// Left out, where the file system can.
    Holes,
}

/// Copies one file, synced, with its mode, into directories that are made; returns what is to be written down of it.
pub fn copy_file(from: &Path, to: &Path, path: &Path, zeros: Zeros) -> io::Result<FileLine> {
    let (source, target) = (from.join(path), to.join(path));
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", source.display()));
    let mut read = File::open(&source).map_err(told)?;
    let mode = read.metadata().map_err(told)?.mode() & 0o777;
    let mut write = create(&target, mode)?;
    let mut digest = Sha256::new();
    let (mut bytes, mut buffer) = (0, vec![0; CHUNK_BYTES]);
    loop {
        let count = read.read(&mut buffer).map_err(told)?;
        if count == 0 {
            break;
        }
        let piece = &buffer[..count];
        digest.update(piece);
        match zeros == Zeros::Holes && piece.iter().all(|byte| *byte == 0) {
            true => drop(write.seek(SeekFrom::Current(count as i64))?),
            false => write.write_all(piece)?,
        }
        bytes += count as u64;
    }
    write.set_len(bytes)?;
    write.sync_all()?;
    let path = path.to_str().ok_or_else(|| io::Error::other("a name is not UTF-8"))?.to_owned();
    let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileLine { path, bytes, mode, sha256 })
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    let told = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    if let Some(parent) = path.parent() {
        super::make_directory(parent)?;
    }
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(told)?;
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(told)?;
    Ok(file)
}

/// Syncs a directory and all directories below it: names survive a power cut then.
pub fn sync_directories(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_directories(&entry.path())?;
        }
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backup() -> (tempfile::TempDir, Manifest) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::write(from.join("a/b/c"), "content").unwrap();
        fs::write(from.join("d"), "").unwrap();
        fs::set_permissions(from.join("d"), fs::Permissions::from_mode(0o600)).unwrap();
        let paths = walk(&from).unwrap();
        assert_eq!(paths, [Path::new("a/b/c"), Path::new("d")]);
        let files = paths.iter().map(|path| copy_file(&from, &to, path, Zeros::Holes).unwrap()).collect();
        let head = Manifest::head("0", "now", &json!({ "through": 7, "outside": [] }));
        let manifest = Manifest { head, files };
        manifest.write(&to).unwrap();
        (directory, manifest)
    }

    #[test]
    fn what_was_written_is_read() {
        let (directory, manifest) = backup();
        let read = Manifest::read(&directory.path().join("to")).unwrap();
        assert_eq!((&read.files, &read.head, read.bytes()), (&manifest.files, &manifest.head, 7));
        assert_eq!(read.files[1].mode, 0o600);
        assert_eq!(read.files[0].sha256.len(), 64);
    }

    #[test]
    fn zeros_may_be_holes_and_count_all_the_same() {
        let directory = tempfile::tempdir().unwrap();
        let from = directory.path().join("from");
        fs::create_dir(&from).unwrap();
        let bytes = [vec![7; 10], vec![0; 5 * CHUNK_BYTES], vec![8; 10], vec![0; 3 * CHUNK_BYTES]].concat();
        fs::write(from.join("a"), &bytes).unwrap();
        let copied = [(Zeros::Holes, "x"), (Zeros::Written, "y")].map(|(zeros, to)| {
            let line = copy_file(&from, &directory.path().join(to), Path::new("a"), zeros).unwrap();
            assert_eq!(fs::read(directory.path().join(to).join("a")).unwrap(), bytes);
            line
        });
        assert_eq!((&copied[0], copied[0].bytes), (&copied[1], bytes.len() as u64));
    }

    #[test]
    fn every_cut_and_every_flip_of_the_manifest_is_noticed() {
        let (directory, _) = backup();
        let to = directory.path().join("to");
        let path = to.join(NAME);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(Manifest::read(&to).is_err(), "{length} of {}", whole.len());
        }
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, &flipped).unwrap();
            let same = Manifest::read(&to).is_ok_and(|read| read.files.len() == 2 && read.bytes() == 7);
            let in_end = bit / 8 > whole[..whole.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
            assert!(Manifest::read(&to).is_err() || in_end && same, "bit {bit}");
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(Manifest::read(&to), Err(ManifestError::Missing(_))));
    }

    #[test]
    fn a_path_that_leads_outside_is_refused() {
        let (directory, mut manifest) = backup();
        let to = directory.path().join("to");
        for path in ["../x", "/etc/x", "a/../../x", ""] {
            manifest.files[0].path = path.to_owned();
            manifest.write(&to).unwrap();
            assert!(matches!(Manifest::read(&to), Err(ManifestError::Damaged(..))), "{path}");
        }
    }
}
