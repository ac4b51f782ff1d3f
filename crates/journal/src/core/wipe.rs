//! Making what was released unreadable: segment files lose their bytes, not only their names.
//! Always: between `begin_wipe` and `end_wipe` no file that has been a segment is written again, so nothing of its past
//! can stand behind the end of an open one. Overwriting is not done here: it takes time, and appends would wait for it.

use super::*;

/// What is left to do of a wipe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Wiping {
    /// Free files, to be overwritten and removed.
    pub files: Vec<String>,
    /// Segments that hold an append which is to go, and are kept still.
    pub kept: usize,
    /// Segments that were released and that somebody reads.
    pub read: usize,
}

impl Core {
    /// From now on a free file is one that has never been a segment.
    pub(crate) fn begin_wipe(&mut self) {
        self.files.begin_wipe();
    }

    /// Every append through the one returned is in a segment that nothing more is written to.
    pub(crate) fn close_segment(&mut self) -> Result<Seq, Arc<io::Error>> {
        // Also an open segment without an append may be a file that was one before.
        self.rotate(0, 0).map_err(|error| self.note(error))?;
        Ok(self.last)
    }

    /// Takes out of use what is released by now of the appends through `through`.
    pub(crate) fn wipe(&mut self, through: Seq) -> Result<Wiping, Arc<io::Error>> {
        if self.claims() != self.claimed {
            if self.fits(0, 0) {
                self.seal()?;
            } else {
                self.rotate(0, 0).map_err(|error| self.note(error))?;
            }
        }
        self.files.take_back(self.shelf.retire(self.claimed.released));
        self.files.want_back(0);
        Ok(Wiping {
            files: self.files.given_up(),
            kept: self.shelf.segments_from(through),
            read: self.files.leased(),
        })
    }

    /// The file is overwritten and removed.
    pub(crate) fn wiped(&mut self, name: &str) {
        self.files.forget(name);
    }

    pub(crate) fn end_wipe(&mut self) {
        self.files.end_wipe();
    }

    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }
}
