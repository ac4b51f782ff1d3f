//! The table at the end of a driver: what was tried, what was lost, what was doubled, what else was wrong.
//! Always: the seed stands first, so that a run can be repeated; a run with any fault is no success.

use std::{fmt::Display, time::Duration};

use anyhow::{Result, bail};

use super::{check::Findings, measure::percentile};

/// How many faults are printed in full.
const PRINTED_MAX: usize = 40;

pub struct Report {
    name: String,
    rows: Vec<(String, String)>,
    lost: u64,
    doubled: u64,
    faults: Vec<String>,
}

impl Report {
    pub fn new(driver: &str, seed: u64, n: u64) -> Report {
        println!("torture {driver} --n {n} --seed {seed}");
        Report { name: driver.to_owned(), rows: Vec::new(), lost: 0, doubled: 0, faults: Vec::new() }
    }

    pub fn row(&mut self, what: impl Display, value: impl Display) {
        self.rows.push((what.to_string(), value.to_string()));
    }

    /// Times in milliseconds: median, 99th percentile, worst.
    pub fn times(&mut self, what: &str, times: &[Duration]) {
        let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(times, percent).as_secs_f64() * 1e3);
        self.row(what, format!("p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms (of {})", times.len()));
    }

    pub fn fault(&mut self, at: impl Display, fault: impl Display) {
        let fault = format!("{at}: {fault}");
        if self.faults.len() < PRINTED_MAX {
            println!("FAULT {fault}");
        }
        self.faults.push(fault);
    }

    /// What a check found at some moment.
    pub fn add(&mut self, at: impl Display, findings: &Findings) {
        self.lost += findings.lost;
        self.doubled += findings.doubled;
        for fault in &findings.faults {
            self.fault(&at, fault);
        }
    }

    pub fn faults(&self) -> usize {
        self.faults.len()
    }

    pub fn finish(mut self) -> Result<()> {
        self.row("lost", self.lost);
        self.row("doubled", self.doubled);
        self.row("faults", self.faults.len());
        let width = self.rows.iter().map(|(what, _)| what.chars().count()).max().unwrap_or(0);
        println!();
        for (what, value) in &self.rows {
            println!("{what:<width$}  {value}");
        }
        if self.lost + self.doubled > 0 || !self.faults.is_empty() {
            bail!(
                "torture {}: {} lost, {} doubled, {} faults",
                self.name,
                self.lost,
                self.doubled,
                self.faults.len()
            );
        }
        Ok(())
    }
}
