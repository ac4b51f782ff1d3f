//! The files that statements open: hostile ones open none that `SELECT 1` does not, but for the data.

use std::{collections::BTreeSet, path::Path};

use crate::server::{Server, project};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}"#;

/// Files outside of the test's directory that the server and its processes opened, or tried to, while these statements ran.
async fn opened(statements: &[&str]) -> BTreeSet<String> {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let trace = directory.path().join("trace");
    let server = Server::start_traced(&project, &directory.path().join("data"), &trace, &[]);
    server.post("reading", "application/json", r#"{"id":1} {"id":"bad"}"#).await;
    for statement in statements {
        let (status, answer) = server.sql_answer(statement).await;
        assert!(status < 500 || status == 504, "{statement}: {status} {answer}");
    }
    server.terminate_traced();
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.contains("sql-child"), "the trace shows no process for SQL");
    let calls = trace.lines().filter(|line| line.contains("open") || line.contains("creat("));
    let files = calls.filter_map(|line| line.split('"').nth(1));
    let outside = files.filter(|file| !Path::new(file).starts_with(directory.path()));
    // A process is a number, and so is one of its threads.
    let plain = |file: &str| {
        file.split('/')
            .map(|part| if part.parse::<u32>().is_ok() { "N" } else { part })
            .collect::<Vec<_>>()
            .join("/")
    };
    outside.map(plain).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_statements_open_no_other_files() {
    if std::process::Command::new("strace").arg("-V").output().is_err() {
        println!("SKIPPED: there is no strace");
        return;
    }
    let mut allowed = opened(&["SELECT 1"]).await;
    // The C library and the allocator count processors when they first have to, whatever is asked.
    allowed.insert("/sys/devices/system/cpu/online".to_owned());
    let found = opened(&[
        "SELECT 1",
        "SELECT * FROM reading",
        "SELECT payload FROM rejects",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM parquet_metadata('/etc/passwd')",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY reading TO '/tmp/stolen.csv'",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT arrow_typeof(now()), to_timestamp('2026-11-22T00:00:00Z') AT TIME ZONE 'Europe/Berlin'",
        "EXPLAIN ANALYZE SELECT count(*) FROM reading",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM other.public.reading",
    ])
    .await;
    let more: Vec<_> = found.difference(&allowed).collect();
    assert!(more.is_empty(), "{more:?} beyond {allowed:?}");
    println!("{} files, none of them beyond those of SELECT 1", found.len());
}
