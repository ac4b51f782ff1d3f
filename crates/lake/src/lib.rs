//! The lake: one Delta table per stream, and the tables `rejects` and `ledger`, written by one committer.
//! Always: a table's commit carries the log position up to which it holds everything (`txn`), so a replay
//! neither loses nor doubles a row; what is committed survives a power cut before the log may forget it; a
//! table that cannot commit keeps its rows waiting and lets the others go on; every byte at rest has a checksum, and a
//! damaged table is out of service alone; the files of a table stay few, whatever its age.
//! Does not know who queries. The only crate that imports `deltalake`.

mod buffer;
mod by_key;
mod checksums;
mod compact;
mod damage;
mod data_file;
mod delta;
mod encoding;
mod erase;
mod error;
mod generation;
mod history;
mod lake;
mod log_files;
mod manifest;
mod reconcile;
mod replay;
mod retention;
mod rewritten;
mod row_group;
mod scrub;
mod sink;
mod stats;
mod store;
mod table;

pub use by_key::{ByKey, ByKeyCompactor, ByKeyTurn};
pub use checksums::Pieces;
pub use compact::{Compactor, Turn};
pub use damage::Damage;
pub use erase::{Doomed, EraseTurn, Eraser, Leftovers};
pub use error::LakeError;
pub use generation::{Outdated, RewriteTurn, Rewriter, Rewriting};
pub use history::{AsOf, Version, VersionError};
pub use lake::{Dense, Lake, LakeSettings, Paused, TableFault};
pub use retention::{Keep, Keeper};
pub use scrub::check_table;
pub use sink::LakeSink;
#[doc(hidden)]
pub use store::Syncs;
pub use table::{Bounds, FileStats, LakeFile, LetGo, Table, TableSnapshot};
