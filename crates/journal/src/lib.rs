//! The log of one disk: appends of any streams go in, are made durable together, and are read back in order.
//! Always: acknowledged <= durable <= written; the bytes of a body are never looked into.
//! Does not know schemas, protocols, tables or who reads.

mod append;
mod block;
mod check;
mod copy;
mod core;
mod cursor;
mod disk;
mod fetch;
mod file_disk;
mod found;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod index;
mod journal;
mod keys;
mod log;
mod opaque;
mod place;
mod recovery;
mod scan;
mod segment;
mod shelf;
mod state;
mod status;
mod wipe;

pub use append::{Append, Block, BlockHeader, BlockKind, Extension, Record, RecordKind, Run};
pub use check::check_disk;
pub use copy::{CopiedFile, JournalCopy};
pub use core::Core;
pub use disk::{Disk, DiskFile};
pub use file_disk::FileDisk;
pub use found::Found;
pub use journal::{Journal, JournalDriver, Ticket};
pub use log::{AppendError, BlockRef, Log, ReadError, StoredAppend};
pub use opaque::{OpaqueError, kafka_run};
pub use place::{BlockPlace, NotAHeader, PlaceError, SegmentReader};
pub use status::{Damage, OpenError, Recovered, Settings, Usage};
pub use wipe::{Wipe, WipeState};
