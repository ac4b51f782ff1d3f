//! Compaction beside a server that takes events: every answer is right at every moment, files that were replaced go, and
//! nothing is lost when the server is killed.

use std::{collections::BTreeSet, fs, path::Path};

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"},"who":{"type":"string"}},
    "required":["id"],"x-key":["id"],"x-partitions":3}"#;
/// A commit each 60 ms, and files that are soon large.
const CONFIG: &str = "[lake]\ncommit_every = \"2ms\"\ncompact_to = \"32KiB\"\nkeep_old = \"1s\"\n\
    [journal]\nsegment = \"256KiB\"\nbudget = \"64MiB\"\n";
const REQUESTS_MAX: i64 = 3000;

fn data_files(table: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(table).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.ends_with(".parquet")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_stay_right_while_files_are_joined_and_old_ones_go() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/orders.json", SCHEMA)]);
    let data = directory.path().join("data");
    let table = data.join("lake/orders");
    let mut server = Server::start(&project, &data);
    let (mut sent, mut gone, mut first) = (0, 0, None::<String>);
    for request in 0..REQUESTS_MAX {
        let body: String = (0..50)
            .map(|n| format!("{{\"id\":{},\"who\":\"{}\"}}\n", request * 50 + n, "w".repeat(40)))
            .collect();
        let (status, receipt) = server.post("orders", "application/x-ndjson", body).await;
        assert_eq!(status, 200, "{receipt}");
        sent += 50;
        let expected = [sent, sent, sent * (sent - 1) / 2];
        let row = server.sql("SELECT count(*), count(DISTINCT id), sum(id) FROM orders").await.remove(0);
        assert_eq!(row, expected.map(serde_json::Value::from), "request {request}");
        if request == 100 {
            server.kill();
            server = Server::start(&project, &data);
        }
        let names = data_files(&table);
        let hot = names.iter().find(|name| name.starts_with("part-"));
        if first.as_ref().is_some_and(|first| !names.contains(first)) {
            gone += 1;
            first = None;
        }
        first = first.or(hot.cloned());
        let compacted = names.iter().filter(|name| name.starts_with("comp-")).count();
        if request > 150 && gone >= 3 && compacted >= 2 {
            break;
        }
    }
    assert!(gone >= 3, "files that were replaced stay: {:?}\n{}", data_files(&table), server.stderr());
    let order = "SELECT count(*) FROM (SELECT _offset, lag(_offset) OVER (PARTITION BY _partition ORDER BY _offset) \
                 AS before FROM orders) WHERE before >= _offset";
    assert_eq!(server.number(order).await, 0);
    assert!(!server.stderr().contains("ERROR"), "{}", server.stderr());
    assert!(server.terminate().success());
    let (code, report, _) = headwater(&["verify", "--json", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 0, "{report}");
}
