//! The directory door: files that are put into a directory are read, once each, and stay where they are.
//! Always: how far a file is counted travels in the append that holds its events, so that a line counts once,
//! whenever the process dies; one file at a time, one batch of it under way, so that its lines keep their order.
//! Does not refuse: what cannot be stored yet waits. Changes, moves and removes no file; follows no link.
//!
//! A file is known by its content. Steps: 1. wait until it has come to rest (`scan`); 2. hash it (`content`); 3. how
//! far is this content counted (`progress`)? 4. read on from there, in batches (`reader`); 5. submit each with its
//! position; 6. now and then write the list of what is counted (`list`), and end the positions it has taken over.

mod content;
mod counting;
mod list;
mod progress;
mod reader;
mod scan;

use std::{
    collections::HashMap,
    ffi::OsStr,
    io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use hw_journal::Disk;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use self::{
    content::Unread,
    progress::Book,
    scan::{Entry, RETRY, Ready, Scan},
};
pub use self::{
    list::ListError,
    scan::{FILES_MAX, HALF_PATIENCE, REST},
};
use crate::Gate;

/// The directory is looked at this often, and at most a tenth of the time.
pub const SCAN_EVERY: Duration = Duration::from_millis(500);
const SCAN_PART: u32 = 10;
/// A list that says less than is known is written after this, if nothing has made it due before.
const LIST_EVERY: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct DirectorySettings {
    /// The directory's name in the configuration.
    pub name: String,
    pub path: PathBuf,
    pub stream: String,
}

/// What one look at the directory came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scanned {
    /// Files read to their end.
    pub read: u64,
    /// Files whose content was counted before, under another name or in another file.
    pub known: u64,
    pub events: u64,
    pub rejected: u64,
}

pub struct DirectoryDoor {
    gate: Gate,
    settings: DirectorySettings,
    /// In the ledger: `directory.NAME`.
    door: Arc<str>,
    /// Holds the list, under the directory's name.
    disk: Arc<dyn Disk>,
    book: Book,
    scan: Scan,
    /// Whether the directory could be listed the last time.
    present: bool,
    /// Said already: there are too many files; the list cannot be written.
    cut_short: bool,
    list_fails: bool,
    /// When the list was last written, and when the long gone were last forgotten.
    listed_at: Duration,
    /// How long the last listing took.
    look_took: Duration,
    stop: CancellationToken,
}

/// The server is stopping.
struct Stopped;

impl DirectoryDoor {
    /// Takes up where the journal's positions and the list in `disk` say. Blocks.
    pub fn open(
        gate: Gate,
        settings: DirectorySettings,
        disk: Arc<dyn Disk>,
        positions: &HashMap<Bytes, Bytes>,
        stop: CancellationToken,
    ) -> Result<DirectoryDoor, ListError> {
        let book = Book::open(&settings.name, &*disk, positions)?;
        let door = format!("directory.{}", settings.name).into();
        Ok(DirectoryDoor {
            gate,
            settings,
            door,
            disk,
            book,
            scan: Scan::default(),
            present: true,
            cut_short: false,
            list_fails: false,
            listed_at: Duration::ZERO,
            look_took: Duration::ZERO,
            stop,
        })
    }

    /// Reads until `stop`; a batch that is under way is finished.
    pub async fn serve(mut self) {
        let began = Instant::now();
        while !self.stop.is_cancelled() {
            let scanned = self.scan(began.elapsed()).await;
            if scanned.read > 0 {
                let Scanned { read, known, events, rejected } = scanned;
                tracing::info!(directory = %self.settings.name, files = read, known, events, rejected, "files were read");
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(SCAN_EVERY.max(self.look_took * SCAN_PART)) => {}
            }
        }
        if self.book.is_changed() {
            self.write_list().await;
        }
    }

    /// Looks at the directory once, `now` after the door was opened, and reads what has come to rest.
    pub async fn scan(&mut self, now: Duration) -> Scanned {
        let mut scanned = Scanned::default();
        if !self.keep_list(now).await {
            return scanned;
        }
        let Some(ready) = self.look(now).await else { return scanned };
        let mut waiting = ready.len();
        for file in &ready {
            // Each file can add a position to the journal: none is read while the list cannot take them over.
            if !self.keep_list(now).await || self.read(file, now, &mut scanned).await.is_err() {
                break;
            }
            waiting -= 1;
            self.gauge("headwater_directory_waiting_files", waiting);
        }
        self.gauge("headwater_directory_waiting_files", waiting);
        scanned
    }

    /// Lists the directory; returns the files that are ready. `None`: it cannot be listed, or holds too many.
    async fn look(&mut self, now: Duration) -> Option<Vec<Ready>> {
        let (path, began) = (self.settings.path.clone(), Instant::now());
        let listing = spawn_blocking(move || scan::list(&path, FILES_MAX)).await;
        let listing = listing.unwrap_or_else(|error| Err(io::Error::other(error)));
        self.look_took = began.elapsed();
        let directory = &self.settings.name;
        let listing = match listing {
            Ok(listing) => listing,
            Err(error) => {
                if self.present {
                    tracing::error!(%directory, path = ?self.settings.path, %error, "the directory cannot be listed; \
                        it is read on when it is back");
                }
                self.present = false;
                self.gauge("headwater_directory_present", 0);
                return None;
            }
        };
        if !self.present {
            tracing::info!(%directory, "the directory is back");
        }
        self.present = true;
        self.gauge("headwater_directory_present", 1);
        if listing.cut {
            if !self.cut_short {
                tracing::error!(
                    %directory, files_max = FILES_MAX,
                    "the directory holds too many files: none is read until those that are read were moved away"
                );
            }
            self.cut_short = true;
            return None;
        }
        self.cut_short = false;
        let book = &self.book;
        let ready = self.scan.step(listing.entries, now, |name, stat| book.is_counted(name, stat));
        let scan = &self.scan;
        self.book.retain_files(|name| scan.contains(name));
        for (name, entry) in self.scan.strangers() {
            let what = if entry == Entry::Link { "it is a symbolic link" } else { "it is no regular file" };
            if self.scan.is_news(&name, what) {
                tracing::warn!(%directory, file = ?name, "not read: {what}");
            }
        }
        self.gauge("headwater_directory_files", self.scan.len());
        Some(ready)
    }

    /// Writes the list where it is due, and once a minute. `false`: it is due and cannot be written.
    async fn keep_list(&mut self, now: Duration) -> bool {
        let due = self.book.list_is_due();
        if now >= self.listed_at + LIST_EVERY {
            self.listed_at = now;
            self.book.forget(self.gate.clock().now());
        } else if !due {
            return true;
        }
        !self.book.is_changed() || self.write_list().await || !due
    }

    async fn write_list(&mut self) -> bool {
        let (name, disk, bytes) = (self.settings.name.clone(), self.disk.clone(), self.book.list());
        let written = spawn_blocking(move || Book::write_list(&name, &*disk, &bytes)).await;
        let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
        match &written {
            Ok(()) => {
                self.book.list_is_written();
                self.list_fails = false;
            }
            Err(error) if !self.list_fails => {
                tracing::error!(directory = %self.settings.name, %error, "the list of files read cannot be written");
                self.list_fails = true;
            }
            Err(_) => {}
        }
        written.is_ok()
    }

    /// Says once why a file is not read, and leaves it alone for a while.
    fn cannot_read(&mut self, file: &OsStr, now: Duration, why: &Unread) {
        self.scan.retry(file, now + RETRY);
        let what = why.to_string();
        if self.scan.is_news(file, &what) {
            self.count_up("headwater_directory_files_unread_total");
            tracing::warn!(directory = %self.settings.name, ?file, "not read: {what}");
        }
    }

    fn gauge(&self, name: &'static str, value: usize) {
        metrics::gauge!(name, "directory" => self.settings.name.clone()).set(value as f64);
    }

    fn count_up(&self, name: &'static str) {
        metrics::counter!(name, "directory" => self.settings.name.clone()).increment(1);
    }
}
