//! The example of three message types: each is a file, and what is sent of each is in its own table.

use std::{path::Path, sync::Arc};

use hw_schema::{DecodeLimits, Generator, Schema};
use serde_json::json;

use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_type_is_a_file() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/fleet");
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&example, &directory.path().join("data"));
    for stream in ["hoverboard", "customer", "trip"] {
        let document = std::fs::read_to_string(example.join(format!("schemas/{stream}.json"))).unwrap();
        let schema = Arc::new(Schema::parse(&document).unwrap().schema);
        let limits = DecodeLimits { depth: 128, event_bytes: 1 << 20 };
        let mut generator = Generator::new(schema, limits, 7);
        let mut body = Vec::new();
        for number in 0..300 {
            body.extend(generator.event(number, None).unwrap());
            body.push(b'\n');
        }
        let (status, receipt) = server.post(stream, "application/x-ndjson", body).await;
        assert_eq!((status, &receipt["accepted"]), (200, &json!(300)), "{stream}: {receipt}");
        assert_eq!(server.number(&format!("SELECT count(*) FROM {stream}")).await, 300);
        let partitions = server.number(&format!("SELECT count(DISTINCT _partition) FROM {stream}")).await;
        assert!((60..=100).contains(&partitions), "{stream}: {partitions} partitions");
    }
    // An invalid body is a 422 that names the place, and a row of the error lake.
    for (stream, event, code, path) in [
        (
            "hoverboard",
            r#"{"id":"hb-0001","at":"2026-11-21T20:00:00Z","battery":101,"state":"parked"}"#,
            "maximum",
            "/battery",
        ),
        (
            "hoverboard",
            r#"{"id":"hb-0001","at":"2026-11-21T20:00:00Z","battery":9,"state":"fault"}"#,
            "keyword",
            "/fault",
        ),
        (
            "trip",
            r#"{"hoverboard_id":"hb-0001","customer_id":"c-000001","began_at":"2026-11-21T20:00:00Z","ended_at":"2026-11-21T20:10:00Z","metres":900}"#,
            "keyword",
            "/fare",
        ),
        (
            "customer",
            r#"{"id":"c-000001","changed_at":"2026-11-21T20:00:00Z","contact":[{"by":"fax","address":"1"}]}"#,
            "keyword",
            "/contact",
        ),
    ] {
        let (status, receipt) = server.post(stream, "application/json", event).await;
        let error = &receipt["errors"][0];
        assert_eq!((status, &error["code"], &error["path"]), (422, &json!(code), &json!(path)), "{receipt}");
    }
    let rejects = server.sql("SELECT stream, count(*) FROM rejects GROUP BY stream ORDER BY stream").await;
    assert_eq!(json!(rejects), json!([["customer", 1], ["hoverboard", 2], ["trip", 1]]));
    let contacts = server.sql("SELECT contact FROM customer WHERE contact IS NOT NULL LIMIT 5").await;
    assert!(!contacts.is_empty());
    assert!(server.terminate().success());
}
