//! How long requests took: percentiles of all of them, in bounded memory.
//! Always: a value is told to within a hundredth; what is longer than the longest that can be counted is told as that.

use std::{fmt, time::Duration};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// An hour, in microseconds.
const LONGEST: u64 = 3_600_000_000;
const DIGITS: u8 = 3;
const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("max", 100.0)];

/// Microseconds. Shows itself in milliseconds.
pub struct Latency(Histogram<u64>);

impl Latency {
    pub fn new() -> Latency {
        // invariant: 1 is below the longest, and 3 digits are between 0 and 5.
        Latency(Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("the bounds are in order"))
    }

    pub fn record(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(LONGEST);
        self.0.saturating_record(micros.max(1));
    }

    fn milliseconds(&self, percentile: f64) -> f64 {
        let micros = match percentile {
            100.0 => self.0.max(),
            percentile => self.0.value_at_percentile(percentile),
        };
        micros as f64 / 1000.0
    }

    /// By name of the percentile; null if nothing was recorded.
    pub fn json(&self) -> Value {
        if self.0.is_empty() {
            return Value::Null;
        }
        PERCENTILES.iter().map(|(name, at)| ((*name).to_owned(), json!(self.milliseconds(*at)))).collect()
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        for (index, (name, at)) in PERCENTILES.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            write!(f, "{comma}{name} {:.1} ms", self.milliseconds(*at))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_near_and_the_longest_is_counted() {
        let mut latency = Latency::new();
        assert_eq!((latency.json(), latency.to_string()), (Value::Null, "none".to_owned()));
        (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms)));
        latency.record(Duration::from_secs(100_000));
        let said = latency.json();
        for (name, expected) in [("p50", 501.0), ("p99", 991.0), ("max", 3_600_000.0)] {
            let found = said[name].as_f64().unwrap();
            assert!((found / expected - 1.0).abs() < 0.01, "{name}: {found}, expected {expected}");
        }
    }
}
