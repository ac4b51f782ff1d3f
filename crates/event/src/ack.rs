//! How far an append must have come before its producer is told.

use std::{fmt, str::FromStr};

/// The level a producer waits for. Ordered: a later level includes the earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Ack {
    /// In the journal's buffer. Survives a clean stop (TERM), nothing else.
    Memory,
    /// `write()` has returned. Survives the death of the process (KILL), not a power cut.
    Os,
    /// `fdatasync` has returned. Survives a power cut.
    #[default]
    Disk,
}

impl Ack {
    pub fn as_str(self) -> &'static str {
        match self {
            Ack::Memory => "memory",
            Ack::Os => "os",
            Ack::Disk => "disk",
        }
    }
}

impl fmt::Display for Ack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown ack level {0:?}: it is one of disk, os, memory")]
pub struct UnknownAck(pub String);

impl FromStr for Ack {
    type Err = UnknownAck;

    fn from_str(text: &str) -> Result<Ack, UnknownAck> {
        match text {
            "memory" => Ok(Ack::Memory),
            "os" => Ok(Ack::Os),
            "disk" => Ok(Ack::Disk),
            _ => Err(UnknownAck(text.chars().take(40).collect())),
        }
    }
}
