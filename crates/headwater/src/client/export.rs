//! `headwater export`: a table as one Parquet file, through the server's SQL, so that its rules and limits hold.
//! Always: the file has its name only if every row is in it that was there at the beginning, and it is durable; else there is
//! no file. Nothing that is there is written over. Does not know where the rows lie: it asks.
//!
//! 1. Which append is the newest, and how many rows of which offsets there are up to it: such a set of rows only ever shrinks.
//! 2. Window after window of offsets, each an answer of its own; one that is beyond a limit is halved.
//! 3. Count, close, sync, rename, sync the directory.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::{Schema, SchemaRef},
    ipc::reader::StreamDecoder,
};
use hw_query::check_embeddable;
use indicatif::ProgressBar;
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::{Value, json};

use super::{
    error::ClientError,
    query::{answer, ask, literal},
    server::Server,
};
use crate::{cli, exit::Exit, output};

const ARROW: &str = "application/vnd.apache.arrow.stream";
/// Offsets of one question, at first and at least.
const WINDOW: i64 = 65_536;
const WINDOW_MIN: i64 = 64;
/// A window is held in memory before it is written, since it may have to be asked for again.
const WINDOW_BYTES_MAX: usize = 512 << 20;
/// A row group is written when so much of it is in memory.
const GROUP_BYTES: usize = 64 << 20;
const TRIES: u32 = 10;

pub async fn run(arguments: cli::Export) -> Result<Exit, ClientError> {
    if let Some(condition) = &arguments.r#where {
        check_embeddable(condition)
            .map_err(|error| ClientError::usage(format!("--where: {error}"), error.hint()))?;
    }
    let server = Server::find(&arguments.server)?;
    let (path, in_directory) = target(&arguments.target, &arguments.table)?;
    if in_directory {
        fs::create_dir_all(&arguments.target).map_err(|error| cannot_write(&arguments.target, &error))?;
    }
    if path.exists() {
        return Err(exists(&path));
    }
    let bar = output::shows_progress().then(ProgressBar::new_spinner);
    let mut part = Part::new(&path)?;
    let told = match &arguments.sql {
        Some(statement) => {
            copy_statement(&server, statement, &mut part, bar.as_ref()).await?;
            json!({ "sql": statement })
        }
        None => copy_table(&server, &arguments, &mut part, bar.as_ref()).await?,
    };
    let rows = part.rows;
    let bytes = part.finish(&path)?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut out = io::stdout().lock();
    if arguments.json {
        let mut told = told;
        told["file"] = json!(path);
        (told["rows"], told["bytes"]) = (json!(rows), json!(bytes));
        writeln!(out, "{told:#}")?;
    } else {
        let through = told["through"].as_i64().map(|seq| format!(", through append {seq}"));
        writeln!(
            out,
            "{} rows in {} ({} bytes{})",
            output::grouped(rows),
            output::printable(&path.display().to_string()),
            output::grouped(bytes),
            through.unwrap_or_default()
        )?;
    }
    Ok(Exit::Fine)
}

/// The file, and whether it lies in a directory that is to be made.
fn target(target: &Path, table: &str) -> Result<(PathBuf, bool), ClientError> {
    if target.extension().is_some_and(|extension| extension == "parquet") && !target.is_dir() {
        return Ok((target.to_owned(), false));
    }
    let plain = !table.is_empty() && !table.starts_with('.') && !table.contains(['/', '\0']);
    if !plain {
        return Err(ClientError::usage(
            format!("{table:?} is no name of a file"),
            "name a file that ends in .parquet instead of the directory",
        ));
    }
    Ok((target.join(format!("{table}.parquet")), true))
}

fn exists(path: &Path) -> ClientError {
    ClientError::usage(
        format!("{} is there already", path.display()),
        "name another file, or remove it first",
    )
}

fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> ClientError {
    ClientError::usage(format!("cannot write {}: {error}", path.display()), "the export was given up")
}

/// How the rows of a table are told apart, by columns.
struct Places {
    groups: &'static [&'static str],
    offset: &'static str,
    seq: &'static str,
}

const OF_STREAM: Places = Places { groups: &["_partition"], offset: "_offset", seq: "_seq" };
const OF_REJECTS: Places = Places { groups: &["stream", "partition"], offset: "offset", seq: "seq" };

async fn copy_table(
    server: &Server,
    arguments: &cli::Export,
    part: &mut Part,
    bar: Option<&ProgressBar>,
) -> Result<Value, ClientError> {
    let named = literal(&arguments.table);
    let known = format!("SELECT table_name FROM streams WHERE stream = {named} OR table_name = {named}");
    let known = answer(server, &known).await?;
    let (table, places) = match known.rows.first().and_then(|row| row.first()?.as_str()) {
        Some(table) => (table.to_owned(), Some(OF_STREAM)),
        None if arguments.table == "rejects" => ("rejects".to_owned(), Some(OF_REJECTS)),
        None => (arguments.table.clone(), None),
    };
    let mut from = quoted(&table);
    if let Some(version) = arguments.of_version {
        from.push_str(&format!(" VERSION AS OF {version}"));
    }
    // On lines of its own, so that a comment in it ends with it.
    let only = arguments.r#where.as_ref().map_or_else(|| "true".to_owned(), |only| format!("(\n{only}\n)"));
    let mut told = json!({ "table": table, "version": arguments.of_version });
    let Some(Places { groups, offset, seq }) = places else {
        let statement = format!("SELECT * FROM {from} WHERE {only}");
        copy_statement(server, &statement, part, bar).await?;
        return Ok(told);
    };
    let (offset, seq) = (quoted(offset), quoted(seq));
    let newest = answer(server, &format!("SELECT max({seq}) FROM {from}")).await?;
    let through = newest.rows.first().and_then(|row| row.first()?.as_i64());
    told["through"] = json!(through);
    copy_statement(server, &format!("SELECT * FROM {from} LIMIT 0"), part, bar).await?;
    let Some(through) = through else { return Ok(told) };

    let all = format!("{seq} <= {through} AND {only}");
    let keys = groups.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ");
    let statement = format!(
        "SELECT {keys}, min({offset}), max({offset}), count(*) FROM {from} WHERE {all} GROUP BY {keys} ORDER BY {keys}"
    );
    for row in answer(server, &statement).await?.rows {
        let (key, rest) = row.split_at(groups.len().min(row.len()));
        let [Some(first), Some(last), Some(count)] = [0, 1, 2].map(|at| rest.get(at).and_then(Value::as_i64))
        else {
            return Err(server.strange("offsets that are no numbers"));
        };
        let group: Vec<String> =
            groups.iter().zip(key).map(|(name, value)| equals(&quoted(name), value)).collect();
        let rows = format!("SELECT * FROM {from} WHERE {} AND {all}", group.join(" AND "));
        let before = part.rows;
        copy_windows(server, &rows, &offset, first..=last, part, bar).await?;
        let copied = part.rows - before;
        if copied != count.cast_unsigned() {
            return Err(ClientError::NotFound {
                message: format!("{count} rows were there at the beginning, and {copied} were read; there is no file"),
                hint: "rows left the table meanwhile (an erasure, retention, a reject's new status): export again"
                    .to_owned(),
            });
        }
    }
    Ok(told)
}

async fn copy_windows(
    server: &Server,
    rows: &str,
    offset: &str,
    offsets: std::ops::RangeInclusive<i64>,
    part: &mut Part,
    bar: Option<&ProgressBar>,
) -> Result<(), ClientError> {
    let (mut window, mut from) = (WINDOW, *offsets.start());
    while from <= *offsets.end() {
        let to = from.saturating_add(window - 1).min(*offsets.end());
        let statement = format!("{rows} AND {offset} BETWEEN {from} AND {to} ORDER BY {offset}");
        let mut batches = Vec::new();
        match read(server, &statement, &mut |batch| {
            batches.push(batch);
            let bytes: usize = batches.iter().map(RecordBatch::get_array_memory_size).sum();
            if bytes > WINDOW_BYTES_MAX { Err(Stopped::TooLarge) } else { Ok(()) }
        })
        .await
        {
            Ok(_) => {}
            Err(error) if error.is_limit() && window > WINDOW_MIN => {
                window = (window / 2).max(WINDOW_MIN);
                continue;
            }
            Err(error) => return Err(error.into_client(server)),
        }
        for batch in &batches {
            part.write(batch)?;
        }
        if let Some(bar) = bar {
            bar.set_message(format!("{} rows", output::grouped(part.rows)));
            bar.tick();
        }
        let Some(next) = to.checked_add(1) else { break };
        from = next;
    }
    Ok(())
}

/// All rows of one answer, as they come.
async fn copy_statement(
    server: &Server,
    statement: &str,
    part: &mut Part,
    bar: Option<&ProgressBar>,
) -> Result<(), ClientError> {
    let mut take = |batch| {
        part.write(&batch).map_err(Stopped::Client)?;
        if let Some(bar) = bar {
            bar.set_message(format!("{} rows", output::grouped(part.rows)));
            bar.tick();
        }
        Ok(())
    };
    let schema = read(server, statement, &mut take).await.map_err(|stopped| stopped.into_client(server))?;
    part.begin(&schema)
}

enum Stopped {
    Client(ClientError),
    /// More than is held in memory.
    TooLarge,
}

impl Stopped {
    /// Would a smaller question have an answer?
    fn is_limit(&self) -> bool {
        match self {
            Stopped::TooLarge => true,
            Stopped::Client(ClientError::Refused { problem }) => {
                ["sql_rows", "sql_memory", "sql_time"].contains(&&*problem.code)
            }
            // An answer that reaches a limit after it has begun is cut off.
            Stopped::Client(ClientError::BrokenOff { .. }) => true,
            Stopped::Client(_) => false,
        }
    }

    fn into_client(self, server: &Server) -> ClientError {
        match self {
            Stopped::Client(error) => error,
            Stopped::TooLarge => server.strange("rows that are larger than can be held"),
        }
    }
}

/// Asks, and hands on each batch. Returns the schema, which also an answer without rows has.
async fn read(
    server: &Server,
    statement: &str,
    take: &mut dyn FnMut(RecordBatch) -> Result<(), Stopped>,
) -> Result<SchemaRef, Stopped> {
    let mut tries = 0;
    let mut response = loop {
        match ask(server, statement, ARROW).await {
            Ok(response) => break response,
            // The journal needed the room of hot rows, or many ask: it says to ask again.
            Err(ClientError::Refused { problem })
                if ["snapshot_gone", "no_cut", "busy"].contains(&&*problem.code) && tries < TRIES =>
            {
                tries += 1;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Err(error) => return Err(Stopped::Client(error)),
        }
    };
    let strange = |error: arrow::error::ArrowError| Stopped::Client(server.strange(error));
    let mut decoder = StreamDecoder::new();
    loop {
        let chunk = response.chunk().await;
        let chunk = chunk.map_err(|error| Stopped::Client(server.broken_off(&error)))?;
        let Some(chunk) = chunk else { break };
        let mut bytes = Buffer::from(chunk);
        while !bytes.is_empty() {
            if let Some(batch) = decoder.decode(&mut bytes).map_err(strange)? {
                take(batch)?;
            }
        }
    }
    let schema = decoder.schema();
    decoder.finish().map_err(strange)?;
    schema.ok_or_else(|| Stopped::Client(server.strange("an answer without columns")))
}

/// A name of SQL.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn equals(column: &str, value: &Value) -> String {
    match value {
        Value::Null => format!("{column} IS NULL"),
        Value::String(text) => format!("{column} = {}", literal(text)),
        number => format!("{column} = {number}"),
    }
}

/// A Parquet file that does not have its name yet. Dropped before its end, it is removed.
struct Part {
    path: PathBuf,
    /// `None`: nothing is known of the columns yet.
    writer: Option<ArrowWriter<File>>,
    file: File,
    rows: u64,
    done: bool,
}

impl Part {
    fn new(target: &Path) -> Result<Part, ClientError> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // Hidden, and no end in `.parquet`: who reads the directory does not take it for one.
        let path = target.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| cannot_write(&path, &error))?;
        Ok(Part { path, writer: None, file, rows: 0, done: false })
    }

    fn begin(&mut self, schema: &Schema) -> Result<(), ClientError> {
        if self.writer.is_none() {
            let level = ZstdLevel::try_new(1).unwrap_or_default();
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(level))
                .set_created_by(concat!("headwater ", env!("CARGO_PKG_VERSION")).to_owned())
                .build();
            let file = self.file.try_clone().map_err(|error| cannot_write(&self.path, &error))?;
            let writer = ArrowWriter::try_new(file, schema.clone().into(), Some(properties));
            self.writer = Some(writer.map_err(|error| cannot_write(&self.path, &error))?);
        }
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ClientError> {
        self.begin(&batch.schema())?;
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer
            .write(batch)
            .and_then(|()| if writer.in_progress_size() > GROUP_BYTES { writer.flush() } else { Ok(()) })
            .map_err(|error| cannot_write(&self.path, &error))?;
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Returns the file's bytes.
    fn finish(mut self, target: &Path) -> Result<u64, ClientError> {
        let written = self.writer.take().map(ArrowWriter::close).transpose();
        let written = written.map_err(|error| cannot_write(&self.path, &error))?;
        let counted = written.map_or(0, |written| written.file_metadata().num_rows());
        if counted != i64::try_from(self.rows).unwrap_or(i64::MAX) {
            return Err(cannot_write(&self.path, &format!("it holds {counted} rows, not {}", self.rows)));
        }
        let bytes = self.file.sync_all().and_then(|()| self.file.metadata()).map(|file| file.len());
        let bytes = bytes.map_err(|error| cannot_write(&self.path, &error))?;
        match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            Ok(()) => self.done = true,
            Err(rustix::io::Errno::EXIST) => return Err(exists(target)),
            // Not every file system can rename and look in one.
            Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                if target.exists() {
                    return Err(exists(target));
                }
                fs::rename(&self.path, target).map_err(|error| cannot_write(target, &error))?;
                self.done = true;
            }
            Err(error) => return Err(cannot_write(target, &error)),
        }
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))
            .and_then(|directory| directory.sync_all())
            .map_err(|error| cannot_write(target, &error))?;
        Ok(bytes)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done {
            // Whatever stays has no name that means anything.
            let _ = fs::remove_file(&self.path);
        }
    }
}
