//! Forgetting people: after an erasure nothing of theirs is in any file, what is others' is as it was, and neither a kill
//! nor an older backup brings anyone back. `HW_SUBJECTS=100000` for the full size, `HW_ROUNDS` for more kills.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    scanner::{find, find_in_parquet, needles, search},
    server::{Random, Server, headwater, project},
};

const PROFILE: &str = r#"{"type":"object","required":["user"],"x-key":["user"],"x-partitions":4,"properties":{
    "user":{"type":"string","x-privacy":"subject"},
    "email":{"type":"string","x-privacy":"hash"},
    "born":{"type":"string","format":"date"},
    "city":{"type":"string"}}}"#;
const ORDER: &str = r#"{"type":"object","required":["customer","amount"],"properties":{
    "customer":{"type":"object","required":["id"],"properties":{
        "id":{"type":"string","x-privacy":"subject"},"name":{"type":"string","x-privacy":"hash"}}},
    "items":{"type":"array","items":{"type":"string"}},
    "amount":{"type":"integer"}}}"#;
const CLICK: &str = r#"{"type":"object","required":["who"],"properties":{
    "who":{"type":"integer","x-privacy":"subject"},"page":{"type":"string"}}}"#;
const MACHINE: &str = r#"{"type":"object","required":["id"],"properties":{"id":{"type":"integer"}}}"#;
const CONFIG: &str = "[lake]\ncommit_every = \"50ms\"\n[journal]\nsegment = \"4MiB\"\n";
/// Stands in every text of those who are to go, and nowhere else.
const STEM: &str = "vergissmeinnicht";

struct World {
    directory: tempfile::TempDir,
    project: PathBuf,
    data: PathBuf,
    subjects: usize,
}

impl World {
    fn new(config: &str, subjects: usize) -> World {
        let directory = tempfile::tempdir().unwrap();
        let files = [
            ("headwater.toml", config),
            ("schemas/user.profile.json", PROFILE),
            ("schemas/shop.order.json", ORDER),
            ("schemas/app.click.json", CLICK),
            ("schemas/machine.json", MACHINE),
        ];
        let project = project(directory.path(), &files);
        let data = directory.path().join("data");
        World { directory, project, data, subjects }
    }

    /// One in a hundred.
    fn goes(&self, subject: usize) -> bool {
        subject % 100 == 7
    }

    fn name(&self, subject: usize) -> String {
        if self.goes(subject) { format!("{STEM}-{subject}") } else { format!("stays-{subject}") }
    }

    fn gone(&self) -> Vec<String> {
        let gone = (0..self.subjects).filter(|subject| self.goes(*subject));
        gone.flat_map(|subject| [self.name(subject), number(subject).to_string()]).collect()
    }

    /// Ten events of each subject, and two that are refused of each that goes.
    async fn fill(&self, server: &Server) {
        let mut bodies =
            ["user.profile", "shop.order", "app.click", "machine"].map(|name| (name, String::new()));
        for subject in 0..self.subjects {
            let name = self.name(subject);
            for _ in 0..4 {
                let profile = json!({"user": name, "email": format!("{name}@example.org"), "born": "1970-01-01", "city": format!("town of {name}")});
                bodies[0].1.push_str(&format!("{profile}\n"));
            }
            for at in 0..3 {
                let order = json!({"customer": {"id": name, "name": name}, "items": [name], "amount": subject * 10 + at});
                bodies[1].1.push_str(&format!("{order}\n"));
                bodies[2]
                    .1
                    .push_str(&format!("{}\n", json!({"who": number(subject), "page": format!("/{name}")})));
            }
            bodies[3].1.push_str(&format!("{{\"id\":{subject}}}\n"));
            if self.goes(subject) {
                bodies[0]
                    .1
                    .push_str(&format!("{}\n{{\"user\":\"{name}\",\n", json!({"user": name, "email": 7})));
            }
            if bodies[0].1.len() > 1 << 20 || subject + 1 == self.subjects {
                for (stream, body) in &mut bodies {
                    let (status, receipt) =
                        server.post(stream, "application/x-ndjson", std::mem::take(body)).await;
                    assert_eq!(status, 200, "{receipt}");
                }
            }
        }
        let undeclared = format!("{{\"somebody\":\"{}\"}}\n", self.name(7));
        assert_eq!(server.post("nobody.knows", "application/x-ndjson", undeclared).await.0, 404);
    }

    /// Everything that stays, as the server tells it.
    async fn others(&self, server: &Server) -> Vec<Vec<Vec<Value>>> {
        let mut all = Vec::new();
        for (table, who) in [
            ("user_profile", format!("\"user\" NOT LIKE '{STEM}%'")),
            ("shop_order", format!("customer['id'] NOT LIKE '{STEM}%'")),
            ("app_click", "who < 3000000".to_owned()),
            ("machine", "true".to_owned()),
            ("ledger", "true".to_owned()),
        ] {
            let statement = match self.subjects {
                0..=5000 if table != "ledger" => {
                    format!("SELECT * FROM {table} WHERE {who} ORDER BY _partition, _offset")
                }
                _ if table == "ledger" => format!(
                    "SELECT stream, sum(received), sum(stored) FROM {table} GROUP BY stream ORDER BY stream"
                ),
                _ => format!(
                    "SELECT count(*), sum(_offset), sum(_seq), min(_received_at), max(_received_at) FROM {table} WHERE {who}"
                ),
            };
            all.push(server.sql(&statement).await);
        }
        all
    }

    async fn left(&self, server: &Server) -> i64 {
        let mut left = 0;
        for (table, who) in [
            ("user_profile", format!("\"user\" LIKE '{STEM}%'")),
            ("shop_order", format!("customer['id'] LIKE '{STEM}%'")),
            ("app_click", "who >= 3000000".to_owned()),
            ("rejects", "true".to_owned()),
        ] {
            left += server.number(&format!("SELECT count(*) FROM {table} WHERE {who}")).await;
        }
        left
    }

    fn search(&self) {
        search(STEM, &self.data, &self.data.with_extension("stderr"));
    }

    fn list(&self) -> PathBuf {
        let path = self.directory.path().join("gone.txt");
        std::fs::write(&path, self.gone().join("\n")).unwrap();
        path
    }

    fn erase(&self, more: &[&str]) -> (i32, String, String) {
        let (list, data) = (self.list(), self.data.display().to_string());
        let list = list.display().to_string();
        headwater(&[&["erase", "--file", &list, "--reason", "they asked", "--data", &data], more].concat())
    }
}

/// Those that go have numbers of their own kind.
fn number(subject: usize) -> usize {
    if subject % 100 == 7 { 3_000_000 + subject } else { 1_000_000 + subject }
}

fn subjects() -> usize {
    std::env::var("HW_SUBJECTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000)
}

fn rounds() -> u64 {
    std::env::var("HW_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn verify(world: &World) {
    let (code, out, err) = headwater(&["verify", "--data", &world.data.display().to_string()]);
    assert_eq!(code, 0, "{out}{err}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_erased_is_in_no_file_and_the_others_are_as_they_were() {
    let world = World::new(CONFIG, subjects());
    let server = Server::start(&world.project, &world.data);
    world.fill(&server).await;
    let before = world.others(&server).await;
    let gone = world.gone().len() as i64 / 2;
    assert_eq!(world.left(&server).await, gone * 12 + 1);

    let (code, out, err) = world.erase(&["--dry-run", "--json"]);
    assert_eq!(code, 0, "{err}");
    let counted: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(counted["rows"]["user.profile"], json!(gone * 4), "{counted}");
    assert_eq!(counted["rejects"], json!(gone * 2 + 1), "{counted}");
    assert_eq!(world.left(&server).await, gone * 12 + 1, "a dry run changes nothing");

    let began = Instant::now();
    let (code, out, err) = world.erase(&["--json"]);
    assert_eq!(code, 0, "{out}{err}");
    println!("erased {gone} of {} subjects in {:.2} s", world.subjects, began.elapsed().as_secs_f64());
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        told["rows"],
        json!({"app.click": gone * 3, "shop.order": gone * 3, "user.profile": gone * 4})
    );
    assert_eq!(told["rejects"], json!({"user.profile": gone * 2, "nobody.knows": 1}), "{told}");
    world.search();
    assert_eq!(world.left(&server).await, 0);
    assert_eq!(world.others(&server).await, before);
    verify(&world);

    // The receipt is checked without the server, and a changed one is noticed.
    let path = world.directory.path().join("receipt.json");
    std::fs::write(&path, &out).unwrap();
    let (code, shown, _) = headwater(&["erase", "--check", &path.display().to_string()]);
    assert!(code == 0 && shown.contains("they asked") && !shown.contains(STEM), "{shown}");
    std::fs::write(&path, out.replace("they asked", "we wished")).unwrap();
    assert_eq!(headwater(&["erase", "--check", &path.display().to_string()]).0, 1);

    // Whoever comes again is new, and stays.
    let again = json!({"user": world.name(7), "email": "x@y", "city": "z"}).to_string();
    assert_eq!(server.post("user.profile", "application/json", again).await.0, 200);
    assert_eq!(world.left(&server).await, 1);
    server.kill();
    let server = Server::start(&world.project, &world.data);
    assert_eq!(world.left(&server).await, 1, "a start does not erase again");
    assert_eq!(world.others(&server).await[0].len(), before[0].len());
    verify(&world);
    assert!(server.terminate().success());

    // The search can fail: a planted one is found.
    std::fs::write(world.data.join("planted"), format!("x{STEM}y")).unwrap();
    assert!(find(&std::fs::read(world.data.join("planted")).unwrap(), &needles(STEM)).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_is_killed_goes_on() {
    let world = World::new(CONFIG, subjects().min(20_000));
    let mut random = Random::seeded();
    let server = Server::start(&world.project, &world.data);
    world.fill(&server).await;
    let before = world.others(&server).await;
    let (code, out, err) = world.erase(&["--no-wait", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let id = serde_json::from_str::<Value>(&out).unwrap()["id"].as_str().unwrap().to_owned();
    let mut server = Some(server);
    let mut phases = BTreeSet::new();
    for _ in 0..rounds() {
        let running = server.take().unwrap();
        // So many answers of a server that works on it, then the end.
        for _ in 0..random.below(8) {
            let (status, told) = running.get(&format!("/v1/erasures/{id}")).await;
            assert_eq!(status, 200);
            phases.insert(serde_json::from_str::<Value>(&told).unwrap()["phase"].to_string());
        }
        running.kill();
        server = Some(Server::start(&world.project, &world.data));
    }
    let server = server.unwrap();
    println!("killed in {phases:?}");
    let told = loop {
        let (_, told) = server.get(&format!("/v1/erasures/{id}")).await;
        let told: Value = serde_json::from_str(&told).unwrap();
        if told["phase"] == "done" {
            break told;
        }
        tokio::task::yield_now().await;
    };
    assert!(told["receipt"]["signature"].is_string(), "{told}");
    // Whatever was done in which life, the receipt counts all of it.
    let gone = world.gone().len() as i64 / 2;
    let rows = json!({"app.click": gone * 3, "shop.order": gone * 3, "user.profile": gone * 4});
    assert_eq!((&told["rows"], &told["rejects"]["user.profile"]), (&rows, &json!(gone * 2)), "{told}");
    world.search();
    assert_eq!(world.left(&server).await, 0);
    assert_eq!(world.others(&server).await, before);
    verify(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_restored_is_erased_again() {
    let directory = tempfile::tempdir().unwrap();
    let elsewhere = directory.path().join("erasures");
    let config = format!("{CONFIG}[privacy]\nerasures = {elsewhere:?}\n");
    let world = World::new(&config, 300);
    let server = Server::start(&world.project, &world.data);
    world.fill(&server).await;
    let before = world.others(&server).await;
    assert!(server.terminate().success());
    let backup = directory.path().join("backup");
    copy(&world.data, &backup);

    let server = Server::start(&world.project, &world.data);
    assert_eq!(world.erase(&[]).0, 0);
    assert!(server.terminate().success());
    std::fs::remove_dir_all(&world.data).unwrap();
    copy(&backup, &world.data);
    assert!(is_in_tables(&world.data, STEM), "the backup has them still");

    let server = Server::start(&world.project, &world.data);
    while world.left(&server).await > 0 {
        tokio::task::yield_now().await;
    }
    // The last step is the mark that it was applied here.
    let applied = world.data.join("erasures/applied");
    while std::fs::read_dir(&applied).unwrap().count() == 0 {
        tokio::task::yield_now().await;
    }
    world.search();
    assert_eq!(world.others(&server).await, before);
    verify(&world);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_asked_is_told_without_a_name() {
    let world = World::new(CONFIG, 10);
    let server = Server::start(&world.project, &world.data);
    let ask = |body: String| {
        let request = server.client().post(format!("{}/v1/erasures", server.http));
        async move {
            let response =
                request.header("content-type", "application/json").body(body).send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    };
    for body in [
        json!({"subjects": []}).to_string(),
        json!({"subjects": [""]}).to_string(),
        json!({"subjects": ["x".repeat(5000)]}).to_string(),
        json!({"subjects": STEM}).to_string(),
        json!({"subjects": [STEM], "why": STEM}).to_string(),
        format!("{{\"subjects\":[\"{STEM}\""),
    ] {
        let (status, answer) = ask(body).await;
        assert!(status == 400 && answer.contains("bad_body") && !answer.contains(STEM), "{status} {answer}");
    }
    assert_eq!(server.get("/v1/erasures/none").await.0, 404);
    // Nobody of that name: an erasure all the same, which finds nothing.
    let (code, out, _) = headwater(&["erase", "nobody", "--data", &world.data.display().to_string()]);
    assert!(code == 0 && out.contains("done"), "{out}");
    let (code, _, err) = headwater(&["erase", "--data", &world.data.display().to_string()]);
    assert!(code == 2 && err.contains("nobody is named"), "{err}");
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

/// Does a cell of any Parquet file hold it?
fn is_in_tables(data: &Path, stem: &str) -> bool {
    let needles = needles(stem);
    for table in std::fs::read_dir(data.join("lake")).unwrap() {
        for entry in std::fs::read_dir(table.unwrap().path()).unwrap() {
            let path = entry.unwrap().path();
            let is_table = path.extension().is_some_and(|end| end == "parquet");
            if is_table && find_in_parquet(&path, &needles).is_some() {
                return true;
            }
        }
    }
    false
}
