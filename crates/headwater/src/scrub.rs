//! The scrubber: reads everything at rest again within a stated period, so that damage is found before it is needed.
//! Always: at a bounded rate, on a thread of its own that only reads; each finding is told once. It repairs nothing: the
//! next start does that, and doctor says what else to do.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use hw_gate::Catalog;
use hw_journal::{Disk, FileDisk, Journal};
use hw_lake::Lake;
use tokio_util::sync::CancellationToken;

/// However little there is, so much is read a second: what is small is checked soon.
const RATE_MIN: u64 = 4 << 20;
/// The part of the period in which everything is to be read, so that a period is kept although the data grow.
const MARGIN_PERCENT: u64 = 80;
/// How long it rests at a time while it waits for the next round.
const REST: Duration = Duration::from_millis(250);

/// What the last round found.
#[derive(Debug, Clone, Default)]
pub struct Findings(Arc<Mutex<BTreeSet<Finding>>>);

/// A file relative to the data directory, a range of bytes, a reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    pub start: u64,
    pub end: u64,
    pub reason: String,
}

impl Findings {
    fn replace(&self, found: BTreeSet<Finding>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for finding in found.difference(&known) {
            let Finding { file, start, end, reason } = finding;
            tracing::error!(%file, start, end, %reason, "a file is damaged");
        }
        *known = found;
    }

    /// All of them, by file and place.
    pub fn all(&self) -> Vec<Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// How many files.
    pub fn files(&self) -> usize {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|finding| &finding.file).collect::<BTreeSet<_>>().len()
    }
}

pub struct Scrubber {
    pub lake: Lake,
    pub journal: Journal,
    /// The catalog's directory.
    pub catalog: FileDisk,
    pub every: Duration,
    pub findings: Findings,
    pub stop: CancellationToken,
}

impl Scrubber {
    /// Its thread ends with the process, at the latest: it has nothing to finish.
    pub fn start(self) -> std::io::Result<()> {
        thread::Builder::new().name("hw-scrub".to_owned()).spawn(move || self.run()).map(drop)
    }

    fn run(self) {
        while !self.stop.is_cancelled() {
            let began = Instant::now();
            self.findings.replace(self.round());
            metrics::gauge!("headwater_scrub_round_seconds").set(began.elapsed().as_secs_f64());
            metrics::counter!("headwater_scrub_rounds_total").increment(1);
            while began.elapsed() < self.every && !self.stop.is_cancelled() {
                thread::sleep(REST.min(self.every));
            }
        }
    }

    fn round(&self) -> BTreeSet<Finding> {
        let tables = self.lake.tables();
        let lake_bytes: u64 =
            tables.iter().filter_map(|(table, _)| self.lake.table(*table)).map(|table| table.bytes).sum();
        let bytes = lake_bytes + self.journal.usage().used_bytes;
        let seconds = (self.every.as_secs() * MARGIN_PERCENT / 100).max(1);
        let mut pace = Pace::new((bytes / seconds).max(RATE_MIN), self.stop.clone());

        let mut found = BTreeSet::new();
        for (table, name) in tables {
            for damage in self.lake.check(table, &name, &mut |bytes| pace.read(bytes)) {
                let file = damage.file.display().to_string();
                found.insert(Finding { file, start: damage.start, end: damage.end, reason: damage.reason });
            }
        }
        for damage in self.journal.check(&mut |bytes| pace.read(bytes)) {
            let file = format!("journal/{}", damage.file);
            found.insert(Finding { file, start: damage.start, end: damage.end, reason: damage.reason });
        }
        for damage in Catalog::check(&self.catalog as &dyn Disk) {
            let file = format!("catalog/{}", damage.file);
            found.insert(Finding { file, start: damage.start, end: damage.end, reason: damage.reason });
        }
        found
    }
}

/// Keeps to a number of bytes a second.
struct Pace {
    bytes_per_second: u64,
    began: Instant,
    bytes: u64,
    stop: CancellationToken,
}

impl Pace {
    fn new(bytes_per_second: u64, stop: CancellationToken) -> Pace {
        Pace { bytes_per_second, began: Instant::now(), bytes: 0, stop }
    }

    /// Rests until so much may have been read.
    fn read(&mut self, bytes: u64) {
        metrics::counter!("headwater_scrub_bytes_total").increment(bytes);
        self.bytes += bytes;
        let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
        while let Some(rest) = due.checked_sub(self.began.elapsed()).filter(|rest| !rest.is_zero()) {
            // Whoever stops does not wait for a reader.
            thread::sleep(rest.min(REST));
            if self.stop.is_cancelled() && rest < REST {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_no_faster_than_it_may_and_tells_what_is_new() {
        let began = Instant::now();
        let mut pace = Pace::new(1 << 20, CancellationToken::new());
        (0..4).for_each(|_| pace.read(16 << 10));
        assert!(began.elapsed() >= Duration::from_millis(62), "{:?}", began.elapsed());

        let findings = Findings::default();
        let finding = |file: &str, start| Finding {
            file: file.to_owned(),
            start,
            end: start + 1,
            reason: "a test".to_owned(),
        };
        findings.replace(BTreeSet::from([finding("a", 0), finding("a", 8), finding("b", 0)]));
        assert_eq!(findings.files(), 2);
        findings.replace(BTreeSet::new());
        assert_eq!(findings.files(), 0);
    }
}
