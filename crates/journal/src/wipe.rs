//! A wipe: what was appended until now leaves the disk, byte by byte, as soon as it is released.
//!
//! 1. `begin`: from now on no file that has been a segment becomes one again. A new one is made between appends, and then the
//!    open segment is closed.
//! 2. The caller sees to it that everything through `through` is released.
//! 3. `step`, until nothing is left: files that nothing refers to are overwritten with zeros, synced and removed. Those that
//!    somebody reads are asked for.
//!
//! Always: appends go on meanwhile; dropping it ends it, and once no wipe is left segments are recycled as ever, but for files
//! that one has begun to overwrite: they are left to the next. Wipes may overlap; each is done when all its files are gone.
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
    BeginWipe,
    Prepare(oneshot::Sender<bool>),
    CloseSegment(oneshot::Sender<Result<(Seq, Arc<dyn Disk>), Arc<io::Error>>>),
    Wipe(Seq, oneshot::Sender<Result<Wiping, Arc<io::Error>>>),
    /// The file of this name is gone.
    Wiped(String),
    EndWipe,
    Copy(oneshot::Sender<io::Result<JournalCopy>>),
}

impl Request {
    // Whoever asked may have gone: then nobody waits for the answer.
    pub(crate) fn serve(self, core: &mut Core) {
        match self {
            Request::BeginWipe => core.begin_wipe(),
            Request::Prepare(answer) => {
                let _ = answer.send(core.prepare());
            }
            Request::CloseSegment(answer) => {
                let closed = core.close_segment().map(|through| (through, core.disk()));
                let _ = answer.send(closed);
            }
            Request::Wipe(through, answer) => {
                let _ = answer.send(core.wipe(through));
            }
            Request::Wiped(name) => core.wiped(&name),
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
    journal: Begun,
    disk: Arc<dyn Disk>,
    through: Seq,
    files: usize,
    bytes: u64,
}

/// A journal in which a wipe has begun; the wipe ends with it.
struct Begun(Journal);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.request(Request::EndWipe);
    }
}

impl Wipe {
    pub(crate) async fn begin(journal: Journal) -> Result<Wipe, AppendError> {
        journal.request(Request::BeginWipe);
        let journal = Begun(journal);
        // The zeros of a whole segment at once would be a tenth of a second in which nothing is acknowledged.
        while journal.0.ask(Request::Prepare).await.ok_or(AppendError::Closed)? {}
        let closed = journal.0.ask(Request::CloseSegment).await.ok_or(AppendError::Closed)?;
        let (through, disk) = closed.map_err(AppendError::Disk)?;
        Ok(Wipe { journal, disk, through, files: 0, bytes: 0 })
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
        let asked = self.journal.0.ask(|answer| Request::Wipe(through, answer)).await;
        let wiping = asked.ok_or(AppendError::Closed)?.map_err(AppendError::Disk)?;
        for name in wiping.files {
            let (disk, file) = (self.disk.clone(), name.clone());
            let overwritten = tokio::task::spawn_blocking(move || overwrite(&*disk, &file)).await;
            let overwritten = overwritten.unwrap_or_else(|_| Err(io::Error::other("overwriting panicked")));
            match overwritten {
                // Another wipe was there first.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(AppendError::Disk(Arc::new(error))),
                Ok(bytes) => {
                    self.bytes += bytes;
                    self.files += 1;
                }
            }
            self.journal.0.request(Request::Wiped(name));
        }
        Ok(match (wiping.kept, wiping.read) {
            (0, 0) => WipeState::Done,
            (0, read) => WipeState::Read(read),
            (kept, _) => WipeState::Unreleased(kept),
        })
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
