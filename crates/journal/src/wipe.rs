//! A wipe: what was appended until now leaves the disk, byte by byte, as soon as it is released.
//!
//! 1. `begin`: the open segment is closed; from now on no file that has been a segment becomes one again.
//! 2. The caller sees to it that everything through `through` is released.
//! 3. `step`, until nothing is left: files that nothing refers to are overwritten with zeros, synced and removed. Those that
//!    somebody reads are asked for.
//!
//! Always: appends go on meanwhile; dropping it ends it, and what is not wiped is then recycled as ever.
//! A disk may keep old copies of a block where no file system sees them: that is beyond a file's reach.

use std::{io, sync::Arc};

use hw_event::Seq;
use tokio::sync::oneshot;

use crate::{
    AppendError, Core, Disk, Journal, JournalCopy,
    copy::copy,
    core::{
        files::{SYNC_EVERY, write_zeros},
        wipe::Wiping,
    },
};

/// What the writer is asked to do between two groups.
pub(crate) enum Request {
    BeginWipe(oneshot::Sender<Result<(Seq, Arc<dyn Disk>), Arc<io::Error>>>),
    Wipe(Seq, oneshot::Sender<Result<Wiping, Arc<io::Error>>>),
    EndWipe,
    Copy(oneshot::Sender<io::Result<JournalCopy>>),
}

impl Request {
    // Whoever asked may have gone: then nobody waits for the answer.
    pub(crate) fn serve(self, core: &mut Core) {
        match self {
            Request::BeginWipe(answer) => {
                let begun = core.begin_wipe().map(|through| (through, core.disk()));
                let _ = answer.send(begun);
            }
            Request::Wipe(through, answer) => {
                let _ = answer.send(core.wipe(through));
            }
            Request::EndWipe => core.end_wipe(),
            Request::Copy(answer) => {
                let _ = answer.send(copy(core));
            }
        }
    }
}

/// What is left of a wipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WipeState {
    Done,
    /// So many segments hold appends that are not released.
    Unreleased(usize),
    /// So many segments are being read.
    Read(usize),
}

pub struct Wipe {
    journal: Journal,
    disk: Arc<dyn Disk>,
    through: Seq,
    /// Files that are still to be overwritten.
    waiting: Vec<String>,
    files: usize,
    bytes: u64,
}

impl Wipe {
    pub(crate) async fn begin(journal: Journal) -> Result<Wipe, AppendError> {
        let begun = journal.ask(Request::BeginWipe).await.ok_or(AppendError::Closed)?;
        let (through, disk) = match begun {
            Ok(begun) => begun,
            Err(error) => {
                journal.request(Request::EndWipe);
                return Err(AppendError::Disk(error));
            }
        };
        Ok(Wipe { journal, disk, through, waiting: Vec::new(), files: 0, bytes: 0 })
    }

    /// The last append that goes.
    pub fn through(&self) -> Seq {
        self.through
    }

    /// The files and the bytes that were overwritten.
    pub fn wiped(&self) -> (usize, u64) {
        (self.files, self.bytes)
    }

    /// What can be done now. After an error it may be tried again.
    pub async fn step(&mut self) -> Result<WipeState, AppendError> {
        let through = self.through;
        let asked = self.journal.ask(|answer| Request::Wipe(through, answer)).await;
        let wiping = asked.ok_or(AppendError::Closed)?.map_err(AppendError::Disk)?;
        self.waiting.extend(wiping.files);
        while let Some(name) = self.waiting.last().cloned() {
            let disk = self.disk.clone();
            let overwritten = tokio::task::spawn_blocking(move || overwrite(&*disk, &name)).await;
            let overwritten = overwritten.unwrap_or_else(|_| Err(io::Error::other("overwriting panicked")));
            self.bytes += overwritten.map_err(|error| AppendError::Disk(Arc::new(error)))?;
            self.files += 1;
            self.waiting.pop();
        }
        Ok(match (wiping.kept, wiping.read) {
            (0, 0) => WipeState::Done,
            (0, read) => WipeState::Read(read),
            (kept, _) => WipeState::Unreleased(kept),
        })
    }
}

impl Drop for Wipe {
    fn drop(&mut self) {
        self.journal.request(Request::EndWipe);
    }
}

/// Returns the file's bytes.
fn overwrite(disk: &dyn Disk, name: &str) -> io::Result<u64> {
    let file = disk.open(name, false)?;
    let bytes = file.len()?;
    for start in (0..bytes).step_by(SYNC_EVERY as usize) {
        write_zeros(file.as_ref(), start, bytes.min(start + SYNC_EVERY))?;
        file.sync()?;
    }
    disk.remove(name)?;
    disk.sync_dir()?;
    Ok(bytes)
}
