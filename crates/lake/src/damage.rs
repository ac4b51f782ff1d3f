//! What cannot be trusted any more, by file and range of bytes.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Bytes at rest that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// Relative to the directory that holds the lake: `lake/<table>/…`.
    pub file: PathBuf,
    /// The range of bytes, half-open. For a file that is missing, what it should have.
    pub start: u64,
    pub end: u64,
    pub reason: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { file, start, end, reason } = self;
        write!(f, "{} is damaged in bytes {start}..{end}: {reason}", file.display())
    }
}

/// How a file of the table in `directory` is called: from the lake's own directory on.
pub(crate) fn place(directory: &Path, file: impl AsRef<Path>) -> PathBuf {
    let lake = directory.parent().and_then(Path::file_name).unwrap_or_default();
    Path::new(lake).join(directory.file_name().unwrap_or_default()).join(file)
}
