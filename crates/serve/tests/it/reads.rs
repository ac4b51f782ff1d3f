//! Streams, events, ledger, and the operating paths.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::house::{Options, Server, problem, server};

async fn lines(server: &Server, query: &str) -> (Vec<Value>, i64) {
    let response = server.get(&format!("/v1/streams/sensor.reading/events{query}")).await;
    assert_eq!(response.status(), 200, "{query}");
    assert_eq!(response.headers()["content-type"], "application/x-ndjson");
    let next = response.headers()["next"].to_str().unwrap().parse().unwrap();
    let text = response.text().await.unwrap();
    (text.lines().map(|line| serde_json::from_str(line).unwrap()).collect(), next)
}

#[tokio::test]
async fn events_come_in_order_page_by_page() {
    let server = server(Options::default()).await;
    let (first, next) = lines(&server, "?limit=2").await;
    let expected = json!({
        "partition": 0, "offset": 0, "received_at": "2024-05-01T00:00:00.000000Z", "schema": 1,
        "event": {"sensor": "s0", "n": 0},
    });
    assert_eq!((first.len(), &first[0], next), (2, &expected, 3));
    assert_eq!(first[1]["event"], json!({"sensor": "s2"}), "null is left out");

    let mut offsets = Vec::new();
    let mut from = 0;
    loop {
        let (page, next) = lines(&server, &format!("?from={from}&limit=300")).await;
        if page.is_empty() {
            assert_eq!(next, from);
            break;
        }
        offsets.extend(page.iter().map(|line| line["offset"].as_i64().unwrap()));
        from = next;
    }
    assert_eq!(offsets, (0..1_000).map(|n| n * 2).collect::<Vec<i64>>());
    assert_eq!(from, 1_999);
}

#[tokio::test]
async fn pages_start_where_they_are_told() {
    let server = server(Options::default()).await;
    let first = |page: (Vec<Value>, i64)| page.0.first().map(|line| line["offset"].as_i64().unwrap());
    assert_eq!(first(lines(&server, "").await), Some(0));
    assert_eq!(first(lines(&server, "?from=earliest").await), Some(0));
    assert_eq!(first(lines(&server, "?from=7").await), Some(8), "gaps are stepped over");
    assert_eq!(lines(&server, "?from=latest").await, (Vec::new(), 1_999));
    assert_eq!(lines(&server, "?from=5000").await, (Vec::new(), 5_000));
    assert_eq!(first(lines(&server, "?from=2024-05-01T00:00:10Z").await), Some(20));
    assert_eq!(first(lines(&server, "?from=2024-05-01T02%3A00%3A10%2B02%3A00").await), Some(20));
    assert_eq!(lines(&server, "?from=2030-01-01T00:00:00Z").await, (Vec::new(), 1_999));
    assert_eq!(lines(&server, "?partition=1").await, (Vec::new(), 0));
    assert_eq!(lines(&server, "").await.0.len(), 100);

    for bad in ["?partition=2", "?from=x", "?limit=0", "?limit=100000", "?form=1"] {
        let response = server.get(&format!("/v1/streams/sensor.reading/events{bad}")).await;
        assert_eq!(problem(response).await, (400, "bad_parameter".to_owned()), "{bad}");
    }
    for name in ["nobody.knows", "other", "Bad%20Name", "..", "%00", "sensor_reading"] {
        let response = server.get(&format!("/v1/streams/{name}/events")).await;
        assert_eq!(response.status(), 404, "{name}");
    }
}

#[tokio::test]
async fn what_is_gone_is_named() {
    let server = server(Options::default()).await;
    server.house.first_kept.store(10, Ordering::Relaxed);
    let response = server.get("/v1/streams/sensor.reading/events?from=9").await;
    assert_eq!(response.headers()["next"], "10");
    assert_eq!(problem(response).await, (410, "offset_gone".to_owned()));
    assert_eq!(lines(&server, "?from=earliest&limit=1").await.0[0]["offset"], 10);
}

#[tokio::test]
async fn streams_are_listed_and_shown() {
    let server = server(Options::default()).await;
    let list: Value = server.get("/v1/streams").await.json().await.unwrap();
    let stream = &list["streams"][0];
    assert_eq!(list["streams"].as_array().unwrap().len(), 1);
    assert_eq!(stream["stream"], "sensor.reading");
    assert_eq!(stream["events"], 1_000);
    assert_eq!(stream["rejected"], 2);
    let names: Vec<&str> = stream.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "stream",
            "table_name",
            "schema",
            "partitions",
            "key",
            "mode",
            "events",
            "rejected",
            "first_at",
            "last_at",
            "journal_bytes",
            "lake_bytes",
            "lake_version",
            "lag_events",
            "lake_path",
        ]
    );
    let one: Value = server.get("/v1/streams/sensor.reading").await.json().await.unwrap();
    assert_eq!(one["document"]["x-key"], json!(["sensor"]));
    assert_eq!(one["partitions"], 2);
    for name in ["other", "nobody.knows", "sensor_reading", "x'%20OR%20true%20--"] {
        let response = server.get(&format!("/v1/streams/{name}")).await;
        assert_eq!(problem(response).await, (404, "no_stream".to_owned()), "{name}");
    }
}

#[tokio::test]
async fn the_ledger_has_all_formats() {
    let server = server(Options::default()).await;
    let json: Value = server.get("/v1/ledger").await.json().await.unwrap();
    assert_eq!(json["row_count"], 1);
    assert_eq!(
        json["rows"][0].as_array().unwrap()[..5],
        [
            json!("sensor.reading"),
            json!("2024-05-01T00:00:00.000000Z"),
            json!("http"),
            json!(1_002),
            json!(1_000)
        ]
    );
    let request = server
        .client
        .get(server.url("/v1/ledger?stream=sensor.reading"))
        .header("accept", "application/x-ndjson");
    let line: Value = request.send().await.unwrap().json().await.unwrap();
    assert_eq!(line["rejected"], 2);
    let none: Value = server.get("/v1/ledger?stream=x'%20OR%20'1'='1").await.json().await.unwrap();
    assert_eq!(none["row_count"], 0);
    assert_eq!(problem(server.get("/v1/ledger?steam=x").await).await, (400, "bad_parameter".to_owned()));
}

#[tokio::test]
async fn operators_see_how_it_is() {
    let server = server(Options::default()).await;
    assert_eq!(server.get("/livez").await.text().await.unwrap(), "ok\n");
    assert_eq!(server.get("/readyz").await.status(), 200);
    *server.house.unready.lock().unwrap() = Some("the journal is being read".to_owned());
    let response = server.get("/readyz").await;
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!(problem(response).await, (503, "not_ready".to_owned()));
    assert_eq!(server.get("/metrics").await.text().await.unwrap(), "headwater_up 1\n");
    let page = server.get("/").await;
    assert!(page.headers()["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let page = page.text().await.unwrap();
    assert!(!page.contains("<script"));
    for path in page.split("href=").skip(1).map(|rest| rest.split('>').next().unwrap()) {
        assert_ne!(server.get(path).await.status(), 404, "{path}");
    }
    assert_eq!(problem(server.get("/nothing").await).await, (404, "not_found".to_owned()));
}

/// Every path of the document is served, except that ingest lives in another crate.
#[tokio::test]
async fn the_document_tells_the_truth() {
    let server = server(Options::default()).await;
    let document: Value = server.get("/openapi.json").await.json().await.unwrap();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in
            methods.as_object().unwrap().keys().filter(|method| ["get", "post"].contains(&method.as_str()))
        {
            let url = server.url(&path.replace("{stream}", "sensor.reading"));
            let request = if method == "get" { server.client.get(url) } else { server.client.post(url) };
            let status = request.send().await.unwrap().status().as_u16();
            let ingest = method == "post" && path.ends_with("/events");
            assert_eq!([404, 405].contains(&status), ingest, "{method} {path}: {status}");
        }
    }
}

#[tokio::test]
async fn the_versions_of_a_table_are_listed() {
    let server = server(Options::default()).await;
    for (table, count) in [("sensor.reading", 1), ("rejects", 1)] {
        let told: Value = server.get(&format!("/v1/streams/{table}/versions")).await.json().await.unwrap();
        assert_eq!(told["versions"].as_array().map(Vec::len), Some(count), "{told}");
    }
    let unknown = server.get("/v1/streams/nobody/versions").await;
    assert_eq!(problem(unknown).await, (404, "no_stream".to_owned()));
    *server.house.broken.lock().unwrap() = true;
    let broken = server.get("/v1/streams/rejects/versions").await;
    let text = broken.text().await.unwrap();
    assert!(text.contains("no_cut") && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_backup_stands_until_it_is_ended_or_its_caller_goes() {
    let server = server(Options::default()).await;
    let begin = async || server.client.post(server.url("/v1/backups")).send().await.unwrap();
    let end =
        async |id: &str| server.client.delete(server.url(&format!("/v1/backups/{id}"))).send().await.unwrap();
    assert_eq!(problem(end("7").await).await, (404, "no_backup".to_owned()));
    let mut first = begin().await;
    assert_eq!(first.headers()["content-type"], "application/x-ndjson");
    assert!(first.chunk().await.unwrap().unwrap().starts_with(b"{\"id\":\"7\"}\n"));
    let second = begin().await;
    assert!(second.headers().contains_key("retry-after"));
    assert_eq!(problem(second).await, (429, "backing_up".to_owned()));
    assert_eq!(problem(end("8").await).await, (404, "no_backup".to_owned()));
    assert_eq!(end("7").await.status(), 204);
    // Its lines end with it.
    while first.chunk().await.unwrap().is_some() {}
    let second = begin().await;
    assert_eq!(second.status(), 200);
    drop(second);
    let again = async { while begin().await.status() != 200 {} };
    tokio::time::timeout(std::time::Duration::from_secs(120), again).await.unwrap();
}

#[tokio::test]
async fn one_verification_at_a_time_and_it_ends_with_its_caller() {
    let server = server(Options::default()).await;
    let ask = async |body: &'static str| {
        let request = server.client.post(server.url("/v1/verify")).header("content-type", "application/json");
        request.body(body).send().await.unwrap()
    };
    assert_eq!(problem(ask("{\"names\":[\"nobody\"]}").await).await, (404, "no_stream".to_owned()));
    assert_eq!(problem(ask("{\"name\":[]}").await).await, (400, "bad_body".to_owned()));

    let mut first = ask("{}").await;
    assert_eq!(first.status(), 200);
    assert_eq!(first.headers()["content-type"], "application/x-ndjson");
    assert!(first.chunk().await.unwrap().unwrap().starts_with(b"{\"progress\":{}}\n"));
    let second = ask("{}").await;
    assert!(second.headers().contains_key("retry-after"));
    assert_eq!(problem(second).await, (429, "verifying".to_owned()));
    // Whoever asked has gone: the next one may.
    drop(first);
    let again = async { while ask("{}").await.status() != 200 {} };
    tokio::time::timeout(std::time::Duration::from_secs(120), again).await.unwrap();
    let status: Value = server.get("/v1/status").await.json().await.unwrap();
    assert_eq!(status["version"], "test");
}
