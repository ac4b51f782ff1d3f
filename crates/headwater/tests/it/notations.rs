//! A schema in Cap'n Proto: what is sent as JSON and as messages of the reference tool comes to the same table.

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
