//! Bits that flipped in the lake while the server was stopped: it starts, says nothing that is wrong, and names what is
//! damaged; whatever else there is answers as before. `HW_FLIPS` says how many (40), `HW_SEED` which.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::server::{Random, Server, project};

const SCHEMA: &str =
    r#"{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}},"required":["id"]}"#;
const CONFIG: &str = "[lake]\nscrub_every = \"1s\"\n[journal]\nsegment = \"1MiB\"\nbudget = \"64MiB\"\n";
/// Each table's directory, and a statement that reads all of it.
const STATEMENTS: [(&str, &str); 4] = [
    ("reading", "SELECT id, text, _offset, _seq FROM reading ORDER BY _offset"),
    ("engine", "SELECT id, text, _offset, _seq FROM engine ORDER BY _offset"),
    ("rejects", "SELECT stream, \"offset\", code, payload FROM rejects ORDER BY stream, \"offset\""),
    (
        "ledger",
        "SELECT stream, sum(received), sum(stored), sum(bytes) FROM ledger GROUP BY stream ORDER BY stream",
    ),
];

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() { copy(&path, &target) } else { assert!(fs::copy(&path, target).is_ok()) }
    }
}

/// A lake of several commits, all of it released by the journal. Returns what each statement says.
async fn fill(project: &Path, data: &Path) -> Vec<Vec<Vec<Value>>> {
    for life in 0..3 {
        let server = Server::start(project, data);
        for stream in ["reading", "engine"] {
            let events: Vec<_> = (0..200)
                .map(|id| match id % 50 {
                    49 => "{\"id\":\"bad\"}".to_owned(),
                    _ => format!("{{\"id\":{},\"text\":\"row {life} {id}\"}}", life * 1000 + id),
                })
                .collect();
            let (status, receipt) = server.post(stream, "application/x-ndjson", events.join("\n")).await;
            assert_eq!((status, &receipt["accepted"]), (200, &196.into()), "{receipt}");
        }
        assert!(server.terminate().success());
    }
    let server = Server::start(project, data);
    let mut answers = Vec::new();
    for (_, statement) in STATEMENTS {
        answers.push(server.sql(statement).await);
    }
    assert_eq!(answers[0].len(), 588);
    assert!(server.terminate().success());
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flips_while_stopped_are_repaired_or_named() {
    let rounds: u64 = std::env::var("HW_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(40);
    let mut random = Random::seeded();
    let directory = tempfile::tempdir().unwrap();
    let project = project(
        directory.path(),
        &[("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA), ("schemas/engine.json", SCHEMA)],
    );
    let pristine = directory.path().join("pristine");
    let answers = fill(&project, &pristine).await;
    let (mut equal, mut named) = (0, 0);
    for round in 0..rounds {
        let data = directory.path().join(format!("data{round}"));
        copy(&pristine, &data);
        let mut all = Vec::new();
        files(&data.join("lake"), &mut all);
        all.sort();
        let path = &all[random.below(all.len() as u64) as usize];
        let mut bytes = fs::read(path).unwrap();
        let (at, bit) = (random.below(bytes.len() as u64) as usize, random.below(8));
        bytes[at] ^= 1 << bit;
        fs::write(path, bytes).unwrap();
        let what = format!("bit {bit} of byte {at} of {}", path.strip_prefix(&data).unwrap().display());

        let server = Server::start(&project, &data);
        assert_eq!(server.get("/readyz").await.0, 200, "{what}");
        for ((table, statement), answer) in STATEMENTS.iter().zip(&answers) {
            let hit = path.starts_with(data.join("lake").join(table));
            let (status, found) = server.sql_answer(statement).await;
            if status == 200 {
                assert_eq!(
                    &serde_json::from_value::<Vec<Vec<Value>>>(found["rows"].clone()).unwrap(),
                    answer,
                    "{what}"
                );
                equal += 1;
                continue;
            }
            assert!(hit, "{what}: {table} has nothing to do with it: {found}");
            assert_eq!((status, found["code"].as_str()), (500, Some("damaged")), "{what}: {found}");
            let file = path.strip_prefix(&data).unwrap().display().to_string();
            assert!(found["detail"].as_str().unwrap().contains(&file), "{what}: {found}");
            named += 1;
        }
        // Events are taken as ever, also of a table that cannot be read.
        let (status, _) = server.post("reading", "application/json", "{\"id\":1}").await;
        assert_eq!(status, 200, "{what}");
        drop(server);
        fs::remove_dir_all(&data).unwrap();
    }
    println!("{rounds} flips: {equal} answers equal, {named} named their damage");
    assert_eq!(equal + named, rounds * STATEMENTS.len() as u64);
}

/// What nobody asks for is found all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_scrubber_names_what_nobody_reads() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(
        directory.path(),
        &[("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA), ("schemas/engine.json", SCHEMA)],
    );
    let data = directory.path().join("data");
    fill(&project, &data).await;
    let server = Server::start(&project, &data);
    let mut all = Vec::new();
    files(&data.join("lake/reading"), &mut all);
    let path = all.into_iter().find(|path| path.extension().is_some_and(|kind| kind == "parquet")).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let found = async {
        while !server.get("/metrics").await.1.contains("\nheadwater_damaged_files 1\n") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), found)
        .await
        .expect("the scrubber found nothing");
    let log = server.stderr();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(log.contains(name) && log.contains("a file is damaged"), "{log}");
}
