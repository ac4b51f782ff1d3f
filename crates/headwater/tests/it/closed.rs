//! Closed by default: strangers, browsers and statements that reach beyond the tables are refused.

use serde_json::json;

use crate::server::{Server, headwater, project};

const SCHEMA: &str = r#"{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}"#;

#[test]
fn an_address_beyond_loopback_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let project = project.to_str().unwrap();
    let data = directory.path().join("data");
    for setting in ["http.listen=0.0.0.0:0", "http.listen=[::]:0", "http.listen=192.168.1.1:8080"] {
        let (code, _, stderr) =
            headwater(&["up", project, "--data", data.to_str().unwrap(), "--set", setting]);
        assert_eq!(code, 2, "{setting}: {stderr}");
        assert!(stderr.contains("loopback"), "{stderr}");
    }
    assert!(!data.exists(), "nothing was begun");
}

#[tokio::test]
async fn strangers_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let server = Server::start(&project, &directory.path().join("data"));
    let url = format!("{}/v1/streams/reading/events", server.http);
    for (name, value) in
        [("origin", "https://evil.example"), ("host", "evil.example"), ("host", "127.0.0.1.evil.example")]
    {
        let request = server.client().post(&url).header(name, value).body("{\"id\":1}");
        let response = request.send().await.unwrap();
        assert_eq!(response.status().as_u16(), 403, "{name}: {value}");
        let problem: serde_json::Value = response.json().await.unwrap();
        assert!(problem["hint"].is_string(), "{problem}");
    }
    let own = server.client().post(&url).header("origin", server.http.as_str()).body("{\"id\":1}");
    assert_eq!(own.send().await.unwrap().status().as_u16(), 200, "its own pages are no strangers");
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 1);
}

#[tokio::test]
async fn statements_that_reach_beyond_the_tables_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let server = Server::start(&project, &directory.path().join("data"));
    for statement in [
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "COPY reading TO '/tmp/stolen.csv'",
        "COPY (SELECT 1) TO '/tmp/stolen.parquet'",
        "SET datafusion.execution.target_partitions = 1",
        "INSERT INTO reading VALUES (1)",
        "DROP TABLE reading",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "DELETE FROM reading",
    ] {
        let (status, problem) = server.sql_answer(statement).await;
        assert_eq!(status, 403, "{statement}: {problem}");
        assert_eq!(problem["status"], json!(403));
    }
    for statement in ["SELECT 1; SELECT 2", "SELECT * FROM '/etc/passwd'", "SELECT * FROM nowhere", ""] {
        let (status, problem) = server.sql_answer(statement).await;
        assert_eq!(status, 400, "{statement}: {problem}");
    }
    let ors = vec!["id = 1"; 20_000].join(" OR ");
    let (status, _) = server.sql_answer(&format!("SELECT count(*) FROM reading WHERE {ors}")).await;
    assert!(status == 400 || status == 200, "20,000 terms: {status}");
    let (status, _) = server.sql_answer("SELECT length(repeat('x', 2000000000))").await;
    assert!((400..505).contains(&status), "a bomb: {status}");
    assert_eq!(server.number("SELECT 1").await, 1, "and it still answers");
}
