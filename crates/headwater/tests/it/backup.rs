//! Backup and restore: the copy of a running server is whole as of one moment, a broken one is refused by name, and who was
//! erased since stays so.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use serde_json::{Value, json};

use crate::server::{BINARY, Server, headwater, project};

const PERSON: &str = r#"{"type":"object","required":["id","who"],"properties":{
    "id":{"type":"integer"},
    "who":{"type":"string","x-privacy":"subject"},
    "mail":{"type":"string","x-privacy":"tokenize"}}}"#;
/// Segments and files change hands often.
const CONFIG: &str = "[lake]\ncommit_every = \"20ms\"\ncompact_to = \"256KiB\"\nkeep_old = \"1s\"\n\
    [journal]\nsegment = \"256KiB\"\nbudget = \"64MiB\"\n[privacy]\nreveal = true\n";

struct Place {
    _directory: tempfile::TempDir,
    root: PathBuf,
    project: PathBuf,
    data: PathBuf,
}

impl Place {
    fn new(config: &str) -> Place {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let project = project(&root, &[("headwater.toml", config), ("schemas/person.json", PERSON)]);
        let data = root.join("data");
        Place { _directory: directory, root, project, data }
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    fn backup(&self, name: &str) -> (i32, String, String) {
        headwater(&["backup", &self.path(name), "--json", "--data", &self.data.display().to_string()])
    }

    fn restore(&self, backup: &str, data: &str) -> (i32, String, String) {
        headwater(&["restore", &self.path(backup), &self.path(data)])
    }
}

fn body(ids: std::ops::Range<i64>) -> String {
    ids.map(|id| format!("{{\"id\":{id},\"who\":\"w{}\",\"mail\":\"m{}@example.org\"}}\n", id % 7, id % 50))
        .collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_is_in_it_once() {
    let place = Place::new(CONFIG);
    let server = Arc::new(Server::start(&place.project, &place.data));
    let first = [("content-type", "application/x-ndjson"), ("idempotency-key", "the first")];
    assert_eq!(server.post_with("person", &first, body(0..100)).await.1["accepted"], 100);
    assert_eq!(server.post("person", "application/x-ndjson", "{\"id\":\"bad\"}\n").await.0, 422);
    let (acknowledged, stop) = (Arc::new(AtomicI64::new(100)), Arc::new(AtomicBool::new(false)));
    let writer = tokio::spawn({
        let (server, acknowledged, stop) = (server.clone(), acknowledged.clone(), stop.clone());
        async move {
            let mut next = 100;
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(
                    server.post("person", "application/x-ndjson", body(next..next + 100)).await.0,
                    200
                );
                next += 100;
                acknowledged.store(next, Ordering::SeqCst);
            }
        }
    });
    let mut before = Vec::new();
    for round in 0..4 {
        while acknowledged.load(Ordering::SeqCst) < 3000 * (round + 1) {
            tokio::task::yield_now().await;
        }
        before.push(acknowledged.load(Ordering::SeqCst));
        let place = &place;
        let (code, out, err) = tokio::task::block_in_place(|| place.backup(&format!("copies/{round}")));
        assert_eq!(code, 0, "{out}{err}");
        assert!(err.contains("holds the keys and the vault"), "{err}");
        let told: Value = serde_json::from_str(&out).unwrap();
        assert!(told["through"].as_i64() > Some(0) && told["outside"] == json!([]), "{told}");
    }
    stop.store(true, Ordering::SeqCst);
    writer.await.unwrap();
    assert!(!place.data.join("backup").exists(), "what was copied does not stand any more");
    let token = server.sql("SELECT mail FROM person WHERE id = 7").await[0][0].as_str().unwrap().to_owned();
    Arc::into_inner(server).unwrap().kill();

    for (round, before) in before.into_iter().enumerate() {
        let (backup, data) = (format!("copies/{round}"), format!("restored/{round}"));
        let root = place.root.join(&backup);
        assert_eq!((mode(&root.join("keys")), mode(&root.join("vault/vault.redb"))), (0o700, 0o600));
        for key in fs::read_dir(root.join("keys")).unwrap() {
            assert_eq!(mode(&key.unwrap().path()), 0o600);
        }
        let (code, out, err) = place.restore(&backup, &data);
        assert_eq!(code, 0, "{out}{err}");
        // Without a server, and by one.
        let data = place.root.join(data);
        let of = data.display().to_string();
        let (code, out, err) = headwater(&["verify", "--data", &of]);
        assert_eq!(code, 0, "{out}{err}");
        let server = Server::start(&place.project, &data);
        let row = server.sql("SELECT count(*), count(DISTINCT id), max(id) + 1 FROM person").await.remove(0);
        let count = row[0].as_i64().unwrap();
        assert!(count >= before, "{count} of {before} are there");
        assert_eq!(row, [count, count, count].map(Value::from), "none twice, none left out");
        assert_eq!(server.number("SELECT count(*) FROM rejects WHERE payload IS NOT NULL").await, 1);
        // What a producer sends again is known, tokens have their values, new events come behind the old ones.
        let (_, receipt) = server.post_with("person", &first, body(0..100)).await;
        assert_eq!(receipt["duplicates"], 100, "{receipt}");
        let reveal = ["tokens", "reveal", &token, "--domain", "mail", "--reason", "a test", "--data", &of];
        let (code, out, err) = headwater(&reveal);
        assert!(code == 0 && out.contains("m7@example.org"), "{out}{err}");
        assert_eq!(server.post("person", "application/x-ndjson", body(count..count + 10)).await.0, 200);
        assert_eq!(server.number("SELECT count(DISTINCT _offset) FROM person").await, count + 10);
        let (code, out, err) = headwater(&["verify", "--data", &of]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(server.terminate().success());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_not_whole_is_refused_by_name() {
    let place = Place::new(CONFIG);
    let server = Server::start(&place.project, &place.data);
    assert_eq!(server.post("person", "application/x-ndjson", body(0..5000)).await.0, 200);
    let of = place.data.display().to_string();

    // Killed, sooner or later: whole or refused.
    let mut refused = 0;
    for round in 0..10 {
        let name = format!("killed/{round}");
        let to = place.path(&name);
        let mut child = Command::new(BINARY);
        child.args(["backup", &to, "--data", &of]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().unwrap();
        let files = || fs::read_dir(&to).map_or(0, |entries| entries.count());
        while files() <= round % 6 && child.try_wait().unwrap().is_none() {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let (code, out, err) = place.restore(&name, &format!("from/{round}"));
        if Path::new(&to).join("backup.ndjson").exists() {
            assert_eq!(code, 0, "{out}{err}");
        } else {
            refused += 1;
            assert!(code == 1 && err.contains(&to) && err.contains("has no backup.ndjson"), "{code} {err}");
            assert!(!place.root.join(format!("from/{round}")).exists());
        }
        // What the killed one left standing is taken away.
        while place.data.join("backup").exists() {
            tokio::task::yield_now().await;
        }
    }
    assert!(refused > 0, "all were faster");

    let whole = || {
        let _ = fs::remove_dir_all(place.root.join("whole"));
        loop {
            let (code, out, err) = place.backup("whole");
            // What a killed one left is just being taken away.
            if !err.contains("backing_up") {
                return assert_eq!(code, 0, "{out}{err}");
            }
        }
    };
    whole();
    let (code, _, err) = place.backup("whole");
    assert!(code == 2 && err.contains("is not empty"), "{err}");
    let (code, _, err) = place.restore("whole", "data");
    assert!(code == 2 && err.contains("is not empty"), "{err}");
    let (code, _, err) = place.restore("nothing", "x");
    assert!(code == 1 && err.contains("has no backup.ndjson"), "{err}");

    let lake = place.root.join("whole/lake/person");
    let names = fs::read_dir(lake).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let file = names.into_iter().find(|name| name.ends_with(".parquet")).unwrap();
    let (file, manifest) = (format!("lake/person/{file}"), "backup.ndjson".to_owned());
    for (harmed, harm) in
        [(&file, "flip"), (&file, "remove"), (&file, "cut"), (&manifest, "flip"), (&manifest, "cut")]
    {
        whole();
        let path = place.root.join("whole").join(harmed);
        if !path.exists() {
            continue;
        }
        let mut bytes = fs::read(&path).unwrap();
        match harm {
            "flip" => bytes[50] ^= 1,
            _ => bytes.truncate(60),
        }
        match harm {
            "remove" => fs::remove_file(&path).unwrap(),
            _ => fs::write(&path, bytes).unwrap(),
        }
        let (code, _, err) = place.restore("whole", "x");
        assert!(code == 1 && err.contains(harmed), "{harm} {harmed}: {code} {err}");
        assert!(!place.root.join("x").exists() && !place.root.join(".x.restoring").exists());
    }

    // What a server that was killed left standing goes at the next start.
    server.kill();
    fs::create_dir(place.data.join("backup")).unwrap();
    fs::write(place.data.join("backup/x"), "x").unwrap();
    let server = Server::start(&place.project, &place.data);
    assert!(!place.data.join("backup").exists());
    assert_eq!(server.number("SELECT count(*) FROM person").await, 5000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_takes_away_what_is_being_copied() {
    let place = Place::new(CONFIG);
    let server = Server::start(&place.project, &place.data);
    assert_eq!(server.post("person", "application/x-ndjson", body(0..700)).await.0, 200);
    let begin = || server.client().post(format!("{}/v1/backups", server.http)).send();
    let mut copying = begin().await.unwrap();
    let line = copying.chunk().await.unwrap().unwrap();
    let plan: Value = serde_json::from_slice(&line).unwrap();
    let staged = Path::new(plan["directory"].as_str().unwrap());
    assert!(staged.join("lake/person/_delta_log").is_dir() && staged.join("vault/vault.redb").is_file());
    assert_eq!(mode(staged), 0o700);
    assert_eq!(begin().await.unwrap().status(), 429);

    let erase = ["erase", "w3", "--data", &place.data.display().to_string()];
    let (code, out, err) = tokio::task::block_in_place(|| headwater(&erase));
    assert_eq!(code, 0, "{out}{err}");
    assert!(!staged.exists(), "a copy of it would have what was erased");
    let line = loop {
        let line = copying.chunk().await.unwrap().unwrap();
        if line.starts_with(b"{\"staged\":false") {
            break line;
        }
    };
    drop((line, copying));
    // The next one is of what is left.
    let copied = || tokio::task::block_in_place(|| place.backup("copy"));
    let mut done = copied();
    while done.2.contains("backing_up") {
        done = copied();
    }
    assert_eq!(done.0, 0, "{done:?}");
    assert_eq!(place.restore("copy", "restored").0, 0);
    assert!(server.terminate().success());
    let server = Server::start(&place.project, &place.root.join("restored"));
    assert_eq!(server.number("SELECT count(*) FROM person").await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_erased_after_the_backup_is_erased_again() {
    let place = Place::new(CONFIG);
    let records = format!("privacy.erasures={}", place.path("records"));
    let server = Server::start_with(&place.project, &place.data, &[&records]);
    assert_eq!(server.post("person", "application/x-ndjson", body(0..700)).await.0, 200);
    let (code, out, err) = place.backup("copy");
    assert!(code == 0 && err.contains("privacy.erasures"), "{out}{err}");
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["outside"], json!(["privacy.erasures"]));
    let (code, out, err) = headwater(&["erase", "w3", "--data", &place.data.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(server.terminate().success());

    let (code, out, err) = place.restore("copy", "restored");
    assert!(code == 0 && out.contains("privacy.erasures"), "{out}{err}");
    let restored = place.root.join("restored");
    let server = Server::start_with(&place.project, &restored, &[&records]);
    while server.number("SELECT count(*) FROM person WHERE who = 'w3'").await > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.number("SELECT count(*) FROM person").await, 600);
    let (code, out, err) = headwater(&["erase", "--list", "--data", &restored.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
}
