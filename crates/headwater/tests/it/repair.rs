//! The error lake is repaired: five causes, each with its remedy, and the server killed while they are applied. What can
//! come back is in the table once, the rest is where it was with its new reason, and every count agrees.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Random, Server, headwater, project};

const CONFIG: &str = "[lake]\ncommit_every = \"50ms\"\n";

fn schema(maximum: u64) -> String {
    json!({
        "type": "object",
        "properties": {
            "id": {"type": "integer"},
            "amount": {"type": ["number", "null"], "maximum": maximum},
            "unit": {"type": "string", "enum": ["C", "K"]},
            "who": {"type": "string", "x-privacy": "hash"},
        },
        "required": ["id", "unit", "who"], "x-key": ["id"], "x-partitions": 3
    })
    .to_string()
}

/// Five causes in turn: `enum`, `maximum`, `json_syntax`, `required`, `type`; and `payload` is the last one's.
fn event(n: u64) -> String {
    let (amount, unit, who) = match n % 5 {
        0 => ("1.5", "F", true),
        1 => ("500", "C", true),
        2 => ("NaN", "K", true),
        3 => ("2", "K", false),
        _ => ("\"much\"", "C", true),
    };
    let who = if who { format!(",\"who\":\"canary-{n}\"") } else { String::new() };
    format!("{{\"id\":{n},\"amount\":{amount},\"unit\":\"{unit}\"{who}}}\n")
}

async fn send(server: &Server, stream: &str, events: u64, event: impl Fn(u64) -> String) {
    for from in (0..events).step_by(1000) {
        let body: String = (from..events.min(from + 1000)).map(&event).collect();
        let (_, receipt) = server.post(stream, "application/x-ndjson", body).await;
        assert_eq!(receipt["rejected"], events.min(from + 1000) - from, "{receipt}");
    }
}

pub async fn begin(server: &Server, task: &str, order: &Value) -> (u16, Value) {
    let url = format!("{}/v1/rejects/{task}", server.http);
    let response = server.client().post(url).json(order).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

pub async fn job(server: &Server, job: &Value) -> Value {
    let (status, text) = server.get(&format!("/v1/jobs/{job}")).await;
    assert_eq!(status, 200, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// Begins the job and kills the server somewhere in it. Whether the job had ended.
async fn killed(server: Server, random: &mut Random, task: &str, order: &Value) -> bool {
    let (status, mut report) = begin(&server, task, order).await;
    assert_eq!(status, 202, "{report}");
    let looks = random.below(40);
    for _ in 0..looks {
        report = job(&server, &report["job"]).await;
    }
    let ended = report["state"] == "done";
    assert_ne!(report["state"], "failed", "{report}");
    server.kill();
    ended
}

pub async fn to_its_end(server: &Server, task: &str, order: &Value) -> Value {
    let (status, mut report) = begin(server, task, order).await;
    assert_eq!(status, 202, "{report}");
    while report["state"] == "running" {
        report = job(server, &report["job"]).await;
    }
    assert_eq!(report["state"], "done", "{report}");
    report
}

fn verified(data: &Path) {
    let (code, out, error) = headwater(&["verify", "--data", &data.display().to_string()]);
    assert_eq!(code, 0, "{out}{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_repaired_comes_back_once_whatever_dies() {
    let of = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (count, kills) = (of("HW_EVENTS", 5000) / 5 * 5, of("HW_KILLS", 5));
    let (each, late) = ((count / 5) as i64, 300);
    let mut random = Random::seeded();
    let directory = tempfile::tempdir().unwrap();
    let project =
        project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/orders.json", &schema(100))]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    send(&server, "orders", count, event).await;
    send(&server, "late", late, |n| format!("{{\"n\":{n}}}\n")).await;

    // A rehearsal says what would happen, and nothing has.
    let set = json!({"stream": "orders", "code": "enum", "set": {"/unit": "C"}, "reason": "unit F"});
    let mut dry = set.clone();
    dry["dry_run"] = true.into();
    let report = to_its_end(&server, "fix", &dry).await;
    assert_eq!(
        (&report["before"]["enum"], &report["after"]["passes"]),
        (&json!(each), &json!(each)),
        "{report}"
    );
    assert_eq!(server.number("SELECT count(*) FROM orders").await, 0);
    assert_eq!(
        server.number("SELECT count(*) FROM rejects WHERE status = 'open'").await,
        count as i64 + late as i64
    );
    assert_eq!(server.terminate().code(), Some(0));

    // The schema grows, and the undeclared stream is declared: its events return by themselves.
    std::fs::write(project.join("schemas/orders.json"), schema(1000)).unwrap();
    let declared = r#"{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}"#;
    std::fs::write(project.join("schemas/late.json"), declared).unwrap();
    let mut server = Server::start(&project, &data);
    while server.number("SELECT count(*) FROM late").await < late as i64 {}

    let merge = json!({"stream": "orders", "code": "required", "merge": {"who": "nobody"}});
    let expr = json!({"stream": "orders", "code": "json_syntax", "expr": "replace(event, 'NaN', 'null')"});
    let grown = json!({"stream": "orders", "code": "maximum"});
    // It is no text any more, but still too much: the reject stays, and says so.
    let vain = json!({"stream": "orders", "code": "type", "set": {"/amount": 5000}});
    let orders = [("fix", &set), ("fix", &merge), ("fix", &expr), ("replay", &grown)];
    for kill in 0..kills {
        let (task, order) = orders[kill as usize % orders.len()];
        killed(server, &mut random, task, order).await;
        server = Server::start(&project, &data);
        verified(&data);
    }
    for (task, order) in orders {
        let report = to_its_end(&server, task, order).await;
        assert_eq!(report["passed"], report["selected"], "{report}");
    }
    let report = to_its_end(&server, "fix", &vain).await;
    assert_eq!((&report["failed"], &report["after"]["maximum"]), (&json!(each), &json!(each)), "{report}");

    let rows = server
        .sql(
            "SELECT count(*), count(DISTINCT _origin), count(DISTINCT id), min(_origin) LIKE 'rejects/orders/%', \
             count(*) FILTER (WHERE _time < _received_at) FROM orders",
        )
        .await;
    let back = 4 * each;
    assert_eq!(rows[0], [json!(back), json!(back), json!(back), json!(true), json!(back)]);
    let statuses =
        "SELECT status, code, count(*) FROM rejects WHERE stream = 'orders' GROUP BY 1, 2 ORDER BY 1, 2";
    let of = |status: &str, code: &str| vec![json!(status), json!(code), json!(each)];
    assert_eq!(
        server.sql(statuses).await,
        [
            of("fixed", "enum"),
            of("fixed", "json_syntax"),
            of("fixed", "required"),
            of("open", "maximum"),
            of("replayed", "maximum")
        ]
    );
    assert_eq!(server.number("SELECT count(*) FROM rejects").await, count as i64 + late as i64);
    let ledger = "SELECT sum(received), sum(stored), sum(rejected), sum(duplicates), sum(replayed) FROM ledger WHERE stream = 'orders'";
    assert_eq!(server.sql(ledger).await[0], [json!(count), json!(0), json!(count), json!(0), json!(back)]);
    let events = "SELECT events, rejected FROM streams ORDER BY stream";
    assert_eq!(server.sql(events).await, [[json!(late), json!(late)], [json!(back), json!(count)]]);

    // Nothing is left that would come back a second time.
    for (task, order) in orders.iter().filter(|(_, order)| order["code"] != "maximum") {
        assert_eq!(to_its_end(&server, task, order).await["selected"], 0);
    }
    let url = ["--url", server.http.as_str()];
    let (code, out, _) = headwater(
        &[&["rejects", "discard", "orders", "--code", "maximum", "--reason", "too much"], &url[..]].concat(),
    );
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("discarded"), "{out}");
    let open = "SELECT count(*) FROM rejects WHERE status = 'open'";
    assert_eq!(server.number(open).await, 0);
    let why = "SELECT DISTINCT reason FROM resolutions WHERE status = 'discarded'";
    assert_eq!(server.sql(why).await, [[json!("too much")]]);
    verified(&data);
    assert_eq!(server.terminate().code(), Some(0));
    verified(&data);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_makes_no_sense_is_refused_and_quotes_no_event() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/orders.json", &schema(100))]);
    let server = Server::start(&project, &directory.path().join("data"));
    send(&server, "orders", 5, event).await;
    for (task, order, status, code) in [
        ("fix", json!({"stream": "orders"}), 400, "bad_correction"),
        ("fix", json!({"stream": "orders", "set": {"unit": 1}}), 400, "bad_correction"),
        ("fix", json!({"stream": "orders", "patch": [{"op": "no"}]}), 400, "bad_correction"),
        ("replay", json!({"stream": "orders", "set": {"/unit": 1}}), 400, "bad_correction"),
        ("replay", json!({"stream": "orders", "where": "1=1) OR (1=1"}), 400, "sql_text"),
        ("replay", json!({"stream": "orders", "where": "1=1; SELECT 1"}), 400, "sql_text"),
        ("replay", json!({"stream": "orders", "code": "none"}), 400, "bad_body"),
        ("replay", json!({"stream": "orders", "from": "yesterday"}), 400, "bad_body"),
        ("discard", json!({"stream": "orders"}), 400, "bad_body"),
        ("replay", json!({"stream": "nowhere"}), 404, "no_stream"),
        ("explain", json!({"stream": "orders"}), 404, "not_found"),
    ] {
        let (got, problem) = begin(&server, task, &order).await;
        assert_eq!((got, problem["code"].as_str()), (status, Some(code)), "{order}: {problem}");
    }
    // A condition that is none fails its job, which says why.
    let (_, mut report) =
        begin(&server, "replay", &json!({"stream": "orders", "where": "nothing = 1"})).await;
    while report["state"] == "running" {
        report = job(&server, &report["job"]).await;
    }
    assert_eq!(report["state"], "failed");
    assert!(report["error"].as_str().unwrap().contains("sql_plan"), "{report}");
    assert!(!server.stderr().contains("canary"));

    let url = ["--url", server.http.as_str()];
    let run = |arguments: &[&str]| headwater(&[arguments, &url[..]].concat());
    let (code, out, _) =
        run(&["rejects", "fix", "orders", "--set", "/unit=\"C\"", "--where", "code = 'enum'", "--dry-run"]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("1 of 1 would come back"), "{out}");
    let (code, out, _) = run(&["rejects", "replay", "orders"]);
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("0 of 5 came back") && out.contains("5 are refused again"), "{out}");
    assert_eq!(run(&["rejects", "fix", "orders"]).0, 2);
    assert_eq!(run(&["rejects", "fix", "orders", "--set", "unit"]).0, 2);
}
