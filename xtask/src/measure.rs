//! What a running process costs, from `/proc`: processor time, memory, bytes on disk; and the few numbers that runs are
//! judged by. Always: a process counts with all it started, also what has ended since and was waited for.

use std::{
    collections::HashMap,
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

/// The unit of times in `/proc`: Linux shows hundredths of a second on every machine this runs on.
const TICK: Duration = Duration::from_millis(10);
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// One process as `/proc/PID/stat` has it.
struct Stat {
    parent: u32,
    own: Duration,
    /// Of children that ended and were waited for.
    waited_for: Duration,
}

fn stat(pid: &str) -> Option<Stat> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name stands in brackets and may hold anything; what follows it are numbers.
    let fields: Vec<&str> = text[text.rfind(')')? + 1..].split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u32>().ok();
    let sum = |first: usize| Some(TICK * (ticks(first)? + ticks(first + 1)?));
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own: sum(11)?, waited_for: sum(13)? })
}

/// A process and all that descend from it and live.
fn family(root: u32) -> HashMap<u32, Stat> {
    let mut all = HashMap::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let (Ok(pid), Some(stat)) = (name.parse::<u32>(), stat(name)) {
            all.insert(pid, stat);
        }
    }
    let descends = |pid: u32| {
        let mut at = pid;
        loop {
            if at == root {
                return true;
            }
            match all.get(&at) {
                Some(stat) if stat.parent != at => at = stat.parent,
                _ => return false,
            }
        }
    };
    let members: Vec<u32> = all.keys().copied().filter(|pid| descends(*pid)).collect();
    members.into_iter().filter_map(|pid| Some((pid, all.remove(&pid)?))).collect()
}

/// Processor time, user and system, of a process and all it started.
pub fn processor_time(root: u32) -> Duration {
    family(root).values().map(|stat| stat.own + stat.waited_for).sum()
}

/// Of this process alone.
pub fn own_processor_time() -> Duration {
    stat("self").map(|stat| stat.own).unwrap_or_default()
}

/// In KiB, of one process.
pub fn anonymous_memory(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let line = line.context("the kernel says nothing of RssAnon")?;
    line.trim().trim_end_matches(" kB").parse().context("RssAnon is no number")
}

/// In KiB, of a process and all it started.
pub fn anonymous_memory_of_family(root: u32) -> u64 {
    // One that has just ended has none.
    family(root).keys().map(|pid| anonymous_memory(*pid).unwrap_or(0)).sum()
}

/// Looks ten times a second how much anonymous memory a process and its children have.
pub struct Watch {
    stop: Arc<AtomicBool>,
    peak: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub fn start(root: u32) -> Watch {
        let (stop, peak) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (seen_stop, seen_peak) = (stop.clone(), peak.clone());
        let thread = std::thread::spawn(move || {
            while !seen_stop.load(Ordering::SeqCst) {
                seen_peak.fetch_max(anonymous_memory_of_family(root), Ordering::SeqCst);
                std::thread::sleep(SAMPLE_EVERY);
            }
        });
        Watch { stop, peak, thread: Some(thread) }
    }

    /// The most that was seen, in MiB.
    pub fn peak_mib(&self) -> f64 {
        self.peak.load(Ordering::SeqCst) as f64 / 1024.0
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A program that ran to its end.
pub struct Ran {
    pub processor: Duration,
    pub wall: Duration,
    pub peak_mib: f64,
}

/// Runs a program to its end. Only one at a time may run this way: the kernel counts what ended children used in one sum.
pub fn run_to_end(command: &mut Command) -> Result<Ran> {
    let waited_for = || stat("self").map(|stat| stat.waited_for).context("no /proc");
    let (before, began) = (waited_for()?, Instant::now());
    let child = command.stdin(Stdio::null()).spawn();
    let mut child = child.with_context(|| format!("cannot run {command:?}"))?;
    let watch = Watch::start(child.id());
    let status = child.wait()?;
    let (wall, peak_mib) = (began.elapsed(), watch.peak_mib());
    ensure!(status.success(), "{command:?}: {status}");
    Ok(Ran { processor: waited_for()?.saturating_sub(before), wall, peak_mib })
}

/// The bytes of all files below a directory whose names `counts`; none where there is no directory.
pub fn bytes_below(directory: &Path, counts: &dyn Fn(&str) -> bool) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            sum += bytes_below(&entry.path(), counts);
        } else if counts(&entry.file_name().to_string_lossy()) {
            sum += metadata.len();
        }
    }
    sum
}

/// Of an even number, the upper one. Zero of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// Zero of none.
pub fn percentile(times: &[Duration], percent: usize) -> Duration {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let found = [50, 99, 100].map(|percent| percentile(&times, percent).as_millis());
        assert_eq!(found, [100, 198, 200]);
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }

    #[test]
    fn a_program_counts_with_its_children() {
        // The work is done by a child of the shell, which waits for it.
        let work = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let ran = run_to_end(Command::new("sh").args(["-c", &format!("sh -c '{work}'; true")])).unwrap();
        assert!(ran.processor > Duration::ZERO, "{:?}", ran.processor);
        assert!(processor_time(std::process::id()) >= ran.processor);
    }
}
