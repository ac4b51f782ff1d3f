//! Bad input is normal input: a clear error that says what, where and what to do, and nothing is harmed.

use std::io::{Read, Write};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::json;

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"id": {"type": "integer"}, "email": {"type": "string", "pattern": "@"}, "v": {"type": "number"}},
  "required": ["id"]
}"#;
const REFUSING: &str =
    r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],"x-mode":"reject"}"#;

fn start(directory: &std::path::Path, settings: &[&str]) -> Server {
    let files = [("schemas/reading.json", SCHEMA), ("schemas/strict.json", REFUSING)];
    let project = project(directory, &files);
    Server::start_with(&project, &directory.join("data"), settings)
}

const NDJSON: &str = "application/x-ndjson";

#[tokio::test]
async fn each_bad_event_is_named_and_its_neighbours_are_stored() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let deep = format!(r#"{{"id":1,"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (br#"{"id":NaN}"#.to_vec(), "json_syntax", ""),
        (br#"{"id":1,"v":Infinity}"#.to_vec(), "json_syntax", ""),
        (br#"{"id":1,"email":"\ud800@"}"#.to_vec(), "json_unicode", ""),
        (b"{\"id\":1,\"email\":\"\xff@\"}".to_vec(), "json_unicode", ""),
        (br#"{"id":1,"id":2}"#.to_vec(), "json_repeated_key", ""),
        (deep.into_bytes(), "json_depth", ""),
        (br#"[1,2]"#.to_vec(), "not_object", ""),
        (br#"{"id":"1"}"#.to_vec(), "type", "/id"),
        (br#"{"id":1.5}"#.to_vec(), "type", "/id"),
        (br#"{"id":9223372036854775808}"#.to_vec(), "out_of_range", "/id"),
        (br#"{"v":1}"#.to_vec(), "required", "/id"),
        (br#"{"id":1,"email":"nobody"}"#.to_vec(), "pattern", "/email"),
        (br#"{"id":1,"v":1e999}"#.to_vec(), "out_of_range", "/v"),
        (br#"{"id":1"#.to_vec(), "json_syntax", ""),
        (br#"{"id":01}"#.to_vec(), "json_syntax", ""),
    ];
    let mut body = Vec::new();
    for (number, (bad, ..)) in cases.iter().enumerate() {
        body.extend_from_slice(format!("{{\"id\":{number}}}\n").as_bytes());
        body.extend_from_slice(bad);
        body.push(b'\n');
    }
    let (status, receipt) = server.post("reading", NDJSON, body).await;
    assert_eq!(
        (status, &receipt["accepted"], &receipt["rejected"]),
        (200, &json!(cases.len()), &json!(cases.len()))
    );
    for (number, (bad, code, path)) in cases.iter().enumerate() {
        let error = &receipt["errors"][number];
        let text = String::from_utf8_lossy(&bad[..bad.len().min(60)]).into_owned();
        assert_eq!(
            (&error["index"], &error["code"]),
            (&json!(2 * number + 1), &json!(code)),
            "{text}: {error}"
        );
        if !path.is_empty() {
            assert_eq!(error["path"], json!(path), "{text}: {error}");
        }
    }
    assert_eq!(server.number("SELECT count(*) FROM reading").await, cases.len() as i64);
    let rows = server.sql("SELECT index, payload FROM rejects ORDER BY index").await;
    for (row, (bad, ..)) in rows.iter().zip(&cases) {
        assert_eq!(&STANDARD.decode(row[1].as_str().unwrap()).unwrap(), bad, "the exact bytes");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_refused_whole() {
    let directory = tempfile::tempdir().unwrap();
    let server =
        start(directory.path(), &["limits.body=2MiB", "limits.event=1MiB", "limits.request_time=2s"]);
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 128 << 10);
    let zstd_bomb = zstd::encode_all(&vec![b' '; 64 << 20][..], 3).unwrap();
    let ndjson = ("content-type", NDJSON);
    let cases: Vec<(&str, Vec<(&str, &str)>, Vec<u8>, u16, &str)> = vec![
        ("empty", vec![ndjson], vec![], 400, "empty_body"),
        ("blank", vec![ndjson], b"\n \n".to_vec(), 400, "empty_body"),
        ("empty array", vec![], b"[]".to_vec(), 400, "empty_body"),
        ("over the limit", vec![ndjson], vec![b'x'; (2 << 20) + 1], 413, "body_too_large"),
        ("gzip bomb", vec![ndjson, ("content-encoding", "gzip")], bomb, 413, "body_too_large"),
        ("zstd bomb", vec![ndjson, ("content-encoding", "zstd")], zstd_bomb, 413, "body_too_large"),
        (
            "no gzip",
            vec![ndjson, ("content-encoding", "gzip")],
            b"{\"id\":1}".to_vec(),
            400,
            "unreadable_body",
        ),
        (
            "cut gzip",
            vec![ndjson, ("content-encoding", "gzip")],
            gzip(b"{\"id\":1}")[..15].to_vec(),
            400,
            "unreadable_body",
        ),
        (
            "unknown encoding",
            vec![ndjson, ("content-encoding", "br")],
            b"x".to_vec(),
            415,
            "content_encoding",
        ),
        ("unknown type", vec![("content-type", "text/csv")], b"id\n1".to_vec(), 415, "content_type"),
    ];
    for (name, headers, body, status, code) in cases {
        let (got, problem) = server.post_with("reading", &headers, body).await;
        assert_eq!((got, &problem["code"]), (status, &json!(code)), "{name}: {problem}");
        assert!(problem["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{name}: {problem}");
    }
    let url = format!("{}/v1/streams/reading/events?ack=soon", server.http);
    let response = server.client().post(url).body("{\"id\":1}").send().await.unwrap();
    assert_eq!(response.status().as_u16(), 400);
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 0);
    assert_eq!(server.number("SELECT count(*) FROM rejects").await, 0);

    // Good ones in both encodings.
    let (status, _) =
        server.post_with("reading", &[ndjson, ("content-encoding", "gzip")], gzip(b"{\"id\":1}")).await;
    assert_eq!(status, 200);
    let packed = zstd::encode_all(&b"{\"id\":2}"[..], 3).unwrap();
    let (status, _) = server.post_with("reading", &[ndjson, ("content-encoding", "zstd")], packed).await;
    assert_eq!(status, 200);
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 2);
}

#[tokio::test]
async fn half_a_request_stores_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &["limits.request_time=1s"]);
    let address = server.http.strip_prefix("http://").unwrap().to_owned();
    let head = |length: usize| {
        format!(
            "POST /v1/streams/reading/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: {NDJSON}\r\nContent-Length: {length}\r\n\r\n"
        )
    };
    // It promises more than it sends, then hangs up.
    let mut socket = std::net::TcpStream::connect(&address).unwrap();
    socket.write_all((head(1000) + "{\"id\":1}\n{\"id\":2}\n").as_bytes()).unwrap();
    drop(socket);
    // It promises more than it sends, and waits: it is told so in time.
    let mut socket = std::net::TcpStream::connect(&address).unwrap();
    socket.write_all((head(1000) + "{\"id\":1}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    // It promises more than is allowed.
    let mut socket = std::net::TcpStream::connect(&address).unwrap();
    socket.write_all(head(1 << 40).as_bytes()).unwrap();
    let mut answer = [0; 12];
    socket.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 0);
    assert_eq!(server.number("SELECT count(*) FROM rejects").await, 0);
}

#[tokio::test]
async fn a_64_mib_string_is_one_reject() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let mut body = b"{\"id\":1}\n{\"id\":2,\"email\":\"".to_vec();
    body.resize((64 << 20) - 20, b'@');
    body.extend_from_slice(b"\"}\n{\"id\":3}\n");
    let (status, receipt) = server.post("reading", NDJSON, body).await;
    assert_eq!(
        (status, &receipt["accepted"], &receipt["rejected"]),
        (200, &json!(2), &json!(1)),
        "{receipt}"
    );
    assert_eq!(receipt["errors"][0]["code"], json!("too_large"));
    let rows = server.sql("SELECT payload FROM rejects").await;
    let payload = STANDARD.decode(rows[0][0].as_str().unwrap()).unwrap();
    assert_eq!(payload.len(), (64 << 20) - 20 - 9 + 2);
    assert!(payload.starts_with(b"{\"id\":2,") && payload.ends_with(b"@\"}"));
}

#[tokio::test]
async fn undeclared_streams_go_to_the_error_lake_and_are_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let (status, receipt) = server.post("nobody.knows", NDJSON, "{\"a\":1}\nnot json\n").await;
    assert_eq!((status, &receipt["rejected"]), (404, &json!(2)));
    assert_eq!(receipt["errors"][0]["code"], json!("no_schema"));
    let rows = server.sql("SELECT stream, code, payload FROM rejects ORDER BY index").await;
    assert_eq!(rows[1], [json!("nobody.knows"), json!("no_schema"), json!(STANDARD.encode("not json"))]);
    for number in 0..63 {
        assert_eq!(server.post(&format!("name{number}"), NDJSON, "{}").await.0, 404);
    }
    let (status, problem) = server.post("one.more", NDJSON, "{}").await;
    assert_eq!((status, &problem["code"]), (429, &json!("undeclared_full")));
    assert_eq!(server.post("No_Stream", NDJSON, "{}").await.0, 404);
}

#[tokio::test]
async fn mode_reject_refuses_the_whole_request() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let (status, receipt) = server.post("strict", NDJSON, "{\"id\":1}\n{\"id\":\"x\"}\n{\"id\":3}\n").await;
    assert_eq!(
        (status, &receipt["accepted"], &receipt["rejected"]),
        (422, &json!(0), &json!(1)),
        "{receipt}"
    );
    assert_eq!(server.number("SELECT count(*) FROM strict").await, 0);
    let ledger = server.sql("SELECT received, stored, rejected, duplicates, refused FROM ledger").await;
    assert_eq!(ledger, [[1, 0, 1, 0, 2].map(|n| json!(n))]);
}

#[tokio::test]
async fn a_broken_array_keeps_what_came_before() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let (status, receipt) = server.post("reading", "application/json", r#"[{"id":1},{"id":2},{"id":"#).await;
    assert_eq!((status, &receipt["accepted"], &receipt["rejected"]), (200, &json!(2), &json!(1)));
    assert_eq!(receipt["errors"][0]["code"], json!("json_syntax"));
}

#[test]
fn a_second_process_is_turned_away() {
    let directory = tempfile::tempdir().unwrap();
    let server = start(directory.path(), &[]);
    let project = directory.path().join("project");
    let error = match Server::try_start(&project, &server.data, &[]) {
        Err(error) => error,
        Ok(_) => panic!("two processes on one data directory"),
    };
    assert_eq!(error.0.code(), Some(4), "{}", error.1);
    assert!(error.1.contains(&server.pid().to_string()) && error.1.contains("in use"), "{}", error.1);
    assert!(server.data.join("endpoints.json").exists(), "the first one is not disturbed");
}

#[test]
fn configuration_faults_are_all_told() {
    let directory = tempfile::tempdir().unwrap();
    let config =
        "ack = \"soon\"\n[http]\nlisten = \"127.0.0.1:0\"\nlisten_on = 5\n[journal]\nsegment = \"64Mb\"\n";
    let project =
        project(directory.path(), &[("headwater.toml", config), ("schemas/a.json", "{\"type\":\"array\"}")]);
    let data = directory.path().join("data");
    let (code, _, stderr) = headwater(&["up", project.to_str().unwrap(), "--data", data.to_str().unwrap()]);
    assert_eq!(code, 2);
    for part in ["ack", "soon", "listen_on", "segment", "headwater.toml:1", "a.json:1"] {
        assert!(stderr.contains(part), "{part}: {stderr}");
    }
    assert!(!data.exists(), "nothing was begun");
}
