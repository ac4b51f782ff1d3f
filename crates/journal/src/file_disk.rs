//! A directory of the machine's file system as a disk. Linux: `fdatasync`, `fallocate`, sync of the directory.
//! That one process alone uses the directory is its caller's care.

use std::{
    fs, io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{FallocateFlags, fallocate, fdatasync};

use crate::{Disk, DiskFile};

pub struct FileDisk {
    directory: PathBuf,
    /// Kept open: its sync makes names durable.
    handle: fs::File,
    writable: bool,
}

impl FileDisk {
    /// Opens `directory`, making it where it is missing.
    pub fn open(directory: &Path) -> io::Result<FileDisk> {
        if !directory.is_dir() {
            fs::create_dir_all(directory)?;
            if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                fs::File::open(parent)?.sync_all()?;
            }
        }
        let handle = fs::File::open(directory)?;
        Ok(FileDisk { directory: directory.into(), handle, writable: true })
    }

    /// Opens a directory that is there, to look and not to touch: whatever would change it is refused.
    pub fn read_only(directory: &Path) -> io::Result<FileDisk> {
        let handle = fs::File::open(directory)?;
        Ok(FileDisk { directory: directory.into(), handle, writable: false })
    }

    fn writable(&self) -> io::Result<()> {
        if self.writable { Ok(()) } else { Err(io::ErrorKind::ReadOnlyFilesystem.into()) }
    }
}

impl Disk for FileDisk {
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = fs::OpenOptions::new()
            .read(true)
            .write(self.writable)
            .create(create && self.writable)
            .truncate(false)
            .mode(0o600)
            .open(self.directory.join(name))?;
        Ok(Arc::new(OpenFile(file)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            // A name that is no UTF-8 is none of ours.
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.writable()?;
        fs::rename(self.directory.join(from), self.directory.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.writable()?;
        fs::remove_file(self.directory.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

struct OpenFile(fs::File);

impl DiskFile for OpenFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], position + read as u64) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, position)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        let old = self.0.metadata()?.len();
        if old >= len {
            return Ok(());
        }
        match fallocate(&self.0, FallocateFlags::empty(), 0, len) {
            // File systems without it (some network and FUSE ones): writing the zeros reserves the room.
            Err(rustix::io::Errno::OPNOTSUPP) => self.0.set_len(len),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fdatasync(&self.0)?)
    }
}
