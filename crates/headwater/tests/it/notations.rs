//! Schemas in other notations: what is sent as JSON and as payloads of the reference tools comes to the same table.

use std::path::Path;

use serde_json::json;

use crate::server::{Server, project};

const STREAM: &str = "user.identity.created";

fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/tests/payloads").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const ROWS: &str = "SELECT event, sequence, metadata, content, _partition FROM user_identity_created \
                    ORDER BY sequence, _seq";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_and_payloads_come_to_the_same_rows() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/identity");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&example, &data);
    let json = fixture("user.identity.created.ndjson");
    let sent = json.iter().filter(|byte| **byte == b'\n').count() as u64;
    let bodies = [
        ("application/x-ndjson", json),
        ("application/x-capnp", fixture("user.identity.created.capnp.bin")),
        ("application/x-capnp; packed=true", fixture("user.identity.created.packed.bin")),
    ];
    for (content_type, body) in bodies {
        let (status, receipt) = server.post(STREAM, content_type, body).await;
        assert_eq!((status, &receipt["accepted"]), (200, &json!(sent)), "{content_type}: {receipt}");
    }
    let rows = server.sql(&ROWS.replace(", _partition", "")).await;
    assert_eq!(rows.len() as u64, 3 * sent);
    for three in rows.chunks(3) {
        assert!(three[0] == three[1] && three[1] == three[2], "{three:?}");
    }
    let shown = json!(rows).to_string();
    assert!(shown.contains("user-") && !shown.contains("@example.com") && !shown.contains("\"pin\""));

    // Half a message is a reject with its bytes; another notation is named.
    let cut = &fixture("user.identity.created.capnp.bin")[..100];
    let (status, receipt) = server.post(STREAM, "application/x-capnp", cut.to_vec()).await;
    assert_eq!((status, &receipt["errors"][0]["code"]), (422, &json!("record")), "{receipt}");
    let kept = server.sql("SELECT payload, code FROM rejects").await;
    let base64_of_100_bytes = 136;
    assert_eq!(kept[0][0].as_str().unwrap().len(), base64_of_100_bytes, "{kept:?}");
    assert_eq!((kept.len(), &kept[0][1]), (1, &json!("record")));
    let (status, problem) = server.post(STREAM, "application/x-capnp; unpacked=1", "x").await;
    assert_eq!((status, &problem["code"]), (415, &json!("content_type")), "{problem}");

    // A CloudEvent whose data is a message.
    let one = fixture("every.defaults.bin");
    let headers = [
        ("content-type", "application/x-capnp"),
        ("ce-specversion", "1.0"),
        ("ce-id", "a-1"),
        ("ce-source", "/a"),
        ("ce-type", "t"),
    ];
    let (status, receipt) = server.post_with(STREAM, &headers, one).await;
    assert_eq!(
        status, 422,
        "it is a message of another schema, which lacks what this one asks for: {receipt}"
    );
    assert_eq!(receipt["rejected"], json!(1));

    // After a restart the schema is read from what is kept.
    assert!(server.terminate().success());
    let server = Server::start(&example, &data);
    let body = fixture("user.identity.created.segments.bin");
    assert_eq!(server.post(STREAM, "application/x-capnp", body).await.0, 200);
    let count = "SELECT count(*) FROM user_identity_created";
    assert_eq!(server.number(count).await as u64, 4 * sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_in_avro_takes_files_of_its_writers() {
    let directory = tempfile::tempdir().unwrap();
    let schema = String::from_utf8(fixture("every.avsc")).unwrap();
    let project = project(directory.path(), &[("schemas/every.avsc", &schema)]);
    let server = Server::start(&project, &directory.path().join("data"));
    // The second was written, compressed, with an older schema.
    for (file, twin) in [("every.avro.bin", "every.avro.ndjson"), ("every.older.bin", "every.older.ndjson")] {
        for (content_type, body) in
            [("application/avro", fixture(file)), ("application/x-ndjson", fixture(twin))]
        {
            let (status, receipt) = server.post("every", content_type, body).await;
            assert_eq!((status, &receipt["accepted"]), (200, &json!(240)), "{file}: {receipt}");
        }
    }
    let rows = server
        .sql("SELECT * EXCLUDE (_seq, _offset, _received_at, _time) FROM every ORDER BY _seq, _offset")
        .await;
    assert_eq!(rows.len(), 960);
    for (file, twin) in [(0, 240), (480, 720)] {
        assert!(rows[file..file + 240] == rows[twin..twin + 240], "files and their twins differ");
    }
    let (status, problem) = server.post("every", "application/x-capnp", "x").await;
    assert_eq!(status, 415);
    assert!(problem["hint"].as_str().unwrap().contains("avro/binary"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_takes_payloads_of_its_own_notation_only() {
    let directory = tempfile::tempdir().unwrap();
    let schema = r#"{"type":"object","properties":{"n":{"type":"integer"}}}"#;
    let project = project(directory.path(), &[("schemas/plain.json", schema)]);
    let server = Server::start(&project, &directory.path().join("data"));
    let (status, problem) = server.post("plain", "application/x-capnp", "x").await;
    assert_eq!((status, &problem["code"]), (415, &json!("content_type")), "{problem}");
    assert!(problem["hint"].as_str().unwrap().contains("application/json"), "{problem}");
    let (status, receipt) = server.post("nobody", "application/x-capnp", "x").await;
    assert_eq!((status, &receipt["errors"][0]["code"]), (404, &json!("no_schema")), "{receipt}");
}

/// The messages of a body in which each stands behind its length.
fn messages(body: &[u8]) -> Vec<Vec<u8>> {
    let (mut messages, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let digits = rest.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
        let length =
            rest[..digits].iter().rev().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        messages.push(rest[digits..digits + length].to_vec());
        rest = &rest[digits + length..];
    }
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_and_messages_of_protobuf_come_to_the_same_rows() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/identity/protobuf");
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&example, &data);
    let json = fixture("user.identity.created.proto.ndjson");
    let sent = json.iter().filter(|byte| **byte == b'\n').count() as u64;
    let body = fixture("user.identity.created.proto.bin");
    for (content_type, body) in
        [("application/x-ndjson", json), ("application/x-protobuf; delimited=true", body.clone())]
    {
        let (status, receipt) = server.post(STREAM, content_type, body).await;
        assert_eq!((status, &receipt["accepted"]), (200, &json!(sent)), "{content_type}: {receipt}");
    }
    // One message a request, in three of the type's names, and as the data of a CloudEvent.
    let one_by_one = messages(&body);
    assert_eq!(one_by_one.len() as u64, sent);
    for (index, message) in one_by_one.iter().enumerate() {
        let content_type =
            ["application/protobuf", "application/x-protobuf", "application/vnd.google.protobuf"];
        let (id, mut headers) = (index.to_string(), vec![("content-type", content_type[index % 3])]);
        if index % 2 == 1 {
            headers.extend([
                ("ce-specversion", "1.0"),
                ("ce-id", &id),
                ("ce-source", "/a"),
                ("ce-type", "t"),
            ]);
        }
        let (status, receipt) = server.post_with(STREAM, &headers, message.clone()).await;
        assert_eq!((status, &receipt["accepted"]), (200, &json!(1)), "{receipt}");
    }
    let rows = server.sql(&ROWS.replace(", _partition", "")).await;
    assert_eq!(rows.len() as u64, 3 * sent);
    for three in rows.chunks(3) {
        assert!(three[0] == three[1] && three[1] == three[2], "{three:?}");
    }
    let shown = json!(rows).to_string();
    assert!(shown.contains("user-") && !shown.contains("@example.com") && !shown.contains("\"pin\""));
    let ids = "SELECT count(*) FROM user_identity_created WHERE _id IS NOT NULL";
    assert_eq!(server.number(ids).await as u64, sent / 2);

    // Half a message is a reject with its bytes.
    let cut = one_by_one[0][..30].to_vec();
    let (status, receipt) = server.post(STREAM, "application/protobuf", cut).await;
    assert_eq!((status, &receipt["errors"][0]["code"]), (422, &json!("record")), "{receipt}");
    let kept = server.sql("SELECT payload, code FROM rejects").await;
    assert_eq!((kept.len(), &kept[0][1]), (1, &json!("record")));
    let base64_of_30_bytes = 40;
    assert_eq!(kept[0][0].as_str().unwrap().len(), base64_of_30_bytes, "{kept:?}");
    for (headers, hint) in [
        (vec![("content-type", "application/protobuf; packed=true")], "the only one is delimited=true"),
        (vec![("content-type", "application/x-capnp")], "application/protobuf (one message"),
        (
            vec![("content-type", "application/protobuf; delimited=true"), ("ce-specversion", "1.0")],
            "leave delimited=true out",
        ),
    ] {
        let (status, problem) = server.post_with(STREAM, &headers, "x").await;
        assert_eq!((status, &problem["code"]), (415, &json!("content_type")), "{problem}");
        assert!(problem["hint"].as_str().unwrap().contains(hint), "{problem}");
    }

    // After a restart the schema is read from what is kept.
    assert!(server.terminate().success());
    let server = Server::start(&example, &data);
    assert_eq!(server.post(STREAM, "application/protobuf; delimited=true", body).await.0, 200);
    let count = "SELECT count(*) FROM user_identity_created";
    assert_eq!(server.number(count).await as u64, 4 * sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_in_protobuf_takes_messages_of_every_type() {
    let directory = tempfile::tempdir().unwrap();
    let schema = String::from_utf8(fixture("every.proto")).unwrap();
    let project = project(directory.path(), &[("schemas/every.proto", &schema)]);
    let server = Server::start(&project, &directory.path().join("data"));
    for (content_type, body) in [
        ("application/protobuf; delimited=true", fixture("every.proto.bin")),
        ("application/x-ndjson", fixture("every.proto.ndjson")),
    ] {
        let (status, receipt) = server.post("every", content_type, body).await;
        assert_eq!((status, &receipt["accepted"]), (200, &json!(241)), "{content_type}: {receipt}");
    }
    let rows = server
        .sql("SELECT * EXCLUDE (_seq, _offset, _received_at, _time) FROM every ORDER BY _seq, _offset")
        .await;
    assert_eq!(rows.len(), 482);
    assert!(rows[..241] == rows[241..], "messages and their twins differ");
    // A message in which nothing is set has no bytes, and is an event all the same.
    let (status, receipt) = server.post("every", "application/protobuf", "").await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(1)), "{receipt}");
    let unset =
        server.sql("SELECT i64, text, kind, maybe_i64, whole FROM every ORDER BY _seq DESC LIMIT 1").await;
    assert_eq!(json!(unset), json!([[0, "", "NONE", null, null]]));
    // A field that the schema does not name is kept under its number.
    let (status, _) = server.post("every", "application/protobuf", b"\xc0\x3e\x07".to_vec()).await;
    assert_eq!(status, 200);
    let extra = server.sql("SELECT _extra FROM every ORDER BY _seq DESC LIMIT 1").await;
    assert_eq!(extra[0][0], json!("{\"/1000\":7}"), "{extra:?}");
}

/// Schemas that are too narrow, each with what is sent and its content type, and the same schemas mended.
const NARROW: [(&str, &str, &str); 3] = [
    (
        "p.proto",
        "syntax = \"proto3\"; message P { int64 id = 1; K kind = 2; enum K { NONE = 0; A = 1; } }",
        "syntax = \"proto3\"; message P { string more = 3; int64 id = 1; K kind = 2; enum K { NONE = 0; A = 1; B = 5; } }",
    ),
    (
        "c.capnp",
        "struct C { id @0 :Int64; kind @1 :K; enum K { none @0; a @1; } }",
        "struct C { id @0 :Int64; kind @1 :K; enum K { none @0; a @1; b @2; } more @2 :Text; }",
    ),
    (
        "a.avsc",
        r#"{"type":"record","name":"A","fields":[{"name":"id","type":"long"},{"name":"kind","type":"string","maxLength":2}]}"#,
        r#"{"type":"record","name":"A","fields":[{"name":"id","type":"long"},{"name":"kind","type":"string","maxLength":9},
            {"name":"more","type":"string","default":"later"}]}"#,
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rejects_of_payloads_come_back_in_their_own_notation() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let schemas = |mended: bool| -> Vec<(String, &str)> {
        let text = |(file, narrow, wide): (&str, &'static str, &'static str)| {
            (format!("schemas/{file}"), if mended { wide } else { narrow })
        };
        NARROW.into_iter().map(text).collect()
    };
    let declare = |mended: bool| {
        let files = schemas(mended);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        project(directory.path(), &files)
    };
    let capnp = [3_u64 << 32, 2 << 32, 7, 2].map(u64::to_le_bytes).concat();
    let sent: [(&str, &str, &[u8], &str); 3] = [
        ("p", "application/x-protobuf", b"\x08\x07\x10\x05", "enum"),
        ("c", "application/x-capnp", &capnp, "enum"),
        ("a", "avro/binary", b"\x0e\x08long", "length"),
    ];
    let server = Server::start(&declare(false), &data);
    for (stream, content_type, body, code) in sent {
        let (status, receipt) = server.post(stream, content_type, body.to_vec()).await;
        assert_eq!((status, &receipt["errors"][0]["code"]), (422, &json!(code)), "{stream}: {receipt}");
        // Bytes that nobody can read, and JSON that is wrong in the same way.
        assert_eq!(server.post(stream, content_type, &b"\x08"[..]).await.0, 422);
        let same = json!({"id": 8, "kind": "other"}).to_string();
        assert_eq!(server.post(stream, "application/json", same).await.0, 422);
        // What is wrong is corrected in the JSON that the payload stands for.
        let value = if stream == "p" { "A" } else { "a" };
        let order = json!({"stream": stream, "code": code, "set": {"/kind": value}, "dry_run": true});
        let report = crate::repair::to_its_end(&server, "fix", &order).await;
        assert_eq!((&report["selected"], &report["passed"]), (&json!(2), &json!(2)), "{stream}: {report}");
        // An expression over it too: `kind` is its last member.
        let start = "substr(event, 1, strpos(event, '\"kind\":') + 6)";
        let expression = format!("concat({start}, '\"{value}\"}}')");
        let order = json!({"stream": stream, "code": code, "expr": expression, "dry_run": true});
        let report = crate::repair::to_its_end(&server, "fix", &order).await;
        assert_eq!((&report["selected"], &report["passed"]), (&json!(2), &json!(2)), "{stream}: {report}");
        // What stands for no JSON cannot be corrected, whatever the expression makes of nothing.
        let order =
            json!({"stream": stream, "code": "record", "expr": "coalesce(event, '{}')", "dry_run": true});
        let report = crate::repair::to_its_end(&server, "fix", &order).await;
        let told = (&report["selected"], &report["not_corrected"]);
        assert_eq!(told, (&json!(1), &json!(1)), "{stream}: {report}");
    }
    let origins =
        server.sql("SELECT DISTINCT stream, origin FROM rejects WHERE origin IS NOT NULL ORDER BY 1").await;
    let kept = [["a", "avro/binary"], ["c", "application/x-capnp"], ["p", "application/protobuf"]];
    assert_eq!(json!(origins), json!(kept));
    assert!(server.terminate().success());

    let server = Server::start(&declare(true), &data);
    for (stream, ..) in sent {
        for passes in [true, false] {
            let report = crate::repair::to_its_end(&server, "replay", &json!({"stream": stream})).await;
            // Of JSON, only the length is mended; bytes that cannot be read stay as they are.
            let (passed, failed) = match (passes, stream) {
                (true, "a") => (2, 1),
                (true, _) => (1, 2),
                (false, "a") => (0, 1),
                (false, _) => (0, 2),
            };
            assert_eq!(
                (&report["passed"], &report["failed"]),
                (&json!(passed), &json!(failed)),
                "{stream}: {report}"
            );
        }
        let rows = server.sql(&format!("SELECT id, kind, more FROM {stream} WHERE id = 7")).await;
        let expected = match stream {
            "p" => json!([[7, "B", ""]]),
            "c" => json!([[7, "b", null]]),
            _ => json!([[7, "long", "later"]]),
        };
        assert_eq!(json!(rows), expected, "once, as its notation has it");
    }
    // For good: bytes of Protobuf become a row by an expression.
    let (status, _) = server.post("p", "application/protobuf", &b"\x08\x09\x10\x09"[..]).await;
    assert_eq!(status, 422);
    let order = json!({"stream": "p", "expr": "replace(event, '\"@9\"', '\"A\"')"});
    let report = crate::repair::to_its_end(&server, "fix", &order).await;
    let told = (&report["passed"], &report["failed"], &report["not_corrected"]);
    assert_eq!(told, (&json!(1), &json!(1), &json!(1)), "{report}");
    let rows = server.sql("SELECT kind, _origin LIKE 'rejects/p/%' FROM p WHERE id = 9").await;
    assert_eq!(json!(rows), json!([["A", true]]));
    // What went wrong with an event is told without the event.
    let order = json!({"stream": "p", "expr": "CAST(CAST(event AS BIGINT) AS VARCHAR)"});
    let (status, report) = crate::repair::begin(&server, "fix", &order).await;
    assert_eq!(status, 202, "{report}");
    let mut report = report;
    while report["state"] == "running" {
        report = crate::repair::job(&server, &report["job"]).await;
    }
    assert_eq!(report["state"], "failed", "{report}");
    let error = report["error"].as_str().unwrap();
    assert!(error.contains("sql_execution") && !error.contains("other"), "{error}");
    assert!(!server.stderr().contains("\"other\""), "{}", server.stderr());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payloads_before_their_schema_come_back_in_their_own_notation() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let server = Server::start(&project(directory.path(), &[("headwater.toml", "")]), &data);
    let capnp = |id: u64| [3_u64 << 32, 2 << 32, id, 1].map(u64::to_le_bytes).concat();
    let sent: [(&str, &str, Vec<u8>, u64); 6] = [
        ("p", "application/protobuf", b"\x08\x01\x10\x01".to_vec(), 1),
        (
            "p",
            "application/protobuf; delimited=true",
            b"\x04\x08\x02\x10\x01\x04\x08\x03\x10\x01".to_vec(),
            2,
        ),
        ("p", "application/json", br#"{"id":4,"kind":"A"}"#.to_vec(), 1),
        // Bytes that are no message.
        ("p", "application/protobuf", b"\x08".to_vec(), 1),
        ("c", "application/x-capnp", [capnp(1), capnp(2)].concat(), 2),
        ("a", "avro/binary", b"\x02\x04ok".to_vec(), 1),
    ];
    for (stream, content_type, body, events) in sent {
        let (status, receipt) = server.post(stream, content_type, body).await;
        assert_eq!((status, &receipt["rejected"]), (404, &json!(events)), "{content_type}: {receipt}");
    }
    let open = "SELECT count(*) FROM rejects WHERE status = 'open'";
    assert_eq!(server.number(open).await, 8);
    assert!(server.terminate().success());

    let files: Vec<(String, &str)> =
        NARROW.into_iter().map(|(file, narrow, _)| (format!("schemas/{file}"), narrow)).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let server = Server::start(&project(directory.path(), &files), &data);
    while server.number("SELECT count(*) FROM rejects WHERE code = 'no_schema' AND status = 'open'").await > 0
    {
        tokio::task::yield_now().await;
    }
    for (stream, expected) in [
        ("p", json!([[1, "A"], [2, "A"], [3, "A"], [4, "A"]])),
        ("c", json!([[1, "a"], [2, "a"]])),
        ("a", json!([[1, "ok"]])),
    ] {
        let rows = server.sql(&format!("SELECT id, kind FROM {stream} ORDER BY id")).await;
        assert_eq!(json!(rows), expected, "{stream}");
    }
    let left = server.sql("SELECT stream, code, origin FROM rejects WHERE status = 'open'").await;
    assert_eq!(json!(left), json!([["p", "record", "application/protobuf"]]));
}
