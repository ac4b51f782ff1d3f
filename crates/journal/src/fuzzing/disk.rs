//! A disk in memory that never fails, so that only what stands on it can.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::{Disk, DiskFile};

type Contents = Arc<Mutex<Vec<u8>>>;

#[derive(Default)]
pub(super) struct MemoryDisk(Mutex<BTreeMap<String, Contents>>);

struct MemoryFile(Contents);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl MemoryDisk {
    pub(super) fn put(&self, name: &str, contents: Vec<u8>) {
        lock(&self.0).insert(name.to_owned(), Arc::new(Mutex::new(contents)));
    }

    pub(super) fn files(&self) -> Vec<(String, Vec<u8>)> {
        lock(&self.0).iter().map(|(name, contents)| (name.clone(), lock(contents).clone())).collect()
    }
}

impl Disk for MemoryDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let mut files = lock(&self.0);
        match files.get(name) {
            Some(contents) => Ok(Arc::new(MemoryFile(Arc::clone(contents)))),
            None if create => {
                let contents = Contents::default();
                files.insert(name.to_owned(), Arc::clone(&contents));
                Ok(Arc::new(MemoryFile(contents)))
            }
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(lock(&self.0).keys().cloned().collect())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut files = lock(&self.0);
        let contents = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), contents);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        lock(&self.0).remove(name).map(|_| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for MemoryFile {
    fn len(&self) -> io::Result<u64> {
        Ok(lock(&self.0).len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let contents = lock(&self.0);
        let start = usize::try_from(position).map_or(contents.len(), |start| start.min(contents.len()));
        let read = buffer.len().min(contents.len() - start);
        buffer[..read].copy_from_slice(&contents[start..start + read]);
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut contents = lock(&self.0);
        let start = usize::try_from(position).map_err(io::Error::other)?;
        let end = start + bytes.len();
        if contents.len() < end {
            contents.resize(end, 0);
        }
        contents[start..end].copy_from_slice(bytes);
        Ok(())
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let mut contents = lock(&self.0);
        let len = usize::try_from(len).map_err(io::Error::other)?;
        if contents.len() < len {
            contents.resize(len, 0);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
