//! A disk that loses power: what was written lies in a page cache until it is synced, and a crash keeps a
//! random part of the rest. Seeded; the same seed and the same calls give the same disk.
//!
//! 1. `write_at` changes the cache; `sync` copies the file's changed sectors to the platter.
//! 2. A crash keeps of the unsynced 512-byte sectors a random subset (torn, in any order).
//! 3. Names live in a cached directory; `sync_dir` makes it the durable one. A crash undoes a random part of
//!    the creations, renames and removals since.
//! 4. Faults are injected by the number of the call: an error, no space, or the crash itself.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hw_journal::{Disk, DiskFile};

use crate::Random;

const SECTOR: usize = 512;

/// What happens at a call that changes the disk (write, allocate, sync, create, rename, remove, sync of names).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails with an input/output error. A failed write or sync leaves a random part of it done.
    Io,
    /// The call fails for want of space.
    NoSpace,
    /// The power goes: this call and all that follow fail until `restart`.
    PowerCut,
}

/// One directory. Cloning gives another handle on the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Platter>>);

struct Platter {
    random: Random,
    files: HashMap<u64, File>,
    next_file: u64,
    /// The directory as the running system sees it, and as the platter has it.
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    calls: u64,
    faults: BTreeMap<u64, Fault>,
    fired: u64,
    powered: bool,
    /// Counts restarts: a file opened before one is dead after it.
    boot: u64,
}

#[derive(Default, Clone)]
struct File {
    cache: Vec<u8>,
    platter: Vec<u8>,
    dirty: BTreeSet<usize>,
}

struct SimFile {
    disk: SimDisk,
    file: u64,
    boot: u64,
}

impl SimDisk {
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Platter {
            random: Random::new(seed),
            files: HashMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            calls: 0,
            faults: BTreeMap::new(),
            fired: 0,
            powered: true,
            boot: 0,
        })))
    }

    /// Calls that changed the disk so far.
    pub fn calls(&self) -> u64 {
        self.platter().calls
    }

    /// Faults that came to pass so far.
    pub fn fired(&self) -> u64 {
        self.platter().fired
    }

    /// Lets the `calls`-th changing call from now fail (1 = the next one).
    pub fn inject(&self, calls: u64, fault: Fault) {
        let mut platter = self.platter();
        let at = platter.calls + calls;
        platter.faults.insert(at, fault);
    }

    pub fn clear_faults(&self) {
        self.platter().faults.clear();
    }

    pub fn is_powered(&self) -> bool {
        self.platter().powered
    }

    /// Cuts the power now, and switches it on again: what was not synced survives in part.
    pub fn crash(&self) {
        let mut platter = self.platter();
        platter.lose_power();
        platter.restart();
    }

    /// Cuts the power now: every call fails until `restart`.
    pub fn cut_power(&self) {
        self.platter().lose_power();
    }

    /// Switches the power on again after a `PowerCut`.
    pub fn restart(&self) {
        self.platter().restart();
    }

    /// The process dies, the machine does not: the cache stays, the handles die.
    pub fn kill(&self) {
        let mut platter = self.platter();
        platter.powered = true;
        platter.boot += 1;
        platter.faults.clear();
    }

    /// A file's bytes as a reader would see them.
    pub fn contents(&self, name: &str) -> Option<Vec<u8>> {
        let platter = self.platter();
        let file = platter.names.get(name)?;
        platter.files.get(file).map(|file| file.cache.clone())
    }

    pub fn file_names(&self) -> Vec<String> {
        self.platter().names.keys().cloned().collect()
    }

    /// Replaces (or makes) a file, durably, outside every count of calls.
    pub fn put(&self, name: &str, contents: &[u8]) {
        let mut platter = self.platter();
        let id = platter.next_file;
        platter.next_file += 1;
        let file = File { cache: contents.to_vec(), platter: contents.to_vec(), dirty: BTreeSet::new() };
        platter.files.insert(id, file);
        platter.names.insert(name.to_owned(), id);
        platter.durable_names.insert(name.to_owned(), id);
    }

    /// Flips one bit of a file, in the cache and on the platter.
    pub fn flip_bit(&self, name: &str, bit: u64) {
        let mut platter = self.platter();
        let Some(&id) = platter.names.get(name) else { panic!("there is no file {name}") };
        let (byte, mask) = ((bit / 8) as usize, 1u8 << (bit % 8));
        if let Some(file) = platter.files.get_mut(&id) {
            for copy in [&mut file.cache, &mut file.platter] {
                if let Some(byte) = copy.get_mut(byte) {
                    *byte ^= mask;
                }
            }
        }
    }

    /// A disk of its own with the same contents, all durable.
    pub fn fork(&self, seed: u64) -> SimDisk {
        let fork = SimDisk::new(seed);
        let platter = self.platter();
        for (name, id) in &platter.names {
            if let Some(file) = platter.files.get(id) {
                fork.put(name, &file.cache);
            }
        }
        drop(platter);
        fork
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, file: u64, boot: u64) -> Arc<dyn DiskFile> {
        Arc::new(SimFile { disk: self.clone(), file, boot })
    }
}

fn no_power() -> io::Error {
    io::Error::other("simulated: the power is off")
}

fn no_file(name: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("simulated: there is no file {name}"))
}

/// What a changing call has to do.
enum Verdict {
    Done,
    /// Do a random part of it, then fail.
    Half(io::Error),
}

impl Platter {
    /// Counts a changing call and says how it goes.
    fn call(&mut self) -> io::Result<Verdict> {
        if !self.powered {
            return Err(no_power());
        }
        self.calls += 1;
        let fault = self.faults.remove(&self.calls);
        self.fired += u64::from(fault.is_some());
        match fault {
            None => Ok(Verdict::Done),
            Some(Fault::Io) => Ok(Verdict::Half(io::Error::from_raw_os_error(5))),
            Some(Fault::NoSpace) => Err(io::Error::from_raw_os_error(28)),
            Some(Fault::PowerCut) => {
                self.powered = false;
                Ok(Verdict::Half(no_power()))
            }
        }
    }

    fn readable(&self, boot: u64) -> io::Result<()> {
        if self.powered && self.boot == boot { Ok(()) } else { Err(no_power()) }
    }

    fn lose_power(&mut self) {
        self.powered = false;
    }

    /// Each name that differs falls back to what the platter has, or does not.
    fn keep_some_names(&mut self) {
        let names: BTreeSet<String> = self.names.keys().chain(self.durable_names.keys()).cloned().collect();
        let mut survived = self.durable_names.clone();
        let mut used: BTreeSet<u64> = BTreeSet::new();
        for name in names {
            let (now, durable) = (self.names.get(&name).copied(), self.durable_names.get(&name).copied());
            if now != durable && self.random.one_in(2) {
                match now {
                    Some(file) => survived.insert(name.clone(), file),
                    None => survived.remove(&name),
                };
            }
        }
        // A rename moves one file: it never ends up under two names, and it is lost only if it was removed.
        survived.retain(|_, file| used.insert(*file));
        for (name, file) in &self.durable_names {
            let removed = !self.names.values().any(|named| named == file);
            if !used.contains(file) && !removed && !survived.contains_key(name) {
                survived.insert(name.clone(), *file);
                used.insert(*file);
            }
        }
        self.durable_names = survived;
    }

    fn restart(&mut self) {
        self.keep_some_names();
        let survived = self.durable_names.clone();
        let used: BTreeSet<u64> = survived.values().copied().collect();
        self.files.retain(|id, _| used.contains(id));
        let mut ids: Vec<u64> = self.files.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(file) = self.files.get_mut(&id) else { continue };
            let dirty = std::mem::take(&mut file.dirty);
            // Crashes differ in kind: most of it is there, little of it, or half.
            let keep_of_8 = [0, 1, 4, 7, 8][self.random.below(5) as usize];
            for sector in dirty {
                if self.random.below(8) < keep_of_8 {
                    file.persist(sector);
                }
            }
            file.cache = file.platter.clone();
        }
        self.names = survived;
        self.powered = true;
        self.boot += 1;
        self.faults.clear();
    }
}

impl File {
    fn write(&mut self, bytes: &[u8], position: usize) {
        let end = position + bytes.len();
        if self.cache.len() < end {
            self.cache.resize(end, 0);
        }
        self.cache[position..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.dirty.extend(position / SECTOR..=(end - 1) / SECTOR);
        }
    }

    /// Copies one sector of the cache to the platter.
    fn persist(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.cache.len());
        if start >= end {
            return;
        }
        if self.platter.len() < end {
            self.platter.resize(end, 0);
        }
        self.platter[start..end].copy_from_slice(&self.cache[start..end]);
    }
}

impl Disk for SimDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut platter = self.platter();
        let boot = platter.boot;
        platter.readable(boot)?;
        if let Some(&file) = platter.names.get(name) {
            drop(platter);
            return Ok(self.file(file, boot));
        }
        if !create {
            return Err(no_file(name));
        }
        let verdict = platter.call()?;
        let id = platter.next_file;
        platter.next_file += 1;
        platter.files.insert(id, File::default());
        platter.names.insert(name.to_owned(), id);
        drop(platter);
        match verdict {
            Verdict::Done => Ok(self.file(id, boot)),
            Verdict::Half(error) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let platter = self.platter();
        platter.readable(platter.boot)?;
        Ok(platter.names.keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut platter = self.platter();
        let verdict = platter.call()?;
        let file = platter.names.remove(from).ok_or_else(|| no_file(from))?;
        platter.names.insert(to.to_owned(), file);
        match verdict {
            Verdict::Done => Ok(()),
            Verdict::Half(error) => Err(error),
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut platter = self.platter();
        let verdict = platter.call()?;
        platter.names.remove(name).ok_or_else(|| no_file(name))?;
        match verdict {
            Verdict::Done => Ok(()),
            Verdict::Half(error) => Err(error),
        }
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut platter = self.platter();
        match platter.call()? {
            Verdict::Done => {
                platter.durable_names = platter.names.clone();
                Ok(())
            }
            Verdict::Half(error) => {
                platter.keep_some_names();
                Err(error)
            }
        }
    }
}

impl SimFile {
    fn with<T>(&self, act: impl FnOnce(&mut Platter) -> io::Result<T>) -> io::Result<T> {
        let mut platter = self.disk.platter();
        platter.readable(self.boot)?;
        act(&mut platter)
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(|platter| Ok(platter.files.get(&self.file).map_or(0, |file| file.cache.len() as u64)))
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        self.with(|platter| {
            let Some(file) = platter.files.get(&self.file) else { return Ok(0) };
            let start = (position as usize).min(file.cache.len());
            let end = (start + buffer.len()).min(file.cache.len());
            buffer[..end - start].copy_from_slice(&file.cache[start..end]);
            Ok(end - start)
        })
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.with(|platter| {
            let (bytes, result) = match platter.call()? {
                Verdict::Done => (bytes, Ok(())),
                Verdict::Half(error) => {
                    let part = platter.random.below(bytes.len() as u64 + 1) as usize;
                    (&bytes[..part], Err(error))
                }
            };
            platter.files.entry(self.file).or_default().write(bytes, position as usize);
            result
        })
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.with(|platter| {
            if let Verdict::Half(error) = platter.call()? {
                return Err(error);
            }
            let file = platter.files.entry(self.file).or_default();
            let old = file.cache.len();
            if old < len as usize {
                file.cache.resize(len as usize, 0);
                file.dirty.extend(old / SECTOR..=(len as usize - 1) / SECTOR);
            }
            Ok(())
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.with(|platter| {
            let verdict = platter.call()?;
            let mut random = platter.random.clone();
            let file = platter.files.entry(self.file).or_default();
            // After a failed sync the kernel counts the pages as clean: some reached the platter, the others
            // never will, however often it is asked again.
            let failed = matches!(verdict, Verdict::Half(_));
            for sector in std::mem::take(&mut file.dirty) {
                if !failed || random.one_in(2) {
                    file.persist(sector);
                }
            }
            platter.random = random;
            match verdict {
                Verdict::Done => Ok(()),
                Verdict::Half(error) => Err(error),
            }
        })
    }
}
