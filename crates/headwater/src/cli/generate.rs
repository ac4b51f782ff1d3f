//! The arguments of `gen` and `test`: events made from a schema, and data judged by one.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};
use hw_event::StreamName;

use super::{Input, ServerArgs, duration};

#[derive(Debug, Args)]
pub struct Gen {
    /// The stream
    #[arg(value_name = "STREAM")]
    pub stream: StreamName,
    /// How many events
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: u64,
    /// Events a second, whether the server keeps up or not [default: as fast as they are accepted]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub rate: Option<u32>,
    /// Requests that are open at once, each on a connection of its own [default: 4; with --rate, as many as are needed, up
    /// to 256]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000), conflicts_with_all = ["stdout", "output"])]
    pub connections: Option<u32>,
    /// Events of one request [default: 1000; with --rate, a twentieth of a second's, at most 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub batch: Option<u32>,
    /// How many of a hundred events shall be bad; 0.5 is one of two hundred
    #[arg(long, value_name = "PERCENT", default_value = "0", value_parser = percent)]
    pub bad: PerMillion,
    /// The same seed, schema and arguments give the same events
    #[arg(long, value_name = "S", default_value = "1")]
    pub seed: u64,
    /// Take the schema from this file, not from the server
    #[arg(long, value_name = "FILE", conflicts_with = "project")]
    pub schema: Option<PathBuf>,
    /// Take the schema and the limits from this project, not from the server
    #[arg(long, value_name = "DIR")]
    pub project: Option<PathBuf>,
    /// Write the events to standard output as NDJSON; send nothing
    #[arg(long, conflicts_with_all = ["output", "rate", "json"])]
    pub stdout: bool,
    /// Write the events to a file as NDJSON; send nothing
    #[arg(long, short, value_name = "FILE", conflicts_with = "rate")]
    pub output: Option<PathBuf>,
    /// Wait until the events are this safe [default: the server's setting]
    #[arg(long, value_name = "LEVEL", value_parser = ["disk", "os", "memory"])]
    pub ack: Option<String>,
    /// How long a batch is tried again before giving up
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub retry_for: Duration,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}

/// A share of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerMillion(pub u32);

#[derive(Debug, Args)]
pub struct Test {
    /// A schema
    #[arg(value_name = "FILE.json")]
    pub schema: PathBuf,
    /// Files of events, or - for standard input; .gz is unpacked
    #[arg(value_name = "DATA", required = true)]
    pub data: Vec<PathBuf>,
    /// How many bad events there should be
    #[arg(long, value_name = "N", default_value = "0")]
    pub expect_bad: u64,
    /// How many faults are shown, the first ones of all files together
    #[arg(long, value_name = "N", default_value = "10")]
    pub show: usize,
    /// How the data is written [default: json for *.json, else ndjson]
    #[arg(long, value_enum)]
    pub input: Option<Input>,
    /// How the verdicts are written
    #[arg(long, value_enum, default_value = "table", conflicts_with = "json")]
    pub format: TestFormat,
    /// Short for --format json
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TestFormat {
    /// For people
    Table,
    Json,
}

impl Test {
    pub fn format(&self) -> TestFormat {
        if self.json { TestFormat::Json } else { self.format }
    }
}

fn percent(text: &str) -> Result<PerMillion, String> {
    const EXPECTED: &str =
        "expected a percentage from 0 to 100 with at most 4 digits behind the point, for example 30";
    let expected = || EXPECTED.to_owned();
    let text = text.trim_end_matches('%');
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 3 || fraction.len() > 4 || !digits(whole) || !digits(fraction) {
        return Err(expected());
    }
    let per_million = format!("{whole}{fraction:0<4}").parse().map_err(|_| expected())?;
    if per_million > 1_000_000 { Err(expected()) } else { Ok(PerMillion(per_million)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_read_exactly() {
        for (text, per_million) in
            [("0", 0), ("30", 300_000), ("100%", 1_000_000), ("0.5", 5_000), ("0.0001", 1)]
        {
            assert_eq!(percent(text), Ok(PerMillion(per_million)), "{text}");
        }
        for text in ["", "-1", "101", "100.0001", "0.00001", "1e1", "half", ".5"] {
            assert!(percent(text).is_err(), "{text}");
        }
    }
}
