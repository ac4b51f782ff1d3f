//! A retry counts once, also after a restart.

use serde_json::json;

use crate::server::{Server, project};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}"#;

#[tokio::test]
async fn a_retry_after_a_restart_stores_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let data = directory.path().join("data");
    let headers = [("content-type", "application/x-ndjson"), ("idempotency-key", "batch-1")];
    let body = "{\"id\":1}\n{\"id\":2}\n{\"id\":\"three\"}\n";

    let server = Server::start(&project, &data);
    let (status, first) = server.post_with("reading", &headers, body).await;
    assert_eq!((status, &first["accepted"], &first["rejected"]), (200, &json!(2), &json!(1)));
    let check = async |server: &Server| {
        let (status, again) = server.post_with("reading", &headers, body).await;
        assert_eq!((status, &again["accepted"], &again["duplicates"]), (200, &json!(0), &json!(3)));
        assert_eq!(again["offsets"], first["offsets"], "the first offsets");
        let (status, other) = server.post_with("reading", &headers, "{\"id\":9}").await;
        assert_eq!((status, &other["code"]), (422, &json!("idempotency_key_reused")));
        assert_eq!(server.number("SELECT count(*) FROM reading").await, 2);
        assert_eq!(server.number("SELECT count(*) FROM rejects").await, 1);
    };
    check(&server).await;
    server.kill();
    let server = Server::start(&project, &data);
    check(&server).await;
    assert!(server.terminate().success());
    let server = Server::start(&project, &data);
    check(&server).await;
    let balance = "SELECT sum(received), sum(stored), sum(rejected), \
                   sum(duplicates) FROM ledger";
    assert_eq!(server.sql(balance).await, [[json!(12), json!(2), json!(1), json!(9)]]);
}

#[tokio::test]
async fn a_numbered_producer_is_deduplicated_and_fenced() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    let send = async |server: &Server, epoch: &str, sequence: &str, body: &'static str| {
        let headers = [("producer-id", "engine"), ("producer-epoch", epoch), ("producer-sequence", sequence)];
        server.post_with("reading", &headers, body).await
    };
    let (status, _) = send(&server, "0", "0", r#"{"id":0} {"id":1} {"id":2}"#).await;
    assert_eq!(status, 200);
    let (_, overlap) = send(&server, "0", "2", r#"{"id":2} {"id":3}"#).await;
    assert_eq!((&overlap["accepted"], &overlap["duplicates"]), (&json!(1), &json!(1)));
    server.kill();
    let server = Server::start(&project, &data);
    let (status, again) = send(&server, "0", "2", r#"{"id":2} {"id":3}"#).await;
    assert_eq!((status, &again["accepted"], &again["duplicates"]), (200, &json!(0), &json!(2)));
    let (status, gap) = send(&server, "0", "5", r#"{"id":5}"#).await;
    assert_eq!((status, &gap["code"]), (409, &json!("sequence_gap")));
    assert_eq!(send(&server, "1", "0", r#"{"id":4}"#).await.0, 200);
    let (status, fenced) = send(&server, "0", "4", r#"{"id":4}"#).await;
    assert_eq!((status, &fenced["code"]), (409, &json!("producer_fenced")));
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 5);
}
