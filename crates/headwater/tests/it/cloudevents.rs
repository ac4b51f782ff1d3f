//! CloudEvents from the door to the lake: what an envelope says stands in `_id`, `_time` and `_headers`, wherever it is read.

use std::io::Write;

use serde_json::{Value, json};

use crate::server::{Server, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"n": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}},
  "required": ["n"],
  "x-event-time": "at"
}"#;

fn envelope(id: &str, rest: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"{id}","source":"/pad/1","type":"org.pad.reading"{rest}}}"#)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const ROWS: &str =
    "SELECT n, _id, _time, _headers['ce-type'], _headers['ce-subject'] FROM reading ORDER BY n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_envelope_says_comes_to_the_lake_and_back() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);

    let one = envelope("a-1", r#","subject":"tank","time":"2024-05-01T02:00:00+02:00","data":{"n":1}"#);
    let (status, receipt) = server.post("reading", "application/cloudevents+json", one).await;
    assert_eq!((status, &receipt["accepted"]), (200, &json!(1)), "{receipt}");
    let two = envelope("a-2", r#","time":"2024-05-01T00:00:00Z","data":{"n":2,"at":"2024-06-01T00:00:00Z"}"#);
    let bad = envelope("a-3", r#","time":"noon","data":{"n":3}"#);
    let headers = [("content-type", "application/cloudevents-batch+json"), ("content-encoding", "gzip")];
    let (status, receipt) = server.post_with("reading", &headers, gzip(&format!("[{two},{bad}]"))).await;
    assert_eq!(
        (status, &receipt["accepted"], &receipt["rejected"]),
        (200, &json!(1), &json!(1)),
        "{receipt}"
    );
    let headers = [
        ("content-type", "application/json"),
        ("ce-specversion", "1.0"),
        ("ce-id", "a-4"),
        ("ce-source", "/pad/1"),
        ("ce-type", "org.pad.reading"),
        ("ce-time", "2024-05-01T00:00:04Z"),
        ("ce-subject", "caf%C3%A9"),
    ];
    assert_eq!(server.post_with("reading", &headers, r#"{"n":4}"#).await.0, 200);
    assert_eq!(
        server.post("reading", "application/json", r#"{"n":5,"at":"2024-05-01T00:00:05Z"}"#).await.0,
        200
    );
    assert_eq!(server.post("reading", "application/cloudevents+json", "{}").await.0, 400);

    let expected = json!([
        [1, "a-1", "2024-05-01T00:00:00.000000Z", "org.pad.reading", "tank"],
        [2, "a-2", "2024-06-01T00:00:00.000000Z", "org.pad.reading", null],
        [4, "a-4", "2024-05-01T00:00:04.000000Z", "org.pad.reading", "café"],
        [5, null, "2024-05-01T00:00:05.000000Z", null, null],
    ]);
    let check = async |server: &Server| {
        assert_eq!(json!(server.sql(ROWS).await), expected);
        let (status, page) = server.get("/v1/streams/reading/events").await;
        assert_eq!(status, 200);
        let lines: Vec<Value> = page.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said: Vec<_> =
            lines.iter().map(|line| json!([line["event"]["n"], line["id"], line["headers"]])).collect();
        let pad = |more: Value| {
            let mut all = json!({"ce-source": "/pad/1", "ce-type": "org.pad.reading"});
            all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            all
        };
        assert_eq!(
            json!(said),
            json!([
                [1, "a-1", pad(json!({"ce-subject": "tank", "ce-time": "2024-05-01T02:00:00+02:00"}))],
                [2, "a-2", pad(json!({"ce-time": "2024-05-01T00:00:00Z"}))],
                [
                    4,
                    "a-4",
                    pad(json!({"ce-datacontenttype": "application/json", "ce-subject": "café",
                                      "ce-time": "2024-05-01T00:00:04Z"}))
                ],
                [5, null, null],
            ])
        );
        assert!(lines[3].as_object().unwrap().get("headers").is_none(), "left out where there are none");
        let reject = server.sql("SELECT code, message, byte_offset FROM rejects").await;
        assert_eq!(reject[0][0], "record");
        assert!(reject[0][1].as_str().unwrap().contains("the attribute time"), "{reject:?}");
        let balance = "SELECT sum(received), sum(stored), sum(rejected) FROM ledger";
        assert_eq!(json!(server.sql(balance).await), json!([[5, 4, 1]]));
    };
    check(&server).await;
    // From the journal alone, after a kill; from the lake alone, after a clean stop.
    server.kill();
    let server = Server::start(&project, &data);
    check(&server).await;
    assert!(server.terminate().success());
    let server = Server::start(&project, &data);
    assert_eq!(server.number("SELECT lag_events FROM streams").await, 0);
    check(&server).await;
}
