//! The machine: versions, clock, descriptors, memory.
//! Always: what cannot be learned here (another system, a hidden /proc) is no finding.

use std::{fs, path::PathBuf};

use hw_event::{Clock, SystemClock, Timestamp};
use rustix::process::{Resource, getrlimit};

use super::{Finding, size};
use crate::config::CheckedConfig;

/// Of a server beside its connections: files of the journal and the lake, and some to spare.
const DESCRIPTORS_BESIDE: u64 = 512;
/// What the server needs beside `sql.memory`, about.
const MEMORY_BESIDE: u64 = 512 << 20;
/// No clock that is right shows an earlier time: 2025-01-01.
const EARLIEST: Timestamp = Timestamp(1_735_689_600_000_000);

pub fn examine(config: Option<&CheckedConfig>) -> Vec<Finding> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = format!("headwater {}, kernel {}", env!("CARGO_PKG_VERSION"), kernel.trim());
    let mut findings = vec![Finding::ok("version", version), clock(SystemClock.now())];
    if let Some(config) = config {
        let limit = getrlimit(Resource::Nofile).maximum;
        findings.push(descriptors(limit, config.limits.connections.get() as u64));
        findings.extend(memory_limit().map(|limit| memory(limit, config.sql.memory.bytes())));
    }
    findings
}

fn clock(now: Timestamp) -> Finding {
    if now < EARLIEST {
        return Finding::fault(
            "clock",
            "the machine's clock is before 2025",
            "set the clock (timedatectl, chrony): events get their time of arrival from it, and keys expire by it",
        );
    }
    Finding::ok("clock", "the machine's clock is plausible")
}

/// `limit`: how far the server may raise its limit of open files; `None` is no limit.
fn descriptors(limit: Option<u64>, connections: u64) -> Finding {
    let needed = connections.saturating_add(DESCRIPTORS_BESIDE);
    match limit {
        Some(limit) if limit < needed => Finding::warning(
            "descriptors",
            format!("{limit} files may be open, limits.connections = {connections} needs {needed}"),
            format!(
                "raise the hard limit (ulimit -H -n, LimitNOFILE=) to {needed}, or lower limits.connections"
            ),
        ),
        Some(limit) => Finding::ok("descriptors", format!("{limit} files may be open, {needed} are needed")),
        None => Finding::ok("descriptors", "any number of files may be open"),
    }
}

fn memory(limit: u64, sql: u64) -> Finding {
    let what = format!("{} of memory, of which sql.memory may take {}", size(limit), size(sql));
    if sql >= limit {
        return Finding::fault("memory", what, "lower sql.memory, or give the server more memory");
    }
    if limit - sql < MEMORY_BESIDE {
        let rest = size(MEMORY_BESIDE);
        return Finding::warning(
            "memory",
            what,
            format!("leave {rest} beside sql.memory: lower it, or give more"),
        );
    }
    Finding::ok("memory", what)
}

/// What this process may have: the machine's memory, or less by its control group.
fn memory_limit() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024;
    Some(group_limit().map_or(machine, |group| group.min(machine)))
}

/// The smallest limit of this process's control group and those around it.
fn group_limit() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = PathBuf::from("/sys/fs/cgroup");
    let mut group = root.join(own);
    let mut smallest: Option<u64> = None;
    loop {
        let limit = fs::read_to_string(group.join("memory.max")).ok();
        let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
        smallest = smallest.into_iter().chain(limit).min();
        if group == root || !group.pop() {
            return smallest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn limits_that_do_not_suffice_are_named() {
        assert_eq!(descriptors(Some(1024), 16384).verdict, Verdict::Warning);
        assert_eq!(descriptors(Some(1 << 20), 16384).verdict, Verdict::Ok);
        assert_eq!(descriptors(None, 16384).verdict, Verdict::Ok);
        assert_eq!(memory(1 << 30, 2 << 30).verdict, Verdict::Fault);
        assert_eq!(memory(1 << 30, 800 << 20).verdict, Verdict::Warning);
        assert_eq!(memory(4 << 30, 512 << 20).verdict, Verdict::Ok);
        assert_eq!(clock(Timestamp(0)).verdict, Verdict::Fault);
    }
}
