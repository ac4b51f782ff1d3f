//! The command line: what can be asked, and nothing else.
//! Always: a command is listed here only once it works. Parses; does nothing.

mod change;
mod copy;
mod generate;
#[cfg(test)]
mod reference;
mod secrets;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use hw_event::StreamName;

pub use change::{Erase, Plan};
pub use copy::{Backup, Export, Restore};
pub use generate::{Gen, Test, TestFormat};
pub use secrets::{Tokens, TokensReveal, Vault, VaultRotate, VaultStatus};

use crate::config;

#[derive(Debug, Parser)]
#[command(
    name = "headwater",
    version,
    about = "An event data platform in one binary: schemas in, events in, a governed lake that answers SQL out.",
    after_help = "Start with `headwater up DIR`; DIR holds headwater.toml and schemas/, or nothing at all.\n\
                  Exit codes: 0 fine, 1 the check is false or events were rejected, 2 usage or configuration,\n\
                  3 no server, 4 refused by the server.",
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a project: its listeners, its streams, its lake
    ///
    /// Stays in the foreground until Ctrl-C or TERM, then stops without losing anything. The data directory's
    /// endpoints.json says where it listens.
    Up(Up),
    /// Report every fault of a project's configuration and schemas
    ///
    /// Exits with 0 if there is none, else with 2. Warnings do not count.
    Check(Check),
    /// Show what the schemas of a project would change in the tables that are there
    ///
    /// A change is allowed, or the rows that are there are rewritten for it, or it is refused. Rows are read to count the values
    /// that do not fit. Changes nothing. Exits with 1 if something is refused.
    Plan(Plan),
    /// List the streams, or the versions of one stream's table
    Ls(Ls),
    /// Send events from a file or from standard input
    ///
    /// NDJSON (one event a line) or JSON (an array, or values one after another); a file named *.json is read
    /// as JSON, everything else as NDJSON; *.gz is unpacked. Events travel in bounded batches, each with an idempotency key, and
    /// a batch is tried again when the server is away or busy. Exits with 1 if an event was rejected.
    Send(Send),
    /// Ask a question in SQL
    Sql(Sql),
    /// Write a table into one Parquet file that any reader opens
    ///
    /// Asks the running server for the rows that are there when it begins, in pieces that keep to its limits, and counts them.
    /// The file gets its name once it is whole and durable: an export that breaks off leaves none.
    Export(Export),
    /// Print a stream's events as they come
    ///
    /// Follows the stream until interrupted, unless --limit or --no-follow says otherwise.
    Tail(Tail),
    /// Make events from a stream's schema, good ones and bad ones, and send them
    ///
    /// The bad ones take turns through every code that the schema can give, keyword among them where it has rules of the
    /// slower path (oneOf, if and the like); what the server says of each event is compared with what was intended, and a
    /// difference is exit code 1. The schema is the server's, or that of --schema or --project; --stdout and --output write
    /// NDJSON and need no server then.
    Gen(Gen),
    /// Judge files of events by a schema, without a server
    ///
    /// Prints how many events of each file are good and bad, the codes, and the first faults with their places. Exits
    /// with 1 if the number of bad events is not the expected one, with 2 if the schema has a fault. A file named *.json
    /// is read as JSON (an array, or values one after another), everything else as NDJSON.
    Test(Test),
    /// Replay a recording at the pace of its time column
    ///
    /// Reads NDJSON. Each line is sent as an event (--stream), or each numeric column of --sensors becomes a
    /// sensor whose readings {id, type, unit, value, ts} are sent over HTTP (--stream) or over TCP as
    /// id=…&tp=…&un=…&vl=…&ts=… records (--tcp). A step back in time is not waited for, a jump forward no
    /// longer than --gap.
    Play(Play),
    /// Show what was received, and what became of it, per stream and door
    ///
    /// received = stored + rejected + duplicates; the column `difference` is what is missing, always 0.
    Ledger(Ledger),
    /// Look at the events that were refused
    #[command(subcommand)]
    Rejects(Rejects),
    /// Tokens of protected fields
    #[command(subcommand)]
    Tokens(Tokens),
    /// The vault: what tokens stand for, and the root key it is sealed under
    #[command(subcommand)]
    Vault(Vault),
    /// Check journal, tables, rejects and ledger against each other
    ///
    /// Asks the running server; with --data and no server there, opens the data directory itself and changes nothing in
    /// it. Checks the bytes against their checksums, the ledger's counts against the rows, and that every event has one
    /// place. Exits with 0 if all is well, with 1 if something is wrong.
    Verify(Verify),
    /// Copy the data directory of a running server, as of one moment
    ///
    /// Runs on the server's machine, as the server's user. The copy holds keys and vault: keep it as you keep the data. It has
    /// its manifest, backup.ndjson, once it is whole and durable; without one it is not restored.
    Backup(Backup),
    /// Make a data directory of a backup; needs no server
    ///
    /// Each file is held against its checksum. Exits with 1 if the backup is not whole; then nothing is restored.
    Restore(Restore),
    /// Forget people: their keys, rows, rejects and every old copy of them
    ///
    /// SUBJECT is what events have in the field marked `x-privacy: subject`. Keys are destroyed at once; then files are
    /// written anew without the subjects' rows, old versions removed, and journal segments overwritten. Waits until it is
    /// done; a server that is stopped meanwhile goes on after its start.
    Erase(Erase),
    /// Look at the machine, the configuration and the data directory, and say what to do
    ///
    /// Works with and without a running server, and changes nothing. Exits with 1 if there is a fault; warnings do not
    /// count.
    Doctor(Doctor),
}

#[derive(Debug, Args)]
pub struct Verify {
    /// Streams, or rejects or ledger [default: everything]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// How the checks are written
    #[arg(long, value_enum, default_value = "table", conflicts_with = "json")]
    pub format: CheckFormat,
    /// Short for --format json
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// How the checks are written
    #[arg(long, value_enum, default_value = "table", conflicts_with = "json")]
    pub format: CheckFormat,
    /// Short for --format json
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// For people
    Table,
    /// One document
    Json,
    /// One JSON object a check
    Ndjson,
}

// What may be lost when a changed schema rewrites the rows that are there. No doc comment: it would be the help of `up`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Drop the values of fields that a schema does not name any more from the rows that are there
    ///
    /// Without it such a change is refused. A field that becomes protected or gets another name (x-renamed-from) needs no
    /// word: its old values are rewritten.
    #[arg(long)]
    pub drop_fields: bool,
    /// Make values null that do not fit a schema's narrower rules, or that its x-from cannot compute, in the rows that are there
    ///
    /// Without it a change with such values is refused, and says how many there are; headwater plan counts them beforehand.
    /// Where an event must have a value, the change is refused in any case.
    #[arg(long)]
    pub null_misfits: bool,
}

#[derive(Debug, Args)]
pub struct Up {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    #[command(flatten)]
    pub consent: Consent,
    /// How long a process that runs statements is kept without one. For tests
    #[arg(long, hide = true, default_value = "60s", value_parser = duration)]
    pub sql_idle: Duration,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The project
    #[arg(value_name = "DIR", default_value = ".")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub settings: SettingArgs,
    /// Print the faults as a JSON array
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SettingArgs {
    /// The data directory; short for --set data=D
    #[arg(long, value_name = "D")]
    pub data: Option<PathBuf>,
    /// A setting, for example --set http.listen=127.0.0.1:0; wins over the environment and headwater.toml
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// How a client command finds its server.
#[derive(Debug, Args)]
pub struct ServerArgs {
    /// The server, for example http://127.0.0.1:8080
    #[arg(long, env = "HEADWATER_URL", hide_env_values = true, value_name = "URL")]
    pub url: Option<String>,
    /// The server's data directory, whose endpoints.json names its address [default: ./.headwater, then
    /// http://127.0.0.1:8080]
    #[arg(long, value_name = "D")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Table,
    Json,
    /// One JSON object a row
    Ndjson,
    Csv,
    /// An Arrow IPC stream
    Arrow,
}

#[derive(Debug, Args)]
pub struct FormatArgs {
    /// How the answer is written
    #[arg(long, value_enum, default_value = "table", conflicts_with = "json")]
    pub format: Format,
    /// Short for --format json
    #[arg(long)]
    pub json: bool,
}

impl FormatArgs {
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}

#[derive(Debug, Args)]
pub struct Ls {
    /// Only this stream; with --versions also rejects or ledger
    #[arg(value_name = "STREAM")]
    pub stream: Option<String>,
    /// The versions of its table, the newest first: what VERSION AS OF and TIMESTAMP AS OF can read in SQL
    #[arg(long, requires = "stream")]
    pub versions: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct Send {
    /// The stream
    #[arg(value_name = "STREAM")]
    pub stream: StreamName,
    /// A file, or - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How the input is written [default: json for *.json, else ndjson]
    #[arg(long, value_enum)]
    pub input: Option<Input>,
    /// Wait until the events are this safe [default: the server's setting]
    #[arg(long, value_name = "LEVEL", value_parser = ["disk", "os", "memory"])]
    pub ack: Option<String>,
    /// Names this run: sending the same file again under the same name stores nothing twice
    #[arg(long, value_name = "NAME")]
    pub run_id: Option<String>,
    /// How long a batch is tried again before giving up
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    pub retry_for: Duration,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Input {
    /// One event a line
    Ndjson,
    /// An array, or values one after another
    Json,
}

#[derive(Debug, Args)]
pub struct Sql {
    /// The query, or - to read it from standard input
    #[arg(value_name = "QUERY")]
    pub query: String,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Args)]
pub struct Tail {
    /// The stream
    #[arg(value_name = "STREAM")]
    pub stream: StreamName,
    /// Where to begin: earliest, latest, an RFC 3339 time, or (with --partition) an offset
    /// [default: latest while following, else earliest]
    #[arg(long, value_name = "FROM")]
    pub from: Option<String>,
    /// Only this partition
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    pub partition: Option<i32>,
    /// Stop after this many events, or at the end of the stream
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Stop at the end of the stream
    #[arg(long)]
    pub no_follow: bool,
    /// How events are written
    #[arg(long, value_enum, default_value = "ndjson")]
    pub format: TailFormat,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TailFormat {
    /// Partition, offset, time of arrival and event, for people
    Table,
    /// One JSON object an event
    Ndjson,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("target").required(true).args(["stream", "tcp"]))]
pub struct Play {
    /// The recording
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Send to this stream over HTTP
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<StreamName>,
    /// Send to a TCP listener: its name in headwater.toml, or HOST:PORT
    #[arg(long, value_name = "NAME|ADDR")]
    pub tcp: Option<String>,
    /// Columns that become sensors, each with its unit, for example velocity:m/s,altitude:km
    #[arg(long, value_name = "COLUMN:UNIT,…", value_delimiter = ',', value_parser = sensor)]
    pub sensors: Vec<Sensor>,
    /// What the ids of the sensors begin with [default: the file's name]
    #[arg(long, value_name = "PREFIX", requires = "sensors")]
    pub id_prefix: Option<String>,
    /// Send the file's bytes as they are, without a pace
    #[arg(long, requires = "tcp", conflicts_with_all = ["sensors", "time", "speed", "gap", "start"])]
    pub raw: bool,
    /// The column that holds the time, as a number or as RFC 3339
    #[arg(long, value_name = "COLUMN", default_value = "time")]
    pub time: String,
    /// The unit of a numeric time
    #[arg(long, value_enum, default_value = "s")]
    pub time_unit: TimeUnit,
    /// How many times faster than recorded, or max
    #[arg(long, value_name = "N|max", default_value = "1", value_parser = speed)]
    pub speed: Speed,
    /// The longest wait between two lines
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub gap: Duration,
    /// The moment a numeric time of 0 stands for, RFC 3339 [default: now]
    #[arg(long, value_name = "TIME")]
    pub start: Option<String>,
    /// Digits of the ts of a TCP record: 10 are seconds, 13 milliseconds
    #[arg(long, value_name = "10|13", default_value = "13", value_parser = clap::builder::PossibleValuesParser::new(["10", "13"]))]
    pub ts_digits: String,
    /// Write to TCP in packets of exactly this many bytes, across the borders of records
    #[arg(long, value_name = "BYTES", requires = "tcp", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub packet: Option<u32>,
    #[command(flatten)]
    pub server: ServerArgs,
    /// Print the counts as JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TimeUnit {
    S,
    Ms,
    Us,
    Ns,
}

/// A column that becomes a sensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sensor {
    pub column: String,
    pub unit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    Max,
    Times(f64),
}

#[derive(Debug, Args)]
pub struct Ledger {
    /// Only this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// A row a minute
    #[arg(long)]
    pub minutes: bool,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Subcommand)]
pub enum Rejects {
    /// List rejected events, the latest first
    List(RejectsList),
    /// Show one rejected event: why, where, and its exact bytes
    Show(RejectsShow),
    /// Correct rejected events and send them through the gate again
    ///
    /// Each event is corrected (--set, --patch or --expr), judged by the stream's schema of now, and, where it passes, becomes
    /// a row of the stream's table, once, with `_origin`; its reject is `fixed`. What fails again stays a reject with its new
    /// reason. --dry-run shows what would happen. Broken off, the same command again goes on where it stood.
    Fix(RejectsFix),
    /// Send rejected events through the gate again as they came, after a schema has changed
    ///
    /// As `fix`, without a correction; what passes is `replayed`. Events that came before their stream was declared return by
    /// themselves when the server starts with its schema.
    Replay(RejectsReplay),
    /// Give rejected events up: they stay to be read, and are never sent again
    Discard(RejectsDiscard),
}

/// Which rejects.
#[derive(Debug, Args)]
pub struct SelectionArgs {
    /// Whose rejects
    #[arg(value_name = "STREAM")]
    pub stream: String,
    /// Only those of this code
    #[arg(long, value_name = "CODE")]
    pub code: Option<String>,
    /// Only those for which this SQL condition on the columns of `rejects` holds
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Only those received at or after this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub from: Option<jiff::Timestamp>,
    /// Only those received before this time, RFC 3339
    #[arg(long, value_name = "TIME")]
    pub to: Option<jiff::Timestamp>,
    /// At most this many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Show what would happen, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Print the job's report as a JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

#[derive(Debug, Args)]
#[group(id = "correction", required = true, multiple = true)]
pub struct RejectsFix {
    /// Set the value at a JSON pointer: '/unit="C"' or /value=1; may be given several times
    #[arg(long, value_name = "POINTER=JSON", group = "correction", conflicts_with_all = ["patch", "expr"])]
    pub set: Vec<String>,
    /// Apply the JSON Patch (an array, RFC 6902) or JSON Merge Patch (an object, RFC 7396) in this file
    #[arg(long, value_name = "FILE", group = "correction", conflicts_with = "expr")]
    pub patch: Option<PathBuf>,
    /// The value of this SQL expression over `event`, the event as text (of a payload its JSON): "replace(event, 'NaN', 'null')"
    #[arg(long, value_name = "SQL", group = "correction")]
    pub expr: Option<String>,
    /// Why, for the table `resolutions`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub struct RejectsReplay {
    /// Why, for the table `resolutions`
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub struct RejectsDiscard {
    /// Why they are given up
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub selection: SelectionArgs,
}

#[derive(Debug, Args)]
pub struct RejectsList {
    /// Only of this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// Only those received at or after this time, RFC 3339, or this long ago, for example 2h
    #[arg(long, value_name = "TIME|DURATION", value_parser = since)]
    pub since: Option<Since>,
    /// Count them by their code and path instead
    #[arg(long, value_enum)]
    pub by: Option<By>,
    /// At most this many rows
    #[arg(long, value_name = "N", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub format: FormatArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    Code,
}

#[derive(Debug, Args)]
pub struct RejectsShow {
    /// The stream
    #[arg(value_name = "STREAM")]
    pub stream: String,
    /// The partition, as `rejects list` shows it
    #[arg(value_name = "PARTITION")]
    pub partition: i32,
    /// The offset, as `rejects list` shows it
    #[arg(value_name = "OFFSET")]
    pub offset: i64,
    /// Write the event's exact bytes and nothing else
    #[arg(long, conflicts_with = "json")]
    pub raw: bool,
    /// Print the reject as a JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub server: ServerArgs,
}

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    At(jiff::Timestamp),
    Ago(Duration),
}

fn since(text: &str) -> Result<Since, String> {
    if let Ok(moment) = text.parse() {
        return Ok(Since::At(moment));
    }
    let ago = config::parse_duration(text).map(Since::Ago);
    ago.map_err(|_| "expected a time such as 2026-11-21T20:00:00Z or a duration such as 2h".to_owned())
}

fn root_key(text: &str) -> Result<config::RootKeySource, String> {
    config::parse_root_key(text)
}

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text)
}

fn speed(text: &str) -> Result<Speed, String> {
    match text {
        "max" => Ok(Speed::Max),
        _ => match text.trim_end_matches('x').parse::<f64>() {
            Ok(times) if times.is_finite() && times > 0.0 => Ok(Speed::Times(times)),
            _ => Err("expected a number above 0, or max".to_owned()),
        },
    }
}

fn sensor(text: &str) -> Result<Sensor, String> {
    let (column, unit) = match text.split_once(':') {
        Some((column, unit)) => (column, Some(unit.to_owned())),
        None => (text, None),
    };
    if column.is_empty() {
        return Err("expected COLUMN or COLUMN:UNIT".to_owned());
    }
    Ok(Sensor { column: column.to_owned(), unit })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_declarations_are_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn since_is_a_time_or_a_duration() {
        assert_eq!(since("2h"), Ok(Since::Ago(Duration::from_secs(7200))));
        assert!(matches!(since("2026-11-21T20:00:00+01:00"), Ok(Since::At(_))));
        for bad in ["", "yesterday", "2026-11-21", "-2h"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_speed_is_above_nothing() {
        assert_eq!(speed("max"), Ok(Speed::Max));
        assert_eq!(speed("10x"), Ok(Speed::Times(10.0)));
        for bad in ["0", "-1", "inf", "NaN", "fast", ""] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
