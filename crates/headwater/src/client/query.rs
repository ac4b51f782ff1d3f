//! The commands that are a query: `sql`, and `ls` (whose versions have a path of their own), `ledger` and `rejects list`, which are queries kept here.
//! Always: JSON, NDJSON, CSV and Arrow are the server's bytes, passed on as they come.

use std::io::{self, Read, Write};

use reqwest::{Method, Response, header::ACCEPT};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{error::ClientError, server::Server};
use crate::{
    cli::{self, Format},
    exit::Exit,
    output,
};

/// A table's answer is held in memory; this is its limit.
const TABLE_BYTES_MAX: usize = 256 << 20;
/// Longer queries than this are refused here; the server's own limit is lower.
const STATEMENT_BYTES_MAX: u64 = 16 << 20;

pub async fn sql(arguments: cli::Sql) -> Result<Exit, ClientError> {
    let statement = if arguments.query == "-" {
        let mut text = String::new();
        let read = io::stdin().lock().take(STATEMENT_BYTES_MAX).read_to_string(&mut text);
        read.map_err(|error| ClientError::usage(format!("cannot read the query: {error}"), ""))?;
        text
    } else {
        arguments.query
    };
    if statement.trim().is_empty() {
        return Err(ClientError::usage("the query is empty", "for example: headwater sql 'SHOW TABLES'"));
    }
    print(&Server::find(&arguments.server)?, &statement, arguments.format.format()).await
}

pub async fn ls(arguments: cli::Ls) -> Result<Exit, ClientError> {
    let format = arguments.format.format();
    let columns = match format {
        Format::Table => {
            "stream, table_name, schema, partitions, events, rejected, first_at, last_at, \
             lake_bytes, lag_events"
        }
        _ => "*",
    };
    let server = Server::find(&arguments.server)?;
    let filter = stream_filter(arguments.stream.as_deref());
    match arguments.stream {
        Some(stream) if arguments.versions => versions(&server, &stream, format).await,
        _ => print(&server, &format!("SELECT {columns} FROM streams {filter} ORDER BY stream"), format).await,
    }
}

/// The versions of one table.
async fn versions(server: &Server, stream: &str, format: Format) -> Result<Exit, ClientError> {
    let response =
        server.ask(server.request(Method::GET, &["v1", "streams", stream, "versions"], &[])).await?;
    let body = server.body(response, TABLE_BYTES_MAX).await?;
    let mut told: Value = serde_json::from_slice(&body).map_err(|error| server.strange(error))?;
    let Value::Array(versions) = told["versions"].take() else { return Err(server.strange("no versions")) };
    let mut out = io::stdout().lock();
    match format {
        Format::Table => {
            let headings = ["version", "at", "operation", "files", "rows", "bytes", "readable"];
            let rows = versions.iter().map(|row| headings.iter().map(|it| output::cell(&row[*it])).collect());
            let numeric = [true, false, false, true, true, true, false];
            output::table(&mut out, &headings.map(str::to_owned), &numeric, rows)?;
        }
        Format::Json => writeln!(out, "{:#}", json!({ "versions": versions }))?,
        Format::Ndjson => {
            for version in &versions {
                writeln!(out, "{version}")?;
            }
        }
        Format::Csv | Format::Arrow => {
            return Err(ClientError::usage("versions are printed as table, json or ndjson", ""));
        }
    }
    Ok(Exit::Fine)
}

pub async fn ledger(arguments: cli::Ledger) -> Result<Exit, ClientError> {
    let by = if arguments.minutes { "stream, door, minute" } else { "stream, door" };
    let filter = stream_filter(arguments.stream.as_deref());
    let statement = format!(
        "SELECT {by}, sum(received) AS received, sum(stored) AS stored, sum(rejected) AS rejected, \
         sum(duplicates) AS duplicates, sum(refused) AS refused, sum(replayed) AS replayed, \
         sum(bytes) AS bytes, \
         sum(received) - sum(stored) - sum(rejected) - sum(duplicates) AS difference \
         FROM ledger {filter} GROUP BY {by} ORDER BY {by}"
    );
    print(&Server::find(&arguments.server)?, &statement, arguments.format.format()).await
}

pub async fn rejects_list(arguments: cli::RejectsList) -> Result<Exit, ClientError> {
    let filter = rejects_filter(&arguments)?;
    let limit = arguments.limit;
    let statement = match arguments.by {
        None => format!(
            "SELECT stream, \"partition\", \"offset\", received_at, door, code, path, message, status \
             FROM rejects {filter} ORDER BY received_at DESC, stream, \"partition\", \"offset\" DESC \
             LIMIT {limit}"
        ),
        Some(cli::By::Code) => format!(
            "SELECT stream, code, path, count(*) AS rejected, min(received_at) AS first_at, \
             max(received_at) AS last_at FROM rejects {filter} GROUP BY stream, code, path ORDER BY rejected DESC, stream, code, path \
             LIMIT {limit}"
        ),
    };
    print(&Server::find(&arguments.server)?, &statement, arguments.format.format()).await
}

fn stream_filter(stream: Option<&str>) -> String {
    stream.map_or_else(String::new, |stream| format!("WHERE stream = {}", literal(stream)))
}

fn rejects_filter(arguments: &cli::RejectsList) -> Result<String, ClientError> {
    let mut filters = Vec::new();
    if let Some(stream) = &arguments.stream {
        filters.push(format!("stream = {}", literal(stream)));
    }
    let since = match arguments.since {
        None => None,
        Some(cli::Since::At(moment)) => Some(moment),
        Some(cli::Since::Ago(ago)) => Some(
            jiff::Timestamp::now()
                .checked_sub(ago)
                .map_err(|_| ClientError::usage("--since is before all time", "for example --since 2h"))?,
        ),
    };
    if let Some(since) = since {
        filters.push(format!("received_at >= TIMESTAMP {}", literal(&format!("{since:.6}"))));
    }
    let filter = filters.join(" AND ");
    Ok(if filter.is_empty() { filter } else { format!("WHERE {filter}") })
}

/// Text as an SQL literal.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The answer of `/v1/sql` in JSON.
#[derive(Debug, Deserialize)]
pub struct Answer {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Value>>,
}

#[derive(Debug, Deserialize)]
pub struct Column {
    pub name: String,
    #[serde(default, rename = "type")]
    pub type_name: String,
}

/// Asks and holds the whole answer.
pub async fn answer(server: &Server, statement: &str) -> Result<Answer, ClientError> {
    let response = ask(server, statement, "application/json").await?;
    let body = server.body(response, TABLE_BYTES_MAX).await?;
    serde_json::from_slice(&body).map_err(|error| server.strange(error))
}

pub(super) async fn ask(server: &Server, statement: &str, accept: &str) -> Result<Response, ClientError> {
    let request = server.request(Method::POST, &["v1", "sql"], &[]).header(ACCEPT, accept);
    server.ask(request.json(&json!({ "sql": statement }))).await
}

/// Asks and prints.
pub async fn print(server: &Server, statement: &str, format: Format) -> Result<Exit, ClientError> {
    let accept = match format {
        Format::Table => {
            print_table(&answer(server, statement).await?)?;
            return Ok(Exit::Fine);
        }
        Format::Json => "application/json",
        Format::Ndjson => "application/x-ndjson",
        Format::Csv => "text/csv",
        Format::Arrow => "application/vnd.apache.arrow.stream",
    };
    let mut response = ask(server, statement, accept).await?;
    let mut out = io::stdout().lock();
    let mut last = b'\n';
    while let Some(chunk) = response.chunk().await.map_err(|error| server.broken_off(&error))? {
        out.write_all(&chunk)?;
        last = chunk.last().copied().unwrap_or(last);
    }
    if last != b'\n' && format == Format::Json {
        out.write_all(b"\n")?;
    }
    out.flush()?;
    Ok(Exit::Fine)
}

fn print_table(answer: &Answer) -> Result<(), ClientError> {
    let headings: Vec<String> = answer.columns.iter().map(|column| column.name.clone()).collect();
    let numeric: Vec<bool> = answer.columns.iter().map(|column| is_numeric(&column.type_name)).collect();
    let rows = answer.rows.iter().map(|row| row.iter().map(output::cell).collect());
    let mut out = io::stdout().lock();
    output::table(&mut out, &headings, &numeric, rows)?;
    out.flush()?;
    let count = answer.rows.len();
    if count > output::TABLE_ROWS_MAX {
        eprintln!(
            "{} rows; the first {} are shown, --format ndjson or csv prints all",
            output::grouped(count as u64),
            output::grouped(output::TABLE_ROWS_MAX as u64)
        );
    } else {
        eprintln!("{count} {}", if count == 1 { "row" } else { "rows" });
    }
    Ok(())
}

fn is_numeric(type_name: &str) -> bool {
    let name = type_name.to_ascii_lowercase();
    ["int", "uint", "float", "decimal", "double"].iter().any(|start| name.starts_with(start))
}
