//! The memory of the statement in this process: what the engine counts, and what it does not.
//! Always: what the engine counts was granted by the server before it is used. What it does not count is seen a few
//! milliseconds later in the size of the process, and then granted, or the process ends.

use std::{
    fmt,
    fs::File,
    io,
    os::unix::fs::FileExt,
    process,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use datafusion::{
    error::{DataFusionError, Result},
    execution::memory_pool::{MemoryLimit, MemoryPool, MemoryReservation},
};

use super::link::Link;

/// What is asked for at a time.
const CHUNK: usize = 8 * 1024 * 1024;
/// A process may have so much that nobody counts: its code's data, footers of files, batches between two operators.
const UNCOUNTED_BYTES: usize = 96 * 1024 * 1024;
/// A process that keeps more than this when it is idle is not used again.
const IDLE_BYTES_MAX: usize = 64 * 1024 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(5);

#[derive(Debug, Clone)]
pub(super) struct Grants(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    link: Arc<Link>,
    bytes_max: usize,
    size: Size,
    // A std mutex: held while the server answers, so that two threads do not both ask for the same.
    held: Mutex<Held>,
    begun: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    counted: usize,
    /// For what is counted …
    granted: usize,
    /// … and for what is not.
    covered: usize,
    /// A statement is running.
    running: bool,
}

impl Grants {
    /// Starts the thread that looks at the process's size.
    pub(super) fn start(link: Arc<Link>, size: Size, bytes_max: usize) -> io::Result<Grants> {
        size.own_bytes()?;
        let shared = Shared { link, bytes_max, size, held: Mutex::default(), begun: Condvar::new() };
        let grants = Grants(Arc::new(shared));
        let watched = grants.clone();
        thread::Builder::new().name("hw-query-size".to_owned()).spawn(move || watched.watch())?;
        Ok(grants)
    }

    pub(super) fn begin(&self) {
        self.held().running = true;
        self.0.begun.notify_one();
    }

    /// Gives everything back. Whether the process is small enough for another statement.
    pub(super) fn finish(&self) -> bool {
        let mut held = self.held();
        held.running = false;
        let Held { granted, covered, counted, .. } = &mut *held;
        let surplus = granted.saturating_sub(*counted) + *covered;
        *granted = (*counted).min(*granted);
        *covered = 0;
        if surplus > 0 {
            self.0.link.give_back(surplus);
        }
        self.0.size.own_bytes().is_ok_and(|bytes| bytes <= IDLE_BYTES_MAX)
    }

    fn watch(&self) {
        loop {
            let mut held = self.held();
            while !held.running {
                held = self.0.begun.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
            // What cannot be measured must not run on.
            let Ok(bytes) = self.0.size.own_bytes() else { process::abort() };
            let known = UNCOUNTED_BYTES + held.granted + held.covered;
            if bytes > known {
                let more = (bytes - known).next_multiple_of(CHUNK);
                let exactly = bytes - known;
                match () {
                    () if self.0.link.take(more) => held.covered += more,
                    () if self.0.link.cover(exactly) => held.covered += exactly,
                    // The server knows why: it has just said so.
                    () => process::abort(),
                }
            }
            drop(held);
            thread::sleep(LOOK_EVERY);
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Measures this process.
#[derive(Debug)]
pub(super) struct Size(File);

impl Size {
    pub(super) fn open() -> io::Result<Size> {
        Ok(Size(File::open("/proc/self/status")?))
    }

    /// Bytes of memory that are this process's alone. The file is made anew each time it is read.
    fn own_bytes(&self) -> io::Result<usize> {
        let mut text = [0; 4096];
        let length = self.0.read_at(&mut text, 0)?;
        let text = String::from_utf8_lossy(&text[..length]);
        let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
        kib.and_then(|kib| kib.checked_mul(1024)).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("grants")
    }
}

impl MemoryPool for Grants {
    fn name(&self) -> &str {
        "grants"
    }

    fn grow(&self, _: &MemoryReservation, additional: usize) {
        let mut held = self.held();
        held.counted = held.counted.saturating_add(additional);
        let missing = held.counted.saturating_sub(held.granted);
        // It is taken already; if there is no grant for it, the next that asks is refused.
        if missing > 0 && self.0.link.take(missing) {
            held.granted += missing;
        }
    }

    fn shrink(&self, _: &MemoryReservation, shrink: usize) {
        let mut held = self.held();
        held.counted = held.counted.saturating_sub(shrink);
        let surplus = held.granted.saturating_sub(held.counted);
        if surplus > 3 * CHUNK {
            let back = surplus - CHUNK;
            held.granted -= back;
            self.0.link.give_back(back);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let mut held = self.held();
        let counted = held.counted.saturating_add(additional);
        let missing = counted.saturating_sub(held.granted);
        if missing > 0 {
            let chunks = missing.checked_next_multiple_of(CHUNK).unwrap_or(missing);
            let granted = [chunks, missing].into_iter().find(|bytes| self.0.link.take(*bytes));
            let Some(granted) = granted else {
                return Err(DataFusionError::ResourcesExhausted(format!(
                    "{} needs {additional} bytes more than the {} it has; it was {} bytes for all statements together",
                    reservation.consumer().name(),
                    reservation.size(),
                    self.0.bytes_max
                )));
            };
            held.granted += granted;
        }
        held.counted = counted;
        Ok(())
    }

    fn reserved(&self) -> usize {
        self.held().counted
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.0.bytes_max)
    }
}
