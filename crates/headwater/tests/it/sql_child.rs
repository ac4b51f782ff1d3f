//! SQL runs in processes of its own: what happens to one, happens to one statement and to nothing else.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::server::{Server, process, project, signal};

const SCHEMA: &str =
    r#"{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}},"required":["id"]}"#;
/// Computes until it is stopped.
const ENDLESS: &str =
    "SELECT sum(a.value * b.value) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b";

fn begin(directory: &std::path::Path, settings: &[&str]) -> Arc<Server> {
    let project = project(directory, &[("schemas/reading.json", SCHEMA)]);
    Arc::new(Server::start_with(&project, &directory.join("data"), settings))
}

/// The processes with a statement: only those have more threads than they begin with, the allocator's own not counted.
fn busy(server: &Server) -> Vec<u32> {
    let threads = |child: u32| {
        let tasks = std::fs::read_dir(format!("/proc/{child}/task")).into_iter().flatten().flatten();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
        names.filter(|name| !name.starts_with("jemalloc")).count()
    };
    server.sql_children().into_iter().map(|child| child.0).filter(|child| threads(*child) > 4).collect()
}

fn ask(server: &Arc<Server>, statement: &str) -> JoinHandle<(u16, Value)> {
    let (server, statement) = (Arc::clone(server), statement.to_owned());
    tokio::spawn(async move { server.sql_answer(&statement).await })
}

/// Waits for something that must come.
async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{what} never came");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_killed_is_one_failed_statement() {
    let directory = tempfile::tempdir().unwrap();
    let server = begin(directory.path(), &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let ingest = {
        let (server, stop) = (Arc::clone(&server), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                let (status, receipt) =
                    server.post("reading", "application/json", format!("{{\"id\":{sent}}}")).await;
                assert_eq!(status, 200, "{receipt}");
                sent += 1;
            }
            sent
        })
    };
    let mut slowest = Duration::ZERO;
    // One SEGV from outside would be taken for a stack that overflowed, and passed over.
    for name in ["KILL", "ABRT", "TERM", "KILL"] {
        // The process of the statement before may have a thread for a moment longer.
        until("the end of the statement before", || busy(&server).is_empty().then_some(())).await;
        let asked = ask(&server, ENDLESS);
        let child = until("a process that computes", || busy(&server).first().copied()).await;
        signal(child, name);
        let (status, problem) = asked.await.unwrap();
        assert_eq!((status, &problem["code"]), (500, &json!("sql_crashed")), "{problem}");
        assert!(
            problem["hint"].is_string() && problem["detail"].as_str().unwrap().contains("signal"),
            "{problem}"
        );
        let began = Instant::now();
        assert_eq!(server.number("SELECT 1").await, 1);
        slowest = slowest.max(began.elapsed());
        assert!(process(child).is_none(), "it has been waited for");
    }
    println!("the next statement was answered after {slowest:?} at most");
    assert!(slowest < Duration::from_secs(5));
    // One that is killed while it has nothing to do is not noticed at all.
    for (idle, _) in server.sql_children() {
        signal(idle, "KILL");
        // Its first thread may have ended before the others have.
        let threads = || std::fs::read_dir(format!("/proc/{idle}/task")).map_or(0, |threads| threads.count());
        let ended = || process(idle).is_none_or(|(state, _)| state == 'Z') && threads() <= 1;
        until("its end", || ended().then_some(())).await;
    }
    assert_eq!(server.number("SELECT 2").await, 2);
    stop.store(true, Ordering::Relaxed);
    let sent = ingest.await.unwrap();
    assert_eq!(server.number("SELECT count(*) FROM reading").await, sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_come_with_the_first_statement_and_go_when_idle() {
    let directory = tempfile::tempdir().unwrap();
    let project = project(directory.path(), &[("schemas/reading.json", SCHEMA)]);
    let server = Server::start_with_idle(&project, &directory.path().join("data"), "300ms", &[]);
    assert_eq!(server.post("reading", "application/json", r#"{"id":1}"#).await.0, 200);
    assert_eq!(server.sql_children(), [], "ingest alone starts none");
    assert_eq!(server.number("SELECT count(*) FROM reading").await, 1);
    // Its own, and one in advance; with one statement at a time there is no need of a third.
    until("the process in advance", || (server.sql_children().len() == 2).then_some(())).await;
    for n in 1..5 {
        assert_eq!(server.number(&format!("SELECT {n}")).await, n);
        // One that was idle for too long may still be on its way out.
        until("no third process", || (server.sql_children().len() <= 2).then_some(())).await;
    }
    // A statement that comes at once finds the same process, if it was not idle for too long on a slow machine.
    until("an end of the idle processes", || server.sql_children().is_empty().then_some(())).await;
    assert_eq!(server.number("SELECT 1").await, 1, "and there is another one when it is needed");
    assert!(server.terminate().success());
}

/// The server notices it when it next writes: a client that has closed its half may still wait for an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_leaves_no_statement_behind() {
    let directory = tempfile::tempdir().unwrap();
    let server = begin(directory.path(), &["sql.time=600s", "sql.rows=4294967295"]);
    for _ in 0..2 {
        let statement =
            json!({ "sql": "SELECT repeat('x', 10000) FROM generate_series(1, 1000000000)" }).to_string();
        let request = server.client().post(format!("{}/v1/sql", server.http)).body(statement);
        let mut response = request.header("content-type", "application/json").send().await.unwrap();
        assert!(response.chunk().await.unwrap().is_some());
        assert_eq!(busy(&server).len(), 1);
        drop(response);
        until("the end of the statement", || busy(&server).is_empty().then_some(())).await;
    }
    assert_eq!(server.number("SELECT 1").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_end_with_their_server_whatever_they_do() {
    let directory = tempfile::tempdir().unwrap();
    let server = begin(directory.path(), &["sql.time=600s"]);
    let asked: Vec<_> = (0..3).map(|_| ask(&server, ENDLESS)).collect();
    let children = until("three processes", || {
        let children = server.sql_children();
        (busy(&server).len() == 3).then_some(children)
    })
    .await;
    signal(server.pid(), "KILL");
    for asked in asked {
        // The connection breaks: the client of the tests takes that for a panic.
        asked.await.unwrap_err();
    }
    for (child, _) in children {
        until("the end of a process", || process(child).is_none_or(|(state, _)| state == 'Z').then_some(()))
            .await;
    }
}

/// The most memory of their own that the processes had together.
fn measured(server: &Arc<Server>) -> (Arc<AtomicU64>, JoinHandle<()>) {
    let (peak, server) = (Arc::new(AtomicU64::new(0)), Arc::clone(server));
    let seen = Arc::clone(&peak);
    let measuring = tokio::spawn(async move {
        loop {
            let own = |child: &(u32, char)| -> u64 {
                let status = std::fs::read_to_string(format!("/proc/{}/status", child.0)).unwrap_or_default();
                let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
                line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0)
            };
            seen.fetch_max(server.sql_children().iter().map(own).sum(), Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    (peak, measuring)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_is_one_bound_whether_it_is_counted_or_not() {
    let directory = tempfile::tempdir().unwrap();
    let server = begin(directory.path(), &["sql.memory=64MiB", "sql.time=60s"]);
    let (peak, measuring) = measured(&server);
    for statement in [
        // What the engine counts …
        "SELECT max(n) FROM (SELECT value * 7919 % 10000019 AS k, count(*) AS n FROM generate_series(1, 5000000) GROUP BY 1)",
        "SELECT value FROM generate_series(1, 20000000) ORDER BY value % 1000 LIMIT 19000000",
        // … and what it does not.
        "SELECT length(string_agg(repeat('x', 100000), '')) FROM generate_series(1, 20000)",
    ] {
        let (status, problem) = server.sql_answer(statement).await;
        assert_eq!((status, &problem["code"]), (422, &json!("sql_memory")), "{statement}: {problem}");
        assert_eq!(server.number("SELECT 1").await, 1, "what it held came back");
        println!("peak {} MiB: {statement}", peak.swap(0, Ordering::Relaxed) / 1024);
    }
    // Together they have no more than one alone.
    let many = "SELECT count(DISTINCT value * 7919 % 10000019) FROM generate_series(1, 300000)";
    let asked: Vec<_> = (0..6).map(|_| ask(&server, many)).collect();
    let mut codes = Vec::new();
    for asked in asked {
        let (status, answer) = asked.await.unwrap();
        assert!(status == 200 || answer["code"] == "sql_memory", "{answer}");
        codes.push(status);
    }
    println!("six at once: {codes:?}, peak {} MiB", peak.load(Ordering::Relaxed) / 1024);
    let (status, answer) = server.sql_answer(many).await;
    assert_eq!(status, 200, "alone it has room, and all that was held has come back: {answer}");
    measuring.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_that_nobody_counts_stays_near_the_bound() {
    let directory = tempfile::tempdir().unwrap();
    let server = begin(directory.path(), &["sql.memory=64MiB", "sql.time=60s"]);
    let (peak, measuring) = measured(&server);
    let statement = "SELECT length(string_agg(repeat('x', 100000), '')) FROM generate_series(1, 20000)";
    let (status, problem) = server.sql_answer(statement).await;
    assert_eq!((status, &problem["code"]), (422, &json!("sql_memory")), "{problem}");
    let peak = peak.load(Ordering::Relaxed) / 1024;
    println!("peak {peak} MiB");
    // 64 that may be had, 96 that nobody counts, and what is taken in the moment between two looks.
    assert!(peak < 64 + 96 + 192, "{peak} MiB");
    measuring.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_needs_its_room_ends_statements_and_no_producer() {
    let directory = tempfile::tempdir().unwrap();
    let config = "[journal]\nsegment = \"128KiB\"\nbudget = \"2MiB\"\n[lake]\ncommit_every = \"50ms\"\n[sql]\ntime = \"600s\"\n";
    let project = project(directory.path(), &[("headwater.toml", config), ("schemas/reading.json", SCHEMA)]);
    let data = directory.path().join("data");
    let server = Arc::new(Server::start(&project, &data));
    // Each holds the segments in which the rows were when it began.
    let holding = "SELECT count(*) FROM reading r, generate_series(1, 100000) a, generate_series(1, 100000) b WHERE r.id * a.value + b.value < -1";
    let (mut asked, mut sent, mut ended) = (Vec::new(), 0, None);
    let mut random = crate::server::Random::seeded();
    for round in 0..400 {
        let text: String = (0..6_000).map(|_| format!("{:016x}", random.next())).collect();
        let body = format!("{{\"id\":{sent},\"text\":\"{text}\"}}");
        // The lake has its own pace: 429 is its, and passes. Nothing else may refuse.
        until_taken(&server, &body).await;
        sent += 1;
        if asked.len() < 12 && round % 2 == 0 {
            asked.push(ask(&server, holding));
            // Its cut is taken long before it computes.
            until("the statement", || {
                (busy(&server).len() >= asked.len() || asked.iter().any(JoinHandle::is_finished))
                    .then_some(())
            })
            .await;
        }
        if let Some(at) = asked.iter().position(JoinHandle::is_finished) {
            ended = Some(asked.swap_remove(at).await.unwrap());
            break;
        }
    }
    let (status, problem) = ended.expect("no statement was ended");
    assert_eq!((status, &problem["code"]), (503, &json!("snapshot_gone")), "after {sent} events: {problem}");
    assert!(problem["hint"].as_str().unwrap().contains("again"), "{problem}");
    println!("ended after {sent} events, with {} others running", asked.len());
    asked.iter().for_each(JoinHandle::abort);
    let journal = std::fs::read_dir(data.join("journal")).unwrap();
    let bytes: u64 = journal.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 4 << 20, "the journal has {bytes} bytes");
    assert_eq!(server.number("SELECT count(*) FROM reading").await, sent);
}

async fn until_taken(server: &Server, body: &str) {
    for _ in 0..1_000 {
        let (status, receipt) = server.post("reading", "application/json", body.to_owned()).await;
        match status {
            200 => return,
            429 => tokio::time::sleep(Duration::from_millis(20)).await,
            _ => panic!("{status}: {receipt}"),
        }
    }
    panic!("never taken");
}
