//! A schema change that was refused once: other names, other values, narrower rules. `headwater plan` counts what does not fit, the
//! start refuses it unless it is told what to do, old data serves until one commit swaps, and events go on meanwhile.
//! `HW_EVENTS` for more rows.

use std::path::Path;

use serde_json::{Value, json};

use crate::server::{Random, Server, headwater, project};

const CONFIG: &str = "[lake]\ncommit_every = \"50ms\"\n[journal]\nsegment = \"4MiB\"\n";
/// A value that does not fit, and is to be quoted nowhere.
const CANARY: &str = "vielzuviele";

const FIRST: &str = r#"{"type":"object","required":["id"],"properties":{
    "id":{"type":"integer"},
    "price":{"type":"number"},
    "mail":{"type":"string"},
    "size":{"type":"string"},
    "state":{"type":"string"},
    "place":{"type":"object","properties":{"lat":{"type":"number"},"room":{"type":"string"}}},
    "first":{"type":"string"},"last":{"type":"string"}}}"#;
/// The price in cents, a mail by another name, a size that is a number, fewer states, a place within bounds, one name of two.
const SECOND: &str = r#"{"type":"object","required":["id","name"],"properties":{
    "id":{"type":"integer"},
    "price":{"type":"integer","x-from":"CAST(round(price * 100) AS BIGINT)"},
    "address":{"type":"string","x-renamed-from":"mail"},
    "size":{"type":"integer","minimum":0,"x-from":"CAST(size AS BIGINT)"},
    "state":{"type":"string","enum":["a","b"]},
    "place":{"type":"object","properties":{"latitude":{"type":"number","maximum":90,"x-renamed-from":"lat"},"room":{"type":"string"}}},
    "name":{"type":"string","x-from":"concat(first, ' ', last)"},
    "first":{"type":"string"},"last":{"type":"string"}}}"#;

fn events() -> usize {
    std::env::var("HW_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000)
}

fn old_event(id: usize) -> Value {
    json!({
        "id": id, "price": id as f64 / 4.0, "mail": format!("m{id}@x"),
        "size": if id.is_multiple_of(10) { CANARY.to_owned() } else { (id % 100).to_string() },
        "state": (["a", "b", "c"][id % 3]), "place": {"lat": id % 100, "room": "r"}, "first": "A", "last": format!("B{}", id % 7),
    })
}

fn new_event(id: usize) -> Value {
    json!({
        "id": id, "price": id * 25, "address": format!("m{id}@x"), "size": 1, "state": "a", "place": {"latitude": 1.5, "room": "r"},
        "name": format!("A B{}", id % 7),
    })
}

async fn send(server: &Server, ids: std::ops::Range<usize>, event: fn(usize) -> Value) {
    for first in ids.clone().step_by(1000) {
        let body: String =
            (first..(first + 1000).min(ids.end)).map(|id| format!("{}\n", event(id))).collect();
        let (status, receipt) = server.post("sale", "application/x-ndjson", body).await;
        assert_eq!(status, 200, "{receipt}");
    }
}

fn write_schema(project: &Path, schema: &str) {
    std::fs::write(project.join("schemas/sale.json"), schema).unwrap();
}

async fn is_done(server: &Server) -> bool {
    let (_, text) = server.get("/v1/status").await;
    let status: Value = serde_json::from_str(&text).unwrap();
    status["generations"].as_array().unwrap().is_empty()
}

fn plan(project: &Path, data: &Path) -> (i32, Value) {
    let (project, data) = (project.display().to_string(), data.display().to_string());
    let (code, out, err) = headwater(&["plan", &project, "--data", &data, "--json"]);
    assert!(!out.contains(CANARY) && !err.contains(CANARY), "{out}{err}");
    (code, serde_json::from_str::<Value>(&out).unwrap_or_else(|_| panic!("{out}{err}"))[0].clone())
}

fn misfits(plan: &Value) -> Vec<(String, u64)> {
    let changes = plan["changes"].as_array().unwrap().iter();
    let counted =
        changes.filter_map(|it| Some((it["pointer"].as_str()?.to_owned(), it["misfits"].as_u64()?)));
    let mut counted: Vec<_> = counted.collect();
    counted.sort();
    counted
}

/// Rows of all three kinds: what fits, what becomes null, and what came later.
async fn check_rows(server: &Server, old: usize, all: usize) {
    let null_sizes = (0..old).filter(|id| id.is_multiple_of(10)).count();
    let null_states = (0..old).filter(|id| id % 3 == 2).count();
    let null_places = (0..old).filter(|id| id % 100 > 90).count();
    let row = &server
        .sql(
            "SELECT count(*), sum(id), sum(price), count(address), count(size), count(state), count(place['latitude']), count(DISTINCT name), \
             count(name), count(place['room']) FROM sale",
        )
        .await[0];
    let sum = all * (all - 1) / 2;
    let expected =
        [all, sum, sum * 25, all, all - null_sizes, all - null_states, all - null_places, 7, all, all];
    assert_eq!(row, &expected.map(|number| json!(number)));
    let wrong = "SELECT count(*) FROM sale WHERE price <> id * 25 OR address <> concat('m', id, '@x') OR name <> concat('A B', id % 7) \
                 OR size <> id % 100 AND id < ";
    assert_eq!(server.number(&format!("{wrong}{old}")).await, 0);
    assert_eq!(server.sql_answer("SELECT mail FROM sale").await.0, 400, "the old name is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_names_values_and_rules_reach_every_row_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/sale.json", FIRST)]);
    let data = directory.path().join("data");
    let count = events();
    let server = Server::start(&project, &data);
    send(&server, 0..count, old_event).await;
    write_schema(&project, SECOND);
    // By a running server, whose journal may have rows that the lake has not, and without one: the same.
    let (code, online) = plan(&project, &data);
    server.kill();
    let (_, offline) = plan(&project, &data);
    let numbers = |every: &dyn Fn(usize) -> bool| (0..count).filter(|id| every(*id)).count() as u64;
    let expected = [
        ("/properties/place/properties/latitude".to_owned(), numbers(&|id| id % 100 > 90)),
        ("/properties/size".to_owned(), numbers(&|id| id.is_multiple_of(10))),
        ("/properties/state".to_owned(), numbers(&|id| id % 3 == 2)),
    ];
    for plan in [&online, &offline] {
        assert_eq!((code, &plan["verdict"]), (0, &json!("rewrite with --null-misfits")), "{plan}");
        assert_eq!(misfits(plan), expected, "{plan}");
    }

    // Without the word nothing is changed, and it is said how many values are in the way.
    let (status, said) = Server::try_start(&project, &data, &[]).err().expect("it is refused");
    assert_eq!(status.code(), Some(2), "{said}");
    for (pointer, misfits) in &expected {
        assert!(said.contains(&format!("{pointer}: {misfits} values")), "{said}");
    }
    assert!(said.contains("--null-misfits") && !said.contains(CANARY), "{said}");
    write_schema(&project, FIRST);
    let server = Server::start(&project, &data);
    assert_eq!(server.number("SELECT count(mail) FROM sale").await, count as i64);
    assert!(server.terminate().success());

    write_schema(&project, SECOND);
    let server = Server::try_start_saying(&project, &data, "--null-misfits").ok().expect("it starts");
    // Events of the new generation go on, and old data serves until the swap: under its old names or its new ones, never neither.
    send(&server, count..count + 300, new_event).await;
    loop {
        let (before, rows) = server.sql_answer("SELECT count(*), count(mail) FROM sale").await;
        let (after, swapped) = server.sql_answer("SELECT count(*), count(address) FROM sale").await;
        if before == 200 {
            assert_eq!(rows["rows"][0], json!([count, count]), "{rows}");
        } else {
            assert_eq!((after, &swapped["rows"][0]), (200, &json!([count + 300, count + 300])), "{swapped}");
            break;
        }
    }
    while !is_done(&server).await {
        tokio::task::yield_now().await;
    }
    check_rows(&server, count, count + 300).await;
    let (code, out, err) = headwater(&["verify", "--data", &data.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
    server.kill();
    // What was said once is not said again: neither word nor rewrite is wanted.
    let server = Server::start(&project, &data);
    assert!(is_done(&server).await);
    check_rows(&server, count, count + 300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rename_that_is_killed_goes_on_and_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/sale.json", FIRST)]);
    let data = directory.path().join("data");
    let count = events();
    let mut random = Random::seeded();
    let server = Server::start(&project, &data);
    send(&server, 0..count, old_event).await;
    server.kill();
    write_schema(&project, SECOND);
    let mut sent = count;
    let rounds = std::env::var("HW_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    for round in 0..rounds {
        let word = if round == 0 { "--null-misfits" } else { "" };
        let server = Server::try_start_saying(&project, &data, word).ok().expect("it starts");
        send(&server, sent..sent + 50, new_event).await;
        sent += 50;
        for _ in 0..random.below(8) {
            is_done(&server).await;
        }
        server.kill();
    }
    let server = Server::start(&project, &data);
    while !is_done(&server).await {
        tokio::task::yield_now().await;
    }
    check_rows(&server, count, sent).await;
    assert!(server.terminate().success());
    assert!(!data.join("lake/sale/_headwater/rewritten").exists());
    let server = Server::start(&project, &data);
    check_rows(&server, count, sent).await;
    let (code, out, err) = headwater(&["verify", "--data", &data.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused_with_property_reason_and_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/sale.json", FIRST)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    send(&server, 0..20, old_event).await;
    assert!(server.terminate().success());
    let size = |schema: &str| FIRST.replace(r#""size":{"type":"string"}"#, &format!(r#""size":{schema}"#));
    let required = |schema: &str| size(schema).replace(r#"["id"]"#, r#"["id","size"]"#);
    for (schema, words, expected) in [
        (size(r#"{"type":"integer","x-from":"nothing + 1"}"#), "", ["/properties/size/x-from", "nothing"]),
        (size(r#"{"type":"integer","x-from":"price"}"#), "", ["/properties/size/x-from", "CAST"]),
        (
            size(r#"{"type":"integer","x-from":"(SELECT max(id) FROM sale)"}"#),
            "",
            ["/properties/size/x-from", "no table"],
        ),
        (size(r#"{"type":"integer"}"#), "--null-misfits", ["/properties/size", "x-from"]),
        // Two of twenty cannot be computed, and there must be a value.
        (
            required(r#"{"type":"integer","x-from":"CAST(size AS BIGINT)"}"#),
            "--null-misfits",
            ["/properties/size: 2 values", "wants one in every event"],
        ),
    ] {
        write_schema(&project, &schema);
        let (status, said) = Server::try_start_saying(&project, &data, words).err().expect("it is refused");
        assert_eq!(status.code(), Some(2), "{schema}: {said}");
        assert!(
            expected.iter().all(|part| said.contains(part)) && !said.contains(CANARY),
            "{schema}: {said}"
        );
        let (code, plan) = plan(&project, &data);
        assert_eq!((code, &plan["verdict"]), (1, &json!("refused")), "{plan}");
        std::fs::remove_file(data.with_extension("stderr")).unwrap();
    }
    write_schema(&project, FIRST);
    let server = Server::start(&project, &data);
    assert_eq!(server.number("SELECT count(size) FROM sale").await, 20);
}
