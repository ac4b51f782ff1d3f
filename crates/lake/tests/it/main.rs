//! The lake on a real file system: what it commits, what others read of it, and what a crash or a damaged
//! table does to it.

mod by_key;
mod commits;
mod compaction;
mod compaction_faults;
mod erase;
mod failures;
mod fixture;
mod follow;
mod formats;
mod generation;
mod growth;
mod history;
mod rot;
mod splice;
