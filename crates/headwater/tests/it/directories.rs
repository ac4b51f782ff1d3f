//! Files that are put into a directory: each line counts once, whatever the files are and whenever the server dies.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::server::{Random, Server, headwater, project};

const SCHEMA: &str = r#"{
  "type": "object",
  "properties": {"id": {"type": "integer"}, "who": {"type": "string"}, "email": {"type": "string", "x-privacy": "hash"}},
  "required": ["id", "who"],
  "x-key": ["who"],
  "x-partitions": 4
}"#;
const CONFIG: &str =
    "[directory.drop]\npath = \"in\"\nstream = \"reading\"\n[lake]\ncommit_every = \"50ms\"\n";
const WAIT_MAX: Duration = Duration::from_secs(120);
const RECEIVED: &str = "SELECT coalesce(sum(received), 0) FROM ledger";

fn place(config: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let files = [("headwater.toml", config), ("schemas/reading.json", SCHEMA), ("in/.keep", "")];
    let project = project(directory.path(), &files);
    let data = directory.path().join("data");
    (directory, project, data)
}

/// A file that appears whole.
fn put(directory: &Path, name: &str, text: &str) {
    fs::write(directory.join("next.part"), text).unwrap();
    fs::rename(directory.join("next.part"), directory.join(name)).unwrap();
}

fn line(id: u64) -> String {
    format!("{{\"id\":{id},\"who\":\"w{}\",\"email\":\"p{id}@example.org\"}}\n", id % 7)
}

/// Asks until the number is reached; what is more would be a line that counts twice.
async fn reach(server: &Server, statement: &str, expected: i64) {
    let began = Instant::now();
    loop {
        let found = server.number(statement).await;
        if found == expected {
            return;
        }
        assert!(found < expected, "{statement}: {found}, not {expected}");
        assert!(began.elapsed() < WAIT_MAX, "{statement}: {found}, not {expected}\n{}", server.stderr());
    }
}

async fn metric(server: &Server, name: &str) -> Option<u64> {
    let (_, text) = server.get("/metrics").await;
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_every_kind_are_counted_once() {
    let (_directory, project, data) = place(CONFIG);
    let into = project.join("in");
    let server = Server::start(&project, &data);
    put(&into, "lines.ndjson", &(line(0) + "{\"id\":\"x\",\"who\":\"a\"}\n\n" + line(2).trim()));
    put(&into, "copy.ndjson", &fs::read_to_string(into.join("lines.ndjson")).unwrap());
    put(&into, "array.json", &format!("[{},{}]", line(3), line(4)));
    put(&into, "broken.json", &format!("[{},{{\"id\":6]}},{}]", line(5), line(7)));
    put(&into, "long.ndjson", &(format!("\"{}\"\n", "x".repeat(3 << 20)) + &line(8)));
    put(&into, "empty.ndjson", "");
    put(&into, ".hidden.ndjson", &line(90));
    put(&into, "half.ndjson.part", &line(91));
    fs::create_dir(into.join("x.json")).unwrap();
    symlink(project.join("schemas/reading.json"), into.join("link.json")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(into.join("x.ndjson")).status().unwrap().success());
    reach(&server, RECEIVED, 9).await;
    let ledger =
        "SELECT door, sum(received), sum(stored), sum(rejected), sum(duplicates) FROM ledger GROUP BY door";
    assert_eq!(json!(server.sql(ledger).await), json!([["directory.drop", 9, 6, 3, 0]]));
    let ids = server.sql("SELECT id FROM reading ORDER BY id").await;
    assert_eq!(json!(ids), json!([[0], [2], [3], [4], [5], [8]]));
    let rejects = "SELECT split_part(request_id, '#', 1), index, code FROM rejects ORDER BY 1";
    let expected = json!([
        ["broken.json", 1, "json_syntax"],
        ["lines.ndjson", 1, "type"],
        ["long.ndjson", 0, "too_large"]
    ]);
    let rejects = json!(server.sql(rejects).await);
    assert!(rejects == expected || rejects[1][0] == "copy.ndjson", "{rejects}");
    for (name, expected) in [("files_read_total", 5), ("files_known_total", 1), ("files", 9), ("present", 1)]
    {
        let name = format!("headwater_directory_{name}{{directory=\"drop\"}}");
        assert_eq!(metric(&server, &name).await, Some(expected), "{name}");
    }
    let said = server.stderr();
    for expected in ["not read: it is a symbolic link", "not read: it is no regular file"] {
        assert!(said.contains(expected), "{expected:?} is not in\n{said}");
    }
    assert!(!said.contains("example.org"), "no contents in the log");
    let found = std::process::Command::new("grep").args(["-rl", "@example.org"]).arg(&data).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "no protected value on the disk");
    assert!(server.terminate().success());

    // Everything still lies there; nothing counts again, neither a file nor its copy.
    let server = Server::start(&project, &data);
    put(&into, "again.ndjson", &fs::read_to_string(into.join("lines.ndjson")).unwrap());
    put(&into, "more.ndjson", &line(9));
    reach(&server, RECEIVED, 10).await;
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 7);
    assert!(server.terminate().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_while_files_arrive_count_each_line_once() {
    let kills: u64 = std::env::var("HW_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(5);
    let (_directory, project, data) = place(CONFIG);
    let into = project.join("in");
    let mut random = Random::seeded();
    let (mut next, mut bad, mut files, mut counted_at_kills) = (0u64, 0i64, 0, Vec::new());
    for round in 0..=kills {
        // Some lie there at the start, some come while the server runs.
        let mut arrive = |random: &mut Random, count: u64| {
            for _ in 0..count {
                let lines = [1, 40, 1000, 2500][random.below(4) as usize];
                let mut text: Vec<String> = (next..next + lines).map(line).collect();
                for id in (next..next + lines).filter(|id| id % 50 == 49) {
                    text[(id - next) as usize] = format!("{{\"id\":{id}}}\n");
                    bad += 1;
                }
                next += lines;
                files += 1;
                match random.below(3) {
                    0 => put(&into, &format!("{files}.json"), &format!("[{}]", text.join(","))),
                    _ => put(&into, &format!("{files}.ndjson"), &text.concat()),
                }
            }
        };
        arrive(&mut random, 6);
        let server = Server::start(&project, &data);
        let before = server.number(RECEIVED).await;
        arrive(&mut random, 6);
        if round == kills {
            reach(&server, RECEIVED, next as i64).await;
            check(&server, next, bad).await;
            assert!(server.terminate().success());
            break;
        }
        let target = before + 1 + random.below(next - before as u64) as i64;
        let began = Instant::now();
        let mut counted = before;
        while counted < target {
            counted = server.number(RECEIVED).await;
            assert!(began.elapsed() < WAIT_MAX, "{counted} of {target}\n{}", server.stderr());
        }
        counted_at_kills.push(counted - before);
        server.kill();
    }
    println!(
        "{kills} kills: {next} lines in {files} files, {bad} rejects; counted between kills: {counted_at_kills:?}"
    );
}

/// Lines `0..count`, each stored or rejected once.
async fn check(server: &Server, count: u64, bad: i64) {
    let mut stored: HashMap<u64, u64> = HashMap::new();
    for row in server.sql("SELECT id FROM reading").await {
        *stored.entry(row[0].as_u64().unwrap()).or_default() += 1;
    }
    let doubled: Vec<_> = stored.iter().filter(|(_, times)| **times > 1).collect();
    assert!(doubled.is_empty(), "doubled: {doubled:?}");
    let missing: Vec<_> = (0..count).filter(|id| (id % 50 != 49) != stored.contains_key(id)).collect();
    assert!(missing.is_empty(), "missing, or stored though bad: {missing:?}");
    assert_eq!(server.number("SELECT count(*) FROM rejects").await, bad);
    assert_eq!(server.number("SELECT count(DISTINCT payload_sha256) FROM rejects").await, bad);
    let ledger = "SELECT sum(stored), sum(rejected), sum(duplicates) FROM ledger";
    assert_eq!(json!(server.sql(ledger).await), json!([[count as i64 - bad, bad, 0]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_takes_no_memory() {
    let mebibytes: u64 = std::env::var("HW_FILE_MIB").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    let (_directory, project, data) = place(CONFIG);
    let server = Server::start(&project, &data);
    put(&project.join("in"), "first.ndjson", &line(0));
    reach(&server, RECEIVED, 1).await;
    let before = memory_peak(&server);
    // One line, which takes no room on the disk either.
    let path = project.join("large.part");
    fs::write(&path, line(1)).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(mebibytes << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, format!("\n{}", line(2)).as_bytes(), mebibytes << 20)
        .unwrap();
    let began = Instant::now();
    fs::rename(&path, project.join("in/large.ndjson")).unwrap();
    reach(&server, RECEIVED, 4).await;
    let grown = memory_peak(&server) - before;
    println!("{mebibytes} MiB in {:?}; the peak of memory grew by {} MiB", began.elapsed(), grown >> 20);
    assert!(grown < 64 << 20, "the peak of memory grew by {} MiB", grown >> 20);
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 3);
    assert_eq!(json!(server.sql("SELECT code, index FROM rejects").await), json!([["too_large", 1]]));
}

fn memory_peak(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

#[test]
fn directories_that_cannot_be_read_are_faults_of_the_project() {
    let config = "data = \"data\"\n\
                  [directory.a]\npath = \"in\"\nstream = \"reading\"\n\
                  [directory.b]\npath = \"./in/../in\"\nstream = \"reading\"\n\
                  [directory.c]\npath = \"nowhere\"\nstream = \"reading\"\n\
                  [directory.d]\npath = \"data/x\"\nstream = \"readin\"\n\
                  [directory.e]\npath = \"headwater.toml\"\nstream = \"reading\"\n\
                  [directory.f]\npath = \"schemas\"\nstream = \"reading\"\n\
                  [directory.g]\nstream = \"reading\"\n";
    let (_directory, project, _) = place(config);
    let project = project.to_str().unwrap();
    for command in ["check", "up"] {
        let (code, _, said) = headwater(&[command, project]);
        assert_eq!(code, 2);
        for expected in [
            "headwater.toml:6:8",
            "in is read by [directory.a] already",
            "nowhere does not exist",
            "make the directory first",
            "data/x lies in the data directory",
            "headwater.toml is no directory",
            "schemas holds the project's schemas",
            "[directory.d] names the stream \"readin\", which has no schema",
            "`directory.g.path` is missing",
            "7 errors",
        ] {
            assert!(said.contains(expected), "{expected:?} is not in\n{said}");
        }
    }
    let (_directory, project, _) = place(CONFIG);
    let (code, said, _) = headwater(&["check", project.to_str().unwrap()]);
    assert_eq!(code, 0);
    assert!(said.ends_with("1 stream, 0 TCP listeners, 1 directory; no faults\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_vanishes_is_said_once_and_read_on() {
    let (_directory, project, data) = place(CONFIG);
    let into = project.join("in");
    let server = Server::start(&project, &data);
    put(&into, "a.ndjson", &line(0));
    reach(&server, RECEIVED, 1).await;
    fs::rename(&into, project.join("aside")).unwrap();
    let present = "headwater_directory_present{directory=\"drop\"}";
    let began = Instant::now();
    while metric(&server, present).await != Some(0) {
        assert!(began.elapsed() < WAIT_MAX);
    }
    let (_, ready) = server.get("/readyz").await;
    assert!(ready.contains("ready"), "{ready}");
    fs::rename(project.join("aside"), &into).unwrap();
    put(&into, "b.ndjson", &line(1));
    reach(&server, RECEIVED, 2).await;
    let said = server.stderr();
    assert_eq!(said.matches("the directory cannot be listed").count(), 1, "{said}");
    assert_eq!(said.matches("the directory is back").count(), 1, "{said}");
    let _: Value = serde_json::from_str(&fs::read_to_string(data.join("endpoints.json")).unwrap()).unwrap();
}
