//! Bugs that can be planted where they would live, so that the simulation can prove that it finds them.
//! Always: without the feature `sabotage`, which only a dev-dependency may ask for, `armed` is a constant `false` and
//! nothing of this is compiled in. With it, a bug acts only on the thread that armed it: no setting, argument or
//! variable of the environment is read.

/// One planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Bug {
    /// A producer hears `disk` once its append is written.
    AckBeforeSync,
    /// A sync that failed is asked for once more, and believed.
    SyncRetried,
    /// A frame's checksum is not compared.
    CrcUnchecked,
    /// A frame's checksum does not begin with its segment's incarnation.
    CrcUnseeded,
    /// Recovery cuts the last whole append off with the torn tail.
    TailCutTooFar,
    /// Recovery takes damage below what was durable for a torn tail.
    DamageCutAsTail,
    /// Rows go in one append, their rejects and records in the next.
    RowsWithoutRejects,
    /// The log may forget what the lake is only about to commit.
    RecycleBeforeLakeSync,
    /// A new segment begins with an empty snapshot.
    RecycleWithoutSnapshot,
    /// A commit claims one append more than it holds.
    PositionAhead,
    /// The position travels in a commit of its own, after the rows.
    TxnInItsOwnCommit,
    /// A commit's name is not made durable.
    NoDirectorySync,
    /// A file gets its name before its content is durable.
    RenameBeforeSync,
    /// The idempotency keys are not taken over from the journal.
    DedupeLostAtRestart,
    /// A known key answers for any body.
    BodyHashIgnored,
    /// The offsets of an append that failed are given again.
    OffsetReused,
    /// The hot tail begins one append too late.
    HotCutOffByOne,
    /// A committer whose version is taken takes the next one without looking.
    StaleSecondCommitter,
    /// A group is written before the flush of the one before it.
    GroupBeforeFlush,
    /// Segments are taken back by their age on the machine's clock.
    ClockRecyclesEarly,
    /// Compacted files take the place of others before their content is durable.
    CompactedUnsynced,
}

impl Bug {
    pub const ALL: [Bug; 21] = [
        Bug::AckBeforeSync,
        Bug::SyncRetried,
        Bug::CrcUnchecked,
        Bug::CrcUnseeded,
        Bug::TailCutTooFar,
        Bug::DamageCutAsTail,
        Bug::RowsWithoutRejects,
        Bug::RecycleBeforeLakeSync,
        Bug::RecycleWithoutSnapshot,
        Bug::PositionAhead,
        Bug::TxnInItsOwnCommit,
        Bug::NoDirectorySync,
        Bug::RenameBeforeSync,
        Bug::DedupeLostAtRestart,
        Bug::BodyHashIgnored,
        Bug::OffsetReused,
        Bug::HotCutOffByOne,
        Bug::StaleSecondCommitter,
        Bug::GroupBeforeFlush,
        Bug::ClockRecyclesEarly,
        Bug::CompactedUnsynced,
    ];
}

#[cfg(not(feature = "sabotage"))]
#[inline(always)]
pub const fn armed(_bug: Bug) -> bool {
    false
}

#[cfg(feature = "sabotage")]
pub use planted::{Armed, arm, armed};

#[cfg(feature = "sabotage")]
mod planted {
    use std::{cell::Cell, marker::PhantomData};

    use super::Bug;

    thread_local! {
        static ARMED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// The bug acts on this thread until this is dropped.
    #[must_use]
    pub struct Armed(
        // Stays on its thread.
        PhantomData<*const ()>,
    );

    pub fn arm(bug: Bug) -> Armed {
        ARMED.set(Some(bug));
        Armed(PhantomData)
    }

    impl Drop for Armed {
        fn drop(&mut self) {
            ARMED.set(None);
        }
    }

    pub fn armed(bug: Bug) -> bool {
        ARMED.get() == Some(bug)
    }
}
