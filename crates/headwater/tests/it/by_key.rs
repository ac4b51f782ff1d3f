//! Compaction by key: of a stream that is state the last event of each key stays, whenever the server is killed.
//! `HW_KEYS` for more keys, `HW_KILLS` for more kills.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::{
    scanner::search,
    server::{Random, Server, headwater, project},
};

/// Few commits, so that no file is joined with others meanwhile: what is written anew, is by key.
const CONFIG: &str = "[lake]\ncommit_every = \"500ms\"\nretain_every = \"20ms\"\n[log]\nlevel = \"debug\"\n";
const STEM: &str = "kanarienvogel";
const STATES: u64 = 5;
const BATCH: u64 = 5000;
/// Of a server whose keys do not fit at once, beside what it holds of anything else.
const MEMORY_KIB_MAX: u64 = 256 << 10;

/// The key is stored as a digest.
fn schema(compact: &str) -> String {
    format!(
        r#"{{"type":"object","required":["ship","state"],"x-key":["ship"],"x-partitions":2,
        "x-retention":{{"compact":"{compact}","deleted":"gone"}},"properties":{{
        "ship":{{"type":"string","x-privacy":"hash"}},"state":{{"type":"integer"}},"gone":{{"type":"boolean"}}}}}}"#
    )
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn rewritten(table: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(table).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.starts_with("comp-")).collect()
}

fn memory_kib_max(server: &Server) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

/// Each ship's last state is there.
async fn check_newest(server: &Server, keys: u64) {
    let newest = "SELECT count(*), min(last) FROM (SELECT max(state) AS last FROM ship_state GROUP BY ship)";
    assert_eq!(json!(server.sql(newest).await), json!([[keys, STATES - 1]]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_event_of_each_key_stays_whenever_the_server_is_killed() {
    let (keys, kills) = (variable("HW_KEYS", 4000), variable("HW_KILLS", 3));
    let mut random = Random::seeded();
    let directory = tempfile::tempdir().unwrap();
    let (young, old) = (schema("10000d"), schema("1s"));
    let files = [("headwater.toml", CONFIG), ("schemas/ship.state.json", young.as_str())];
    let project = project(directory.path(), &files);
    let data = directory.path().join("data");
    let table = data.join("lake/ship.state");
    let server = Server::start(&project, &data);
    for state in 0..STATES {
        for first in (0..keys).step_by(BATCH as usize) {
            let ships = first..(first + BATCH).min(keys);
            let body: String = ships
                .map(|ship| format!("{}\n", json!({"ship": format!("{STEM}{ship}"), "state": state})))
                .collect();
            let (status, receipt) = server.post("ship.state", "application/x-ndjson", body).await;
            assert_eq!((status, receipt["rejected"].as_u64()), (200, Some(0)), "{receipt}");
        }
    }
    let all = "SELECT count(*) FROM ship_state";
    let before = server.number(all).await;
    assert_eq!(before as u64, keys * STATES, "nothing is old enough");
    assert!(server.terminate().success());

    // How old an event must be may change at any time.
    fs::write(project.join("schemas/ship.state.json"), &old).unwrap();
    for kill in 0..kills {
        let known = rewritten(&table);
        let server = Server::start(&project, &data);
        // A file that is written anew is there before its commit is.
        while rewritten(&table).is_subset(&known) && server.number(all).await as u64 > keys {
            tokio::task::yield_now().await;
        }
        for _ in 0..random.below(3) {
            tokio::task::yield_now().await;
        }
        let new = rewritten(&table).difference(&known).count();
        server.kill();
        println!("kill {kill}: {new} files were written anew");
    }
    let server = Server::start(&project, &data);
    check_newest(&server, keys).await;
    while server.number(all).await as u64 > keys {
        tokio::task::yield_now().await;
    }
    check_newest(&server, keys).await;
    println!("before: {before} rows of {keys} keys, after: {}", server.number(all).await);
    let memory = memory_kib_max(&server);
    println!("the server had {memory} KiB at most");
    assert!(memory < MEMORY_KIB_MAX, "{memory} KiB");

    read_by_offset(&server, keys).await;
    let path = directory.path().join("state.parquet").display().to_string();
    let of = data.display().to_string();
    let (code, told, err) = headwater(&["export", "ship.state", &path, "--json", "--data", &of]);
    let told: Value = serde_json::from_str(&told).unwrap_or_default();
    assert!(code == 0 && told["rows"] == keys, "{told} {err}");
    // Older versions have what has gone since.
    let first = "SELECT min(state), max(state) FROM ship_state VERSION AS OF 0";
    assert_eq!(server.sql(first).await[0][0], 0);

    // Who is deleted has no event in the end, not even the one that says so.
    let gone = json!({"ship": format!("{STEM}0"), "state": STATES, "gone": true}).to_string();
    assert_eq!(server.post("ship.state", "application/json", gone).await.0, 200);
    while server.number(all).await as u64 != keys - 1 {
        tokio::task::yield_now().await;
    }
    let (code, out, err) = headwater(&["verify", "--json", "--data", &of]);
    assert_eq!(code, 0, "{out}{err}");
    let report: Value = serde_json::from_str(&out).unwrap();
    println!(
        "{}",
        report["checks"].as_array().into_iter().flatten().find(|it| it["check"] == "rows").unwrap()
    );
    assert!(!server.stderr().contains("ERROR"), "{}", server.stderr());
    search(STEM, &data, &data.with_extension("stderr"));
    assert!(server.terminate().success());
    let (code, out, err) = headwater(&["verify", "--data", &of]);
    assert_eq!(code, 0, "{out}{err}");
}

/// Readers step over what has gone; no offset is answered with 410.
async fn read_by_offset(server: &Server, keys: u64) {
    let mut read = 0;
    for partition in 0..2 {
        let mut from = 0;
        loop {
            let page = format!("/v1/streams/ship.state/events?partition={partition}&from={from}&limit=1000");
            let (status, lines) = server.get(&page).await;
            assert_eq!(status, 200, "{lines}");
            let Some(last) = lines.lines().last() else { break };
            let last: Value = serde_json::from_str(last).unwrap();
            read += lines.lines().count() as u64;
            from = last["offset"].as_u64().unwrap() + 1;
        }
    }
    assert_eq!(read, keys);
}
