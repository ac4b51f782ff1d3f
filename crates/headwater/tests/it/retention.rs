//! Rows beyond `x-retention` leave their table, the oldest first; readers step over them, the ledger agrees.

use serde_json::json;

use crate::server::{Server, headwater, project};

const CONFIG: &str = "[lake]\ncommit_every = \"20ms\"\nretain_every = \"50ms\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_rows_and_rows_beyond_the_size_leave_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let schema = |retention: &str| {
        format!(
            "{{\"type\":\"object\",\"required\":[\"id\"],\"x-retention\":{retention},\"properties\":{{\"id\":{{\"type\":\"integer\"}}}}}}"
        )
    };
    let (young, small) = (schema("\"1s\""), schema("{\"size\":\"1B\"}"));
    let plain = "{\"type\":\"object\",\"properties\":{\"id\":{\"type\":\"integer\"}}}";
    let files = [
        ("headwater.toml", CONFIG),
        ("schemas/young.json", young.as_str()),
        ("schemas/small.json", small.as_str()),
        ("schemas/plain.json", plain),
    ];
    let project = project(directory.path(), &files);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    let body: String = (0..100).map(|id| format!("{}\n", json!({ "id": id }))).collect();
    for stream in ["young", "small", "plain"] {
        assert_eq!(server.post(stream, "application/x-ndjson", body.clone()).await.0, 200);
    }
    for table in ["young", "small"] {
        while server.number(&format!("SELECT count(*) FROM {table}")).await > 0 {
            tokio::task::yield_now().await;
        }
        let stream = format!("/v1/streams/{table}/events");
        let (status, gone) = server.get(&format!("{stream}?from=5")).await;
        assert!(status == 410 && gone.contains("offset_gone"), "{table}: {status} {gone}");
        assert_eq!(server.get(&format!("{stream}?from=earliest")).await.0, 200);
    }
    assert_eq!(server.number("SELECT count(*) FROM plain").await, 100, "nothing is said of it");
    // What comes now has offsets behind those that went.
    let (_, receipt) = server.post("small", "application/json", "{\"id\":7}").await;
    assert_eq!(receipt["offsets"][0]["base"], 100, "{receipt}");
    let (code, out, err) = headwater(&["verify", "--data", &data.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
    server.kill();
    let server = Server::start(&project, &data);
    assert_eq!(server.get("/v1/streams/young/events?from=5").await.0, 410);
    assert_eq!(server.number("SELECT count(*) FROM plain").await, 100);
}
