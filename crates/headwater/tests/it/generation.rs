//! A changed annotation: rows that are there are rewritten while events go on, one commit swaps, nothing of the old values is
//! left. `HW_EVENTS` for more rows, `HW_ROUNDS` for more kills.

use std::{path::Path, time::Instant};

use serde_json::{Value, json};

use crate::{
    scanner::search,
    server::{Random, Server, headwater, project},
};

const CONFIG: &str =
    "[lake]\ncommit_every = \"50ms\"\n[journal]\nsegment = \"4MiB\"\n[privacy]\nreveal = true\n";
const STEM: &str = "vergissmeinnicht";

const FIRST: &str = r#"{"type":"object","required":["id"],"x-extra":"keep","properties":{
    "id":{"type":"integer"},
    "email":{"type":"string"},
    "card":{"type":"string"},
    "age":{"type":"integer"},
    "person":{"type":"object","properties":{"name":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}}},
    "by":{"type":"object","additionalProperties":{"type":"string"}}}}"#;
/// email, age, names and tags become digests, the card goes; what stood beside the schema goes too.
const SECOND: &str = r#"{"type":"object","required":["id"],"properties":{
    "id":{"type":"integer"},
    "email":{"type":"string","x-privacy":"hash"},
    "card":{"type":"string","x-privacy":"drop"},
    "age":{"type":"integer","x-privacy":"hash"},
    "person":{"type":"object","properties":{"name":{"type":"string","x-privacy":"tokenize"},"tags":{"type":"array","items":{"type":"string","x-privacy":"hash"}}}},
    "by":{"type":"object","additionalProperties":{"type":"string","x-privacy":"hash"}}}}"#;

fn events() -> usize {
    std::env::var("HW_EVENTS").ok().and_then(|text| text.parse().ok()).unwrap_or(3000)
}

fn event(id: usize) -> Value {
    json!({
        "id": id, "email": format!("{STEM}-{}@x", id % 50), "card": format!("{STEM}-{id}"), "age": 8_000_000 + id % 90,
        "person": {"name": format!("{STEM}-{}", id % 70), "tags": [format!("{STEM}-tag"), "b"]},
        "by": {"a": format!("{STEM}-by")}, "note": format!("{STEM}-note"),
    })
}

async fn send(server: &Server, ids: std::ops::Range<usize>) {
    for first in ids.clone().step_by(1000) {
        let body: String =
            (first..(first + 1000).min(ids.end)).map(|id| format!("{}\n", event(id))).collect();
        let (status, receipt) = server.post("person", "application/x-ndjson", body).await;
        assert_eq!(status, 200, "{receipt}");
    }
}

fn write_schema(project: &Path, schema: &str) {
    std::fs::write(project.join("schemas/person.json"), schema).unwrap();
}

async fn generations(server: &Server) -> Vec<Value> {
    let (status, text) = server.get("/v1/status").await;
    assert_eq!(status, 200);
    let status: Value = serde_json::from_str(&text).unwrap();
    status["generations"].as_array().unwrap().clone()
}

async fn until_done(server: &Server) {
    while !generations(server).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_annotation_reaches_every_row_that_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/person.json", FIRST)]);
    let data = directory.path().join("data");
    let count = events();
    let server = Server::start(&project, &data);
    send(&server, 0..count).await;
    assert!(server.terminate().success());

    write_schema(&project, SECOND);
    let (shown, of) = (project.display().to_string(), data.display().to_string());
    let (code, out, err) = headwater(&["plan", &shown, "--data", &of, "--json"]);
    let plan: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    assert_eq!(
        (code, &plan[0]["verdict"], &plan[0]["rows"]),
        (0, &json!("rewrite"), &json!(count)),
        "{plan}"
    );
    assert_eq!(plan[0]["changes"].as_array().unwrap().len(), 7, "{plan}");

    let began = Instant::now();
    let server = Server::start(&project, &data);
    // Events go on, and are of the new generation at once.
    send(&server, count..count + 500).await;
    until_done(&server).await;
    println!("{count} rows in {:.2} s", began.elapsed().as_secs_f64());
    assert_eq!(server.number("SELECT count(*) FROM person").await, count as i64 + 500);
    // Old and new rows have one digest for one value, at any depth.
    for column in ["email", "age", "\"by\"['a']"] {
        let statement = format!(
            "SELECT count(DISTINCT {column}), min(length({column})), max(length({column})) FROM person"
        );
        let row = &server.sql(&statement).await[0];
        let distinct = match column {
            "email" => 50,
            "age" => 90,
            "\"by\"['a']" => 1,
            _ => 70,
        };
        assert_eq!(row, &vec![json!(distinct), json!(64), json!(64)], "{column}");
    }
    // Tokens, which the vault reveals: old rows' and new ones' alike.
    let names = server.sql("SELECT DISTINCT person['name'] FROM person").await;
    assert_eq!(names.len(), 70);
    let token = names[0][0].as_str().unwrap();
    let asked =
        ["tokens", "reveal", token, "--domain", "name", "--reason", "a test", "--data", &of, "--json"];
    let (code, revealed, err) = headwater(&asked);
    assert!(code == 0 && revealed.contains(STEM), "{revealed}{err}");
    let tags = server.sql("SELECT DISTINCT person['tags'][1] FROM person").await;
    assert_eq!((tags.len(), tags[0][0].as_str().unwrap().len()), (1, 64));
    assert_eq!(server.sql_answer("SELECT card FROM person").await.0, 400, "the column is gone");
    assert_eq!(server.number("SELECT count(_extra) FROM person").await, 0);
    assert_eq!(server.number("SELECT sum(id) FROM person").await, ((count + 500) * (count + 499) / 2) as i64);
    search(STEM, &data, &data.with_extension("stderr"));
    let (code, out, err) = headwater(&["verify", "--data", &of]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, _) = headwater(&["plan", &shown, "--data", &of]);
    assert!(code == 0 && out.contains("unchanged"), "{out}");
    server.kill();
    let server = Server::start(&project, &data);
    assert_eq!(generations(&server).await, Vec::<Value>::new());
    assert_eq!(server.number("SELECT count(DISTINCT email) FROM person").await, 50);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_generation_that_is_killed_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/person.json", FIRST)]);
    let data = directory.path().join("data");
    let count = events();
    let mut random = Random::seeded();
    let server = Server::start(&project, &data);
    send(&server, 0..count).await;
    // Killed, not stopped: the journal has rows that the lake has not.
    server.kill();
    write_schema(&project, SECOND);
    let rounds = std::env::var("HW_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut sent = count;
    for _ in 0..rounds {
        let server = Server::start(&project, &data);
        send(&server, sent..sent + 100).await;
        sent += 100;
        for _ in 0..random.below(6) {
            generations(&server).await;
        }
        server.kill();
    }
    // Once more when the new rows are there and the old bytes still have to go, if that moment is met.
    let server = Server::start(&project, &data);
    loop {
        let left = generations(&server).await;
        if left.is_empty() || left[0]["phase"] == "forgetting" {
            println!("killed with {left:?}");
            break;
        }
    }
    server.kill();
    let server = Server::start(&project, &data);
    until_done(&server).await;
    assert_eq!(server.number("SELECT count(*) FROM person").await, sent as i64);
    assert_eq!(server.number("SELECT count(DISTINCT email) FROM person").await, 50);
    search(STEM, &data, &data.with_extension("stderr"));
    let (code, out, err) = headwater(&["verify", "--data", &data.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_goes_only_if_it_is_said_and_the_rest_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/person.json", FIRST)]);
    let data = directory.path().join("data");
    let server = Server::start(&project, &data);
    send(&server, 0..10).await;
    assert!(server.terminate().success());
    write_schema(&project, &FIRST.replace("\"card\":{\"type\":\"string\"},", ""));
    let (status, said) = Server::try_start(&project, &data, &[]).err().expect("it is refused");
    assert!(
        status.code() == Some(2) && said.contains("/properties/card") && said.contains("--drop-fields"),
        "{said}"
    );
    write_schema(
        &project,
        &FIRST.replace("\"email\":{\"type\":\"string\"}", "\"email\":{\"type\":\"integer\"}"),
    );
    let (status, said) = Server::try_start(&project, &data, &[]).err().expect("it is refused");
    assert!(status.code() == Some(2) && said.contains("type has changed"), "{said}");
    let arguments =
        ["plan", &project.display().to_string(), "--data", &data.display().to_string()].map(str::to_owned);
    let (code, out, _) = headwater(&arguments.each_ref().map(String::as_str));
    assert!(code == 1 && out.contains("refused"), "{out}");
    // The old schema again: nothing has happened.
    write_schema(&project, FIRST);
    let server = Server::start(&project, &data);
    assert_eq!(server.number("SELECT count(card) FROM person").await, 10);
}
