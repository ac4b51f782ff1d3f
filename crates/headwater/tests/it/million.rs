//! Every event is accounted for: a million of them, three in ten bad, over HTTP and TCP at once.

use std::{collections::HashMap, io::Write, net::TcpStream};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::server::{Server, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {
    "site": {"type": "string"},
    "unit": {"type": "integer"},
    "n": {"type": "integer", "minimum": 0},
    "value": {"type": "number"}
  },
  "required": ["site", "unit", "n", "value"],
  "x-key": ["site", "unit"],
  "x-partitions": 100
}"#;

const PRODUCERS: u64 = 4;
const BATCH: u64 = 1000;

/// The n-th event of a producer; three in ten are bad, each in its own way.
fn event(producer: u64, n: u64) -> (String, bool) {
    let unit = n % 50;
    match n % 10 {
        3 => (format!(r#"{{"site":"s{producer}","unit":{unit},"n":"{n}","value":1.5}}"#), false),
        6 => (format!(r#"{{"site":"s{producer}","unit":{unit},"n":{n},"value":1.5"#), false),
        9 => (format!(r#"{{"site":"s{producer}","n":{n},"value":1.5}}"#), false),
        _ => (format!(r#"{{"site":"s{producer}","unit":{unit},"n":{n},"value":{n}.25}}"#), true),
    }
}

fn record(producer: u64, n: u64) -> (String, bool) {
    let unit = n % 50;
    match n % 10 {
        3 => (format!("id=t{producer}&unit={unit}&n={n}&vl=broken{n}"), false),
        6 => (format!("id=t{producer}&unit={unit}&n=%zz{n}&vl=1"), false),
        9 => (format!("id=t{producer}&n={n}&vl=1"), false),
        _ => (format!("id=t{producer}&unit={unit}&n={n}&vl={n}.25"), true),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_events_are_accounted_for() {
    let total: u64 = std::env::var("HW_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let per_producer = total / (2 * PRODUCERS);
    let directory = tempfile::tempdir().unwrap();
    let config = "[tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"reading\"\nformat = \"kv\"\nack = true\n\
                  fields = {id = \"site\", vl = \"value\"}\n[lake]\ncommit_every = \"500ms\"\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/reading.json", SCHEMA)]);
    let server = Server::start(&project, &directory.path().join("data"));

    let http = (0..PRODUCERS).map(|producer| {
        let (client, url) = (server.client(), format!("{}/v1/streams/reading/events", server.http));
        tokio::spawn(async move {
            let (mut accepted, mut rejected, mut offsets, mut sent_bad) = (0, 0, 0, Vec::new());
            for first in (0..per_producer).step_by(BATCH as usize) {
                let mut body = String::new();
                for n in first..(first + BATCH).min(per_producer) {
                    let (text, good) = event(producer, n);
                    body.push_str(&text);
                    body.push('\n');
                    if !good {
                        sent_bad.push(text.into_bytes());
                    }
                }
                let request = client.post(&url).header("content-type", "application/x-ndjson").body(body);
                let receipt: Value = request.send().await.unwrap().json().await.unwrap();
                accepted += receipt["accepted"].as_u64().unwrap();
                rejected += receipt["rejected"].as_u64().unwrap();
                let ranges = receipt["offsets"].as_array().unwrap();
                offsets += ranges.iter().map(|range| range["count"].as_u64().unwrap()).sum::<u64>();
            }
            (accepted, rejected, offsets, sent_bad)
        })
    });
    let address = server.tcp("sensors");
    let tcp = (0..PRODUCERS).map(|producer| {
        let address = address.clone();
        tokio::task::spawn_blocking(move || {
            let mut sent_bad = Vec::new();
            let mut socket = TcpStream::connect(address).unwrap();
            let answers = socket.try_clone().unwrap();
            let counted = std::thread::spawn(move || {
                let lines = std::io::BufRead::lines(std::io::BufReader::new(answers));
                lines.map_while(Result::ok).last().unwrap_or_default()
            });
            let mut buffer = String::new();
            for n in 0..per_producer {
                let (text, good) = record(producer, n);
                buffer.push_str(&text);
                buffer.push('\n');
                if !good {
                    sent_bad.push(text.into_bytes());
                }
                // An odd size, so that packets end in the middle of records.
                if buffer.len() > 7777 {
                    socket.write_all(buffer.as_bytes()).unwrap();
                    buffer.clear();
                }
            }
            socket.write_all(buffer.as_bytes()).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(counted.join().unwrap(), format!("ok {per_producer}"));
            sent_bad
        })
    });
    let (http, tcp): (Vec<_>, Vec<_>) = (http.collect(), tcp.collect());

    let mut sent_bad: HashMap<Vec<u8>, u64> = HashMap::new();
    let (mut accepted, mut rejected, mut offsets) = (0, 0, 0);
    for task in http {
        let (a, r, o, bad) = task.await.unwrap();
        accepted += a;
        rejected += r;
        offsets += o;
        bad.into_iter().for_each(|bytes| *sent_bad.entry(bytes).or_default() += 1);
    }
    for task in tcp {
        task.await.unwrap().into_iter().for_each(|bytes| *sent_bad.entry(bytes).or_default() += 1);
    }
    let bad_per_producer = (0..per_producer).filter(|n| matches!(n % 10, 3 | 6 | 9)).count() as u64;
    let good_per_producer = per_producer - bad_per_producer;
    let received = (2 * PRODUCERS * per_producer) as i64;
    assert_eq!(accepted, PRODUCERS * good_per_producer, "receipts: accepted");
    assert_eq!(rejected, PRODUCERS * bad_per_producer, "receipts: rejected");
    assert_eq!(offsets, PRODUCERS * per_producer, "receipts: offsets given = stored + rejected");

    // The ledger and the tables agree with what was sent.
    let ledger = server
        .sql("SELECT door, sum(received), sum(stored), sum(rejected), sum(duplicates) FROM ledger GROUP BY door ORDER BY door")
        .await;
    let half = received / 2;
    let (good, bad) = ((PRODUCERS * good_per_producer) as i64, (PRODUCERS * bad_per_producer) as i64);
    assert_eq!(json!(ledger), json!([["http", half, good, bad, 0], ["tcp.sensors", half, good, bad, 0]]));
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 2 * good);
    assert_eq!(server.number("SELECT count(*) FROM rejects").await, 2 * bad);

    // Offsets: each given once, none missing.
    let offsets = "SELECT _partition AS p, _offset AS o FROM reading UNION ALL SELECT partition, \"offset\" FROM rejects";
    assert_eq!(
        server.number(&format!("SELECT count(*) FROM (SELECT DISTINCT p, o FROM ({offsets}))")).await,
        received
    );
    let dense = format!("SELECT sum(m) FROM (SELECT max(o) + 1 AS m FROM ({offsets}) GROUP BY p)");
    assert_eq!(server.number(&dense).await, received);
    // 280 keys over 100 partitions leave a few empty.
    assert!(server.number("SELECT count(DISTINCT _partition) FROM reading").await > 80);

    // Order per key: one partition a key, and n grows with the offset.
    let spread =
        "SELECT max(c) FROM (SELECT count(DISTINCT _partition) AS c FROM reading GROUP BY site, unit)";
    assert_eq!(server.number(spread).await, 1);
    let disorder = "SELECT count(*) FROM (SELECT n - lag(n) OVER (PARTITION BY site, unit ORDER BY _offset) AS step \
                    FROM reading) WHERE step <= 0";
    assert_eq!(server.number(disorder).await, 0);

    // Each reject opens to the bytes that were sent.
    let rows = server.sql("SELECT payload FROM rejects").await;
    assert_eq!(rows.len() as i64, 2 * bad);
    for row in rows {
        let bytes = STANDARD.decode(row[0].as_str().unwrap()).unwrap();
        let left = sent_bad
            .get_mut(&bytes)
            .unwrap_or_else(|| panic!("nobody sent {}", String::from_utf8_lossy(&bytes)));
        *left -= 1;
    }
    assert!(sent_bad.values().all(|&left| left == 0), "a reject is missing");

    // All of it is still there after a clean stop, from the lake alone.
    let data = server.data.clone();
    assert!(server.terminate().success());
    let server = Server::start(&project, &data);
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 2 * good);
    assert_eq!(server.number("SELECT count(*) FROM rejects").await, 2 * bad);
    assert_eq!(server.number("SELECT sum(received) FROM ledger").await, received);
}
