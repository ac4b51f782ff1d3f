//! The data directory: who owns it, what lies where in it, and the file that tells clients where to connect.
//! Always: one process a directory; `endpoints.json` exists only while the server listens.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;

const LOCK: &str = "lock";
const ENDPOINTS: &str = "endpoints.json";

/// An owned data directory. The lock is the kernel's: it ends with the process, however that ends.
pub struct DataDirectory {
    path: PathBuf,
    _lock: fs::File,
}

/// The directory is another process's.
#[derive(Debug, thiserror::Error)]
#[error("the data directory {} is in use by another headwater (pid {owner})\n  stop it first, or give this one its own with --data", path.display())]
pub struct InUse {
    path: PathBuf,
    owner: String,
}

impl DataDirectory {
    /// Makes the directory (mode 0700) where it is missing, and takes it.
    pub fn open(path: &Path) -> anyhow::Result<DataDirectory> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let path = fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()))?;
        let lock_path = path.join(LOCK);
        let mut lock = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&lock_path)
            .with_context(|| format!("cannot open {}", lock_path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(InUse { owner: owner(&lock_path), path }.into());
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("cannot write {}", lock_path.display()))?;
        let directory = DataDirectory { path, _lock: lock };
        // Left by a process that was killed: nobody listens there now.
        directory
            .remove_endpoints()
            .with_context(|| format!("cannot remove {}", directory.path.join(ENDPOINTS).display()))?;
        Ok(directory)
    }

    /// Takes a directory that is there, to look and not to touch. A server that starts meanwhile is turned away.
    pub fn inspect(path: &Path) -> anyhow::Result<DataDirectory> {
        let path = fs::canonicalize(path).with_context(|| format!("cannot open {}", path.display()))?;
        let lock_path = path.join(LOCK);
        let lock = fs::File::open(&lock_path)
            .with_context(|| format!("{} is no data directory: it has no file {LOCK}", path.display()))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(InUse { owner: owner(&lock_path), path }.into());
        }
        Ok(DataDirectory { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn keys(&self) -> PathBuf {
        self.path.join("keys")
    }

    /// What tokens stand for.
    pub fn vault(&self) -> PathBuf {
        self.path.join("vault")
    }

    /// Records of who had tokens revealed.
    pub fn audit(&self) -> PathBuf {
        self.path.join("audit")
    }

    pub fn catalog(&self) -> PathBuf {
        self.path.join("catalog")
    }

    /// What the directory door keeps.
    pub fn directories(&self) -> PathBuf {
        self.path.join("directories")
    }

    /// Marks of the streams that have bytes of an old generation.
    pub fn generations(&self) -> PathBuf {
        self.path.join("generations")
    }

    /// Where a backup is staged while it is copied.
    pub fn backup(&self) -> PathBuf {
        self.path.join("backup")
    }

    /// Where erasures are written down, if no other place is configured.
    pub fn erasures(&self) -> PathBuf {
        self.path.join("erasures")
    }

    /// Marks of the erasures that were carried out on this data.
    pub fn erasures_applied(&self) -> PathBuf {
        self.path.join("erasures").join("applied")
    }

    pub fn journal(&self) -> PathBuf {
        self.path.join("journal")
    }

    pub fn lake(&self) -> PathBuf {
        self.path.join("lake")
    }

    /// Tells clients where to connect. By rename: a reader sees all of it or nothing.
    pub fn write_endpoints(&self, http: &[String], tcp: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let endpoints = Endpoints {
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            data: &self.path,
            http,
            tcp,
        };
        let part = self.path.join(".endpoints.json.part");
        let path = self.path.join(ENDPOINTS);
        fs::write(&part, serde_json::to_vec_pretty(&endpoints)?)
            .and_then(|()| fs::rename(&part, &path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    pub fn remove_endpoints(&self) -> io::Result<()> {
        match fs::remove_file(self.path.join(ENDPOINTS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// Who holds the lock, as far as the file tells. One who only looks does not write into it, so that the number
/// may be that of a process that is gone.
fn owner(lock: &Path) -> String {
    let pid = fs::read_to_string(lock).unwrap_or_default().trim().to_owned();
    let lives = !pid.is_empty() && Path::new("/proc").join(&pid).exists();
    if lives { pid } else { "unknown".to_owned() }
}

#[derive(Serialize)]
struct Endpoints<'a> {
    version: &'static str,
    pid: u32,
    data: &'a Path,
    http: &'a [String],
    tcp: &'a BTreeMap<String, String>,
}
