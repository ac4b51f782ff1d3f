//! A journal's files as they were found, before anything is written: for those who must look before they act.
//! Always: reading changes nothing: no torn tail is cut, no file is removed, no epoch begins.
//! Opening it for writing is `Journal::open_found`; a look at its contents alone is `Journal::inspect`.

use hw_event::Seq;

use crate::{
    Damage, Disk, OpenError, Recovered,
    recovery::{self, Recovery},
    segment::segment_name,
};

/// What recovery learned from the files of one directory.
pub struct Found {
    pub(crate) recovery: Option<Recovery>,
}

impl Found {
    /// Reads the files as an opening would.
    pub fn read(disk: &dyn Disk) -> Result<Found, OpenError> {
        Ok(Found { recovery: recovery::recover(disk)? })
    }

    /// There is no journal yet: opening makes one.
    pub fn is_new(&self) -> bool {
        self.recovery.is_none()
    }

    pub fn journal_id(&self) -> Option<u128> {
        self.recovery.as_ref().map(|recovery| recovery.journal_id)
    }

    /// The last append; 0 where there is none.
    pub fn last(&self) -> Seq {
        self.recovery.as_ref().map_or(Seq::ZERO, |recovery| recovery.last)
    }

    pub fn damage(&self) -> &[Damage] {
        self.recovery.as_ref().map_or(&[], |recovery| &recovery.damage)
    }

    /// The file that the journal ends in.
    pub fn newest_file(&self) -> Option<&str> {
        self.recovery.as_ref()?.segments.last().map(|segment| segment.file.name.as_str())
    }

    /// The name of the file that would follow the newest one: if the journal ends too early, it may be this that is gone.
    pub fn following_file(&self) -> Option<String> {
        Some(segment_name(self.recovery.as_ref()?.number_max + 1))
    }

    /// The byte of the newest file from which on no later frame says that a sync has returned: the last group, unless the
    /// journal was closed or rested. Damage to it cannot be told from a write that was torn.
    pub fn unproven_from(&self) -> Option<u64> {
        self.recovery.as_ref().map(|recovery| recovery.tail.unsure_from)
    }

    /// What an opening would cut off.
    pub fn cut_bytes(&self) -> u64 {
        self.recovery.as_ref().map_or(0, |recovery| recovery.tail.torn_end - recovery.tail.end)
    }
}

/// What an opening tells, without the opening: the epoch is the last one's.
pub(crate) fn recovered(recovery: &Recovery) -> Recovered {
    let mut keys = recovery.filed_keys.clone();
    keys.extend(recovery.tail_keys.iter().cloned());
    keys.retain(|(seq, _)| *seq > recovery.state.keys_released);
    Recovered {
        journal_id: recovery.journal_id,
        boot_epoch: recovery.epoch,
        last: recovery.last,
        next_offsets: recovery.state.next_offsets.clone(),
        positions: recovery.state.positions.clone(),
        keys,
        cut_bytes: recovery.tail.torn_end - recovery.tail.end,
        damage: recovery.damage.clone(),
    }
}
