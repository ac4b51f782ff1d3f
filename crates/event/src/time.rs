//! Time and randomness as values, so that a simulation can supply its own.

use std::{
    fmt,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const MICROS_PER_SECOND: i64 = 1_000_000;
    pub const MICROS_PER_DAY: i64 = 86_400 * Self::MICROS_PER_SECOND;

    /// The start of this timestamp's minute.
    pub fn minute(self) -> Timestamp {
        Timestamp(self.0 - self.0.rem_euclid(60 * Self::MICROS_PER_SECOND))
    }

    /// Days since the epoch, rounded down.
    pub fn day(self) -> i64 {
        self.0.div_euclid(Self::MICROS_PER_DAY)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0)
    }
}

/// Where "now" comes from.
pub trait Clock: Send + Sync {
    /// The time of day. It may jump, either way, and stand still.
    fn now(&self) -> Timestamp;

    /// How long this process has been running, about: it never steps back, whatever is done to the time of day.
    /// What is kept for a time is kept by this one.
    fn steady(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Where random bytes come from.
pub trait Entropy: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}
