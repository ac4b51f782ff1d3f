//! The log of one disk: appends of any streams go in, are made durable together, and are read back in order.
//! Always: acknowledged <= durable <= written; the bytes of a body are never looked into.
//! Does not know schemas, protocols, tables or who reads.

mod append;
mod disk;
mod log;

pub use append::{Append, Block, BlockHeader, BlockKind, Extension, Record, RecordKind, Run};
pub use disk::{Disk, DiskFile};
pub use log::{AppendError, BlockRef, Log, ReadError, StoredAppend};
