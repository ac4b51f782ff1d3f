//! Where keys rest: named 32-byte secrets in a directory, one file each, mode 0600 in a directory of mode 0700.
//! Always: `create` returns only after the key's file and its directory were synced.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
};

use hw_event::Entropy;
use zeroize::{Zeroize, Zeroizing};

/// 32 secret bytes, wiped when dropped.
pub type Key = Zeroizing<[u8; 32]>;

#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    #[error("cannot {action} the key {}: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the key file {} has {found} bytes, it must have 32", path.display())]
    WrongSize { path: PathBuf, found: usize },
    #[error("the key file {} may be read by others (mode {mode:03o}); run: chmod 600 {}", path.display(), path.display())]
    TooOpen { path: PathBuf, mode: u32 },
}

/// Names are `[a-z0-9-]+`.
pub trait KeyStore: Send + Sync {
    fn load(&self, name: &str) -> Result<Option<Key>, KeyStoreError>;
    /// Keeps a new key. Survives a power cut once it has returned.
    fn create(&self, name: &str, key: &Key) -> Result<(), KeyStoreError>;
    /// Forgets a key for ever. Survives a power cut once it has returned.
    fn remove(&self, name: &str) -> Result<(), KeyStoreError>;
    fn list(&self) -> Result<Vec<String>, KeyStoreError>;
}

/// The operating system's random numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // Nonces are drawn by the million; a key is worth a call of its own.
        if bytes.len() > DRAWN_FROM_POOL_MAX {
            return from_system(bytes);
        }
        POOL.with_borrow_mut(|pool| pool.take(bytes));
    }
}

fn from_system(bytes: &mut [u8]) {
    // Without random numbers no key and no nonce may be made: stopping is the only safe answer.
    if let Err(error) = getrandom::fill(bytes) {
        panic!("the operating system gives no random numbers: {error}");
    }
}

const POOL_BYTES: usize = 1024;
const DRAWN_FROM_POOL_MAX: usize = 16;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], used: POOL_BYTES }) };
}

/// Random bytes of the system, drawn ahead. Always: no byte is given twice, or kept once it was given.
struct Pool {
    bytes: [u8; POOL_BYTES],
    used: usize,
}

impl Pool {
    fn take(&mut self, bytes: &mut [u8]) {
        if self.used + bytes.len() > POOL_BYTES {
            from_system(&mut self.bytes);
            self.used = 0;
        }
        let drawn = &mut self.bytes[self.used..self.used + bytes.len()];
        bytes.copy_from_slice(drawn);
        drawn.zeroize();
        self.used += bytes.len();
    }
}

/// Keys as files `NAME.key`.
#[derive(Debug, Clone)]
pub struct FileKeyStore {
    directory: PathBuf,
}

impl FileKeyStore {
    /// Opens `directory`, making it (mode 0700) where it is missing.
    pub fn open(directory: &Path) -> Result<FileKeyStore, KeyStoreError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .and_then(|()| match directory.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => sync_directory(parent),
                _ => sync_directory(Path::new(".")),
            })
            .map_err(|source| KeyStoreError::Io {
                action: "make the directory of",
                path: directory.into(),
                source,
            })?;
        Ok(FileKeyStore { directory: directory.into() })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}.key"))
    }
}

/// Reads a key file that a user named: 32 raw bytes, readable by its owner alone.
pub(crate) fn load_key_file(path: &Path) -> Result<Option<Key>, KeyStoreError> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| KeyStoreError::Io { action: "read", path: path.into(), source };
    let bytes = match fs::read(path) {
        Ok(bytes) => Zeroizing::new(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyStoreError::TooOpen { path: path.into(), mode });
    }
    match <[u8; 32]>::try_from(bytes.as_slice()) {
        Ok(key) => Ok(Some(Zeroizing::new(key))),
        Err(_) => Err(KeyStoreError::WrongSize { path: path.into(), found: bytes.len() }),
    }
}

impl KeyStore for FileKeyStore {
    fn load(&self, name: &str) -> Result<Option<Key>, KeyStoreError> {
        load_key_file(&self.path(name))
    }

    fn create(&self, name: &str, key: &Key) -> Result<(), KeyStoreError> {
        let path = self.path(name);
        let part = self.directory.join(format!(".{name}.part"));
        let write = || -> io::Result<()> {
            let mut file =
                fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(key.as_slice())?;
            file.sync_all()?;
            fs::rename(&part, &path)?;
            sync_directory(&self.directory)
        };
        write().map_err(|source| KeyStoreError::Io { action: "write", path: path.clone(), source })
    }

    fn remove(&self, name: &str) -> Result<(), KeyStoreError> {
        let path = self.path(name);
        let removed = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed.and_then(|()| sync_directory(&self.directory)).map_err(|source| KeyStoreError::Io {
            action: "remove",
            path: path.clone(),
            source,
        })
    }

    fn list(&self) -> Result<Vec<String>, KeyStoreError> {
        let failed = |source| KeyStoreError::Io { action: "list", path: self.directory.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            if let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".key")) {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// Keys that die with the process: for simulations.
#[derive(Debug, Default)]
pub struct MemoryKeyStore {
    // A std mutex: held for a map operation, never across an await.
    keys: Mutex<BTreeMap<String, Key>>,
}

impl KeyStore for MemoryKeyStore {
    fn load(&self, name: &str) -> Result<Option<Key>, KeyStoreError> {
        Ok(self.lock().get(name).cloned())
    }

    fn create(&self, name: &str, key: &Key) -> Result<(), KeyStoreError> {
        self.lock().insert(name.to_owned(), key.clone());
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), KeyStoreError> {
        self.lock().remove(name);
        Ok(())
    }

    fn list(&self) -> Result<Vec<String>, KeyStoreError> {
        Ok(self.lock().keys().cloned().collect())
    }
}

impl MemoryKeyStore {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Key>> {
        self.keys.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_random_bytes_are_given_twice_or_kept() {
        let mut seen = HashSet::new();
        for bytes in (1..=DRAWN_FROM_POOL_MAX).cycle().take(4 * POOL_BYTES) {
            let mut drawn = [0; DRAWN_FROM_POOL_MAX];
            SystemEntropy.fill(&mut drawn[..bytes]);
            assert!(bytes < 12 || seen.insert(drawn), "{drawn:?} came twice");
        }
        POOL.with_borrow(|pool| assert!(pool.bytes[..pool.used].iter().all(|byte| *byte == 0)));
        let mut key = [0; 32];
        SystemEntropy.fill(&mut key);
        assert_ne!(key, [0; 32]);
    }
}
