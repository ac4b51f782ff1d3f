//! The disk as a value: what the journal asks of one, so that a simulation can be one.

use std::{io, sync::Arc};

/// One directory, flat. Names hold no separator.
/// A created, renamed or removed name survives a power cut only after `sync_dir`.
pub trait Disk: Send + Sync {
    /// Opens for reading and writing; with `create`, makes an empty file where there is none.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;
    fn list(&self) -> io::Result<Vec<String>>;
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    fn sync_dir(&self) -> io::Result<()>;
}

/// An open file. Positions are bytes from its start.
#[expect(clippy::len_without_is_empty, reason = "a file is measured, never asked whether it is empty")]
pub trait DiskFile: Send + Sync {
    fn len(&self) -> io::Result<u64>;
    /// Reads until `buffer` is full or the file ends; returns the bytes read.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;
    /// Reserves room up to `len` bytes, reading as zeros: a later write within it does not fail for want of space.
    fn allocate(&self, len: u64) -> io::Result<()>;
    /// What was written survives a power cut once this returns `Ok`. After an error nothing is known, and
    /// asking again proves nothing: the file must be given up.
    fn sync(&self) -> io::Result<()>;
}
