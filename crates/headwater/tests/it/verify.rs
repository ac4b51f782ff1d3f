//! `headwater verify`: no false fault while events come, and no true one missed; the directory stays as it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},"who":{"type":"string"}},
    "required":["id"],"x-key":["id"],"x-partitions":3}"#;
const CONFIG: &str = "[lake]\ncommit_every = \"20ms\"\n[journal]\nsegment = \"256KiB\"\nbudget = \"64MiB\"\n";

fn verify(arguments: &[&str]) -> (i32, Value, String) {
    let (code, stdout, stderr) = headwater(&[&["verify", "--json"], arguments].concat());
    (code, serde_json::from_str(&stdout).unwrap_or(Value::Null), stderr)
}

fn faults(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().into_iter().flatten();
    checks
        .flat_map(|check| {
            let faults = check["faults"].as_array().into_iter().flatten();
            faults.map(move |fault| {
                let text = |name: &str| fault[name].as_str().unwrap_or_default().to_owned();
                assert!(!text("do").is_empty(), "a fault says what to do");
                format!("{} {}: {} ({})", check["check"], check["of"], text("what"), text("where"))
            })
        })
        .collect()
}

/// Good events, bad ones, and one request twice.
async fn send(server: &Server, from: u64, requests: u64) {
    for request in from..from + requests {
        let body: String = (0..50)
            .map(|n| match n % 10 {
                3 => "{\"id\":\"x\"}\n".to_owned(),
                _ => format!("{{\"id\":{},\"who\":\"{}\"}}\n", request * 50 + n, "w".repeat(40)),
            })
            .collect();
        let key = format!("r{request}");
        let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", key.as_str())];
        let (status, receipt) = server.post_with("orders", &headers, body.clone()).await;
        assert_eq!((status, &receipt["accepted"]), (200, &Value::from(45)), "{receipt}");
        if request % 7 == 0 {
            assert_eq!(server.post_with("orders", &headers, body).await.1["duplicates"], 50);
        }
    }
}

/// Every file below the directory with its content.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => waiting.push(path),
                false => drop(found.insert(path.clone(), std::fs::read(&path).unwrap())),
            }
        }
    }
    found
}

/// The files that the table has; those that compaction has replaced may still be there.
fn parquet_of(data: &Path, table: &str) -> Vec<PathBuf> {
    let table = data.join("lake").join(table);
    let mut live = BTreeSet::new();
    for (path, commit) in files(&table.join("_delta_log")) {
        if path.extension().is_some_and(|extension| extension == "json") {
            for line in String::from_utf8(commit).unwrap().lines() {
                let action: Value = serde_json::from_str(line).unwrap();
                let path = |kind: &str| action[kind]["path"].as_str().map(|path| table.join(path));
                path("remove").map(|path| live.remove(&path));
                live.extend(path("add"));
            }
        }
    }
    live.into_iter().collect()
}

fn copy(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        let path = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_false_fault_while_events_come() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/orders.json", SCHEMA)]);
    let server = Arc::new(Server::start(&project, &directory.path().join("data")));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (server, stop) = (server.clone(), stop.clone());
        async move {
            let mut sent = 0;
            while !stop.load(Ordering::SeqCst) {
                send(&server, sent, 5).await;
                assert_eq!(server.post("nobody", "application/json", "{}").await.0, 404);
                sent += 5;
            }
            sent
        }
    });
    let mut through = 0;
    for round in 0..8 {
        let url = server.http.clone();
        let (code, report, stderr) =
            tokio::task::spawn_blocking(move || verify(&["--url", &url])).await.unwrap();
        assert_eq!((code, faults(&report)), (0, vec![]), "round {round}: {stderr}");
        let now = report["summary"]["through"].as_u64().unwrap();
        assert!(now > through, "events came meanwhile: {report}");
        through = now;
    }
    stop.store(true, Ordering::SeqCst);
    let sent = writer.await.unwrap();
    assert!(sent > 0);
    // One stream alone, and a name that is none.
    let (code, report, _) = verify(&["--url", &server.http, "orders"]);
    assert_eq!(code, 0);
    let rows = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "rows").unwrap();
    assert_eq!(rows["figures"]["stored"], sent * 45, "{report}");
    assert_eq!(rows["figures"]["rejected"], sent * 5, "{report}");
    let (code, _, stderr) = verify(&["--url", &server.http, "ordres"]);
    assert!(code == 4 && stderr.contains("no_stream"), "{code} {stderr}");
}

/// Until the journal has let go of what the lake has, it could still make good for a lake that is older or gone.
async fn let_go(server: &Server) {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(60);
    loop {
        let status: Value = serde_json::from_str(&server.get("/v1/status").await.1).unwrap();
        if status["journal"]["first_kept"].as_u64().unwrap() > 20 {
            return;
        }
        assert!(std::time::Instant::now() < patience, "{status}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn offline_it_finds_what_is_wrong_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/orders.json", SCHEMA)]);
    let data = directory.path().join("data");
    let path = data.to_str().unwrap();
    let server = Server::start(&project, &data);
    send(&server, 0, 60).await;
    // While it runs, the same command asks the server.
    assert_eq!(verify(&["--data", path]).0, 0);
    let_go(&server).await;
    send(&server, 60, 20).await;
    // Killed: the journal has a tail that no table holds, and no clean end.
    server.kill();

    let before = files(&data);
    let (code, report, stderr) = verify(&["--data", path]);
    assert_eq!((code, faults(&report)), (0, vec![]), "{stderr}");
    assert!(files(&data) == before, "it changed the directory");
    let (code, table, _) = headwater(&["verify", "--data", path]);
    assert!(code == 0 && table.contains("offsets"), "{table}");

    let spoil = |name: &str, act: &dyn Fn(&Path)| {
        let copied = directory.path().join(name);
        copy(&data, &copied);
        act(&copied);
        let spoilt = files(&copied);
        let (code, report, stderr) = verify(&["--data", copied.to_str().unwrap()]);
        assert!(files(&copied) == spoilt, "{name}: it changed the directory");
        (code, faults(&report).join("\n"), stderr)
    };
    let flip = |path: &Path, at: usize| {
        let mut bytes = std::fs::read(path).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
    };

    let (code, found, _) = spoil("flipped", &|data| flip(&parquet_of(data, "orders")[0], 100));
    assert!(code == 1 && found.contains("its CRC-32C is") && found.contains("lake/orders/"), "{found}");

    let (code, found, _) = spoil("missing", &|data| {
        std::fs::remove_file(&parquet_of(data, "orders")[0]).unwrap();
    });
    assert!(code == 1 && found.contains("it cannot be read"), "{found}");

    let (code, found, _) = spoil("commit", &|data| {
        flip(&data.join("lake/orders/_delta_log/00000000000000000000.json"), 30);
    });
    assert!(code == 1 && found.contains("_delta_log/00000000000000000000.json"), "{found}");

    let (code, found, _) = spoil("catalog", &|data| flip(&data.join("catalog/1.json"), 40));
    assert!(code == 1 && found.contains("the catalog file 1.json is damaged"), "{found}");

    // A table less: its rows are nowhere, and the ledger knows.
    let (code, found, stderr) = spoil("table", &|data| {
        std::fs::remove_dir_all(data.join("lake/orders")).unwrap();
    });
    assert!(code == 1 && found.contains("the ledger counts 3600 stored"), "{code} {found} {stderr}");

    // In use by a server that is not ready to answer: not touched.
    let lock = std::fs::File::open(data.join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let (code, _, stderr) = verify(&["--data", path]);
    assert!(code == 2 && stderr.contains("in use"), "{code} {stderr}");
}

#[tokio::test]
async fn parts_of_two_moments_do_not_agree() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[lake]\ncommit_every = \"20ms\"\n[journal]\nsegment = \"64KiB\"\nbudget = \"64MiB\"\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/orders.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    send(&server, 0, 10).await;
    assert!(server.terminate().success());
    let older = directory.path().join("older");
    copy(&data, &older);
    let server = Server::start(&project, &data);
    send(&server, 10, 60).await;
    let_go(&server).await;
    assert!(server.terminate().success());
    let (code, report, stderr) = verify(&["--data", data.to_str().unwrap()]);
    assert_eq!((code, faults(&report)), (0, vec![]), "{stderr}");

    let mixed = |name: &str, journal: &Path, lake: &Path| {
        let mixed = directory.path().join(name);
        copy(&data, &mixed);
        for (part, from) in [("journal", journal), ("lake", lake)] {
            std::fs::remove_dir_all(mixed.join(part)).unwrap();
            copy(&from.join(part), &mixed.join(part));
        }
        let (code, report, _) = verify(&["--data", mixed.to_str().unwrap()]);
        (code, faults(&report).join("\n"))
    };
    let (code, found) = mixed("journal-older", &older, &data);
    assert!(code == 1 && found.contains("but the journal ends at append"), "{found}");
    let (code, found) = mixed("lake-older", &data, &older);
    assert!(code == 1 && found.contains("are in no table and not in the journal"), "{found}");
}
