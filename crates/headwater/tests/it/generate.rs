//! `gen` and `test`: what is made is judged as intended, by the real server, by files and by nobody who lies.

use std::io::Write;

use serde_json::{Value, json};

use crate::{
    fake::{Answer, Fake, finish, headwater},
    server::{Server, headwater as run, project},
};

const SCHEMA: &str = r#"{"type": "object", "x-key": ["id"], "x-partitions": 4, "properties": {
    "id": {"type": "string", "pattern": "^[a-z]{2,8}$"}, "kind": {"type": "string", "enum": ["a", "b"]},
    "at": {"type": "string", "format": "date-time"}, "value": {"type": "number", "minimum": 0, "maximum": 10},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 3}
}, "required": ["id"], "additionalProperties": false}"#;

fn reject_mode() -> String {
    SCHEMA.replacen("\"x-key\"", "\"x-mode\": \"reject\", \"x-key\"", 1)
}

#[tokio::test]
async fn the_server_says_of_each_event_what_was_intended() {
    let directory = tempfile::tempdir().unwrap();
    let reject = reject_mode();
    let project = project(
        directory.path(),
        &[("schemas/sensor.reading.json", SCHEMA), ("schemas/strict.json", reject.as_str())],
    );
    let server = Server::start(&project, &directory.path().join("data"));
    for (stream, table) in [("sensor.reading", "sensor_reading"), ("strict", "strict")] {
        let (code, out, err) =
            run(&["gen", stream, "--count", "1500", "--bad", "30", "--json", "--url", &server.http]);
        assert_eq!(code, 0, "{err}{out}");
        let said: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&said["accepted"], &said["rejected"]), (&json!(1050), &json!(450)), "{out}");
        assert_eq!(said["intended"], said["told"], "{out}");
        assert_eq!(server.number(&format!("SELECT count(*) FROM {table}")).await, 1050);
    }
    let (code, out, err) =
        run(&["gen", "strict", "--count", "60", "--rate", "200", "--seed", "2", "--url", &server.http]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("accepted 60, rejected 0: as intended"), "{out}");
    assert!(out.contains("from when they were due: p50 "), "{out}");
    let (code, out, err) = run(&[
        "gen",
        "strict",
        "--count",
        "90",
        "--batch",
        "1",
        "--connections",
        "3",
        "--seed",
        "3",
        "--json",
        "--url",
        &server.http,
    ]);
    assert_eq!(code, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&said["accepted"], &said["latency_from"]), (&json!(90), &json!("sent")), "{out}");
    assert!(said["latency_ms"]["p50"].as_f64() <= said["latency_ms"]["max"].as_f64(), "{out}");
    let (_, out, _) = run(&[
        "rejects",
        "list",
        "--by",
        "code",
        "--stream",
        "strict",
        "--since",
        "1h",
        "--json",
        "--url",
        &server.http,
    ]);
    let histogram: Value = serde_json::from_str(&out).unwrap();
    let names: Vec<&str> = histogram["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| column["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["stream", "code", "path", "rejected", "first_at", "last_at"]);
    let counted: u64 = histogram["rows"].as_array().unwrap().iter().map(|row| row[3].as_u64().unwrap()).sum();
    assert_eq!(counted, 450);
    let (_, out, _) =
        run(&["rejects", "list", "--since", "2100-01-01T00:00:00Z", "--json", "--url", &server.http]);
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["row_count"], 0, "{out}");
    server.terminate();
}

#[test]
fn a_server_that_says_otherwise_is_found_out() {
    let document: Value = serde_json::from_str(SCHEMA).unwrap();
    let server = Fake::new(move |asked| match asked.uri.path().ends_with("/events") {
        true => {
            let lines = asked.body.iter().filter(|byte| **byte == b'\n').count();
            Answer::json(200, json!({"accepted": lines, "rejected": 0, "duplicates": 0, "errors": []}))
        }
        false => Answer::json(200, json!({ "document": document })),
    });
    let done = server.run(&["gen", "s", "--count", "40", "--bad", "50"], b"");
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stdout.contains("20 not as intended"), "{}", done.stdout);
    assert!(done.stderr.contains("was to be json_syntax and was good"), "{}", done.stderr);
    assert_eq!(server.run(&["gen", "s", "--count", "40"], b"").code, 0);
}

#[test]
fn files_are_made_the_same_each_time_and_judged_as_intended() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("s.json"), SCHEMA).unwrap();
    let make = |seed: &str| {
        let arguments = [
            "gen",
            "s",
            "--schema",
            &path("s.json"),
            "--stdout",
            "--count",
            "300",
            "--bad",
            "20",
            "--seed",
            seed,
        ];
        finish(headwater(&arguments), b"").bytes
    };
    let made = make("5");
    assert_eq!(made, make("5"));
    assert_ne!(made, make("6"));
    let file = std::fs::File::create(path("made.ndjson.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packed.write_all(&made).unwrap();
    packed.finish().unwrap();

    let judge = |more: &[&str]| {
        let (schema, data) = (path("s.json"), path("made.ndjson.gz"));
        let arguments = [&["test", schema.as_str(), data.as_str()], more].concat();
        finish(headwater(&arguments), b"")
    };
    let done = judge(&["--expect-bad", "60"]);
    assert_eq!(done.code, 0, "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.ends_with("240 good, 60 bad, as expected\n"), "{}", done.stdout);
    let done = judge(&["--json", "--show", "3"]);
    assert_eq!(done.code, 1);
    let said: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&said["good"], &said["bad"], &said["as_expected"]), (&json!(240), &json!(60), &json!(false)));
    assert_eq!(said["faults"].as_array().unwrap().len(), 3);
}

#[test]
fn a_protected_value_is_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let schema = directory.path().join("s.json");
    let text = r#"{"type": "object", "properties": {"mail": {"type": "string", "format": "email", "x-privacy": "hash"},
        "n": {"type": "integer"}}}"#;
    std::fs::write(&schema, text).unwrap();
    let events = b"{\"mail\": \"canary-7\"}\n{\"mail\": \"canary-7@example.com\", \"n\": true}\n{\"mail\": \"canary-7\n";
    for format in ["table", "json"] {
        let done = finish(headwater(&["test", schema.to_str().unwrap(), "-", "--format", format]), events);
        assert_eq!(done.code, 1);
        assert!(!done.stdout.contains("canary-7") && !done.stderr.contains("canary-7"), "{}", done.stdout);
    }
}

#[test]
fn a_hundred_wrong_files_are_all_told_at_once() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("schemas")).unwrap();
    for number in 0..100 {
        let path = directory.path().join(format!("schemas/s{number}.json"));
        std::fs::write(
            path,
            "{\n\t\"type\": \"object\",\n\t\"properties\": {\"中\": {\"type\": \"strin\"}}\n}",
        )
        .unwrap();
    }
    let done = finish(headwater(&["check", directory.path().to_str().unwrap()]), b"");
    assert_eq!(done.code, 2);
    assert_eq!(done.stderr.matches("there is no type \"strin\"").count(), 100);
    assert!(done.stderr.ends_with("100 errors\n"), "{}", done.stderr);
    // Under the quote of "strin": a tab is four columns wide, 中 is two.
    let lines: Vec<&str> = done.stderr.lines().collect();
    let at = lines.iter().position(|line| line.contains("{\"type\": \"strin\"}")).unwrap();
    let columns = |text: &str| text.chars().map(|c| if c == '中' { 2 } else { 1 }).sum::<usize>();
    let quote = lines[at].find("\"strin\"").unwrap();
    assert_eq!(columns(&lines[at][..quote]), lines[at + 1].find('^').unwrap(), "{}", done.stderr);
    let done = finish(headwater(&["check", directory.path().to_str().unwrap(), "--json"]), b"");
    let faults: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(faults.as_array().unwrap().len(), 100);
    assert_eq!(faults[0]["pointer"], "/properties/中/type", "{faults}");
}
