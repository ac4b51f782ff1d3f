//! The client commands against a stand-in for a server: what they ask, what they print, how they end.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Stdio,
    thread,
};

use serde_json::{Value, json};

use crate::fake::{Answer, Done, Fake, finish, headwater};

fn receipt(accepted: u64, rejected: u64, duplicates: u64) -> String {
    json!({
        "accepted": accepted, "rejected": rejected, "duplicates": duplicates,
        "offsets": [], "errors": [], "errors_left_out": 0, "seq": 1
    })
    .to_string()
}

fn problem(status: u16) -> Answer {
    Answer::json(
        status,
        json!({"status": status, "title": "no", "detail": "not now", "code": "busy", "hint": "wait"}),
    )
}

#[test]
fn send_numbers_its_lines_and_names_its_errors() {
    let errors = json!([{"index": 1, "code": "required", "path": "/id", "message": "the field is missing"}]);
    let answer =
        json!({"accepted": 1, "rejected": 1, "duplicates": 0, "errors": errors, "errors_left_out": 0});
    let server = Fake::with_answers(vec![Answer::json(200, answer)]);
    let done = server.run(&["send", "sensor.reading", "-", "--ack", "os"], b"{\"id\":1}\n\n{}\n");
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert_eq!(done.stdout, "accepted 1, rejected 1, duplicates 0\n");
    assert_eq!(done.stderr, "rejected  line 3: required at /id: the field is missing\n");
    let asked = &server.asked()[0];
    assert_eq!(asked.uri.to_string(), "/v1/streams/sensor.reading/events?ack=os");
    assert_eq!(asked.header("content-type"), "application/x-ndjson");
    assert_eq!(asked.text(), "{\"id\":1}\n{}\n");
    assert!(!asked.header("idempotency-key").is_empty());
}

#[test]
fn send_tries_again_with_the_same_key_when_the_server_is_busy() {
    let busy = || Answer(429, vec![("retry-after", "0".to_owned())], "{}".to_owned());
    let server =
        Fake::with_answers(vec![busy(), problem(503), problem(408), Answer::json(200, receipt(1, 0, 0))]);
    let done = server.run(&["send", "s", "-", "--json"], b"{}");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let asked = server.asked();
    assert_eq!(asked.len(), 4);
    assert!(asked.iter().all(|one| one.header("idempotency-key") == asked[0].header("idempotency-key")));
    assert!(asked.iter().all(|one| one.body == asked[0].body));
    let printed: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&printed["accepted"], &printed["requests"]), (&json!(1), &json!(1)));
}

#[test]
fn send_gives_up_in_bounded_time_and_says_how_to_go_on() {
    let server = Fake::new(|_| problem(503));
    let done = server.run(&["send", "s", "-", "--retry-for", "300ms", "--run-id", "monday"], b"{}");
    assert_eq!(done.code, 4);
    assert!(done.stderr.contains("refused (503): not now [busy]"), "{}", done.stderr);
    assert!(done.stderr.contains("--run-id monday"), "{}", done.stderr);
}

#[test]
fn what_is_refused_for_good_is_not_tried_again() {
    for status in [400, 413, 415, 507] {
        let server = Fake::with_answers(vec![problem(status)]);
        let done = server.run(&["send", "s", "-"], b"{}");
        assert_eq!(done.code, 4, "{status}: {}", done.stderr);
        assert!(done.stderr.contains("hint: wait"), "{}", done.stderr);
    }
    // All rejected, and a stream without a schema, come with a receipt.
    for status in [422, 404] {
        let server = Fake::with_answers(vec![Answer::json(status, receipt(0, 1, 0))]);
        assert_eq!(server.run(&["send", "s", "-"], b"{}").code, 1);
    }
}

#[test]
fn a_large_input_travels_in_bounded_batches_with_a_key_each() {
    let server = Fake::new(|asked| {
        let lines = asked.body.iter().filter(|byte| **byte == b'\n').count() as u64;
        Answer::json(200, receipt(lines, 0, 0))
    });
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("many.ndjson");
    std::fs::write(&path, "{\"some\":\"event\"}\n".repeat(25_000)).unwrap();
    let run = || server.run(&["send", "s", path.to_str().unwrap(), "--run-id", "r"], b"");
    assert_eq!(run().stdout, "accepted 25,000, rejected 0, duplicates 0\n");
    run();
    let keys: Vec<String> =
        server.asked().iter().map(|asked| asked.header("idempotency-key").to_owned()).collect();
    assert_eq!(keys.len(), 6);
    // Three keys, and the second run under the same name uses the same three.
    assert_eq!(keys[..3], keys[3..]);
    assert_ne!(keys[0], keys[1]);
}

#[test]
fn a_json_file_is_passed_on_as_it_is() {
    let server = Fake::with_answers(vec![Answer::json(200, receipt(2, 0, 0))]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("events.json");
    let text = "[ {\"a\": 1},\n {\"a\": 2} ]";
    std::fs::write(&path, text).unwrap();
    let done = server.run(&["send", "s", path.to_str().unwrap()], b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(server.asked()[0].header("content-type"), "application/json");
    assert_eq!(server.asked()[0].text(), text);
}

#[test]
fn sql_prints_a_table_and_passes_other_formats_on() {
    let table = json!({
        "columns": [{"name": "id", "type": "string"}, {"name": "n", "type": "int64"}],
        "rows": [["a\u{1b}[2J", 7], [null, 1234]], "row_count": 2
    });
    let server = Fake::with_answers(vec![Answer::json(200, table)]);
    let done = server.run(&["sql", "-"], b"SELECT 1");
    assert_eq!((done.code, done.stderr.as_str()), (0, "2 rows\n"));
    assert!(
        done.stdout.contains("│            ┆ 1234 │") && !done.stdout.contains('\u{1b}'),
        "{}",
        done.stdout
    );
    assert_eq!(serde_json::from_slice::<Value>(&server.asked()[0].body).unwrap(), json!({"sql": "SELECT 1"}));
    for (format, accept) in [
        ("json", "application/json"),
        ("ndjson", "application/x-ndjson"),
        ("csv", "text/csv"),
        ("arrow", "application/vnd.apache.arrow.stream"),
    ] {
        let server = Fake::with_answers(vec![Answer::json(200, "some\u{0}bytes\n")]);
        let done = server.run(&["sql", "SELECT 1", "--format", format], b"");
        assert_eq!(done.bytes, b"some\0bytes\n", "{format}");
        assert_eq!(server.asked()[0].header("accept"), accept);
    }
}

#[test]
fn a_refused_query_exits_with_4_and_says_why() {
    let server = Fake::with_answers(vec![problem(400)]);
    let done = server.run(&["sql", "SELEC"], b"");
    assert_eq!(done.code, 4);
    assert_eq!(done.stderr, "error: refused (400): not now [busy]\n  hint: wait\n");
    assert_eq!(done.stdout, "");
}

#[test]
fn no_server_exits_with_3_and_says_what_to_do() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let done = finish(headwater(&["ls", "--url", &format!("http://{free}")]), b"");
    assert_eq!(done.code, 3);
    assert!(
        done.stderr.contains("no server answers at") && done.stderr.contains("headwater up"),
        "{}",
        done.stderr
    );
    let directory = tempfile::tempdir().unwrap();
    let done = finish(headwater(&["ls", "--data", directory.path().to_str().unwrap()]), b"");
    assert_eq!(done.code, 3);
    assert!(done.stderr.contains("has no endpoints.json"), "{}", done.stderr);
}

#[test]
fn the_server_is_found_in_the_order_that_is_promised() {
    let answer = || Answer::json(200, json!({"columns": [], "rows": [], "row_count": 0}));
    let [by_flag, by_environment, by_data, by_directory] = [(); 4].map(|()| Fake::new(move |_| answer()));
    let directory = tempfile::tempdir().unwrap();
    let write = |data: &str, server: &Fake| {
        let data = directory.path().join(data);
        std::fs::create_dir_all(&data).unwrap();
        let endpoints = json!({"version": "0.1.0", "pid": 1, "http": [server.url()], "tcp": {}});
        std::fs::write(data.join("endpoints.json"), endpoints.to_string()).unwrap();
    };
    write("d", &by_data);
    write(".headwater", &by_directory);
    let run = |arguments: &[&str], environment: Option<&str>| {
        let mut command = headwater(&[&["ls"], arguments].concat());
        command.current_dir(directory.path());
        if let Some(url) = environment {
            command.env("HEADWATER_URL", url);
        }
        let done = finish(command, b"");
        assert_eq!(done.code, 0, "{}", done.stderr);
    };
    let counts = || [&by_flag, &by_environment, &by_data, &by_directory].map(|server| server.asked().len());
    run(&["--url", &by_flag.url(), "--data", "d"], Some(&by_environment.url()));
    assert_eq!(counts(), [1, 0, 0, 0]);
    run(&["--data", "d"], Some(&by_environment.url()));
    assert_eq!(counts(), [1, 1, 0, 0]);
    run(&["--data", "d"], None);
    assert_eq!(counts(), [1, 1, 1, 0]);
    run(&[], None);
    assert_eq!(counts(), [1, 1, 1, 1]);
}

#[test]
fn a_name_from_the_user_cannot_leave_its_literal() {
    let server = Fake::new(|_| Answer::json(200, json!({"columns": [], "rows": [], "row_count": 0})));
    server.run(&["ledger", "--stream", "x' OR ''='"], b"");
    let asked: Value = serde_json::from_slice(&server.asked()[0].body).unwrap();
    assert!(asked["sql"].as_str().unwrap().contains("WHERE stream = 'x'' OR ''''='''"), "{asked}");
}

fn reject(payload: Value) -> Answer {
    let names = ["stream", "partition", "offset", "byte_offset", "code", "payload"];
    let columns: Vec<Value> = names.iter().map(|name| json!({"name": name, "type": "string"})).collect();
    let row = json!(["s", 0, 17, 5, "json_syntax", payload]);
    Answer::json(200, json!({"columns": columns, "rows": [row], "row_count": 1}))
}

#[test]
fn rejects_show_gives_the_exact_bytes_back() {
    let show = |answer: Answer, flags: &[&str]| -> Done {
        let server = Fake::with_answers(vec![answer]);
        server.run(&[&["rejects", "show", "s", "0", "17"], flags].concat(), b"")
    };
    let done = show(reject(json!("eyJ2Ijp4ff8AfQ==")), &["--raw"]);
    assert_eq!(done.bytes, b"{\"v\":x}\xff\x00}");
    let done = show(reject(json!("eyJ2Ijp4fQ==")), &[]);
    assert!(done.stdout.contains("{\"v\":x}\n       ^ here\n"), "{}", done.stdout);
    let done = show(reject(Value::Null), &["--raw"]);
    assert_eq!(done.code, 1);
    let none = Answer::json(200, json!({"columns": [], "rows": [], "row_count": 0}));
    let done = show(none, &[]);
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("rejects list --stream s"), "{}", done.stderr);
}

#[test]
fn tail_reads_every_partition_to_its_end_once() {
    let server = Fake::new(|asked| {
        if asked.uri.path() == "/v1/sql" {
            let columns = json!([{"name": "partitions", "type": "int32"}]);
            return Answer::json(200, json!({"columns": columns, "rows": [[2]], "row_count": 1}));
        }
        let query = asked.uri.query().unwrap();
        let partition = if query.contains("partition=0") { 0 } else { 1 };
        let (from, next) = match query.split("from=").nth(1).unwrap().split('&').next().unwrap() {
            "earliest" => (0, 2),
            "2" => (2, 3),
            _ => (3, 3),
        };
        let lines: String = (from..next)
            .map(|offset| {
                json!({"partition": partition, "offset": offset, "event": {"n": 1}}).to_string() + "\n"
            })
            .collect();
        Answer(200, vec![("next", next.to_string())], lines)
    });
    let done = server.run(&["tail", "s", "--no-follow"], b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    let seen: Vec<(i64, i64)> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|event| (event["partition"].as_i64().unwrap(), event["offset"].as_i64().unwrap()))
        .collect();
    assert_eq!(seen, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    let done = server.run(&["tail", "s", "--limit", "4"], b"");
    assert_eq!(done.stdout.lines().count(), 4);
    let done = server.run(&["tail", "s", "--from", "7"], b"");
    assert_eq!(done.code, 2);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_fault() {
    let long = "some,row\n".repeat(200_000);
    let server = Fake::with_answers(vec![Answer::json(200, long)]);
    let mut command = headwater(&["sql", "SELECT 1", "--format", "csv", "--url", &server.url()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 9];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A listener that takes one connection, acknowledges as it is told to, and returns all that came.
fn listener(acknowledge: &'static [u8]) -> (String, thread::JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        socket.write_all(acknowledge).unwrap();
        bytes
    });
    (address, thread)
}

#[test]
fn play_makes_sensors_of_columns_and_waits_for_the_listener_to_close() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("crs-11.ndjson");
    let lines =
        "{\"time\": 0.0, \"velocity\": 1.5}\n{\"time\": 1604.603, \"velocity\": 2}\n{\"time\": -0.966}\n";
    std::fs::write(&path, lines).unwrap();
    for packet in [&[][..], &["--packet", "7"][..]] {
        let (address, received) = listener(b"ok 1\nok 2\n");
        let play = ["play", path.to_str().unwrap(), "--tcp", &address, "--sensors", "velocity:m/s"];
        let pace = ["--speed", "max", "--start", "2017-06-03T21:07:38Z", "--json"];
        let done = finish(headwater(&[&play[..], &pace[..], packet].concat()), b"");
        assert_eq!(
            String::from_utf8(received.join().unwrap()).unwrap(),
            "id=crs-11.velocity&tp=velocity&un=m%2Fs&vl=1.5&ts=1496524058000\
             id=crs-11.velocity&tp=velocity&un=m%2Fs&vl=2&ts=1496525662603"
        );
        // A line without the column is skipped, and said.
        assert_eq!(done.code, 1);
        assert_eq!(done.stderr, "skipped 1: line 3: no column \"velocity\"\n");
        let report: Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((&report["sent"], &report["acknowledged"]), (&json!(2), &json!(2)));
    }
}

#[test]
fn play_sends_bytes_as_they_are_and_lines_as_events() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bad.kv");
    std::fs::write(&path, b"id=1&\xff\n\0=x").unwrap();
    let (address, received) = listener(b"");
    let done = finish(headwater(&["play", path.to_str().unwrap(), "--tcp", &address, "--raw"]), b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(received.join().unwrap(), b"id=1&\xff\n\0=x");

    std::fs::write(&path, "{\"time\":0,\"a\":1}\n{\"time\":0.001,\"a\":2}\n").unwrap();
    let server = Fake::new(|_| Answer::json(200, receipt(1, 0, 0)));
    let done = server.run(&["play", path.to_str().unwrap(), "--stream", "s", "--speed", "max"], b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(server.asked()[0].text(), "{\"time\":0,\"a\":1}\n{\"time\":0.001,\"a\":2}\n");
}

#[test]
fn play_finds_a_listener_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let (address, received) = listener(b"");
    let endpoints = json!({"version": "0.1.0", "pid": 1, "http": [], "tcp": {"telemetry": address}});
    std::fs::write(directory.path().join("endpoints.json"), endpoints.to_string()).unwrap();
    let file = directory.path().join("x");
    std::fs::write(&file, "x").unwrap();
    let run = |name: &str| {
        let data = directory.path().to_str().unwrap();
        finish(headwater(&["play", file.to_str().unwrap(), "--raw", "--tcp", name, "--data", data]), b"")
    };
    let done = run("telemetri");
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("it has telemetry"), "{}", done.stderr);
    assert_eq!(run("telemetry").code, 0);
    assert_eq!(received.join().unwrap(), b"x");
}

#[test]
fn usage_is_exit_code_2() {
    for arguments in [
        &["send", "Not A Stream", "-"][..],
        &["play", "x"],
        &["sql", " ", "--url", "http://127.0.0.1:1"],
        &["ls", "--url", "ftp://x"],
        &["send", "s", "no-such-file", "--url", "http://127.0.0.1:1"],
        &["test", "x"],
    ] {
        assert_eq!(finish(headwater(arguments), b"").code, 2, "{arguments:?}");
    }
}
