//! What tests of every crate share: a clock one turns by hand, random numbers from a seed, a disk that loses
//! power, a log in memory. Always: the same seed and the same calls give the same result. Never a normal
//! dependency of anything.

mod memory_log;
mod random;
mod sim_disk;
mod time;

pub use memory_log::MemoryLog;
pub use random::{Random, SeededEntropy, rounds_from_env, seed_from_env};
pub use sim_disk::{Fault, SimDisk};
pub use time::ManualClock;
