//! `bench tpch`: TPC-H's 22 questions over rows of `tpchgen-cli`. The rows come as its text lines, go to us as NDJSON over HTTP with the
//! schemas of `bench/tpch/schemas`, and lie in our tables for all three systems. Always: as many rows are in the tables as were made.
//! Is no TPC-H result: nothing was audited, and refresh functions and streams of queries are not run.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::{
    Options,
    feed::Feed,
    ours::wait_until_committed,
    peers::Peers,
    questions,
    sides::{Sides, pinned},
};
use crate::{
    server::{Launch, Server},
    workspace::root,
};

/// Of `lineitem`, at scale factor 1.
const EVENTS: u64 = 6_000_000;
const TABLES: [&str; 8] =
    ["region", "nation", "supplier", "customer", "part", "partsupp", "orders", "lineitem"];

/// How a value of a text line stands in JSON.
#[derive(Clone, Copy)]
enum Kind {
    AsItIs,
    Text,
}

pub fn run(options: &Options) -> Result<()> {
    let scale = options.events.unwrap_or(EVENTS) as f64 / EVENTS as f64;
    let peers = Peers::install()?;
    let bench = root().join("bench/tpch");
    // Clause 2.4.11.3: 0.0001 / SF.
    let questions = questions::read(&bench, &[("{FRACTION}", format!("{:.10}", 0.0001 / scale))])?;
    let scratch = options.scratch("tpch")?;
    let mut launch = Launch::new(&options.binary, scratch.path(), &scratch.path().join("data"), &[])?;
    launch.project = bench;
    launch.command = pinned(&options.binary);
    let server = launch.start()?;
    let loaded =
        TABLES.iter().map(|table| load(&server, &peers, table, scale)).collect::<Result<Vec<_>>>()?;
    wait_until_committed(&server, loaded.iter().map(|(_, seq)| *seq).max().unwrap_or(0))?;
    for (table, (rows, _)) in TABLES.iter().zip(&loaded) {
        let found = server.numbers(&format!("SELECT count(*) FROM {table}"))?;
        ensure!(found == [*rows as i64], "{table}: {rows} rows were sent, the table says {found:?}");
        println!("{table:<9} {rows:>9} rows");
    }
    println!("scale factor {scale}");
    Sides {
        launch: &launch,
        peers: &peers,
        tables: &TABLES,
        questions: &questions,
        scratch: scratch.path(),
        rounds: options.pairs.unwrap_or(2),
    }
    .run(server)
}

/// How many rows there were, and the append of the last one.
fn load(server: &Server, peers: &Peers, table: &str, scale: f64) -> Result<(u64, u64)> {
    let columns = columns(table)?;
    let mut generator = Command::new(peers.program("tpchgen-cli"));
    generator.args(["-s", &scale.to_string(), "--tables", table, "--stdout"]);
    let mut child =
        generator.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot run tpchgen-cli")?;
    let lines = BufReader::with_capacity(1 << 20, child.stdout.take().context("no standard output")?);
    let mut feed = Feed::new(&server.addresses.http, table);
    for line in lines.lines() {
        let line = line?;
        feed.row(|json| object(&columns, &line, json).with_context(|| line.clone()))?;
    }
    let status = child.wait()?;
    ensure!(status.success(), "tpchgen-cli: {status}");
    feed.finish()
}

/// The table's columns, from its schema.
fn columns(table: &str) -> Result<Vec<(String, Kind)>> {
    let schema = std::fs::read(root().join(format!("bench/tpch/schemas/{table}.json")))?;
    let schema: Value = serde_json::from_slice(&schema).with_context(|| format!("{table}.json"))?;
    let properties = schema["properties"].as_object().context("a schema without properties")?;
    let kind = |column: &Value| match column["type"].as_str() {
        Some("integer" | "number") => Ok(Kind::AsItIs),
        Some("string") => Ok(Kind::Text),
        _ => bail!("{table}.json: {column}"),
    };
    properties.iter().map(|(name, column)| Ok((name.clone(), kind(column)?))).collect()
}

/// A line of values, each with a `|` behind it, as a JSON object.
fn object(columns: &[(String, Kind)], line: &str, json: &mut Vec<u8>) -> Result<()> {
    let mut values = line.strip_suffix('|').unwrap_or(line).split('|');
    let mut before = b'{';
    for (name, kind) in columns {
        let value = values.next().context("a value is missing")?;
        json.extend_from_slice(&[before, b'"']);
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(b"\":");
        match kind {
            Kind::AsItIs => json.extend_from_slice(value.as_bytes()),
            Kind::Text => serde_json::to_writer(&mut *json, value)?,
        }
        before = b',';
    }
    json.push(b'}');
    ensure!(values.next().is_none(), "a value too many");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_an_object() {
        let columns = columns("region").unwrap();
        let mut json = Vec::new();
        object(&columns, "0|AFRICA|lar deposits, \"quick\"|", &mut json).unwrap();
        let text = r#"{"r_regionkey":0,"r_name":"AFRICA","r_comment":"lar deposits, \"quick\""}"#;
        assert_eq!(String::from_utf8(json).unwrap(), text);
        assert!(object(&columns, "0|AFRICA|", &mut Vec::new()).is_err());
        assert!(object(&columns, "0|AFRICA|a|b|", &mut Vec::new()).is_err());
    }
}
