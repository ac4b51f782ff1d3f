//! The data directory from outside, and from inside while no server has it.
//! Always: a scratch file is the only thing that is written, and it goes again; the lock is only asked, or held while
//! the contents are looked at.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    time::{Duration, Instant},
};

use hw_event::{Clock, Seq, SystemClock, Timestamp};
use rustix::fs::{FlockOperation, flock, statfs, statvfs};

use super::{Finding, size};
use crate::{config::CheckedConfig, status, verify::offline};

const SYNCS: usize = 20;
const SYNC_SLOW: Duration = Duration::from_millis(50);
/// No disk makes anything durable in less.
const SYNC_FAST: Duration = Duration::from_micros(30);
/// Beside the journal's budget: for the lake, and so that nothing else on the disk starves.
const FREE_BESIDE: u64 = 1 << 30;
/// Less than this is as good as full.
const FREE_MIN: u64 = 128 << 20;
/// Microseconds that the newest event may be ahead of the clock.
const SET_BACK: i64 = 60_000_000;

pub enum State {
    /// The first start makes it.
    Missing,
    /// No process has it.
    Idle,
    Running,
}

pub fn examine(data: &Path, config: Option<&CheckedConfig>, findings: &mut Vec<Finding>) -> State {
    let Ok(metadata) = fs::metadata(data) else {
        let what = format!("{} is not there yet; the first start makes it", data.display());
        findings.push(Finding::ok("data directory", what));
        return State::Missing;
    };
    findings.push(owner(data, &metadata));
    findings.extend(keys(data));
    findings.extend(file_system(data));
    findings.extend(space(data, config));
    let state = lock(data, findings);
    match sync_cost(data) {
        Ok(median) => findings.push(sync(median)),
        Err(error) => findings.push(Finding::fault(
            "fsync",
            format!("a scratch file cannot be written and synced: {error}"),
            "without it the server acknowledges nothing: free space, or repair the disk (see the system's log)",
        )),
    }
    state
}

fn owner(data: &Path, metadata: &fs::Metadata) -> Finding {
    let (uid, ours, mode) = (metadata.uid(), rustix::process::geteuid().as_raw(), metadata.mode() & 0o777);
    let path = data.display();
    if uid != ours {
        let what = format!("{path} belongs to user {uid}, this is user {ours}");
        return Finding::warning("data directory", what, "run headwater as its owner, always the same");
    }
    if mode & 0o077 != 0 {
        let what = format!("{path} is open to others (mode {mode:03o})");
        return Finding::warning("data directory", what, format!("chmod 700 {path}"));
    }
    Finding::ok("data directory", format!("{path}, mode {mode:03o}"))
}

fn keys(data: &Path) -> Vec<Finding> {
    let Ok(entries) = fs::read_dir(data.join("keys")) else { return Vec::new() };
    let (mut findings, mut count) = (Vec::new(), 0);
    for entry in entries.flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        count += 1;
        let mode = metadata.mode() & 0o777;
        if mode & 0o077 != 0 {
            let path = entry.path();
            let what = format!("{} may be read by others (mode {mode:03o})", path.display());
            findings.push(Finding::fault("keys", what, format!("chmod 600 {}", path.display())));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("keys", format!("{count} files, for their owner alone")));
    }
    findings
}

fn file_system(data: &Path) -> Option<Finding> {
    let kind = statfs(data).ok()?.f_type;
    // As `statfs(2)` lists them; the lower half is enough, and does not depend on the width of the field.
    Some(match kind as u64 & 0xffff_ffff {
        0x0102_1994 | 0x8584_58f6 => Finding::warning(
            "file system",
            "the data directory is in memory (tmpfs): nothing survives a restart of the machine",
            "put it on a disk: --data, or data in headwater.toml",
        ),
        0x6969 | 0xff53_4d42 | 0xfe53_4d42 | 0x517b | 0x0102_1997 => Finding::warning(
            "file system",
            "the data directory is on a network file system: its locks and syncs promise less",
            "put it on a local disk",
        ),
        0x6573_5546 => Finding::warning(
            "file system",
            "the data directory is on a FUSE file system: what a sync promises there depends on its maker",
            "put it on a local disk, or make sure that its fsync is honest",
        ),
        0x794c_7630 => Finding::warning(
            "file system",
            "the data directory is in a container's own layer: it goes with the container",
            "mount a volume there",
        ),
        0xef53 => Finding::ok("file system", "ext4"),
        0x5846_5342 => Finding::ok("file system", "xfs"),
        0x9123_683e => Finding::ok("file system", "btrfs"),
        0x2fc1_2fc1 => Finding::ok("file system", "zfs"),
        other => Finding::ok("file system", format!("kind {other:#x}")),
    })
}

fn space(data: &Path, config: Option<&CheckedConfig>) -> Option<Finding> {
    let disk = statvfs(data).ok()?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let journal: u64 = fs::read_dir(data.join("journal"))
        .map(|entries| {
            entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum()
        })
        .unwrap_or(0);
    Some(free_space(free, journal, config.map(|config| config.journal.budget.bytes())))
}

fn free_space(free: u64, journal: u64, budget: Option<u64>) -> Finding {
    let what = format!("{} free; the journal has {}", size(free), size(journal));
    if free < FREE_MIN {
        return Finding::fault(
            "space",
            what,
            "free space: at the end producers get 507 until there is some again",
        );
    }
    let Some(budget) = budget else { return Finding::ok("space", what) };
    let needed = budget.saturating_sub(journal).saturating_add(FREE_BESIDE);
    if free < needed {
        let what = format!("{what} and may grow to {} (journal.budget)", size(budget));
        return Finding::warning(
            "space",
            what,
            format!("free {}, or lower journal.budget", size(needed - free)),
        );
    }
    Finding::ok("space", what)
}

/// Who has the directory, as the lock and the file of addresses say.
fn lock(data: &Path, findings: &mut Vec<Finding>) -> State {
    let pid = fs::read_to_string(data.join("lock")).unwrap_or_default();
    let Ok(lock) = fs::File::open(data.join("lock")) else {
        findings.push(Finding::ok("server", "none has ever run on this data directory"));
        return State::Idle;
    };
    if flock(&lock, FlockOperation::NonBlockingLockShared).is_err() {
        findings.push(Finding::ok("server", format!("process {} has the data directory", pid.trim())));
        return State::Running;
    }
    findings.push(if data.join("endpoints.json").exists() {
        Finding::warning(
            "server",
            format!("none runs, but endpoints.json is there: process {} was killed", pid.trim()),
            "nothing: the next start takes it away; clients that use it find nobody until then",
        )
    } else {
        Finding::ok("server", "none runs on this data directory")
    });
    State::Idle
}

/// The median of some syncs of one page each.
fn sync_cost(data: &Path) -> io::Result<Duration> {
    let path = data.join(format!(".doctor-{}", std::process::id()));
    let measured = measure(&path);
    let removed = fs::remove_file(&path);
    let median = measured?;
    removed.map(|()| median)
}

fn measure(path: &Path) -> io::Result<Duration> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let began = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[SYNCS / 2])
}

fn sync(median: Duration) -> Finding {
    let what = format!("a synced write takes {:.2} ms (median of {SYNCS})", median.as_secs_f64() * 1e3);
    if median > SYNC_SLOW {
        return Finding::warning(
            "fsync",
            what,
            "each acknowledgement waits for it: a faster or less busy disk, or ack = \"os\" where a power cut may lose events",
        );
    }
    if median < SYNC_FAST {
        return Finding::warning(
            "fsync",
            format!("{what}: no disk is that fast"),
            "it is in memory, or its cache does not survive a power cut: what is acknowledged may be lost by one",
        );
    }
    Finding::ok("fsync", what)
}

/// What is in a directory that no server has: journal, catalog, tables.
pub async fn examine_contents(data: &Path, config: Option<&CheckedConfig>, findings: &mut Vec<Finding>) {
    const RESTORE: &str = "headwater verify --data D tells all of it; restore the data directory from a backup, \
                           see docs/operating/verify.md";
    if !data.join("lock").exists() || !data.join("journal").is_dir() {
        return;
    }
    let opened = match offline::open(data).await {
        Ok(opened) => opened,
        Err(error) => {
            findings.push(Finding::fault("contents", format!("{error:#}"), RESTORE));
            return;
        }
    };
    for check in &opened.checks {
        for fault in &check.faults {
            findings.push(Finding::fault("contents", fault.what.clone(), fault.remedy.clone()));
        }
    }
    let Some(subject) = opened.subject else { return };
    let tables = &subject.tables;
    let usage = tables.journal.usage();
    for damage in &usage.damage {
        let what =
            format!("journal/{}, bytes {}..{}: {}", damage.file, damage.start, damage.end, damage.reason);
        findings.push(Finding::fault("journal", what, RESTORE));
    }
    findings.push(budget(usage.used_bytes, config.map(|config| config.journal.budget.bytes()), None));
    findings.extend(usage.newest_received_at.and_then(|newest| clock(newest, SystemClock.now())));
    for fault in tables.lake.faults() {
        let what = format!("table {} cannot be opened: {}", status::name(tables, fault.table), fault.error);
        findings.push(Finding::fault("lake", what, RESTORE));
    }
    findings.extend(ahead(&subject, usage.durable, &opened.newest.unwrap_or_default()));
}

/// An event from the future: the clock stood later once.
pub fn clock(newest: Timestamp, now: Timestamp) -> Option<Finding> {
    let ahead = newest.0.saturating_sub(now.0);
    (ahead > SET_BACK).then(|| {
        let what = format!("the newest event is {} s ahead of the clock", ahead / 1_000_000);
        Finding::warning(
            "clock",
            what,
            "the clock was set back: set it right; new events keep the later time meanwhile",
        )
    })
}

/// Tables that hold what the journal does not.
fn ahead(
    subject: &crate::verify::Subject,
    durable: Seq,
    (newest, following): &(String, String),
) -> Vec<Finding> {
    let beyond = subject.positions().into_iter().filter(|(_, position)| *position > durable);
    beyond
        .map(|(name, position)| {
            let what = format!(
                "table {name} holds append {position}, the journal ends at {durable} in journal/{newest}: no start"
            );
            let remedy = format!(
                "that file has lost its end, or journal/{following} is gone, or journal/ and lake/ are not of the same \
                 moment: restore both from one backup"
            );
            Finding::fault("lake", what, remedy)
        })
        .collect()
}

/// How full the journal is. `held` says what keeps it from being emptied.
pub fn budget(used: u64, budget: Option<u64>, held: Option<&str>) -> Finding {
    let Some(budget) = budget.filter(|budget| *budget > 0) else {
        return Finding::ok("journal", format!("{} wait for the lake", size(used)));
    };
    let what = format!("{} of {} wait for the lake", size(used), size(budget));
    let cause = held.map_or_else(|| "the lake is behind".to_owned(), |held| format!("held by {held}"));
    let remedy = format!("{cause}: repair it, or raise journal.budget; when it is full producers get 429");
    match used.saturating_mul(100) / budget {
        80.. => Finding::fault("journal", what, remedy),
        50.. => Finding::warning("journal", what, remedy),
        _ => Finding::ok("journal", what),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn what_a_disk_says_is_judged() {
        assert_eq!(sync(Duration::from_millis(4)).verdict, Verdict::Ok);
        assert_eq!(sync(Duration::from_millis(90)).verdict, Verdict::Warning);
        assert_eq!(sync(Duration::from_micros(2)).verdict, Verdict::Warning);
        assert_eq!(free_space(1 << 20, 0, None).verdict, Verdict::Fault);
        assert_eq!(free_space(4 << 30, 0, Some(8 << 30)).verdict, Verdict::Warning);
        assert_eq!(free_space(4 << 30, 7 << 30, Some(8 << 30)).verdict, Verdict::Ok);
        assert_eq!(budget(1 << 20, Some(8 << 30), None).verdict, Verdict::Ok);
        assert_eq!(budget(5 << 30, Some(8 << 30), None).verdict, Verdict::Warning);
        assert_eq!(budget(7 << 30, Some(8 << 30), Some("table orders")).verdict, Verdict::Fault);
    }

    #[test]
    fn the_scratch_file_goes_again() {
        let directory = tempfile::tempdir().unwrap();
        sync_cost(directory.path()).unwrap();
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
