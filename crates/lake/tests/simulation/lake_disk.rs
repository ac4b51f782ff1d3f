//! The lake's directory, on a disk that loses power: real files, and a record of what was synced.
//! Always: a power cut keeps every synced file under every synced name, and of the rest what the seed decides: a name
//! is there or not; what was written to a file after its last sync is whole, torn, zeroed or gone.
//! What it does not do: bring back a name that was removed and not synced. The lake removes only what is no part of a
//! table.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hw_lake::Syncs;
use hw_testkit::{Fault, Random, SimDisk};
use tokio::sync::watch;

/// Cloning gives another handle on the same disk.
#[derive(Clone)]
pub struct LakeDisk(Arc<Shared>);

struct Shared {
    root: PathBuf,
    /// The other half of the same machine: they lose power together.
    journal: SimDisk,
    // A std mutex: held for look-ups in memory and a listing, never across an await.
    state: Mutex<State>,
    dead: watch::Sender<bool>,
}

struct State {
    random: Random,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    fired: u64,
    /// How much of each inode's content is on the platter, and the names that are.
    synced: HashMap<u64, u64>,
    named: HashSet<(PathBuf, u64)>,
}

impl std::fmt::Debug for LakeDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LakeDisk")
    }
}

impl LakeDisk {
    pub fn new(root: &Path, journal: SimDisk, seed: u64) -> LakeDisk {
        let state = State {
            random: Random::new(seed),
            calls: 0,
            faults: BTreeMap::new(),
            fired: 0,
            synced: HashMap::new(),
            named: HashSet::new(),
        };
        let dead = watch::Sender::new(false);
        LakeDisk(Arc::new(Shared { root: root.to_owned(), journal, state: Mutex::new(state), dead }))
    }

    /// Calls that changed the disk so far.
    pub fn calls(&self) -> u64 {
        self.state().calls
    }

    /// Lets the `calls`-th call from now fail (1 = the next one). At a `PowerCut` the machine stops; whether its
    /// memory survives is decided afterwards.
    pub fn inject(&self, calls: u64, fault: Fault) {
        let mut state = self.state();
        let at = state.calls + calls;
        state.faults.insert(at, fault);
    }

    pub fn fired(&self) -> u64 {
        self.state().fired
    }

    pub fn died(&self) -> watch::Receiver<bool> {
        self.0.dead.subscribe()
    }

    pub fn is_dead(&self) -> bool {
        *self.0.dead.borrow()
    }

    /// The process starts again on a machine that went on.
    pub fn revive(&self) {
        self.state().faults.clear();
        self.0.dead.send_replace(false);
    }

    /// The machine starts again after its power went.
    pub fn restart(&self) -> io::Result<()> {
        self.revive();
        let mut state = self.state();
        let mut kept = Vec::new();
        state.lose(&self.0.root, &mut kept)?;
        state.synced = kept.iter().map(|(_, inode, bytes)| (*inode, *bytes)).collect();
        state.named = kept.into_iter().map(|(path, inode, _)| (path, inode)).collect();
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self) -> io::Result<()> {
        if self.is_dead() || !self.0.journal.is_powered() {
            return Err(io::Error::other("simulated: the power is off"));
        }
        let mut state = self.state();
        state.calls += 1;
        let calls = state.calls;
        let Some(fault) = state.faults.remove(&calls) else { return Ok(()) };
        state.fired += 1;
        drop(state);
        match fault {
            Fault::Io => Err(io::Error::from_raw_os_error(5)),
            Fault::NoSpace => Err(io::Error::from_raw_os_error(28)),
            Fault::PowerCut => {
                self.0.journal.cut_power();
                self.0.dead.send_replace(true);
                Err(io::Error::other("simulated: the power is off"))
            }
        }
    }
}

impl Syncs for LakeDisk {
    fn write(&self, _path: &Path) -> io::Result<()> {
        self.call()
    }

    fn file(&self, file: &File, _path: &Path) -> io::Result<()> {
        self.call()?;
        let metadata = file.metadata()?;
        self.state().synced.insert(metadata.ino(), metadata.len());
        Ok(())
    }

    fn directory(&self, path: &Path) -> io::Result<()> {
        self.call()?;
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            names.push((entry.path(), entry.metadata()?.ino()));
        }
        self.state().named.extend(names);
        Ok(())
    }
}

impl State {
    /// Takes from a directory what was not synced, or a part of it; notes what is left.
    fn lose(&mut self, directory: &Path, kept: &mut Vec<(PathBuf, u64, u64)>) -> io::Result<()> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let name = entry.file_name().to_string_lossy().into_owned();
            // Random parts of names must not decide what the seed does.
            entries.push((
                name.get(..25).unwrap_or(&name).to_owned(),
                metadata.len(),
                entry.path(),
                metadata,
            ));
        }
        entries.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        for (_, _, path, metadata) in entries {
            let known = self.named.contains(&(path.clone(), metadata.ino()));
            let lost = !known && self.random.one_in(2);
            if metadata.is_dir() {
                if lost {
                    fs::remove_dir_all(&path)?;
                    continue;
                }
                self.lose(&path, kept)?;
            } else if lost {
                fs::remove_file(&path)?;
                continue;
            }
            let synced = self.synced.get(&metadata.ino()).copied().unwrap_or(0);
            if let Some(unsynced) = metadata.len().checked_sub(synced).filter(|bytes| *bytes > 0)
                && metadata.is_file()
            {
                let file = OpenOptions::new().write(true).open(&path)?;
                match self.random.below(4) {
                    0 => file.set_len(synced)?,
                    1 => file.set_len(synced + self.random.below(unsynced + 1))?,
                    2 => {
                        file.set_len(synced)?;
                        file.set_len(metadata.len())?;
                    }
                    _ => {}
                }
            }
            let bytes = fs::metadata(&path)?.len();
            kept.push((path, metadata.ino(), bytes));
        }
        Ok(())
    }
}
