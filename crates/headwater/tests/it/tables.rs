//! Lake ∪ hot tail is one table: no row twice or missed, at any moment, through any number of commits.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use serde_json::{Value, json};

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "id": {"type": "integer"},
    "at": {"type": "string", "format": "date-time"},
    "price": {"type": "string", "format": "decimal", "x-precision": 12, "x-scale": 2},
    "where": {"type": "object", "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}}},
    "tags": {"type": "array", "items": {"type": "string"}},
    "labels": {"type": "object", "additionalProperties": {"type": "integer"}},
    "raw": {"type": "string", "contentEncoding": "base64"}
  },
  "required": ["id"],
  "x-event-time": "at"
}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_row_is_seen_twice_or_missed_while_the_lake_commits() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[lake]\ncommit_every = \"50ms\"\n[journal]\nsegment = \"256KiB\"\nbudget = \"1GiB\"\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/reading.json", SCHEMA)]);
    // Statements have a lower priority than the writer, which never rests here; their rows stay as long as they read.
    let data = directory.path().join("data");
    let server = Arc::new(Server::start_with(&project, &data, &["sql.time=300s"]));
    let acknowledged = Arc::new(AtomicI64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (server, acknowledged, stop) = (server.clone(), acknowledged.clone(), stop.clone());
        async move {
            let mut next = 0;
            while !stop.load(Ordering::SeqCst) {
                let body: String = (next..next + 100).map(|id| format!("{{\"id\":{id}}}\n")).collect();
                assert_eq!(server.post("reading", "application/x-ndjson", body).await.0, 200);
                next += 100;
                acknowledged.store(next, Ordering::SeqCst);
            }
        }
    });
    let mut versions = std::collections::BTreeSet::new();
    for _ in 0..20 {
        let before = acknowledged.load(Ordering::SeqCst);
        let rows = server.sql("SELECT count(*), count(DISTINCT id), max(id) + 1 FROM reading").await;
        let count = rows[0][0].as_i64().unwrap();
        assert_eq!(rows[0][1].as_i64().unwrap(), count, "a row is seen twice");
        assert!(count == 0 || rows[0][2].as_i64().unwrap() == count, "a row is missed: {rows:?}");
        assert!(count >= before, "{count} seen, {before} acknowledged before");
        let lake = server.sql("SELECT lake_version FROM streams WHERE stream = 'reading'").await;
        versions.insert(lake[0][0].as_i64().unwrap_or(-1));
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    assert!(versions.len() > 1, "the lake committed while it was asked: {versions:?}");
}

#[tokio::test]
async fn every_type_comes_back_as_it_was_sent_hot_and_from_the_lake() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    let event = r#"{"id":9007199254740993,"at":"2026-11-21T20:00:00.1234567+02:00","price":"1234567890.12",
        "where":{"lat":-33.5,"lon":1e2},"tags":["a","ü"],"labels":{"x":1,"y":-2},"raw":"AP8=","more":{"b":[1]}}"#;
    assert_eq!(server.post("reading", "application/json", event).await.0, 200);
    let select = "SELECT id, at, price, \"where\", tags, labels, raw, _extra, _partition, _offset, _time, _schema FROM reading";
    let expected = json!([
        9007199254740993i64,
        "2026-11-21T18:00:00.123456Z",
        "1234567890.12",
        {"lat": -33.5, "lon": 100.0},
        ["a", "ü"],
        {"x": 1, "y": -2},
        "AP8=",
        "{\"/more\":{\"b\":[1]}}",
        0,
        0,
        "2026-11-21T18:00:00.123456Z",
        1
    ]);
    let hot = server.sql(select).await;
    assert_eq!(json!(hot[0]), expected);
    assert!(server.terminate().success());
    let server = Server::start(&project, &data);
    assert_eq!(json!(server.sql(select).await[0]), expected);
    let lake =
        server.sql("SELECT lake_version, events, rejected FROM streams WHERE stream = 'reading'").await;
    assert!(lake[0][0].as_i64().is_some(), "it is in the lake: {lake:?}");
    assert_eq!(lake[0][1..], [json!(1), json!(0)]);
}

#[tokio::test]
async fn a_newer_schema_reads_older_rows() {
    let directory = tempfile::tempdir().unwrap();
    let older = r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}"#;
    let newer = r#"{"type":"object","properties":{"id":{"type":"integer"},"note":{"type":"string"}},"required":["id"]}"#;
    let narrower = r#"{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}"#;
    let files = project(directory.path(), &[("schemas/reading.json", older)]);
    let data = directory.path().join("data");
    let server = Server::start(&files, &data);
    server.post("reading", "application/json", r#"{"id":1}"#).await;
    assert!(server.terminate().success());
    project(directory.path(), &[("schemas/reading.json", newer)]);
    let server = Server::start(&files, &data);
    server.post("reading", "application/json", r#"{"id":2,"note":"new"}"#).await;
    let select = "SELECT id, note, _schema FROM reading ORDER BY id";
    let expected = json!([[1, null, 1], [2, "new", 2]]);
    assert_eq!(json!(server.sql(select).await), expected);
    assert!(server.terminate().success());
    let server = Server::start(&files, &data);
    assert_eq!(json!(server.sql(select).await), expected);
    assert!(server.terminate().success());
    project(directory.path(), &[("schemas/reading.json", narrower)]);
    let Err((status, stderr)) = Server::try_start(&files, &data, &[]) else {
        panic!("a narrowed type was taken")
    };
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("id"), "{stderr}");
}

#[tokio::test]
async fn the_command_line_reads_what_was_written() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let server = Server::start(&project, &directory.path().join("data"));
    let events = directory.path().join("events.ndjson");
    std::fs::write(&events, "{\"id\":1}\n{\"id\":\"two\"}\n{\"id\":3}\n").unwrap();
    let data = server.data.to_str().unwrap().to_owned();
    let run = |arguments: &[&str]| {
        let (arguments, data) = (arguments.iter().map(ToString::to_string).collect::<Vec<_>>(), data.clone());
        tokio::task::spawn_blocking(move || {
            let mut all: Vec<&str> = arguments.iter().map(String::as_str).collect();
            all.extend(["--data", &data]);
            headwater(&all)
        })
    };
    let (code, stdout, stderr) = run(&["send", "reading", events.to_str().unwrap()]).await.unwrap();
    assert_eq!(code, 1, "one was rejected: {stdout}{stderr}");
    let (code, stdout, _) =
        run(&["sql", "SELECT id FROM reading ORDER BY id", "--format", "csv"]).await.unwrap();
    assert_eq!((code, stdout.as_str().trim().replace('\r', "")), (0, "id\n1\n3".to_owned()));
    let (code, stdout, stderr) = run(&["sql", "SELECT nothing FROM reading"]).await.unwrap();
    assert_eq!(code, 4, "{stdout}{stderr}");
    let (code, stdout, stderr) = run(&["ls", "--json"]).await.unwrap();
    assert!(code == 0 && stdout.contains("reading"), "{stdout}{stderr}");
    let (code, stdout, stderr) = run(&["ledger", "--json"]).await.unwrap();
    assert!(code == 0 && stdout.contains("reading"), "{stdout}{stderr}");
    let (code, stdout, stderr) = run(&["rejects", "list", "--json"]).await.unwrap();
    let listed: Value = serde_json::from_str(&stdout).unwrap_or_else(|_| panic!("{code}: {stdout}{stderr}"));
    assert!(listed.to_string().contains("type"), "{listed}");
    let (code, stdout, stderr) = run(&["rejects", "show", "reading", "0", "1", "--raw"]).await.unwrap();
    assert_eq!((code, stdout.as_str()), (0, "{\"id\":\"two\"}"), "{stderr}");
    let (code, stdout, stderr) =
        run(&["tail", "reading", "--limit", "2", "--from", "earliest"]).await.unwrap();
    assert!(code == 0 && stdout.lines().count() == 2, "{stdout}{stderr}");
    drop(server);
    let (code, _, stderr) = run(&["ls"]).await.unwrap();
    assert_eq!(code, 3, "{stderr}");
}
