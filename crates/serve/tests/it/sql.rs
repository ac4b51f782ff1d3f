//! `POST /v1/sql`.

use std::time::Duration;

use arrow::ipc::reader::StreamReader;
use hw_query::SqlSettings;
use serde_json::{Value, json};

use crate::house::{Options, problem, server};

#[tokio::test]
async fn rows_come_in_the_format_asked_for() {
    let server = server(Options::default()).await;
    let statement = "SELECT sensor, n FROM sensor_reading WHERE _offset < 4 ORDER BY _offset";
    let response = server.sql(statement, "*/*").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: Value = response.json().await.unwrap();
    let expected = json!({
        "columns": [{"name": "sensor", "type": "string"}, {"name": "n", "type": "int64"}],
        "rows": [["s0", 0], ["s2", null]],
        "row_count": 2,
    });
    assert_eq!(body, expected);
    let text = |response: reqwest::Response| async { response.text().await.unwrap() };
    let ndjson = server.sql(statement, "application/x-ndjson").await;
    assert_eq!(ndjson.headers()["content-type"], "application/x-ndjson");
    assert_eq!(text(ndjson).await, "{\"sensor\":\"s0\",\"n\":0}\n{\"sensor\":\"s2\",\"n\":null}\n");
    let csv = server.sql(statement, "text/csv, application/json;q=0.5").await;
    assert!(csv.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
    assert_eq!(text(csv).await, "sensor,n\r\ns0,0\r\ns2,\r\n");
    let arrow = server.sql(statement, "application/vnd.apache.arrow.stream").await.bytes().await.unwrap();
    let batches: Vec<_> = StreamReader::try_new(&arrow[..], None).unwrap().map(Result::unwrap).collect();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 2);
}

#[tokio::test]
async fn each_fault_has_its_status() {
    let sql = SqlSettings {
        memory: 16 * 1024 * 1024,
        time: Duration::from_secs(2),
        rows: 10_000,
        text: 64 * 1024,
        ..SqlSettings::default()
    };
    let server = server(Options { sql, ..Options::default() }).await;
    let terms = |count: usize| vec!["1"; count].join("+");
    for (statement, status, code) in [
        ("SELEC 1".to_owned(), 400, "sql_text"),
        ("SELECT 1; SELECT 2".to_owned(), 400, "sql_text"),
        ("SELECT nothing".to_owned(), 400, "sql_plan"),
        ("SELECT CAST(sensor AS BIGINT) FROM sensor_reading".to_owned(), 400, "sql_execution"),
        (format!("SELECT 1 -- {}", "x".repeat(70_000)), 400, "sql_size"),
        (format!("SELECT {}", terms(20_000)), 400, "sql_depth"),
        ("DROP TABLE sensor_reading".to_owned(), 403, "sql_kind"),
        ("COPY sensor_reading TO '/tmp/x'".to_owned(), 403, "sql_kind"),
        ("SET a = 1".to_owned(), 403, "sql_kind"),
        ("SELECT repeat('x', 2000000000)".to_owned(), 422, "sql_memory"),
        ("SELECT * FROM generate_series(1, 10001)".to_owned(), 422, "sql_rows"),
        ("SELECT count(*) FROM generate_series(1, 10000000000)".to_owned(), 200, ""),
        ("SELECT sum(value) FROM generate_series(1, 1000000000000)".to_owned(), 504, "sql_time"),
    ] {
        let short: String = statement.chars().take(60).collect();
        let response = server.sql(&statement, "*/*").await;
        if status == 200 {
            // Counted or out of time, whichever the engine manages: never a broken answer.
            assert!([200, 504].contains(&response.status().as_u16()), "{short}");
        } else {
            assert_eq!(problem(response).await, (status, code.to_owned()), "{short}");
        }
    }
}

#[tokio::test]
async fn only_json_bodies_are_read() {
    let server = server(Options::default()).await;
    let post = |content_type: Option<&str>, body: &str| {
        let request = server.client.post(server.url("/v1/sql")).body(body.to_owned());
        match content_type {
            Some(content_type) => request.header("content-type", content_type),
            None => request,
        }
        .send()
    };
    for content_type in [
        None,
        Some("text/plain"),
        Some("application/x-www-form-urlencoded"),
        Some("application/jsonp"),
        Some("multipart/form-data"),
    ] {
        let response = post(content_type, "{\"sql\":\"SELECT 1\"}").await.unwrap();
        assert_eq!(problem(response).await, (415, "unsupported_media_type".to_owned()), "{content_type:?}");
    }
    let response = post(Some("Application/JSON; charset=utf-8"), "{\"sql\":\"SELECT 1\"}").await.unwrap();
    assert_eq!(response.status(), 200);
    for body in [
        "",
        "{}",
        "[]",
        "SELECT 1",
        "{\"sql\":1}",
        "{\"sql\":\"SELECT 1\",\"more\":1}",
        "{\"sql\":\"SELECT 1\"",
        "\u{feff}{\"sql\":\"SELECT 1\"}",
    ] {
        let response = post(Some("application/json"), body).await.unwrap();
        assert_eq!(problem(response).await, (400, "bad_body".to_owned()), "{body}");
    }
    let large = format!("{{\"sql\":\"SELECT 1{}\"}}", " ".repeat(1024 * 1024));
    let response = post(Some("application/json"), &large).await.unwrap();
    assert_eq!(problem(response).await, (413, "too_large".to_owned()));
    let response = server.sql("SELECT 1", "text/html").await;
    assert_eq!(problem(response).await, (406, "not_acceptable".to_owned()));
    let response = server.get("/v1/sql").await;
    assert_eq!(problem(response).await, (405, "method_not_allowed".to_owned()));
}

/// An answer larger than the buffer has begun with 200 when it fails: its body must not look complete.
#[tokio::test]
async fn a_late_failure_cuts_the_body_off() {
    // Time enough also for a busy machine: what fails late here is the number of rows.
    let time = std::time::Duration::from_secs(600);
    let sql = SqlSettings { rows: 1_500, memory: 256 * 1024 * 1024, time, ..SqlSettings::default() };
    let server = server(Options { sql, ..Options::default() }).await;
    let statement = |rows| {
        format!("SELECT repeat('x', 50000) || CAST(value AS VARCHAR) AS x FROM generate_series(1, {rows})")
    };
    for accept in ["application/json", "text/csv"] {
        let whole = server.sql(&statement(1_500), accept).await;
        assert_eq!(whole.status(), 200);
        assert!(whole.bytes().await.unwrap().len() > 1_500 * 50_000);
        let broken = server.sql(&statement(1_501), accept).await;
        assert_eq!(broken.status(), 200);
        assert!(broken.bytes().await.is_err(), "{accept}");
    }
    // The same fault within the buffer has its status.
    let response = server.sql("SELECT * FROM generate_series(1, 1501)", "*/*").await;
    assert_eq!(problem(response).await, (422, "sql_rows".to_owned()));
}

#[tokio::test]
async fn a_cut_that_fails_says_so_without_saying_where() {
    let server = server(Options::default()).await;
    *server.house.broken.lock().unwrap() = true;
    let response = server.sql("SELECT 1", "*/*").await;
    assert_eq!(response.headers()["retry-after"], "1");
    let text = response.text().await.unwrap();
    assert!(text.contains("no_cut") && !text.contains("/secret/path"), "{text}");
}
