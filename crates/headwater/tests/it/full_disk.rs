//! A full disk refuses and recovers; it loses nothing and breaks nothing.

use crate::{
    crashes::own_disk,
    server::{Server, project},
};

const SCHEMA: &str =
    r#"{"type":"object","properties":{"id":{"type":"integer"},"text":{"type":"string"}},"required":["id"]}"#;
const CONFIG: &str = "[journal]\nsegment = \"4MiB\"\nbudget = \"1GiB\"\n[lake]\ncommit_every = \"200ms\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_and_recovers() {
    let directory = tempfile::tempdir().unwrap();
    let Some((mount, _disk)) = own_disk(directory.path(), 64) else {
        println!("SKIPPED: a full disk needs root, mkfs.ext4 and loop devices");
        return;
    };
    let project = project(directory.path(), &[("headwater.toml", CONFIG), ("schemas/reading.json", SCHEMA)]);
    let data = mount.join("data");
    let server = Server::start(&project, &data);

    // Most of the disk goes to somebody else; the events take the rest.
    let ballast = mount.join("ballast");
    std::fs::write(&ballast, vec![1; 24 << 20]).unwrap();
    let (mut accepted, mut refused, mut id) = (0u64, None, 0u64);
    let mut random = crate::server::Random::seeded();
    for _ in 0..400 {
        // Text that does not compress, so that the lake fills the disk too.
        let text: String = (0..20_000).map(|_| format!("{:016x}", random.next())).collect();
        let (status, receipt) =
            server.post("reading", "application/json", format!("{{\"id\":{id},\"text\":\"{text}\"}}")).await;
        id += 1;
        match status {
            200 => accepted += receipt["accepted"].as_u64().unwrap(),
            429 | 507 => {
                assert!(receipt["hint"].is_string(), "{receipt}");
                refused = Some(status);
                break;
            }
            other => panic!("status {other}: {receipt}"),
        }
    }
    println!("{accepted} events of 320 kB were taken, then {refused:?}");
    assert!(refused.is_some(), "the disk never filled");
    assert_eq!(server.number("SELECT count(*) FROM reading").await, accepted as i64, "readers go on");

    // Space returns, and writing resumes by itself.
    std::fs::remove_file(&ballast).unwrap();
    let mut resumed = false;
    for _ in 0..200 {
        let (status, receipt) = server.post("reading", "application/json", format!("{{\"id\":{id}}}")).await;
        id += 1;
        if status == 200 {
            accepted += receipt["accepted"].as_u64().unwrap();
            resumed = true;
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(resumed, "{}", server.stderr());
    assert_eq!(server.number("SELECT count(*) FROM reading").await, accepted as i64);
    server.kill();
    let server = Server::start(&project, &data);
    // What was refused may have been kept after all: its fate was unknown. What was acknowledged is there.
    assert!(server.number("SELECT count(DISTINCT id) FROM reading").await >= accepted as i64);
    let balance = "SELECT sum(received - stored - rejected - duplicates) FROM ledger";
    assert_eq!(server.number(balance).await, 0);
    server.kill();
}
