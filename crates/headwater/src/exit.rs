//! The exit codes of every command.

use std::process::ExitCode;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Fine = 0,
    /// The check is false: an event was rejected, a record was not found.
    False = 1,
    /// Usage or configuration.
    Usage = 2,
    NoServer = 3,
    /// The server refused.
    Refused = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
