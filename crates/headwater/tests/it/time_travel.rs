//! Tables as of a version: each answer is what the table held then, alone and beside the table of today; and whatever was
//! erased or rewritten is in no version that can still be read.

use serde_json::{Value, json};

use crate::server::{Server, headwater, project};

const CONFIG: &str = "[lake]\ncommit_every = \"20ms\"\n";
const ORDERS: &str = r#"{"type":"object","required":["id"],"properties":{
    "id":{"type":"integer"},"who":{"type":"string"}}}"#;
const PEOPLE: &str = r#"{"type":"object","required":["who"],"properties":{
    "who":{"type":"string","x-privacy":"subject"},"n":{"type":"integer"}}}"#;

/// Until the lake has every row of the stream.
async fn committed(server: &Server, stream: &str) {
    let lag = format!("SELECT count(*) FROM streams WHERE stream = '{stream}' AND lag_events > 0");
    while server.number(&lag).await > 0 {
        tokio::task::yield_now().await;
    }
}

async fn versions(server: &Server, stream: &str) -> Vec<Value> {
    let (status, text) = server.get(&format!("/v1/streams/{stream}/versions")).await;
    assert_eq!(status, 200, "{text}");
    let told: Value = serde_json::from_str(&text).unwrap();
    told["versions"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_version_answers_with_what_the_table_held_then() {
    let directory = tempfile::tempdir().unwrap();
    let project =
        project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/shop.orders.json", ORDERS)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    let (status, told) = server.sql_answer("SELECT * FROM shop_orders VERSION AS OF 0").await;
    assert_eq!((status, &told["code"]), (400, &json!("sql_plan")), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("no version yet"), "{told}");

    for request in 0..5 {
        let body: String = (0..10).map(|n| format!("{{\"id\":{}}}\n", request * 10 + n)).collect();
        let body = format!("{body}{{\"id\":\"bad\"}}\n");
        assert_eq!(server.post("shop.orders", "application/x-ndjson", body).await.0, 200);
        committed(&server, "shop.orders").await;
    }
    let known = versions(&server, "shop.orders").await;
    assert!(known.len() >= 5, "{known:?}");
    for version in &known {
        let (number, rows) = (&version["version"], version["rows"].as_i64().unwrap());
        assert_eq!(version["readable"], true);
        let expected = json!([[rows, rows * (rows - 1) / 2]]);
        let of_version =
            format!("SELECT count(*), sum(id) FROM shop_orders FOR VERSION AS OF {number} WHERE id >= 0");
        assert_eq!(json!(server.sql(&of_version).await), expected, "{version}");
        // The newest one of a millisecond answers for it.
        let newest = known.iter().find(|it| it["at"] == version["at"]).unwrap();
        for clause in ["TIMESTAMP AS OF TIMESTAMP", "FOR TIMESTAMP AS OF", "FOR SYSTEM_TIME AS OF"] {
            let at = version["at"].as_str().unwrap();
            let of_time = format!("SELECT count(*) FROM public.shop_orders {clause} '{at}' AS then");
            assert_eq!(json!(server.number(&of_time).await), newest["rows"], "{of_time}");
        }
    }
    // Beside the table of today, whose newest rows may be hot.
    assert_eq!(server.post("shop.orders", "application/x-ndjson", "{\"id\":50}\n").await.0, 200);
    let new = "SELECT count(*), min(now.id) FROM shop_orders now LEFT JOIN shop_orders VERSION AS OF 0 AS first \
               USING (id) WHERE first.id IS NULL";
    assert_eq!(json!(server.sql(new).await), json!([[41, 10]]));
    let both = "SELECT (SELECT count(*) FROM shop_orders) AS a, (SELECT count(*) FROM shop_orders VERSION AS OF 1) AS b, \
                (SELECT count(DISTINCT _offset) FROM shop_orders FOR VERSION AS OF 1) AS c";
    assert_eq!(json!(server.sql(both).await), json!([[51, 20, 20]]));
    // The platform's own tables.
    committed(&server, "shop.orders").await;
    for table in ["rejects", "ledger"] {
        let known = versions(&server, table).await;
        assert!(!known.is_empty());
        let newest = &known[0]["version"];
        let count = server.number(&format!("SELECT count(*) FROM {table} VERSION AS OF {newest}")).await;
        assert!(count > 0, "{table}");
    }
    let first = "SELECT count(*), min(status), max(code), count(payload) FROM rejects VERSION AS OF 0";
    assert_eq!(json!(server.sql(first).await), json!([[1, "open", "type", 1]]));
    assert_eq!(
        json!(server.sql("SELECT sum(received), sum(rejected) FROM ledger VERSION AS OF 0").await),
        json!([[11, 1]])
    );

    for (statement, status, code) in [
        ("SELECT * FROM shop_orders VERSION AS OF 9999", 400, "sql_plan"),
        ("SELECT * FROM shop_orders TIMESTAMP AS OF '2001-01-01T00:00:00Z'", 410, "version_gone"),
        ("SELECT * FROM streams VERSION AS OF 1", 400, "sql_plan"),
        ("SELECT * FROM nothing VERSION AS OF 1", 400, "sql_plan"),
        ("WITH a AS (SELECT 1) SELECT * FROM a VERSION AS OF 1", 400, "sql_plan"),
        ("SELECT * FROM shop_orders FOR VERSION AS OF 'x'", 400, "sql_plan"),
    ] {
        let (got, told) = server.sql_answer(statement).await;
        assert_eq!((got, &told["code"]), (status, &json!(code)), "{statement}: {told}");
    }
    assert_eq!(
        json!(server.sql("SHOW TABLES").await),
        json!([["ledger"], ["rejects"], ["shop_orders"], ["streams"]])
    );
    assert_eq!(server.get("/v1/streams/nothing/versions").await.0, 404);

    let of = data.display().to_string();
    let (code, out, err) = headwater(&["ls", "shop.orders", "--versions", "--json", "--data", &of]);
    assert_eq!(code, 0, "{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told["versions"].as_array().unwrap().len(), versions(&server, "shop.orders").await.len());
    let (code, out, _) = headwater(&["ls", "shop.orders", "--versions", "--data", &of]);
    assert!(code == 0 && out.contains("WRITE") && out.contains("readable"), "{out}");
    let statement = "SELECT count(*) AS n FROM shop_orders FOR VERSION AS OF 0";
    assert_eq!(headwater(&["sql", statement, "--format", "csv", "--data", &of]).1.trim(), "n\r\n10");
    server.kill();
    let server = Server::start(&project, &data);
    assert_eq!(server.number("SELECT count(*) FROM shop_orders VERSION AS OF 2").await, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_version_that_can_be_read_has_what_was_erased() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/people.json", PEOPLE)]);
    let data = directory.path().join("data");
    let of = data.display().to_string();
    let server = Server::start(&project, &data);
    for n in 0..5 {
        let body = format!(
            "{{\"who\":\"goes\",\"n\":{n}}}\n{{\"who\":\"stays\",\"n\":{n}}}\n{{\"who\":\"goes\",\"n\":\"\"}}\n"
        );
        assert_eq!(server.post("people", "application/x-ndjson", body).await.0, 200);
        committed(&server, "people").await;
    }
    assert_eq!(server.number("SELECT count(*) FROM people VERSION AS OF 2 WHERE who = 'goes'").await, 3);
    let old: Vec<_> = versions(&server, "people").await;
    let (code, out, err) = headwater(&["erase", "goes", "--data", &of]);
    assert_eq!(code, 0, "{out}{err}");

    let mut running = Some(server);
    for anew in [false, true] {
        if anew {
            assert!(running.take().unwrap().terminate().success());
            running = Some(Server::start(&project, &data));
        }
        let Some(server) = &running else { unreachable!() };
        for version in &old {
            let number = &version["version"];
            for statement in [
                format!("SELECT * FROM people VERSION AS OF {number}"),
                format!("SELECT * FROM rejects VERSION AS OF {number}"),
            ] {
                let (status, told) = server.sql_answer(&statement).await;
                assert_eq!((status, &told["code"]), (410, &json!("version_gone")), "{statement}: {told}");
                assert!(
                    told["detail"].as_str().unwrap().contains("the oldest that can is version"),
                    "{told}"
                );
            }
            let at = version["at"].as_str().unwrap();
            let (status, _) =
                server.sql_answer(&format!("SELECT * FROM people TIMESTAMP AS OF '{at}'")).await;
            assert_eq!(status, 410);
        }
        for version in versions(&server, "people").await {
            let of_version =
                format!("SELECT count(*), max(who) FROM people VERSION AS OF {}", version["version"]);
            assert_eq!(json!(server.sql(&of_version).await), json!([[5, "stays"]]));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_version_that_can_be_read_is_of_an_older_generation() {
    let directory = tempfile::tempdir().unwrap();
    let project =
        project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/shop.orders.json", ORDERS)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    for id in 0..5 {
        let body = format!("{{\"id\":{id},\"who\":\"clear\"}}\n");
        assert_eq!(server.post("shop.orders", "application/x-ndjson", body).await.0, 200);
        committed(&server, "shop.orders").await;
    }
    let old = versions(&server, "shop.orders").await;
    assert!(server.terminate().success());
    let hashed = ORDERS
        .replace("\"who\":{\"type\":\"string\"}", "\"who\":{\"type\":\"string\",\"x-privacy\":\"hash\"}");
    std::fs::write(project.join("schemas/shop.orders.json"), hashed).unwrap();
    let server = Server::start(&project, &data);
    loop {
        let (_, status) = server.get("/v1/status").await;
        let status: Value = serde_json::from_str(&status).unwrap();
        if status["generations"].as_array().unwrap().is_empty() {
            break;
        }
        tokio::task::yield_now().await;
    }
    for version in old {
        let statement = format!("SELECT who FROM shop_orders VERSION AS OF {}", version["version"]);
        assert_eq!(server.sql_answer(&statement).await.0, 410, "{statement}");
    }
    for version in versions(&server, "shop.orders").await {
        let statement = format!(
            "SELECT count(*), max(length(who)), min(length(who)) FROM shop_orders VERSION AS OF {}",
            version["version"]
        );
        assert_eq!(json!(server.sql(&statement).await), json!([[5, 64, 64]]));
    }
}
