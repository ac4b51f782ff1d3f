//! What a run prints: each measurement as it comes, and how the medians stand to what is asked.
//! Always: a figure that is worse than asked is printed like one that is better.

use std::time::Duration;

use crate::measure::median;

/// The measurements of one side, one a run.
#[derive(Default)]
pub struct Side {
    /// Processor seconds.
    pub processor: Vec<f64>,
    pub wall: Vec<f64>,
    pub peak_mib: Vec<f64>,
    pub disk: Vec<f64>,
}

impl Side {
    pub fn add(&mut self, processor: Duration, wall: Duration, peak_mib: f64, disk: u64) {
        self.processor.push(processor.as_secs_f64());
        self.wall.push(wall.as_secs_f64());
        self.peak_mib.push(peak_mib);
        self.disk.push(disk as f64);
    }

    pub fn cpu(&self) -> f64 {
        median(&self.processor)
    }

    /// One line: the medians, for so many events.
    pub fn tell(&self, name: &str, events: u64) {
        let (cpu, wall) = (self.cpu(), median(&self.wall));
        println!(
            "{name:<34} {cpu:>7.2} CPU s ({:>5.0} ns/event), {wall:>7.2} s wall ({:>9.0} events/s), {:>5.0} MiB, {:>5.1} B/event on disk",
            cpu * 1e9 / events as f64,
            events as f64 / wall,
            median(&self.peak_mib),
            median(&self.disk) / events as f64,
        );
    }
}

/// A ratio where more is better, against its floor and its goal.
pub fn at_least(what: &str, found: f64, floor: f64, goal: f64) {
    let verdict = if found < floor {
        "BELOW THE FLOOR"
    } else if found < goal {
        "holds, below the goal"
    } else {
        "goal reached"
    };
    println!("{what:<58} {found:>8.2}  (floor {floor}, goal {goal}): {verdict}");
}

/// A value where less is better.
pub fn at_most(what: &str, found: f64, limit: f64) {
    let verdict = if found > limit { "OVER THE LIMIT" } else { "holds" };
    println!("{what:<58} {found:>8.2}  (at most {limit}): {verdict}");
}
