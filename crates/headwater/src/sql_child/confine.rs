//! What a process that runs statements takes from itself before it sees the first one.
//! Always: needs no rights of root. What a kernel does not know is left out; the statement checks and the server's bound on
//! memory do not depend on any of it.

use std::{fs, io, path::PathBuf, thread};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope, path_beneath_rules,
};
use rustix::process::{Resource, Rlimit, nice, setrlimit};

/// Whoever sends events is answered first. Work that nobody waits for by the millisecond comes behind a statement that has
/// just begun, and before one that takes long (`hw_query` sees to that).
const NICE: i32 = 1;
/// If the machine has no memory left, a statement dies before the server does.
const OOM_SCORE: &str = "800";
/// Beside `sql.memory` and stacks: code's data, footers of files, batches between operators. A last resort; the server
/// notices much less.
const OVERHEAD_BYTES: u64 = 512 << 20;
/// As `hw_query` has them: one a core, and a few that read.
const STACK_BYTES: u64 = 64 << 20;
const READING_THREADS: u64 = 5;
const FILES_MAX: u64 = 4096;

/// `memory`: of all statements, in bytes. `read`: the directories whose files may be read, and nothing else.
pub fn confine(memory: usize, read: &[&PathBuf]) -> io::Result<()> {
    // Threads that start later inherit both.
    nice(NICE)?;
    // A kernel without it, or a file system that is not there: then the kernel chooses by size.
    let _ = fs::write("/proc/self/oom_score_adj", OOM_SCORE);
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let stacks = (cores + READING_THREADS) * STACK_BYTES;
    let data = (memory as u64).saturating_add(OVERHEAD_BYTES + stacks);
    for (resource, most) in [
        (Resource::Data, data),
        // No picture of users' values on a disk.
        (Resource::Core, 0),
        (Resource::Nofile, FILES_MAX),
        // No file can be written to.
        (Resource::Fsize, 0),
    ] {
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
    }
    landlocked(read).map_err(io::Error::other)
}

/// No file but these, no TCP, no signal to another process, as far as the kernel can.
fn landlocked(read: &[&PathBuf]) -> Result<(), RulesetError> {
    let abi = ABI::V6;
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(abi)))?
        .restrict_self()?;
    Ok(())
}
