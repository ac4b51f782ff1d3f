//! `headwater check`: every fault of a project at once, with its place.

use std::path::Path;

use crate::fake::{finish, headwater};

fn check(files: &[(&str, &str)]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut command = headwater(&["check", "."]);
    command.current_dir(directory.path());
    let done = finish(command, b"");
    (done.code, format!("{}{}", done.stderr, done.stdout))
}

const GOOD: &str = r#"{"type": "object", "properties": {"id": {"type": "string"}}}"#;

#[test]
fn an_empty_directory_is_a_project() {
    let (code, said) = check(&[]);
    assert_eq!((code, said.as_str()), (0, ".: 0 streams, 0 TCP listeners; no faults\n"));
}

#[test]
fn every_fault_of_every_file_is_told_at_once() {
    let (code, said) = check(&[
        ("headwater.toml", "[tcp.t]\nlisten = \"127.0.0.1:0\"\nstream = \"sensor.readin\"\n[htp]\nx = 1\n"),
        ("schemas/sensor.reading.json", GOOD),
        ("schemas/sensor_reading.json", GOOD),
        ("schemas/ledger.json", GOOD),
        ("schemas/Bad Name.json", GOOD),
        (
            "schemas/broken.json",
            "{\n  \"type\": \"object\",\n  \"properties\": {\"a\": {\"type\": \"strin\"}}\n}",
        ),
        ("schemas/notes.txt", "hello"),
        ("views/engine.sql", "SELECT 1"),
        ("rules/.keep", ""),
    ]);
    assert_eq!(code, 2);
    for expected in [
        "unknown key `htp`",
        "did you mean `http`?",
        "[tcp.t] names the stream \"sensor.readin\", which has no schema",
        "did you mean \"sensor.reading\"?",
        "./headwater.toml:3:10",
        "streams \"sensor.reading\" and \"sensor_reading\" would both have the table name `sensor_reading`",
        "stream \"ledger\" would have the table name `ledger`, which is Headwater's own",
        "\"Bad Name\" is not a stream name",
        "./schemas/broken.json:3:",
        "warning: not read: it is no *.json, *.capnp, *.avsc or *.proto file",
        "warning: views are not built yet",
        "6 errors, 2 warnings",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!said.contains("rules"), "{said}");
}

#[test]
fn faults_can_be_read_by_programs() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("headwater.toml"), "ack = 1\n").unwrap();
    let done = finish(headwater(&["check", directory.path().to_str().unwrap(), "--json"]), b"");
    assert_eq!(done.code, 2);
    let faults: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&faults[0]["line"], &faults[0]["column"]), (&1.into(), &7.into()), "{faults}");
    assert_eq!(faults[0]["severity"], "error");
}

#[test]
fn a_bind_that_others_could_reach_is_refused() {
    for command in ["check", "up"] {
        let done = finish(headwater(&[command, ".", "--set", "http.listen=0.0.0.0:0"]), b"");
        assert_eq!(done.code, 2);
        assert!(done.stderr.contains("0.0.0.0:0 is not a loopback address"), "{}", done.stderr);
        assert!(done.stderr.contains("there is no authentication yet"), "{}", done.stderr);
    }
}

#[test]
fn what_is_no_directory_is_named() {
    let done = finish(headwater(&["check", "no-such-project"]), b"");
    assert_eq!(done.code, 2);
    assert!(done.stderr.contains("no-such-project"), "{}", done.stderr);
}

#[test]
fn the_example_is_without_fault() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/launch");
    let done = finish(headwater(&["check", example.to_str().unwrap()]), b"");
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert!(done.stdout.ends_with("1 stream, 1 TCP listener; no faults\n"), "{}", done.stdout);
}

#[test]
fn schemas_in_other_notations_are_checked_with_their_imports() {
    let good = "using P = import \"parts/p.capnp\"; struct A { a @0 :P.B; } annotation x @0x9 (field) :Void;";
    let parts = "struct B {\n  b @0 :Txt;\n}";
    let (code, said) = check(&[
        ("schemas/a.capnp", good),
        ("schemas/parts/p.capnp", parts),
        ("schemas/b.capnp", "struct B { a @0 :Text $Go.tag; }"),
        ("schemas/b.json", GOOD),
        (
            "schemas/c.json",
            r#"{"type":"object","properties":{},"x-notation":{"kind":"capnp","root":"A","main":"a","files":{"a":""}}}"#,
        ),
        (
            "schemas/e.avsc",
            "{\"type\":\"record\",\"name\":\"E\",\"fields\":[\n{\"name\":\"a\",\"type\":\"txt\"}]}",
        ),
        ("schemas/f.proto", "syntax = \"proto3\";\nimport \"parts/g.proto\";\nmessage F { parts.G g = 1; }"),
        ("schemas/parts/g.proto", "syntax = \"proto3\";\npackage parts;\nmessage G {\n  strin a = 1;\n}"),
        ("schemas/h.proto", "syntax = \"proto3\";\nimport \"../../../e.proto\";\nmessage H {}"),
        ("schemas/d.capnp", "using P = import \"../../../e.capnp\"; struct D { d @0 :Bool; }"),
    ]);
    assert_eq!(code, 2);
    for expected in [
        "./schemas/parts/p.capnp:2:9",
        "nothing is named \"Txt\"",
        "warning: the annotation $Go.tag is ignored",
        "stream \"b\" is declared twice",
        "x-notation is Headwater's own",
        "./schemas/e.avsc:2:20",
        "there is no type \"txt\"",
        "./schemas/parts/g.proto:4:3",
        "'strin' is not defined",
        "./schemas/h.proto:2:8",
        "\"../../../e.capnp\" leads out of the directory of the schemas",
        "7 errors, 1 warning",
    ] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
}
