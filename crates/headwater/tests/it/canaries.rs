//! No clear text of a protected field ever touches a file, an answer that tells of a fault, a log line or a metric: a thousand
//! canaries (`HW_EVENTS` for more), at every log level, and a search of every byte.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    path::Path,
    time::Instant,
};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use serde_json::json;

use crate::{
    repair::{begin, job},
    scanner::{find, needles, search},
    server::{Server, project},
};

const SCHEMA: &str = r##"{
  "type": "object",
  "properties": {
    "id": {"type": "integer"},
    "email": {"type": "string", "x-privacy": "hash", "pattern": "@"},
    "card": {"type": "string", "x-privacy": "drop", "maxLength": 60},
    "person": {"type": "object", "properties": {
      "name": {"type": "string", "x-privacy": "hash"},
      "notes": {"type": "array", "items": {"type": "string", "x-privacy": "hash"}}
    }},
    "known": {"type": "string", "x-privacy": "tokenize", "maxLength": 60},
    "owner": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "known"},
    "aliases": {"type": "array", "items": {"type": "string", "x-privacy": "tokenize", "x-token-domain": "known"}},
    "tags": {"type": "object", "additionalProperties": {"type": "string", "x-privacy": "hash"}},
    "contact": {"oneOf": [{"type": "string", "x-privacy": "hash"}, {"$ref": "#/$defs/card"}]}
  },
  "required": ["id"],
  "$defs": {"card": {"type": "object", "required": ["name"], "properties": {
    "name": {"type": "string", "x-privacy": "hash"},
    "phone": {"type": "string", "x-privacy": "drop"},
    "of": {"type": "array", "items": {"$ref": "#/$defs/card"}}
  }}}
}"##;

const STEM: &str = "kanarienvogel";

/// Letters and digits that stand nowhere else.
fn canary(n: usize) -> String {
    format!("kanarienvogel{n:04}q{}z", (n * 7919) % 10_007)
}

/// Good and bad events; in each kind the canaries stand where they would hurt.
fn event(n: usize) -> String {
    let value = canary(n);
    match n % 16 {
        0 => format!(r#"{{"id":{n},"email":"{value}@x"}}"#),
        1 => format!(r#"{{"id":{n},"card":"{value}"}}"#),
        2 => format!(r#"{{"id":{n},"person":{{"name":"{value}","notes":["{value}"]}}}}"#),
        3 => format!(r#"{{"id":{n},"tags":{{"a":"{value}"}}}}"#),
        // Bad: the fault is in the protected field, before it, behind it, or in the JSON itself.
        4 => format!(r#"{{"id":{n},"email":"{value}"}}"#),
        5 => format!(r#"{{"id":"x","email":"{value}@x"}}"#),
        6 => format!(r#"{{"email":"{value}@x","card":7,"id":{n}}}"#),
        7 => format!(r#"{{"email":"{value}@x","id":{n}"#),
        8 => format!(r#"{{"id":{n},"unknown-{value}":"{value}"}}"#),
        9 => format!(r#"{{"id":{n},"card":"{value}{}"}}"#, "x".repeat(60)),
        // In JSON text: in either branch, deeper, under a name that nobody described; and where no branch takes it.
        10 => format!(r#"{{"id":{n},"contact":"{value}"}}"#),
        11 => format!(
            r#"{{"id":{n},"contact":{{"name":"{value}","phone":"{value}","x":"{value}","of":[{{"name":"{value}","phone":"{value}"}}]}}}}"#
        ),
        // To be revealed, and so in the vault; refused, and so nowhere.
        12 => format!(r#"{{"id":{n},"known":"{value}","owner":"{value}","aliases":["{value}","x{value}"]}}"#),
        13 => format!(r#"{{"known":"{value}{}","id":{n}}}"#, "x".repeat(60)),
        14 => format!(r#"{{"id":{n},"known":"{value}","email":"{value}"}}"#),
        _ => format!(r#"{{"id":{n},"contact":{{"{value}":["{value}"],"of":[{{"phone":"{value}"}}]}}}}"#),
    }
}

const CLOUDEVENTS: &str = "application/cloudevents-batch+json";

/// A batch whose envelopes name persons: a good one, and two that are refused.
fn in_envelopes(n: usize) -> String {
    let value = canary(n);
    let start = r#"{"specversion":"1.0","id":"e","source":"/s","type":"t""#;
    let good =
        format!(r#"{start},"subject":"{value}","owner":"{value}","data":{{"id":{n},"email":"{value}@x"}}}}"#);
    let bad_time = format!(r#"{start},"time":"{value}","data":{{"id":{n}}}}}"#);
    let bad_name = format!(r#"{start},"Name-{value}":"{value}","data":{{"id":{n}}}}}"#);
    format!("[{good},{bad_time},{bad_name}]")
}

/// Records of sensors: good ones, and of each kind of bad ones.
fn record(n: usize) -> String {
    let value = canary(n);
    match n % 5 {
        0 => format!("id={n}&email={value}%40x\n"),
        1 => format!("id={n}&email={value}\n"),
        2 => format!("id={n}&email=%zz{value}\n"),
        3 => format!("id={n}&{value}\n"),
        _ => format!("id={value}&email={value}%40x&email={value}\n"),
    }
}

fn send_records(address: &str, count: usize) {
    let mut socket = TcpStream::connect(address).unwrap();
    let records: String = (0..count).map(record).collect();
    let mut answers = socket.try_clone().unwrap();
    let answers = std::thread::spawn(move || {
        let mut text = String::new();
        answers.read_to_string(&mut text).unwrap();
        text
    });
    socket.write_all(records.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let answers = answers.join().unwrap();
    assert!(answers.ends_with(&format!("ok {count}\n")) && !answers.contains(STEM), "{answers}");
}

/// What goes wrong beside single events: whole requests, statements, and jobs on rejects. No answer may tell what was in
/// them, but to a statement that asks for the bytes of rejects itself.
async fn wrong_requests(server: &Server) {
    let value = canary(7);
    let good = format!(r#"{{"id":1,"email":"{value}@x"}}"#);
    let other = format!(r#"{{"id":2,"email":"{value}@y"}}"#);
    let key = [("idempotency-key", "k"), ("content-type", "application/json")];
    assert_eq!(server.post_with("person", &key, good.clone()).await.0, 200);
    let mut answers = vec![server.post_with("person", &key, other).await];
    for headers in [
        &[("content-encoding", "gzip")][..],
        &[("content-encoding", "zstd")],
        &[("content-type", "application/x-capnp")],
        &[("content-type", "application/x-ndjson"), ("producer-id", "p"), ("producer-sequence", "x")],
        &[("content-type", "application/cloudevents+json")],
        &[("ce-specversion", "1.0"), ("content-type", "application/json")],
    ] {
        answers.push(server.post_with("person", headers, good.clone()).await);
    }
    let large = format!(r#"{{"id":3,"email":"{value}{}"}}"#, value.repeat(60_000));
    answers.push(server.post("person", "application/json", large).await);
    for (status, answer) in answers {
        assert!(status >= 400 && !answer.to_string().contains(STEM), "{status} {answer}");
    }
    let cast = "SELECT CAST(CAST(payload AS VARCHAR) AS BIGINT) FROM rejects";
    // Who may see the bytes is told why.
    server.sql_answer(cast).await;
    for (task, order) in [
        ("replay", json!({"stream": "person", "limit": 1000})),
        ("fix", json!({"stream": "person", "set": {"/id": "x"}, "limit": 1000})),
        ("fix", json!({"stream": "person", "expr": "CAST(CAST(event AS BIGINT) AS VARCHAR)"})),
        (
            "fix",
            json!({"stream": "person", "where": "CAST(CAST(payload AS VARCHAR) AS BIGINT) = 1", "set": {"/id": 1}}),
        ),
    ] {
        let (status, mut report) = begin(server, task, &order).await;
        while status == 202 && report["state"] == "running" {
            report = job(server, &report["job"]).await;
        }
        assert!(!report.to_string().contains(STEM), "{report}");
    }
    for path in ["/metrics", "/v1/jobs", "/v1/status", "/v1/streams", "/v1/streams/person", "/v1/ledger"] {
        let (status, told) = server.get(path).await;
        assert!(status == 200 && !told.contains(STEM), "{path}: {status} {told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_canaries_are_nowhere_on_disk() {
    let count: usize = std::env::var("HW_EVENTS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    // Each kind of event is in every request.
    let (count, batch) = (count.next_multiple_of(50), if count > 10_000 { 1000 } else { 50 });
    let began = Instant::now();
    let directory = tempfile::tempdir().unwrap();
    let config = "[lake]\ncommit_every = \"10ms\"\n[log]\nlevel = \"trace\"\n\
                  [tcp.sensors]\nlisten = \"127.0.0.1:0\"\nstream = \"person\"\nformat = \"kv\"\nack = true\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/person.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    for first in (0..count).step_by(batch) {
        let body: String = (first..(first + batch).min(count)).map(|n| event(n) + "\n").collect();
        let (status, receipt) = server.post("person", "application/x-ndjson", body).await;
        assert_eq!(status, 200, "{receipt}");
        assert!(!receipt.to_string().contains("kanarienvogel"), "{receipt}");
    }
    println!("{count} events sent after {:.1} s", began.elapsed().as_secs_f64());
    let (address, records) = (server.tcp("sensors"), count / 10);
    tokio::task::spawn_blocking(move || send_records(&address, records)).await.unwrap();
    wrong_requests(&server).await;
    for n in 0..20 {
        let (status, receipt) = server.post("person", CLOUDEVENTS, in_envelopes(n)).await;
        assert_eq!(status, 200, "{receipt}");
        assert!(!receipt.to_string().contains("kanarienvogel"), "{receipt}");
    }
    let undeclared: String = (0..10).map(|n| event(n) + "\n").collect();
    assert_eq!(server.post("nobody.knows", "application/x-ndjson", undeclared).await.0, 404);
    let (_, metrics) = server.get("/metrics").await;
    assert!(!metrics.contains("kanarienvogel"));
    assert!(server.number("SELECT count(*) FROM person").await >= 400);
    let tokens = server.sql("SELECT known FROM person WHERE known IS NOT NULL").await;
    assert!(tokens.len() >= 50, "{tokens:?}");
    let shown = server.sql("SELECT DISTINCT code, path, message FROM rejects").await;
    assert!(!format!("{shown:?}").contains("kanarienvogel"), "{shown:?}");

    // In full flow, after a kill, after a clean stop: each time every file.
    search(STEM, &directory.path().join("data"), &server.data.with_extension("stderr"));
    server.kill();
    let server = Server::start(&project, &data);
    search(STEM, &data, &data.with_extension("stderr"));
    assert!(server.terminate().success());
    let files = search(STEM, &data, &data.with_extension("stderr"));
    println!("{} files searched after {:.1} s", files.len(), began.elapsed().as_secs_f64());
    let log = std::fs::read_to_string(data.join("lake/person/_delta_log/00000000000000000000.json")).unwrap();
    assert!(log.contains("headwater.hash_key"), "which key the digests were made with: {log}");
    assert!(files.iter().any(|file| file.ends_with("vault/vault.redb")), "{files:?}");
    assert!(files.iter().any(|file| file.extension().is_some_and(|end| end == "parquet")), "{files:?}");
    planted_canaries_are_found(directory.path());
}

/// The search itself must be able to fail.
fn planted_canaries_are_found(directory: &Path) {
    let needles = needles(STEM);
    let value = canary(1);
    let utf16: Vec<u8> = value.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let planted = [
        format!("abc{value}def").into_bytes(),
        STANDARD_NO_PAD.encode(&value).into_bytes(),
        STANDARD_NO_PAD.encode(format!("x{value}")).into_bytes(),
        STANDARD_NO_PAD.encode(format!("xy{value}")).into_bytes(),
        hex.into_bytes(),
        utf16,
    ];
    for bytes in planted {
        std::fs::write(directory.join("planted"), &bytes).unwrap();
        assert!(find(&std::fs::read(directory.join("planted")).unwrap(), &needles).is_some(), "{bytes:?}");
    }
}
